# One peer's account: the endpoint's security hook, with what survives a restart.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 section 8 (processing)

# What runs for each message is here. Apart from it, and loaded where it is called: refuse.py,
# for what is refused or suspicious; derive.py, for the start and a rekey, which a board lets go of
# once it is registered; keep.py, where something is kept over a restart.

import oscore.message as message  # what is seldom called has no name of its own here
from aesccm import InvalidTag
from coap.codec import Error, FormatError, pack

from .message import fields_of, inside

# Found at once, and not after a search in vain among the names of this module.
len = len
int = int

_POST = const(2)
_FETCH = const(5)
_CHANGED = const(0x44)
_CONTENT = const(0x45)
_BAD_REQUEST = const(0x80)
_UNAUTHORIZED = const(0x81)
_BAD_OPTION = const(0x82)
_UNAVAILABLE = const(0xA3)
_OBSERVE = const(6)
_CONTENT_FORMAT = const(12)
_ECHO = const(252)

_ACK = const(2)

_NONE_YET = const(-2)  # before any response
_NO_PIV = const(-1)  # a response without Partial IV: older than any that has one
_CLOSED = const(1 << 40)  # no further response

class Binding:
    """What binds the responses to one request: its context, its Partial IV (bytes)."""

    # What most requests never need is here, not in the instance.
    fetch = False  # outer FETCH, so the outer response is 2.05
    # Message 2 of Appendix B.2: the request's nonce, which is of another context
    nonce = None
    observe = False
    # Notification Number (section 4.1.3.5.2) of the requests that we make
    number = _NONE_YET
    # kid context that a request of ours carried, or that the response has to carry
    kid_context = None

    def __init__(self, account, ctx, piv):
        self.account = account
        self.ctx = ctx
        self.piv = piv
        # Whether responses that we seal need a Partial IV of their own, as the request's nonce is
        # used. None as False, for a response that is not like most: fetch, or with a nonce.
        self.own = False


