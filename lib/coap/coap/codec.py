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
_URI_QUERY = const(15)

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
    type = _CON
    mid = 0
    token = b""

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

    def __repr__(self):
        # Neither values nor payload: they may be secret.
        return "<%s %s mid=%d %s +%d>" % (
            ("CON", "NON", "ACK", "RST")[self.type],
            "%d.%02d" % (self.code >> 5, self.code & 31),
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
        return self._texts(_URI_PATH)

    def query(self):
        """Uri-Query as a list of str. Raises Error(BAD_OPTION) where it is not UTF-8."""
        return self._texts(_URI_QUERY)

    def _texts(self, number):
        try:
            return [str(value, "utf-8") for n, value in self.options if n == number]
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


def describe(code):
    """A code as it is written: 0x45 is "2.05"."""
    return "%d.%02d" % (code >> 5, code & 31)


def parse(data):
    """As decode(), but None for what is not a CoAP message: _refuse() then says why."""
    if len(data) < 4 or data[0] >> 6 != 1:
        return None
    msg = Message(data[1], data[0] >> 4 & 3, data[2] << 8 | data[3])
    # The token outlives the datagram: it is the one part that is copied.
    msg.token = bytes(data[4 : 4 + (data[0] & 15)])
    if len(msg.token) > 8 or len(msg.token) != data[0] & 15:
        return None
    if len(data) == 4 or msg.code and _read(msg, memoryview(data)):
        return msg
    return None


def _read(msg, view):
    try:
        msg.payload = read_body(view, 4 + len(msg.token), msg.options.append)
    except FormatError:
        return False
    return True


def decode(data):
    """The Message in a datagram; its options and payload are memoryviews into data,
    so data must stay as it is while they are used.

    Raises FormatError (RFC 7252 sections 3 and 4).
    """
    msg = parse(data)
    if msg is None:
        _refuse(data)
    return msg


def _refuse(data):
    n = len(data)
    if n < 4:
        raise FormatError("short header")
    if data[0] >> 6 != 1:
        raise FormatError("version")
    kind = data[0] >> 4 & 3
    mid = data[2] << 8 | data[3]
    pos = 4 + (data[0] & 15)
    if pos > 12 or pos > n:
        raise FormatError("token", kind, mid)
    if not data[1]:
        raise FormatError("empty message with content", kind, mid)
    # Once more, to say what may be answered.
    try:
        read_body(memoryview(data), pos, [].append)
    except FormatError as e:
        e.type = kind
        e.mid = mid
        raise


# A function whose locals, stack and exception handlers take more than 11 words has its frame
# allocated on the heap, at each call. So what follows is cut small, and reuses its names.


def read_body(view, pos, append):
    """The payload of a memoryview from position pos to its end: the part of a message behind
    the token, and the part of an OSCORE plaintext behind the code. Calls
    append((number, value)) for each option. Raises FormatError (RFC 7252 section 3.1)."""
    number = 0
    n = len(view)
    while pos < n:
        end = view[pos]
        pos += 1
        if end < 0xD0 and end & 15 < 13:
            number += end >> 4
            end &= 15
        elif end == _MARKER:
            if pos == n:
                raise FormatError("marker without payload")
            return view[pos:]
        else:
            number = _delta(view, pos, end) + number
            end, pos = _length(view, pos, end)
        end += pos
        if end > n or number > _MAX_NUMBER:
            raise FormatError("option")
        append((number, view[pos:end]))
        pos = end
    return b""


def _delta(view, pos, delta):
    delta >>= 4
    if delta < 13:
        return delta
    if delta == 15:
        raise FormatError("option delta")
    if pos + delta - 13 >= len(view):
        raise FormatError("option")
    return 13 + view[pos] if delta == 13 else 269 + (view[pos] << 8 | view[pos + 1])


def _length(view, pos, head):
    # The length of an option, and the position of its value.
    if head >= 0xD0:
        pos += (head >> 4) - 12
    head &= 15
    if head < 13:
        return head, pos
    if head == 15:
        raise FormatError("option length")
    if pos + head - 13 >= len(view):
        raise FormatError("option")
    if head == 13:
        return 13 + view[pos], pos + 1
    return 269 + (view[pos] << 8 | view[pos + 1]), pos + 2


def body_len(options, payload, skip=()):
    """Bytes that encode_body() writes for the same arguments."""
    n = len(payload)
    if n:
        n += 1
    if skip:
        options = _without(options, skip)
    last = i = 0
    while i < len(options):
        last = options[i][0] - last
        if last > 12:
            n += _more(last)
        last = len(options[i][1])
        n += 1 + last
        if last > 12:
            n += _more(last)
        last = options[i][0]
        i += 1
    return n


def _without(options, skip):
    # Where it is needed this would put skip into a cell on the heap, at each call.
    return [o for o in options if o[0] not in skip]


def pack(msg, kind, mid, token):
    """The datagram as a bytearray of its own, with type, message ID and token as given.

    Raises ValueError where options do not ascend or the token is too long.
    """
    pos = 4 + len(token)
    if pos > 12:
        raise ValueError("token")
    buf = bytearray(pos + body_len(msg.options, msg.payload))
    buf[0] = 0x3C + pos | kind << 4
    buf[1] = msg.code
    buf[2] = mid >> 8
    buf[3] = mid & 0xFF
    if pos > 4:
        buf[4:pos] = token
    encode_body(msg.options, msg.payload, buf, pos)
    return buf


def encode_body(options, payload, buf, pos, skip=()):
    """Write options, and marker and payload where there is one, to buf from pos on; options
    whose number is in skip are left out. Returns the position behind the last byte.

    Raises ValueError where it does not fit or options do not ascend.
    """
    if skip:
        options = _without(options, skip)
    pos = _options(options, buf, pos)
    skip = len(payload)
    if skip:
        # A bytearray would grow here instead of raising.
        if pos + skip >= len(buf):
            raise ValueError("buf")
        buf[pos] = _MARKER
        pos += 1
        buf[pos : pos + skip] = payload
    return pos + skip


def _options(options, buf, pos):
    last = i = 0
    while i < len(options):
        pos = _option(buf, pos, options[i][0] - last, options[i][1])
        last = options[i][0]
        i += 1
    return pos


def _option(buf, pos, delta, value):
    n = len(value)
    if n < 13 and 0 <= delta < 13:
        if pos + n >= len(buf):
            raise ValueError("buf")
        buf[pos] = delta << 4 | n
        pos += 1
    else:
        pos = _extended(buf, pos, delta, n)
    if n:
        buf[pos : pos + n] = value
    return pos + n


def _extended(buf, pos, delta, n):
    # A head with extended delta or length. Returns the position of the value, which fits.
    if delta < 0:
        raise ValueError("options")
    head = _nibble(delta) << 4 | _nibble(n)
    if pos + _more(delta) + _more(n) + n >= len(buf):
        raise ValueError("buf")
    buf[pos] = head
    return _extend(buf, _extend(buf, pos + 1, delta), n)


def _nibble(n):
    return n if n < 13 else 13 if n < 269 else 14


def _more(n):
    return 0 if n < 13 else 1 if n < 269 else 2


def _extend(buf, pos, n):
    if n > 12:
        if n < 269:
            buf[pos] = n - 13
        else:
            buf[pos] = n - 269 >> 8
            pos += 1
            buf[pos] = n - 269 & 0xFF
        pos += 1
    return pos
