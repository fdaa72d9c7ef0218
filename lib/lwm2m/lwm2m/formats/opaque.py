# Opaque: the bytes of one value and nothing else.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2, section 7.4.2

from . import texts as v
from coap.codec import Error

_NOT_ACCEPTABLE = const(0x86)

CT = 42
NAME = "OPAQUE"

_OPAQUE = const(5)


def encode(base, nodes, buf):
    """Write the one value that base names; see formats/__init__.py."""
    typ, value = v.single(base, nodes)
    if typ != _OPAQUE:
        raise Error(_NOT_ACCEPTABLE, "not opaque")
    out = v.Out(buf)
    out.put(value)
    return out.pos


def decode(base, payload, typeof):
    """[(base, value)]; see formats/__init__.py."""
    return [(base, v.coerce(v.resource(base, typeof), bytes(payload)))]
