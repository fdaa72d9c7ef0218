# What the codec needs seldom: extended heads, and what Message can do besides.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 7252 section 3.1

from coap.codec import Error, FormatError, put_body

_BAD_OPTION = const(0x82)

_ETAG = const(4)
_OBSERVE = const(6)
_URI_PATH = const(11)
_BLOCK2 = const(23)
_BLOCK1 = const(27)
_SIZE2 = const(28)
_SIZE1 = const(60)
_ECHO = const(252)
_NO_RESPONSE = const(258)
_REQUEST_TAG = const(292)

# Options that differ between the blocks of one transfer.
_NOT_KEY = (_ETAG, _OBSERVE, _BLOCK2, _BLOCK1, _SIZE2, _SIZE1, _ECHO, _NO_RESPONSE, _REQUEST_TAG)


# ---- Methods of Message


def opts(msg, number):
    """All values of an option, in order."""
    return [value for n, value in msg.options if n == number]


def set(msg, number, value):
    """Replace all options of that number by one and return the message."""
    remove(msg, number)
    return msg.add(number, value)


def remove(msg, number):
    """Remove all options of that number."""
    options = msg.options
    i = len(options)
    while i:
        i -= 1
        if options[i][0] == number:
            options.pop(i)


def path(msg):
    """Uri-Path as a list of str. Raises Error(BAD_OPTION) where it is not UTF-8."""
    try:
        return [str(value, "utf-8") for value in opts(msg, _URI_PATH)]
    except UnicodeError:
        raise Error(_BAD_OPTION)


# ---- Options with extended delta or length


def read_head(view, pos, head):
    """What a head says, of which head is the first byte and what follows begins at position pos
    of a memoryview: (delta, position of the value, its length). Raises FormatError."""
    delta, pos = _read(view, pos, head >> 4)
    n, pos = _read(view, pos, head & 15)
    return delta, pos, n


def _read(view, pos, n):
    if n < 13:
        return n, pos
    if n == 15 or pos + n - 13 >= len(view):
        raise FormatError("format")
    if n == 13:
        return 13 + view[pos], pos + 1
    return 269 + (view[pos] << 8 | view[pos + 1]), pos + 2


def add_head(buf, delta, n):
    """Append a head to a bytearray. Raises ValueError for a negative delta."""
    if delta < 0:
        raise ValueError("options")
    buf.append(_nibble(delta) << 4 | _nibble(n))
    _extend(buf, delta)
    _extend(buf, n)


def _nibble(n):
    return n if n < 13 else 13 if n < 269 else 14


def _extend(buf, n):
    if n > 268:
        buf.append(n - 269 >> 8)
        buf.append(n - 269 & 0xFF)
    elif n > 12:
        buf.append(n - 13)


def body_of(options, payload, skip):
    """What put_body() appends, without the options whose number is in skip, as a bytearray."""
    return put_body(bytearray(), [o for o in options if o[0] not in skip], payload)


def key_of(request):
    """What the requests for all blocks of one body have in common, as bytes."""
    return bytes((request.code,)) + body_of(request.options, b"", _NOT_KEY)
