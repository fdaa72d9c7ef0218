# TARGET of the provisioning verbs: a board's REPL, or the flash image of a device.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import contextlib
import io
import os
import struct
import subprocess

from . import unixport
from .errors import Refused, UsageError

HELP = (
    "file:PATH, the flash image of a device on this machine; or a board, as mpremote's connect"
    " takes it: auto, id:SERIAL, a serial port, socket://HOST:PORT"
)

_TIMEOUT_S = 60  # writing flash and a soft reset stay far below
_READ_TIMEOUT_S = 2
_ENTER_TIMEOUT_S = 5  # for a program on the board to give way
_MARK = "lwm2m_setup: "  # begins the last line of lwm2m_setup.run()

BLOCK = 4096
BLOCKS = range(64, 257)


def parse(text):
    """The target that `text` names; nothing is opened."""
    if text.startswith("file:"):
        path = text[len("file:") :]
        if not path or path.endswith("/"):
            raise UsageError("file: needs the path of an image, as in file:device.img")
        return Image(path)
    if not text or text == "list":
        raise UsageError("TARGET must be file:PATH or a board")
    if os.path.isfile(text):
        # Its `file:` was forgotten; it would be opened as a serial port.
        raise UsageError("TARGET %s is a file; say file:%s" % (text, text))
    return Board(text)


def _outcome(lines):
    """What lwm2m_setup.run() printed, without its last line; Refused when it says so."""
    while lines and not lines[-1].strip():
        lines.pop()
    last = lines.pop().strip() if lines else ""
    if last == _MARK + "ok":
        return lines
    if last.startswith(_MARK + "refused: "):
        raise Refused(last[len(_MARK + "refused: ") :])
    # Its text is not shown: something unknown said it, next to keys.
    raise Refused("no answer from the device's lwm2m_setup; nothing is known to have changed")


class Image:
    """The flash of a device on the unix port, in a file."""

    def __init__(self, path):
        self.path = path

    def __str__(self):
        return "file:" + self.path

    @contextlib.contextmanager
    def locked(self):
        """Open the image and hold it for one process; gives the open descriptor.

        The lock belongs to the open file, so whoever inherits the descriptor holds
        it to its end, however that comes.
        """
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            raise Refused("%s does not exist: microlwm2m provision makes it" % self.path) from None
        except OSError as e:
            raise Refused("%s: %s" % (self.path, e.strerror)) from None
        try:
            self._lock(fd)
            self._check(fd)
            yield fd
        finally:
            os.close(fd)

    def _lock(self, fd):
        import fcntl

        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Refused(
                "%s is in use: a device runs on it, or is being provisioned" % self.path
            ) from None

    def _check(self, fd):
        size = os.fstat(fd).st_size
        head = os.pread(fd, BLOCK + 64, 0)
        if (
            size % BLOCK
            or size // BLOCK not in BLOCKS
            or b"littlefs" not in (head[8:16], head[BLOCK + 8 : BLOCK + 16])
        ):
            raise Refused("%s is not a flash image of a device" % self.path)

    def call(self, verb, *args):
        """lwm2m_setup.run(verb, *args) on the image; the lines it printed.

        For apply, an image that does not exist is made. It gets its name only when
        it has its configuration, so a refusal leaves nothing behind.
        """
        if verb == "apply" and not os.path.lexists(self.path):
            return self._create(verb, args)
        with self.locked() as fd:
            return self._run(self.path, [(verb, args)], fd)

    def _create(self, verb, args):
        new = self.path + ".new"
        try:
            # Keys will be in it: for its owner alone.
            fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as e:
            raise Refused("%s: %s" % (new, e.strerror)) from None
        try:
            self._lock(fd)
            # What was locked must still be at its place: somebody may have finished
            # and renamed it between the two calls.
            try:
                ours = os.path.samestat(os.fstat(fd), os.stat(new))
            except FileNotFoundError:
                ours = False
            if not ours or os.path.lexists(self.path):
                raise Refused("%s was made by somebody else meanwhile" % self.path)
            try:
                lines = self._run(new, [("create", ()), (verb, args)], fd)
                os.rename(new, self.path)
                return lines
            except BaseException:
                os.unlink(new)
                raise
        finally:
            os.close(fd)

    def _run(self, path, calls, fd):
        # The arguments hold keys: they go by the pipe, where `ps` does not look.
        text = "".join("%s %s\n" % (verb, " ".join(a.hex() for a in args)) for verb, args in calls)
        try:
            done = subprocess.run(
                unixport.command("setup.py", os.path.abspath(path)),
                input=text.encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=unixport.environment(),
                pass_fds=(fd,),
                timeout=_TIMEOUT_S,
            )
        except subprocess.TimeoutExpired:
            raise Refused("the interpreter did not end in %d s" % _TIMEOUT_S) from None
        return _outcome(done.stdout.decode(errors="replace").splitlines())


