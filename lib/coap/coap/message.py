# CoAP message codec: options and payload are views into the datagram.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 7252 section 3 (format), 5.10 and 12 (numbers); RFC 7641, 7959, 7967, 8132, 8613, 9175.

from micropython import const

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

_MARKER = const(0xFF)
_MAX_NUMBER = const(0xFFFF)


class Error(Exception):
    """An error that a peer may see: it is rendered as a response by the endpoint.

    code: response code (4.xx or 5.xx), text: for the log, never sent,
    options: (number, value) pairs that the response carries, value as for Message.add().
    """

    def __init__(self, code, text="", options=()):
        super().__init__(code, text)
        self.code = code
        self.text = text
        self.options = options


class SecurityError(Error):
    """A message that the security hook refuses. code is what a request is answered with.

    ex: where it is not None, the answer is sealed with it (the request was authentic, but
    has to be repeated, as for a challenge with Echo); else the answer is plain.
    """

    def __init__(self, code, text="", options=(), ex=None):
        super().__init__(code, text, options)
        self.ex = ex


class PlainError(Error):
    """An unprotected error response to a protected request: an unauthenticated hint."""


class FormatError(ValueError):
    """Not a CoAP message. type and mid are None where nothing may be answered
    (header unreadable or another version), else what a Reset needs (RFC 7252 section 4.2)."""

    def __init__(self, reason, type=None, mid=None):
        super().__init__(reason)
        self.type = type
        self.mid = mid


class Message:
    """One CoAP message.

    type, code, mid: int; token: bytes of 0..8; payload: bytes-like;
    options: list of (number, bytes-like) in ascending number, repeats in their order.
    """

    # What messages made here have only once they are sent, if at all: an instance grows by
    # reallocation, so what it does not need is not there.
    type = CON
    mid = 0
    token = b""

    def __init__(self, code=0, type=CON, mid=0, token=b"", payload=b"", options=None):
        self.code = code
        self.options = [] if options is None else options
        self.payload = payload
        if type:
            self.type = type
        if mid:
            self.mid = mid
        if token:
            self.token = token

    def __repr__(self):
        # Neither values nor payload: they may be secret.
        return "<%s %s mid=%d %s +%d>" % (
            ("CON", "NON", "ACK", "RST")[self.type],
            describe(self.code),
            self.mid,
            [n for n, _ in self.options],
            len(self.payload),
        )

    def is_request(self):
        """True for a method code (0.01 to 0.31)."""
        return 0 < self.code < 32

    def is_response(self):
        """True for a response code (2.00 to 5.31)."""
        return 64 <= self.code < 192

    def opt(self, number, default=None):
        """First value of an option (bytes-like), or default."""
        for n, value in self.options:
            if n == number:
                return value
        return default

    def opts(self, number):
        """All values of an option, in order."""
        return [value for n, value in self.options if n == number]

    def uint(self, number, default=None):
        """First value of an option as an unsigned integer (RFC 7252 section 3.2), or default.
        Leading zero bytes are accepted."""
        for n, value in self.options:
            if n == number:
                return int.from_bytes(value, "big")
        return default

    def add(self, number, value):
        """Add an option behind those of the same number and return the message.
        value: bytes-like, str (sent as UTF-8) or int (sent in as few bytes as it needs)."""
        if isinstance(value, int):
            value = uint_bytes(value)
        elif isinstance(value, str):
            value = value.encode()
        options = self.options
        i = len(options)
        while i and options[i - 1][0] > number:
            i -= 1
        options.insert(i, (number, value))
        return self

    def set(self, number, value):
        """Replace all options of that number by one and return the message."""
        self.remove(number)
        return self.add(number, value)

    def remove(self, number):
        """Remove all options of that number."""
        options = self.options
        i = len(options)
        while i:
            i -= 1
            if options[i][0] == number:
                options.pop(i)

    def path(self):
        """Uri-Path as a list of str. Raises Error(BAD_OPTION) where it is not UTF-8."""
        return self._texts(URI_PATH)

    def query(self):
        """Uri-Query as a list of str. Raises Error(BAD_OPTION) where it is not UTF-8."""
        return self._texts(URI_QUERY)

    def _texts(self, number):
        try:
            return [str(value, "utf-8") for n, value in self.options if n == number]
        except UnicodeError:
            raise Error(BAD_OPTION)


def critical(number):
    """True for an option that must be understood (RFC 7252 section 5.4.1)."""
    return number & 1 == 1


def elective(number):
    """True for an option that may be ignored (RFC 7252 section 5.4.1)."""
    return number & 1 == 0


def describe(code):
    """A code as it is written: 0x45 is "2.05"."""
    return "%d.%02d" % (code >> 5, code & 31)


def uint_bytes(value):
    """An unsigned integer in as few bytes as it needs; 0 is empty (RFC 7252 section 3.2)."""
    if value < 0:
        raise ValueError("value")
    n = 0 if value == 0 else 1
    while value >> 8 * n:
        n += 1
    return value.to_bytes(n, "big")


def uint(value):
    """The unsigned integer in an option's value, leading zero bytes accepted."""
    return int.from_bytes(value, "big")


