# A server's request: path, operation and rights, then the model, then the answer.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2 section 6.3; Transport 1.2.2 section 6.4.4

from coap.codec import Error
from . import late

# Found at once, and not after a search in vain among the names of this module.
len = len
tuple = tuple
int = int

_GET = const(1)
_CONTENT = const(0x45)
_NOT_FOUND = const(0x84)
_NOT_ACCEPTABLE = const(0x86)
_INTERNAL = const(0xA0)

_URI_PATH = const(11)

# What a Read is answered in when the server does not say: SenML CBOR.
DEFAULT_FORMAT = const(112)
_LINK_FORMAT = const(40)

# Objects that no server but a Bootstrap-Server sees: keys and where they lead.
HIDDEN = (0, 21)

# Bytes of the output buffer that stays, and of the one that is made for an answer that it
# is too small for.
_SHORT = const(96)
_LONG = const(256)

# Message.kinds of a GET that is more than a Read: all but Uri-Path and Accept.
_NOT_READ = const(0x3FFDF7FF)
_ACCEPTS = const(1 << 17)


def path_of(msg):
    """Path of a request as a tuple of up to 4 IDs. Error 4.04 for anything else."""
    path = []
    for number, n in msg.options:
        if number == _URI_PATH:
            if len(n) == 1:
                n = n[0] - 48
                if n < 0 or n > 9:
                    raise Error(_NOT_FOUND)
            elif not len(n) and not path:
                continue  # "/" may come as one empty segment
            else:
                n = _number(n)
            path.append(n)
    if len(path) > 4:
        raise Error(_NOT_FOUND)
    return tuple(path)


def _number(value):
    value = bytes(value)
    number = int(value) if value.isdigit() else 0
    if not 0 < number < 65535 or value[0] == 48:
        raise Error(_NOT_FOUND)
    return number


class Dispatcher:
    """Serves the requests of all accounts over one model.

    max_payload: bytes of the longest answer. One of a single value is made in the one output
    buffer where it fits, of 96 bytes; another has a buffer of its own, of 256 bytes, which is
    doubled until it holds it. All but the Read stands in writing.py.
    """

    _late = ("lwm2m.writing", "Dispatcher")
    __getattr__ = late

    def __init__(self, model, max_payload):
        self.model = model
        self.max_payload = max_payload
        # What was asked for: {content-format number: (its module's encode(), its option)}
        self.formats = {}
        self._short = memoryview(bytearray(min(max_payload, _SHORT)))
        from coap.codec import Message

        self._content = Message(_CONTENT)

    def handle(self, request, account, responder, now):
        """Answer one request of an account: a Message; Error for what is refused."""
        # Reads apart: cut small, their frames are not on the heap (see coap's codec.py).
        if request.code == _GET and not request.kinds & _NOT_READ:
            # No Observe: neither the time nor the responder is needed.
            now = path_of(request)
            if now and now[0] not in HIDDEN:
                responder = None
                if request.kinds & _ACCEPTS:
                    responder = int.from_bytes(request.options[-1][1], "big")
                if responder != _LINK_FORMAT:
                    return self.encoded(now, self.model.read(now), responder)
        return self._operate(request, account, responder, now)

    def content(self, path, accept):
        """2.05 with what a Read of path gives. accept: a content format, None for the default.
        It is one message for all, its payload a view into the output buffer: it has to be used,
        or copied, at once."""
        return self.encoded(path, self.model.read(path), accept)

    def encoded(self, path, nodes, accept):
        """2.05 with nodes, of what path names."""
        if accept is None:
            accept = DEFAULT_FORMAT
        fmt = self.formats.get(accept)
        if fmt is None:
            from .formats import get as fmt

            fmt = fmt(accept)
            if fmt is None:
                raise Error(_NOT_ACCEPTABLE)
            fmt = self.formats[accept] = (fmt.encode, fmt.OPTION)
        buf = self._short
        try:
            # More than one value has a buffer of its own.
            accept = fmt[0](path, nodes, buf) if len(nodes) == 1 else -1
        except ValueError:
            accept = -1
        if accept < 0:
            buf, accept = self.fit(fmt[0], path, nodes)
        path = self._content
        path.options = [fmt[1]]
        path.payload = buf[:accept]
        return path

    def fit(self, encode, path, nodes):
        """(a buffer, bytes in it) of what encode(path, nodes, buffer) writes. Error 5.00 where
        max_payload is too small."""
        n = min(_LONG, self.max_payload)
        while True:
            buf = memoryview(bytearray(n))
            try:
                return buf, encode(path, nodes, buf)
            except ValueError:
                if n == self.max_payload:
                    raise Error(_INTERNAL)
            n = min(2 * n, self.max_payload)
