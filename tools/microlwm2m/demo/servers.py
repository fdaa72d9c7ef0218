# The three servers that the demo can talk to, behind one interface.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import asyncio
import contextlib
import http.client
import secrets
import socket
import sys
import threading
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

from ..bench import Account, BenchServer, OperationFailed
from . import Failed

COAP_PORT = 5683
MAX_REASON = 300  # characters of what a server gives as its reason
_INTEROP = Path(__file__).resolve().parents[3] / "tests" / "interop"


class Answer(NamedTuple):
    """code: "2.05". value: of a Read or Observe."""

    code: str
    value: object = None


class Registered(NamedTuple):
    """location: "rd/xyz". lwm2m: version. objects: "/1/0 /3/0"."""

    location: str
    lwm2m: str
    objects: str


class Server(Protocol):
    """An LwM2M server with one device's account.

    Each event is waited for once: a second call waits for the next of its kind. Failed is
    raised where a server or a device does not answer in time, or not in a way that can be used.
    """

    title: str

    def account(self, secret: bytes) -> Account:
        """An account that collides with none that the server may have."""

    async def start(self, account: Account, heard) -> str:
        """The URI for the device. heard(up, data): called with every datagram."""

    async def read(self, path: str, timeout: float) -> Answer: ...
    async def write(self, path: str, value: str, timeout: float) -> Answer: ...
    async def execute(self, path: str, timeout: float) -> Answer: ...
    async def observe(self, path: str, timeout: float) -> Answer: ...
    async def registered(self, timeout: float) -> Registered: ...
    async def updated(self, timeout: float) -> None: ...
    async def deregistered(self, timeout: float) -> None: ...
    async def notified(self, timeout: float) -> object: ...

    async def stop(self) -> None:
        """End it, or leave it as it was found."""


def _account(secret):
    return Account("demo", b"\x01", b"\x02", secret)


class Embedded:
    """The bench server, in this process; the wire is seen at its socket."""

    title = "the embedded server"

    def account(self, secret):
        return _account(secret)

    async def start(self, account, heard):
        self._name = account.endpoint
        self._after = {}
        self._observation = None
        self._server = BenchServer(
            [account], port=0, tap=lambda d: heard(d.direction == "in", d.data)
        )
        await self._server.start()
        return self._server.uri

    async def read(self, path, timeout):
        return self._answer(await self._do(self._server.read, path, timeout=timeout))

    async def write(self, path, value, timeout):
        return self._answer(await self._do(self._server.write, path, value, timeout=timeout))

    async def execute(self, path, timeout):
        return self._answer(await self._do(self._server.execute, path, timeout=timeout))

    async def observe(self, path, timeout):
        self._observation = await self._do(self._server.observe, path, timeout=timeout)
        return self._answer(self._observation.first)

    async def notified(self, timeout):
        try:
            return (await self._observation.next(timeout)).value
        except (OperationFailed, TimeoutError) as e:
            raise Failed(str(e)) from None

    async def registered(self, timeout):
        event = await self._event("registered", timeout)
        objects = event.data["objects"].replace(",", " ")
        return Registered(event.data["location"], event.data["lwm2m"], objects)

    async def updated(self, timeout):
        await self._event("updated", timeout)

    async def deregistered(self, timeout):
        await self._event("deregistered", timeout)

    async def _event(self, name, timeout):
        try:
            event = await self._server.wait(name, self._name, timeout, self._after.get(name, 0))
        except TimeoutError as e:
            raise Failed("the server: %s" % e) from None
        self._after[name] = event.number
        return event

    async def _do(self, operation, *args, timeout):
        try:
            return await operation(self._name, *args, timeout=timeout)
        except OperationFailed as e:
            raise Failed("the server: %s" % e) from None

    @staticmethod
    def _answer(result):
        return Answer(result.code, result.value if result.nodes else None)

    async def stop(self):
        await self._server.stop()


class Leshan:
    """A Leshan server by its REST interface; a relay between it and the device sees the wire."""

    def __init__(self):
        self._rest = None
        self._relay = None
        self._account = None

    async def _open(self, rest, target, account, heard):
        self._rest = rest
        self._relay = Relay(target, heard)
        self._account = account.endpoint
        await self._call(
            rest.set_account, account.endpoint, account.recipient_id.hex(), account.sender_id.hex(),
            account.master_secret.hex(),
        )
        return self._relay.uri

    async def _call(self, function, *args, **kw):
        try:
            return await _in_thread(function, *args, **kw)
        except (_driver().PeerError, OSError, ValueError, http.client.HTTPException) as e:
            raise Failed("the server at %s: %s" % (self._rest.url, str(e)[:MAX_REASON])) from None

    async def read(self, path, timeout):
        return await self._operate(self._rest.read, path, timeout=timeout)

    async def write(self, path, value, timeout):
        return await self._operate(self._rest.write, path, value, timeout=timeout)

    async def execute(self, path, timeout):
        return await self._operate(self._rest.execute, path, timeout=timeout)

    async def observe(self, path, timeout):
        self._observed = path
        return await self._operate(self._rest.observe, path, timeout=timeout)

    async def notified(self, timeout):
        wait = self._rest.events.wait_value
        return await self._call(wait, self._account, self._observed, timeout)

    async def registered(self, timeout):
        data = (await self._event("REGISTRATION", timeout)).data
        paths = [link["url"] for link in data["objectLinks"]]
        objects = " ".join(path for path in paths if path.count("/") == 2)
        return Registered("rd/" + data["registrationId"], data["lwM2mVersion"], objects)

    async def updated(self, timeout):
        await self._event("UPDATED", timeout)

    async def deregistered(self, timeout):
        await self._event("DEREGISTRATION", timeout)

    async def _event(self, name, timeout):
        return await self._call(self._rest.events.wait_for, name, self._account, timeout)

    async def _operate(self, operation, *args, timeout):
        # Leshan counts in whole seconds.
        answer = await self._call(operation, self._account, *args, timeout=int(timeout))
        return Answer(answer.code, answer.value if answer.json.get("content") else None)

    async def stop(self):
        if self._relay:
            self._relay.close()


