# CBOR: whole objects by dumps and loads, items over buffers by Writer and Reader.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8949. dumps, loads and the errors are named as in micropython-lib's cbor2.

# Bounds of what loads() and Reader.value() build and of what dumps() takes. They may
# be set at any time; a Reader counts from when it is made.
MAX_DEPTH = 16  # arrays, maps and tags within one another
MAX_ITEMS = 1024  # items of one Reader, each element, key, value, tag and piece of a string


class CBORDecodeError(ValueError):
    """The input is not well-formed, not of the type asked for, or beyond a bound."""


class CBOREncodeError(ValueError):
    """The object has no encoding, or is nested deeper than MAX_DEPTH."""


class CBORTag:
    """A tagged item (RFC 8949 section 3.4): tag, a number, and value, any object."""

    def __init__(self, tag, value):
        self.tag = tag
        self.value = value

    def __eq__(self, other):
        return isinstance(other, CBORTag) and (self.tag, self.value) == (other.tag, other.value)

    def __hash__(self):
        return hash((self.tag, self.value))

    def __repr__(self):
        return "CBORTag(%d, %r)" % (self.tag, self.value)


class CBORSimpleValue:
    """A simple value (RFC 8949 section 3.3) without a Python object; undefined is 23."""

    def __init__(self, value):
        if not 0 <= value <= 255 or 24 <= value < 32:
            raise ValueError("value: 0 to 23 or 32 to 255")
        self.value = value

    def __eq__(self, other):
        return isinstance(other, CBORSimpleValue) and self.value == other.value

    def __hash__(self):
        return hash(self.value) ^ 0x5C

    def __repr__(self):
        return "CBORSimpleValue(%d)" % self.value


Tag = CBORTag
undefined = CBORSimpleValue(23)

# These read the names above while this module is still being made.
from .reader import Reader as Reader  # noqa: E402
from .writer import Writer as Writer  # noqa: E402


def dumps(obj, half=False):
    """The encoding of obj, as bytes.

    obj: None, bool, int of any size, float, str, bytes, bytearray, memoryview, list,
    tuple, dict, CBORTag or CBORSimpleValue. half: as for Writer.
    Raises CBOREncodeError.
    """
    w = Writer(bytearray(32), half=half, grow=True)
    w.value(obj)
    return bytes(w.view())


def loads(payload):
    """The object that payload, all of it, encodes; see Reader.value() for the types.

    payload: bytes, bytearray or memoryview. Raises CBORDecodeError, and nothing else,
    whatever payload holds; also for bytes that follow the object.
    """
    r = Reader(payload)
    obj = r.value()
    r.finish()
    return obj
