# What an endpoint does seldom: refuse, cut bodies, observers.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 7252 section 5.2, RFC 7641, RFC 7959; No-Response of RFC 7967.

# Methods of Endpoint that most devices need late or never, as functions of one module which is
# loaded when the first of them is called: Endpoint.__getattr__(). Where there is no memory for it
# the message is answered 5.00, or dropped, and counted.

from coap.codec import Error, Message, pack
from coap.late import key_of, set

_CON = const(0)
_NON = const(1)
_ACK = const(2)

_BAD_REQUEST = const(0x80)
_BAD_OPTION = const(0x82)
_INTERNAL = const(0xA0)
_NO_PROXYING = const(0xA5)

_OSCORE = const(9)
_OBSERVE = const(6)
_MAX_AGE = const(14)
_BLOCK1 = const(27)
_PROXY_URI = const(35)
_PROXY_SCHEME = const(39)
_NO_RESPONSE = const(258)

# What a message without block options holds of a payload (RFC 7252 section 4.6).
_LONGEST = const(1024)

_F_BLOCK = const(1)  # as in endpoint.py
_F_OBSERVE = const(2)
_F_NO_RESPONSE = const(4)


def _refuse(endpoint, msg, peer, e, now):
    from coap.errors import SecurityError

    if not isinstance(e, SecurityError):
        endpoint.error(e)
        return
    endpoint.counters.refused += 1
    response = e.response()
    if e.ex is None:
        set(response, _MAX_AGE, 0)
    # Only what is authentic is remembered.
    _reply(endpoint, msg, peer, e.ex, response, now, e.ex is not None)


def _unsealed(endpoint, e):
    # The response where the hook could not seal one.
    endpoint.error(e)
    return Message(_INTERNAL).add(_MAX_AGE, 0)


def _special(endpoint, responder, flags, now):
    # The response to a request with options that the endpoint takes care of; False where
    # there is to be none.
    msg = responder.outer
    request = responder.request
    if flags < 0:
        if msg.type == _NON:
            endpoint.counters.dropped += 1
            return False
        for n, _ in request.options:
            if n == _PROXY_URI or n == _PROXY_SCHEME:
                raise Error(_NO_PROXYING)
        raise Error(_BAD_OPTION)
    endpoint.counters.requests += 1
    responder.flags = flags
    responder.block1 = responder.block2 = responder.body = None
    if flags & _F_OBSERVE and request.uint(_OBSERVE) == 1:
        observation = _observation(endpoint, responder.peer, msg.token)
        if observation is not None:
            _drop_observation(endpoint, observation, "deregistered")
    if flags & _F_BLOCK:
        blocks = _blocks(endpoint)
        if blocks is None:
            raise Error(_BAD_OPTION)
        return blocks.serve(request, responder, now, endpoint.handler, endpoint.wants)
    return endpoint.handler(request, responder.peer, responder)


def _blocks(endpoint):
    # None where block.py is left out of the firmware.
    if endpoint.blocks is None:
        try:
            from coap.block import Server
        except ImportError:
            return None
        endpoint.blocks = Server(endpoint.params, endpoint.rand)
    return endpoint.blocks


def _shorten(endpoint, response, peer, key, block2, now, body=None):
    # Leave in response what one message holds. Without block.py that is all, or nothing.
    blocks = _blocks(endpoint)
    if blocks is not None:
        blocks.cut(response, peer, key, block2, now, body)
        return
    payload = response.payload
    if callable(payload):
        response.payload = payload = payload(0, _LONGEST + 1)
    if len(payload) > _LONGEST:
        raise ValueError("longer than a datagram")


def _cut(endpoint, msg):
    # Whether a sealed message came in blocks that a proxy made.
    if not endpoint.params.max_outer or msg.opt(_OSCORE) is None:
        return False
    blocks = _blocks(endpoint)
    if blocks is None or blocks.outer is None:
        try:
            from coap.outer import Outer
        except ImportError:  # it is left out of the firmware, or block.py is
            from coap.errors import SecurityError

            raise SecurityError(_BAD_OPTION)
        blocks.outer = Outer(endpoint.params)
    return True


