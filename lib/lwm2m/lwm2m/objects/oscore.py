# OSCORE (/21): keys of one account, linked from Security's resource 17.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M OSCORE object 2.0; RFC 8613 section 3.2

from ..model import Instance, MANDATORY
from ..types import INTEGER, OPAQUE


class OSCORE(Instance):
    """What the security context is derived from. No server reads or writes it.

    id_context is stored and not used: Appendix B.2 agrees on a fresh one.
    """

    OID = 21
    VERSION = "2.0"
    MULTIPLE = True
    TABLE = (
        (0, MANDATORY, OPAQUE, "master_secret"),
        (1, MANDATORY, OPAQUE, "sender_id"),
        (2, MANDATORY, OPAQUE, "recipient_id"),
        (3, 0, INTEGER, "aead"),
        (4, 0, INTEGER, "hmac"),
        (5, 0, OPAQUE, "master_salt"),
        (6, 0, OPAQUE, "id_context"),
    )

    master_secret = sender_id = recipient_id = None
    aead = hmac = master_salt = id_context = None

    # check(instance), set by whoever brings OSCORE: raises ValueError for what
    # cannot be used, so that it is refused when it is written and never later.
    check = None

    def validate(self):
        """ValueError names what cannot be used."""
        if self.check:
            self.check()
