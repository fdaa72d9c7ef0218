# The CoAP endpoint under the bench server: one UDP socket for both roles, over aiocoap's
# message layer, with a tap on every datagram.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 7252 section 4 (by aiocoap) and 5.3 (tokens, here).
#
# aiocoap's own token layer is left out: it knows nothing of OSCORE, ends an exchange at
# the first response even when that does not verify, cannot cancel an observation under
# its token, and gives up all observations of a peer when one request times out.

import asyncio
import collections
import logging
import secrets
import socket
from dataclasses import dataclass

from aiocoap import Message, error, interfaces
from aiocoap.messagemanager import MessageManager
from aiocoap.numbers import codes, types
from aiocoap.numbers.constants import TransportTuning

TOKEN_LEN = 4
MAX_DONE = 64  # tokens remembered after their exchange, whose late duplicates are acknowledged

log = logging.getLogger("microlwm2m.bench")


@dataclass
class Datagram:
    """What the tap sees. direction: "in" (from the device) or "out". time: seconds, of the
    server's clock. peer: Peer. sealed: whether it carries an OSCORE option; None for an
    empty message (ACK, RST, ping)."""

    direction: str
    time: float
    peer: tuple
    data: bytes
    sealed: bool


class Peer(collections.namedtuple("Peer", "host port"), interfaces.EndpointAddress):
    """The address of the other side of a datagram."""

    scheme = "coap"
    is_multicast = is_multicast_locally = False

    def __str__(self):
        return ("[%s]:%d" if ":" in self.host else "%s:%d") % self

    hostinfo = hostinfo_local = uri_base = uri_base_local = property(__str__)
    blockwise_key = property(lambda self: self)


def is_sealed(data):
    """Whether a datagram carries an OSCORE option (9); None when it is empty or malformed."""
    try:
        message = Message.decode(data)
    except (error.Error, ValueError, IndexError):
        return None
    if message.code == codes.EMPTY:
        return None
    return message.opt.oscore is not None


