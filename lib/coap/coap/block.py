# Block-wise transfer: bodies longer than a datagram, in both directions at once.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 7959; Request-Tag of RFC 9175 section 3.

# Everything here works on inner messages: with OSCORE each block is sealed for itself.
# Transfers are known by peer and request (method, path, query, ...), never by token, since
# each block of one transfer may come with a token of its own.

from coap.codec import Error, Message
from coap.late import key_of, remove

_GET = const(1)
_FETCH = const(5)
_CONTINUE = const(0x5F)
_BAD_REQUEST = const(0x80)
_BAD_OPTION = const(0x82)
_INCOMPLETE = const(0x88)
_TOO_LARGE = const(0x8D)
_INTERNAL = const(0xA0)

_ETAG = const(4)
_OBSERVE = const(6)
_BLOCK2 = const(23)
_BLOCK1 = const(27)
_SIZE2 = const(28)
_SIZE1 = const(60)
_REQUEST_TAG = const(292)

_MORE = const(8)
_SZX = const(7)

def block_value(num, more, szx):
    """A block option's value: number, "more" flag, size exponent (RFC 7959 section 2.2)."""
    return num << 4 | (_MORE if more else 0) | szx


def block_of(msg, number):
    """A message's block option as an integer, or None without one.

    Raises Error for a value longer than 24 bits or with the reserved size exponent 7.
    """
    value = msg.uint(number)
    if value is not None:
        if value > 0xFFFFFF:
            raise Error(_BAD_OPTION)
        if value & _SZX == _SZX:
            raise Error(_BAD_REQUEST)
    return value


class _Body:
    # A request's body on its way in (data: bytearray, used: bytes of it that came), or a
    # response on its way out (data: its whole payload, code and options: the rest of it).
    def __init__(self, key, peer, incoming):
        self.key = key
        self.peer = peer
        self.incoming = incoming
        self.data = None
        self.used = 0
        self.expires = 0


