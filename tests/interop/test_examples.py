# The examples of docs/, plain and sealed, each against aiocoap and against the other one.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import asyncio
import json
import socket
from pathlib import Path

import aiocoap
import aiocoap.oscore
import aiocoap.oscore_sitewrapper
import aiocoap.resource
import pytest
from aiocoap.credentials import CredentialsMap

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
SECRET = bytes(range(16)).hex()


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def context(folder, own, other):
    """The keys of the examples, for aiocoap."""
    folder.mkdir(exist_ok=True)
    settings = {"sender-id_ascii": own, "recipient-id_ascii": other, "secret_hex": SECRET}
    (folder / "settings.json").write_text(json.dumps(settings))
    return aiocoap.oscore.FilesystemSecurityContext(str(folder))


@pytest.fixture
def serve(micropython, tmp_path):
    """serve(example): start a server, give its port. serve.stop() ends it."""
    running = []

    def start(name, *args):
        port = free_port()
        process = micropython.popen(EXAMPLES / name, "127.0.0.1", port, *args)
        running.append(process)
        line = process.stdout.readline()
        assert line == "serving\n", line + process.stdout.read()
        return port

    def stop():
        for process in running:
            process.kill()
            output = process.stdout.read()  # an exception, else nothing
            process.wait()
            process.stdin.close()
            process.stdout.close()
            assert output == ""
        running.clear()

    start.stop = stop
    yield start
    stop()


def run(micropython, name, *args):
    done = micropython.run(EXAMPLES / name, *args)
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
    return done.stdout


class Value(aiocoap.resource.Resource):
    value = b"hello"
    sealed = False

    async def render_get(self, request):
        self.sealed = isinstance(
            getattr(request.remote, "security_context", None), aiocoap.oscore.CanUnprotect
        )
        return aiocoap.Message(payload=self.value)

    async def render_put(self, request):
        self.value = request.payload
        return aiocoap.Message(code=aiocoap.CHANGED)


def against_aiocoap(micropython, secctx, name, *args):
    """Run an example that is a client with a server of aiocoap: output, the resource."""

    async def main():
        resource = Value()
        site = aiocoap.resource.Site()
        site.add_resource(["value"], resource)
        if secctx is not None:
            credentials = CredentialsMap()
            credentials[":c"] = secctx
            site = aiocoap.oscore_sitewrapper.OscoreSiteWrapper(site, credentials)
        port = free_port()
        server = await aiocoap.Context.create_server_context(
            site, bind=("127.0.0.1", port), transports=["udp6"]
        )
        try:
            output = await asyncio.to_thread(run, micropython, name, "127.0.0.1", port, *args)
        finally:
            await server.shutdown()
        return output, resource

    return asyncio.run(main())


def ask(port, steps, secctx=None):
    """Run steps(ask) with a client of aiocoap; ask(code, payload) gives code and payload."""

    async def main():
        client = await aiocoap.Context.create_client_context()
        uri = "coap://127.0.0.1:%d/value" % port
        if secctx is not None:
            client.client_credentials[uri] = secctx

        async def one(code, payload=b""):
            request = aiocoap.Message(code=code, uri=uri, payload=payload)
            response = await asyncio.wait_for(client.request(request).response, 20)
            return response.code, response.payload

        try:
            await steps(one)
        finally:
            await client.shutdown()

    asyncio.run(main())


async def reads_and_writes(one):
    assert await one(aiocoap.GET) == (aiocoap.CONTENT, b"hello")
    assert await one(aiocoap.PUT, b"another") == (aiocoap.CHANGED, b"")
    assert await one(aiocoap.GET) == (aiocoap.CONTENT, b"another")
    assert (await one(aiocoap.DELETE))[0] == aiocoap.METHOD_NOT_ALLOWED


def test_plain_client(micropython):
    output, resource = against_aiocoap(micropython, None, "coap_client.py", "new value")
    assert output == "PUT 2.04\nGET 2.05 new value\n"
    assert resource.value == b"new value"


def test_plain_server(serve):
    ask(serve("coap_server.py"), reads_and_writes)


def test_plain_with_each_other(micropython, serve):
    port = serve("coap_server.py")
    output = run(micropython, "coap_client.py", "127.0.0.1", port, "x")
    assert output == "PUT 2.04\nGET 2.05 x\n"


def test_sealed_client(micropython, tmp_path):
    secctx = context(tmp_path / "keys", "S", "C")
    for _ in range(3):  # a restart each
        output, resource = against_aiocoap(
            micropython, secctx, "sealed_client.py", SECRET, tmp_path / "flash"
        )
        assert output == "GET 2.05 hello\n"
        assert resource.sealed


def test_sealed_server(serve, tmp_path):
    secctx = context(tmp_path / "keys", "C", "S")

    async def reads(one):
        assert await one(aiocoap.GET) == (aiocoap.CONTENT, b"hello")

    port = serve("sealed_server.py", SECRET, tmp_path / "flash")
    ask(port, reads_and_writes, secctx)
    # Killed and started again: it asks for Echo, as it lost its replay window.
    serve.stop()
    port = serve("sealed_server.py", SECRET, tmp_path / "flash")
    before = secctx.sender_sequence_number
    ask(port, reads, secctx)
    assert secctx.sender_sequence_number == before + 2


def test_sealed_server_refuses_what_is_plain(serve, tmp_path):
    async def steps(one):
        assert await one(aiocoap.GET) == (aiocoap.UNAUTHORIZED, b"")

    ask(serve("sealed_server.py", SECRET, tmp_path / "flash"), steps)


def test_sealed_with_each_other(micropython, serve, tmp_path):
    port = serve("sealed_server.py", SECRET, tmp_path / "server")
    for _ in range(2):
        output = run(
            micropython, "sealed_client.py", "127.0.0.1", port, SECRET, tmp_path / "client"
        )
        assert output == "GET 2.05 hello\n"
    wrong = bytes(16).hex()
    output = run(micropython, "sealed_client.py", "127.0.0.1", port, wrong, tmp_path / "other")
    assert output == "no response: plain\n"
