# Endpoints on a network without time and sockets, for the tests of lib/coap.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import gc

from bodies import decode_body, encode_body
from coap.endpoint import Endpoint
from coap.message import (
    CHANGED,
    OBSERVE,
    OSCORE,
    POST,
    UNAUTHORIZED,
    BAD_REQUEST,
    FormatError,
    Message,
    PlainError,
    SecurityError,
)
from coap.params import Params


# What is kept of each exchange lies scattered between what is not: collected seldom, a heap
# that is nearly free has no room for a list of some hundred entries.
gc.threshold(16384)


class Rand:
    """Numbers that are the same in each run."""

    def __init__(self, seed=1):
        self.state = seed

    def __call__(self, n):
        out = bytearray(n)
        for i in range(n):
            self.state = (self.state * 1103515245 + 12345) & 0x7FFFFFFF
            out[i] = self.state >> 16 & 0xFF
        return bytes(out)


class Net:
    """Named endpoints; a datagram takes no time, and time passes in run() alone.

    sent: (now, source, destination, bytes) of every datagram. lose(n, data, source): True for
    a datagram that is lost, n counts all datagrams.
    """

    def __init__(self):
        self.now = 1000
        self.ends = {}
        self.sent = []
        self.moving = []
        self.lose = None

    def add(self, name, handler=None, hook=None, seed=None, **settings):
        def send(data, peer):
            self.sent.append((self.now, name, peer, bytes(data)))
            if self.lose is None or not self.lose(len(self.sent) - 1, bytes(data), name):
                self.moving.append((name, peer, bytes(data)))

        end = Endpoint(send, Rand(seed or len(name) * 7 + ord(name[0])), handler, hook, Params(**settings))
        end.on_error = print
        self.ends[name] = end
        return end

    def settle(self):
        """Deliver datagrams until none moves."""
        n = 0
        while self.moving:
            source, destination, data = self.moving.pop(0)
            if destination in self.ends:
                self.ends[destination].receive(data, source, self.now)
            n += 1
            assert n < 10000

    def run(self, ms):
        """Let time pass, with whatever falls due."""
        end = self.now + ms
        self.settle()
        while True:
            wakes = [w for w in [e.next_wakeup() for e in self.ends.values()] if w is not None]
            if not wakes or min(wakes) > end:
                break
            self.now = max(self.now, min(wakes))
            for e in list(self.ends.values()):
                e.poll(self.now)
            self.settle()
        self.now = end


class Calls(list):
    """An on_response that keeps (response or None, error) pairs."""

    def __call__(self, exchange, response, error):
        self.append((response, error))

    def one(self):
        assert len(self) == 1, self
        return self[0]


class Toy:
    """A security hook that seals like OSCORE as far as an endpoint can tell: everything goes
    into the payload, with a number that never repeats and a sum over it and the request's."""

    def __init__(self, key):
        self.key = key
        self.number = 0
        self.opened = []

    def _seal(self, msg, ex, code):
        self.number += 1
        head = bytes((self.number >> 8, self.number & 0xFF, msg.code))
        out = encode_body(msg.options, msg.payload, head)
        total = self.key + (ex or 0)
        for i in range(len(out)):
            total += out[i] * (i + 1)
            if i > 1:
                out[i] ^= 0xA5
        out.append(total >> 8 & 0xFF)
        out.append(total & 0xFF)
        outer = Message(code, payload=out)
        outer.add(OSCORE, b"")
        if msg.opt(OBSERVE) is not None:
            outer.add(OBSERVE, bytes(msg.opt(OBSERVE)))
        return outer

    def _open(self, outer, ex):
        data = bytearray(outer.payload)
        total = self.key + (ex or 0)
        if len(data) < 5:
            raise SecurityError(BAD_REQUEST)
        for i in range(len(data) - 2):
            if i > 1:
                data[i] ^= 0xA5
            total += data[i] * (i + 1)
        if total & 0xFFFF != data[-2] << 8 | data[-1]:
            raise SecurityError(BAD_REQUEST)
        msg = Message(data[2])
        try:
            msg.options, msg.payload = decode_body(memoryview(data)[:-2], 3)
        except FormatError:  # a sum is soon forged
            raise SecurityError(BAD_REQUEST)
        return msg, data[0] << 8 | data[1]

    def seal_request(self, msg):
        outer = self._seal(msg, None, POST)
        return outer, self.number

    def open_request(self, outer):
        if outer.opt(OSCORE) is None:
            raise SecurityError(UNAUTHORIZED)
        msg, number = self._open(outer, None)
        if number in self.opened:
            raise SecurityError(UNAUTHORIZED, "replay")
        self.opened.append(number)
        return msg, number

    def seal_response(self, msg, ex, notification=False):
        return self._seal(msg, ex, CHANGED)

    def open_response(self, outer, ex):
        if outer.opt(OSCORE) is None:
            raise PlainError(outer.code)
        return self._open(outer, ex)[0]


def text(msg):
    """A payload as bytes."""
    return bytes(msg.payload)


def outer_of(end):
    """What puts together the sealed messages that a proxy cut, or None."""
    return end.blocks and end.blocks.outer


def exchanges(end):
    """Requests that an endpoint waits for."""
    return end.sending.exchanges if end.sending else []


def flying(end):
    """What an endpoint sent and waits for."""
    return end.sending.flying if end.sending else []


def queue(end):
    """What waits for its turn."""
    return end.sending.queue if end.sending else []


def bodies(end):
    """The bodies that an endpoint puts together or sends in blocks; there is nothing to keep
    them before the first."""
    return end.blocks.bodies if end.blocks else []
