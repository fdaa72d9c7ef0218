# Starts the emulated boards that `make boards` has built, and speaks to them as mpremote does.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import atexit
import functools
import json
import os
import queue
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from mpremote.romfs import VfsRomWriter
from mpremote.transport import TransportError
from mpremote.transport_serial import SerialTransport

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "boards"))
import images  # noqa: E402
from needs import skip  # noqa: E402

START_S = 30  # a cold emulator on a busy machine
FAULTS = (b" exception caught:", b"MACHINE EXCEPTION CAUGHT:", b"uncaught NLR")


class BoardFault(Exception):
    """The board does what a board must not: a fault, an unaligned access, silence."""


# A file system in memory, which QEMU fills before the start: nothing goes over the serial line.
ROM = """
import os, uctypes, vfs
vfs.mount(vfs.VfsRom(uctypes.bytearray_at(%#x, %d)), "/rom")
os.chdir("/rom")
"""


def romfs(files):
    """ROMFS image of {path: bytes}."""
    tree = {}
    for path, data in sorted(files.items()):
        *folders, name = path.split("/")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
        node[name] = data
    writer = VfsRomWriter()

    def write(node):
        for name, what in node.items():
            if isinstance(what, dict):
                writer.opendir(name)
                write(what)
                writer.closedir()
            else:
                writer.mkfile(name, bytes(what))

    write(tree)
    return bytes(writer.finalise())


running = set()  # processes of boards, of whatever thread


@atexit.register
def _all_off():
    for process in list(running):
        process.kill()


class Board:
    """One emulated board. As a context it is on inside and off after."""

    ARCH = {"M0": "armv6m", "M0_UNMENDED": "armv6m", "PICO": "armv6m", "RV32": "rv32imc"}

    def __init__(self, name):
        self.name = name
        self.process = None
        self.port = None  # of the console, on the loopback
        self.faults = []

    @property
    def arch(self):
        """What mpy-cross calls the board's instructions."""
        return self.ARCH.get(self.name, "armv7m")

    @property
    def target(self):
        """The board's console as mpremote and `microlwm2m` take it."""
        return "socket://127.0.0.1:%d" % self.port

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.stop()

    def start(self):
        raise NotImplementedError

    def stop(self):
        """Power off, at once."""
        if self.process:
            self.process.kill()
            self.process.wait()
            running.discard(self.process)
            for stream in (self.process.stdin, self.process.stdout):
                if stream:
                    stream.close()
            self.process = None

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def settle(self):
        """Return once `faults` has all that there were until now."""


