# A device and the bench server in this process, with a hand on every datagram between them.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# Fixtures are here too; conftest.py hands them on.

import asyncio
import inspect
import os
import random
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest
from aiocoap import Message
from aiocoap.numbers.constants import TransportTuning
from device import Device

from microlwm2m import unixport
from microlwm2m.bench import Account, BenchServer

BOARD = Path(__file__).with_name("board")
TOOLS = Path(__file__).resolve().parents[2] / "tools"
PRODUCT = BOARD / "lwm2m_product.py"

ENDPOINT = "dev"
SENDER, RECIPIENT = b"\xd1\x01", b"\xd2\x02"
# Text, so that a line of a log which has it in any form is easily found.
SECRET, SALT = b"never-in-any-log", b"salty-too"

# Objects of the product that a test looks with.
FREE, COUNT, COUNTED, TEXT, LONG, LONG_LEN, BLOB, MANY, FAIL, FAILING, LEVEL, COUNTERS, LEAVE = [
    "/26300/0/%d" % n for n in range(13)
]


class Quick(TransportTuning):
    """A server whose lost datagrams are repeated soon."""

    ACK_TIMEOUT = 0.1
    ACK_RANDOM_FACTOR = 1.0
    MAX_RETRANSMIT = 8


class Bench:
    """The bench server in a thread of its own: each of its coroutines is a plain call here.

    tap: called in that thread with each Datagram; False loses it.
    """

    def __init__(self, **options):
        self.tap = None
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        options.setdefault("tuning", Quick())
        options.setdefault("port", 0)
        options.setdefault("timeout", 20)
        self.server = self.call(self._make, options)
        self.wait_for(self.server.start(), 10)

    def _make(self, options):
        return BenchServer(tap=lambda d: self.tap is None or self.tap(d), **options)

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def wait_for(self, coroutine, timeout):
        """Run a coroutine in the server's thread; its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout)

    def call(self, function, *args):
        """Call a function in the server's thread."""

        async def inside():
            return function(*args)

        return self.wait_for(inside(), 30)

    def __getattr__(self, name):
        value = getattr(self.server, name)
        if inspect.iscoroutinefunction(value):
            return lambda *args, **kw: self.wait_for(value(*args, **kw), 90)
        if inspect.ismethod(value):
            return lambda *args, **kw: self.call(lambda: value(*args, **kw))
        return value

    def next_of(self, observation, timeout=20):
        """The next notification of an observation, a Result."""
        return self.wait_for(observation.next(timeout), timeout + 5)

    def outcomes(self, tasks):
        """What became of operations that were begun in the server's thread: the code, or the
        reason of a failure without the name of the device."""

        async def all_of():
            return await asyncio.gather(*tasks, return_exceptions=True)

        return [
            str(r).replace(ENDPOINT + " answered ", "") if isinstance(r, Exception) else r.code
            for r in self.wait_for(all_of(), 60)
        ]

    def restart(self):
        """Forget all registrations, contexts and observations, as a new process would."""
        self.call(self._restart)

    def _restart(self):
        server = self.server
        server.registry.clear()
        server.security.forget()
        for observation in list(server.observations.values()):
            observation.end("restarted", report=False)
        server.assembler.bodies.clear()
        for exchange in list(server.endpoint.exchanges.values()):
            server.endpoint.forget(exchange)

    def events(self, name, after=0):
        """Events of that name so far."""
        return [e for e in list(self.server.log.history) if e.name == name and e.number > after]

    @property
    def mark(self):
        """The number of the latest event: wait(..., after=mark) takes only newer ones."""
        return self.server.log.count

    def send(self, data, peer):
        """Put a datagram on the wire from the server's port, whatever it is."""
        self.call(self.send_now, data, peer)

    def send_now(self, data, peer):
        """The same, from the server's own thread: in a tap."""
        self.server.endpoint.messages.message_interface.transport.sendto(data, tuple(peer))

    def take_now(self, data, peer):
        """Give the server a datagram as if it had come from peer; in its own thread."""
        self.server.endpoint.messages.dispatch_message(Message.decode(data, remote=peer))

    def close(self):
        self.wait_for(self.server.stop(), 10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)


