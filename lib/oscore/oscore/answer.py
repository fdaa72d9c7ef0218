# What an account answers with a question: Echo, and Appendix B.2 where the peer begins it.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 Appendix B.1.2 (Echo), Appendix B.2 (as server); RFC 9175 section 2

# As refuse.py, for who has keys that outlive a restart, or a peer that begins Appendix B.2.
# Without this file such a peer is answered 4.01.

from coap.codec import Error

from .account import Binding
from .derive import bstr, derive, promote
from .limits import bounds
from .refuse import fail, refused
from .window import Window

_FETCH = const(5)
_BAD_REQUEST = const(0x80)
_UNAUTHORIZED = const(0x81)
_ECHO = const(252)


def challenge(account):
    """Ask for Echo (RFC 9175 section 2) at the next request of the peer."""
    account._ask = True


def rederive(account, outer, piv, r):
    """Appendix B.2 as server: request 1 or request 3 of a peer, whose kid context holds bstr(r).

    Request 1 raises SecurityError whose ex seals message 2. Request 3 begins with an R2 of
    ours, which counts once, and makes its context the one in use: returns what
    Account.open_request() does."""
    try:
        ctx = derive(account, r)
    except Error:
        fail(account, "unknown", _UNAUTHORIZED)
    limits = bounds(account._params)
    third = False
    for r2 in account._r2:
        third = third or (len(r) > len(r2) and r[: len(r2)] == r2)
    # The peer's first number in a context is of its own choice, but no context of R1 has
    # been used before: nothing to be found in a window.
    inner = account.open_with(ctx, outer, piv)
    if inner is None:
        ctx.wipe()
        fail(account, "failed", _BAD_REQUEST)
    if third:
        account._r2 = ()
        promote(account, ctx)
        return account.accept(ctx, outer, inner, piv)
    r2 = account.random(limits.nonce)
    # A request 1 may be a replay; R2 gives each answer a key of its own.
    binding = Binding(account, ctx, piv)
    binding.fetch = outer.code == _FETCH
    binding.nonce = ctx.nonce(False, piv)
    binding.own = None
    binding.kid_context = bstr(r2)
    ctx.wipe()
    try:
        binding.ctx = derive(account, r2 + r)
    except Error:
        fail(account, "unknown", _UNAUTHORIZED)
    # Of more than fit the oldest give way.
    account._r2 = (account._r2 + (r2,))[0 - limits.r2 :]
    raise refused(_UNAUTHORIZED, "rederivation", (), binding)


def echoed(account, ctx, inner, binding):
    """Appendix B.1.2: is the request younger than our last start?"""
    if account._echo is None or inner.opt(_ECHO, b"") != account._echo:
        _challenge(account, binding)
    account._echo = None
    account._ask = False
    account._patience = bounds(account._params).echoes
    if ctx.window is None:
        open_window(account, ctx, int.from_bytes(binding.piv, "big"))


def open_window(account, ctx, number):
    """A window for a context without: the peer's number is known to be recent."""
    ctx.window = Window(bounds(account._params).window)
    ctx.window.begin(number)


# Raise the answer that asks for Echo. It has a number of its own, since the request may
# be a replay whose nonce is used. It takes no reservation in flash: replays must not
# wear it out.
def _challenge(account, binding):
    if account._echo is None:
        account._echo = account.random(8)
    account._patience -= 1
    account.counters["challenged"] += 1
    if binding.ctx.seq >= binding.ctx.reserved:
        raise refused(_UNAUTHORIZED, "challenged")
    binding.own = True
    raise refused(_UNAUTHORIZED, "challenged", ((_ECHO, account._echo),), binding)
