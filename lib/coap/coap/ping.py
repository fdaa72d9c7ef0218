# The ping: an empty confirmable message, and the Reset that answers it.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 7252 section 4.3

from coap.codec import Message


class Ping:
    # An empty confirmable message: the Reset that answers it is the pong.

    nstart = True
    data = None
    mid = None

    def __init__(self, peer, on_pong):
        self.peer = peer
        self.on_pong = on_pong

    def start(self, endpoint, now):
        endpoint._transmit(self, Message(), b"", now)

    def acked(self, endpoint, now):
        endpoint.call(self.on_pong, True)

    def failed(self, endpoint, reason, now):
        endpoint.call(self.on_pong, reason == "reset")
