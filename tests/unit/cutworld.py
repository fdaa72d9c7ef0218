# A device with its servers in one process: its flash is watched, its power can go at any write.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# The device is the whole product (lwm2m_begin.make_client, its driver, its stores) on a file system
# in RAM. The servers are endpoints with oscore.Account. There is no socket, and the clock is ours.

import coap.message as m
import lwm2m.client as driver
import lwm2m_app
import lwm2m_begin
import lwm2m_flash
import lwm2m_restart
import oscore.context
from coap.endpoint import Endpoint
from flashstore import Store
from lwm2m.formats import get as format_of
from lwm2m.types import BOOLEAN, INTEGER, OBJLNK, OPAQUE, STRING
from oscore import Account, Context
from oscorepair import Rand
from powercut import Device

SENML = 112
# What the watched store's paths are without their mount point.
CONFIG, COUNTERS, RECORD = "/lwm2m", "/lwm2m-n", "/lwm2m-r"
# World.until() is what waits, not asyncio.
driver.doze = lambda ms: None


class Frozen:
    """A port whose generator gives the same bytes for ever: whatever differs comes from flash."""

    @staticmethod
    def urandom(n):
        return bytes(n)


class Clock:
    """Time, the same for all."""

    now = 0


class Nonces:
    """Every (key, nonce) that a device seals with: none may come twice in a world.

    The main world remembers in which order. A world that begins with a power cut in it is bound
    by what was used before the cut; what the main world does afterwards never was, for it.
    bad: what was wrong, since the device goes on whatever its hooks raise.
    """

    def __init__(self):
        self.main = {}
        self.branch = None
        self.limit = 0
        self.bad = []
        self.device = False  # whether it is the device's turn: servers are not looked at

    def __call__(self, key, nonce, sealed):
        if not self.device:
            return
        pair = key + nonce
        if self.branch is None:
            if pair in self.main:
                self.bad.append("a nonce was used twice")
            self.main[pair] = len(self.main)
            return
        if self.main.get(pair, self.limit) < self.limit:
            self.bad.append("a nonce of before the cut was used again")
        if pair in self.branch:
            self.bad.append("a nonce was used twice after the cut")
        self.branch.add(pair)


nonces = Nonces()
oscore.context.on_seal = nonces


class Watched(Device):
    """A block device that notes each write and erase before it happens."""

    watch = None

    def _note(self, at, data):
        if self.watch is not None:
            self.watch.append((at, data, flash.state()))

    def writeblocks(self, block, buf, offset=0):
        at = block * self.size + offset
        step = len(buf) if self.flash else self.size
        for pos in range(0, len(buf), step):
            self._note(at + pos, bytes(memoryview(buf)[pos : pos + step]))
            self.data[at + pos : at + pos + step] = memoryview(buf)[pos : pos + step]
        return 0

    def ioctl(self, op, arg):
        if op == 6 and self.flash:
            self._note(arg * self.size, b"\xff" * self.size)
        return super().ioctl(op, arg)


class Flash:
    """What the stores of a device hold, as their commits say: committed, and while one is under
    way what it will be. Stores of several devices are told apart by the mount point."""

    def __init__(self):
        self.main = {}
        self.pending = {}
        self.commits = 0

    def state(self):
        """What a cut now has to leave: for each store one of several contents; and how many
        nonces were used."""
        may = {path: (self.main[path],) for path in self.main}
        for path in self.pending:
            may[path] = (self.main.get(path, {}), self.pending[path])
        return may, len(nonces.main)


flash = Flash()

_write, _erase = Store._write, Store.erase


def _watched(self, records, do, *args):
    path = self.backend.path
    if not path.startswith("/pc/"):
        return do(self, *args)
    path = path[3:]
    flash.pending[path] = records
    do(self, *args)
    flash.commits += 1
    flash.main[path] = records
    del flash.pending[path]


Store._write = lambda self, records: _watched(self, records, _write, records)
Store.erase = lambda self: _watched(self, {}, _erase)


class Way:
    """A socket of the device's, towards one server."""

    def __init__(self, device, host):
        self.device = device
        self.host = host

    def sendto(self, data, peer):
        self.device.world.net.append((self.host, self, bytes(data)))


class Board:
    """The device. mount: where its flash is; world: its servers."""

    def __init__(self, world, mount):
        self.world = world
        self.mount = mount
        self.client = self.run = None
        self.lines = []

    def say(self, text):
        self.lines.append(text)

    def use(self):
        """Let what opens stores find this device's."""
        mount = self.mount
        lwm2m_restart.open_record = lwm2m_flash.open_record = lambda iid: Store("%s%s%d" % (mount, RECORD, iid), 512)
        lwm2m_app.log = self.say

    def store(self):
        return Store(self.mount + CONFIG)

    def start(self):
        """Power on."""
        self.use()
        self.lines = []
        client, _ = lwm2m_begin.make_client(
            None, self.store(), Store(self.mount + COUNTERS, 512), random=self.world.random
        )
        client.now = lambda: Clock.now
        client.connect = self._connect
        client.disconnect = lambda session: session.detach()
        self.client = client
        self.run = client.run()
        return client

    def off(self):
        """Power off, without a word."""
        self.client = self.run = None
        self.world.net = []

    def stop(self):
        """A clean stop."""
        self.client.stop()
        self.world.until(lambda: self.run is None)
        self.off()

    def _connect(self, session):
        host = session.security.uri[7:]
        session.attach(Way(self, host), host)
        return True

    def step(self):
        """Let it do what is due; when it wants to be called again."""
        nonces.device = True
        try:
            next(self.run)
            return self.client._until
        except StopIteration:
            self.run = None
        finally:
            nonces.device = False

    def receive(self, way, data):
        if self.client is None:
            return
        nonces.device = True
        for session in self.client.sessions:
            if session.transport is way:
                session.endpoint.receive(data, way.host, Clock.now)
        nonces.device = False

    @property
    def account(self):
        return self.client.accounts[0]

    def registered(self):
        client = self.client
        return client.sessions is client.accounts and self.account.location is not None


