# CPU time of an exchange over UDP on the loopback: the device as server, and aiocoap as server.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# loopback.py BATCHES [ARGUMENT...]  prints what each took, in us: least, median and most of so
# many batches. ARGUMENT: of `microlwm2m device`, as --heap 1M
#
# Both are asked by one client, the same code for both: it blocks on a socket, the datagrams are
# sealed beforehand, the answers are opened afterwards, one exchange at a time. What is measured is
# the process that answers, by the same clock; what the client takes counts for neither. It must
# be short, though: a server that waits long for the next request finds its caches cold.
#
# All of them run on one core, where the system lets us choose. To wake a process on another core is
# an interrupt there, which a virtual machine's host delivers: 20 to 30 us on some, which the sender
# is charged with, and which says nothing of either server.

import asyncio
import contextlib
import os
import socket
import statistics
import subprocess
import sys
from pathlib import Path

import aiocoap
from aiocoap.numbers import types
from aiocoap_side import DEVICE, SERVER, Context, sealed_read
from cases import SECRET
from modules import OUT, ROOT

from microlwm2m.bench import Account, BenchServer

BATCH = 500
NAME = "bench"


def cpu_ns(pid):
    """Nanoseconds that a process (of one thread) has run; Linux alone tells."""
    try:
        return int(Path("/proc/%d/schedstat" % pid).read_text().split()[0])
    except (OSError, ValueError):
        fields = Path("/proc/%d/stat" % pid).read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * 1000000000 // os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def one_core():
    """This process, and those that it begins meanwhile, run on one core."""
    if not hasattr(os, "sched_setaffinity"):  # Linux alone has it
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Side:
    """A server, and how it is asked. Set by who makes it: process; sock, a socket with a
    timeout; peer, the server's address; context, the client's half of OSCORE; expected, the
    payload of each answer."""

    number = 0
    sock = None

    def batch(self, n):
        """Nanoseconds of CPU that the server takes for each of n Reads."""
        asked = []
        for _ in range(n):
            self.number += 1
            asked.append(sealed_read(self.context, self.number))
        sendto, recv = self.sock.sendto, self.sock.recv
        peer, answers = self.peer, []
        start = cpu_ns(self.process.pid)
        for datagram, _ in asked:
            sendto(datagram, peer)
            answer = recv(2000)
            if len(answer) == 4:
                # An empty ACK: the server had to wait for a core, and answers by itself.
                answer = recv(2000)
                sendto(b"\x60\x00" + answer[2:4], peer)
            answers.append(answer)
        took = cpu_ns(self.process.pid) - start
        for (datagram, binding), answer in zip(asked, answers):
            self.check(datagram, binding, answer)
        return took / n

    def check(self, datagram, binding, answer):
        """RuntimeError where an answer is not the one to this request, or has another payload."""
        sent, outer = aiocoap.Message.decode(datagram), aiocoap.Message.decode(answer)
        expected = outer.mtype is types.CON or (outer.mtype, outer.mid) == (types.ACK, sent.mid)
        if not expected or (outer.token, outer.code) != (sent.token, aiocoap.CHANGED):
            raise RuntimeError("answered %s to %s" % (answer.hex(), datagram.hex()))
        inner, _ = self.context.unprotect(outer, binding)
        if (inner.code, inner.payload) != (aiocoap.CONTENT, self.expected):
            raise RuntimeError("answered %s %r" % (inner.code, inner.payload))


class Aiocoap(Side):
    """aiocoap's server. payload: what it answers."""

    def __init__(self, payload):
        self.expected = payload
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(("127.0.0.1", 0))
            self.peer = s.getsockname()
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("aiocoap_side.py"), "server",
             str(self.peer[1]), payload.hex()],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        if self.process.stdout.readline() != "READY\n":
            raise RuntimeError("aiocoap's server does not start")
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.settimeout(10)
        self.context = Context(SERVER, DEVICE)

    def close(self):
        self.sock.close()
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(10)


class Device(Side):
    """The firmware on the unix port, registered with an LwM2M server, whose socket and security
    context ask it. arguments: more of them for `microlwm2m device`."""

    def __init__(self, server, arguments=()):
        self.server, self.arguments = server, arguments
        image = OUT / "loopback.img"
        image.unlink(missing_ok=True)
        self.command = [sys.executable, "-m", "microlwm2m"]
        ids = ["--sender-id", DEVICE.hex(), "--recipient-id", SERVER.hex()]
        subprocess.run(
            [*self.command, "provision", "file:%s" % image, "--endpoint", NAME, "--server",
             server.uri, *ids, "--master-secret", "-"],
            input=SECRET.hex() + "\n", text=True, check=True, capture_output=True,
            env=self.environment(),
        )  # fmt: skip
        self.image = image

    def environment(self):
        return dict(os.environ, PYTHONPATH=str(ROOT / "tools"))

    async def start(self):
        self.process = subprocess.Popen(
            [*self.command, "device", "file:%s" % self.image, *self.arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=self.environment(),
        )  # fmt: skip
        registration = await self.server.registered(NAME, 30)
        # What it is read for, as the server sees it.
        result = await self.server.read(NAME, "/3/0/0")
        if not result.value:
            raise RuntimeError("the device answered %r" % result)
        self.expected = result.payload
        self.peer = tuple(registration.peer)
        # Behind the message IDs that the device has seen.
        self.number = self.server.endpoint.messages.message_id
        self.context = self.server.security.states[NAME].current
        own = self.server.endpoint.messages.message_interface.transport.get_extra_info("socket")
        self.sock = socket.socket(fileno=os.dup(own.fileno()))
        self.sock.settimeout(10)

    def close(self):
        self.process.kill()
        self.process.wait()
        if self.sock is not None:
            self.sock.close()


async def measure(batches, arguments=()):
    """ns an exchange of the device, and of aiocoap's server: two lists of so many batches of
    BATCH exchanges, the two in turn. arguments: as for Device."""
    OUT.mkdir(parents=True, exist_ok=True)
    account = Account(NAME, DEVICE, SERVER, SECRET)
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(one_core())
        server = await stack.enter_async_context(BenchServer([account], port=0))
        device = Device(server, arguments)
        try:
            await device.start()
            other = Aiocoap(device.expected)
            try:
                device.batch(50)
                other.batch(50)
                ours, theirs = [], []
                for _ in range(batches):
                    theirs.append(other.batch(BATCH))
                    ours.append(device.batch(BATCH))
            finally:
                other.close()
        finally:
            device.close()
    return ours, theirs


async def compare(batches):
    """(ns of the device, ns of aiocoap's server) an exchange: the medians of so many batches."""
    ours, theirs = await measure(batches)
    return statistics.median(ours), statistics.median(theirs)


if __name__ == "__main__":
    ours, theirs = asyncio.run(measure(int(sys.argv[1]), sys.argv[2:]))
    for name, batches in (("device", ours), ("aiocoap", theirs)):
        us = (min(batches) / 1000, statistics.median(batches) / 1000, max(batches) / 1000)
        print("%-8s %7.1f %7.1f %7.1f" % (name, *us))
    print("ratio: of the least %.2f, of the medians %.2f" % (
        min(theirs) / min(ours), statistics.median(theirs) / statistics.median(ours)
    ))  # fmt: skip
