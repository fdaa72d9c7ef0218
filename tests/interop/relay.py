# DTLS in front of the Leshan peer's CoAP port, ended by Californium's Scandium (leshan/Relay.java).
# MIT license; Copyright (c) 2026 the microlwm2m authors

import re
import selectors
import shutil
import subprocess
import threading
from collections import namedtuple

from peer import BUILD, START_S, PeerMissing, build

GCM = "TLS_PSK_WITH_AES_128_GCM_SHA256"
CBC = "TLS_PSK_WITH_AES_128_CBC_SHA256"

Session = namedtuple("Session", "suite identity")


class Relay:
    """A DTLS server on 127.0.0.1 that hands what is inside to the UDP port `target`, and back.

    identity: text; key: hex; suite: the one it takes. port: 0 for any free one; a restart takes
    the same again. sessions: those that carried a datagram, oldest first.
    """

    def __init__(self, target, identity, key, suite=GCM, port=0):
        self.target, self.identity, self.key, self.suite = target, identity, key, suite
        self.port = port
        self.sessions = []
        self._process = None

    def start(self):
        """Returns once it listens. Raises PeerMissing."""
        build()
        java = shutil.which("java")
        if not java:
            raise PeerMissing("the DTLS relay needs Java: apt install default-jdk-headless")
        options = {"target": self.target, "port": self.port, "identity": self.identity, "key": self.key,
                   "suite": self.suite, "stdin": "true"}  # fmt: skip
        self._process = subprocess.Popen(
            [java, "-Xmx64m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
             "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", *("-D%s=%s" % o for o in options.items()),
             "-cp", "%s:%s/*" % (BUILD / "cls", BUILD / "lib"), "Relay"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            line = self._process.stdout.readline() if selector.select(START_S) else ""
        found = re.fullmatch(r"READY port=(\d+)\n", line)
        if not found:
            self.kill()
            raise RuntimeError("the DTLS relay did not start: %r" % line)
        self.port = int(found.group(1))
        threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True).start()
        return self

    def _read(self, stdout):
        with stdout:
            for line in stdout:
                word, *rest = line.split()
                if word == "SESSION":
                    self.sessions.append(Session(*rest))

    def kill(self):
        """SIGKILL: its sessions are lost, and nobody is told."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdin.close()
            self._process = None

    def close_sessions(self):
        """Close all sessions and tell the clients; it goes on listening."""
        self._process.stdin.write("c")
        self._process.stdin.flush()

    def restart(self):
        """kill -9 and a new process on the same port."""
        self.kill()
        self.start()

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.kill()
