# CoAP endpoint: requests and responses, both roles over one socket. Without I/O.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 7252 sections 4 and 5.

# The way of a datagram: decode, duplicates (by peer and message ID, below security), security
# hook, options, block-wise, handler; and back. Nothing but a counter changes before the hook has
# accepted a message. What we send by ourselves and wait for is in sending.py, and in seldom.py what
# most requests do not come by, with observers of ours.

from coap.codec import Error, Message, pack, read
from coap.params import Params

# Found at once, and not after a search in vain among the names of this module.
len = len
callable = callable

_CON = const(0)
_NON = const(1)
_ACK = const(2)
_RST = const(3)

_INTERNAL = const(0xA0)

_IF_MATCH = const(1)
_OBSERVE = const(6)
_URI_PATH = const(11)
_URI_QUERY = const(15)
_BLOCK2 = const(23)
_BLOCK1 = const(27)
_NO_RESPONSE = const(258)

# What a message's options ask for, see _scan().
_F_BLOCK = const(1)
_F_OBSERVE = const(2)
_F_NO_RESPONSE = const(4)
# Message.kinds of what _scan() has to look at: numbers 1, 5, 6, 13, 19, 21, 23, 25, 27, and bit 0.
# It has no flag for the others below 29.
_CLOSER = const(0x0AA82063)


class Responder:
    """Answers one request later than at once: the handler returns None and keeps this. After
    a handler that returns a response it belongs to the endpoint again.

    request: as the handler gets it; outer: the message as it came, with type, message ID and
    token, until the handler has answered; security: what the hook keeps for it. offset, more:
    position of the payload in the whole body and whether more follows, for a handler that takes
    a body block by block (Endpoint.wants).
    """

    # What most requests never need is here, not in the instance. Where flags is not 0 there are
    # block1, block2 and body too.
    flags = 0
    offset = 0
    more = False

    def __init__(self, endpoint):
        self._endpoint = endpoint
        self.peer = None
        self.outer = None
        self.request = None
        self.security = None
        self.observation = None

    def observe(self):
        """Register the peer as observer of what it asked for, and return the Observation;
        None where there are params.max_observations already. The endpoint puts Observe into
        the response, unless that is an error: then the observation ends."""
        self.observation = self._endpoint._observe(self)
        return self.observation

    def respond(self, response, now):
        """Send the response of a request that the handler answered with None, in a message of
        its own (RFC 7252 section 5.2.2): confirmable where the request was."""
        self._endpoint._separate(self, response, now)


