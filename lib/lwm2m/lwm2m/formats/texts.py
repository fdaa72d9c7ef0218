# What the formats made of text share, and TLV: numbers in text, base64, UTF-8, one value.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8259 section 6 (numbers); RFC 4648 (base64)

from binascii import a2b_base64, b2a_base64
from coap.codec import Error
from .value import bad, coerce, decode_records, resource  # noqa: F401  theirs as well

_NOT_ACCEPTABLE = const(0x86)

_NAMES = ("", "/%d", "/%d/%d", "/%d/%d/%d", "/%d/%d/%d/%d")

# Bound: characters of a number in text.
MAX_NUMBER = 64


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


def text(data):
    """bytes-like as str. Raises Error(BAD_REQUEST) where it is not UTF-8."""
    try:
        return str(data, "utf-8")
    except UnicodeError:
        raise bad()


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
        raise bad()
    return pos


def integral(number):
    """The int that a decimal number in text is, exactly where a float would round.
    Raises Error(BAD_REQUEST) where it is none."""
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
    raise bad()


def decimal(value):
    """A Float as text that reads back as the same value.

    Raises Error(NOT_ACCEPTABLE) for what text has no number for: not-a-number and infinity.
    """
    value = float(value)
    if value - value != 0:
        raise Error(_NOT_ACCEPTABLE, "not a number")
    return repr(value)


def plain(value):
    """A float as decimal text without an exponent. Raises ValueError where it is not finite."""
    if value - value != 0:
        raise ValueError("value")
    s, _, exp = repr(value).partition("e")
    sign = ""
    if s[0] == "-":
        sign = "-"
        s = s[1:]
    whole, _, part = s.partition(".")
    digits = whole + part
    point = len(whole) + int(exp or "0")
    if point < 1:
        digits = "0" * (1 - point) + digits
        point = 1
    digits += "0" * (point - len(digits))
    part = digits[point:].rstrip("0")
    return sign + digits[:point] + ("." + part if part else "")


def name(ids):
    """A path as text: (3, 0) is "/3/0", () is empty."""
    return _NAMES[len(ids)] % ids


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
    raise bad()


def single(base, nodes):
    """(type, value) for a format that holds one value only.

    Raises Error(NOT_ACCEPTABLE) where base is not one resource or resource instance.
    """
    if len(nodes) != 1 or nodes[0][0] != base:
        raise Error(_NOT_ACCEPTABLE, "not a single value")
    return nodes[0][1], nodes[0][2]
