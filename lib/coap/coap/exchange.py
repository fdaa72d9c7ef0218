# A request of ours from the first datagram to its answer.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 7252 section 5, RFC 7959; Echo of RFC 9175 section 2.

from coap.codec import Message, pack

_NON = const(1)

_GET = const(1)
_FETCH = const(5)
_UNAUTHORIZED = const(0x81)

_OBSERVE = const(6)
_BLOCK2 = const(23)
_ECHO = const(252)

_F_BLOCK = const(1)  # as in endpoint.py
_LONGEST = const(1024)  # as in seldom.py


def client_of(request, params, tag=None):
    """A block.Client: most devices never have a body that takes more than one message. None
    where block.py is left out of the firmware."""
    try:
        from coap.block import Client
    except ImportError:
        return None
    return Client(request, params, tag)


class Exchange:
    """A request of ours. request: the Message given; done: True after the last on_response;
    security: what the hook keeps for it. context is free for the owner."""

    nstart = True
    context = None
    mid = None
    token = None
    security = None
    done = False
    echo = None
    echoes = 0
    observing = False
    rest = None
    below = None  # the one that fetches what a proxy cut off the response
    sealed = False  # what it sends is sealed already

    def __init__(self, request, peer, on_response, confirmable, until, observe):
        self.request = request
        self.peer = peer
        self.on_response = on_response
        self.confirmable = confirmable
        self.until = self.deadline = until
        self.observe = observe
        self.transfer = None

    def start(self, endpoint, now):
        # Called by the endpoint for the first message when it is its turn, and from
        # received() for each that follows: it seals and sends one message.
        request = self.request
        params = endpoint.params
        transfer = self.transfer
        early = False
        if transfer is None:
            if len(request.payload) > 16 << params.block_szx:
                tag = None
                if endpoint._tag:
                    tag = endpoint._tag.to_bytes(2, "big")
                transfer = self.transfer = client_of(request, params, tag)
                if transfer is None and len(request.payload) > _LONGEST:
                    raise ValueError("longer than a datagram")
            elif (
                params.early_block2
                and request.opt(_BLOCK2) is None
                and (request.code == _GET or request.code == _FETCH)
            ):
                early = True
        # What was given may be sent again by its owner: it stays as it is.
        if transfer is not None:
            msg = transfer.message()
        else:
            msg = Message(request.code, 0, 0, b"", request.payload, request.options[:])
        if self.observe and msg.opt(_OBSERVE) is None:
            msg.add(_OBSERVE, 0)
        if early:
            msg.add(_BLOCK2, params.block_szx)
        if self.echo is not None:
            msg.set(_ECHO, self.echo)
            self.echo = None
        self.token = token = endpoint.sending.new_token()
        if endpoint.hook is not None and not self.sealed:
            msg, self.security = endpoint.hook.seal_request(msg)
            # Code, options and, where it is a FETCH, payload: of the message sealed last.
            self.outer = (msg.code, msg.options, msg.payload if msg.code == _FETCH else b"")
        self.deadline = self.until
        if self.confirmable:
            endpoint.sending.transmit(self, msg, token, now)
            return
        self.mid = mid = endpoint._next_mid()
        self.tries = -1
        self.due = now + params.response_timeout_ms
        if self.on_response is None and not self.observe:
            # Nobody waits for an answer.
            self.finish(endpoint, None, None)
        else:
            endpoint.sending.flying.append(self)
        endpoint._send(pack(msg, _NON, mid, token), self.peer)

    def acked(self, endpoint, now):
        # The response comes in a message of its own.
        self.deadline = now + endpoint.params.response_timeout_ms
        if self.until is not None and self.until < self.deadline:
            self.deadline = self.until

    def failed(self, endpoint, reason, now):
        self.finish(endpoint, None, reason)

    def finish(self, endpoint, response, error):
        # The last thing that happens to an exchange.
        if self.done:
            return
        self.done = True
        sending = endpoint.sending
        if self in sending.exchanges:
            sending.exchanges.remove(self)
        sending.withdraw(self)
        if error is not None and self.transfer is not None and self.transfer.upload:
            # Blocks of this body may still be under way: those of the next are told apart.
            endpoint._tag = endpoint._tag % 0xFFFF + 1
        others = (self.rest, self.below)
        self.rest = self.below = None
        for other in others:
            if other is not None:
                endpoint.cancel(other)
        self.transfer = None
        self.security = None
        endpoint.call(self.on_response, self, response, error)

    def received(self, endpoint, response, flags, now):
        # A response to the message sent last, or a notification, accepted by the hook.
        if response.code == _UNAUTHORIZED and self.echoes < endpoint.params.max_echo:
            echo = response.opt(_ECHO)
            if echo is not None:
                self.echoes += 1
                self.echo = bytes(echo)
                endpoint.sending.start(self, now)
                return
        transfer = self.transfer
        if self.observe:
            if transfer is not None and transfer.sending(response):
                endpoint.sending.start(self, now)
            else:
                from coap.observing import notified

                self.transfer = None
                notified(self, endpoint, response, flags, now)
            return
        if transfer is None and flags & _F_BLOCK:
            # A Block2 that the caller asks for by itself is his to handle.
            if self.request.opt(_BLOCK2) is None:
                transfer = self.transfer = client_of(self.request, endpoint.params)
                if transfer is None and response.uint(_BLOCK2, 0) > 7:
                    self.finish(endpoint, None, "incomplete")
                    return
        if transfer is not None:
            from coap.block import Incomplete

            try:
                if transfer.feed(response):
                    endpoint.sending.start(self, now)
                    return
            except Incomplete as e:
                self.finish(endpoint, None, e.args[0])
                return
            response = transfer.response
        self.finish(endpoint, response, None)