class Line:
    """The line between device and server, as Bench.tap: it keeps every datagram, and a plan
    says what becomes of each.

    A plan is a function (number, datagram), where number counts from 0 the datagrams since
    use(plan). It returns True, False (lost), "twice", or "late": after the next one that
    passes, whichever way that goes. It runs in the server's thread.
    """

    def __init__(self, bench):
        self.bench = bench
        self.seen = []
        self.news = threading.Condition()
        self._held = []
        self._plan = None
        self._first = 0

    def use(self, plan):
        """Treat what comes from now on as this plan says; None lets everything pass."""
        self.bench.call(self._use, plan)

    def _use(self, plan):
        self._plan, self._first = plan, len(self.seen)

    def __call__(self, datagram):
        passes = self._pass(datagram)
        with self.news:
            self.news.notify_all()
        return passes

    def _pass(self, datagram):
        number = len(self.seen) - self._first
        self.seen.append(datagram)
        fate = self._plan(number, datagram) if self._plan else True
        if fate == "late":
            self._held.append(datagram)
            return False
        if fate == "twice":
            self.bench.loop.call_soon(self._again, datagram)
        if fate is not False and self._held:
            held, self._held = self._held, []
            for late in held:
                self.bench.loop.call_soon(self._again, late)
        return fate is not False

    def _again(self, datagram):
        if datagram.direction == "in":
            self.bench.take_now(datagram.data, datagram.peer)
        else:
            self.bench.send_now(datagram.data, datagram.peer)

    def device(self):
        """Address of the device, as last heard of."""
        return [d.peer for d in self.seen if d.direction == "in"][-1]


