# Appendix B.2 as client: a fresh context agreed on with a peer, in four messages.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 Appendix B.2

from coap.codec import Error, Message

from .context import unbstr

_GET = const(1)
_UNAUTHORIZED = const(0x81)
_BAD_REQUEST = const(0x80)
_BAD_OPTION = const(0x82)
_URI_PATH = const(11)
_ECHO = const(252)
_CLOSED = const(1 << 40)  # as in account.py


class Rederiving:
    """The part of an Account that agrees on contexts. It is driven by the requests that pass
    through seal_request() and open_response().

    state "new": the next request is request 1, under a fresh R1. Peers are known to carry
        it out, so let it be a harmless one (probe()).
    "b2-1": request 1 waits for its answer. "b2-2": R2 is known; the next request is
        request 3. "ready": its answer was verified.
    Peers take any request for the next step: one at a time until ready().
    The context in use before, if any, still opens and seals what the peer began under it,
    until the new one is verified.
    """

    def _start_b2(self):
        # Raised with each new context: observations of an older one are gone.
        self.generation = 0
        self._first = None  # ID Context R1, request 1 is out
        self._pending = None  # ID Context R2 || R3, not yet verified
        self._rekey = False  # leave ctx for a fresh one
        self._worn = self.limits.rekey  # uses of a key after which it is time to
        self._unmet = 0  # requests for Echo that were not met
        self._hint = None  # context of the request that was answered plainly
        # Whether the peer needs a kid context always: not tried in ctx, being tried, tried
        self._trying = None

    # The context of a new request 1.
    def _begin_b2(self):
        ctx = self.derive(self.random(self.limits.nonce))
        if self._first is not None:
            self._first.wipe()
        self._first = ctx
        return ctx

    # Message 2: to request 1, or to any other by a peer that lost its context, where the
    # ID Context in use stands for R1.
    def _message_2(self, outer, binding, piv, r2):
        ctx = binding.ctx
        if not r2 or ctx not in (self._first, self._pending, self.ctx):
            self.fail("unknown", _UNAUTHORIZED)
        try:
            second = self.derive(r2 + (ctx.id_context or b""))
        except Error:
            self.fail("undecodable", _BAD_OPTION)
        try:
            inner = self._open_response(second, ctx, outer, binding, piv)
        finally:
            second.wipe()
        if inner.code != _UNAUTHORIZED:
            self.fail("undecodable", _BAD_REQUEST)
        binding.number = _CLOSED
        pending = self._pending
        if pending is None or ctx is pending or not pending.seq:
            fresh = r2 + self.random(self.limits.nonce)
            if unbstr(fresh) is not None:
                # Californium would take it, where it goes unwrapped, for a wrapped R1.
                fresh += self.random(1)
            self._set_pending(self.derive(fresh))
        return inner

    # From here on requests are sealed under ctx with its kid context, until one is answered.
    def _set_pending(self, ctx):
        for old in (self._first, self._pending):
            if old is not None and old is not ctx:
                old.wipe()
        self._first = None
        self._pending = ctx

    # The peer answered request 1 in its own context.
    def _answered_in_first(self, inner):
        if inner.code == _UNAUTHORIZED and inner.opt(_ECHO) is not None:
            # It knows R1 already, as its answer was lost, and asks for Echo: go on with it.
            self._set_pending(self._first)
        else:
            # It took request 1 for the request 3 of an earlier run: begin again.
            self.counters["restarted"] += 1
            self.rekey()

    def promote(self, ctx):
        """Make a context that was verified the one in use; the one before is wiped."""
        old = self.ctx
        self.ctx = ctx
        if self._pending is not ctx:
            self._set_pending(None)
        self._first = self._pending = None
        if old is not None and old is not ctx:
            old.wipe()
        self._rekey = False
        self._trying = None
        self._unmet = 0
        self._worn = self.limits.rekey
        self._keep.replaced()
        self.generation += 1
        self.counters["rederived"] += 1

    def rekey(self):
        """Begin Appendix B.2: the next request is request 1, with a fresh R1."""
        self._set_pending(None)
        self._rekey = True
        if self._trying:
            self._trying = False

    def abandon(self):
        """Give up Appendix B.2 and go on with the context in use, where there is one."""
        self._set_pending(None)
        self._rekey = False
        if self.exhausted():
            # It goes on for a while, then the next attempt is due.
            ctx = self.ctx
            ctx.failed = self._unmet = 0
            self._worn = max(ctx.seq, ctx.sealed) + (self.limits.rekey >> 4)

    def recover(self):
        """After PlainError: True when Appendix B.2 is to begin (send a harmless request, see
        probe()), False when the same request is to be sent again.

        The error is not authenticated: whoever calls this limits its rate. A peer that
        needs the kid context in each request answers like one that lost its context, so
        that is tried first, once, and remembered. Where Appendix B.2 is what was refused,
        the context in use is tried again: the peer may know no B.2, or somebody else may
        have sent the error that led here.
        """
        hint = self._hint
        self._hint = None
        ctx = self.ctx
        if ctx is not None:
            if hint is not None and (hint is self._first or hint is self._pending):
                self.abandon()
                return False
            if hint is not ctx:
                return False  # an answer to a context that is gone already
            if self._trying is None and not self._rekey and not self._shows(ctx):
                self._trying = True
                return False
        self.rekey()
        return True

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

    def probe(self):
        """A harmless request, for request 1."""
        msg = Message(_GET).add(_URI_PATH, "rederivation")
        return msg.add(_URI_PATH, "blackhole")

    @property
    def state(self):
        """Where Appendix B.2 stands: "new", "b2-1", "b2-2" or "ready"."""
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
            max(ctx.seq, ctx.sealed) >= self._worn
            or ctx.failed >= self.limits.failures
            or self._unmet >= self.limits.echoes
        )
