# What of an account outlives a restart, and when it is written to flash.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 section 7.5 and Appendix B.1.1

from .context import Context
from .window import Window

# All that a window in flash has room for: a bit for each number that was accepted.
_BITS = const((1 << 64) - 1)


class Keeper:
    """Hands out sequence numbers, and keeps in flash what that takes.

    persist: as Account has it, or None. b1: whether the context in use outlives a restart. Under "b2" an
    account has a Keeper only where there is something to keep: derive.keeper().

    The order of things under Appendix B.1, which Context's promise rests on:
    1. A bound is committed, then numbers below it are used. Never the other way round.
    2. A restart begins behind the bound, and one reservation further: should the store
       lose its newest record and fall back on the one before, that one is one
       reservation behind at most. start() commits twice, so that this holds from there.
    3. A window in flash is true until the first message of the next run: start()
       overwrites it before it is used.
    4. A context from Appendix B.2 lives in RAM alone until commit() wrote its bound. A
       power cut before that leaves the old context in flash, with the old bound.
    """

    def __init__(self, persist, b1, limits):
        self._persist = persist
        self.b1 = b1
        self._reserve_len = limits.reserve
        self._last = limits.sequence
        # Under "b2", what "b1" may have left in flash: it stays. Where that cannot be read
        # no number is left, or else "b1" would begin anew with what is written over it.
        self.old = (None, limits.sequence + 1)
        self.show = False  # the peer needs a kid context in every request
        # The ID Context that is not from Appendix B.2, and so is no secret of the peer's
        self.fixed = None
        self.ctx = None  # the context that flash holds, which stays below its `reserved`
        self.dirty = False  # flash wants a commit
        self.late = 0  # reservations that a message had to wait for

    def start(self, params):
        """The context that goes on, or None when Appendix B.2 has to make one."""
        persist = self._persist
        self.fixed = params[6] if self.b1 else None
        try:
            saved = persist.load()
        except (ValueError, OSError):
            return None  # which numbers were used is not known: other keys are needed
        id_context = params[6]
        begin = 0
        window = None
        self.old = (None, 0)
        if saved is not None:
            id_context, begin, window, self.show = saved
            self.old = (id_context, begin)
            begin += self._reserve_len
        if not self.b1:
            return None
        ctx = Context(params, id_context)
        ctx.seq = ctx.sealed = ctx.reserved = begin
        if saved is not None:
            ctx.window = None
        try:
            persist.commit(id_context, begin, None, self.show)
            self._reserve(ctx)
        except OSError:
            window = None  # and numbers are had when a reservation succeeds
        if window is not None:
            from .limits import bounds

            size = bounds(params).window
            ctx.window = Window(size)
            ctx.window.highest, bits = window
            if bits:
                ctx.window.missing = (bits ^ _BITS) & (1 << size) - 1
        self.ctx = ctx
        return ctx

    def _reserve(self, ctx):
        end = ctx.reserved + self._reserve_len
        self._persist.reserve(end)
        ctx.reserved = min(end, self._last + 1)

    def number(self, ctx):
        """A fresh Partial IV of ctx, bytes. Raises ValueError when there is none, OSError."""
        if ctx is self.ctx and ctx.seq >= ctx.reserved <= self._last:
            self.late += 1
            self._reserve(ctx)
        return ctx.next()

    def shows(self, ctx):
        """Whether requests under ctx carry its ID Context in any case."""
        return self.show or ctx.id_context == self.fixed

    def replaced(self):
        """The context in use is another: from now on it is the one to keep."""
        self.ctx = None
        self.dirty = self.b1

    def learned(self):
        """The peer needs a kid context in every request."""
        self.show = True
        self.dirty = True

    def housekeep(self, ctx):
        """Write what is due; ctx: the context in use. Returns whether it wrote. Raises
        OSError."""
        persist = self._persist
        if persist is None:
            return False
        if self.dirty:
            if not self.b1:
                persist.commit(self.old[0], self.old[1], None, self.show)
            elif ctx is not None:
                end = ctx.reserved if ctx is self.ctx else ctx.seq + self._reserve_len
                persist.commit(ctx.id_context, end, None, self.show)
                ctx.reserved = min(end, self._last + 1)
                self.ctx = ctx
            self.dirty = False
            return True
        ctx = self.ctx
        # While Echo is awaited, replays may eat numbers: none is reserved ahead.
        if ctx is not None and ctx.window is not None and ctx.reserved <= self._last:
            if ctx.reserved - ctx.seq <= self._reserve_len >> 1:
                self._reserve(ctx)
                return True
        return False

    def save(self, ctx):
        """Clean stop: keep numbers and window exactly. ctx must not be used afterwards,
        whatever this raises. Raises OSError."""
        if self.b1 and ctx is not None:
            window = ctx.window
            if window is not None:
                # What is below counts as accepted also for a larger window of the next run.
                bits = 0 if window.highest < 0 else window.missing ^ _BITS
                window = (window.highest, bits)
            self._persist.commit(ctx.id_context, ctx.seq, window, self.show)