class LeshanPeer(Leshan):
    """A small Leshan server of the tests, started for the demo."""

    title = "Eclipse Leshan, started here"
    _peer = None

    def account(self, secret):
        return _account(secret)

    async def start(self, account, heard):
        self._peer = _driver().Peer()
        try:
            await _in_thread(self._peer.start)
        except _driver().PeerMissing:
            raise Failed(
                "--server leshan needs a JDK (11 or newer) and Maven:"
                " apt install default-jdk-headless maven"
            ) from None
        except RuntimeError as e:
            first, _, rest = str(e).partition("\n")
            raise Failed(first, rest) from None
        return await self._open(self._peer, ("127.0.0.1", self._peer.coap), account, heard)

    async def stop(self):
        await super().stop()
        if self._peer:
            await _in_thread(self._peer.stop)


class LeshanDemo(Leshan):
    """A Leshan demo server that someone else runs. url: of its web interface. coap: where it
    listens for devices, as coap://HOST:PORT; None: it is asked."""

    def __init__(self, url, coap=None):
        super().__init__()
        self.title = "the Leshan server at " + url
        self._url, self._coap = url, coap

    def account(self, secret):
        # In a server that others use too, names and IDs must not meet with theirs.
        ids = secrets.token_bytes(4), secrets.token_bytes(4)
        return Account("demo-" + secrets.token_hex(3), *ids, secret)

    async def start(self, account, heard):
        self._rest = _driver().Rest(self._url)
        coap = self._coap
        if coap is None:
            coap = coap_uri(await self._call(self._rest.call, "GET", "/server/endpoint"), self._rest.host)
        await self._call(self._rest.events.connect)
        parts = urlsplit(coap)
        return await self._open(self._rest, (parts.hostname, parts.port or COAP_PORT), account, heard)

    async def stop(self):
        if self._rest:
            self._rest.events.close()
        try:
            if self._account:
                await self._call(self._rest.delete_account, self._account)
        finally:
            await super().stop()


def coap_uri(endpoints, host):
    """The URI for devices out of what a Leshan demo server says of its endpoints.

    host: to use for one that is bound to all addresses. Raises Failed.
    """
    found = []
    for endpoint in endpoints:
        uri = endpoint["uri"]
        # Its second endpoint, on the java-coap library, knows no OSCORE.
        if uri["scheme"] == "coap" and "java-coap" not in endpoint.get("description", ""):
            found.append((uri["host"], uri["port"]))
    if not found:
        raise Failed("the server has no CoAP endpoint with OSCORE; name one with --coap")
    where, port = found[0]
    if where.strip("[]") in ("0.0.0.0", "::", "0:0:0:0:0:0:0:0"):
        where = host
    where = where.strip("[]")
    return "coap://%s:%d" % ("[%s]" % where if ":" in where else where, port)


def _driver():
    """The module that speaks to Leshan; it comes with the tests."""
    if not (_INTEROP / "peer.py").is_file():
        raise Failed("the demo with Leshan needs a checkout, and %s is not there" % _INTEROP)
    if str(_INTEROP) not in sys.path:
        sys.path.insert(0, str(_INTEROP))
    import peer

    return peer


async def _in_thread(function, *args, **kw):
    """Run what blocks. After a Ctrl-C nobody waits for it: the thread ends with the process."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def finish(result, exception):
        if not done.done():
            done.set_exception(exception) if exception else done.set_result(result)

    def run():
        result = exception = None
        try:
            result = function(*args, **kw)
        except Exception as e:
            exception = e
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(finish, result, exception)

    threading.Thread(target=run, daemon=True).start()
    return await done


class Relay:
    """Passes datagrams between devices, who send to `uri`, and target, a (host, port).

    heard(up, data): called with each datagram before it goes on. A device's address is part
    of its registration, so each has a socket of its own towards the server.
    """

    def __init__(self, target, heard):
        try:
            found = socket.getaddrinfo(*target, type=socket.SOCK_DGRAM)[0]
        except OSError as e:
            raise Failed("%s: %s" % (target[0], e.strerror)) from None
        self._family, self._target, self._heard = found[0], found[4], heard
        self._loop = asyncio.get_running_loop()
        self._upstream = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._listen(self._socket, self._from_device)
        self.uri = "coap://127.0.0.1:%d" % self._socket.getsockname()[1]

    def _listen(self, sock, arrived):
        sock.setblocking(False)
        self._loop.add_reader(sock, self._receive, sock, arrived)

    @staticmethod
    def _receive(sock, arrived):
        with contextlib.suppress(OSError):  # a closed port on the other side: a lost datagram
            arrived(*sock.recvfrom(65536))

    def _from_device(self, data, address):
        if address not in self._upstream:
            upstream = socket.socket(self._family, socket.SOCK_DGRAM)
            upstream.connect(self._target)
            self._upstream[address] = upstream
            self._listen(upstream, lambda data, _: self._from_server(data, address))
        self._heard(True, data)
        self._upstream[address].send(data)

    def _from_server(self, data, address):
        self._heard(False, data)
        self._socket.sendto(data, address)

    def close(self):
        """Pass nothing more."""
        for sock in (self._socket, *self._upstream.values()):
            self._loop.remove_reader(sock)
            sock.close()
