# An observation that the bench server holds of a device.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 7641; RFC 8613 section 4.1.3.5 and 7.4.1 (order by Partial IV).

import asyncio

from aiocoap.numbers import codes

from . import blocks
from .operations import OperationFailed, Result
from .oscore import BadAnswer, PlainAnswer
from .registry import format_path

QUEUE = 1000  # notifications that wait for `next`; then the oldest are dropped


def observed_name(what):
    """The text of what is observed: /3/0/9, or several with commas."""
    if what and isinstance(what[0], tuple):
        return ",".join(map(format_path, what))
    return format_path(what)


class Observation:
    """Made by BenchServer.observe.

    key: (endpoint, path), or (endpoint, paths) of an Observe-Composite. first: Result of
    the answer. active: whether the device observes. ended: why not any more, "" before.
    count: notifications so far.
    """

    def __init__(self, server, key, base, message):
        self.server, self.key, self.base, self.message = server, key, base, message
        self.device = server.device(key[0])
        self.queue = asyncio.Queue(QUEUE)
        self.first = None
        self.active, self.ended, self.count = False, "", 0
        self.latest = None  # Partial IV (sealed) or Observe value (plain) of the latest
        self.exchange = self.sealed = None

    async def begin(self, timeout):
        """Send the request and take its answer. Raises OperationFailed."""
        try:
            self.first = await asyncio.wait_for(self._begin(), timeout)
        except asyncio.TimeoutError:
            self.end("timeout", report=False)
            raise OperationFailed(
                "%s did not answer within %g s" % (self.key[0], timeout)
            ) from None
        except asyncio.CancelledError:
            self.end("cancelled", report=False)  # an answer that comes late is nobody's
            raise
        except (OperationFailed, blocks.BlockError) as e:
            self.end(str(e), report=False)
            raise OperationFailed(str(e)) from None
        self.server.complain(self.key[0], self.first)

    async def _begin(self):
        response = await self._ask(self.message)
        if response.code == codes.UNAUTHORIZED and response.opt.echo is not None:
            response = await self._ask(self.message.copy(echo=response.opt.echo))
        return await self._whole(response)

    async def _ask(self, message):
        answer = asyncio.get_running_loop().create_future()
        outer, self.sealed = self.server.sealed(self.device, message)
        self.exchange = self.server.endpoint.request(
            outer,
            lambda response: self._arrived(response, answer),
            lambda reason: self._failed(reason, answer),
        )
        return await answer

    async def _whole(self, response):
        async def ask(part):
            return await self.server._exchange(self.device, part)

        response = await blocks.download(self.message, response, ask)
        return Result(response, self.base, self.server.models)

    def _failed(self, reason, answer):
        if not answer.done():
            answer.set_exception(OperationFailed("%s: %s" % (self.key[0], reason)))
        else:
            self.end(reason)

    # Returns whether more is expected.
    def _arrived(self, outer, answer):
        first = not answer.done()
        try:
            inner = self.server.opened(self.device, outer, self.sealed)
        except PlainAnswer as e:
            # Later on, anyone could end the observation with one.
            if first:
                answer.set_exception(OperationFailed("%s %s" % (self.key[0], e)))
            return not first
        except BadAnswer:
            return True
        number, more = inner.opt.observe, inner.code.is_successful()
        more = more and number is not None
        if first:
            if more:
                self.latest, self.active = number, True
                self.exchange.answered = True
                self.server.observations[self.key] = self
            answer.set_result(inner)
            return more
        if number is not None:
            if not self._newer(number):
                return True
            self.latest = number
        block = inner.opt.block2
        if block is not None and block.more:
            self.server.spawn(self._deliver_whole(inner))
        else:
            self._deliver(Result(inner, self.base, self.server.models))
        if not more:
            self.end("%s from the device" % inner.code.dotted)
        return more

    def _newer(self, number):
        if self.sealed is not None:
            return number > self.latest
        ahead = (number - self.latest) & 0xFFFFFF
        return 0 < ahead < 1 << 23

    async def _deliver_whole(self, inner):
        try:
            self._deliver(await asyncio.wait_for(self._whole(inner), self.server.timeout))
        except (OperationFailed, blocks.BlockError, asyncio.TimeoutError) as e:
            self.server.log.emit("incomplete", self.key[0], path=self.name, why=e)

    def _deliver(self, result):
        self.count += 1
        if self.queue.full():
            self.queue.get_nowait()
        self.queue.put_nowait(result)
        self.server.complain(self.key[0], result)
        code = None if result.ok else result.code
        self.server.log.emit(
            "notify", self.key[0], detail=result, path=self.name, code=code, values=result.brief()
        )

    @property
    def name(self):
        """The path or paths, as text."""
        return observed_name(self.key[1])

    async def next(self, timeout=None):
        """The next notification, a Result. Raises TimeoutError, or OperationFailed when
        the observation has ended."""
        try:
            result = await asyncio.wait_for(self.queue.get(), timeout)
        except asyncio.TimeoutError:
            raise TimeoutError("no notification of %s within %g s" % (self.name, timeout)) from None
        if result is None:
            self.queue.put_nowait(None)
            raise OperationFailed("%s is no longer observed: %s" % (self.name, self.ended))
        return result

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            return await self.next()
        except OperationFailed:
            raise StopAsyncIteration from None

    def end(self, why, report=True):
        """Forget the observation here. A later notification is rejected with RST."""
        if self.ended:
            return
        was_active, self.active, self.ended = self.active, False, why
        if self.server.observations.get(self.key) is self:
            del self.server.observations[self.key]
        if self.exchange is not None:
            self.server.endpoint.forget(self.exchange)
        if self.queue.full():
            self.queue.get_nowait()
        self.queue.put_nowait(None)
        if report and was_active:
            self.server.log.emit("observation-ended", self.key[0], path=self.name, why=why)

    async def cancel(self, passive, timeout):
        """See BenchServer.cancel."""
        device, token, old = self.device, self.exchange.message.token, self.sealed
        self.end("cancelled", report=False)
        if passive:
            return None
        message = self.message.copy(observe=1)
        response = await asyncio.wait_for(
            self.server._exchange(device, message, token=token, before=old), timeout
        )
        return await self._whole(response)