class Endpoint:
    """A CoAP endpoint, client and server, towards one or more peers.

    send(data, peer): sends a datagram; data is not changed afterwards. What it raises counts
    as a lost datagram.
    rand(n): n random bytes. peer: anything that can be compared with ==.
    handler(request, peer, responder) returns the response (a Message with code, options and
    payload), or None when it will call responder.respond(). An Error becomes a response with
    its code, any other exception a 5.00. Block-wise and Observe are taken care of.
    hook: security hook with seal_request, open_response, open_request, seal_response; or None.
    It may have seal_ack(msg, ex, mid, token) too: the datagram of the response in an ACK, by
    fewer steps.
    params: a Params.

    Times are int milliseconds of a clock that never goes back. receive() and poll() do not
    raise: counters.errors counts what the hook, the handler and callbacks raise, and
    on_error(exception) is called with it.

    What is not found among the methods here is a function of seldom.py or rare.py that takes
    the endpoint first: ping(), cancel(), notify(), restore(), forget() and more.
    """

    # Critical options that requests and responses may carry. A handler that serves others
    # (If-Match, If-None-Match) assigns a longer tuple.
    critical = (_URI_PATH, _URI_QUERY, 17, 9, _BLOCK2, _BLOCK1, 3, 7)

    # wants(request, peer), where there is one: True where the handler takes a long body block by
    # block. It is then called with each block and answers 2.31 while responder.more is set.
    wants = None

    _tag = 0  # Request-Tag of our next long body, 0 is without

    def __init__(self, send, rand, handler=None, hook=None, params=None):
        self.params = params = params or Params()
        self._out = send
        self.rand = rand
        self.handler = handler or self._no_handler
        self.hook = hook
        self.seal_ack = getattr(hook, "seal_ack", None)
        self.counters = Params()
        self.on_error = None
        self.now = 0
        self.max_datagram = params.max_datagram
        self._whole = 16 << params.block_szx  # what a message holds of a body
        self._mid = int.from_bytes(rand(2), "big")
        # The messages received last, each with the datagram that answered it, which answers a
        # duplicate too (RFC 7252 section 4.5): (mid, peer, when, reply, empty where there is none);
        # their message IDs, to see at once that there is none; which is the oldest, once there are
        # as many as may be; what room is left for replies.
        self.entries = []
        self.mids = []
        self._oldest = 0
        self._room = params.dedup_bytes
        self._slots = params.dedup_slots
        self._spare = None  # a Message that nobody needs any more
        self._responder = None  # one that no handler kept, to be used again
        # What is there only while it is needed, or comes with the first message that needs it.
        self.observations = ()  # observers of ours
        self.sending = None  # a Sending, while something that we sent waits for an answer
        self.blocks = None  # a block.Server, once a body takes more than one message

    def __getattr__(self, name):
        import coap.seldom as apart

        if not hasattr(apart, name):
            import coap.rare as apart
        method = getattr(apart, name)
        return lambda *args, **named: method(self, *args, **named)

    # ---- Receiving

    def receive(self, data, peer, now):
        """Take a datagram from the network. True where it was a request, nothing came of it but
        its answer, and so no time of poll() has changed."""
        # Cut small, see codec.py: requests, which are most, catch what they raise by themselves.
        self.now = now
        if 3 < len(data) <= self.max_datagram and data[0] & 0xE0 == 0x40 and 0 < data[1] < 32:
            return self._request(data, None, peer, now)
        self._received(data, peer, now)

    def _received(self, data, peer, now):
        # What is not a new request, and what is not a message.
        try:
            msg = None
            if len(data) > self.max_datagram:
                # The end of it may be cut off: nothing but the header counts.
                self.counters.dropped += 1
            else:
                if len(data) > 3:
                    try:
                        msg = read(data, None)
                    except ValueError:
                        pass
                if msg is None:
                    self.counters.malformed += 1
            if msg is None:
                if len(data) > 3 and data[0] & 0xF0 == 0x40:
                    self._empty(_RST, data[2] << 8 | data[3], peer)
                return
            kind = msg.type
            code = msg.code
            mid = msg.mid
            if kind >= _ACK:
                if self.sending is None or not self.sending.acknowledged(msg, peer, now):
                    if kind == _RST and not code:
                        for observation in self.observations:
                            if observation.mid == mid and observation.peer == peer:
                                self._drop_observation(observation, "reset")
                                return
                    self.counters.dropped += 1
                return
            old = now - self.params.exchange_lifetime_ms
            for entry in self.entries:
                if entry[0] == mid and entry[1] == peer and entry[2] > old:
                    self.counters.duplicates += 1
                    if entry[3]:
                        self._send(entry[3], peer)
                    return
            if 0 < code < 32:
                self._request(data, msg, peer, now)
            elif 64 <= code < 192:
                if self.sending is None or not self.sending.response(msg, peer, now):
                    self.counters.dropped += 1
                    if kind == _CON or msg.opt(_OBSERVE) is not None:
                        self._empty(_RST, mid, peer)
            elif kind == _CON:
                # Ping, or a code of a reserved class (RFC 7252 section 4.2, 4.3).
                self._empty(_RST, mid, peer)
            else:
                self.counters.dropped += 1
        except Exception as e:
            self.error(e)

    def _remember(self, mid, peer, reply, now):
        # At the bound the oldest message goes; of replies that are too many bytes the oldest go,
        # while their messages are still known.
        i = self._oldest
        if i < len(self.entries):
            old = self.entries[i][3]
            # First what there may be no memory for: then nothing has changed.
            self.entries[i] = (mid, peer, now, reply)
            self.mids[i] = mid
            self._room += len(old)
        else:
            self.mids.append(mid)
            mid = (mid, peer, now, reply)  # by itself: see codec.py
            self.entries.append(mid)
        i += 1
        self._oldest = i if i < self._slots else 0
        self._room -= len(reply)
        if self._room < 0:
            self._shrink()

    def _shrink(self):
        # The newest reply stays, however long it is.
        entries = self.entries
        n = len(entries)
        for i in range(self._oldest, self._oldest + n - 1):
            mid, peer, received, reply = entries[i % n]
            if reply:
                self._room += len(reply)
                entries[i % n] = (mid, peer, received, b"")
                self.counters.evicted += 1
                if self._room >= 0:
                    break

    # ---- Requests to us

    def _scan(self, options):
        # Flags of what the options ask for; -1 where a critical one is not understood
        # (RFC 7252 section 5.4.1) or is there twice and must not be (section 5.4.5).
        flags = 0
        last = -1
        for n in options:
            n = n[0]
            if n == _URI_PATH:
                continue
            if n & 1:
                if n not in self.critical:
                    return -1
                if n == _BLOCK1 or n == _BLOCK2:
                    flags |= _F_BLOCK
                if n == last and n != _URI_QUERY and n != _IF_MATCH:
                    return -1
                last = n
            elif n == _OBSERVE:
                flags |= _F_OBSERVE
            elif n == _NO_RESPONSE:
                flags |= _F_NO_RESPONSE
        return flags

    def _request(self, data, msg, peer, now):
        # msg: None where data is still to be read, and may be no request, or a duplicate.
        try:
            if msg is None:
                spare = self._spare
                self._spare = None
                try:
                    msg = read(data, spare)
                except ValueError:
                    pass  # no message: told in _received()
                if msg is None or msg.mid in self.mids:
                    return self._received(data, peer, now)
            hook = self.hook
            security = None
            request = msg
            if hook is not None:
                try:
                    if len(msg.options) > 1 and msg.opt(_BLOCK1) is not None and self._cut(msg):
                        msg = self.blocks.outer.request(self, msg, peer, now)
                        if msg is None:
                            return
                    request, security = hook.open_request(msg)
                except Error as e:
                    self._refuse(msg, peer, e, now)
                    return
            responder = self._responder
            if responder is None:
                responder = Responder(self)
            # Not used again unless nothing but a response comes of it.
            self._responder = None
            responder.outer = msg
            responder.request = request
            responder.peer = peer
            responder.security = security
            flags = request.kinds & _CLOSER and self._scan(request.options)
            try:
                if flags:
                    response = self._special(responder, flags, now)
                    if response is False:
                        return
                else:
                    self.counters.requests += 1
                    response = self.handler(request, peer, responder)
            except Error as e:
                response = e.response()
            except Exception as e:
                self.error(e)
                response = Message(_INTERNAL)
            if response is not None:
                try:
                    payload = response.payload
                    if (
                        flags
                        or responder.observation is not None
                        or callable(payload)
                        or len(payload) > self._whole
                    ):
                        response = self._finish(responder, response, now)
                    else:
                        responder.outer = responder.request = responder.security = None
                        self._responder = responder
                except Exception as e:
                    # What the handler returned is no response.
                    self.error(e)
                    response = Message(_INTERNAL)
            if (
                response is None
                or msg.type == _NON
                or security is not None
                and (self.seal_ack is None or len(msg.options) > 1)
            ):
                self._reply(msg, peer, security, response, now, True)
                return
            # What follows is _reply() for most. It is here since each function that catches what
            # it calls has its frame on the heap, see codec.py, and this one has one already.
            if security is None:
                response = pack(response, _ACK, msg.mid, msg.token)
            else:
                try:
                    response = self.seal_ack(response, security, msg.mid, msg.token)
                except Exception as e:
                    response = pack(self._unsealed(e), _ACK, msg.mid, msg.token)
            try:
                self._out(response, peer)
            except Exception as e:
                self._unsent(e)
            self._remember(msg.mid, peer, response, now)
            if self._responder is not None:
                if request is not msg:
                    # Nobody has what was around the request.
                    msg.options = msg.payload = None
                    self._spare = msg
                return True
        except Exception as e:
            self.error(e)

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

    def request(self, msg, peer, now, on_response, *how, **named):
        """request(msg, peer, now, on_response, confirmable=True, timeout_ms=None, observe=False):
        send a request and return its Exchange.

        msg: code, options and the whole payload; it is cut into blocks where it is long, and
        a long response is put together, unless msg has a Block2 of its own: then each response
        is given as it comes. timeout_ms: bound for the whole exchange; without it each message
        is bounded by params. observe: register for notifications (RFC 7641).

        on_response(exchange, response, error) is called once, or with observe=True for each
        notification, until exchange.done. response is a Message and error None; else error is
        "timeout", "reset" (rejected by the peer), "cancelled", "refused" (the hook cannot seal
        it, or max_exchanges: it may then be called before this returns), "incomplete" or "too
        large" (of a long response), or "plain": response is then an unprotected error in answer
        to a protected request, which is only a hint.
        """
        from coap.sending import begin

        self.now = now
        return begin(self).request(msg, peer, now, on_response, *how, **named)

    # ---- Time

    def poll(self, now):
        """Do what is due: retransmit, give up, expire. Returns next_wakeup()."""
        self.now = now
        sending = self.sending
        # Not where a callback began another.
        if sending is not None and not sending.poll(now) and self.sending is sending:
            self.sending = None
        if self.blocks is not None:
            self.blocks.expire(now)
        return self.next_wakeup()

    def next_wakeup(self):
        """When poll() has to be called next, in ms of the clock, or None for never."""
        wake = None if self.sending is None else self.sending.wakeup()
        if self.blocks is not None:
            due = self.blocks.wakeup()
            if wake is None or due is not None and due < wake:
                return due
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
