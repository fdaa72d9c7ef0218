# A device under test: provisioned and started by the command that people use.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class Device:
    """A device on the unix port, on a flash image of its own.

    Its log is read as it comes; wait_for() waits for a line, in the order in which
    lines came: each call looks only at what the one before has not yet seen.
    """

    def __init__(self, image, heap=None):
        self.image = Path(image)
        self.heap = heap
        self.process = None
        self._reader = None
        self._lines = []
        self._seen = 0
        self._news = threading.Condition()

    def command(self, *args, input=""):
        """Run `microlwm2m VERB file:IMAGE ...`; CompletedProcess."""
        verb, *rest = map(str, args)
        return subprocess.run(
            [sys.executable, "-m", "microlwm2m", verb, "file:%s" % self.image, *rest],
            input=input, capture_output=True, text=True, timeout=60, env=self._env(),
        )

    def provision(self, endpoint, uri, sender_id, recipient_id, secret, *more):
        """Give it an account; IDs and secret in hex, the secret by standard input."""
        done = self.command(
            "provision", "--endpoint", endpoint, "--server", uri, "--sender-id", sender_id,
            "--recipient-id", recipient_id, "--master-secret", "-", *more, input=secret + "\n",
        )
        assert done.returncode == 0, done.stderr
        return done

    def _env(self):
        path = os.pathsep.join([str(ROOT / "tools"), os.environ.get("PYTHONPATH", "")])
        return dict(os.environ, PYTHONPATH=path)

    def program(self):
        """The command line that start() runs."""
        command = [sys.executable, "-m", "microlwm2m", "device", "file:%s" % self.image]
        return command + (["--heap", self.heap] if self.heap else [])

    def start(self):
        if self._reader:
            self._reader.join()
        self._seen = len(self._lines)
        self.process = subprocess.Popen(
            self.program(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, env=self._env(),
        )
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self._reader.start()
        return self

    def _read(self, stream):
        for line in stream:
            with self._news:
                self._lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._lines.append(None)  # the process has ended
            self._news.notify_all()

    def wait_for(self, pattern, timeout=20):
        """The match of the next line that pattern is found in; AssertionError with the log."""
        until = time.monotonic() + timeout
        with self._news:
            while True:
                while self._seen < len(self._lines):
                    line = self._lines[self._seen]
                    self._seen += 1
                    found = line is not None and re.search(pattern, line)
                    if found:
                        return found
                    if line is None and pattern != "":
                        raise AssertionError("ended without %r:\n%s" % (pattern, self.log))
                left = until - time.monotonic()
                if left <= 0 or not self._news.wait(left):
                    raise AssertionError("no %r in %d s:\n%s" % (pattern, timeout, self.log))

    @property
    def log(self):
        return "\n".join([line for line in self._lines if line is not None])

    def kill(self):
        """SIGKILL, as a power cut: nothing is said to anybody."""
        self._end(signal.SIGKILL)

    def stop(self):
        """Ctrl-C; the exit code."""
        return self._end(signal.SIGINT)

    def _end(self, how):
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(20)
        self._reader.join()
        self.process = None
        return code

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process is not None and self.process.poll() is None:
            self._end(signal.SIGKILL)
