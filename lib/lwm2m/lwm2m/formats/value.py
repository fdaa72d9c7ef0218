# What the content formats share: types of values, numbers in text, base64, paths.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2, appendix C (data types); RFC 8259 section 6 (numbers)

from binascii import a2b_base64, b2a_base64
from coap.codec import Error

_BAD_REQUEST = const(0x80)
_NOT_ACCEPTABLE = const(0x86)

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

_NAMES = ("", "/%d", "/%d/%d", "/%d/%d/%d", "/%d/%d/%d/%d")

# Bounds: characters of a number in text, values in one payload.
MAX_NUMBER = 64
MAX_VALUES = 128


def bad(text):
    """The Error that a malformed payload becomes. text: for the log."""
    return Error(_BAD_REQUEST, text)


class Out:
    """Appends to a buffer of fixed size. Raises ValueError where it is full."""

    def __init__(self, buf):
        self.view = memoryview(buf)
        self.pos = 0

    def put(self, data):
        """data: str (written as UTF-8) or bytes-like."""
        if isinstance(data, str):
            data = data.encode()
        end = self.pos + len(data)
        if end > len(self.view):
            raise ValueError("buf")
        self.view[self.pos : end] = data
        self.pos = end


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
            value = _integral(value[0])
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


def text(data):
    """bytes-like as str. Raises Error(BAD_REQUEST) where it is not UTF-8."""
    try:
        return str(data, "utf-8")
    except UnicodeError:
        raise bad("utf-8")


def _digits(data, pos):
    while pos < len(data) and 48 <= data[pos] <= 57:
        pos += 1
    return pos


def scan(data, pos, strict=True):
    """Position behind the number that starts at pos. data: bytes-like.

    strict: JSON's grammar; otherwise a plus sign, leading zeros and a bare point may be there.
    Raises Error(BAD_REQUEST) where there is no number.
    """
    start = pos
    end = len(data)
    if pos < end and (data[pos] == 45 or not strict and data[pos] == 43):  # - +
        pos += 1
    a = pos
    pos = _digits(data, pos)
    n = pos - a
    ok = n and (n == 1 or data[a] != 48) or not strict
    if pos < end and data[pos] == 46:  # .
        a = pos + 1
        pos = _digits(data, a)
        n += pos - a
        ok = ok and (pos > a or not strict)
    ok = ok and n
    if pos < end and data[pos] | 32 == 101:  # e E
        pos += 1
        if pos < end and data[pos] in b"+-":
            pos += 1
        a = pos
        pos = _digits(data, a)
        ok = ok and pos > a
    if not ok or pos - start > MAX_NUMBER:
        raise bad("number")
    return pos


def _integral(number):
    # Exactly, where a float would round.
    number, _, exp = number.lower().partition("e")
    whole, _, part = number.partition(".")
    exp = int(exp or "0") - len(part)
    number = int(whole + part)
    if not number:
        return 0
    if exp < 0 and exp > -MAX_NUMBER:
        number, rest = divmod(number, 10**-exp)
        if not rest:
            return number
    elif 0 <= exp < 20:
        return number * 10**exp
    raise bad("type")


def decimal(value):
    """A Float as text that reads back as the same value.

    Raises Error(NOT_ACCEPTABLE) for what text has no number for: not-a-number and infinity.
    """
    value = float(value)
    if value - value != 0:
        raise Error(_NOT_ACCEPTABLE, "not a number")
    return repr(value)


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


def name(ids):
    """A path as text: (3, 0) is "/3/0", () is empty."""
    return _NAMES[len(ids)] % ids


def path(value):
    """The path that a text such as "/3/0" names, "/" being (). Raises Error(BAD_REQUEST)."""
    if value == "/":
        return ()
    parts = value.split("/")
    if parts[0] or not 2 <= len(parts) <= 5:
        raise bad("path")
    return tuple([number(s) for s in parts[1:]])


def base64(data):
    """bytes-like as base64 text, padded (RFC 4648 section 4)."""
    return str(b2a_base64(data), "utf-8").rstrip()


def unbase64(value):
    """The bytes in a base64 text, of either alphabet, padded or not (RFC 4648).
    Raises Error(BAD_REQUEST)."""
    s = value.rstrip("=")
    pad = -len(s) % 4
    if pad < 3 and len(value) - len(s) in (0, pad):
        try:
            data = a2b_base64(s.replace("-", "+").replace("_", "/") + "=" * pad)
        except ValueError:
            data = b""
        # MicroPython's decoder steps over what is not in the alphabet.
        if len(data) == len(s) * 3 // 4:
            return data
    raise bad("base64")


def single(base, nodes):
    """(type, value) for a format that holds one value only.

    Raises Error(NOT_ACCEPTABLE) where base is not one resource or resource instance.
    """
    if len(nodes) != 1 or nodes[0][0] != base:
        raise Error(_NOT_ACCEPTABLE, "not a single value")
    return nodes[0][1], nodes[0][2]


def resource(base, typeof):
    """Type of the one value that base names, None where it is unknown.

    Raises Error(BAD_REQUEST) where base is not one resource or resource instance.
    """
    if len(base) < 3:
        raise bad("not a single value")
    return typeof(base[0], base[2])
