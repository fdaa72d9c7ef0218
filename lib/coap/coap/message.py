# The numbers of CoAP, and what others import of the codec.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 7252 section 3 (format), 5.10 and 12 (numbers); RFC 7641, 7959, 7967, 8132, 8613, 9175.

from coap.codec import Error, FormatError, Message, pack, read, uint_bytes  # noqa: F401
from coap.errors import PlainError, SecurityError  # noqa: F401

# Types. These are part of the interface, so they are not named with an underscore.
CON = const(0)
NON = const(1)
ACK = const(2)
RST = const(3)

# Codes: class << 5 | detail.
EMPTY = const(0)
GET = const(1)
POST = const(2)
PUT = const(3)
DELETE = const(4)
FETCH = const(5)
PATCH = const(6)
IPATCH = const(7)
CREATED = const(0x41)
DELETED = const(0x42)
VALID = const(0x43)
CHANGED = const(0x44)
CONTENT = const(0x45)
CONTINUE = const(0x5F)
BAD_REQUEST = const(0x80)
UNAUTHORIZED = const(0x81)
BAD_OPTION = const(0x82)
FORBIDDEN = const(0x83)
NOT_FOUND = const(0x84)
METHOD_NOT_ALLOWED = const(0x85)
NOT_ACCEPTABLE = const(0x86)
INCOMPLETE = const(0x88)
CONFLICT = const(0x89)
PRECONDITION_FAILED = const(0x8C)
TOO_LARGE = const(0x8D)
UNSUPPORTED_FORMAT = const(0x8F)
UNPROCESSABLE = const(0x96)
TOO_MANY_REQUESTS = const(0x9D)
INTERNAL = const(0xA0)
NOT_IMPLEMENTED = const(0xA1)
BAD_GATEWAY = const(0xA2)
UNAVAILABLE = const(0xA3)
GATEWAY_TIMEOUT = const(0xA4)
NO_PROXYING = const(0xA5)

# Option numbers.
IF_MATCH = const(1)
URI_HOST = const(3)
ETAG = const(4)
IF_NONE_MATCH = const(5)
OBSERVE = const(6)
URI_PORT = const(7)
LOCATION_PATH = const(8)
OSCORE = const(9)
URI_PATH = const(11)
CONTENT_FORMAT = const(12)
MAX_AGE = const(14)
URI_QUERY = const(15)
HOP_LIMIT = const(16)
ACCEPT = const(17)
LOCATION_QUERY = const(20)
BLOCK2 = const(23)
BLOCK1 = const(27)
SIZE2 = const(28)
PROXY_URI = const(35)
PROXY_SCHEME = const(39)
SIZE1 = const(60)
ECHO = const(252)
NO_RESPONSE = const(258)
REQUEST_TAG = const(292)


def uint(value):
    """The unsigned integer in an option's value, leading zero bytes accepted."""
    return int.from_bytes(value, "big")


def decode(data):
    """The Message in a datagram; its options and payload are memoryviews into data,
    so data must stay as it is while they are used.

    Raises FormatError (RFC 7252 sections 3 and 4).
    """
    msg = _read(data)
    if msg is not None:
        return msg
    e = FormatError("format")
    e.type = e.mid = None
    if len(data) > 3 and data[0] >> 6 == 1:
        e.type = data[0] >> 4 & 3
        e.mid = data[2] << 8 | data[3]
    raise e


def _read(data):
    try:
        return read(data, None)
    except (ValueError, IndexError):
        return None


def encode(msg, buf=None, start=0):
    """The datagram as bytes; with buf (bytearray or memoryview) it is written there from
    start on, and the number of bytes is returned.

    Raises ValueError where it does not fit, where options do not ascend, or for a bad token.
    """
    data = pack(msg, msg.type, msg.mid, msg.token)
    if buf is None:
        return bytes(data)
    n = len(data)
    if start + n > len(buf):
        raise ValueError("buf")
    buf[start : start + n] = data
    return n


def describe(code):
    """A code as it is written: 0x45 is "2.05"."""
    return "%d.%02d" % (code >> 5, code & 31)
