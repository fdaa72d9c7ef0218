# Runs an Endpoint on asyncio: one task owns the socket, one the timer.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import asyncio

from coap.transport import Clock, readable

_LONGEST_MS = const(3600000)  # the clock has to be read now and then


class ResponseError(Exception):
    """A request had no response; args[0] is the error of Endpoint.request()."""


class Driver:
    """Runs an endpoint over a transport.

    make(send) returns the Endpoint, or endpoint is set later, before run().
    transport: a coap.transport.UDP or alike. clock: a coap.transport.Clock, shared by drivers.
    """

    def __init__(self, transport, make=None, clock=None):
        self.transport = transport
        self.clock = clock or Clock()
        self.endpoint = make(transport.sendto) if make else None
        self._kicked = asyncio.Event()
        self._wake = None

    def kick(self):
        """Look at the deadlines again: to be called after endpoint.request(), cancel(),
        notify() and respond() from outside a handler or callback."""
        wake = self.endpoint.next_wakeup()
        if wake is not None and (self._wake is None or wake < self._wake):
            self._wake = wake
            self._kicked.set()

    async def run(self):
        """Serve the socket and the timer until cancelled. Raises OSError where the transport
        has a session of its own, as coap.dtls.DTLS, and that has ended."""
        tasks = [asyncio.create_task(self._timer()), asyncio.create_task(self._receive())]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _receive(self):
        transport = self.transport
        n = self.endpoint.params.max_datagram + 1
        while True:
            await readable(transport.sock)
            received = transport.recvfrom(n)
            if received is None:
                # A socket in trouble is readable all the time.
                await asyncio.sleep_ms(20)
            else:
                self.endpoint.receive(received[0], received[1], self.clock.now())
                self.kick()

    async def _timer(self):
        kicked = self._kicked
        tend = getattr(self.transport, "poll", None)
        while True:
            kicked.clear()
            now = self.clock.now()
            wake = self.endpoint.poll(now)
            if tend:
                other = tend(now)
                if other is not None and (wake is None or other < wake):
                    wake = other
            self._wake = wake
            wait = _LONGEST_MS if wake is None else min(wake - now, _LONGEST_MS)
            try:
                await asyncio.wait_for_ms(kicked.wait(), max(wait, 0))
            except asyncio.TimeoutError:
                pass

    async def request(self, msg, peer, confirmable=True, timeout_ms=None):
        """Send a request and return the response, a Message. Arguments as for
        Endpoint.request(). Raises ResponseError."""
        done = asyncio.Event()
        result = []

        def on_response(exchange, response, error):
            result.append(response)
            result.append(error)
            done.set()

        now = self.clock.now()
        exchange = self.endpoint.request(msg, peer, now, on_response, confirmable, timeout_ms)
        self.kick()
        try:
            await done.wait()
        except asyncio.CancelledError:
            self.endpoint.cancel(exchange)
            self.kick()
            raise
        if result[1] is not None:
            raise ResponseError(result[1])
        return result[0]
