# The bench server: who may talk, what is served, and operations on devices as coroutines.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# LwM2M Transport 1.2 over CoAP/UDP with OSCORE (RFC 8613).

import asyncio
from dataclasses import dataclass

from aiocoap import Message
from aiocoap.numbers import codes

from . import blocks, operations
from .endpoint import Endpoint
from .events import Events
from .formats import SENML_CBOR
from .models import Models
from .observe import Observation, observed_name
from .operations import OperationFailed, Result, as_path, describe
from .oscore import BadAnswer, PlainAnswer, Security, Unverified
from .registry import VERSIONS, Refusal, Registry

TIMEOUT = 60.0  # seconds that an operation may take, retransmissions included
BLOCK_SIZE = 512  # bytes of a block that we choose the size of
MAX_OBSERVATIONS = 1000

# The options that are understood inside; another critical one gets 4.02.
UNDERSTOOD = {1, 3, 5, 7, 11, 15, 17, 23, 27, 35, 39}


@dataclass
class Inside:
    """What the trace sees: a message without its protection. direction: "in" or "out".
    time: of the server's clock. endpoint: whose account, or None. message: aiocoap's
    Message. sealed. note: "b2" for a message of appendix B.2, else ""."""

    direction: str
    time: float
    peer: tuple
    endpoint: str
    message: Message
    sealed: bool
    note: str = ""

    def __str__(self):
        return describe(self.message)


