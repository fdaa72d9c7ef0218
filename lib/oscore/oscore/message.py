# Sealed messages: the OSCORE option, options by class, plain text in and out.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 section 4 (options by class), 5.3 (plain text), 6.1 (compressed COSE object)

from micropython import const

from coap.message import Message, FormatError, body_len, decode_body, encode_body
from coap.message import uint_bytes

# Options of class U that only stand outside (section 4.1, figure 5; Hop-Limit: RFC 8768).
# The rest is of class E: inside, and what stands outside is ignored. Observe is both:
# written outside for the proxies, and inside for the peer. Outer Block, Max-Age, Size,
# No-Response, Echo and Request-Tag belong to whoever wrote them: the endpoint or a proxy.
_URI_HOST = const(3)
_OBSERVE = const(6)
_URI_PORT = const(7)
_OSCORE = const(9)
_HOP_LIMIT = const(16)
_PROXY_URI = const(35)
_PROXY_SCHEME = const(39)
_OUTSIDE = (_URI_HOST, _OBSERVE, _URI_PORT, _OSCORE, _HOP_LIMIT, _PROXY_URI, _PROXY_SCHEME)
_ONLY_OUTSIDE = (_URI_HOST, _URI_PORT, _HOP_LIMIT, _PROXY_URI, _PROXY_SCHEME)

_KID = const(0x08)
_KID_CONTEXT = const(0x10)


def encode_option(piv=b"", kid=None, kid_context=None):
    """Value of the OSCORE option (section 6.1). piv: 0 to 5 bytes, kid and kid_context:
    bytes, or None where the option does not carry them."""
    flags = len(piv)
    value = piv
    if kid_context is not None:
        flags |= _KID_CONTEXT
        value += bytes((len(kid_context),)) + kid_context
    if kid is not None:
        flags |= _KID
        value += kid
    return bytes((flags,)) + value if flags else b""


def decode_option(value):
    """(piv, kid, kid_context) of an OSCORE option, each bytes, or None where it is not
    there. Raises ValueError for whatever section 6.1 does not allow."""
    n = len(value)
    if not n:
        return None, None, None
    value = bytes(value)
    flags = value[0]
    if not flags or flags & 0xE0:  # an extension, or no flag: then it were empty
        raise ValueError("flags")
    piv = kid = kid_context = None
    pos = 1
    size = flags & 7
    if size:
        pos = 1 + size
        # 6 and 7 are reserved, and a Partial IV is written without leading zeros
        if size > 5 or pos > n or (size > 1 and not value[1]):
            raise ValueError("partial IV")
        piv = value[1:pos]
    if flags & _KID_CONTEXT:
        if pos == n:
            raise ValueError("kid context")
        end = pos + 1 + value[pos]
        if end > n:
            raise ValueError("kid context")
        kid_context = value[pos + 1 : end]
        pos = end
    if flags & _KID:
        kid = value[pos:]
    elif pos != n:
        raise ValueError("length")
    return piv, kid, kid_context


def option_of(outer):
    """The value of the OSCORE option of a message, None without one. Raises ValueError for
    two of them."""
    found = None
    for number, value in outer.options:
        if number == _OSCORE:
            if found is not None:
                raise ValueError("repeated")
            found = value
    return found


# The options of msg that go inside; those that stand outside go to outer. None where a
# Proxy-Uri has to be split first.
def _divide(msg, outer, whole_uri):
    inner = []
    for pair in msg.options:
        number = pair[0]
        if number == _OSCORE:
            raise ValueError("OSCORE option")
        if number == _PROXY_URI and whole_uri:
            return None
        if number in _OUTSIDE:
            outer.options.append(pair)
        if number not in _ONLY_OUTSIDE:
            if number == _OBSERVE and msg.code > 31:
                pair = (_OBSERVE, b"")  # the order is that of the Partial IVs
            inner.append(pair)
    return inner


def seal(ctx, msg, code, option, nonce, aad, whole_uri=True):
    """The outer message, without type, message ID and token, with msg sealed in it.

    code: outer code (section 4.2); option: value of the OSCORE option. One buffer is
    allocated, which becomes the payload. whole_uri: False once a Proxy-Uri has been split.
    Raises ValueError for a msg that has an OSCORE option or a Proxy-Uri that cannot be split.
    """
    outer = Message(code)
    inner = msg.options
    for pair in inner:
        number = pair[0]
        if number < 17 and number in _OUTSIDE or 34 < number < 40:
            inner = _divide(msg, outer, whole_uri)
            if inner is None:
                from .proxy import split

                return seal(ctx, split(msg), code, option, nonce, aad, False)
            outer.add(_OSCORE, option)
            break
    else:
        outer.options.append((_OSCORE, option))
    payload = msg.payload
    buf = bytearray(1 + body_len(inner, payload) + ctx.tag_len)
    buf[0] = msg.code
    # The tag's room is behind what encode_body writes.
    ctx.seal(nonce, buf, encode_body(inner, payload, buf, 1), aad)
    outer.payload = buf
    return outer


def unseal(ctx, outer, nonce, aad, piv):
    """The message sealed in outer, with its type, message ID and token.

    piv: the Partial IV in a response or None, which orders notifications: where there is
    an Observe option inside and outside, its value becomes the Partial IV plus one, or 0
    (section 4.1.3.5.2). Options and payload are views into a buffer of their own.
    Raises what the AEAD raises for a wrong tag, FormatError for what is inside after it
    was verified.
    """
    sealed = outer.payload
    n = len(sealed)
    if n <= ctx.tag_len:
        raise ValueError("too short")
    buf = bytearray(sealed)
    n = ctx.open(nonce, buf, n, aad)
    code = buf[0]
    request = outer.code < 32
    # A request inside a request, a response inside a response: nothing else.
    if not 0 < code < 32 if request else not 64 <= code < 192:
        raise FormatError("code")
    inner = Message(code, outer.type, outer.mid, outer.token)
    inner.options, inner.payload = decode_body(memoryview(buf)[:n], 1)
    for pair in inner.options:
        number = pair[0]
        if number < 17 and number in _OUTSIDE or 34 < number < 40:
            _unite(inner, outer, piv)
            break
    if request and len(outer.options) > 1:
        for number, value in outer.options:
            if number in _ONLY_OUTSIDE:
                inner.add(number, value)
    return inner


# What stands inside though it belongs outside, and Observe.
def _unite(inner, outer, piv):
    options = inner.options
    i = len(options)
    while i:
        i -= 1
        number = options[i][0]
        if number == _OSCORE:
            raise FormatError("OSCORE option")
        if number == _OBSERVE:
            if outer.opt(_OBSERVE) is None:
                options.pop(i)  # a proxy took it off: no longer an observation
            elif inner.code > 31:
                order = 0 if piv is None else int.from_bytes(piv, "big") + 1
                options[i] = (number, uint_bytes(order & 0xFFFFFF))
        elif number in _ONLY_OUTSIDE:
            options.pop(i)
