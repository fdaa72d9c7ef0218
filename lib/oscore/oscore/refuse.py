# Messages that an account refuses, or that take a second look: a kid context, two contexts.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 section 8.2 and 8.4

# Apart from account.py, as most boards never see one: loaded when the first comes. Where there
# is no memory for it the message is dropped all the same, and nothing was changed by it.

_BAD_REQUEST = const(0x80)
_UNAUTHORIZED = const(0x81)
_BAD_OPTION = const(0x82)


def fail(account, counter, code, ctx=None):
    """Count a message that is refused, and raise SecurityError(code)."""
    account.counters[counter] += 1
    if ctx is not None:
        ctx.trust -= 1
    raise refused(code, counter)


def refused(*args):
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
    raise refused(code, "plain")


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
            try:
                from .answer import rederive
            except ImportError:
                pass  # it is left out of the firmware
            else:
                return rederive(account, outer, piv, r)
    return fail(account, "unknown", _UNAUTHORIZED)
