# CPU time of an exchange over UDP on the loopback: the device as server, and aiocoap as server.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import aiocoap
from aiocoap_side import DEVICE, SERVER, Context, read
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


class Aiocoap:
    """aiocoap's server, asked with datagrams that were sealed beforehand."""

    def __init__(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("aiocoap_side.py"), "server", str(port)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        if self.process.stdout.readline() != "READY\n":
            raise RuntimeError("aiocoap's server does not start")
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.settimeout(10)
        self.sock.connect(("127.0.0.1", port))
        self.context = Context(SERVER, DEVICE)
        self.number = 0

    async def batch(self, n):
        data = []
        for _ in range(n):
            self.number += 1
            data.append(read(self.context, self.number))
        start = cpu_ns(self.process.pid)
        for datagram in data:
            self.sock.send(datagram)
            out = self.sock.recv(2000)
            if out[1] != aiocoap.CHANGED or out[4:6] != datagram[4:6]:
                raise RuntimeError("aiocoap's server answered %s" % out.hex())
        return (cpu_ns(self.process.pid) - start) / n

    def close(self):
        self.sock.close()
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(10)


class Device:
    """The firmware on the unix port, read by the LwM2M server it has registered with."""

    def __init__(self, server):
        self.server = server
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
            [*self.command, "device", "file:%s" % self.image],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=self.environment(),
        )  # fmt: skip
        await self.server.registered(NAME, 30)

    async def batch(self, n):
        start = cpu_ns(self.process.pid)
        for _ in range(n):
            result = await self.server.read(NAME, "/3/0/0")
            if result.code != "2.05":
                raise RuntimeError("the device answered " + result.code)
        return (cpu_ns(self.process.pid) - start) / n

    def close(self):
        self.process.kill()
        self.process.wait()


async def compare(batches):
    """(ns of the device, ns of aiocoap's server) an exchange: the least of so many batches of
    BATCH exchanges, the two in turn."""
    OUT.mkdir(parents=True, exist_ok=True)
    account = Account(NAME, DEVICE, SERVER, SECRET)
    async with BenchServer([account], port=0) as server:
        device, other = Device(server), Aiocoap()
        try:
            await device.start()
            await device.batch(50)
            await other.batch(50)
            ours, theirs = [], []
            for _ in range(batches):
                theirs.append(await other.batch(BATCH))
                ours.append(await device.batch(BATCH))
        finally:
            other.close()
            device.close()
    return min(ours), min(theirs)


if __name__ == "__main__":
    ours, theirs = asyncio.run(compare(int(sys.argv[1])))
    print(ours, theirs, theirs / ours)
