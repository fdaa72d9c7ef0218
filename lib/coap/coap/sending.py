# What an endpoint sends by itself and waits for: reliability, NSTART, requests of ours.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 7252 sections 4 and 5, RFC 7959; Echo of RFC 9175 section 2.

# Loaded when something is sent that an answer is waited for. An endpoint at rest has none of this.

from coap.codec import Error, Message, pack

_CON = const(0)
_NON = const(1)
_ACK = const(2)
_RST = const(3)

_FETCH = const(5)
_UNAUTHORIZED = const(0x81)

_OBSERVE = const(6)
_BLOCK2 = const(23)
_ECHO = const(252)

_F_BLOCK = const(1)  # as in endpoint.py
_LONGEST = const(1024)  # as in seldom.py


def begin(endpoint):
    """The Sending of an endpoint, made where there is none."""
    if endpoint.sending is None:
        endpoint.sending = Sending(endpoint)
    return endpoint.sending


class Sending:
    """What waits for an answer, of one endpoint; Endpoint.poll() lets go of it when nothing does.

    What waits for an ACK is an owner: an Exchange, Ping, Observation or Separate, with
    peer, nstart (whether it counts for NSTART), start(endpoint, now) where it may have to wait
    for its turn, and acked(endpoint, now), failed(endpoint, reason, now) with the outcome.
    mid, data, tries, interval and due of an owner belong to this layer.
    """

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.flying = []  # what waits for an ACK or, being NON, for a response
        self.queue = []  # what waits for its turn (NSTART)
        self.exchanges = []  # requests of ours

    # ---- Receiving

    def acknowledged(self, msg, peer, now):
        """Take an ACK or a Reset. False where nothing waits for it."""
        mid = msg.mid
        if msg.code:
            # Piggybacked response. One that the hook does not accept acknowledges nothing.
            if msg.type == _ACK and 64 <= msg.code < 192:
                token = msg.token
                for exchange in self.exchanges:
                    if exchange.mid == mid and exchange.token == token and exchange.peer == peer:
                        if exchange.observing:
                            # The answer to the registration once more.
                            return False
                        self.answered(exchange, msg, now)
                        return True
            return False
        for owner in self.flying:
            if owner.mid == mid and owner.peer == peer:
                if msg.type == _ACK:
                    if owner.tries < 0:
                        # A NON request: there is nothing to acknowledge.
                        return False
                    self.landed(owner)
                    owner.acked(self.endpoint, now)
                else:
                    self.landed(owner)
                    owner.failed(self.endpoint, "reset", now)
                self.start_next(now)
                return True
        return False

    def response(self, msg, peer, now):
        """Take a response in a message of its own: separate, NON, or a notification. False where
        nothing waits for it."""
        token = msg.token
        for exchange in self.exchanges:
            if exchange.token == token and exchange.peer == peer and exchange.mid is not None:
                self.answered(exchange, msg, now)
                return True
        return False

    def answered(self, exchange, msg, now):
        """Take a response to an exchange, where the hook accepts it."""
        endpoint = self.endpoint
        counters = endpoint.counters
        inner = msg
        plain = False
        if exchange.security is not None:
            try:
                if len(msg.options) > 1 and msg.uint(_BLOCK2, 0) > 7 and endpoint._cut(msg):
                    endpoint.blocks.outer.response(endpoint, exchange, msg, now)
                    return
                inner = endpoint.hook.open_response(msg, exchange.security)
            except Error as e:
                from coap.errors import PlainError, SecurityError

                plain = isinstance(e, PlainError)
                if not plain:
                    if not isinstance(e, SecurityError):
                        raise
                    counters.refused += 1
                    return
        flags = endpoint._scan(inner.options)
        if flags < 0:
            counters.dropped += 1
            if msg.type == _CON:
                endpoint._empty(_RST, msg.mid, exchange.peer)
            return
        counters.responses += 1
        if msg.type != _ACK:
            ack = b""
            if msg.type == _CON:
                ack = endpoint._empty(_ACK, msg.mid, exchange.peer)
            if not exchange.sealed:
                endpoint._remember(msg.mid, exchange.peer, ack, now)
        self.landed(exchange)
        if plain:
            exchange.finish(endpoint, msg, "plain")
        else:
            exchange.received(endpoint, inner, flags, now)
        self.start_next(now)

    # ---- Sending

    def request(
        self, msg, peer, now, on_response, confirmable=True, timeout_ms=None, observe=False
    ):
        """As Endpoint.request()."""
        until = None if timeout_ms is None else now + timeout_ms
        exchange = Exchange(msg, peer, on_response, confirmable, until, observe)
        if len(self.exchanges) >= self.endpoint.params.max_exchanges:
            exchange.finish(self.endpoint, None, "refused")
        else:
            self.exchanges.append(exchange)
            self.launch(exchange, now)
        return exchange

    def new_token(self):
        """A token that no request of ours has."""
        endpoint = self.endpoint
        while True:
            token = endpoint.rand(endpoint.params.token_len)
            for exchange in self.exchanges:
                if exchange.token == token:
                    break
            else:
                return token

    def transmit(self, owner, outer, token, now):
        """Send a confirmable message for owner, which is told acked() or failed(). The bytes
        are made once: a retransmission repeats them."""
        endpoint = self.endpoint
        params = endpoint.params
        owner.mid = mid = endpoint._next_mid()
        owner.data = data = pack(outer, _CON, mid, token)
        owner.tries = 0
        spread = int(params.ack_timeout_ms * (params.ack_random_factor - 1))
        owner.interval = params.ack_timeout_ms
        if spread > 0:
            owner.interval += int.from_bytes(endpoint.rand(2), "big") * spread >> 16
        owner.due = now + owner.interval
        self.flying.append(owner)
        endpoint._send(data, owner.peer)

    def landed(self, owner):
        """owner has its answer, or none is waited for any more."""
        owner.data = None
        if owner in self.flying:
            self.flying.remove(owner)

    def _turn(self, peer):
        # Whether NSTART lets us begin something with a peer.
        n = self.endpoint.params.nstart
        for owner in self.flying:
            if owner.nstart and owner.peer == peer:
                n -= 1
        return n > 0

    def launch(self, owner, now):
        """Begin something that counts for NSTART, or let it wait for its turn."""
        for waiting in self.queue:
            if waiting.peer == owner.peer:
                break
        else:
            if self._turn(owner.peer):
                self.start(owner, now)
                return
        self.queue.append(owner)

    def start(self, owner, now):
        """Begin something now."""
        try:
            owner.start(self.endpoint, now)
        except Exception as e:
            # Nothing was sent: the hook cannot seal it, or there is no memory.
            self.endpoint.error(e)
            owner.failed(self.endpoint, "refused", now)

    def start_next(self, now):
        """Begin what waits and has its turn."""
        i = 0
        queue = self.queue
        while i < len(queue):
            if self._turn(queue[i].peer):
                self.start(queue.pop(i), now)
                i = 0
            else:
                i += 1

    def withdraw(self, owner):
        """Nothing more is to come of owner."""
        self.landed(owner)
        if owner in self.queue:
            self.queue.remove(owner)

    # ---- Time

    def poll(self, now):
        """Retransmit and give up. False where nothing waits any more."""
        flying = self.flying
        i = 0
        while i < len(flying):
            owner = flying[i]
            if owner.due > now:
                i += 1
            elif 0 <= owner.tries < self.endpoint.params.max_retransmit:
                owner.tries += 1
                owner.interval *= 2
                owner.due = now + owner.interval
                self.endpoint.counters.retransmitted += 1
                self.endpoint._send(owner.data, owner.peer)
                i += 1
            else:
                self.landed(owner)
                self._expired(owner, now)
                i = 0
        exchanges = self.exchanges
        i = 0
        while i < len(exchanges):
            exchange = exchanges[i]
            if exchange.deadline is not None and exchange.deadline <= now:
                self.withdraw(exchange)
                self._expired(exchange, now)
                i = 0
            else:
                i += 1
        if self.queue:
            # The one in front may have been cancelled.
            self.start_next(now)
        return bool(flying or exchanges or self.queue)

    def _expired(self, owner, now):
        self.endpoint.counters.timeouts += 1
        try:
            owner.failed(self.endpoint, "timeout", now)
            self.start_next(now)
        except Exception as e:
            self.endpoint.error(e)

    def wakeup(self):
        """When poll() has to be called next, or None for never."""
        wake = None
        for owner in self.queue:
            if self._turn(owner.peer):
                return self.endpoint.now
        for owner in self.flying:
            if wake is None or owner.due < wake:
                wake = owner.due
        for exchange in self.exchanges:
            due = exchange.deadline
            if due is not None and (wake is None or due < wake):
                wake = due
        return wake


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
        msg = None
        if (
            self.transfer is not None
            or params.early_block2
            or len(request.payload) > 16 << params.block_szx
        ):
            try:
                from coap.block import message_of
            except ImportError:  # it is left out of the firmware
                if len(request.payload) > _LONGEST:
                    raise ValueError("longer than a datagram")
            else:
                msg = message_of(self, endpoint)
        if msg is None:
            # What was given may be sent again by its owner: it stays as it is.
            msg = Message(request.code, 0, 0, b"", request.payload, request.options[:])
        if self.observe and msg.opt(_OBSERVE) is None:
            msg.add(_OBSERVE, 0)
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
        if error is not None and self.transfer is not None:
            self.transfer.failed(endpoint)
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
        if self.observe:
            if self.transfer is not None and self.transfer.sending(response):
                endpoint.sending.start(self, now)
            else:
                from coap.observing import notified

                self.transfer = None
                notified(self, endpoint, response, flags, now)
            return
        # A Block2 that the caller asks for by itself is his to handle.
        if self.transfer is not None or flags & _F_BLOCK and self.request.opt(_BLOCK2) is None:
            try:
                from coap.block import taken
            except ImportError:
                if response.uint(_BLOCK2, 0) > 7:
                    self.finish(endpoint, None, "incomplete")
                    return
            else:
                response = taken(self, endpoint, response, now)
                if response is None:
                    return
        self.finish(endpoint, response, None)
