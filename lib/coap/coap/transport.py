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


def doze(ms):
    """The current task, which has to yield at once, by await (None,), goes on in ms, below
    2 ** 29; or when wake() gets what this returns. asyncio.wait_for() would make a task and
    five more objects each time, and bring 1 KB of code."""
    task = core.cur_task
    core._task_queue.push(task, core.ticks_add(core.ticks(), ms))
    # Of another loop, after an interrupt, the queue is another too.
    return core._task_queue, task


def wake(dozing):
    """End a doze() that has not ended."""
    queue, task = dozing
    # As Task.cancel() does with a task that sleeps.
    queue.remove(task)
    queue.push(task)


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