def _finish(endpoint, responder, response, now):
    # Observe, block-wise and No-Response of a response; None where none is wanted.
    code = response.code
    observation = responder.observation
    if observation is not None:
        if code < _BAD_REQUEST:
            set(response, _OBSERVE, observation.seq)
        else:
            _drop_observation(endpoint, observation, "refused")
    block1 = block2 = body = None
    if responder.flags:
        block1 = responder.block1
        block2 = responder.block2
        body = responder.body
    payload = response.payload
    if (
        block2 is not None
        or body is not None
        or callable(payload)
        or len(payload) > 16 << endpoint.params.block_szx
    ) and code < _BAD_REQUEST:
        try:
            _shorten(endpoint, response, responder.peer, responder.request, block2, now, body)
        except Exception as e:
            if not isinstance(e, Error):
                endpoint.error(e)
                e = Error(_INTERNAL)
            response = e.response()
    if block1 is not None:
        endpoint.blocks.acknowledge(response, block1)
    if responder.flags & _F_NO_RESPONSE:
        if responder.request.uint(_NO_RESPONSE) & 1 << (response.code >> 5) - 1:
            return None
    return response


def _reply(endpoint, msg, peer, security, response, now, remember):
    # Answer msg by a piggybacked response, a NON, or an empty ACK for response None.
    mid = msg.mid
    data = b""
    if response is not None and security is not None:
        try:
            response = endpoint.hook.seal_response(response, security)
        except Exception as e:
            response = _unsealed(endpoint, e)
        _outer_block1(msg, response)
    if msg.type == _CON:
        if response is None:
            data = endpoint._empty(_ACK, mid, peer)
        else:
            data = pack(response, _ACK, mid, msg.token)
            endpoint._send(data, peer)
    elif response is not None:
        endpoint._send(pack(response, _NON, endpoint._next_mid(), msg.token), peer)
    if remember:
        endpoint._remember(mid, peer, data, now)


def cancel(endpoint, exchange):
    """Forget an exchange; its on_response gets "cancelled". Notifications that come later
    are answered with a Reset, which tells the server. What waits behind it begins at the
    next poll(), which is due at once."""
    if endpoint.sending is not None and exchange in endpoint.sending.exchanges:
        exchange.finish(endpoint, None, "cancelled")


def _observe(endpoint, responder):
    token = responder.outer.token
    seq = 0
    old = _observation(endpoint, responder.peer, token)
    if old is not None:
        # The same observation to the peer: its numbers go on.
        seq = (old.seq + 1) & 0xFFFFFF
        _drop_observation(endpoint, old, "replaced")
    if len(endpoint.observations) >= endpoint.params.max_observations:
        return None
    observation = Observation(
        token, responder.peer, responder.security, key_of(responder.request), seq
    )
    _keep(endpoint, observation)
    return observation


def _keep(endpoint, observation):
    if not endpoint.observations:
        endpoint.observations = []
    endpoint.observations.append(observation)


def _observation(endpoint, peer, token):
    for observation in endpoint.observations:
        if observation.token == token and observation.peer == peer:
            return observation


def _drop_observation(endpoint, observation, reason):
    forget(endpoint, observation)
    endpoint.call(observation.on_cancel, reason)


def forget(endpoint, observation):
    """End an observation without telling the peer."""
    if observation in endpoint.observations:
        endpoint.observations.remove(observation)
        if endpoint.sending is not None:
            endpoint.sending.withdraw(observation)
        observation.dropped(endpoint)


def _outer_block1(msg, response):
    # The answer to the last of a proxy's blocks says so.
    if len(msg.options) > 1:
        block1 = msg.opt(_BLOCK1)
        if block1 is not None:
            response.add(_BLOCK1, block1)


