# What is seldom needed: big numbers and fractions as they are read, half floats as they are
# written, and methods of Reader and Writer that few call.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8949 sections 3.3 and 3.4
#
# Where it is left out, big numbers are refused, and these methods and Writer(half=True) are
# ImportErrors. The classes here have no instances: their methods are found by __getattr__().

import cbor

from .errors import CBORDecodeError

_NINT = const(1)
_TEXT = const(3)
_ARRAY = const(4)
_MAP = const(5)
_TAG = const(6)
_SIMPLE = const(7)


def big(r, tag):
    """What follows the tag of a big number (RFC 8949 section 3.4.3), a decimal fraction or a
    big float (3.4.4), read with the Reader r."""
    if tag <= 3:
        v = int.from_bytes(bytes(r.bytes()), "big")
        return v if tag == 2 else -1 - v
    n = r.array()
    values = []
    while r.more(n):
        n -= 1
        if len(values) == 0:
            values.append(r.int())
        elif len(values) == 1:
            if r.major() == _TAG:
                tag2 = r._head(_TAG)
                if not 2 <= tag2 <= 3:
                    raise CBORDecodeError("mantissa")
                values.append(big(r, tag2))
            else:
                values.append(r.int())
        else:
            raise CBORDecodeError("mantissa")
    if len(values) != 2:
        raise CBORDecodeError("mantissa")
    exp, mant = values
    base = 10.0 if tag == 4 else 2.0
    try:
        # Dividing by an exact power rounds once, multiplying by its inverse twice.
        if mant == 0:
            return 0.0
        if exp < 0:
            return mant / base ** min(-exp, 5000)
        v = mant * base ** min(exp, 5000)
        if v - v == 0:  # neither infinite nor a NaN
            return v
    except OverflowError:
        pass
    raise CBORDecodeError("number too large")


def half(single):
    """The two bytes of a half-precision float, or None when it cannot hold what the four
    bytes of a single one do."""
    sign = single[0] & 0x80
    exp = (single[0] & 0x7F) << 1 | single[1] >> 7
    mant = (single[1] & 0x7F) << 16 | single[2] << 8 | single[3]
    if exp == 255:
        exp = 31
    elif 113 <= exp <= 142:
        exp -= 112
    elif exp == 0 and mant == 0:
        pass
    elif 103 <= exp < 113:  # a subnormal half
        mant |= 0x800000
        shift = 113 - exp
        if mant & ((1 << shift) - 1):
            return None
        mant >>= shift
        exp = 0
    else:
        return None
    if mant & 0x1FFF:
        return None
    mant >>= 13
    return bytes((sign | exp << 2 | mant >> 8, mant & 0xFF))


class Reader:
    # Of reader.Reader.

    def number(self):
        """An int or a float from any of their encodings, tags 2 to 5 included."""
        major = self.major()
        if major <= _NINT:
            return self.int()
        if major == _SIMPLE:
            return self.float()
        tag = self.tag()
        if not 2 <= tag <= 5:
            raise CBORDecodeError("not a number")
        return big(self, tag)

    def null(self):
        """Whether the next item is null; takes it only if so."""
        if self.peek() != 0xF6:
            return False
        self.pos += 1
        return True

    def raw(self):
        """The next item's encoding, as a memoryview into the buffer."""
        start = self.pos
        self.skip()
        return self.buf[start : self.pos]

    def skip(self, depth=0):
        """Pass over the next item, checking that it is well-formed but not its text."""
        first = self.peek()
        major = first >> 5
        if major <= _NINT:
            self._head(major)
        elif major <= _TEXT:
            n = self._head(major, True)
            if n is not None:
                self._take(n)
            else:
                while not self._ended():
                    self._take(self._head(major))
        elif major == _SIMPLE:
            self._special()
        else:
            if depth >= cbor.MAX_DEPTH:
                raise CBORDecodeError("deeper than MAX_DEPTH")
            if major == _TAG:
                self._head(_TAG)
                Reader.skip(self, depth + 1)
                return
            n = self.array() if major == _ARRAY else self.map()
            while self.more(n):
                Reader.skip(self, depth + 1)
                if major == _MAP:
                    Reader.skip(self, depth + 1)
                n -= 1


class Writer:
    # Of writer.Writer.

    def simple(self, n):
        """A simple value: 0 to 23 or 32 to 255; undefined is 23."""
        if not 0 <= n <= 255 or 24 <= n < 32:
            raise ValueError("n: 0 to 23 or 32 to 255")
        self._head(0xE0, n)

    def begin_bytes(self):
        """Begin a byte string of pieces: bytes() for each, then end()."""
        self._byte(0x5F)

    def begin_text(self):
        """Begin a text string of pieces: text() for each, then end()."""
        self._byte(0x7F)
