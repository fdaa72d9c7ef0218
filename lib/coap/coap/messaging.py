# CoAP message layer: reliability, duplicates, NSTART, time. Without I/O.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 7252 section 4.

from coap.dedup import Seen
from coap.codec import FormatError, decode, pack, parse

# Found at once, and not after a search in vain among the names of this module.
len = len

_CON = const(0)
_ACK = const(2)
_RST = const(3)


# What is counted.
_COUNTED = const(
    (
        "malformed",  # datagrams that are no CoAP message
        "dropped",  # messages that nothing was done about: no exchange, bad option, oversized
        "duplicates",  # messages received again
        "refused",  # messages that the security hook did not accept
        "retransmitted",  # datagrams sent again
        "timeouts",  # confirmable messages or requests given up
        "unsent",  # datagrams that could not be sent
        "errors",  # exceptions of the handler, the hook or a callback
        "requests",  # requests handed to the handler
        "responses",  # responses to requests of ours
        "evicted",  # replies forgotten for want of room
    )
)


class Counters:
    """What happened, by name; a count is an attribute of the instance from its first event on."""

    def __getattr__(self, name):
        if name in _COUNTED:
            return 0
        raise AttributeError(name)

    def items(self):
        """(name, count) of everything that happened."""
        return self.__dict__.items()