class Server:
    """Block-wise transfer of the requests we serve: puts Block1 bodies together and cuts long
    responses, keeping a bounded few of either (params.max_transfers, max_body)."""

    def __init__(self, params, rand):
        self.params = params
        self.bodies = []  # the one used last is at the end
        self.outer = None  # an Outer, once a proxy cut a sealed message
        self._etag = int.from_bytes(rand(2), "big")

    def _find(self, key, peer, incoming):
        for body in self.bodies:
            if body.incoming is incoming and body.key == key and body.peer == peer:
                return body

    def _keep(self, body, now):
        bodies = self.bodies
        if body in bodies:
            bodies.remove(body)
        elif len(bodies) >= self.params.max_transfers:
            bodies.pop(0)
        bodies.append(body)
        body.expires = now + self.params.transfer_timeout_ms

    def _drop(self, body):
        if body in self.bodies:
            self.bodies.remove(body)

    def expire(self, now):
        """Forget bodies whose next block did not come."""
        bodies = self.bodies
        while bodies and bodies[0].expires <= now:
            bodies.pop(0)
        if self.outer is not None:
            self.outer.server.expire(now)

    def wakeup(self):
        """When expire() has something to do, or None."""
        wake = self.bodies[0].expires if self.bodies else None
        if self.outer is not None:
            due = self.outer.server.wakeup()
            if wake is None or due is not None and due < wake:
                return due
        return wake

    def acknowledge(self, response, block1):
        """Add the Block1 that answers the block1 of a request."""
        szx = min(block1 & _SZX, self.params.block_szx)
        num = (block1 >> 4) << (block1 & _SZX) >> szx
        response.add(_BLOCK1, num << 4 | (_MORE if response.code == _CONTINUE else 0) | szx)

    def serve(self, request, responder, now, handler, wants):
        """Answer a request that carries Block1 or Block2, calling handler when it is whole.

        handler(request, peer, responder): as for Endpoint. wants(request, peer), or None: True
        where the handler takes the blocks one by one (responder.offset, responder.more).
        Returns the response not yet cut, or None for one that comes later. Raises Error.
        """
        block1 = block_of(request, _BLOCK1)
        block2 = block_of(request, _BLOCK2)
        if block2 is not None:
            responder.block2 = block2
            if block2 >> 4 and block1 is None:
                body = self._find(key_of(request), responder.peer, False)
                if body is not None:
                    response = Message(body.code)
                    response.options = body.options[:]
                    response.payload = body.data
                    responder.body = body
                    return response
                if request.code != _GET and request.code != _FETCH:
                    # It would be carried out a second time.
                    raise Error(_INCOMPLETE)
        if block1 is None:
            return handler(request, responder.peer, responder)
        responder.block1 = block1
        body = self._gather(request, responder, block1, now, wants)
        if body is None:
            return Message(_CONTINUE)
        if body is True:
            return handler(request, responder.peer, responder)
        # The handler takes block by block; when it refuses one the transfer is over.
        try:
            response = handler(request, responder.peer, responder)
        except Exception:
            self._drop(body)
            raise
        if response is not None and response.code >= _BAD_REQUEST:
            self._drop(body)
        return response

    def _gather(self, request, responder, block1, now, wants):
        # None: more blocks have to come. True: request is whole now. Else the handler takes
        # this block by itself, and the transfer is returned.
        params = self.params
        more = block1 & _MORE
        size = 16 << (block1 & _SZX)
        offset = (block1 >> 4) * size
        payload = request.payload
        n = len(payload)
        if n > size or (more and n != size):
            raise Error(_BAD_REQUEST)
        peer = responder.peer
        tag = request.opt(_REQUEST_TAG)
        key = key_of(request)
        if tag is not None:
            key += b"\xff" + bytes(tag)
        body = self._find(key, peer, True)
        if not offset:
            if body is not None:
                self._drop(body)
            if not more:
                return True
            size1 = request.uint(_SIZE1, 0)
            body = _Body(key, peer, True)
            if wants is None or not wants(request, peer):
                if size1 > params.max_body:
                    raise Error(_TOO_LARGE, options=((_SIZE1, params.max_body),))
                body.data = bytearray(size1)
        elif body is None:
            raise Error(_INCOMPLETE)
        used = body.used
        if offset != used:
            if more and offset + n == used:
                # This block again: its answer was lost.
                return None
            raise Error(_INCOMPLETE)
        body.used = used + n
        data = body.data
        if data is not None:
            if body.used > params.max_body:
                self._drop(body)
                raise Error(_TOO_LARGE, options=((_SIZE1, params.max_body),))
            # Grows where Size1 was too small or not there.
            data[used : used + n] = payload
        if more:
            self._keep(body, now)
            if data is not None:
                return None
        else:
            self._drop(body)
            if data is not None:
                request.payload = memoryview(data)[: body.used]
                remove(request, _BLOCK1)
                remove(request, _SIZE1)
                return True
        responder.offset = used
        responder.more = more != 0
        return body

    def cut(self, response, peer, key, block2, now, body=None):
        """Leave in response the block that is asked for, and keep the whole where more follows.

        key: of the request, as bytes or as the request itself; block2: its Block2 or None;
        body: where the response comes from what was kept. The payload may be a function
        (offset, n) -> at most n bytes from offset on, fewer at the end only.
        Raises Error for a block behind the end.
        """
        szx = self.params.block_szx
        offset = 0
        if block2 is not None:
            asked = block2 & _SZX
            offset = (block2 >> 4) * (16 << asked)
            if asked < szx:
                szx = asked
        size = 16 << szx
        payload = response.payload
        if callable(payload):
            total = None
            part = payload(offset, size + 1)
            more = len(part) > size
            if more:
                part = memoryview(part)[:size]
            beyond = offset and not len(part)
        else:
            total = len(payload)
            more = total > offset + size
            beyond = offset and total <= offset
            part = payload
            if offset or more:
                part = memoryview(payload)[offset : offset + size]
        if beyond:
            raise Error(_BAD_REQUEST)
        if more and body is None:
            if total is not None and total > self.params.max_body:
                raise Error(_INTERNAL, "max_body")
            if response.opt(_ETAG) is None:
                self._etag = (self._etag + 1) & 0xFFFF
                response.add(_ETAG, self._etag.to_bytes(2, "big"))
            if not isinstance(key, bytes):
                key = key_of(key)
            body = self._find(key, peer, False) or _Body(key, peer, False)
            body.code = response.code
            # The rest of a notification is fetched, it is no notification.
            body.options = [o for o in response.options if o[0] != _OBSERVE]
            # The handler may use its buffer again.
            body.data = payload if total is None or isinstance(payload, bytes) else bytes(payload)
        if body is not None:
            if more:
                self._keep(body, now)
            else:
                self._drop(body)
        response.payload = part
        if more or offset or block2 is not None:
            response.add(_BLOCK2, offset // size << 4 | (_MORE if more else 0) | szx)
            if not offset and total is not None and more:
                response.add(_SIZE2, total)


class Incomplete(Exception):
    """A body that cannot be put together; args[0] is "incomplete" or "too large"."""


def message_of(exchange, endpoint):
    """What an exchange sends next, where its body goes in blocks or it says in which the response
    should come (params.early_block2); else None."""
    request = exchange.request
    params = endpoint.params
    if exchange.transfer is None:
        if len(request.payload) > 16 << params.block_szx:
            tag = endpoint._tag.to_bytes(2, "big") if endpoint._tag else None
            exchange.transfer = Client(request, params, tag)
        elif request.opt(_BLOCK2) is None and (request.code == _GET or request.code == _FETCH):
            msg = Message(request.code, payload=request.payload, options=request.options[:])
            return msg.add(_BLOCK2, params.block_szx)
        else:
            return None
    return exchange.transfer.message()


def taken(exchange, endpoint, response, now):
    """Take a block of the response to an exchange, or of its request: the whole response, or None
    where the exchange goes on or is over."""
    if exchange.transfer is None:
        exchange.transfer = Client(exchange.request, endpoint.params)
    transfer = exchange.transfer
    try:
        if transfer.feed(response):
            endpoint.sending.start(exchange, now)
            return None
    except Incomplete as e:
        exchange.finish(endpoint, None, e.args[0])
        return None
    return transfer.response


class Client:
    """Block-wise transfer of one request of ours: message() is what to send next, feed()
    takes the response to it. request keeps its whole body.

    tag: value of Request-Tag or None.
    """

    def __init__(self, request, params, tag=None):
        self.request = request
        self.max_body = params.max_body
        self.szx = params.block_szx
        self.tag = tag
        self.sent = 0  # bytes that the server has
        self.upload = len(request.payload) > 16 << self.szx
        self.uploaded = self.upload
        self.ask = None  # Block2 to ask for
        self.restarts = 1
        self.response = None  # first response of a body
        self.body = None
        self.etag = None

    def message(self):
        """The request for the block that comes next."""
        request = self.request
        msg = Message(request.code)
        options = request.options
        if self.upload:
            size = 16 << self.szx
            start = self.sent
            total = len(request.payload)
            msg.options = options[:]
            msg.payload = memoryview(request.payload)[start : start + size]
            more = start + size < total
            msg.add(_BLOCK1, start // size << 4 | (_MORE if more else 0) | self.szx)
            if not start:
                msg.add(_SIZE1, total)
            if self.tag is not None:
                msg.add(_REQUEST_TAG, self.tag)
            return msg
        msg.options = [o for o in options if o[0] != _OBSERVE or self.ask is None]
        if self.ask is not None:
            msg.set(_BLOCK2, self.ask)
        # A body that was sent in blocks is not repeated; a short one belongs to the request.
        if not self.uploaded and (self.ask is None or request.code == _FETCH):
            msg.payload = request.payload
        return msg

    def feed(self, response):
        """True when message() has to be sent next; else self.response is the answer.

        Raises Incomplete.
        """
        return self.sending(response) or self._received(response)

    def failed(self, endpoint):
        """The exchange is over, with an error."""
        if self.upload:
            # Blocks of this body may still be under way: those of the next are told apart.
            endpoint._tag = endpoint._tag % 0xFFFF + 1

    def sending(self, response):
        """The first half of feed(): True while there is more of the request to send."""
        if not self.upload:
            return False
        code = response.code
        block1 = response.uint(_BLOCK1)
        szx = self.szx
        if block1 is not None and block1 & _SZX < szx:
            szx = block1 & _SZX
        if self.sent:
            if code == _INCOMPLETE and self.restarts:
                self.restarts -= 1
                self.sent = 0
                return True
        elif code == _TOO_LARGE and szx < self.szx:
            self.szx = szx
            return True
        # Californium puts the Block1 of its 2.31 outside of what it seals: do without.
        if code == _CONTINUE or (block1 is not None and code < _BAD_REQUEST):
            size = 16 << self.szx
            if self.sent + size < len(self.request.payload):
                self.sent += size
                self.szx = szx
                return True
        self.upload = False
        return False

    def _received(self, response):
        block2 = response.uint(_BLOCK2)
        body = self.body
        if block2 is None or response.code >= _BAD_REQUEST:
            if body is not None:
                if response.code < _BAD_REQUEST:
                    raise Incomplete("incomplete")
                if response.code == _BAD_REQUEST and self.restarts:
                    # libcoap takes no other size in the middle: say it at the beginning, once.
                    self.restarts -= 1
                    self.body = None
                    self.ask = self.szx
                    return True
            self.response = response
            return False
        szx = block2 & _SZX
        more = block2 & _MORE
        size = 16 << szx
        offset = (block2 >> 4) * size
        payload = response.payload
        etag = response.opt(_ETAG)
        if szx == _SZX or (more and len(payload) != size):
            raise Incomplete("incomplete")
        if body is None:
            if offset:
                raise Incomplete("incomplete")
            if more and response.uint(_SIZE2, 0) > self.max_body:
                raise Incomplete("too large")
            self.response = response
            self.body = body = bytearray(payload)
            self.etag = etag
        elif etag != self.etag:
            # Another representation: from the start, once.
            if not self.restarts:
                raise Incomplete("incomplete")
            self.restarts -= 1
            self.body = None
            self.ask = min(szx, self.szx)
            return True
        elif offset != len(body):
            raise Incomplete("incomplete")
        else:
            body.extend(payload)
        if len(body) > self.max_body:
            raise Incomplete("too large")
        if more:
            szx = min(szx, self.szx)
            self.ask = (len(body) >> (szx + 4)) << 4 | szx
            return True
        response = self.response
        response.payload = body
        remove(response, _BLOCK2)
        remove(response, _SIZE2)
        return False
