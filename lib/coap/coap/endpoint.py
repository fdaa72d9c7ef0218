# CoAP endpoint: requests and responses, both roles over one socket. Without I/O.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 7252 section 5.

# The way of a datagram: decode and duplicates (messaging.py, by peer and message ID, below
# security), security hook, options, block-wise, handler; and back. Nothing but a counter changes
# before the hook has accepted a message. A request of ours is in exchange.py, an observer of
# ours in observe.py, and in seldom.py what most requests do not come by.

from coap.exchange import Exchange
from coap.codec import Error, Message, PlainError, SecurityError, pack
from coap.messaging import Messaging
from coap.params import Params

# Found at once, and not after a search in vain among the names of this module.
len = len
callable = callable

_CON = const(0)
_NON = const(1)
_ACK = const(2)
_RST = const(3)

_INTERNAL = const(0xA0)

_IF_MATCH = const(1)
_OBSERVE = const(6)
_URI_PATH = const(11)
_URI_QUERY = const(15)
_BLOCK2 = const(23)
_BLOCK1 = const(27)
_NO_RESPONSE = const(258)

# What a message's options ask for, see _scan().
_F_BLOCK = const(1)
_F_OBSERVE = const(2)
_F_NO_RESPONSE = const(4)
# Message.kinds of what _scan() has to look at: numbers 1, 5, 6, 13, 19, 21, 23, 25, 27, and bit 0.
# It has no flag for the others below 29.
_CLOSER = const(0x0AA82063)


class Responder:
    """Answers one request later than at once: the handler returns None and keeps this. After
    a handler that returns a response it belongs to the endpoint again.

    request: as the handler gets it; outer: the message as it came, with type, message ID and
    token, until the handler has answered; security: what the hook keeps for it. offset, more:
    position of the payload in the whole body and whether more follows, for a handler that takes
    a body block by block (Endpoint.wants).
    """

    # What most requests never need is here, not in the instance.
    block1 = None
    block2 = None
    body = None
    offset = 0
    more = False
    flags = 0

    def __init__(self, endpoint):
        self._endpoint = endpoint
        self.peer = None
        self.outer = None
        self.request = None
        self.security = None
        self.observation = None

    def observe(self):
        """Register the peer as observer of what it asked for, and return the Observation;
        None where there are params.max_observations already. The endpoint puts Observe into
        the response, unless that is an error: then the observation ends."""
        self.observation = self._endpoint._observe(self)
        return self.observation

    def respond(self, response, now):
        """Send the response of a request that the handler answered with None, in a message of
        its own (RFC 7252 section 5.2.2): confirmable where the request was."""
        self._endpoint._separate(self, response, now)


