# Reads CBOR items one by one from a buffer.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8949 sections 3 and 5.3.1: input that is not well-formed is refused, the rest read.

import struct

import cbor

from .errors import CBORDecodeError

try:
    from .items import CBORSimpleValue, CBORTag
except ImportError:

    def CBORTag(*args):
        raise CBORDecodeError("no object for it")

    CBORSimpleValue = CBORTag

_UINT = const(0)
_NINT = const(1)
_BYTES = const(2)
_TEXT = const(3)
_ARRAY = const(4)
_MAP = const(5)
_TAG = const(6)
_SIMPLE = const(7)

_INDEFINITE = const(31)
_BREAK = const(0xFF)

_SUBNORMAL = 1 / 16777216  # the step of half-precision subnormals, 2 ** -24


# A half-precision float. MicroPython's struct knows "e" on some ports only.
def _half(hi, lo):
    exp = hi >> 2 & 31
    mant = (hi & 3) << 8 | lo
    if exp == 0:
        v = mant * _SUBNORMAL
        return -v if hi & 0x80 else v
    # The same number in single precision: other bias, wider exponent, 13 more bits.
    exp = 255 if exp == 31 else exp + 112
    return struct.unpack(
        ">f", bytes((hi & 0x80 | exp >> 1, (exp & 1) << 7 | mant >> 3, (mant & 7) << 5, 0))
    )[0]


