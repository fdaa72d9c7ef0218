# CBOR items that have no object of Python's.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8949 sections 3.3 and 3.4
#
# Where this is left out, reading one as an object is an error.


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
