# A UDP proxy between a client and its server: it records, loses, doubles, delays, reorders.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# A random fault is a function of the seed, the client's number, the direction and the datagram's
# number in that direction, so the same traffic meets the same faults in every run.
# Only the standard library is imported, so that tools may use this file.

import heapq
import itertools
import random
import select
import socket
import threading
import time
from collections import deque, namedtuple

UP, DOWN = "up", "down"  # client to server, server to client

# A plan: when, in seconds from now, copies of the datagram are sent on.
LOSE = ()
PASS = (0,)
TWICE = (0, 0)
SWAP = "swap"  # right after the next datagram of its direction; alone after HOLD_S

HOLD_S = 1.0


class Datagram(namedtuple("Datagram", "number direction client n at data plan")):
    """One datagram as it came to the proxy.

    number counts all of them; client is 0, 1, ... in order of appearance; n counts within client
    and direction; at is seconds since the proxy started; plan is what became of it.
    """

    __slots__ = ()

    @property
    def code(self):
        """The CoAP code as "0.02"; "" for what is no CoAP."""
        if len(self.data) < 4 or self.data[0] >> 6 != 1:
            return ""
        return "%d.%02d" % (self.data[1] >> 5, self.data[1] & 31)

    @property
    def type(self):
        """CON, NON, ACK or RST."""
        return ("CON", "NON", "ACK", "RST")[self.data[0] >> 4 & 3]

    @property
    def mid(self):
        return int.from_bytes(self.data[2:4], "big")

    @property
    def options(self):
        """The outer options (RFC 7252 section 3.1) as [(number, value)]; [] for what is no CoAP."""
        found, data, number = [], self.data, 0
        if not self.code:
            return found
        at = 4 + (data[0] & 15)
        try:
            while at < len(data) and data[at] != 0xFF:
                delta, length = data[at] >> 4, data[at] & 15
                delta, at = self._extended(delta, at + 1)
                length, at = self._extended(length, at)
                number += delta
                found.append((number, data[at : at + length]))
                at += length
        except IndexError:
            return []
        return found

    def _extended(self, nibble, at):
        if nibble == 13:
            return self.data[at] + 13, at + 1
        if nibble == 14:
            return self.data[at] * 256 + self.data[at + 1] + 269, at + 2
        return nibble, at

    @property
    def sealed(self):
        """Whether it carries the OSCORE option (RFC 8613 section 2)."""
        return any(number == 9 for number, _ in self.options)

    def __repr__(self):
        sealed = "sealed" if self.sealed else "plain"
        what = (self.type, self.code, "mid=%d" % self.mid, sealed) if self.code else ("no CoAP",)
        return "<%.3f %s client=%d n=%d %s %d bytes plan=%s>" % (
            self.at, self.direction, self.client, self.n, " ".join(what), len(self.data), self.plan,
        )  # fmt: skip


class Faults:
    """A plan that draws faults: each a probability, `delay_s` the longest delay.

    Print `seed` in a test, so that its failure can be run again.
    """

    def __init__(self, seed, lose=0.0, twice=0.0, delay=0.0, swap=0.0, delay_s=0.3):
        self.seed, self.delay_s = seed, delay_s
        self._shares = ((lose, LOSE), (twice, TWICE), (delay, None), (swap, SWAP))

    def __call__(self, datagram):
        draw = random.Random("%s/%d/%s/%d" % (self.seed, datagram.client, datagram.direction, datagram.n))
        left = draw.random()
        for share, plan in self._shares:
            if left < share:
                return (draw.uniform(0, self.delay_s),) if plan is None else plan
            left -= share
        return PASS

    def __repr__(self):
        return "Faults(seed=%r, %s)" % (self.seed, self._shares)


class Script:
    """A plan by number: Script({(UP, 0): LOSE, (DOWN, 2): TWICE}); all else passes."""

    def __init__(self, steps):
        self.steps = steps

    def __call__(self, datagram):
        return self.steps.get((datagram.direction, datagram.n), PASS)