class Messaging:
    """The message layer below Endpoint, which has the public interface.

    What waits for an ACK is an owner: an Exchange, Ping, Observation or Responder, with
    peer, nstart (whether it counts for NSTART), start(endpoint, now) where it may have to wait
    for its turn, and acked(endpoint, now), failed(endpoint, reason, now) with the outcome.
    mid, data, tries, interval and due of an owner belong to this layer.
    """

    def __init__(self, send, rand, params):
        self._out = send
        self.rand = rand
        self.params = params
        self.max_datagram = params.max_datagram
        self.counters = Counters()
        self.on_error = None
        self.now = 0
        self._mid = int.from_bytes(rand(2), "big")
        self._flying = []  # what waits for an ACK or, being NON, for a response
        self._queue = []  # what waits for its turn (NSTART)
        self.seen = Seen(params, self.counters)
        self._spare = None  # a Message that nobody needs any more
        # What most devices never need comes with the first message that needs it.
        self.blocks = None  # a block.Server, once a body takes more than one message
        self.outer = None  # an Outer, once a proxy cut a sealed message

    # ---- Receiving

    def receive(self, data, peer, now):
        """Take a datagram from the network. True where it was a request, nothing came of it but
        its answer, and so no time of poll() has changed."""
        # Cut small, see codec.py: requests, which are most, catch what they raise by themselves.
        self.now = now
        if 3 < len(data) <= self.max_datagram and data[0] & 0xE0 == 0x40 and 0 < data[1] < 32:
            msg = parse(data, self._spare)
            self._spare = None
            if msg is not None and msg.mid not in self.seen.mids:
                return self._request(msg, peer, now)
        self._received(data, peer, now)

    def _received(self, data, peer, now):
        # What is not a new request, and what is not a message.
        try:
            if len(data) > self.max_datagram:
                # The end of it may be cut off: nothing but the header counts.
                self.counters.dropped += 1
                if data[0] & 0xF0 == 0x40:
                    self._empty(_RST, data[2] << 8 | data[3], peer)
                return
            try:
                msg = decode(data)
            except FormatError as e:
                self.counters.malformed += 1
                if e.type == _CON:
                    self._empty(_RST, e.mid, peer)
                return
            kind = msg.type
            code = msg.code
            if kind >= _ACK:
                self._acknowledged(msg, kind, code, peer, now)
                return
            mid = msg.mid
            entry = self.seen.find(mid, peer, now)
            if entry is not None:
                self.counters.duplicates += 1
                if entry[3] is not None:
                    self._send(entry[3], peer)
                return
            if 0 < code < 32:
                self._request(msg, peer, now)
            elif 64 <= code < 192:
                self._response(msg, peer, now)
            elif kind == _CON:
                # Ping, or a code of a reserved class (RFC 7252 section 4.2, 4.3).
                self._empty(_RST, mid, peer)
            else:
                self.counters.dropped += 1
        except Exception as e:
            self.error(e)

    def _acknowledged(self, msg, kind, code, peer, now):
        mid = msg.mid
        if kind == _ACK and code:
            # Piggybacked response. One that the hook does not accept acknowledges nothing.
            if 64 <= code < 192:
                token = msg.token
                for exchange in self.exchanges:
                    if exchange.mid == mid and exchange.token == token and exchange.peer == peer:
                        if exchange.observing:
                            # The answer to the registration once more.
                            break
                        self._answered(exchange, msg, now)
                        return
            self.counters.dropped += 1
            return
        if code:
            self.counters.dropped += 1
            return
        for owner in self._flying:
            if owner.mid == mid and owner.peer == peer:
                if kind == _ACK:
                    if owner.tries < 0:
                        # A NON request: there is nothing to acknowledge.
                        break
                    self._landed(owner)
                    owner.acked(self, now)
                else:
                    self._landed(owner)
                    owner.failed(self, "reset", now)
                self._start_next(now)
                return
        if kind == _RST:
            for observation in self.observations:
                if observation.mid == mid and observation.peer == peer:
                    self._drop_observation(observation, "reset")
                    return
        self.counters.dropped += 1

    # ---- Sending

    def _send(self, data, peer):
        try:
            self._out(data, peer)
        except Exception as e:
            self._unsent(e)

    def _unsent(self, e):
        self.counters.unsent += 1
        if not isinstance(e, OSError):
            self.error(e)

    def _empty(self, kind, mid, peer):
        data = bytes((0x40 | kind << 4, 0, mid >> 8, mid & 0xFF))
        self._send(data, peer)
        return data

    def _next_mid(self):
        self._mid = mid = (self._mid + 1) & 0xFFFF
        return mid

    def _transmit(self, owner, outer, token, now):
        # Send a confirmable message for owner, which is told acked() or failed(). The bytes
        # are made once: a retransmission repeats them.
        params = self.params
        owner.mid = mid = self._next_mid()
        owner.data = data = pack(outer, _CON, mid, token)
        owner.tries = 0
        spread = int(params.ack_timeout_ms * (params.ack_random_factor - 1))
        owner.interval = params.ack_timeout_ms
        if spread > 0:
            owner.interval += int.from_bytes(self.rand(2), "big") * spread >> 16
        owner.due = now + owner.interval
        self._flying.append(owner)
        self._send(data, owner.peer)

    def _landed(self, owner):
        # owner has its answer, or none is waited for any more.
        owner.data = None
        if owner in self._flying:
            self._flying.remove(owner)

    def _turn(self, peer):
        # Whether NSTART lets us begin something with a peer.
        n = self.params.nstart
        for owner in self._flying:
            if owner.nstart and owner.peer == peer:
                n -= 1
        return n > 0

    def _launch(self, owner, now):
        # Begin something that counts for NSTART, or let it wait for its turn.
        for waiting in self._queue:
            if waiting.peer == owner.peer:
                break
        else:
            if self._turn(owner.peer):
                self._start(owner, now)
                return
        self._queue.append(owner)

    def _start(self, owner, now):
        try:
            owner.start(self, now)
        except Exception as e:
            # Nothing was sent: the hook cannot seal it, or there is no memory.
            self.error(e)
            owner.failed(self, "refused", now)

    def _start_next(self, now):
        i = 0
        queue = self._queue
        while i < len(queue):
            if self._turn(queue[i].peer):
                self._start(queue.pop(i), now)
                i = 0
            else:
                i += 1

    def _withdraw(self, owner):
        self._landed(owner)
        if owner in self._queue:
            self._queue.remove(owner)

    # ---- Time

    def poll(self, now):
        """Do what is due: retransmit, give up, expire. Returns next_wakeup()."""
        self.now = now
        flying = self._flying
        i = 0
        while i < len(flying):
            owner = flying[i]
            if owner.due > now:
                i += 1
            elif 0 <= owner.tries < self.params.max_retransmit:
                owner.tries += 1
                owner.interval *= 2
                owner.due = now + owner.interval
                self.counters.retransmitted += 1
                self._send(owner.data, owner.peer)
                i += 1
            else:
                self._landed(owner)
                self._expired(owner, now)
                i = 0
        exchanges = self.exchanges
        i = 0
        while i < len(exchanges):
            exchange = exchanges[i]
            if exchange.deadline is not None and exchange.deadline <= now:
                self._withdraw(exchange)
                self._expired(exchange, now)
                i = 0
            else:
                i += 1
        if self.blocks is not None:
            self.blocks.expire(now)
        if self.outer is not None:
            self.outer.server.expire(now)
        if self._queue:
            # The one in front may have been cancelled.
            self._start_next(now)
        return self.next_wakeup()

    def _expired(self, owner, now):
        self.counters.timeouts += 1
        try:
            owner.failed(self, "timeout", now)
            self._start_next(now)
        except Exception as e:
            self.error(e)

    def next_wakeup(self):
        """When poll() has to be called next, in ms of the clock, or None for never."""
        wake = None
        for owner in self._queue:
            if self._turn(owner.peer):
                return self.now
        for owner in self._flying:
            if wake is None or owner.due < wake:
                wake = owner.due
        for exchange in self.exchanges:
            due = exchange.deadline
            if due is not None and (wake is None or due < wake):
                wake = due
        if self.blocks is not None:
            bodies = self.blocks.bodies
            if bodies and (wake is None or bodies[0].expires < wake):
                wake = bodies[0].expires
        if self.outer is not None:
            bodies = self.outer.server.bodies
            if bodies and (wake is None or bodies[0].expires < wake):
                wake = bodies[0].expires
        return wake

    def error(self, e):
        """Count an exception and hand it to on_error."""
        self.counters.errors += 1
        if self.on_error is not None:
            try:
                self.on_error(e)
            except Exception:
                pass

    def call(self, callback, *args):
        """Call a callback; what it raises is counted."""
        if callback is not None:
            try:
                callback(*args)
            except Exception as e:
                self.error(e)
