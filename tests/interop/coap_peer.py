# A CoAP client or server on lib/coap, run by test_coap_aiocoap.py under MicroPython.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# argv: server PORT [LOSE], or client PORT STEP [LOSE]. LOSE: every how-manyeth datagram is
# lost, sent and received ones counted together; 0 for none. The server prints READY; the client
# asserts, and prints PASSED at the end.

import asyncio
import os
import sys
import time

from coap.aio import Driver, ResponseError
from coap.endpoint import Endpoint
from coap.message import (
    CHANGED,
    CONTENT,
    CONTENT_FORMAT,
    DELETE,
    DELETED,
    GET,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    OBSERVE,
    POST,
    PUT,
    URI_PATH,
    Error,
    Message,
)
from coap.params import Params
from coap.transport import UDP, resolve

LONG = bytes([(i * 7 + (i >> 8)) & 0xFF for i in range(4096)])


class Lossy(UDP):
    lose = 0
    n = 0

    def lost(self):
        self.n += 1
        return self.lose and self.n % self.lose == 0

    def sendto(self, data, peer):
        if not self.lost():
            super().sendto(data, peer)

    def recvfrom(self, n):
        received = super().recvfrom(n)
        return None if received is None or self.lost() else received


def start(local, handler, lose, **settings):
    transport = Lossy(local)
    transport.lose = lose
    if lose:
        settings["ack_timeout_ms"] = 50
    params = Params(max_body=8192, **settings)
    driver = Driver(transport, lambda send: Endpoint(send, os.urandom, handler, None, params))
    driver.endpoint.on_error = sys.print_exception
    return driver


async def serve(port, lose):
    values = {"value": b"first", "long": LONG}

    def read(path):
        if path not in values:
            raise Error(NOT_FOUND)
        return Message(CONTENT, payload=values[path]).add(CONTENT_FORMAT, 42)

    async def later(responder):
        await asyncio.sleep_ms(300)
        responder.respond(read("value"), driver.clock.now())
        driver.kick()

    def handle(request, peer, responder):
        path = "/".join(request.path())
        if path == "later":
            asyncio.create_task(later(responder))
            return None
        if path == "pieces":
            return Message(CONTENT, payload=lambda offset, n: LONG[offset : offset + n])
        if path == "reverse":
            return Message(CHANGED, payload=bytes(reversed(bytes(request.payload))))
        if request.code == GET:
            if request.uint(OBSERVE) == 0:
                responder.observe().context = path
            return read(path)
        if request.code == PUT:
            values[path] = bytes(request.payload)
            for observation in driver.endpoint.observations:
                if observation.context == path:
                    confirmable = len(values[path]) % 2 == 0
                    driver.endpoint.notify(observation, read(path), driver.clock.now(), confirmable)
            return Message(CHANGED)
        if request.code == DELETE:
            del values[path]
            for observation in driver.endpoint.observations[:]:
                if observation.context == path:
                    driver.endpoint.notify(observation, Message(NOT_FOUND), driver.clock.now(), True)
            return Message(DELETED)
        raise Error(METHOD_NOT_ALLOWED)

    driver = start(resolve("127.0.0.1", port), handle, lose)
    print("READY")
    await driver.run()


class Steps:
    def __init__(self, port, lose):
        self.peer = resolve("127.0.0.1", port)
        self.driver = start(None, None, lose)

    async def ask(self, code, path, payload=b"", confirmable=True):
        msg = Message(code, payload=payload)
        for part in path.split("/"):
            msg.add(URI_PATH, part)
        return await self.driver.request(msg, self.peer, confirmable)

    async def plain(self):
        got = await self.ask(GET, "value")
        assert (got.code, bytes(got.payload)) == (CONTENT, b"first"), got
        got = await self.ask(PUT, "value", b"second")
        assert got.code == CHANGED, got
        got = await self.ask(GET, "value", confirmable=False)
        assert bytes(got.payload) == b"second", got
        got = await self.ask(GET, "nothing")
        assert got.code == NOT_FOUND, got

    async def blocks(self):
        got = await self.ask(GET, "long")
        assert bytes(got.payload) == LONG
        for n in (511, 512, 513, 1024, 4096):
            got = await self.ask(PUT, "value", LONG[:n])
            assert got.code == CHANGED, got
            got = await self.ask(GET, "value")
            assert bytes(got.payload) == LONG[:n], (n, got)
        got = await self.ask(POST, "reverse", LONG)
        assert bytes(got.payload) == bytes(reversed(LONG)), got

    async def small_blocks(self):
        self.driver.endpoint.params.block_szx = 2
        self.driver.endpoint.params.early_block2 = True
        await self.blocks()

    async def separate(self):
        started = time.ticks_ms()
        got = await self.ask(GET, "later")
        assert bytes(got.payload) == b"first", got
        assert time.ticks_diff(time.ticks_ms(), started) > 250
        assert self.driver.endpoint.counters.retransmitted == 0

    async def observe_long(self):
        await self.observe((1, 600, 2000, 4096))

    async def observe(self, lengths=(1, 2, 600, 1000)):
        got = []
        arrived = asyncio.Event()

        def on_response(exchange, response, error):
            got.append(error or bytes(response.payload))
            arrived.set()

        async def until(value):
            while not got or got[-1] != value:
                arrived.clear()
                await arrived.wait()

        driver = self.driver
        msg = Message(GET).add(URI_PATH, "value")
        exchange = driver.endpoint.request(
            msg, self.peer, driver.clock.now(), on_response, observe=True
        )
        driver.kick()
        await until(b"first")
        for n in lengths:
            await self.ask(PUT, "value", LONG[:n])
            await until(LONG[:n])
        driver.endpoint.cancel(exchange)
        assert got[-1] == "cancelled"
        n = len(got)
        # The next notification is rejected, and it was the last.
        await self.ask(PUT, "value", b"x")
        await self.ask(PUT, "value", b"y")
        await asyncio.sleep_ms(300)
        assert len(got) == n

    async def ping(self):
        pongs = []
        arrived = asyncio.Event()

        def on_pong(alive):
            pongs.append(alive)
            arrived.set()

        self.driver.endpoint.ping(self.peer, self.driver.clock.now(), on_pong)
        self.driver.kick()
        await arrived.wait()
        assert pongs == [True]

    async def nobody(self):
        self.driver.endpoint.params.ack_timeout_ms = 20
        try:
            await self.ask(GET, "value")
        except ResponseError as e:
            assert e.args == ("timeout",), e
        else:
            raise AssertionError("answered")
        assert self.driver.endpoint.counters.retransmitted == 4


async def ask(port, step, lose):
    steps = Steps(port, lose)
    running = asyncio.create_task(steps.driver.run())
    await asyncio.wait_for(getattr(steps, step)(), 60)
    running.cancel()
    endpoint = steps.driver.endpoint
    assert endpoint.counters.errors == 0, dict(endpoint.counters.items())
    endpoint.poll(steps.driver.clock.now())
    assert endpoint.sending is None
    print("PASSED", dict(endpoint.counters.items()))


if sys.argv[1] == "server":
    asyncio.run(serve(int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0))
else:
    asyncio.run(ask(int(sys.argv[2]), sys.argv[3], int(sys.argv[4]) if len(sys.argv) > 4 else 0))