class Server:
    """An LwM2M server or Bootstrap-Server. keys: instance of /21 as the device has it."""

    def __init__(self, world, host, keys):
        self.world = world
        self.host = host
        self.way = None
        self.kept = []  # what it sent, newest last
        self.took = 0
        self.boots = []
        self.use(keys)

    def use(self, keys):
        """Serve with these keys from now on, and know nothing of what was."""
        self.keys = keys
        self.hook = Account(
            keys[0], keys[2], keys[1], keys.get(5) or b"", keys.get(3) or 10, random=self.world.random
        )
        self.observation = None
        self.endpoint = Endpoint(self._send, self.world.random, self._serve, self.hook)

    def know(self, other, ahead=0):
        """Be in the context of another server that has the same keys."""
        theirs = other.hook.ctx
        if theirs is not None and other.keys[0] == self.keys[0]:
            self.hook.ctx = ctx = Context(self.hook._params, theirs.id_context)
            ctx.seq = theirs.seq + ahead
            window = theirs.window
            ctx.window.highest, ctx.window.missing = window.highest, window.missing

    def _send(self, data, way):
        self.kept.append(bytes(data))
        del self.kept[:-4]
        self.world.net.append((None, way, bytes(data)))

    def receive(self, data, way):
        self.way = way
        self.endpoint.receive(data, way, Clock.now)

    def _serve(self, request, way, responder):
        path = request.path()
        if request.code != m.GET:
            self.took += 1
        if path == ["bs"]:
            self.boots.append(way)
            return m.Message(m.CHANGED)
        if path == ["rd"]:
            return m.Message(m.CREATED).add(m.LOCATION_PATH, "rd").add(m.LOCATION_PATH, "5")
        if path == ["rd", "5"]:
            return m.Message(m.DELETED if request.code == m.DELETE else m.CHANGED)
        raise m.Error(m.NOT_FOUND)

    def ask(self, code, path, payload=b"", ct=SENML, observe=False):
        """A request to the device; the code of its answer, or what became of it instead."""
        msg = m.Message(code, payload=payload)
        for part in path:
            msg.add(m.URI_PATH, str(part))
        if payload:
            msg.add(m.CONTENT_FORMAT, ct)
        got = []
        if observe and self.observation:
            self.endpoint.cancel(self.observation)  # of an earlier run of the device
        exchange = self.endpoint.request(
            msg,
            self.way,
            Clock.now,
            lambda exchange, response, error: got.append(error or response.code),
            observe=observe,
        )
        self.world.until(lambda: got)
        if observe:
            self.observation = exchange
            self.notes = got
        return got[0]

    def write(self, path, values):
        """A Bootstrap-Write of an instance. values: {resource: (type, value)}."""
        buf = bytearray(400)
        nodes = [(path + (rid,), values[rid][0], values[rid][1]) for rid in sorted(values)]
        n = format_of(SENML).encode(path, nodes, buf)
        return self.ask(m.PUT, path, bytes(buf[:n]))


class World:
    """A device, the net, and servers by the host of their URI."""

    def __init__(self, mount, seed):
        self.random = Rand(seed)
        self.net = []
        self.after = None  # called when the device has done something
        self.servers = {}
        self.board = Board(self, mount)

    def settle(self):
        """Deliver all that is under way; when the device wants to be called again."""
        board = self.board
        wake = None
        for _ in range(200):
            while self.net:
                host, way, data = self.net.pop(0)
                if host is None:
                    board.receive(way, data)
                    if self.after:
                        self.after()
                elif host in self.servers:
                    self.servers[host].receive(data, way)
            if board.run is None:
                return None
            wake = board.step()
            if self.after:
                self.after()
            if not self.net:
                return wake
        raise AssertionError("no end of it:\n" + "\n".join(board.lines[-20:]))

    def until(self, done, steps=60):
        """Go on, and let time pass, until done()."""
        for _ in range(steps):
            wake = self.settle()
            if done():
                return
            for server in self.servers.values():
                due = server.endpoint.poll(Clock.now)
                if due is not None and (wake is None or due < wake):
                    wake = due
            if not self.net:
                assert wake is not None, "nothing is due:\n" + "\n".join(self.board.lines)
                Clock.now = max(Clock.now, wake)
        raise AssertionError("it does not come up:\n" + "\n".join(self.board.lines))

    def start(self):
        """Power on, until it is registered."""
        self.board.start()
        self.until(self.board.registered)
        return self.board


def server_objects(host, ssid, keys, lifetime):
    """What a Bootstrap-Server writes for one server: [(path, {resource: (type, value)})]."""
    uri = "coap://" + host
    security = {0: (STRING, uri), 1: (BOOLEAN, False), 2: (INTEGER, 3), 10: (INTEGER, ssid)}
    security.update({rid: (OPAQUE, b"") for rid in (3, 4, 5)})
    security[17] = (OBJLNK, (21, 1))
    server = {0: (INTEGER, ssid), 1: (INTEGER, lifetime), 6: (BOOLEAN, False), 7: (STRING, "U")}
    return [
        ((21, 1), {rid: (OPAQUE, keys[rid]) for rid in (0, 1, 2)}),
        ((0, 1), security),
        ((1, 0), server),
    ]