def board(script, *args, input=None):
    """Run board/`script` under MicroPython, with the device's own code on its path; what it printed."""
    done = subprocess.run(
        unixport.command(BOARD / script, *map(str, args)), env=unixport.environment(),
        input=input, capture_output=True, text=True, timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def secrets_in(text):
    """Secrets of the account that text shows, in any of the ways that they may be printed."""
    shown = []
    for secret in (SECRET, SALT):
        for form in (secret.decode(), secret.hex(), secret.hex().upper()):
            if form in text:
                shown.append(form)
    return shown


class Rig:
    """One device and the bench that it registers with.

    bench: Bench. image: the device's flash, provisioned already. line: Line.
    """

    def __init__(self, bench, image):
        self.bench = bench
        self.device = Device(image)
        self.line = Line(bench)
        bench.tap = self.line
        self.began = bench.mark
        self.allowed = ()  # what an event may be that a test brings about on purpose
        self._pings = 0
        self.faults = 0  # "fault:" lines that a test brings about on purpose

    @property
    def environment(self):
        """Where `python -m microlwm2m` finds what it needs."""
        path = os.pathsep.join([str(TOOLS), os.environ.get("PYTHONPATH", "")])
        return dict(os.environ, PYTHONPATH=path)

    def start(self):
        """Start the device and wait until it is registered."""
        after = self.bench.mark
        self.device.start()
        self.registered(after)
        return self

    def registered(self, after=0, timeout=20):
        """Wait for a registration newer than event number `after`."""
        try:
            self.bench.wait("registered", ENDPOINT, timeout, after=after)
        except TimeoutError:
            raise AssertionError("not registered:\n" + self.device.log)

    def read(self, path, **kw):
        """The value of a resource."""
        result = self.bench.read(ENDPOINT, path, **kw)
        assert result.code == "2.05", (path, result.code)
        return result.value

    def write(self, path, value, **kw):
        result = self.bench.write(ENDPOINT, path, value, **kw)
        assert result.code == "2.04", (path, result.code)

    def execute(self, path, arguments="", **kw):
        result = self.bench.execute(ENDPOINT, path, arguments, **kw)
        assert result.code == "2.04", (path, result.code)

    def exchange(self, message):
        """Send one request, whatever it is, and return the answer: an inner Message."""
        server = self.bench.server
        return self.bench.wait_for(server._exchange(server.device(ENDPOINT), message), 20)

    def free(self):
        """The device's free heap, in bytes, after a collection."""
        # The cache of answers holds those of the last requests: first it fills with ours.
        for _ in range(10):
            self.read(FREE)
        # The collector takes what looks like a pointer for one, so that now and then it
        # keeps a block: the best of a few readings is what is free.
        return max(self.read(FREE) for _ in range(5))

    def ping(self, timeout=20):
        """Wait until the device has taken all that it was sent before: its answer to a ping
        (RFC 7252 section 4.3) comes after everything else."""
        until = time.monotonic() + timeout
        while True:
            self._pings = (self._pings + 1) & 0xFFFF
            mid = self._pings.to_bytes(2, "big")
            mark = len(self.line.seen)
            pong = b"\x70\x00" + mid
            self.bench.send(b"\x40\x00" + mid, self.line.device())
            try:
                self.wait_until(lambda: any(d.data == pong for d in self.line.seen[mark:]), 1)
                return
            except AssertionError:  # it was lost: the socket's buffer was full
                assert time.monotonic() < until, self.device.log

    def ended(self):
        """Wait until the device has ended by itself, with all that it says; its exit code."""
        code = self.device.process.wait(20)
        self.device._reader.join(20)
        return code

    def leave(self):
        """Let the device de-register and end; its exit code."""
        self.execute(LEAVE)
        return self.ended()

    def wait_until(self, true, timeout=20):
        """Wait until something that datagrams bring about is so."""
        until = time.monotonic() + timeout
        with self.line.news:
            while not true():
                left = until - time.monotonic()
                assert left > 0 and self.line.news.wait(left), self.device.log

    def check(self):
        """What holds after every test, whatever was done to the device."""
        log = self.device.log
        assert not secrets_in(log)
        assert "Traceback" not in log, log
        assert log.count("fault:") == self.faults, log
        for name in ("nonce-reuse", "complaint"):
            if name not in self.allowed:
                assert not self.bench.events(name, self.began), (name, log)


@pytest.fixture(scope="session")
def shared_bench():
    bench = Bench()
    yield bench
    bench.close()


@pytest.fixture(scope="session")
def template(shared_bench, tmp_path_factory):
    """An image with the account and the product of these tests, to be copied."""
    device = Device(tmp_path_factory.mktemp("template") / "device.img")
    device.provision(
        ENDPOINT, shared_bench.server.uri, SENDER.hex(), RECIPIENT.hex(), SECRET.hex(),
        "--master-salt", SALT.hex(), "--retry-timer", "1",
    )
    board("install.py", device.image, PRODUCT)
    return device.image


def account(**changes):
    values = dict(endpoint=ENDPOINT, sender_id=SENDER, recipient_id=RECIPIENT,
                  master_secret=SECRET, master_salt=SALT)
    return Account(**dict(values, **changes))


@pytest.fixture
def bench(shared_bench):
    """The server, with nothing left of what was before."""
    shared_bench.tap = None
    shared_bench.restart()
    shared_bench.server.endpoint.tuning = Quick()
    shared_bench.server.security.quirks.clear()
    shared_bench.add_account(account())
    yield shared_bench
    shared_bench.tap = None


@pytest.fixture
def rig(bench, template, tmp_path):
    """A device that has been provisioned and not yet started; checked at the end."""
    image = tmp_path / "device.img"
    shutil.copyfile(template, image)
    made = Rig(bench, image)
    with made.device:
        yield made
        made.check()


@pytest.fixture
def seed(request):
    """The seed of a random test, printed; MICROLWM2M_SEED=n repeats a run."""
    value = int(os.environ.get("MICROLWM2M_SEED") or random.SystemRandom().randrange(1 << 32))
    print("seed", value)
    return value
