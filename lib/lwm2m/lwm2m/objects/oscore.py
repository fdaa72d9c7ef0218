# OSCORE (/21): keys of one account, linked from Security's resource 17.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M OSCORE object 2.0; RFC 8613 section 3.2

from lwm2m.model import Instance

# As in model.py and types.py; here, so that the table is a constant and stays in flash.
_MANDATORY = const(16)
_INTEGER = const(1)
_OPAQUE = const(5)


class OSCORE(Instance):
    """What the security context is derived from. No server reads or writes it.
    validate() refuses what check() does.

    id_context is stored and not used: Appendix B.2 agrees on a fresh one.
    """

    OID = 21
    VERSION = "2.0"
    MULTIPLE = True
    TABLE = (
        (0, _MANDATORY, _OPAQUE, "master_secret"),
        (1, _MANDATORY, _OPAQUE, "sender_id"),
        (2, _MANDATORY, _OPAQUE, "recipient_id"),
        (3, 0, _INTEGER, "aead"),
        (4, 0, _INTEGER, "hmac"),
        (5, 0, _OPAQUE, "master_salt"),
        (6, 0, _OPAQUE, "id_context"),
    )

    _late = ("lwm2m.writing", "OSCORE")

    # check(instance), set by whoever brings OSCORE: raises ValueError for what
    # cannot be used, so that it is refused when it is written and never later.
    check = None
