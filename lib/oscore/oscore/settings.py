# The bounds of an account that somebody sets: what makes sense together.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 sections 7.2.1 and 12

# Without this file the bounds are those of Limits; its class attributes may be assigned.

_ID_CONTEXT_MIN = const(32)  # R2 || R1 of the servers in use comes to 24 bytes and more
_ID_CONTEXT_MAX = const(253)  # with its CBOR head it fits the one length byte of the option


def settle(limits, settings):
    """Limits.__init__(). settings: {name: int}. Raises ValueError that names what cannot be."""
    for name, value in settings.items():
        if name[0] == "_" or not isinstance(getattr(limits, name, None), int):
            raise ValueError(name)
        setattr(limits, name, value)
    if not _ID_CONTEXT_MIN <= limits.id_context <= _ID_CONTEXT_MAX:
        raise ValueError("id_context")
    if not 0 < limits.sequence < 1 << 40:
        raise ValueError("sequence")
    if not 0 < limits.rekey <= limits.sequence:
        raise ValueError("rekey")
    if not 1 <= limits.window <= 64:
        raise ValueError("window")
    if not 4 <= limits.nonce <= 16:
        raise ValueError("nonce")
    if limits.reserve < 1 or limits.r2 < 1 or limits.echoes < 1:
        raise ValueError("reserve, r2, echoes: at least 1")
