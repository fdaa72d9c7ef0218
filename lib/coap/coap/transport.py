# UDP socket and clock for an Endpoint, and the one place that knows asyncio's private queues.
# MIT license; Copyright (c) 2026 the microlwm2m authors

# Any object with sendto(data, peer), recvfrom(n), close() and a sock that can be polled can
# take the place of UDP.

import socket
import time

from asyncio import core

_TICKS_MASK = const(0x3FFFFFFF)


def resolve(host, port, family=0):
    """The peer of a host name or address and a port, as recvfrom() and sendto() have it.
    It blocks while a name is looked up. Raises OSError."""
    return socket.getaddrinfo(host, port, family, socket.SOCK_DGRAM)[0][-1]


def readable(sock):
    """await readable(sock), at once: wait until a datagram is there."""
    # asyncio has no datagrams; this is what its streams do, by a name that is private. What is
    # awaited yields once, as a generator would that had to be made each time.
    core._io_queue.queue_read(sock)
    return (None,)


class Sleep:
    """Sleep of one task that others can cut short. asyncio.wait_for() would make a task and
    five more objects each time, and bring 1 KB of code."""

    def __init__(self):
        self._queue = self._task = None
        self._woken = False

    async def until_woken(self, ms):
        """Sleep for ms, below 2 ** 29, or until wake(), also where that came before."""
        # Of another loop, after an interrupt, the queue is another too.
        self._queue = core._task_queue
        self._task = core.cur_task
        try:
            # Others have their turn in any case.
            await core.sleep_ms(0 if self._woken else ms)
        finally:
            self._task = None
            self._woken = False

    def wake(self):
        """End the sleep."""
        if self._task is not None and not self._woken:
            # As Task.cancel() does with a task that sleeps.
            self._queue.remove(self._task)
            self._queue.push(self._task)
        self._woken = True


class UDP:
    """A bound UDP socket.

    local: address from resolve(), or None for any address and a port of the system's choice;
    family: socket.AF_INET or AF_INET6. Raises OSError.
    unread: how often there was nothing to receive, or instead the answer to something that we
    sent, as ECONNREFUSED; each is like a lost datagram.
    """

    def __init__(self, local=None, family=socket.AF_INET):
        if local is None:
            local = resolve("::" if family != socket.AF_INET else "0.0.0.0", 0, family)
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        self.sock.bind(local)
        self.unread = 0

    def sendto(self, data, peer):
        """Send a datagram. OSError where it cannot be sent (no route, buffers full, refused):
        to an Endpoint it is lost then, and retransmission is what helps."""
        self.sock.sendto(data, peer)

    def recvfrom(self, n):
        """(data, peer) of a datagram of up to n bytes, or None when there is none."""
        try:
            return self.sock.recvfrom(n)
        except OSError:
            # Not looked at, or the frame were on the heap: see codec.py.
            self.unread += 1
            return None

    def close(self):
        """Close the socket."""
        self.sock.close()


class Clock:
    """Milliseconds that never go back and never wrap, over ticks_ms() which does. It has to be
    read at least every six days."""

    def __init__(self):
        self._last = time.ticks_ms()
        self._now = 0

    def now(self):
        """Milliseconds since the clock was made."""
        ticks = time.ticks_ms()
        # Not ticks_diff(), which is half as far.
        self._now += (ticks - self._last) & _TICKS_MASK
        self._last = ticks
        return self._now
