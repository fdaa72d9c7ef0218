# A server's request: path, operation and rights, then the model, then the answer.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2 section 6.3; Transport 1.2.2 section 6.4.4

from coap.codec import Message, Error
from .formats import get, loaded

# Found at once, and not after a search in vain among the names of this module.
len = len
int = int

_GET = const(1)
_POST = const(2)
_PUT = const(3)
_DELETE = const(4)
_FETCH = const(5)
_IPATCH = const(7)
_CREATED = const(0x41)
_DELETED = const(0x42)
_CHANGED = const(0x44)
_CONTENT = const(0x45)
_BAD_REQUEST = const(0x80)
_UNAUTHORIZED = const(0x81)
_NOT_FOUND = const(0x84)
_METHOD_NOT_ALLOWED = const(0x85)
_NOT_ACCEPTABLE = const(0x86)
_UNSUPPORTED_FORMAT = const(0x8F)
_INTERNAL = const(0xA0)

_OBSERVE = const(6)
_LOCATION_PATH = const(8)
_URI_PATH = const(11)
_CONTENT_FORMAT = const(12)
_URI_QUERY = const(15)
_ACCEPT = const(17)

# What a Read is answered in when the server does not say: SenML CBOR.
DEFAULT_FORMAT = const(112)
_LINK_FORMAT = const(40)
_TEXT = const(0)

# Objects that no server but a Bootstrap-Server sees: keys and where they lead.
HIDDEN = (0, 21)

# Bytes of the output buffer at the beginning, and of the part of it that one value is first
# written to: whoever writes into a part of a bytearray moves the rest too.
_FIRST = const(256)
_SHORT = const(96)

# Message.kinds of a GET that is more than a Read: all but Uri-Path and Accept.
_NOT_READ = const(0x3FFDF7FF)
_ACCEPTS = const(1 << 17)

# Arguments of one Execute.
_MAX_ARGUMENTS = const(10)


def path_of(msg):
    """Path of a request as a tuple of up to 4 IDs. Error 4.04 for anything else."""
    path = []
    for n in msg.options:
        if n[0] == _URI_PATH:
            n = n[1]
            if len(n) == 1:
                n = n[0] - 48
                if not 0 <= n <= 9:
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
    number = 0
    for c in value:
        if not 48 <= c <= 57:
            raise Error(_NOT_FOUND)
        number = number * 10 + c - 48
    if not number or number > 65534 or value[0] == 48:
        raise Error(_NOT_FOUND)
    return number


def queries_of(msg):
    """Uri-Query options as text. Error 4.00 when one is not UTF-8."""
    try:
        return [bytes(q).decode() for q in msg.opts(_URI_QUERY)]
    except UnicodeError:
        raise Error(_BAD_REQUEST)


def arguments_of(payload):
    """Arguments of Execute: list of (digit, text or None).

    Error 4.00 when malformed (Core 1.2.2 section 6.3.5).
    """
    try:
        text = bytes(payload).decode()
    except UnicodeError:
        raise Error(_BAD_REQUEST)
    out = []
    at = 0
    while at < len(text):
        if out:
            if text[at] != ",":
                raise Error(_BAD_REQUEST)
            at += 1
        digit = text[at : at + 1]
        if not digit or digit not in "0123456789" or len(out) >= _MAX_ARGUMENTS:
            raise Error(_BAD_REQUEST)
        at += 1
        value = None
        if text[at : at + 1] == "=":
            end = text.find("'", at + 2)
            if text[at + 1 : at + 2] != "'" or end < 0:
                raise Error(_BAD_REQUEST)
            value = text[at + 2 : end]
            at = end + 1
        out.append((int(digit), value))
    return out


def _fitted(encode, args):
    # Two names at most, or the frame of a function that catches is on the heap.
    # -1 where it does not fit.
    try:
        return encode(args[0], args[1], args[2])
    except ValueError:
        return -1


