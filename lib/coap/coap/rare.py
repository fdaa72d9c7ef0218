# What an endpoint does that serves no LwM2M: separate responses, ping, observations restored,
# notifications by its own method.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 7252 sections 4.3 and 5.2.2

# Functions as those of seldom.py, which come after them.

from coap.codec import Error, Message, pack
from coap.seldom import _finish, _keep, _outer_block1
from coap.sending import begin

_CON = const(0)
_NON = const(1)

_NOT_FOUND = const(0x84)


class _Ping:
    # An empty confirmable message: the Reset that answers it is the pong.

    nstart = True

    def __init__(self, peer, on_pong):
        self.peer = peer
        self.on_pong = on_pong

    def start(self, endpoint, now):
        endpoint.sending.transmit(self, Message(), b"", now)

    def acked(self, endpoint, now):
        endpoint.call(self.on_pong, True)

    def failed(self, endpoint, reason, now):
        endpoint.call(self.on_pong, reason == "reset")


class _Separate:
    # A separate response in flight.

    nstart = False

    def __init__(self, peer):
        self.peer = peer

    def acked(self, endpoint, now):
        pass

    def failed(self, endpoint, reason, now):
        pass


def _separate(endpoint, responder, response, now):
    outer = responder.outer
    response = _finish(endpoint, responder, response, now)
    if response is None:
        return
    if responder.security is not None:
        response = endpoint.hook.seal_response(response, responder.security)
        _outer_block1(outer, response)
    separate = 0
    sending = begin(endpoint)
    for owner in sending.flying:
        if not owner.nstart:
            separate += 1
    if outer.type == _CON and separate < endpoint.params.max_separate:
        sending.transmit(_Separate(responder.peer), response, outer.token, now)
    else:
        endpoint._send(pack(response, _NON, endpoint._next_mid(), outer.token), responder.peer)


def ping(endpoint, peer, now, on_pong):
    """Ask a peer for a sign of life (RFC 7252 section 4.3). on_pong(alive: bool)."""
    endpoint.now = now
    sending = begin(endpoint)
    if len(sending.queue) >= endpoint.params.max_exchanges:
        endpoint.call(on_pong, False)
    else:
        sending.launch(_Ping(peer, on_pong), now)


def restore(endpoint, observation):
    """Keep an Observation made from what was stored over a restart. False where there are
    params.max_observations already."""
    if len(endpoint.observations) >= endpoint.params.max_observations:
        return False
    _keep(endpoint, observation)
    return True


def notify(endpoint, observation, msg, now, confirmable=False, on_done=None):
    """Send a notification: msg has code, options and payload; Observe is added.

    While a confirmable one is not acknowledged yet, a newer one waits and takes the place
    of another that waits. An error code ends the observation (RFC 7641 section 4.2).
    on_done(observation, error): error is None when it was sent, or acknowledged where it
    is confirmable, else "replaced", "refused", "reset", "timeout" or "cancelled".
    """
    observation.notify(endpoint, msg, now, confirmable, on_done)


def _no_handler(endpoint, request, peer, responder):
    raise Error(_NOT_FOUND)
