# The making of accounts and of contexts, and Appendix B.2 as client: four messages.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 section 3.2 (derivation), Appendix B.2; RFC 8949 section 3.1

# Apart from account.py and context.py, since a registered client needs none of it: a board lets
# go of it until the next rekey. Functions that take an account are its methods, where they are
# public. Appendix B.2 is driven by the requests that pass through seal_request() and
# open_response(); Account.state tells where it stands:
#
# "new": the next request is request 1, under a fresh R1. Peers are known to carry it out, so let
#     it be a harmless one (probe()).
# "b2-1": request 1 waits for its answer. "b2-2": R2 is known; the next request is request 3.
# "ready": its answer was verified.
#
# Peers take any request for the next step: one at a time until ready(). The context in use
# before, if any, still opens and seals what the peer began under it, until the new one is
# verified.

from coap.codec import Error, Message

from oscore.context import Context
from .limits import bounds, validate
from .refuse import fail, unbstr
from oscore.window import Window

_GET = const(1)
_BAD_REQUEST = const(0x80)
_UNAUTHORIZED = const(0x81)
_BAD_OPTION = const(0x82)
_UNAVAILABLE = const(0xA3)
_URI_PATH = const(11)
_ECHO = const(252)
_CLOSED = const(1 << 40)  # as in account.py

# What Account.counters counts.
_COUNTERS = const(
    (
        "sealed",  # messages sealed
        "opened",  # messages verified
        "plain",  # requests, and error responses, without protection
        "undecodable",  # OSCORE options, and plain texts, that are none (4.02, 4.00)
        "unknown",  # kid or kid context of no context here (4.01)
        "replayed",  # Partial IVs seen before or too old (4.01)
        "failed",  # tags that are wrong (4.00)
        "challenged",  # requests answered with Echo
        "rederived",  # contexts agreed on by Appendix B.2
        "restarted",  # runs of Appendix B.2 that had to begin again
    )
)


# CBOR head of a byte string, text string or unsigned integer (RFC 8949 section 3).
def _head(major, n):
    if n < 24:
        return bytes((major << 5 | n,))
    if n < 0x100:
        return bytes((major << 5 | 24, n))
    return bytes((major << 5 | 25, n >> 8, n & 0xFF))


def bstr(value):
    """A CBOR byte string (RFC 8949 section 3.1), as info, AAD and kid context hold it."""
    return _head(2, len(value)) + value


def keys(ctx, params, id_context):
    """Context.__init__(): all that a context holds."""
    secret, sender_id, recipient_id, salt, aead, hkdf = params[:6]
    number, key_len, nonce_len, tag_len, make = aead
    if hkdf is None:
        from hkdf import hkdf
    ctx.tag_len = tag_len
    ctx.sender_id = sender_id
    ctx.id_context = id_context
    alg = _head(0, number) if number >= 0 else _head(1, -1 - number)
    # info (section 3.2.1) but for its first and its last element
    middle = (b"\xf6" if id_context is None else bstr(id_context)) + alg
    key = b"\x63Key" + _head(0, key_len)
    ctx.sender_key = bytearray(
        hkdf(secret, key_len, salt, b"\x85" + bstr(sender_id) + middle + key)
    )
    ctx.recipient_key = bytearray(
        hkdf(secret, key_len, salt, b"\x85" + bstr(recipient_id) + middle + key)
    )
    iv = hkdf(secret, nonce_len, salt, b"\x85\x40" + middle + b"\x62IV" + _head(0, nonce_len))
    ctx._sender = make(ctx.sender_key, tag_len)
    ctx._recipient = make(ctx.recipient_key, tag_len)
    # For what the peer numbered (0, False) and for what we numbered (1, True): the external AAD up
    # to the Partial IV, and the AAD for each length of it, made when it first comes; at the
    # end the nonce without its Partial IV.
    algs = b"\x85\x01\x81" + alg
    ctx._bases = (
        [algs + bstr(recipient_id), None, None, None, None, None, _base(iv, recipient_id)],
        [algs + bstr(sender_id), None, None, None, None, None, _base(iv, sender_id)],
    )
    # What request() gave last for one of the peer's, since its answer has the same. Not state:
    # it follows from the Partial IV alone.
    ctx._last = (None,)
    ctx.seq = 0
    ctx.sealed = 0  # uses of sender_key
    limits = bounds(params)
    if limits.sequence != Context.reserved - 1:
        ctx.reserved = limits.sequence + 1
    ctx.window = Window(limits.window)
    ctx.trust = limits.failures  # forgeries, for all we know, that it still stands