class Observation:
    """A peer that observes a resource of ours.

    token, peer: who; security: what the hook needs to seal notifications; key: of the request
    (coap.late.key_of); seq: number of the notification sent last, 24 bits. These five are what
    has to be stored to restore an observation after a restart.
    on_cancel(reason), set by the owner: the peer ended it ("reset", "deregistered"), asked
    again with the same token ("replaced"), does not answer ("timeout"), or the response that
    was to begin it was an error, or the hook cannot seal a notification ("refused"). context is
    free for the owner.
    """

    nstart = True
    on_cancel = None
    context = None
    data = None
    mid = None
    tries = 0
    # The confirmable one that waits for its turn or its ACK, and the one behind it:
    # (msg, confirmable, on_done).
    current = None
    pending = None
    # The hook cannot seal any more: the context is gone.
    _lost = False

    def __init__(self, token, peer, security=None, key=b"", seq=0):
        self.token = token
        self.peer = peer
        self.security = security
        self.key = key
        self.seq = seq

    def notify(self, endpoint, msg, now, confirmable=False, on_done=None):
        """As notify() of an endpoint (rare.py), in fewer steps."""
        endpoint.now = now
        if self not in endpoint.observations:
            endpoint.call(on_done, self, "cancelled")
        elif self.current is None:
            if confirmable:
                self.current = (msg, True, on_done)
                from coap.sending import begin

                begin(endpoint).launch(self, now)
            else:
                self._send(endpoint, msg, now, on_done)
        elif self.data is None:
            # Not sent yet: the newer one goes in its place.
            old = self.current
            self.current = (msg, True, on_done)
            endpoint.call(old[2], self, "replaced")
        else:
            old = self.pending
            self.pending = (msg, confirmable, on_done)
            if old is not None:
                endpoint.call(old[2], self, "replaced")

    def _outer(self, endpoint, msg, now):
        # The message to send: msg stays as it is, it may go to several observers.
        out = Message(msg.code, payload=msg.payload)
        out.options = msg.options[:]
        if msg.code < _BAD_REQUEST:
            self.seq = (self.seq + 1) & 0xFFFFFF
            set(out, _OBSERVE, self.seq)
            payload = msg.payload
            if callable(payload) or len(payload) > 16 << endpoint.params.block_szx:
                _shorten(endpoint, out, self.peer, self.key, None, now)
        if self.security is not None:
            self._lost = True
            out = endpoint.hook.seal_response(out, self.security, True)
            self._lost = False
        return out

    def _ended(self, endpoint, msg):
        # An error was the last notification.
        if msg.code >= _BAD_REQUEST and self in endpoint.observations:
            endpoint.observations.remove(self)

    def _send(self, endpoint, msg, now, on_done):
        error = None
        try:
            out = self._outer(endpoint, msg, now)
            self.mid = endpoint._next_mid()
            endpoint._send(pack(out, _NON, self.mid, self.token), self.peer)
            self._ended(endpoint, msg)
        except Exception as e:
            endpoint.error(e)
            error = "refused"
        endpoint.call(on_done, self, error)
        if self._lost:
            _drop_observation(endpoint, self, error)

    def start(self, endpoint, now):
        msg = self.current[0]
        endpoint.sending.transmit(self, self._outer(endpoint, msg, now), self.token, now)
        self._ended(endpoint, msg)

    def acked(self, endpoint, now):
        done = self.current[2]
        self.current = None
        endpoint.call(done, self, None)
        self._next(endpoint, now)

    def failed(self, endpoint, reason, now):
        if reason == "refused":
            done = self.current[2]
            self.current = None
            endpoint.call(done, self, reason)
            if self._lost:
                _drop_observation(endpoint, self, reason)
            else:
                # This one could not be made; the observation goes on.
                self._next(endpoint, now)
            return
        if self in endpoint.observations:
            endpoint.observations.remove(self)
            endpoint.call(self.on_cancel, reason)
        self.dropped(endpoint, reason)

    def _next(self, endpoint, now):
        pending = self.pending
        if pending is not None and self.current is None:
            self.pending = None
            self.notify(endpoint, pending[0], now, pending[1], pending[2])

    def dropped(self, endpoint, reason="cancelled"):
        # Nothing is sent any more: tell who waits for it.
        waiting = (self.current, self.pending)
        self.current = self.pending = None
        for notification in waiting:
            if notification is not None:
                endpoint.call(notification[2], self, reason)