class Proxy:
    """Between clients, who send to `proxy.port` on 127.0.0.1, and a server at `target`.

    Each client gets a socket of its own towards the server, so the server tells them apart, and
    the same one for all its datagrams, since the address is part of an LwM2M registration.

    target: (host, port), may be changed at any time. plan: called with each Datagram (without its
    plan), gives LOSE, PASS, TWICE, SWAP or a tuple of delays; may be changed at any time, as may
    `cut`: while True, nothing passes in either direction.
    """

    def __init__(self, target, plan=None, port=0):
        self.target = target
        self.plan = plan or (lambda datagram: PASS)
        self.cut = False
        self.datagrams = []
        self._heard = threading.Condition()
        self._clients = []  # addresses
        self._upstream = []  # sockets, by client
        self._counts = {}
        self._due = []  # heap of (time, order, client, direction, data)
        self._order = itertools.count()
        self._held = {}
        self._asked = deque()  # calls for the thread that owns the sockets
        self._socket = self._bind(port)
        self.port = self._socket.getsockname()[1]
        self._wake_in, self._wake_out = socket.socketpair()
        self._started = time.monotonic()
        self._closing = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @staticmethod
    def _bind(port=0):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(("127.0.0.1", port))
        s.setblocking(False)
        return s

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self._closing = True
        self._wake()
        self._thread.join()
        for s in (self._socket, self._wake_in, self._wake_out, *self._upstream):
            s.close()

    # What a test asks for

    def wait_for(self, match, timeout=10, after=-1):
        """The first datagram with a number above `after` for which match(datagram) holds."""
        until = time.monotonic() + timeout
        with self._heard:
            at = after + 1
            while True:
                for datagram in self.datagrams[at:]:
                    if match(datagram):
                        return datagram
                at = max(at, len(self.datagrams))
                left = until - time.monotonic()
                if left <= 0:
                    raise TimeoutError("no such datagram in %s s; there are %r" % (timeout, self.datagrams))
                self._heard.wait(left)

    @property
    def last(self):
        """Number of the newest datagram, -1 before the first: for wait_for(after=)."""
        return len(self.datagrams) - 1

    def inject(self, direction, data, client=0):
        """Send a datagram as if it came from the client (UP) or the server (DOWN). Not recorded."""
        self._ask(lambda: self._forward(client, direction, bytes(data)))

    def rebind(self, client=0):
        """The client's datagrams reach the server from another port from now on, as after a NAT
        lost its mapping. Returns once it is so."""
        done = threading.Event()

        def swap():
            self._upstream[client].close()
            self._upstream[client] = self._bind()
            done.set()

        self._ask(swap)
        done.wait(5)

    def _ask(self, call):
        self._asked.append(call)
        self._wake()

    def _wake(self):
        self._wake_out.send(b"x")

    # The thread that owns the sockets

    def _run(self):
        while not self._closing:
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                _, _, client, direction, data = heapq.heappop(self._due)
                self._forward(client, direction, data)
            wait = self._due[0][0] - now if self._due else None
            sockets = [self._wake_in, self._socket, *self._upstream]
            for s in select.select(sockets, [], [], wait)[0]:
                if s is self._wake_in:
                    s.recv(64)
                    while self._asked:
                        self._asked.popleft()()
                elif s is self._socket:
                    data, address = s.recvfrom(65536)
                    self._take(self._number(address), UP, data)
                elif s in self._upstream:  # may be gone by a rebind of this very round
                    data, _ = s.recvfrom(65536)
                    self._take(self._upstream.index(s), DOWN, data)

    def _number(self, address):
        if address not in self._clients:
            self._clients.append(address)
            self._upstream.append(self._bind())
        return self._clients.index(address)

    def _take(self, client, direction, data):
        key = client, direction
        n = self._counts.get(key, 0)
        self._counts[key] = n + 1
        at = time.monotonic() - self._started
        datagram = Datagram(len(self.datagrams), direction, client, n, at, data, None)
        plan = LOSE if self.cut else self.plan(datagram)
        with self._heard:
            self.datagrams.append(datagram._replace(plan=plan))
            self._heard.notify_all()
        held = self._held.pop(key, None)
        if plan == SWAP and held is None:
            self._held[key] = self._later(HOLD_S, client, direction, data)
            return
        for delay in PASS if plan == SWAP else plan:
            if delay:
                self._later(delay, client, direction, data)
            else:
                self._forward(client, direction, data)
        if held in self._due:
            self._due.remove(held)
            heapq.heapify(self._due)
            self._forward(client, direction, held[-1])

    def _later(self, delay, *what):
        entry = (time.monotonic() + delay, next(self._order), *what)
        heapq.heappush(self._due, entry)
        return entry

    def _forward(self, client, direction, data):
        try:
            if direction == UP:
                self._upstream[client].sendto(data, self.target)
            else:
                self._socket.sendto(data, self._clients[client])
        except OSError:
            pass  # as lost as any datagram