def _base(iv, id_piv):
    base = bytearray(iv)
    base[0] ^= len(id_piv)
    i = len(base) - 5
    for octet in reversed(id_piv):
        i -= 1
        base[i] ^= octet
    return base


def make(account, *args, random=None, persist=None, policy="b2", **kw):
    """Account.__init__(): all that an account holds."""
    params = validate(*args, **kw)
    account._params = params + (persist,)
    if not callable(random):
        raise ValueError("random")
    if policy not in ("b1", "b2"):
        raise ValueError("policy: b1 or b2")
    if policy == "b1" and persist is None:
        raise ValueError("persist: needed by policy b1")
    limits = bounds(params)
    account.recipient_id = params[2]
    account.random = random
    account.counters = {name: 0 for name in _COUNTERS}
    # Raised with each new context: observations of an older one are gone.
    account.generation = 0
    account._first = None  # ID Context R1, request 1 is out
    account._pending = None  # ID Context R2 || R3, not yet verified
    account._rekey = False  # leave ctx for a fresh one
    account._worn = limits.rekey  # uses of a key after which it is time to
    account._patience = limits.echoes  # requests for Echo that may still go unmet
    # Whether the peer needs a kid context always: not tried in ctx, being tried, tried
    account._trying = None
    account._echo = None  # the value asked for
    account._ask = False
    account._keep = account.ctx = None  # the context in use
    if persist is not None:
        try:
            keep = keeper(account, policy == "b1")
        except ImportError:
            # A firmware without keep.py: "b2" alone, and nothing is kept of that.
            if policy == "b1":
                raise ValueError("policy: no b1 in this firmware")
            return
        account.ctx = keep.start(params)
        if keep.b1 or keep.show or keep.old != (None, 0):
            account._keep = keep


def keeper(account, b1=False):
    """A Keeper of an account. Under "b2" it has one only where there is something to keep: its
    numbers have no bound but the last one."""
    from .keep import Keeper

    persist = account._params[8]
    if callable(persist):
        persist = persist()
    return Keeper(persist, b1, bounds(account._params))


def derive(account, id_context):
    """A Context of this account with another ID Context. Raises Error for one that is
    too long, or after wipe()."""
    params = account._params
    if params is None or len(id_context) > bounds(params).id_context:
        raise Error(_UNAVAILABLE, "ID Context")
    return Context(params, id_context)


def begin(account):
    """The context of a new request 1."""
    ctx = derive(account, account.random(bounds(account._params).nonce))
    if account._first is not None:
        account._first.wipe()
    account._first = ctx
    return ctx


def message_2(account, outer, binding, piv, r2):
    """Message 2: to request 1, or to any other by a peer that lost its context, where the ID
    Context in use stands for R1."""
    ctx = binding.ctx
    if not r2 or ctx not in (account._first, account._pending, account.ctx):
        fail(account, "unknown", _UNAUTHORIZED)
    try:
        second = derive(account, r2 + (ctx.id_context or b""))
    except Error:
        fail(account, "undecodable", _BAD_OPTION)
    try:
        inner = account._open_response(second, ctx, outer, binding, piv)
    finally:
        second.wipe()
    if inner.code != _UNAUTHORIZED:
        fail(account, "undecodable", _BAD_REQUEST)
    binding.number = _CLOSED
    pending = account._pending
    if pending is None or ctx is pending or not pending.seq:
        fresh = r2 + account.random(bounds(account._params).nonce)
        if unbstr(fresh) is not None:
            # Californium would take it, where it goes unwrapped, for a wrapped R1.
            fresh += account.random(1)
        set_pending(account, derive(account, fresh))
    return inner


