# OSCORE against aiocoap over UDP on loopback, in both roles: plain exchanges, block-wise,
# Observe, restarts with Appendix B.1.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import asyncio
import json
import secrets
import socket
from pathlib import Path

import aiocoap
import aiocoap.oscore
import aiocoap.oscore_sitewrapper
import aiocoap.resource
import pytest
from aiocoap.credentials import CredentialsMap
from aiocoap.numbers.constants import TransportTuning
from aiocoap.transports.udp6 import UDP6EndpointAddress
from proxy import LOSE, SWAP, TWICE, UP, Faults, Proxy

PEER = Path(__file__).with_name("oscore_peer.py")
AEADS = {
    10: "AES-CCM-16-64-128",
    12: "AES-CCM-64-64-128",
    30: "AES-CCM-16-128-128",
    32: "AES-CCM-64-128-128",
}
LONG = "0123456789abcdef" * 4096  # 64 KB


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def context(folder, own, other, aead=10):
    """A context of aiocoap that keeps its state in folder; loading it again is a restart."""
    folder.mkdir(exist_ok=True)
    (folder / "settings.json").write_text(
        json.dumps(
            {
                "sender-id_ascii": own,
                "recipient-id_ascii": other,
                "secret_hex": bytes(range(16)).hex(),
                "salt_ascii": "salt",
                "algorithm": AEADS[aead],
            }
        )
    )
    return aiocoap.oscore.FilesystemSecurityContext(str(folder))


