# lib/coap against aiocoap over UDP on loopback, in both roles, and against itself with losses.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import asyncio
import re
import socket
from pathlib import Path

import aiocoap
import aiocoap.resource
import pytest
from aiocoap import CHANGED, CONTENT, DELETE, GET, NOT_FOUND, POST, PUT

PEER = Path(__file__).with_name("coap_peer.py")
LONG = bytes((i * 7 + (i >> 8)) & 0xFF for i in range(4096))


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture
def server(micropython):
    """A maker of servers on lib/coap: server(lose=0) returns the port."""
    running = []

    def make(lose=0):
        port = free_port()
        process = micropython.popen(PEER, "server", port, lose, heap="512K")
        running.append(process)
        line = process.stdout.readline()
        assert line == "READY\n", line + process.stdout.read()
        return port

    yield make
    for process in running:
        # What it printed after READY are exceptions.
        alive = process.poll() is None
        process.kill()
        output = process.stdout.read()
        process.wait()
        process.stdin.close()
        process.stdout.close()
        assert alive and output == "", output


def exchange(port, steps):
    """Run steps(ask, context, uri) with a client of aiocoap."""

    async def main():
        context = await aiocoap.Context.create_client_context()
        uri = "coap://127.0.0.1:%d/" % port

        async def ask(code, path, payload=b"", **kw):
            message = aiocoap.Message(code=code, uri=uri + path, payload=payload, **kw)
            return await context.request(message).response

        try:
            await asyncio.wait_for(steps(ask, context, uri), 60)
        finally:
            await context.shutdown()

    asyncio.run(main())


def test_aiocoap_reads_and_writes(server):
    async def steps(ask, context, uri):
        got = await ask(GET, "value")
        assert (got.code, got.payload, got.opt.content_format) == (CONTENT, b"first", 42)
        assert (await ask(PUT, "value", b"second")).code == CHANGED
        assert (await ask(GET, "value", transport_tuning=aiocoap.Unreliable)).payload == b"second"
        assert (await ask(GET, "nothing")).code == NOT_FOUND
        assert (await ask(POST, "value")).code == aiocoap.METHOD_NOT_ALLOWED
        assert (await ask(GET, "value", if_match=[b"x"])).code == aiocoap.BAD_OPTION

    exchange(server(), steps)


def test_aiocoap_sends_and_fetches_long_bodies(server):
    async def steps(ask, context, uri):
        assert (await ask(GET, "long")).payload == LONG
        for n in (512, 513, 1024, 1025, 4096):
            assert (await ask(PUT, "value", LONG[:n])).code == CHANGED
            assert (await ask(GET, "value")).payload == LONG[:n]
        assert (await ask(POST, "reverse", LONG)).payload == LONG[::-1]
        assert (await ask(GET, "pieces")).payload == LONG
        got = await ask(PUT, "value", bytes(8193))
        assert (got.code, got.opt.size1) == (aiocoap.REQUEST_ENTITY_TOO_LARGE, 8192)
        assert (await ask(GET, "value")).payload == LONG

    exchange(server(), steps)


@pytest.mark.parametrize("szx", range(6))
def test_aiocoap_asks_for_a_block_size(server, szx):
    async def steps(ask, context, uri):
        size = 16 << szx
        for num in (0, 3, 1, 4096 // size - 1):
            message = aiocoap.Message(code=GET, uri=uri + "long", block2=(num, False, szx))
            got = await context.request(message, handle_blockwise=False).response
            assert got.payload == LONG[num * size : num * size + size]
            assert got.opt.block2 == (num, num * size + size < 4096, szx)

    exchange(server(), steps)


def test_aiocoap_gets_a_separate_response(server):
    async def steps(ask, context, uri):
        got = await ask(GET, "later")
        assert (got.code, got.payload, got.mtype) == (CONTENT, b"first", aiocoap.CON)

    exchange(server(), steps)


def test_aiocoap_observes(server):
    async def steps(ask, context, uri):
        request = context.request(aiocoap.Message(code=GET, uri=uri + "value", observe=0))
        notifications = request.observation.__aiter__()
        assert (await request.response).payload == b"first"
        for n in (1, 2, 600, 4096):  # odd ones come as NON
            await ask(PUT, "value", LONG[:n])
            got = await asyncio.wait_for(notifications.__anext__(), 10)
            assert got.payload == LONG[:n]
        # A deleted value sends a last notification, an error: aiocoap ends the iteration.
        await ask(DELETE, "value")
        with pytest.raises(StopAsyncIteration):
            await asyncio.wait_for(notifications.__anext__(), 10)

    exchange(server(), steps)


def test_aiocoap_stops_observing(server):
    async def steps(ask, context, uri):
        request = context.request(aiocoap.Message(code=GET, uri=uri + "value", observe=0))
        assert (await request.response).payload == b"first"
        request.observation.cancel()
        for i in range(3):
            assert (await ask(PUT, "value", bytes(i + 1))).code == CHANGED

    exchange(server(), steps)


class Value(aiocoap.resource.ObservableResource):
    """A value to read, write and observe."""

    def __init__(self):
        super().__init__()
        self.value = b"first"

    async def render_get(self, request):
        return aiocoap.Message(payload=self.value)

    async def render_put(self, request):
        self.value = request.payload
        self.updated_state()
        return aiocoap.Message(code=CHANGED)


class Long(aiocoap.resource.Resource):
    async def render_get(self, request):
        return aiocoap.Message(payload=LONG)


class Reverse(aiocoap.resource.Resource):
    async def render_post(self, request):
        return aiocoap.Message(code=CHANGED, payload=request.payload[::-1])


class Later(aiocoap.resource.Resource):
    async def render_get(self, request):
        await asyncio.sleep(0.5)
        return aiocoap.Message(payload=b"first")


def client(micropython, port, step, lose=0):
    done = micropython.run(PEER, "client", port, step, lose, heap="512K", timeout=100)
    assert done.returncode == 0 and done.stdout.startswith("PASSED"), done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("step", ["plain", "blocks", "small_blocks", "separate", "observe", "ping"])
def test_aiocoap_serves(micropython, step):
    async def main():
        site = aiocoap.resource.Site()
        for name, resource in (
            ("value", Value()),
            ("long", Long()),
            ("reverse", Reverse()),
            ("later", Later()),
        ):
            site.add_resource([name], resource)
        port = free_port()
        context = await aiocoap.Context.create_server_context(site, bind=("127.0.0.1", port))
        try:
            await asyncio.to_thread(client, micropython, port, step)
        finally:
            await context.shutdown()

    asyncio.run(main())


@pytest.mark.parametrize("step", ["plain", "blocks", "separate", "observe_long", "ping"])
def test_with_itself(micropython, server, step):
    client(micropython, server(), step)


def test_with_itself_and_losses(micropython, server):
    output = client(micropython, server(7), "blocks", 5)
    assert int(re.search(r"'retransmitted': (\d+)", output).group(1)) > 0


def test_nobody_there(micropython):
    client(micropython, free_port(), "nobody")