class Reader:
    """Reads items from a buffer, from pos on, up to end.

    buf: bytes, bytearray or memoryview. Every method takes the next item whole,
    unless it says otherwise, and raises CBORDecodeError when that is malformed, cut
    short or of another type; where the reader then stands is not defined.

    An array's elements or a map's pairs are read so, whatever its length is:

        n = r.map()
        while r.more(n):
            key, value = r.text(), r.value()
            n -= 1

    number(), null(), raw() and skip() are in seldom.py, and brought by the first call.
    """

    def __getattr__(self, name):
        from .seldom import Reader

        method = getattr(Reader, name)
        return lambda *args: method(self, *args)

    def __init__(self, buf, pos=0, end=None):
        self.buf = memoryview(buf)
        self.pos = pos
        self.end = len(buf) if end is None else end
        self._left = cbor.MAX_ITEMS

    def peek(self):
        """The next item's first byte, which stays where it is."""
        if self.pos >= self.end:
            raise CBORDecodeError("premature end")
        return self.buf[self.pos]

    def major(self):
        """The next item's major type, 0 to 7; the item stays where it is."""
        return self.peek() >> 5

    def finish(self):
        """Raises CBORDecodeError when bytes are left."""
        if self.pos != self.end:
            raise CBORDecodeError("%d bytes after the end" % (self.end - self.pos))

    # The argument of the next item, which must be of this major type; None for an
    # indefinite length, where one may be.
    def _head(self, major, indefinite=False):
        pos = self.pos
        if pos >= self.end:
            raise CBORDecodeError("premature end")
        first = self.buf[pos]
        if first >> 5 != major:
            raise CBORDecodeError("type %d, not %d" % (first >> 5, major))
        self.pos = pos + 1
        first &= 31
        if first < 24:
            return first
        if first == _INDEFINITE and indefinite:
            return None
        if first > 27:
            raise CBORDecodeError("additional information %d" % first)
        v = 0
        for b in self._take(1 << first - 24):
            v = v << 8 | b
        return v

    # n bytes of what follows, as a view.
    def _take(self, n):
        pos = self.pos
        if n > self.end - pos:
            raise CBORDecodeError("premature end")
        self.pos = pos + n
        return self.buf[pos : pos + n]

    def uint(self):
        """An unsigned integer, 0 to 2 ** 64 - 1."""
        return self._head(_UINT)

    def int(self):
        """An integer, -2 ** 64 to 2 ** 64 - 1."""
        if self.peek() >> 5 == _NINT:
            return -1 - self._head(_NINT)
        return self._head(_UINT)

    def bytes(self):
        """A byte string: a memoryview into the buffer; bytes when it comes in pieces."""
        n = self._head(_BYTES, True)
        return self._pieces(_BYTES) if n is None else self._take(n)

    def text(self):
        """A text string, as str; UTF-8 is checked as strictly as the port's str() does."""
        n = self._head(_TEXT, True)
        if n is None:
            return self._pieces(_TEXT)
        return self._str(self._take(n))

    def _str(self, view):
        try:
            return str(view, "utf-8")
        except UnicodeError:
            raise CBORDecodeError("text is not UTF-8")

    # A string of indefinite length: pieces of definite length, of the same type, each
    # valid in itself.
    def _pieces(self, major):
        whole = bytearray()
        while not self._ended():
            self._count()
            piece = self._take(self._head(major))
            if major == _TEXT:
                self._str(piece)
            whole.extend(piece)
        return str(whole, "utf-8") if major == _TEXT else bytes(whole)

    def float(self):
        """A half, single or double precision float."""
        first = self.peek()
        self.pos += 1
        if first == 0xF9:
            v = self._take(2)
            return _half(v[0], v[1])
        if first == 0xFA:
            return struct.unpack(">f", self._take(4))[0]
        if first == 0xFB:
            return struct.unpack(">d", self._take(8))[0]
        raise CBORDecodeError("not a float")

    def bool(self):
        """A boolean."""
        first = self.peek()
        if first != 0xF4 and first != 0xF5:
            raise CBORDecodeError("not a boolean")
        self.pos += 1
        return first == 0xF5

    def array(self):
        """The head of an array: the number of its elements, or -1 for "until the break"."""
        n = self._head(_ARRAY, True)
        if n is None:
            return -1
        if n > self.end - self.pos:  # every element takes a byte
            raise CBORDecodeError("premature end")
        return n

    def map(self):
        """The head of a map: the number of its pairs, or -1 for "until the break"."""
        n = self._head(_MAP, True)
        if n is None:
            return -1
        if n > self.end - self.pos >> 1:
            raise CBORDecodeError("premature end")
        return n

    def more(self, n):
        """Whether another element or pair follows, if n is what array() or map() gave,
        less one for each that was read. Takes the break."""
        return n > 0 or n < 0 and not self._ended()

    def _ended(self):
        if self.peek() != _BREAK:
            return False
        self.pos += 1
        return True

    def tag(self):
        """A tag's number; the item that it belongs to comes next."""
        return self._head(_TAG)

    def _count(self):
        self._left -= 1
        if self._left < 0:
            raise CBORDecodeError("more than MAX_ITEMS")

    # An item of major type 7, as an object.
    def _special(self):
        first = self.peek() & 31
        if 25 <= first <= 27:
            return self.float()
        self.pos += 1
        if first < 20 or first == 23:
            return CBORSimpleValue(first)
        if first < 23:
            return (False, True, None)[first - 20]
        if first == 24:
            first = self._take(1)[0]
            if first >= 32:
                return CBORSimpleValue(first)
        elif first == _INDEFINITE:
            raise CBORDecodeError("break without a beginning")
        raise CBORDecodeError("simple value %d" % first)

    def value(self, depth=0):
        """The next item as an object: int, bytes, str, list, dict, float, bool, None,
        CBORSimpleValue for other simple values. Tags 2 and 3 give int, 4 and 5 float,
        all others a CBORTag. A key that comes twice has the later value."""
        self._count()
        major = self.major()
        if major <= _NINT:
            return self.int()
        if major == _BYTES:
            return bytes(self.bytes())
        if major == _TEXT:
            return self.text()
        if major == _SIMPLE:
            return self._special()
        if depth >= cbor.MAX_DEPTH:
            raise CBORDecodeError("deeper than MAX_DEPTH")
        depth += 1
        if major == _ARRAY:
            items = []
            n = self.array()
            while self.more(n):
                items.append(self.value(depth))
                n -= 1
            return items
        if major == _MAP:
            items = {}
            n = self.map()
            while self.more(n):
                key = self.value(depth)
                try:
                    items[key] = None
                except TypeError:
                    raise CBORDecodeError("a key is an array or a map")
                items[key] = self.value(depth)
                n -= 1
            return items
        n = self._head(_TAG)
        if not 2 <= n <= 5:
            return CBORTag(n, self.value(depth))
        try:
            from .seldom import big
        except ImportError:
            raise CBORDecodeError("big number")
        return big(self, n)
