# Nothing stays of an exchange: the free heap after 1,000 is the free heap after 10.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# heapsize: 512K

import gc

from check import equal
from coap.endpoint import Endpoint
from coap.message import *
from coap.params import Params
from coap_net import Rand, Toy


class Pair:
    """Two endpoints that keep no record of what they said."""

    def __init__(self, handler, hook=False, **settings):
        self.moving = []
        self.now = 1000

        def sender(to):
            def send(data, peer):
                self.moving.append((to, bytes(data)))

            return send

        self.client = Endpoint(
            sender(1), Rand(1), None, Toy(7) if hook else None, Params(**settings)
        )
        self.server = Endpoint(
            sender(0), Rand(2), handler, Toy(7) if hook else None, Params(**settings)
        )
        self.ends = (self.client, self.server)
        for end in self.ends:
            end.on_error = print
        self.answers = 0

    def answered(self, exchange, response, error):
        if error is None:
            self.answers += 1

    def settle(self):
        while self.moving:
            to, data = self.moving.pop(0)
            self.ends[to].receive(data, 1 - to, self.now)
        self.now += 10
        for end in self.ends:
            end.poll(self.now)
        if self.server.hook is not None:
            self.server.hook.opened.clear()

    def ask(self, msg, **kw):
        self.client.request(msg, 1, self.now, self.answered, **kw)
        self.settle()


def free():
    gc.collect()
    return gc.mem_free()


# The collector is conservative: what looks like a pointer on the stack keeps a few blocks.
# One block an exchange would be 30,000 bytes.
_SLACK = 256


def steady(step, warm=10, rounds=1000):
    """step(i) leaves nothing behind."""
    for i in range(warm):
        step(i)
    before = free()
    for i in range(warm, rounds):
        step(i)
    after = free()
    assert after >= before - _SLACK, "free heap went from %d to %d" % (before, after)


def echo(request, peer, responder):
    return Message(CONTENT, payload=bytes(request.payload))


def test_exchanges():
    pair = Pair(echo)
    steady(lambda i: pair.ask(Message(POST, payload=b"12345678").add(URI_PATH, "path")))
    equal(pair.answers, 1000)


def test_sealed_exchanges():
    pair = Pair(echo, True)
    steady(lambda i: pair.ask(Message(POST, payload=b"12345678").add(URI_PATH, "path")))
    equal(pair.answers, 1000)


def test_long_bodies():
    pair = Pair(echo, block_szx=2)
    body = bytes(500)
    steady(lambda i: pair.ask(Message(POST, payload=body).add(URI_PATH, "path")), 10, 200)
    equal(pair.answers, 200)


def test_separate_responses():
    kept = []
    pair = Pair(lambda request, peer, responder: kept.append(responder))

    def step(i):
        pair.ask(Message(GET))
        kept.pop().respond(Message(CONTENT), pair.now)
        pair.settle()

    steady(step)
    equal(pair.answers, 1000)


def test_errors_and_lost_answers():
    def handler(request, peer, responder):
        raise Error(NOT_FOUND)

    pair = Pair(handler)

    def step(i):
        pair.ask(Message(GET))
        pair.client.request(Message(GET), 5, pair.now, pair.answered)
        pair.moving.clear()
        pair.now += 200000
        for _ in range(6):
            pair.client.poll(pair.now)
            pair.now += 200000
        pair.moving.clear()

    steady(step, 10, 300)
    equal((pair.answers, pair.client.counters.timeouts), (300, 300))


def test_observations():
    observed = []

    def handler(request, peer, responder):
        if request.uint(OBSERVE) == 0:
            observed.append(responder.observe())
        return Message(CONTENT)

    pair = Pair(handler)

    def step(i):
        exchange = pair.client.request(Message(GET), 1, pair.now, pair.answered, observe=True)
        pair.settle()
        for n in (10, 700):
            pair.server.notify(observed[-1], Message(CONTENT, payload=bytes(n)), pair.now, n > 10)
            pair.settle()
        pair.client.cancel(exchange)
        pair.server.notify(observed.pop(), Message(CONTENT), pair.now)
        pair.settle()
        equal(pair.server.observations, [])

    steady(step, 10, 200)
    equal(pair.answers, 600)


def test_notifications():
    observed = []

    def handler(request, peer, responder):
        observed.append(responder.observe())
        return Message(CONTENT)

    pair = Pair(handler)
    pair.ask(Message(GET), observe=True)

    def step(i):
        pair.server.notify(observed[0], Message(CONTENT, payload=b"12"), pair.now, i % 2 == 0)
        pair.settle()

    steady(step)
    equal(pair.answers, 1001)


def test_what_strangers_send():
    pair = Pair(echo, True)
    rand = Rand(3)
    steady(lambda i: pair.server.receive(b"\x44\x02" + rand(40), i & 7, pair.now) or pair.moving.clear())


def test_an_exchange_allocates_little():
    # A request of 28 bytes answered with 64: what is alive at the same time, on this 64-bit
    # machine. Boards take half of it.
    pair = Pair(lambda request, peer, responder: Message(CONTENT, payload=PAYLOAD))
    request = encode(Message(GET, CON, 1, b"1234").add(URI_PATH, "3").add(URI_PATH, "0").add(ACCEPT, 110))
    server = pair.server
    for i in range(20):
        server.receive(request[:2] + bytes([0, i]) + request[4:], 0, 0)
        pair.moving.clear()
    data = request[:2] + b"\x77\x77" + request[4:]
    gc.collect()
    gc.disable()
    before = gc.mem_free()
    server.receive(data, 0, 0)
    used = before - gc.mem_free()
    gc.enable()
    print("allocated in all:", used)
    assert used < 3000, used


PAYLOAD = bytes(64)