class Account:
    """Seals and opens the messages exchanged with one peer: the security hook of
    coap.endpoint.Endpoint.

    master_secret, sender_id, recipient_id, master_salt, aead, hmac, id_context, limits: as
        limits.validate() takes them. id_context is used with policy "b1" only.
    random: random(n) -> n unpredictable bytes that never repeat, as fresh.Fresh gives.
    persist: what keeps state in flash, as record.Record does:
        load() -> None or (id_context, end, window, show), ValueError when it is unreadable;
        commit(id_context, end, window, show) and reserve(end), durable when they return,
        or OSError. end: sequence numbers below it may have been used; window: None or
        (highest, bits), reserve() drops it; show: the peer needs a kid context always.
        Or a function that gives it, called each time that it is needed.
    policy: "b2", a fresh context by Appendix B.2 at each start, with nothing in flash; or
        "b1", one context that lives on: numbers reserved ahead in flash, the replay window
        recovered with Echo. A backup of flash that is restored under "b1" makes numbers
        come back: only "b2" stands that.
    counters: what happened, by name. Raises ValueError that names the argument.

    What is not found among the methods here is a function of refuse.py, derive.py or answer.py, which
    takes the account first: rekey(), recover(), abandon(), probe(), challenge(), save(), wipe() and
    more.
    """

    def __init__(self, *args, **kw):
        from .derive import make

        make(self, *args, **kw)

    def __getattr__(self, name):
        import oscore.refuse as apart

        if not hasattr(apart, name):
            import oscore.derive as apart

            if not hasattr(apart, name):
                import oscore.answer as apart
        method = getattr(apart, name)
        return lambda *args: method(self, *args)

    _r2 = ()  # as server in Appendix B.2: R2s waiting for their request 3
    _hint = None  # context of the request that was answered plainly

    # Whether requests under ctx carry its ID Context in any case.
    def _shows(self, ctx):
        return self._keep is not None and self._keep.shows(ctx)

    # A fresh Partial IV of ctx. Raises Error when there is none to be had.
    def _number(self, ctx):
        try:
            return ctx.next() if self._keep is None else self._keep.number(ctx)
        except (ValueError, OSError):
            raise Error(_UNAVAILABLE, "no sequence number")

    @property
    def state(self):
        """Where Appendix B.2 stands: "new", "b2-1", "b2-2" or "ready", see derive.py."""
        if self._pending is not None:
            return "b2-2"
        if self._first is not None:
            return "b2-1"
        return "new" if self.ctx is None or self._rekey else "ready"

    def ready(self):
        """Whether requests of any kind may be sent, several at a time."""
        return self.state == "ready"

    def exhausted(self):
        """Whether it is time to rekey(): well before a key or its numbers are used up, or
        when nothing of the peer is accepted because it answers no request for Echo. Not
        while that is under way."""
        ctx = self.ctx
        return self.ready() and (
            max(ctx.seq, ctx.sealed) >= self._worn or ctx.trust <= 0 or self._patience <= 0
        )

    def again(self, inner):
        """What to add to the same request to send it once more, as the response inner asks:
        a tuple of options (number, value), or None when it does not ask."""
        if inner.code == _UNAUTHORIZED:
            echo = inner.opt(_ECHO)
            if echo is not None:
                return ((_ECHO, bytes(echo)),)  # RFC 9175 section 2.3
            if self._pending is not None:
                return ()
        return None

    # ------------------------------------------------------------- requests that we make

    def seal_request(self, msg):
        """(outer message, binding for open_response) of a request.

        Raises Error when no sequence number can be had, ValueError for a message that
        cannot be sealed.
        """
        ctx = self._pending
        kid_context = None
        if ctx is None and self.ctx is not None and not self._rekey:
            ctx = self.ctx
            if self._trying or self._shows(ctx):
                kid_context = ctx.id_context
        else:
            # Request 1, or request 3, and until it is answered
            from .derive import bstr

            if ctx is None:
                ctx = self.begin()
            kid_context = bstr(ctx.id_context)
        piv = self._number(ctx)
        observe = msg.uint(_OBSERVE)
        option = message.encode_option(piv, ctx.sender_id, kid_context)
        _, nonce, aad = ctx.request(True, piv)
        outer = message.seal(ctx, msg, _POST if observe is None else _FETCH, option, nonce, aad)
        self.counters["sealed"] += 1
        binding = Binding(self, ctx, piv)
        if kid_context is not None:
            binding.kid_context = kid_context
        if observe is not None:
            binding.fetch = True
            binding.observe = observe == 0
        return outer, binding

    def open_response(self, outer, binding):
        """The response sealed in outer.

        Raises PlainError for a plain 4.00, 4.01 or 4.02, which anybody can have sent (see
        recover()), SecurityError for a response to be dropped. again() says whether the
        response asks for the same request once more.
        """
        ctx = binding.ctx
        try:
            option = message.option_of(outer)
            if option is None:
                return self.plain(outer.code, ctx)
            piv, kid, kid_context = message.decode_option(option)
        except ValueError:
            return self.fail("undecodable", _BAD_OPTION)
        if not ctx.live() or (kid is not None and kid != self.recipient_id):
            self.fail("unknown", _UNAUTHORIZED)
        number = _NO_PIV if piv is None else int.from_bytes(piv, "big")
        if number <= binding.number:
            self.fail("replayed", _UNAUTHORIZED)
        if kid_context is not None and kid_context != ctx.id_context:
            from .refuse import unbstr

            r2 = unbstr(kid_context)
            if r2 is None:
                self.fail("unknown", _UNAUTHORIZED)
            if r2 != ctx.id_context:
                return self.message_2(outer, binding, piv, r2)
        inner = self._open_response(ctx, ctx, outer, binding, piv)
        binding.number = number if binding.observe and inner.opt(_OBSERVE) is not None else _CLOSED
        if ctx.window is None and piv is not None:
            # Bound to our fresh request, so the peer's number is recent too.
            self.open_window(ctx, number)
        if ctx is self._pending:
            self.promote(ctx)
        elif ctx is self._first:
            self.answered_in_first(inner)
        elif self._trying is True and binding.kid_context is not None and ctx is self.ctx:
            self.learned()
        return inner

    # Open a response with opener's key; the nonce of a response without Partial IV is that
    # of the request, literally, also where the keys are another context's.
    def _open_response(self, opener, ctx, outer, binding, piv):
        aad = ctx.request(True, binding.piv)
        nonce = aad[1] if piv is None else opener.nonce(False, piv)
        try:
            inner = message.unseal(opener, outer, nonce, aad[2], piv)
        except FormatError:
            self.fail("undecodable", _BAD_REQUEST)
        except (InvalidTag, ValueError):
            self.fail("failed", _BAD_REQUEST, ctx)
        if inner.opt(_OBSERVE) is not None and not binding.observe:
            self.fail("undecodable", _BAD_REQUEST)
        self.counters["opened"] += 1
        return inner

    # --------------------------------------------------------- requests that the peer makes

    def open_request(self, outer):
        """(inner message, binding for seal_response) of a request.

        Raises SecurityError(code); where its ex is set, the answer is sealed with it: the
        request for Echo, and message 2 of Appendix B.2.
        """
        fields = fields_of(outer)
        if not fields:
            if fields is None:
                self.fail("plain", _UNAUTHORIZED)
            self.fail("undecodable", _BAD_OPTION)
        if fields[1] != self.recipient_id:
            self.fail("unknown", _UNAUTHORIZED)
        if fields[2] is not None or self._pending is not None or self.ctx is None:
            return self.open_any(outer, fields[0], fields[2])
        # Most requests: no kid context, and one context only. As open_any(), which has a frame
        # on the heap (see coap's codec.py).
        fields = fields[0]
        inner = self.ctx.window
        if inner is not None:
            number = int.from_bytes(fields, "big")
            # Not asked, by one call less, where it is the highest so far.
            if number <= inner.highest and not inner.fresh(number):
                self.fail("replayed", _UNAUTHORIZED)
        inner = self.open_with(self.ctx, outer, fields)
        if inner is None:
            self.fail("failed", _BAD_REQUEST, self.ctx)
        if self.ctx.window is None or self._ask or outer.code == _FETCH:
            return self.accept(self.ctx, outer, inner, fields)
        # As accept(), for most.
        self.ctx.window.accept(number)
        return inner, Binding(self, self.ctx, fields)

    def open_with(self, ctx, outer, piv):
        """The request in outer, or None where its tag is wrong under ctx. Raises
        SecurityError for a plain text that is no request."""
        try:
            inner = inside(outer, ctx.open(outer.payload, piv), None)
        except FormatError:
            return self.fail("undecodable", _BAD_REQUEST)
        except (InvalidTag, ValueError):
            return None
        self.counters["opened"] += 1
        return inner

    def accept(self, ctx, outer, inner, piv):
        """Take a request whose tag is verified and whose number is fresh: from here on state
        may change. Returns, or raises, what open_request() does."""
        if ctx is self._pending:
            # The peer has the context of our R3: request 3 arrived, its answer is lost.
            self.promote(ctx)
        binding = Binding(self, ctx, piv)
        if outer.code == _FETCH:
            binding.fetch = True
            binding.own = None
        if ctx.window is not None:
            ctx.window.accept(int.from_bytes(piv, "big"))
        if ctx.window is None or self._ask:
            self.echoed(ctx, inner, binding)
        return inner, binding

    def seal_ack(self, msg, binding, mid, token):
        """The datagram of a response in an ACK, with that message ID and token: what pack()
        of coap makes of seal_response(), for most in fewer steps. Raises what that does."""
        if (
            binding.own is not False
            or len(msg.options) > 1
            or msg.options
            and msg.options[0][0] != _CONTENT_FORMAT
        ):
            return pack(self.seal_response(msg, binding), _ACK, mid, token)
        if not binding.ctx.live():
            raise Error(_UNAVAILABLE, "context is gone")
        binding.own = True  # before the nonce is used, whatever comes of it
        buf = bytearray(4)
        buf[0] = 0x60 | len(token)
        buf[1] = _CHANGED
        buf[2] = mid >> 8
        buf[3] = mid & 0xFF
        buf += token
        buf += b"\x90\xff"  # an empty OSCORE option, and the marker
        token = len(buf)
        buf.append(msg.code)
        if msg.options:
            mid = msg.options[0][1]  # of 0 to 2 bytes
            buf.append(0xC0 | len(mid))
            buf += mid
        if len(msg.payload):
            buf.append(0xFF)
            buf += msg.payload
        buf += bytes(binding.ctx.tag_len)
        binding.ctx.seal_answer(memoryview(buf)[token:], binding.piv)
        self.counters["sealed"] += 1
        return buf

    def seal_response(self, msg, binding, notification=False):
        """The outer message of a response. notification: one of several responses.

        The request's nonce serves once. Notifications, and whatever follows a response,
        have a Partial IV of their own. Raises Error when the context is gone, as it is
        after a rekey, or when no sequence number can be had.
        """
        if not binding.ctx.live():
            raise Error(_UNAVAILABLE, "context is gone")
        nonce = self._response_nonce(msg, binding, notification)
        binding.own = True  # before the nonce is used, whatever comes of it
        msg = message.wrap(binding.ctx.tag_len, msg, _CONTENT if binding.fetch else _CHANGED, nonce[1])
        notification = binding.ctx.answer(binding.piv)[2]
        binding.ctx.seal(
            nonce[0], msg.payload, len(msg.payload) - binding.ctx.tag_len, notification
        )
        if binding.nonce is not None:
            binding.ctx.wipe()  # made for this message alone
        self.counters["sealed"] += 1
        return msg

    # The nonce of a response, and the OSCORE option that tells the peer.
    def _response_nonce(self, msg, binding, notification):
        if binding.own or notification or msg.opt(_OBSERVE) is not None:
            own = self._number(binding.ctx)
            return binding.ctx.nonce(True, own), message.encode_option(own)
        if binding.nonce is not None:
            return binding.nonce, message.encode_option(b"", None, binding.kid_context)
        return binding.ctx.answer(binding.piv)[1], b""

    def housekeep(self):
        """Write to flash what is due, so that no message has to wait for it: call it when
        nothing else is to be done. Returns whether it wrote. Raises OSError."""
        return self._keep is not None and self._keep.housekeep(self.ctx)