class Endpoint(Messaging):
    """A CoAP endpoint, client and server, towards one or more peers.

    send(data, peer): sends a datagram; data is not changed afterwards. What it raises counts
    as a lost datagram.
    rand(n): n random bytes. peer: anything that can be compared with ==.
    handler(request, peer, responder) returns the response (a Message with code, options and
    payload), or None when it will call responder.respond(). An Error becomes a response with
    its code, any other exception a 5.00. Block-wise and Observe are taken care of.
    hook: security hook with seal_request, open_response, open_request, seal_response; or None.
    It may have seal_ack(msg, ex, mid, token) too: the datagram of the response in an ACK, by
    fewer steps.
    params: a Params.

    Times are int milliseconds of a clock that never goes back. receive() and poll() do not
    raise: counters.errors counts what the hook, the handler and callbacks raise, and
    on_error(exception) is called with it.

    What is not found among the methods here is a function of seldom.py that takes the endpoint
    first: ping(), cancel(), restore(), forget() and more.
    """

    # Critical options that requests and responses may carry. A handler that serves others
    # (If-Match, If-None-Match) assigns a longer tuple.
    critical = (_URI_PATH, _URI_QUERY, 17, 9, _BLOCK2, _BLOCK1, 3, 7)

    # wants(request, peer), where there is one: True where the handler takes a long body block by
    # block. It is then called with each block and answers 2.31 while responder.more is set.
    wants = None

    def __init__(self, send, rand, handler=None, hook=None, params=None):
        Messaging.__init__(self, send, rand, params or Params())
        self.handler = handler or self._no_handler
        self.hook = hook
        self.seal_ack = getattr(hook, "seal_ack", None)
        self.exchanges = []
        self.observations = []
        self._whole = 16 << self.params.block_szx  # what a message holds of a body
        self._tag = 0  # Request-Tag of our next long body, 0 is without
        self._responder = None  # one that no handler kept, to be used again

    def __getattr__(self, name):
        import coap.seldom

        method = getattr(coap.seldom, name)
        return lambda *args: method(self, *args)

    # ---- Requests to us

    def _scan(self, options):
        # Flags of what the options ask for; -1 where a critical one is not understood
        # (RFC 7252 section 5.4.1) or is there twice and must not be (section 5.4.5).
        flags = 0
        last = -1
        for n in options:
            n = n[0]
            if n == _URI_PATH:
                continue
            if n & 1:
                if n not in self.critical:
                    return -1
                if n == _BLOCK1 or n == _BLOCK2:
                    flags |= _F_BLOCK
                if n == last and n != _URI_QUERY and n != _IF_MATCH:
                    return -1
                last = n
            elif n == _OBSERVE:
                flags |= _F_OBSERVE
            elif n == _NO_RESPONSE:
                flags |= _F_NO_RESPONSE
        return flags

    def _request(self, msg, peer, now):
        try:
            hook = self.hook
            security = None
            request = msg
            if hook is not None:
                if len(msg.options) > 1 and msg.opt(_BLOCK1) is not None and self._cut(msg):
                    msg = self.outer.request(self, msg, peer, now)
                    if msg is None:
                        return
                try:
                    request, security = hook.open_request(msg)
                except SecurityError as e:
                    self._refuse(msg, peer, e, now)
                    return
            responder = self._responder
            if responder is None:
                responder = Responder(self)
            # Not used again unless nothing but a response comes of it.
            self._responder = None
            responder.outer = msg
            responder.request = request
            responder.peer = peer
            responder.security = security
            flags = request.kinds & _CLOSER and self._scan(request.options)
            try:
                if flags:
                    response = self._special(responder, flags, now)
                    if response is False:
                        return
                else:
                    self.counters.requests += 1
                    response = self.handler(request, peer, responder)
            except Error as e:
                response = self._render(e)
            except Exception as e:
                self.error(e)
                response = Message(_INTERNAL)
            if response is not None:
                try:
                    payload = response.payload
                    if (
                        flags
                        or responder.observation is not None
                        or callable(payload)
                        or len(payload) > self._whole
                    ):
                        response = self._finish(responder, response, now)
                    else:
                        responder.outer = responder.request = responder.security = None
                        self._responder = responder
                except Exception as e:
                    # What the handler returned is no response.
                    self.error(e)
                    response = Message(_INTERNAL)
            if (
                response is None
                or msg.type == _NON
                or security is not None
                and (self.seal_ack is None or len(msg.options) > 1)
            ):
                self._reply(msg, peer, security, response, now, True)
                return
            # What follows is _reply() for most. It is here since each function that catches what
            # it calls has its frame on the heap, see codec.py, and this one has one already.
            if security is None:
                response = pack(response, _ACK, msg.mid, msg.token)
            else:
                try:
                    response = self.seal_ack(response, security, msg.mid, msg.token)
                except Exception as e:
                    response = pack(self._unsealed(e), _ACK, msg.mid, msg.token)
            try:
                self._out(response, peer)
            except Exception as e:
                self._unsent(e)
            self.seen.add(msg.mid, peer, response, now)
            if self._responder is not None:
                if request is not msg:
                    # Nobody has what was around the request.
                    msg.options = msg.payload = None
                    self._spare = msg
                return True
        except Exception as e:
            self.error(e)

    def _render(self, e):
        # The one place where an error becomes a response.
        response = Message(e.code)
        for number, value in e.options:
            response.add(number, value)
        return response

    # ---- Responses to us

    def _response(self, msg, peer, now):
        # A response in a message of its own: separate, NON, or a notification.
        token = msg.token
        confirmable = msg.type == _CON
        for exchange in self.exchanges:
            if exchange.token == token and exchange.peer == peer and exchange.mid is not None:
                if self._answered(exchange, msg, now) or not confirmable:
                    return
                break
        else:
            self.counters.dropped += 1
            if confirmable or msg.opt(_OBSERVE) is not None:
                self._empty(_RST, msg.mid, peer)

    def _answered(self, exchange, msg, now):
        # A response for an exchange: True where it was accepted.
        inner = msg
        plain = False
        if exchange.security is not None:
            if len(msg.options) > 1 and msg.uint(_BLOCK2, 0) > 7 and self._cut(msg):
                self.outer.response(self, exchange, msg, now)
                return False
            try:
                inner = self.hook.open_response(msg, exchange.security)
            except PlainError:
                plain = True
            except SecurityError:
                self.counters.refused += 1
                return False
        flags = self._scan(inner.options)
        if flags < 0:
            self.counters.dropped += 1
            if msg.type == _CON:
                self._empty(_RST, msg.mid, exchange.peer)
            return False
        self.counters.responses += 1
        if msg.type != _ACK:
            ack = None
            if msg.type == _CON:
                ack = self._empty(_ACK, msg.mid, exchange.peer)
            if not exchange.sealed:
                self.seen.add(msg.mid, exchange.peer, ack, now)
        self._landed(exchange)
        if plain:
            exchange.finish(self, msg, "plain")
        else:
            exchange.received(self, inner, flags, now)
        self._start_next(now)
        return True

    def _new_token(self):
        while True:
            token = self.rand(self.params.token_len)
            for exchange in self.exchanges:
                if exchange.token == token:
                    break
            else:
                return token

    # ---- Requests of ours

    def request(
        self, msg, peer, now, on_response, confirmable=True, timeout_ms=None, observe=False
    ):
        """Send a request and return its Exchange.

        msg: code, options and the whole payload; it is cut into blocks where it is long, and
        a long response is put together, unless msg has a Block2 of its own: then each response
        is given as it comes. timeout_ms: bound for the whole exchange; without it each message
        is bounded by params. observe: register for notifications (RFC 7641).

        on_response(exchange, response, error) is called once, or with observe=True for each
        notification, until exchange.done. response is a Message and error None; else error is
        "timeout", "reset" (rejected by the peer), "cancelled", "refused" (the hook cannot seal
        it, or max_exchanges: it may then be called before this returns), "incomplete" or "too
        large" (of a long response), or "plain": response is then an unprotected error in answer
        to a protected request, which is only a hint.
        """
        self.now = now
        until = None if timeout_ms is None else now + timeout_ms
        exchange = Exchange(msg, peer, on_response, confirmable, until, observe)
        if len(self.exchanges) >= self.params.max_exchanges:
            exchange.finish(self, None, "refused")
        else:
            self.exchanges.append(exchange)
            self._launch(exchange, now)
        return exchange

    # ---- Observers of ours

    def notify(self, observation, msg, now, confirmable=False, on_done=None):
        """Send a notification: msg has code, options and payload; Observe is added.

        While a confirmable one is not acknowledged yet, a newer one waits and takes the place
        of another that waits. An error code ends the observation (RFC 7641 section 4.2).
        on_done(observation, error): error is None when it was sent, or acknowledged where it
        is confirmable, else "replaced", "refused", "reset", "timeout" or "cancelled".
        """
        self.now = now
        observation.notify(self, msg, now, confirmable, on_done)
