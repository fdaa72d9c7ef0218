# Sealed messages: the OSCORE option, options by class, plain text in and out.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 section 4 (options by class), 5.3 (plain text), 6.1 (compressed COSE object)

from coap.codec import Message, FormatError, put_body, read_body

# Found at once, and not after a search in vain among the names of this module.
len = len
bytes = bytes
bytearray = bytearray
memoryview = memoryview

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
_OUTSIDE = const((_URI_HOST, _OBSERVE, _URI_PORT, _OSCORE, _HOP_LIMIT, _PROXY_URI, _PROXY_SCHEME))
_ONLY_OUTSIDE = const((_URI_HOST, _URI_PORT, _HOP_LIMIT, _PROXY_URI, _PROXY_SCHEME))
# A bit for each of _OUTSIDE below 17; and with what Message.kinds does not tell
_OUTSIDE_BITS = const(0x102C8)
_PERHAPS_OUTSIDE = const(0x102C9)
_PAYLOAD = const(0x20000000)  # in Message.kinds

_BARE = const((_OSCORE, b""))  # of most responses

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
    """(piv, kid, kid_context) of an OSCORE option, each None where it is not there: bytes, but
    kid is a view where value is. Raises ValueError for whatever section 6.1 does not allow."""
    if not len(value):
        return None, None, None
    flags = value[0]
    if not flags or flags & 0xE0:  # an extension, or no flag: then it were empty
        raise ValueError("flags")
    pos = 1 + (flags & 7)
    # 6 and 7 are reserved, and a Partial IV is written without leading zeros
    if pos > 6 or pos > len(value) or (pos > 2 and not value[1]):
        raise ValueError("partial IV")
    if flags & _KID_CONTEXT:
        return _with_context(value, flags, pos)
    if not flags & _KID and pos != len(value):
        raise ValueError("length")
    piv = bytes(value[1:pos]) if pos > 1 else None
    return piv, value[pos:] if flags & _KID else None, None


def _with_context(value, flags, pos):
    if pos == len(value):
        raise ValueError("kid context")
    end = pos + 1 + value[pos]
    if end > len(value):
        raise ValueError("kid context")
    if not flags & _KID and end != len(value):
        raise ValueError("length")
    piv = bytes(value[1 : 1 + (flags & 7)]) if flags & 7 else None
    return piv, value[end:] if flags & _KID else None, bytes(value[pos + 1 : end])


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


def fields_of(outer):
    """As decode_option(), of a request's OSCORE option; None without one, False where it is not
    that of a sealed request (section 8.2)."""
    option = outer.options
    if len(option) == 1 and option[0][0] == _OSCORE and outer.payload:
        # As decode_option(), of most: a Partial IV of 1 to 5 bytes and a kid.
        option = option[0][1]
        n = len(option) and option[0] - 7
        if 1 < n < 7 and n <= len(option) and (n == 2 or option[1]):
            return bytes(option[1:n]), option[n:], None
    return _fields_of(outer)


def _fields_of(outer):
    try:
        option = option_of(outer)
        if option is None:
            return None
        option = decode_option(option)
    except ValueError:
        return False
    if option[0] is None or option[1] is None or not outer.payload:
        return False
    return option


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


def _special(options):
    # Whether one of the options stands outside, or does not belong inside.
    for number in options:
        number = number[0]
        if number < 17 and _OUTSIDE_BITS >> number & 1 or 34 < number < 40:
            return True
    return False


# Cut small, so that frames are not allocated on the heap: see coap's codec.py.


def wrap(room, msg, code, option):
    """What seal() returns, but not sealed yet: the payload is the plain text and room bytes
    for the tag."""
    outer = Message(code)
    if not _special(msg.options):
        outer.options.append((_OSCORE, option) if option else _BARE)
        outer.payload = _plain(msg.code, msg.options, msg.payload, room)
        return outer
    return _wrap_divided(outer, room, msg, option)


def _wrap_divided(outer, room, msg, option):
    inner = _divide(msg, outer, True)
    if inner is None:
        from .proxy import split

        msg = split(msg)
        outer.options = []
        inner = _divide(msg, outer, False)
    outer.add(_OSCORE, option)
    outer.payload = _plain(msg.code, inner, msg.payload, room)
    return outer


def _plain(code, options, payload, room):
    buf = bytearray(1)
    buf[0] = code
    put_body(buf, options, payload)
    buf += bytes(room)
    return buf


def seal(ctx, msg, code, option, nonce, aad):
    """The outer message, without type, message ID and token, with msg sealed in it.

    code: outer code (section 4.2); option: value of the OSCORE option. One buffer is
    allocated, which becomes the payload.
    Raises ValueError for a msg that has an OSCORE option or a Proxy-Uri that cannot be split.
    """
    outer = wrap(ctx.tag_len, msg, code, option)
    ctx.seal(nonce, outer.payload, len(outer.payload) - ctx.tag_len, aad)
    return outer


def unseal(ctx, outer, nonce, aad, piv):
    """The message sealed in outer: code, options and payload. What outer has, type, message ID
    and token, it has not.

    piv: the Partial IV in a response or None, which orders notifications: where there is
    an Observe option inside and outside, its value becomes the Partial IV plus one, or 0
    (section 4.1.3.5.2). Options and payload are views into a buffer of their own.
    Raises what the AEAD raises for a wrong tag, FormatError for what is inside after it
    was verified.
    """
    nonce = ctx.open(outer.payload, None, nonce, aad)
    return inside(outer, nonce, piv)


def inside(outer, view, piv):
    """The message in view, a verified plain text that came in outer; see unseal()."""
    # A request inside a request, a response inside a response: nothing else.
    if not 0 < view[0] < 32 if outer.code < 32 else not 64 <= view[0] < 192:
        raise FormatError("code")
    inner = Message(view[0])
    view = read_body(view, 1, inner.options.append)
    if view & _PAYLOAD:
        inner.payload = inner.options.pop()
    if outer.code < 32:
        inner.kinds = view
    if view & _PERHAPS_OUTSIDE:
        _unite(inner, outer, piv)
    if len(outer.options) > 1 and outer.code < 32:
        _bring_in(inner, outer)
    return inner


def _bring_in(inner, outer):
    for number, value in outer.options:
        if number in _ONLY_OUTSIDE:
            inner.add(number, value)


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
                from coap.codec import uint_bytes

                order = 0 if piv is None else int.from_bytes(piv, "big") + 1
                options[i] = (number, uint_bytes(order & 0xFFFFFF))
        elif number in _ONLY_OUTSIDE:
            options.pop(i)