class Dispatcher:
    """Serves the requests of all accounts over one model.

    max_payload: bytes of the longest answer. It is made in the one output buffer, which
    begins with 256 bytes and is doubled when an answer takes more.
    """

    def __init__(self, model, max_payload=1024):
        self.model = model
        self.max_payload = max_payload
        self._content = Message(_CONTENT)
        self._allot(min(max_payload, _FIRST))

    def _allot(self, n):
        self.buf = bytearray(n)
        self._view = memoryview(self.buf)
        self._short = self._view[:_SHORT]

    def _grow(self):
        # Error 5.00 where the buffer is as large as it may be.
        n = len(self.buf)
        if n >= self.max_payload:
            raise Error(_INTERNAL)
        self._allot(min(2 * n, self.max_payload))

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
                    return self._encoded(now, self.model.read(now), responder)
        return self._operate(request, account, responder, now)

    def _operate(self, request, account, responder, now):
        path = path_of(request)
        code = request.code
        if not path:
            if code == _FETCH:
                return self._fetch(request, account, responder, now)
            if code == _IPATCH:
                return self._write_composite(request, account)
        elif path[0] in HIDDEN:
            raise Error(_UNAUTHORIZED)
        if code == _GET:
            return self._get(request, path, account, responder, now)
        if code == _PUT:
            if request.opt(_CONTENT_FORMAT) is None and not len(request.payload):
                account.reporting.write_attributes(path, queries_of(request))
                return Message(_CHANGED)
            return self._write(request, path, account, True)
        if code == _POST:
            return self._post(request, path, account, responder)
        if code == _DELETE:
            if len(path) != 2:
                raise Error(_METHOD_NOT_ALLOWED)
            self.model.delete(path, account)
            return Message(_DELETED)
        raise Error(_METHOD_NOT_ALLOWED)

    # --- Read, Observe, Discover

    def _get(self, request, path, account, responder, now):
        if not path:
            raise Error(_METHOD_NOT_ALLOWED)
        accept = request.uint(_ACCEPT)
        if accept == _LINK_FORMAT:
            return self._discover(request, path, account)
        response = self.content(path, accept)
        if request.uint(_OBSERVE) == 0:
            handle = responder.observe()
            if handle is not None:  # None: no room, so it is answered as a Read
                account.observe(path, None, accept, handle, now)
        return response

    def content(self, path, accept):
        """2.05 with what a Read of path gives. accept: a content format, None for the default.
        It is one message for all, its payload a view into the output buffer: it has to be used,
        or copied, at once."""
        return self._encoded(path, self.model.read(path), accept)

    def composite(self, paths, accept):
        """2.05 with what a Read-Composite of paths gives: what is not there, or not to be
        read, is left out (Core 1.2.2 section 6.3.9)."""
        nodes = []
        for path in paths:
            if path and path[0] in HIDDEN:
                continue
            for oid in (path[0],) if path else sorted(self.model.objects):
                if oid not in HIDDEN:
                    try:
                        nodes += self.model.read(path or (oid,))
                    except Error:
                        pass
        return self._encoded((), nodes, accept)

    def _encoded(self, path, nodes, accept):
        if accept is None:
            accept = DEFAULT_FORMAT
        fmt = loaded.get(accept)
        if fmt is None:
            fmt = get(accept)
            if fmt is None:
                raise Error(_NOT_ACCEPTABLE)
        accept = _fitted(fmt.encode, (path, nodes, self._short)) if len(nodes) == 1 else -1
        if accept < 0:
            accept = _fitted(fmt.encode, (path, nodes, self.buf))
            while accept < 0:
                self._grow()
                accept = _fitted(fmt.encode, (path, nodes, self.buf))
        path = self._content
        path.options = [fmt.OPTION]
        path.payload = self._view[:accept]
        return path

    # --- composite operations

    def _fetch(self, request, account, responder, now):
        fmt = get(request.uint(_CONTENT_FORMAT, _TEXT))
        if fmt is None or not hasattr(fmt, "decode_paths"):
            raise Error(_UNSUPPORTED_FORMAT)
        paths = fmt.decode_paths(request.payload)
        accept = request.uint(_ACCEPT)
        response = self.composite(paths, accept)
        if request.uint(_OBSERVE) == 0:
            handle = responder.observe()
            if handle is not None:
                account.observe((), paths, accept, handle, now)
        return response

    def _write_composite(self, request, account):
        # Atomic over all objects that it names (Core 1.2.2 section 6.3.10).
        fmt = get(request.uint(_CONTENT_FORMAT, _TEXT))
        if fmt is None or not hasattr(fmt, "decode_paths"):
            raise Error(_UNSUPPORTED_FORMAT)
        records = fmt.decode((), request.payload, self.model.typeof)
        targets = {}
        for path, value in records:
            if path[0] in HIDDEN:
                raise Error(_UNAUTHORIZED)
            self.model.row(path)
            targets.setdefault(path[:2], []).append((path, value))
        changes = []
        for path in targets:
            instance = self.model.instance(path[0], path[1])
            changes += self.model.plan(instance, path, targets[path], False)
        if not changes:
            raise Error(_BAD_REQUEST)
        self.model.apply(changes, account)
        return Message(_CHANGED)

    def _discover(self, request, path, account):
        depth = None
        for query in queries_of(request):
            if query.startswith("depth="):
                try:
                    depth = int(query[6:])
                except ValueError:
                    raise Error(_BAD_REQUEST)
                if not 0 <= depth <= 3:
                    raise Error(_BAD_REQUEST)
        links = self.model.links(path, depth, lwm2m=account.registration.version)
        for where, attributes in links:
            if account.reports:
                attributes.extend(account.reports.attributes_of(where))
        msg = Message(_CONTENT)
        msg.add(_CONTENT_FORMAT, _LINK_FORMAT)
        msg.payload = self.links_payload(links)
        return msg

    def links_payload(self, links):
        """Link-format text of a list of (path, attributes). Error 5.00 when it does not fit."""
        from .formats.link import encode_links

        while True:
            try:
                return bytes(self._view[: encode_links(links, self.buf)])
            except ValueError:
                self._grow()

    # --- Write, Execute, Create

    def decode(self, request, path, typeof=None):
        """Records of a payload. typeof: other types than the model's. Error 4.15 unknown
        format, 4.00 bad payload."""
        ct = request.uint(_CONTENT_FORMAT)
        fmt = get(_TEXT if ct is None else ct)
        if fmt is None:
            raise Error(_UNSUPPORTED_FORMAT)
        return fmt.decode(path, request.payload, typeof or self.model.typeof)

    def _write(self, request, path, account, replace):
        if len(path) < 2:
            raise Error(_METHOD_NOT_ALLOWED)
        self.model.instance(path[0], path[1])
        if len(path) > 2:
            self.model.row(path)
        self.model.write(path, self.decode(request, path), replace, account)
        return Message(_CHANGED)

    def _post(self, request, path, account, responder):
        if len(path) == 1:
            return self._create(request, path, account)
        if len(path) == 3:
            row = self.model.row(path)
            if row[2] is None:
                if request.uint(_CONTENT_FORMAT, _TEXT) != _TEXT:
                    raise Error(_UNSUPPORTED_FORMAT)
                after = self.model.execute(path, arguments_of(request.payload))
                if callable(after):
                    account.after_answer(after)
                return Message(_CHANGED)
        return self._write(request, path, account, False)

    def _create(self, request, path, account):
        self.model.object(path[0])
        records = []
        if request.opt(_CONTENT_FORMAT) is not None and len(request.payload):
            records = self.decode(request, path)
        iid = None
        for where, _ in records:
            if where[1] is not None:
                if iid is not None and iid != where[1]:
                    raise Error(_BAD_REQUEST)
                iid = where[1]
        chosen = iid is None
        iid = self.model.create(path[0], iid, records, account)
        msg = Message(_CREATED)
        if chosen:  # Location-Path only where the server did not choose the ID
            msg.add(_LOCATION_PATH, str(path[0]))
            msg.add(_LOCATION_PATH, str(iid))
        return msg