class BenchServer:
    """An LwM2M server in this process: `async with BenchServer([Account(...)]) as server`.

    accounts: Account objects. host, port: to bind to; port 0 takes a free one.
    tap: called with each endpoint.Datagram; returning False loses it.
    trace: called with each Inside.
    models: models.Models. plain: whether devices without an account may register, without
        protection. quirks: out of oscore.QUIRKS. versions: what of `lwm2m` is taken.
    block_size: bytes of a block, 16 to 1024. timeout: seconds for one operation.
    tuning: aiocoap's TransportTuning, for the times of retransmission.
    resources: {path: bytes} served to devices with GET, as a firmware image is.

    events: a queue of Event. log: events.Events, the history.
    Operations return a Result whatever the device answered; they raise OperationFailed
    when it did not, ValueError when they cannot be said.
    """

    def __init__(self, accounts=(), host="127.0.0.1", port=5683, *, tap=None, trace=None,
                 models=None, plain=False, quirks=(), versions=VERSIONS, block_size=BLOCK_SIZE,
                 timeout=TIMEOUT, tuning=None, resources=None):
        if block_size not in (16, 32, 64, 128, 256, 512, 1024):
            raise ValueError("block_size: not a power of two from 16 to 1024")
        self.host, self.port = host, port
        self.trace, self.plain, self.timeout = trace, plain, timeout
        self.models = models or Models()
        self.szx = block_size.bit_length() - 5
        self.versions = versions
        self.resources = resources if resources is not None else {}
        self.log = Events()
        self.events = self.log.subscribe()
        self.security = Security(self._report, quirks)
        self.endpoint = Endpoint(self._serve, tap, self.log.now, tuning)
        self.assembler = blocks.Assembler()
        self.observations = {}
        self.tasks = set()
        for account in accounts:
            self.add_account(account)

    # Life

    async def start(self):
        """Bind and serve. Raises OSError. Returns self."""
        self.registry = Registry(
            self.log.emit, asyncio.get_running_loop(), self.log.now, self.versions, self._gone,
            self.security.states.__contains__,
        )
        await self.endpoint.start(self.host, self.port)
        self.log.emit("listening", address=self.endpoint.address)
        return self

    async def stop(self):
        """Close the socket and end what is under way."""
        self.registry.clear()
        for observation in list(self.observations.values()):
            observation.end("stopped", report=False)
        for task in list(self.tasks):
            task.cancel()
        await self.endpoint.stop()

    async def forever(self):
        """Serve until cancelled."""
        await asyncio.get_running_loop().create_future()

    async def __aenter__(self):
        return await self.start()

    async def __aexit__(self, *exc):
        await self.stop()

    @property
    def uri(self):
        """The URI that a device is to be provisioned with."""
        return "coap://%s" % (self.endpoint.address,)

    @property
    def counters(self):
        """Counter: datagrams_in, datagrams_out, malformed, unverified, icmp."""
        return self.endpoint.counters

    # Accounts and devices

    def add_account(self, account):
        """Know an account; one of the same endpoint is replaced and its context dropped."""
        self.security.add(account)

    def remove_account(self, endpoint):
        """Forget an account; KeyError."""
        self.security.remove(endpoint)

    def forget(self, endpoint=None):
        """Drop the security context (of all endpoints), as a restarted server has: the
        device's next request gets a plain 4.01."""
        self.security.forget(endpoint)

    def rekey(self, endpoint):
        """Answer the device's next request with message 2 of appendix B.2; KeyError."""
        self.security.rekey(endpoint)

    @property
    def devices(self):
        """The registrations, a list of registry.Registration."""
        return list(self.registry)

    def device(self, endpoint):
        """The registration of an endpoint. Raises OperationFailed."""
        try:
            return self.registry.get(endpoint)
        except KeyError:
            raise OperationFailed("%s is not registered" % endpoint) from None

    async def wait(self, name, endpoint=None, timeout=None, after=0, match=None):
        """The first event of that name after event number `after`; see events.Events.wait."""
        return await self.log.wait(name, endpoint, timeout, after, match)

    async def registered(self, endpoint, timeout=None):
        """Wait until an endpoint is registered; its Registration. Raises TimeoutError."""
        try:
            return self.registry.get(endpoint)
        except KeyError:
            await self.wait("registered", endpoint, timeout, after=self.log.count)
            return self.registry.get(endpoint)

    # Operations

    async def read(self, endpoint, path, format=SENML_CBOR, timeout=None):
        """Read an object, instance, resource or resource instance. format: content format
        asked for with Accept, None for none."""
        path = as_path(path)
        return await self._operate(endpoint, operations.read(path, format), path, timeout)

    async def discover(self, endpoint, path, depth=None, timeout=None):
        """Discover. Result.links are [(target, attributes)]."""
        path = as_path(path)
        return await self._operate(endpoint, operations.discover(path, depth), path, timeout)

    async def write(self, endpoint, path, value, format=SENML_CBOR, partial=False, timeout=None):
        """Write-Replace, or Write-Partial-Update. value: one value, or {number: value}."""
        path = as_path(path)
        message = operations.write(path, value, self.models, format, partial)
        return await self._operate(endpoint, message, path, timeout)

    async def write_attributes(self, endpoint, path, attributes, timeout=None):
        """Write-Attributes. attributes: {"pmin": 5, "gt": None}; None removes one."""
        path = as_path(path)
        message = operations.write_attributes(path, attributes)
        return await self._operate(endpoint, message, path, timeout)

    async def execute(self, endpoint, path, arguments="", timeout=None):
        """Execute. arguments: text such as 0='a',1."""
        path = as_path(path)
        return await self._operate(endpoint, operations.execute(path, arguments), path, timeout)

    async def create(self, endpoint, oid, iid=None, values=None, format=SENML_CBOR, timeout=None):
        """Create. iid None lets the device choose: Result.location is the path then."""
        message = operations.create(oid, iid, values or {}, self.models, format)
        return await self._operate(endpoint, message, (oid,), timeout)

    async def delete(self, endpoint, path, timeout=None):
        """Delete."""
        path = as_path(path)
        return await self._operate(endpoint, operations.delete(path), path, timeout)

    async def read_composite(self, endpoint, paths, format=SENML_CBOR, timeout=None):
        """Read-Composite."""
        message = operations.read_composite([as_path(p) for p in paths], format)
        return await self._operate(endpoint, message, (), timeout)

    async def write_composite(self, endpoint, values, format=SENML_CBOR, timeout=None):
        """Write-Composite. values: {path: value or {number: value}}."""
        message = operations.write_composite(values, self.models, format)
        return await self._operate(endpoint, message, (), timeout)

    async def observe(self, endpoint, path, format=SENML_CBOR, timeout=None):
        """Observe one path, or several with Observe-Composite (a list of them).

        Returns an observe.Observation: `first` is the Result of the answer, `active` tells
        whether the device observes, `await next(timeout)` and `async for` give what
        follows. Each notification is an event too.
        """
        if isinstance(path, (list, tuple)) and path and not isinstance(path[0], int):
            paths = tuple(sorted(as_path(p) for p in path))
            key, base = (endpoint, paths), ()
            message = operations.read_composite(list(paths), format, observe=0)
        else:
            base = as_path(path)
            key, message = (endpoint, base), operations.read(base, format, observe=0)
        if key in self.observations:
            self.observations[key].end("observed again", report=False)
        if len(self.observations) >= MAX_OBSERVATIONS:
            raise OperationFailed("%d observations, the limit" % MAX_OBSERVATIONS)
        observation = Observation(self, key, base, message)
        await observation.begin(timeout or self.timeout)
        return observation

    async def cancel(self, endpoint, path, passive=False, timeout=None):
        """End an observation: with Observe 1, or by forgetting it, so that the next
        notification is rejected. Returns the Result, None when passive."""
        if isinstance(path, (list, tuple)) and path and not isinstance(path[0], int):
            key = endpoint, tuple(sorted(as_path(p) for p in path))
        else:
            key = endpoint, as_path(path)
        observation = self.observations.get(key)
        if observation is None:
            raise OperationFailed("no observation of %s" % observed_name(key[1]))
        timeout = timeout or self.timeout
        try:
            return await observation.cancel(passive, timeout)
        except asyncio.TimeoutError:
            raise OperationFailed("%s did not answer within %g s" % (endpoint, timeout)) from None

    async def request(self, endpoint, message, timeout=None):
        """Send any request (an aiocoap Message) to a device; the answer, a Message."""
        device = self.device(endpoint)

        async def ask(part):
            return await self._exchange(device, part)

        async def whole():
            response = await blocks.upload(message, ask, self.szx)
            return await blocks.download(message, response, ask)

        timeout = timeout or self.timeout
        try:
            return await asyncio.wait_for(whole(), timeout)
        except asyncio.TimeoutError:
            raise OperationFailed("%s did not answer within %g s" % (endpoint, timeout)) from None
        except blocks.BlockError as e:
            raise OperationFailed("%s: %s" % (endpoint, e)) from None

    async def _operate(self, endpoint, message, path, timeout):
        return Result(await self.request(endpoint, message, timeout), path, self.models)

    # One exchange; a 4.01 with Echo asks for the same again (RFC 9175).
    # token: that of an observation, to end it; before: what opens its notifications, of
    # which one may still be on its way.
    async def _exchange(self, device, message, token=None, before=None):
        response = await self._ask_once(device, message, token, before)
        if response.code == codes.UNAUTHORIZED and response.opt.echo is not None:
            message = message.copy(echo=response.opt.echo)
            response = await self._ask_once(device, message, token, before)
        return response

    async def _ask_once(self, device, message, token, before):
        answer = asyncio.get_running_loop().create_future()

        def on_response(outer):
            if answer.done():
                return False
            if before is not None and self.security.opens(outer, before):
                return True
            try:
                answer.set_result(self.opened(device, outer, sealed))
            except PlainAnswer as e:
                answer.set_exception(OperationFailed("%s %s" % (device.endpoint, e)))
            except BadAnswer:
                return True
            return False

        def on_error(reason):
            if not answer.done():
                answer.set_exception(OperationFailed("%s: %s" % (device.endpoint, reason)))

        outer, sealed = self.sealed(device, message)
        exchange = self.endpoint.request(outer, on_response, on_error, token)
        try:
            return await answer
        finally:
            self.endpoint.forget(exchange)

    def sealed(self, device, message):
        """(outer Message to the device, what opens its answers)."""
        self._trace("out", device.peer, device.endpoint, message, device.sealed)
        message = message.copy()
        if device.sealed:
            try:
                outer, sealed = self.security.seal_request(device.endpoint, message)
            except LookupError:
                raise OperationFailed("no security context with %s" % device.endpoint) from None
        else:
            outer, sealed = message, None
        outer.remote = device.peer
        return outer, sealed

    def opened(self, device, outer, sealed):
        """The Message in a device's answer. Raises PlainAnswer or BadAnswer."""
        if sealed is None:
            inner = outer
        else:
            try:
                inner = self.security.open_response(device.endpoint, outer, sealed)
            except BadAnswer as e:
                self.counters["unverified"] += 1
                self.log.emit("unverified", device.endpoint, why=e)
                raise
        self._trace("in", device.peer, device.endpoint, inner, device.sealed)
        return inner

    # Requests of devices

    async def _serve(self, request):
        peer = request.remote
        if request.opt.oscore is None:
            self._trace("in", peer, None, request, False)
            if not self.plain:
                self._refused(peer, None, "not protected", codes.UNAUTHORIZED)
                return Message(code=codes.UNAUTHORIZED, max_age=0)
            response = self._respond(request, peer, None)
            if response is not None:
                self._trace("out", peer, None, response, False)
            return response
        try:
            opened = self.security.open_request(request)
        except Unverified as e:
            self.counters["unverified"] += 1
            self._refused(peer, None, e, e.code)
            return Message(code=e.code, max_age=0)
        endpoint = opened.account.endpoint
        note = "b2" if opened.context.announce is not None else ""
        if opened.inner is not None:
            self._trace("in", peer, endpoint, opened.inner, True, note)
        if opened.fresh:
            self._drop_observations(endpoint, "new security context")
        response = opened.answer
        if response is None:
            response = self._respond(opened.inner, peer, endpoint)
        if response is None:
            return None
        self._trace("out", peer, endpoint, response, True, note)
        return opened.seal(response)

    # The answer to a request, without protection; None when the device wants none.
    def _respond(self, request, peer, endpoint):
        unknown = [
            option.number for option in request.opt.option_list()
            if option.number.is_critical() and int(option.number) not in UNDERSTOOD
        ]
        if unknown:
            self._refused(peer, endpoint, "critical option %d" % unknown[0], codes.BAD_OPTION)
            return Message(code=codes.BAD_OPTION)
        whole, response = self.assembler.feed(request, (peer, endpoint))
        if whole is not None:
            try:
                response = self._dispatch(whole, peer, endpoint)
            except Refusal as e:
                self._refused(peer, endpoint, e, e.code)
                response = Message(code=e.code)
            response.opt.block1 = whole.opt.block1
        wanted = request.opt.no_response or 0
        if wanted & (1 << (response.code.class_ - 1)):
            return None
        return response

    def _dispatch(self, request, peer, endpoint):
        path = request.opt.uri_path
        if path[:1] == ("rd",):
            response = self.registry.handle(request, peer, endpoint)
        elif path == ("dp",):
            response = self._sent(request, peer, endpoint)
        elif request.code == codes.GET and path == (".well-known", "core"):
            response = Message(code=codes.CONTENT, content_format=40,
                               payload=b'</dp>,</rd>;rt="core.rd"')
        elif request.code == codes.GET and "/".join(path) in self.resources:
            body = self.resources["/".join(path)]
            whole = Message(code=codes.CONTENT, content_format=42, payload=body)
            response = blocks.first_block(whole, request, self.szx)
        else:
            raise Refusal(codes.NOT_FOUND, "no resource /%s" % "/".join(path))
        return response

    # The Send operation. It has no path of its own, so the sender tells whose it is.
    def _sent(self, request, peer, endpoint):
        if request.code != codes.POST:
            raise Refusal(codes.METHOD_NOT_ALLOWED, "%s /dp" % request.code)
        sender = next(
            (d for d in self.registry
             if (d.endpoint == endpoint if endpoint else not d.sealed and d.peer == peer)), None
        )
        if sender is None:
            raise Refusal(codes.NOT_FOUND, "Send without a registration")
        if request.opt.content_format is None:
            raise Refusal(codes.BAD_REQUEST, "Send without Content-Format")
        data = Message(code=codes.CONTENT, payload=request.payload,
                       content_format=request.opt.content_format)
        result = Result(data, (), self.models)
        if result.fault:
            raise Refusal(codes.BAD_REQUEST, result.fault)
        self.complain(sender.endpoint, result)
        self.log.emit("send", sender.endpoint, detail=result, values=result.brief())
        return Message(code=codes.CHANGED)

    # What is told to whom

    def _report(self, name, account, **data):
        self.log.emit(name, account.endpoint, **data)

    def _refused(self, peer, endpoint, why, code):
        self.log.emit("refused", endpoint, code=code.dotted, why=why, peer=peer)

    def _trace(self, direction, peer, endpoint, message, sealed, note=""):
        if self.trace is not None:
            self.trace(Inside(direction, self.log.now(), peer, endpoint, message, sealed, note))

    def complain(self, endpoint, result):
        """Report what a strict server would not have taken."""
        for complaint in result.complaints:
            self.log.emit("complaint", endpoint, about=complaint)

    # Ends of observations

    def _gone(self, registration):
        self._drop_observations(registration.endpoint, "registration ended")

    def _drop_observations(self, endpoint, why):
        for key, observation in list(self.observations.items()):
            if key[0] == endpoint:
                observation.end(why)

    def spawn(self, coroutine):
        """Run a coroutine until the server stops."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

