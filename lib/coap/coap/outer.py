# Sealed messages that a proxy cut into blocks, put together below the security hook.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 section 4.1.3.4.2; RFC 7959. Loaded when the first such message comes.

# Nobody vouches for these blocks before the whole message is verified. So what they take
# has bounds of its own (params.max_outer, max_unfragmented), no message ID is remembered
# for them, and a request of ours goes on as if nothing had come until its response is
# verified. Bodies that peers cut themselves, sealed block by block, are in block.py.

from coap.block import Client, Incomplete, Server, block_of
from coap.codec import Error, Message
from coap.sending import Exchange

_CONTINUE = const(0x5F)
_ETAG = const(4)
_OBSERVE = const(6)
_MAX_AGE = const(14)
_BLOCK2 = const(23)
_BLOCK1 = const(27)


class _Bounds:
    # What block.py asks of Params.
    def __init__(self, params):
        self.max_transfers = params.max_outer
        self.max_body = params.max_unfragmented
        self.transfer_timeout_ms = params.transfer_timeout_ms
        self.block_szx = params.block_szx


class _From:
    def __init__(self, peer):
        self.peer = peer


class Outer:
    """Puts the messages of one endpoint together: a bounded few requests to us, and for each
    request of ours one response."""

    def __init__(self, params):
        self._bounds = _Bounds(params)
        self.server = Server(self._bounds, bytes)

    def request(self, endpoint, msg, peer, now):
        """The whole message of a request whose last block is msg, with Block1 left in it
        for the response; None where this answered the block."""
        try:
            block1 = block_of(msg, _BLOCK1)
            if self.server._gather(msg, _From(peer), block1, now, None):
                return msg.set(_BLOCK1, block1)
            response = Message(_CONTINUE).add(_BLOCK1, block1)
        except Error as e:
            endpoint.counters.dropped += 1
            response = e.response()
            response.set(_MAX_AGE, 0)
        endpoint._reply(msg, peer, None, response, now, False)

    def response(self, endpoint, exchange, msg, now):
        """Fetch the rest of a response to exchange whose first block is msg."""
        old = exchange.below
        if old is not None:
            transfer = old.transfer
            if transfer.body and transfer.etag == msg.opt(_ETAG):
                if transfer.body[: len(msg.payload)] == msg.payload:
                    return  # the same once more
        code, options, payload = exchange.outer
        request = Message(code, payload=payload)
        request.options = [o for o in options if o[0] != _OBSERVE]
        transfer = Client(request, self._bounds)
        transfer.upload = transfer.uploaded = False
        try:
            transfer.feed(msg)
        except Incomplete:
            endpoint.counters.dropped += 1
            return
        below = Exchange(request, exchange.peer, _fetched, True, None, False)
        below.sealed = True
        # The request that it belongs to may hold the only turn (NSTART) still.
        below.nstart = False
        below.transfer = transfer
        below.context = (endpoint, exchange, exchange.token)
        exchange.below = below
        if old is not None:
            endpoint.cancel(old)
        endpoint.sending.exchanges.append(below)
        endpoint.sending.start(below, now)


def _fetched(below, response, error):
    endpoint, exchange, token = below.context
    if exchange.below is below:
        exchange.below = None
        # Else it went on to its next message meanwhile.
        if error is None and exchange.token == token and response.opt(_BLOCK2) is None:
            endpoint.sending.answered(exchange, response, endpoint.now)
