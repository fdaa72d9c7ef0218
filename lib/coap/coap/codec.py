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
        super(Error, self).__init__(code, text)  # a bare super() takes a closure and a cell
        self.code = code
        self.text = text
        self.options = options

    def response(self):
        """The response: the one place where an error becomes one."""
        response = Message(self.code)
        for number, value in self.options:
            response.add(number, value)
        return response


class FormatError(ValueError):
    """Not a CoAP message. That of decode() has type and mid: what a Reset needs (RFC 7252 section
    4.2), None where nothing may be answered (header unreadable or another version)."""


class Message:
    """One CoAP message.

    type, code, mid: int; token: bytes of 0..8; payload: bytes-like;
    options: list of (number, bytes-like) in ascending number, repeats in their order.
    kinds: which options a request has that was read; see read_body().

    What is not found among the methods here is a function of late.py that takes the message first:
    opts(number), set(number, value), remove(number), path().
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

    def __getattr__(self, name):
        import coap.late

        method = getattr(coap.late, name)
        return lambda *args: method(self, *args)


def uint_bytes(value):
    """An unsigned integer in as few bytes as it needs; 0 is empty (RFC 7252 section 3.2)."""
    if value < 0:
        raise ValueError("value")
    n = 0 if value == 0 else 1
    while value >> 8 * n:
        n += 1
    return value.to_bytes(n, "big")


def read(data, msg):
    """The Message in a datagram of 4 bytes or more; None, or FormatError, for what is not one.
    msg: a Message of type CON that nobody needs any more, or None. See message.decode()."""
    n = data[0]
    if n >> 6 != 1 or n & 15 > 8:
        return None
    if msg is None:
        msg = Message(data[1])
    else:
        msg.code = data[1]
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
    else:
        if n > len(data) or n > 4 and not msg.code:
            return None
        msg.kinds = 1
    return msg


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
            end = _extended(view, pos, end)
            number += end[0]
            pos = end[1]
            end = end[2]
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


def _extended(buf, a, b):
    # A head with extended delta or length: read from a memoryview, or appended to a bytearray.
    import coap.late

    return (coap.late.read_head if isinstance(buf, memoryview) else coap.late.add_head)(buf, a, b)


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