def set_pending(account, ctx):
    """From here on requests are sealed under ctx with its kid context, until one is answered."""
    for old in (account._first, account._pending):
        if old is not None and old is not ctx:
            old.wipe()
    account._first = None
    account._pending = ctx


def answered_in_first(account, inner):
    """The peer answered request 1 in its own context."""
    if inner.code == _UNAUTHORIZED and inner.opt(_ECHO) is not None:
        # It knows R1 already, as its answer was lost, and asks for Echo: go on with it.
        set_pending(account, account._first)
    else:
        # It took request 1 for the request 3 of an earlier run: begin again.
        account.counters["restarted"] += 1
        rekey(account)


def promote(account, ctx):
    """Make a context that was verified the one in use; the one before is wiped."""
    old = account.ctx
    account.ctx = ctx
    if account._pending is not ctx:
        set_pending(account, None)
    account._first = account._pending = None
    if old is not None and old is not ctx:
        old.wipe()
    account._rekey = False
    account._trying = None
    limits = bounds(account._params)
    account._patience = limits.echoes
    account._worn = limits.rekey
    if account._keep is not None:
        account._keep.replaced()
    account.generation += 1
    account.counters["rederived"] += 1


def learned(account):
    """The peer needs a kid context in every request."""
    account._trying = False
    keep = account._keep
    if keep is None:
        try:
            keep = account._keep = keeper(account)
        except ImportError:
            account._trying = 1  # so for the rest of this context
            return
        if account._params[8] is not None:
            keep.start(account._params)
    keep.learned()


def rekey(account):
    """Begin Appendix B.2: the next request is request 1, with a fresh R1."""
    set_pending(account, None)
    account._rekey = True
    if account._trying:
        account._trying = False


def abandon(account):
    """Give up Appendix B.2 and go on with the context in use, where there is one."""
    set_pending(account, None)
    account._rekey = False
    if account.exhausted():
        # It goes on for a while, then the next attempt is due.
        limits = bounds(account._params)
        ctx = account.ctx
        ctx.trust = limits.failures
        account._patience = limits.echoes
        account._worn = max(ctx.seq, ctx.sealed) + (limits.rekey >> 4)


def recover(account):
    """After PlainError: True when Appendix B.2 is to begin (send a harmless request, see
    probe()), False when the same request is to be sent again.

    The error is not authenticated: whoever calls this limits its rate. A peer that
    needs the kid context in each request answers like one that lost its context, so
    that is tried first, once, and remembered. Where Appendix B.2 is what was refused,
    the context in use is tried again: the peer may know no B.2, or somebody else may
    have sent the error that led here.
    """
    hint = account._hint
    account._hint = None
    ctx = account.ctx
    if ctx is not None:
        if hint is not None and (hint is account._first or hint is account._pending):
            abandon(account)
            return False
        if hint is not ctx:
            return False  # an answer to a context that is gone already
        if account._trying is None and not account._rekey and not account._shows(ctx):
            account._trying = True
            return False
    rekey(account)
    return True


def probe(account):
    """A harmless request, for request 1."""
    msg = Message(_GET).add(_URI_PATH, "rederivation")
    return msg.add(_URI_PATH, "blackhole")


def save(account):
    """Clean stop: keep numbers and replay window in flash, then wipe(). Raises OSError."""
    try:
        if account._keep is not None:
            account._keep.save(account.ctx)
    finally:
        # What flash may hold now forbids to go on from here.
        wipe(account)


def wipe(account):
    """Overwrite all keys. The account can do nothing afterwards."""
    set_pending(account, None)
    if account.ctx is not None:
        account.ctx.wipe()
    account.ctx = account._params = account._keep = None
    account._r2 = ()
