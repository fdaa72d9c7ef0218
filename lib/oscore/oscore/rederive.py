# Appendix B.2 as server: the peer makes the requests. Loaded when a peer begins it.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 Appendix B.2

from coap.codec import Error, SecurityError

from .context import bstr

_BAD_REQUEST = const(0x80)
_UNAUTHORIZED = const(0x81)


def answer(account, outer, piv, r):
    """Request 1 or request 3 of a peer, whose kid context holds bstr(r).

    Request 1 raises SecurityError whose ex seals message 2. Request 3 begins with an R2 of
    ours, which counts once, and makes its context the one in use: returns what
    Account.open_request() does.
    """
    try:
        ctx = account.derive(r)
    except Error:
        account.fail("unknown", _UNAUTHORIZED)
    waiting = account._r2
    third = False
    for r2 in waiting:
        third = third or (len(r) > len(r2) and r[: len(r2)] == r2)
    # The peer's first number in a context is of its own choice, but no context of R1 has
    # been used before: nothing to be found in a window.
    inner = account.open_with(ctx, outer, piv)
    if inner is None:
        ctx.wipe()
        account.fail("failed", _BAD_REQUEST)
    if third:
        waiting.clear()
        account.promote(ctx)
        return account.accept(ctx, outer, inner, piv)
    r2 = account.random(account.limits.nonce)
    while len(waiting) >= account.limits.r2:
        waiting.pop(0)
    # A request 1 may be a replay; R2 gives each answer a key of its own.
    binding = account.bind(ctx, outer, piv)
    binding.nonce = ctx.nonce(False, piv)
    binding.kid_context = bstr(r2)
    ctx.wipe()
    try:
        binding.ctx = account.derive(r2 + r)
    except Error:
        account.fail("unknown", _UNAUTHORIZED)
    waiting.append(r2)
    raise SecurityError(_UNAUTHORIZED, "rederivation", (), binding)