class Qemu(Board):
    """M3, M0 and RV32. seed: of os.urandom. heap: bytes instead of the image's 140 KB; more than
    that, at most MORE, is memory of its own.

    icount: virtual time is 1,024 ns an instruction, so that the clock counts instructions.
    disk: a file on the host that is the M3's disk; it outlives stop(), which is a power cut.
    link: a socket; what the M3 writes to its second serial line comes out of its other end.
    stack: bytes, more than the port's 10 KB.
    watch: ms, after which the console gets a line "heap used=… free=…" when the program waits.
    qmp: path for a socket of QEMU's, which save() needs.
    rom: {path: bytes}, which Repl(rom=True) mounts as /rom, to be read and imported.
    """

    ARGS = {"M0": 0x20080000, "M0_UNMENDED": 0x20080000, "RV32": 0x80700000}
    MORE = {"M0": 0x40000, "M0_UNMENDED": 0x40000}
    # Above the disk. (The M0 ends there: 192 KB.)
    ROM = {"M0": 0x200D0000, "M0_UNMENDED": 0x200D0000, "RV32": 0x80800000}

    def __init__(
        self, name, heap=None, seed=0, icount=False, disk=None, link=None, rom=None, stack=0,
        watch=0, qmp=None,
    ):  # fmt: skip
        super().__init__(name)
        self.heap, self.seed, self.icount, self.disk, self.link = heap, seed, icount, disk, link
        self.stack, self.watch, self.qmp = stack, watch, qmp
        self.rom = romfs(rom) if rom else b""
        self.rom_at = self.ROM.get(name, 0x21200000)
        if name.startswith("M0") and len(self.rom) > 0x30000:
            raise ValueError("rom: %d bytes" % len(self.rom))

    def command(self):
        if self.name == "RV32":
            command = ["qemu-system-riscv32", "-machine", "virt", "-bios", "none"]
        elif self.name.startswith("M0"):
            command = ["qemu-system-arm", "-machine", "microbit"]
            for part in ("flash-size", "sram-size"):
                command += ["-global", "nrf51-soc.%s=1048576" % part]
        else:
            command = ["qemu-system-arm", "-machine", "mps2-an385"]
        if self.disk:
            command += ["-m", "16M", "-machine", "memory-backend=ram0", "-object"]
            command += ["memory-backend-file,id=ram0,mem-path=%s,size=16M,share=on" % self.disk]
        if self.icount:
            command += ["-icount", "shift=10"]
        if self.qmp:
            command += ["-qmp", "unix:%s,server=on,wait=off" % self.qmp]
        at = self.ARGS.get(self.name, 0x21000000)
        for i, word in enumerate((self.heap or 0, self.seed, self.stack, self.watch)):
            command += ["-device", "loader,addr=%#x,data=%d,data-len=4" % (at + 4 * i, word)]
        if self.rom:
            self._rom = tempfile.NamedTemporaryFile(prefix="rom-")
            self._rom.write(self.rom)
            self._rom.flush()
            loader = "loader,file=%s,addr=%#x,force-raw=on" % (self._rom.name, self.rom_at)
            command += ["-device", loader]
        command += ["-nographic", "-monitor", "null", "-semihosting"]
        return command + ["-kernel", str(images.image(self.name))]

    def start(self):
        # The sockets are ours and QEMU inherits them: no port is picked that another may take.
        console = socket.create_server(("127.0.0.1", 0))
        self.port = console.getsockname()[1]
        command = self.command()
        pass_fds = [console.fileno()]
        ends = [(console.fileno(), "server=on,wait=off,nodelay=on")]
        if self.link:
            pass_fds.append(self.link.fileno())
            ends.append((self.link.fileno(), "server=off"))
        for i, (fd, how) in enumerate(ends):
            command += ["-chardev", "socket,id=c%d,fd=%d,%s" % (i, fd, how)]
            command += ["-serial", "chardev:c%d" % i]
        with console:
            self.process = subprocess.Popen(
                command, pass_fds=pass_fds, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip
        running.add(self.process)

    def save(self, file, at, size):
        """Stop the board and write so many bytes of its memory, from an address, to a file."""
        memory = {"val": at, "size": size, "filename": str(file)}
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(str(self.qmp))
            answers = monitor.makefile()
            for command, arguments in (("qmp_capabilities", {}), ("stop", {}), ("pmemsave", memory)):
                monitor.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
                answer = {}
                while "return" not in answer:  # a greeting and events come between
                    answer = json.loads(answers.readline())
                    if "error" in answer:
                        raise OSError(answer["error"]["desc"])


class Pico(Board):
    """A Raspberry Pi Pico in rp2040js, with PPP to this machine's loopback as 10.64.0.1.

    flash: a file that outlives the board. jump: idle time passes at once instead of as it says;
    not with a peer on the network.
    """

    def __init__(self, flash=None, jump=False):
        super().__init__("PICO")
        self.flash, self.jump = flash, jump

    def start(self):
        self.events, self.answers = queue.Queue(), queue.Queue()  # with none of a process before
        rom, uf2 = images.OUT / "PICO" / "bootrom.bin", images.image("PICO")
        main = Path(__file__).with_name("pico") / "main.mjs"
        command = ["node", str(main), "--uf2", str(uf2), "--rom", str(rom)]
        if self.flash:
            command += ["--flash", str(self.flash)]
        if self.jump:
            command += ["--jump"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=dict(os.environ, MICROLWM2M_NODE=str(images.OUT / "node")),
        )  # fmt: skip
        running.add(self.process)
        reads = self.process.stdout, self.events, self.answers
        threading.Thread(target=self._read, args=reads, daemon=True).start()
        self.port = self.wait_for("listening")["port"]

    def _read(self, stream, events, answers):
        try:
            for line in stream:
                event = json.loads(line)
                if event["event"] == "fault":
                    self.faults.append(event["text"])
                else:
                    (answers if event["event"] == "stats" else events).put(event)
        except ValueError:
            pass  # closed under us
        for place in (events, answers):
            place.put({"event": "gone"})

    def wait_for(self, name, timeout=START_S, unless=None):
        """The next event of that name; those before it are dropped. None when unless() holds."""
        until = time.monotonic() + timeout
        while True:
            try:
                event = self.events.get(timeout=0.1)
            except queue.Empty:
                if unless and unless():
                    return None
                if time.monotonic() < until:
                    continue
                raise BoardFault("no %s from the Pico in %s s" % (name, timeout))
            if event["event"] == name:
                return event
            if event["event"] == "gone":
                raise BoardFault("the emulator has ended")

    def tell(self, do, **more):
        self.process.stdin.write(json.dumps({"do": do, **more}) + "\n")
        self.process.stdin.flush()

    def cut_after(self, operations):
        """Power goes in the middle of the n-th flash operation from now; event `cut`."""
        self.tell("cut", after=operations)

    def power(self, cut_after=0):
        """Off and on again; it goes off again in the middle of that flash operation."""
        self.tell("power", after=cut_after)

    def stats(self):
        self.tell("stats")
        try:
            return self.answers.get(timeout=START_S)
        except queue.Empty:
            raise BoardFault("no stats from the Pico in %s s" % START_S)

    def settle(self):
        # It says a fault before what the board prints next, but on another way than that.
        self.stats()

    def quit(self):
        """End the emulator and write the flash."""
        self.tell("quit")
        self.process.wait(10)
        self.stop()


class _Transport(SerialTransport):
    """mpremote's, which gives a board 10 s for each answer of its REPL: not enough for an emulator
    that a busy machine hardly lets run."""

    def read_until(self, min_num_bytes, ending, timeout=6 * START_S, **kw):
        return super().read_until(min_num_bytes, ending, timeout, **kw)


class Repl:
    """A board's raw REPL over mpremote's transport.

    root: a folder that the board sees, read from here, as /remote.
    rom: mount what the board has in its rom, and go there.
    """

    def __init__(self, board, root=None, rom=False):
        self.board = board
        until = time.monotonic() + START_S
        while True:
            try:
                self.transport = _Transport(board.target, timeout=START_S)
                nodelay = socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
                self.transport.serial._socket.setsockopt(*nodelay)
                self.transport.enter_raw_repl(soft_reset=False)
                break
            except (TransportError, OSError) as e:
                if time.monotonic() > until:
                    raise BoardFault("no prompt: %s" % e)
        if root:
            self.transport.mount_local(str(root))
        if rom:
            self.run(ROM % (board.rom_at, len(board.rom)))

    def run(self, code, timeout=30):
        """Run code and return what it printed. BoardFault when it raises, faults or takes longer
        than timeout (seconds); after that the board is of no use."""
        before = len(self.board.faults)
        try:
            self.transport.exec_raw_no_follow(code)
            out, error = self._follow(timeout)
            self.board.settle()
        except (TransportError, OSError) as e:
            raise BoardFault(str(e))
        if self.board.faults[before:]:
            raise BoardFault("\n".join(self.board.faults[before:]))
        if error:
            raise BoardFault(out + error)
        return out

    def until_gone(self, code, timeout=60):
        """Run code until the power goes, and return the whole lines that it printed."""
        self.transport.exec_raw_no_follow(code)
        data = b""
        self.transport_socket.settimeout(timeout)
        while chunk := self.transport_socket.recv(4096):
            data += chunk
        return data[: data.rfind(b"\n") + 1].decode()

    # As SerialTransport.follow, but sees a fault at once and has one limit for it all.
    def _follow(self, timeout):
        until = time.monotonic() + timeout
        parts = [b"", b""]
        i = 0
        serial = self.transport.serial
        while i < 2:
            if serial.inWaiting():
                char = serial.read(1)
                if char == b"\x04":
                    i += 1
                else:
                    parts[i] += char
                continue
            if any(mark in parts[0] for mark in FAULTS):
                time.sleep(0.2)
                while serial.inWaiting():
                    parts[0] += serial.read(1)
                raise BoardFault(parts[0].decode("utf-8", "replace"))
            if time.monotonic() > until:
                text = parts[0].decode("utf-8", "replace")
                raise BoardFault("%s\nnothing more after %s s" % (text, timeout))
            if not self.board.alive():
                raise BoardFault(parts[0].decode("utf-8", "replace") + "\nthe emulator has ended")
            select.select([self.transport_socket], [], [], 0.05)
        return [part.decode("utf-8", "replace") for part in parts]

    @property
    def transport_socket(self):
        serial = self.transport.serial
        return getattr(serial, "orig_serial", serial)._socket

    def close(self):
        self.transport.serial.close()


def make(name, **kw):
    """A board by its name, off."""
    return Pico(**kw) if name == "PICO" else Qemu(name, **kw)


@functools.lru_cache(maxsize=None)
def why_not(name):
    if os.environ.get("MICROLWM2M_STALE") == "1" and images.image(name).exists():
        return None  # while one edits, against the image of before
    return images.why_not(name)


def need_board(name):
    """Skip aloud unless the board can be run and its image is that of the checkout."""
    why = why_not(name)
    if why:
        skip(why)