class _Udp(asyncio.DatagramProtocol, interfaces.MessageInterface):
    """The socket, as aiocoap's message layer sees it."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.transport = None
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, exc):
        if not self.closed.done():
            self.closed.set_result(None)

    def error_received(self, exc):
        # A port that is closed for a moment, as while a device restarts, is a lost
        # datagram: the retransmission finds it open again.
        self.endpoint.counters["icmp"] += 1

    def datagram_received(self, data, address):
        peer = Peer(*address[:2])
        if not self.endpoint.tapped("in", peer, data):
            return
        try:
            message = Message.decode(data, remote=peer)
        except (error.Error, ValueError, IndexError):
            self.endpoint.counters["malformed"] += 1
            return
        self.endpoint.messages.dispatch_message(message)

    def send(self, message):
        data = message.encode()
        if self.transport is not None and self.endpoint.tapped("out", message.remote, data):
            self.transport.sendto(data, tuple(message.remote))

    async def shutdown(self):
        self.transport.close()
        await self.closed

    async def determine_remote(self, message):
        return None

    async def recognize_remote(self, remote):
        return isinstance(remote, Peer)


class Exchange:
    """A request of ours. on_response(message) -> whether to go on waiting for more.
    on_error(reason): "timeout" or "reset"; not called after that. answered: set by the
    owner of an observation that stands."""

    def __init__(self, message, on_response, on_error):
        self.message, self.on_response, self.on_error = message, on_response, on_error
        self.answered = False

    @property
    def key(self):
        return self.message.token, self.message.remote


class Endpoint:
    """One socket, requests in both directions.

    serve: a coroutine function of an incoming request Message that returns the response,
        or None for no answer.
    tap: called with a Datagram; when it returns False the datagram is lost.
    clock: gives the time for the Datagram.
    tuning: aiocoap's TransportTuning.
    """

    client_credentials = None  # aiocoap's message layer asks for it

    def __init__(self, serve, tap=None, clock=None, tuning=None):
        self.serve, self.tap, self.clock = serve, tap, clock
        self.tuning = tuning or TransportTuning()
        self.counters = collections.Counter()
        self.log = log
        self.exchanges = {}
        self.done = collections.deque(maxlen=MAX_DONE)
        self.tasks = set()

    async def start(self, host, port):
        """Bind. Raises OSError."""
        self.loop = asyncio.get_running_loop()
        self.messages = MessageManager(self)
        info = await self.loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        _, udp = await self.loop.create_datagram_endpoint(
            lambda: _Udp(self), local_addr=info[0][4][:2], family=info[0][0]
        )
        self.messages.message_interface = udp
        self.address = Peer(*udp.transport.get_extra_info("sockname")[:2])

    async def stop(self):
        """Close the socket; nothing that is under way is answered any more."""
        for task in list(self.tasks):
            task.cancel()
        self.exchanges.clear()
        await self.messages.shutdown()

    def tapped(self, direction, peer, data):
        """Show a datagram to the tap. Returns whether it goes on."""
        self.counters["datagrams_" + direction] += 1
        if self.tap is None:
            return True
        seen = Datagram(direction, self.clock() if self.clock else 0.0, peer, data, is_sealed(data))
        return self.tap(seen) is not False

    # Requests of ours

    def request(self, message, on_response, on_error, token=None):
        """Send a request to message.remote. token: that of an earlier exchange, to renew or
        cancel an observation. Returns the Exchange."""
        message.token = token or secrets.token_bytes(TOKEN_LEN)
        message.transport_tuning = self.tuning
        exchange = Exchange(message, on_response, on_error)
        self.exchanges[exchange.key] = exchange
        self.messages.send_message(message, lambda: self._failed(exchange, "reset"))
        return exchange

    def forget(self, exchange):
        """Wait no longer. Later responses to it are rejected with RST."""
        if self.exchanges.get(exchange.key) is exchange:
            del self.exchanges[exchange.key]
        self._stop_sending(exchange.message)

    # aiocoap 0.4 has no call for this: without it a request given up early would
    # hold back all later ones to the same peer (NSTART 1) until its last repetition.
    def _stop_sending(self, message):
        manager = self.messages
        active = manager._active_exchanges
        key = message.remote, message.mid
        if message.mid is None or not active or key not in active:
            backlog = manager._backlogs.get(message.remote, [])
            backlog[:] = [entry for entry in backlog if entry[0] is not message]
            return
        _, timer = active.pop(key)
        timer.cancel()
        manager._continue_backlog(message.remote)

    def _failed(self, exchange, reason):
        if self.exchanges.get(exchange.key) is exchange:
            del self.exchanges[exchange.key]
            exchange.on_error(reason)

    # What aiocoap's message layer calls

    def dispatch_error(self, exception, remote):
        # The last retransmission to a peer went unanswered. Observations that stand
        # wait for a notification, not for an answer: they stay.
        for exchange in list(self.exchanges.values()):
            if exchange.message.remote == remote and not exchange.answered:
                self._failed(exchange, "timeout")

    def process_response(self, response):
        key = response.token, response.remote
        exchange = self.exchanges.get(key)
        if exchange is None:
            if response.mtype is types.NON:
                self._reject(response)
            return key in self.done
        if response.mtype is not types.ACK:
            # An answer of its own overtook the ACK, or the ACK is lost.
            self._stop_sending(exchange.message)
        if not exchange.on_response(response) and self.exchanges.get(key) is exchange:
            del self.exchanges[key]
            if response.opt.observe is None and exchange.message.opt.observe is None:
                self.done.append(key)
        return True

    def _reject(self, message):
        reset = Message(_mtype=types.RST, _mid=message.mid, code=codes.EMPTY)
        reset.remote = message.remote
        self.messages.message_interface.send(reset)

    def process_request(self, request):
        task = self.loop.create_task(self._serve(request))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _serve(self, request):
        try:
            response = await self.serve(request)
        except Exception:
            log.exception("request handler")
            response = Message(code=codes.INTERNAL_SERVER_ERROR)
        if response is None:
            return
        response.remote, response.token, response.request = request.remote, request.token, request
        response.transport_tuning = self.tuning
        self.messages.send_message(response, lambda: None)