def decode(data):
    """The Message in a datagram; its options and payload are memoryviews into data,
    so data must stay as it is while they are used.

    Raises FormatError (RFC 7252 sections 3 and 4).
    """
    n = len(data)
    if n < 4:
        raise FormatError("short header")
    b = data[0]
    if b >> 6 != 1:
        raise FormatError("version")
    kind = b >> 4 & 3
    code = data[1]
    mid = data[2] << 8 | data[3]
    pos = 4 + (b & 15)
    if pos > 12 or pos > n:
        raise FormatError("token", kind, mid)
    if not code and n > 4:
        raise FormatError("empty message with content", kind, mid)
    # The token outlives the datagram: it is the one part that is copied.
    token = data[4:pos]
    if not isinstance(token, bytes):
        token = bytes(token)
    options = []
    payload = b""
    if pos < n:
        try:
            payload = _body(memoryview(data), pos, options)
        except FormatError as e:
            e.type = kind
            e.mid = mid
            raise
    return Message(code, kind, mid, token, payload, options)


def decode_body(view, pos=0):
    """(options, payload) from position pos to the end of a memoryview: the part of a message
    behind the token, and the part of an OSCORE plaintext behind the code.

    Raises FormatError (RFC 7252 section 3.1).
    """
    options = []
    payload = _body(view, pos, options)
    return options, payload


def _body(view, pos, options):
    # Fills options and returns the payload.
    number = 0
    n = len(view)
    try:
        while pos < n:
            b = view[pos]
            pos += 1
            delta = b >> 4
            length = b & 15
            if delta > 12:
                if delta == 13:
                    delta = 13 + view[pos]
                    pos += 1
                elif delta == 14:
                    delta = 269 + (view[pos] << 8 | view[pos + 1])
                    pos += 2
                elif b == _MARKER:
                    if pos == n:
                        raise FormatError("marker without payload")
                    return view[pos:]
                else:
                    raise FormatError("option delta")
            if length > 12:
                if length == 13:
                    length = 13 + view[pos]
                    pos += 1
                elif length == 14:
                    length = 269 + (view[pos] << 8 | view[pos + 1])
                    pos += 2
                else:
                    raise FormatError("option length")
            number += delta
            length += pos
            if length > n or number > _MAX_NUMBER:
                raise FormatError("option")
            options.append((number, view[pos:length]))
            pos = length
    except IndexError:
        raise FormatError("option")
    return b""


def body_len(options, payload, skip=()):
    """Bytes that encode_body() writes for the same arguments."""
    n = 0
    last = 0
    for number, value in options:
        if number in skip:
            continue
        delta = number - last
        last = number
        length = len(value)
        n += 1 + length
        if delta > 12:
            n += 1 if delta < 269 else 2
        if length > 12:
            n += 1 if length < 269 else 2
    length = len(payload)
    return n + 1 + length if length else n


def encoded_len(msg):
    """Bytes that encode() writes."""
    return 4 + len(msg.token) + body_len(msg.options, msg.payload)


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


def pack(msg, kind, mid, token):
    """The datagram as a bytearray of its own, with type, message ID and token as given.

    Raises ValueError where options do not ascend or the token is too long.
    """
    tkl = len(token)
    if tkl > 8:
        raise ValueError("token")
    options = msg.options
    payload = msg.payload
    pos = 4 + tkl
    buf = bytearray(pos + body_len(options, payload))
    buf[0] = 0x40 | kind << 4 | tkl
    buf[1] = msg.code
    buf[2] = mid >> 8
    buf[3] = mid & 0xFF
    if tkl:
        buf[4:pos] = token
    encode_body(options, payload, buf, pos)
    return buf


def encode_body(options, payload, buf, pos, skip=()):
    """Write options, and marker and payload where there is one, to buf from pos on; options
    whose number is in skip are left out. Returns the position behind the last byte.

    Raises ValueError where it does not fit or options do not ascend.
    """
    last = 0
    limit = len(buf)
    try:
        for number, value in options:
            if number in skip:
                continue
            delta = number - last
            last = number
            length = len(value)
            head = pos
            pos += 1
            if delta < 13:
                b = delta << 4
                if delta < 0:
                    raise ValueError("options")
            elif delta < 269:
                b = 0xD0
                buf[pos] = delta - 13
                pos += 1
            else:
                b = 0xE0
                delta -= 269
                buf[pos] = delta >> 8
                buf[pos + 1] = delta & 0xFF
                pos += 2
            if length < 13:
                b |= length
            elif length < 269:
                b |= 13
                buf[pos] = length - 13
                pos += 1
            else:
                b |= 14
                length -= 269
                buf[pos] = length >> 8
                buf[pos + 1] = length & 0xFF
                pos += 2
                length += 269
            buf[head] = b
            if length:
                # A bytearray would grow here instead of raising.
                if pos + length > limit:
                    raise ValueError("buf")
                buf[pos : pos + length] = value
                pos += length
        length = len(payload)
        if length:
            if pos + length >= limit:
                raise ValueError("buf")
            buf[pos] = _MARKER
            pos += 1
            buf[pos : pos + length] = payload
            pos += length
    except IndexError:
        raise ValueError("buf")
    return pos
