# Messages that an account refuses, or that take a second look: Echo, or a kid context.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 section 8.2 and 8.4, Appendix B.1.2 (Echo), Appendix B.2 (as server)

# Apart from account.py, as most boards never see one: loaded when the first comes. Where there
# is no memory for it the message is dropped all the same, and nothing was changed by it.

from coap.codec import Error

from .window import Window

_FETCH = const(5)
_BAD_REQUEST = const(0x80)
_UNAUTHORIZED = const(0x81)
_BAD_OPTION = const(0x82)
_ECHO = const(252)


def fail(account, counter, code, ctx=None):
    """Count a message that is refused, and raise SecurityError(code)."""
    account.counters[counter] += 1
    if ctx is not None:
        ctx.trust -= 1
    raise _refused(code, counter)


def _refused(*args):
    # Most boards never refuse a message.
    from coap.errors import SecurityError

    return SecurityError(*args)


def plain(account, code, ctx):
    """A response to ctx without protection."""
    account.counters["plain"] += 1
    if code in (_BAD_REQUEST, _UNAUTHORIZED, _BAD_OPTION):
        account._hint = ctx
        from coap.errors import PlainError

        raise PlainError(code)
    raise _refused(code, "plain")


def unbstr(data):
    """The value of a CBOR byte string that takes all of data, or None where it is no such
    thing. Lengths up to 255, which a kid context cannot exceed."""
    n = len(data)
    if n and 0x40 <= data[0] < 0x58 and data[0] - 0x3F == n:
        return data[1:]
    if n > 1 and data[0] == 0x58 and data[1] + 2 == n:
        return data[2:]
    return None


def open_any(account, outer, piv, kid_context):
    """Account.open_request() where there is a kid context, or not just one context."""
    replayed = False
    failed = known = None
    following = account._pending or account.ctx
    while following is not None:
        ctx = following
        following = None if ctx is account.ctx else account.ctx
        own = ctx.id_context
        if kid_context is not None and kid_context != own:
            if own is None or unbstr(kid_context) != own:
                continue
        known = ctx
        window = ctx.window
        if window is not None and not window.fresh(int.from_bytes(piv, "big")):
            replayed = True
            continue
        inner = account.open_with(ctx, outer, piv)
        if inner is not None:
            return account.accept(ctx, outer, inner, piv)
        failed = ctx
    if failed is not None:
        fail(account, "failed", _BAD_REQUEST, failed)
    if replayed:
        fail(account, "replayed", _UNAUTHORIZED)
    if known is None and kid_context is not None:
        r = unbstr(kid_context)
        if r and account._params and account._pending is None and account._first is None:
            return _answer(account, outer, piv, r)
    return fail(account, "unknown", _UNAUTHORIZED)


def _answer(account, outer, piv, r):
    # Appendix B.2 as server: request 1 or request 3 of a peer, whose kid context holds bstr(r).
    # Request 1 raises SecurityError whose ex seals message 2. Request 3 begins with an R2 of
    # ours, which counts once, and makes its context the one in use: returns what
    # Account.open_request() does.
    from .account import Binding
    from .derive import bstr, derive, promote
    from .limits import bounds

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
    binding.kid_context = bstr(r2)
    ctx.wipe()
    try:
        binding.ctx = derive(account, r2 + r)
    except Error:
        fail(account, "unknown", _UNAUTHORIZED)
    # Of more than fit the oldest give way.
    account._r2 = (account._r2 + (r2,))[0 - limits.r2 :]
    raise _refused(_UNAUTHORIZED, "rederivation", (), binding)


def echoed(account, ctx, inner, binding):
    """Appendix B.1.2: is the request younger than our last start?"""
    if account._echo is None or inner.opt(_ECHO, b"") != account._echo:
        _challenge(account, binding)
    account._echo = None
    account._ask = False
    from .limits import bounds

    account._patience = bounds(account._params).echoes
    if ctx.window is None:
        open_window(account, ctx, int.from_bytes(binding.piv, "big"))


def open_window(account, ctx, number):
    """A window for a context without: the peer's number is known to be recent."""
    from .limits import bounds

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
        raise _refused(_UNAUTHORIZED, "challenged")
    binding.own = True
    raise _refused(_UNAUTHORIZED, "challenged", ((_ECHO, account._echo),), binding)
