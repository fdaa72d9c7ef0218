# What the content formats share: types of values, paths.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2, appendix C (data types)

from coap.codec import Error

_BAD_REQUEST = const(0x80)

# Found at once, and not after a search in vain among the names of this module.
len = len

_INTEGER = const(1)
_UNSIGNED = const(2)
_FLOAT = const(3)
_BOOLEAN = const(4)
_OPAQUE = const(5)
_TIME = const(6)
_OBJLNK = const(7)

_MAX_ID = const(65535)

# Bound: values in one payload.
MAX_VALUES = 128


def bad(text):
    """The Error that a malformed payload becomes. text: for the log."""
    return Error(_BAD_REQUEST, text)


def coerce(typ, value):
    """A decoded value as the type of its resource has it.

    typ: type, None leaves the value alone. value: str, bytes, bool, int, float, or a tuple of
    one str: a decimal number that is not written as an integer.
    Raises Error(BAD_REQUEST) for a value of another type or out of its range.
    """
    if typ is None:
        return value
    kind = type(value)
    if typ == _FLOAT:
        if kind is tuple:
            value = float(value[0])
            if value - value != 0:  # infinite: beyond what this port's floats hold
                raise bad("range")
            return value
        if kind is int:
            return float(value)
        if kind is float:
            return value
    elif typ in (_INTEGER, _UNSIGNED, _TIME):
        if kind is tuple:
            from .texts import integral

            value = integral(value[0])
            kind = int
        if kind is int:
            low = 0 if typ == _UNSIGNED else -(1 << 63)
            if low <= value < low + (1 << 64):
                return value
            raise bad("range")
    elif typ == _BOOLEAN:
        if kind is bool:
            return value
    elif typ == _OPAQUE:
        if kind is bytes:
            return value
    elif kind is str:
        if typ == _OBJLNK:
            return objlnk(value)
        return _checked(value)
    raise bad("type")


def _checked(text):
    # MicroPython's decoder lets overlong forms and surrogates through (RFC 3629 section 3).
    if len(text) != len(text.encode()):
        for c in text:
            n = ord(c)
            if n >> 11 == 27 or n > 0x10FFFF or c != chr(n):
                raise bad("utf-8")
    return text


def objlnk(value):
    """(object ID, instance ID) of a link written as "3:1"; raises Error(BAD_REQUEST)."""
    oid, _, iid = value.partition(":")
    return number(oid), number(iid)


def number(value):
    """An ID in text; raises Error(BAD_REQUEST)."""
    if value.isdigit() and len(value) < 6:
        value = int(value)
        if value <= _MAX_ID:
            return value
    raise bad("ID")


def path(value):
    """The path that a text such as "/3/0" names, "/" being (). Raises Error(BAD_REQUEST)."""
    if value == "/":
        return ()
    parts = value.split("/")
    if parts[0] or not 2 <= len(parts) <= 5:
        raise bad("path")
    return tuple([number(s) for s in parts[1:]])


def resource(base, typeof):
    """Type of the one value that base names, None where it is unknown.

    Raises Error(BAD_REQUEST) where base is not one resource or resource instance.
    """
    if len(base) < 3:
        raise bad("not a single value")
    return typeof(base[0], base[2])
