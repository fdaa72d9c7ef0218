# Reads a board's console while its program runs, and provisions the board beforehand.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import re
import socket
import subprocess
import sys
import threading
import time

from emulator import Repl

# The network of those in QEMU is there from the start.
MAIN = "import lwm2m_app\nlwm2m_app.main()\n"
CONNECT = {"PICO": "import modem\nmodem.connect()\n"}


class Console:
    """The lines that a board prints, in the order of their coming. Where the power goes, it is
    there again when that comes back."""

    def __init__(self, board):
        self.board = board
        self.lines = []
        self.taken = 0
        self._changed = threading.Condition()
        self._closed = False
        self._socket = socket.create_connection(("127.0.0.1", board.port))
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while not self._closed:
            with self._socket.makefile("r", encoding="utf-8", errors="replace") as stream:
                try:
                    for line in stream:
                        with self._changed:
                            self.lines.append(line.rstrip())
                            self._changed.notify_all()
                except OSError:
                    pass
            try:
                self._socket = socket.create_connection(("127.0.0.1", self.board.port))
            except OSError:
                return  # the emulator has ended

    def wait_for(self, pattern, timeout=60):
        """The next line that the pattern is found in; it and those before it are taken."""
        until = time.monotonic() + timeout
        with self._changed:
            while True:
                for i in range(self.taken, len(self.lines)):
                    if re.search(pattern, self.lines[i]):
                        self.taken = i + 1
                        return self.lines[i]
                left = until - time.monotonic()
                if left <= 0:
                    raise TimeoutError(
                        "no %r in %s s; the last lines:\n%s"
                        % (pattern, timeout, "\n".join(self.lines[-30:]))
                    )
                self._changed.wait(left)

    def find(self, pattern):
        """As wait_for, but None when there is none yet."""
        try:
            return self.wait_for(pattern, timeout=0)
        except TimeoutError:
            return None

    def skip(self):
        """Take all lines that are there."""
        with self._changed:
            self.taken = len(self.lines)

    def close(self):
        self._closed = True
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()


def install_main(board):
    """Write the board's main.py, as its owner would once."""
    repl = Repl(board)
    code = "with open('/main.py', 'w') as f:\n f.write(%r)" % (CONNECT.get(board.name, "") + MAIN)
    repl.run(code)
    repl.transport.exit_raw_repl()
    repl.close()


def microlwm2m(*args, secret=None, timeout=90):
    """The command, as a user calls it. secret goes to its standard input."""
    done = subprocess.run(
        [sys.executable, "-m", "microlwm2m", *args],
        input=secret, capture_output=True, text=True, timeout=timeout,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def provision(board, name, uri, sender_id, recipient_id, secret, *more, timeout=90):
    """Provision the board over its REPL; it starts afterwards."""
    command = ["provision", board.target, "--endpoint", name, "--server", uri]
    command += ["--sender-id", sender_id, "--recipient-id", recipient_id, *more]
    return microlwm2m(*command, "--master-secret", "-", secret=secret, timeout=timeout)