class Board:
    """A board at a serial port or a socket, by mpremote.

    mpremote is used as a library and not as a program: as a program it would take
    the code to run, and the keys in it, from its command line. The raw REPL that
    its transport speaks does not echo.
    """

    def __init__(self, name):
        self.name = name

    def __str__(self):
        return self.name

    def _connect(self):
        import serial
        import serial.tools.list_ports
        from mpremote.transport_serial import SerialTransport

        if self.name == "auto" or self.name.startswith("id:"):
            wanted = self.name[len("id:") :] if self.name != "auto" else None
            names = [
                p.device
                for p in sorted(serial.tools.list_ports.comports())
                if p.vid is not None and (wanted is None or p.serial_number == wanted)
            ]
            if not names:
                raise Refused(
                    "no board found" if wanted is None else "no board with serial number " + wanted
                )
        else:
            names = [self.name[len("port:") :] if self.name.startswith("port:") else self.name]
        why = ""
        for name in names:
            try:
                # The timeout is for a silent line: without it a read may never return.
                return SerialTransport(name, baudrate=115200, timeout=_READ_TIMEOUT_S)
            except Exception as e:  # mpremote's, pyserial's, the system's
                why = str(e)
        raise Refused(
            "%s cannot be opened (is it plugged in, and no other program using it?): %s"
            % (self.name, why)
        )

    def call(self, verb, *args):
        """lwm2m_setup.run(verb, *args) on the board; the lines it printed.

        The board is reset before, for a clean heap, and after, so that it starts
        with what it now has.
        """
        from mpremote.transport import TransportError

        # mpremote prints what it did not expect, and that may be anything.
        with contextlib.redirect_stdout(io.StringIO()):
            transport = self._connect()
            try:
                lines = self._talk(transport, verb, args)
            except (TransportError, struct.error):  # the latter from a torn raw-paste header
                raise Refused("no MicroPython REPL answers at %s" % self.name) from None
            except OSError as e:
                raise Refused("%s went away: %s" % (self.name, e.strerror or e)) from None
            finally:
                with contextlib.suppress(OSError, TransportError):
                    transport.close()
        return _outcome(lines)

    def _talk(self, transport, verb, args):
        transport.enter_raw_repl(soft_reset=False, timeout_overall=_ENTER_TIMEOUT_S)
        platform = self._exec(transport, "import sys\nprint(sys.platform)").strip()
        # The unix port ends where a board resets.
        board = platform not in ("linux", "darwin")
        if board:
            transport.enter_raw_repl(soft_reset=True)
        found = self._exec(
            transport,
            "try:\n import lwm2m_setup\n print('found')\nexcept ImportError as e:\n print(e)",
        )
        if found.strip() != "found":
            raise Refused(
                "the board has no microlwm2m (%s): install it, or flash its firmware"
                % " ".join(found.split())
            )
        # repr of bytes, not hex text: a short str in code is interned for good.
        code = "lwm2m_setup.run(%s)" % ", ".join(repr(a) for a in (verb, *args))
        out = self._exec(transport, code)
        transport.exit_raw_repl()
        if board:
            transport.read_until(1, b">>> ", timeout=_READ_TIMEOUT_S)
            transport.serial.write(b"\x04")
            transport.serial.flush()
        return out.splitlines()

    @staticmethod
    def _exec(transport, code):
        out, err = transport.exec_raw(code, timeout=_TIMEOUT_S)
        # A traceback names no values, but what raised it may: it is not passed on.
        return out.decode(errors="replace") if not err else ""
