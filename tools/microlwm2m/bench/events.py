# What happened at the bench server, as a bounded history that several readers follow.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import asyncio
import collections
import time
from dataclasses import dataclass, field

HISTORY = 2000  # events kept; older ones are forgotten
QUEUE = 1000  # events that wait for one subscriber; then its oldest are dropped


@dataclass
class Event:
    """name: one word. number: counts from 1. time: seconds since the server started.
    endpoint: whose event it is, or None. data: what else there is to say. detail: an object
    for who follows events by program (a Result for "notify" and "send"), never printed."""

    name: str
    number: int
    time: float
    endpoint: str = None
    data: dict = field(default_factory=dict)
    detail: object = field(default=None, repr=False)

    def __str__(self):
        words = ["%9.3f %s" % (self.time, self.name)]
        if self.endpoint is not None:
            words.append(self.endpoint)
        words += ["%s=%s" % (k, _plain(v)) for k, v in self.data.items() if v is not None and v != ""]
        return " ".join(words)


def _plain(value):
    text = value.hex() if isinstance(value, bytes) else str(value)
    # One event is one line, whatever a device put into its strings.
    return "".join(c if c.isprintable() else "\\x%02x" % ord(c) for c in text)


class Events:
    """A bounded history, subscriptions, and waiting for an event."""

    def __init__(self):
        self.start = time.monotonic()
        self.history = collections.deque(maxlen=HISTORY)
        self.count = 0
        self.queues = []
        self.listeners = []
        self._wakers = set()

    def now(self):
        """Seconds since the server started."""
        return time.monotonic() - self.start

    def emit(self, name, endpoint=None, detail=None, **data):
        """Record an event and hand it to every subscriber. Returns it."""
        self.count += 1
        event = Event(name, self.count, self.now(), endpoint, data, detail)
        self.history.append(event)
        for queue in self.queues:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)
        for waker in self._wakers:
            if not waker.done():
                waker.set_result(None)
        for listener in self.listeners:
            listener(event)
        return event

    def listen(self, listener):
        """Have listener(event) called at every event from now on, before anyone waiting."""
        self.listeners.append(listener)

    def subscribe(self):
        """A queue that gets every event from now on."""
        queue = asyncio.Queue(QUEUE)
        self.queues.append(queue)
        return queue

    async def wait(self, name, endpoint=None, timeout=None, after=0, match=None):
        """The first event of that name (and endpoint) whose number is above `after`,
        past ones included. match: a further test of the Event. Raises TimeoutError."""

        def found():
            for event in self.history:
                if event.number > after and event.name == name:
                    if endpoint in (None, event.endpoint) and (match is None or match(event)):
                        return event

        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        while True:
            event = found()
            if event is not None:
                return event
            left = None if deadline is None else deadline - loop.time()
            if left is not None and left <= 0:
                raise TimeoutError("no %s event within %g s" % (name, timeout))
            waker = loop.create_future()
            self._wakers.add(waker)
            try:
                await asyncio.wait([waker], timeout=left)
            finally:
                self._wakers.discard(waker)
