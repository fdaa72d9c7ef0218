# CoAP messages and their bytes: options and payload are views into the datagram.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 7252 section 3 (format).

# The numbers are in message.py, which is the interface: what runs on the board takes what it
# needs from here, and has copies of the few numbers that it uses, since a table of 70 names
# takes 1 KB of heap, and longer to find a name in.

# Found at once, and not after a search in vain among the names of this module.
len = len
bytes = bytes

_CON = const(0)
_BAD_OPTION = const(0x82)
_URI_PATH = const(11)

_MARKER = const(0xFF)
_MAX_NUMBER = const(0xFFFF)
_PAYLOAD = const(0x20000000)


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
    kinds: which options a request has that was read; see read_body().
    """

    # What messages made here have only once they are sent, if at all: an instance grows by
    # reallocation, so what it does not need is not there.
    type = _CON
    mid = 0
    token = b""
    kinds = 1

    def __init__(self, code=0, type=_CON, mid=0, token=b"", payload=b"", options=None):
        self.code = code
        self.options = [] if options is None else options
        self.payload = payload
        if type:
            self.type = type
        if mid:
            self.mid = mid
        if token:
            self.token = token

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
        value = self.opt(number)
        return default if value is None else int.from_bytes(value, "big")

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
        self.kinds = 1
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
        try:
            return [str(value, "utf-8") for value in self.opts(_URI_PATH)]
        except UnicodeError:
            raise Error(_BAD_OPTION)


def uint_bytes(value):
    """An unsigned integer in as few bytes as it needs; 0 is empty (RFC 7252 section 3.2)."""
    if value < 0:
        raise ValueError("value")
    n = 0 if value == 0 else 1
    while value >> 8 * n:
        n += 1
    return value.to_bytes(n, "big")


def parse(data, msg=None):
    """As decode(), but None for what is not a CoAP message, and where there is no memory for it.
    msg: a Message of type CON that nobody needs any more."""
    try:
        return _parse(data, msg)
    except Exception:
        return None


def _parse(data, msg):
    n = data[0]
    if n >> 6 != 1 or n & 15 > 8:
        return None
    if msg is None:
        msg = Message(data[1])
    else:
        msg.code = data[1]
        msg.kinds = 1
        msg.options = []
        msg.payload = b""
    if n & 0x30:
        msg.type = n >> 4 & 3
    msg.mid = data[2] << 8 | data[3]
    n = 4 + (n & 15)
    # The token outlives the datagram: it is the one part that is copied.
    msg.token = bytes(data[4:n])
    if n < len(data):
        n = read_body(memoryview(data), n, msg.options.append)
        if n & _PAYLOAD:
            msg.payload = msg.options.pop()
        if msg.code < 32:
            if not msg.code:
                return None
            msg.kinds = n
    elif n > len(data) or n > 4 and not msg.code:
        return None
    return msg


def decode(data):
    """The Message in a datagram; its options and payload are memoryviews into data,
    so data must stay as it is while they are used.

    Raises FormatError (RFC 7252 sections 3 and 4).
    """
    msg = parse(data)
    return _refuse(data) if msg is None else msg


def _refuse(data):
    # Once more, to say what may be answered; where there was no memory there may be now.
    kind = mid = None
    if len(data) > 3 and data[0] >> 6 == 1:
        kind = data[0] >> 4 & 3
        mid = data[2] << 8 | data[3]
        try:
            data = _parse(data, None)
            if data is not None:
                return data
        except FormatError:
            pass
    raise FormatError("format", kind, mid)


# A function whose locals, stack and exception handlers take more than 11 words has its frame
# allocated on the heap, at each call. So what follows is cut small, and reuses its names.


def read_body(view, pos, append):
    """The options and the payload of a memoryview from position pos to its end: the part of a
    message behind the token, and the part of an OSCORE plaintext behind the code. Calls
    append((number, value)) for each option, and append(payload) where there is one. Returns
    Message.kinds: bit i says that option i is there, 1 to 28; bit 29 that there is a payload;
    bit 0 that there is more to it: other numbers, extended heads, or the same number twice (but
    for Uri-Path). Raises FormatError (RFC 7252 section 3.1)."""
    number = kinds = 0
    n = len(view)
    while pos < n:
        end = view[pos]
        pos += 1
        if end < 0xD0 and end & 15 < 13:
            if end > 15:
                number += end >> 4
                kinds |= 1 << (number & 31)
                end &= 15
            elif number != _URI_PATH:
                kinds |= 1
        elif end == _MARKER:
            if pos == n:
                raise FormatError("format")
            append(view[pos:])
            break
        else:
            number = _delta(view, pos, end) + number
            end, pos = _length(view, pos, end)
            kinds |= 1
        end += pos
        if end > n:
            raise FormatError("format")
        pos = view[pos:end]
        append((number, pos))
        pos = end
    # They ascend.
    if number > 28:
        if number > _MAX_NUMBER:
            raise FormatError("format")
        kinds = 1
    return kinds if pos >= n else kinds | _PAYLOAD


def _delta(view, pos, delta):
    delta >>= 4
    if delta < 13:
        return delta
    if delta == 15:
        raise FormatError("format")
    if pos + delta - 13 >= len(view):
        raise FormatError("format")
    return 13 + view[pos] if delta == 13 else 269 + (view[pos] << 8 | view[pos + 1])


def _length(view, pos, head):
    # The length of an option, and the position of its value.
    if head >= 0xD0:
        pos += (head >> 4) - 12
    head &= 15
    if head < 13:
        return head, pos
    if head == 15:
        raise FormatError("format")
    if pos + head - 13 >= len(view):
        raise FormatError("format")
    if head == 13:
        return 13 + view[pos], pos + 1
    return 269 + (view[pos] << 8 | view[pos + 1]), pos + 2


def put_body(buf, options, payload):
    """Append options, and marker and payload where there is one, to a bytearray; it is returned.

    Raises ValueError where options do not ascend.
    """
    last = i = 0
    while i < len(options):
        n = len(options[i][1])
        last = options[i][0] - last
        if n < 13 and last < 13 and last >= 0:
            buf.append(last << 4 | n)
        else:
            _extended(buf, last, n)
        if n:
            buf += options[i][1]
        last = options[i][0]
        i += 1
    if len(payload):
        buf.append(_MARKER)
        buf += payload
    return buf


def body_of(options, payload, skip):
    """What put_body() appends, without the options whose number is in skip, as a bytearray."""
    return put_body(bytearray(), [o for o in options if o[0] not in skip], payload)


def pack(msg, kind, mid, token):
    """The datagram as a bytearray of its own, with type, message ID and token as given.

    Raises ValueError where options do not ascend or the token is too long.
    """
    if len(token) > 8:
        raise ValueError("token")
    buf = bytearray(4)
    buf[0] = 0x40 | kind << 4 | len(token)
    buf[1] = msg.code
    buf[2] = mid >> 8
    buf[3] = mid & 0xFF
    buf += token
    return put_body(buf, msg.options, msg.payload)


def _extended(buf, delta, n):
    # A head with extended delta or length.
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
