# Writes CBOR items one by one into a buffer.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8949 section 3; heads are always the shortest (section 4.2.1).

import struct

# Found at once, and not after a search in vain among the names of this module.
len = len
isinstance = isinstance
str = str

_UINT = const(0x00)
_NINT = const(0x20)
_BYTES = const(0x40)
_TEXT = const(0x60)
_ARRAY = const(0x80)
_MAP = const(0xA0)
_TAG = const(0xC0)
_SIMPLE = const(0xE0)


class Writer:
    """Writes items into a buffer, from pos on, up to end.

    buf: bytearray or writable memoryview. half: whether floats may be written in half
    precision; without it in single precision when that loses nothing, else in double.
    `pos` is where the next item goes, `limit` where the room ends. Every method raises ValueError when the item does
    not fit, and then has written nothing or a part of it behind pos.
    simple(), begin_bytes() and begin_text() are in seldom.py, and brought by the first call.
    """

    def __getattr__(self, name):
        from .seldom import Writer

        method = getattr(Writer, name)
        return lambda *args: method(self, *args)

    # Not in the instance where it is so.
    half = False
    start = 0
    _grow = False  # dumps: buf is its own and may be extended

    def __init__(self, buf, pos=0, end=None, half=False, grow=False):
        self.buf = buf
        self.pos = pos
        self.limit = len(buf) if end is None else end
        if pos:
            self.start = pos
        if half:
            self.half = half
        if grow:
            self._grow = grow

    def view(self):
        """What has been written, as a memoryview."""
        return memoryview(self.buf)[self.start : self.pos]

    # Makes n bytes at pos usable; returns pos.
    def _room(self, n):
        pos = self.pos
        if pos + n > self.limit:
            if not self._grow:
                raise ValueError("buf: full")
            self.buf.extend(bytes(max(n, self.limit)))
            self.limit = len(self.buf)
        return pos

    # An item's head: major type, shifted, and argument. more: bytes that must fit too.
    def _head(self, major, n, more=0):
        if n < 24:
            pos = self.pos
            if pos + more >= self.limit:
                self._room(1 + more)
            self.buf[pos] = major | n
            self.pos = pos + 1
        else:
            self._long_head(major, n, more)

    def _long_head(self, major, n, more):
        if n < 0x100:
            size = 1
            major |= 24
        elif n < 0x10000:
            size = 2
            major |= 25
        elif n <= 0xFFFFFFFF:
            size = 4
            major |= 26
        elif n <= 0xFFFFFFFFFFFFFFFF:
            size = 8
            major |= 27
        else:
            raise ValueError("beyond 64 bits")
        pos = self._room(1 + size + more)
        self.buf[pos] = major
        self.pos = pos + 1 + size
        self.buf[pos + 1 : self.pos] = n.to_bytes(size, "big")

    def raw(self, data):
        """Bytes that are CBOR already."""
        pos = self.pos
        end = pos + len(data)
        if end > self.limit:
            self._room(len(data))
        self.buf[pos:end] = data
        self.pos = end

    def uint(self, v):
        """An unsigned integer below 2 ** 64."""
        if v < 0:
            raise ValueError("v: negative")
        self._head(_UINT, v)

    def int(self, v):
        """An integer, -2 ** 64 to 2 ** 64 - 1."""
        if v >= 0:
            self._head(_UINT, v)
        else:
            self._head(_NINT, -1 - v)

    def _string(self, major, data):
        n = len(data)
        self._head(major, n, n)
        n += self.pos
        self.buf[self.pos : n] = data
        self.pos = n

    def bytes(self, data):
        """A byte string: bytes, bytearray or memoryview of bytes."""
        self._string(_BYTES, data)

    def text(self, s):
        """A text string: str, or the bytes of its UTF-8."""
        if isinstance(s, str):
            s = s.encode()
        pos = self.pos
        end = len(s)
        if end < 24 and pos + end < self.limit:
            # As _string(), for most.
            self.buf[pos] = _TEXT | end
            pos += 1
            end += pos
            self.buf[pos:end] = s
            self.pos = end
        else:
            self._string(_TEXT, s)

    def float(self, v):
        """A float, in the shortest of the allowed precisions that loses nothing."""
        if v != v:
            # One NaN, whatever its sign and payload (RFC 8949 section 4.2.2).
            self.raw(b"\xf9\x7e\x00" if self.half else b"\xfa\x7f\xc0\x00\x00")
            return
        data = struct.pack(">f", v)
        if struct.unpack(">f", data)[0] == v:
            half = None
            if self.half:
                from .seldom import half

                half = half(data)
            if half:
                pos = self._room(3)
                self.buf[pos] = 0xF9
                data = half
            else:
                pos = self._room(5)
                self.buf[pos] = 0xFA
        else:
            data = struct.pack(">d", v)
            pos = self._room(9)
            self.buf[pos] = 0xFB
        self.pos = pos + 1
        self.raw(data)

    def bool(self, v):
        """A boolean."""
        self._head(_SIMPLE, 21 if v else 20)

    def null(self):
        """The null."""
        self._head(_SIMPLE, 22)

    def array(self, n=-1):
        """The head of an array of n elements, or of one that end() closes."""
        if n >= 0:
            self._head(_ARRAY, n)
        else:
            self._byte(_ARRAY | 31)

    def map(self, n=-1):
        """The head of a map of n pairs, or of one that end() closes."""
        if n >= 0:
            self._head(_MAP, n)
        else:
            self._byte(_MAP | 31)

    def end(self):
        """The break, which closes what has no length."""
        self._byte(0xFF)

    def _byte(self, b):
        pos = self._room(1)
        self.buf[pos] = b
        self.pos = pos + 1

    def tag(self, n):
        """A tag's number; the item that it belongs to comes next."""
        self._head(_TAG, n)

    def value(self, obj):
        """Any object that dumps() takes. Raises CBOREncodeError for others."""
        from .objects import write

        write(self, obj, 0)