class Peer:
    """oscore_peer.py in a process of its own."""

    def __init__(self, micropython, *args):
        self.process = micropython.popen(PEER, *args, heap="1M")
        self.expect("READY")

    def line(self):
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError("the peer ended")
        return line.rstrip("\n")

    def expect(self, text):
        line = self.line()
        if line != text:
            raise AssertionError(line + "\n" + self.process.stdout.read())

    async def ask(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        return await asyncio.get_running_loop().run_in_executor(None, self.line)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def peer(micropython, request):
    peers = []

    def start(*args):
        peers.append(Peer(micropython, *args))
        return peers[-1]

    yield start
    for p in peers:
        p.kill()


# ---- aiocoap asks


class Client:
    def __init__(self, port, secctx):
        self.base = "coap://127.0.0.1:%d/" % port
        self.secctx = secctx

    async def __aenter__(self):
        self.context = await aiocoap.Context.create_client_context()
        self.context.client_credentials[self.base + "*"] = self.secctx
        return self

    async def __aexit__(self, *_):
        await self.context.shutdown()
        # its file lock goes with it, so that a second one can be loaded
        self.secctx._destroy()

    def ask(self, code, path, payload=b"", **kw):
        msg = aiocoap.Message(code=code, uri=self.base + path, payload=payload, **kw)
        return self.context.request(msg)

    async def get(self, path):
        response = await self.ask(aiocoap.GET, path).response
        return str(response.code), response.payload.decode()


@pytest.mark.parametrize("aead", AEADS)
def test_aiocoap_as_client(peer, tmp_path, aead):
    port = free_port()
    peer("server", port, tmp_path / "record", aead)

    async def run():
        async with Client(port, context(tmp_path / "c", "C", "S", aead)) as client:
            for _ in range(3):
                assert await client.get("hello") == ("2.05 Content", "hello, sealed")
            assert (await client.get("nowhere"))[0] == "4.04 Not Found"
            for code, answer in (
                (aiocoap.POST, "2.04 Changed"),
                (aiocoap.FETCH, "2.05 Content"),
                (aiocoap.iPATCH, "2.04 Changed"),
            ):
                response = await client.ask(code, "echo", b"ping").response
                assert (str(response.code), response.payload) == (answer, b"ping")

    asyncio.run(run())


def test_aiocoap_as_client_with_64_kb(peer, tmp_path):
    port = free_port()
    peer("server", port, tmp_path / "record")

    async def run():
        async with Client(port, context(tmp_path / "c", "C", "S")) as client:
            response = await client.ask(aiocoap.POST, "echo", LONG.encode()).response
            assert response.payload.decode() == LONG

    asyncio.run(run())


def test_aiocoap_cuts_what_is_sealed(peer, tmp_path, monkeypatch):
    # As a proxy may: Block1 outside, of 64 bytes, under inner blocks of 1,024 or less.
    monkeypatch.setattr(UDP6EndpointAddress, "maximum_block_size_exp", 2)
    port = free_port()
    peer("server", port, tmp_path / "record")
    proxy = Proxy(("127.0.0.1", port))

    async def run():
        async with Client(proxy.port, context(tmp_path / "c", "C", "S")) as client:
            for n in (10, 200, 3000):
                response = await client.ask(aiocoap.POST, "echo", LONG[:n].encode()).response
                assert response.payload.decode() == LONG[:n]

    try:
        asyncio.run(run())
    finally:
        proxy.close()
    sealed = [d for d in proxy.datagrams if d.direction == UP and d.sealed]
    cut = [d for d in sealed if any(number == 27 for number, _ in d.options)]
    assert len(cut) > 50


def test_aiocoap_observes(peer, tmp_path):
    port = free_port()
    peer("server", port, tmp_path / "record")

    async def run():
        async with Client(port, context(tmp_path / "c", "C", "S")) as client:
            request = client.ask(aiocoap.GET, "counter", observe=0)
            assert (await request.response).payload == b"0"
            seen = []
            async for notification in request.observation:
                seen.append(int(notification.payload))
                if len(seen) == 8:
                    break
            assert seen == sorted(set(seen))
            assert await client.get("hello") == ("2.05 Content", "hello, sealed")

    asyncio.run(run())


def test_our_server_is_killed_and_asks_for_echo(peer, tmp_path):
    port = free_port()
    server = peer("server", port, tmp_path / "record")

    async def run(server):
        secctx = context(tmp_path / "c", "C", "S")
        async with Client(port, secctx) as client:
            assert (await client.get("hello"))[1] == "hello, sealed"
            for _ in range(2):
                server.kill()
                server = peer("server", port, tmp_path / "record")
                before = secctx.sender_sequence_number
                assert (await client.get("hello"))[1] == "hello, sealed"
                # asked for Echo, and answered
                assert secctx.sender_sequence_number == before + 2
                assert (await client.get("hello"))[1] == "hello, sealed"
                assert secctx.sender_sequence_number == before + 3

    asyncio.run(run(server))


def test_aiocoap_wants_no_response(peer, tmp_path):
    port = free_port()
    peer("server", port, tmp_path / "record")

    async def run():
        async with Client(port, context(tmp_path / "c", "C", "S")) as client:
            # 2 stands for no 2.xx (RFC 7967); that it was carried out the next answer shows.
            for value in (2, 26):
                request = client.ask(aiocoap.POST, "echo", b"ping", no_response=value)
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(request.response, 0.5)
            response = await client.ask(aiocoap.POST, "echo", b"ping", no_response=8).response
            assert response.payload == b"ping"

    asyncio.run(run())


def test_aiocoap_client_is_restarted(peer, tmp_path):
    port = free_port()
    peer("server", port, tmp_path / "record")

    async def run():
        for _ in range(3):
            async with Client(port, context(tmp_path / "c", "C", "S")) as client:
                assert (await client.get("hello"))[1] == "hello, sealed"

    asyncio.run(run())


# ---- aiocoap answers


class Hello(aiocoap.resource.Resource):
    async def render_get(self, request):
        assert isinstance(request.remote.security_context, aiocoap.oscore.CanUnprotect)
        return aiocoap.Message(payload=b"hello, sealed")


class Echo(aiocoap.resource.Resource):
    async def render_post(self, request):
        return aiocoap.Message(code=aiocoap.CHANGED, payload=request.payload)


    async def render_fetch(self, request):
        return aiocoap.Message(code=aiocoap.CONTENT, payload=request.payload)

    render_ipatch = render_post


class Counter(aiocoap.resource.ObservableResource):
    def __init__(self):
        super().__init__()
        self.n = 0

    async def count(self):
        while True:
            await asyncio.sleep(0.02)
            self.n += 1
            self.updated_state()

    async def render_get(self, request):
        return aiocoap.Message(payload=b"%d" % self.n)


class Server:
    def __init__(self, port, secctx):
        self.port = port
        self.secctx = secctx
        self.requests = 0

    async def __aenter__(self):
        site = aiocoap.resource.Site()
        site.add_resource(["hello"], Hello())
        site.add_resource(["echo"], Echo())
        self.counter = Counter()
        site.add_resource(["counter"], self.counter)
        credentials = CredentialsMap()
        credentials[":c"] = self.secctx
        self.context = await aiocoap.Context.create_server_context(
            aiocoap.oscore_sitewrapper.OscoreSiteWrapper(site, credentials),
            bind=("127.0.0.1", self.port),
            transports=["udp6"],
        )
        self.counting = asyncio.create_task(self.counter.count())
        return self

    async def __aexit__(self, *_):
        self.counting.cancel()
        await self.context.shutdown()
        self.secctx._destroy()


def crashed(folder):
    """The context of an aiocoap server that was killed, and lost its replay window."""
    sequence = json.loads((folder / "sequence.json").read_text())
    sequence["received"] = "unknown"
    (folder / "sequence.json").write_text(json.dumps(sequence))
    secctx = context(folder, "S", "C")
    assert not secctx.recipient_replay_window.is_initialized()
    return secctx


@pytest.mark.parametrize("aead", AEADS)
def test_aiocoap_as_server(peer, tmp_path, aead):
    port = free_port()

    async def run():
        async with Server(port, context(tmp_path / "s", "S", "C", aead)):
            client = peer("client", port, tmp_path / "record", aead)
            for _ in range(3):
                assert await client.ask("GET hello") == "2.05 hello, sealed"
            assert await client.ask("GET nowhere") == "4.04 "
            assert await client.ask("POST echo ping") == "2.04 ping"
            assert await client.ask("FETCH echo ping") == "2.05 ping"
            assert await client.ask("IPATCH echo ping") == "2.04 ping"

    asyncio.run(run())


def test_aiocoap_as_server_with_64_kb(peer, tmp_path):
    port = free_port()

    async def run():
        async with Server(port, context(tmp_path / "s", "S", "C")):
            client = peer("client", port, tmp_path / "record")
            assert await client.ask("POST echo " + LONG) == "2.04 " + LONG

    asyncio.run(run())


def test_we_observe_aiocoap(peer, tmp_path):
    port = free_port()

    async def run():
        async with Server(port, context(tmp_path / "s", "S", "C")):
            client = peer("client", port, tmp_path / "record")
            seen = [int(n) for n in (await client.ask("OBSERVE counter 8")).split()]
            assert len(seen) == 8 and seen == sorted(set(seen))
            assert await client.ask("GET hello") == "2.05 hello, sealed"

    asyncio.run(run())


def test_aiocoap_server_lost_its_window_and_asks_for_echo(peer, tmp_path):
    port = free_port()

    async def run():
        secctx = context(tmp_path / "s", "S", "C")
        async with Server(port, secctx):
            client = peer("client", port, tmp_path / "record")
            assert await client.ask("GET hello") == "2.05 hello, sealed"
        secctx = crashed(tmp_path / "s")
        async with Server(port, secctx):
            assert await client.ask("GET hello") == "2.05 hello, sealed"
            assert secctx.recipient_replay_window.is_initialized()
            assert await client.ask("GET hello") == "2.05 hello, sealed"

    asyncio.run(run())


def test_our_client_is_killed_and_saved(peer, tmp_path):
    port = free_port()

    async def run():
        async with Server(port, context(tmp_path / "s", "S", "C")):
            for clean in (False, True, False, True, True):
                client = peer("client", port, tmp_path / "record")
                assert await client.ask("GET hello") == "2.05 hello, sealed"
                if clean:
                    assert await client.ask("SAVE") == "saved"
                client.kill()

    asyncio.run(run())


def test_wrong_keys_are_a_plain_error(peer, tmp_path):
    port = free_port()

    async def run():
        async with Server(port, context(tmp_path / "s", "S", "C", 30)):
            client = peer("client", port, tmp_path / "record", 10)
            assert await client.ask("GET hello") == "error plain"

    asyncio.run(run())


# ---- 20 % lost, and doubled, late, swapped


@pytest.fixture
def lossy(monkeypatch):
    """lossy(port): the port of a proxy to it that spoils datagrams."""
    monkeypatch.setattr(TransportTuning, "ACK_TIMEOUT", 0.04)
    monkeypatch.setattr(TransportTuning, "MAX_RETRANSMIT", 9)
    proxies = []

    def start(port):
        seed = secrets.randbelow(1 << 32)
        print("seed", seed)
        faults = Faults(seed, lose=0.2, twice=0.1, delay=0.1, swap=0.1, delay_s=0.05)
        proxies.append(Proxy(("127.0.0.1", port), faults))
        return proxies[-1].port

    yield start
    for p in proxies:
        p.close()
        plans = [d.plan for d in p.datagrams]
        print("lost %d, doubled %d, swapped %d of %d" % (
            plans.count(LOSE), plans.count(TWICE), plans.count(SWAP), len(plans)))  # fmt: skip
        assert plans.count(LOSE) > 0.15 * len(plans)
        assert plans.count(TWICE) > 0.05 * len(plans) and plans.count(SWAP) > 0.05 * len(plans)


@pytest.mark.timeout(300)
def test_aiocoap_as_client_on_a_bad_network(peer, tmp_path, lossy):
    port = free_port()
    server = peer("server", port, tmp_path / "record", 10, "lossy")
    proxy = lossy(port)

    async def run(server):
        async with Client(proxy, context(tmp_path / "c", "C", "S")) as client:
            for _ in range(10):
                assert await client.get("hello") == ("2.05 Content", "hello, sealed")
            response = await client.ask(aiocoap.POST, "echo", LONG.encode()).response
            assert response.payload.decode() == LONG
            server.kill()
            server = peer("server", port, tmp_path / "record", 10, "lossy")
            assert (await client.get("hello"))[1] == "hello, sealed"
            request = client.ask(aiocoap.GET, "counter", observe=0)
            seen = [int((await request.response).payload)]
            async for notification in request.observation:
                seen.append(int(notification.payload))
                if len(seen) == 20:
                    break
            assert seen == sorted(set(seen))

    asyncio.run(run(server))


@pytest.mark.timeout(300)
def test_aiocoap_as_server_on_a_bad_network(peer, tmp_path, lossy):
    port = free_port()
    proxy = lossy(port)

    async def run():
        async with Server(port, context(tmp_path / "s", "S", "C")):
            client = peer("client", proxy, tmp_path / "record", 10, "lossy")
            for _ in range(10):
                assert await client.ask("GET hello") == "2.05 hello, sealed"
            assert await client.ask("POST echo " + LONG) == "2.04 " + LONG
            client.kill()
            client = peer("client", proxy, tmp_path / "record", 10, "lossy")
            assert await client.ask("GET hello") == "2.05 hello, sealed"
            seen = [int(n) for n in (await client.ask("OBSERVE counter 20")).split()]
            assert len(seen) == 20 and seen == sorted(set(seen))
        secctx = crashed(tmp_path / "s")
        async with Server(port, secctx):
            # It asks for Echo, and has it.
            for _ in range(10):
                assert await client.ask("GET hello") == "2.05 hello, sealed"
            assert secctx.recipient_replay_window.is_initialized()

    asyncio.run(run())
