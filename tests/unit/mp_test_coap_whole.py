# What a firmware without coap/block.py and outer.py does: bodies go in one message, or not at all.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import builtins
import sys

from check import equal
from coap.message import *
from coap_net import Calls, Net, Toy, exchanges, text

BODY = bytes(range(256)) * 5
LONGEST = 1024


class LeftOut:
    """with LeftOut(): the modules are not there, as where the firmware does not freeze them."""

    NAMES = ("coap.block", "coap.outer")

    def __enter__(self):
        self.load = builtins.__import__
        builtins.__import__ = self
        for name in self.NAMES:
            sys.modules.pop(name, None)

    def __exit__(self, *_):
        builtins.__import__ = self.load

    def __call__(self, name, *args):
        if name in self.NAMES:
            raise ImportError(name)
        return self.load(name, *args)


class Server:
    """Answers with as many bytes as the query says, as bytes or by a function."""

    def __init__(self):
        self.observation = None
        self.faults = []

    def __call__(self, request, peer, responder):
        if request.uint(OBSERVE) == 0:
            self.observation = responder.observe()
        n = int(text_of(request.opt(URI_QUERY, b"3")))
        if request.opt(ACCEPT) is not None:
            return Message(CONTENT, payload=lambda offset, size: BODY[:n][offset : offset + size])
        return Message(CONTENT, payload=BODY[:n])


def text_of(value):
    return bytes(value).decode()


def two(sealed=False, handler=None):
    net = Net()
    handler = handler or Server()
    client = net.add("client", None, Toy(3) if sealed else None)
    server = net.add("server", handler, Toy(3) if sealed else None)
    server.on_error = client.on_error = lambda e: handler.faults.append((type(e), str(e)))
    return net, client, server, handler


FAULT = (ValueError, "longer than a datagram")


def ask(net, client, msg, **kw):
    calls = Calls()
    client.request(msg, "server", net.now, calls, **kw)
    net.run(200000)
    return calls.one()


def get(n, by_function=False):
    msg = Message(GET).add(URI_QUERY, str(n))
    return msg.add(ACCEPT, 0) if by_function else msg


def test_requests_with_block_options_are_refused():
    for sealed in (False, True):
        net, client, server, handler = two(sealed)
        with LeftOut():
            for number in (BLOCK1, BLOCK2):
                response, error = ask(net, client, get(3).add(number, 2))
                equal((error, response.code, text(response)), (None, BAD_OPTION, b""))
            equal(ask(net, client, get(3))[1], None)
        equal((handler.faults, server.blocks, client.counters.errors), ([], None, 0))


def test_responses_in_one_message():
    for sealed in (False, True):
        net, client, server, handler = two(sealed)
        with LeftOut():
            for n in (3, 512, 513, LONGEST):
                for by_function in (False, True):
                    response, error = ask(net, client, get(n, by_function))
                    equal((error, text(response), response.opt(BLOCK2)), (None, BODY[:n], None))
            equal(handler.faults, [])
            for by_function in (False, True):
                response, error = ask(net, client, get(LONGEST + 1, by_function))
                equal((error, response.code, text(response)), (None, INTERNAL, b""))
        equal((handler.faults, client.counters.errors), ([FAULT] * 2, 0))


def test_requests_of_ours_in_one_message():
    got = []

    class Echo(Server):
        def __call__(self, request, peer, responder):
            got.append((text(request), request.opt(BLOCK1)))
            return Message(CHANGED)

    net, client, server, handler = two(handler=Echo())
    with LeftOut():
        for n in (512, 513, LONGEST):
            response, error = ask(net, client, Message(POST, payload=BODY[:n]))
            equal((error, response.code, got.pop()), (None, CHANGED, (BODY[:n], None)))
        equal(ask(net, client, Message(POST, payload=BODY[: LONGEST + 1])), (None, "refused"))
    equal((got, handler.faults, exchanges(client)), ([], [FAULT], []))


def test_responses_to_us_in_blocks():
    net, client, server, handler = two()
    net.ends.pop("server")

    def answer(block2, **kw):
        calls = Calls()
        client.request(get(3), "server", net.now, calls, **kw)
        asked = decode(net.sent[-1][3])
        answer = Message(CONTENT, ACK, asked.mid, asked.token, b"x" * 16).add(BLOCK2, block2)
        if kw:
            answer.add(OBSERVE, 1)
        client.receive(encode(answer), "server", net.now)
        client.poll(net.now)
        return calls.one()

    with LeftOut():
        for kw in ({}, {"observe": True}):
            for block2 in (0x08, 0x10):  # more follows, and not the first
                equal(answer(block2, **kw), (None, "incomplete"))
            response, error = answer(0, **kw)  # all of it
            equal((error, text(response)), (None, b"x" * 16))
    equal((handler.faults, client.counters.errors), ([], 0))


def test_notifications_in_one_message():
    for sealed in (False, True):
        for confirmable in (False, True):
            net, client, server, handler = two(sealed)
            calls, done = Calls(), []
            with LeftOut():
                client.request(get(3), "server", net.now, calls, observe=True)
                net.run(100)
                for n in (LONGEST, LONGEST + 1, 600):
                    server.notify(
                        handler.observation, Message(CONTENT, payload=BODY[:n]), net.now, confirmable,
                        lambda o, error: done.append(error),
                    )  # fmt: skip
                    net.run(100)
            equal([(len(r.payload), e) for r, e in calls], [(n, None) for n in (3, LONGEST, 600)])
            equal((done, handler.faults), ([None, "refused", None], [FAULT]))
            equal(server.observations, [handler.observation])


def test_what_a_proxy_cut_is_refused():
    net, client, server, handler = two(True)
    outer, _ = Toy(3).seal_request(get(3))
    cut = Message(outer.code, CON, 7, b"t", outer.payload[:16], outer.options[:]).add(BLOCK1, 0x08)
    with LeftOut():
        server.receive(encode(cut), "client", net.now)
        got = decode(net.sent[-1][3])
        equal((got.code, got.mid, got.uint(MAX_AGE)), (BAD_OPTION, 7, 0))
        equal((server.counters.refused, server.hook.opened, server.entries), (1, [], []))
        # A response to us is dropped, as one that is forged.
        calls = Calls()
        client.request(get(3), "nobody", net.now, calls)
        asked = decode(net.sent[-1][3])
        cut = Message(CHANGED, ACK, asked.mid, asked.token, b"x" * 16).add(OSCORE, b"").add(BLOCK2, 0x08)
        client.receive(encode(cut), "nobody", net.now)
        equal((calls, client.counters.refused), ([], 1))
    equal(handler.faults, [])
