# Observations of our resources by a peer: sequence numbers and notifications.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 7641 section 4.

from coap.codec import Message, pack
from coap.late import add, remove

_NON = const(1)
_BAD_REQUEST = const(0x80)
_OBSERVE = const(6)


class Observation:
    """A peer that observes a resource of ours.

    token, peer: who; security: what the hook needs to seal notifications; key: of the request
    (coap.block.key_of); seq: number of the notification sent last, 24 bits. These five are what
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
        """As notify() of an endpoint, in fewer steps."""
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
            if out.opt(_OBSERVE) is not None:
                remove(out, _OBSERVE)
            add(out, _OBSERVE, self.seq)
            payload = msg.payload
            if callable(payload) or len(payload) > 16 << endpoint.params.block_szx:
                endpoint._shorten(out, self.peer, self.key, None, now)
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
            endpoint._drop_observation(self, error)

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
                endpoint._drop_observation(self, reason)
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
