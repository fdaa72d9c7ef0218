# Security (/0), Server (/1) and OSCORE (/21): the accounts of a device.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2, appendices E.1 and E.2; OSCORE object 2.0, RFC 8613 section 3.2

from lwm2m.model import Instance

# As in model.py and types.py; here, so that a table is a constant and stays in flash.
_R = const(1)
_RW = const(3)
_E = const(4)
_MANDATORY = const(16)
_STRING = const(0)
_INTEGER = const(1)
_UNSIGNED = const(2)
_BOOLEAN = const(4)
_OPAQUE = const(5)
_OBJLNK = const(7)

# Security mode without any of its own.
_NOSEC = const(3)


class Security(Instance):
    """Where a server is and what secures the way to it. No server reads or writes it.
    Its validate() is in checking.py."""

    OID = 0
    VERSION = "1.2"
    VERSION_1_1 = "1.1"
    MULTIPLE = True
    TABLE = (
        (0, _MANDATORY, _STRING, "uri", ""),
        (1, _MANDATORY, _BOOLEAN, "bootstrap", False),
        (2, _MANDATORY, _INTEGER, "mode", _NOSEC),
        (3, _MANDATORY, _OPAQUE, "identity", b""),
        (4, _MANDATORY, _OPAQUE, "server_key", b""),
        (5, _MANDATORY, _OPAQUE, "secret_key", b""),
        (10, 0, _INTEGER, "ssid"),
        (11, 0, _INTEGER, "hold_off"),
        (12, 0, _INTEGER, "account_timeout"),
        (17, 0, _OBJLNK, "oscore"),
    )

    _late = ("lwm2m.checking", "Security")


class Server(Instance):
    """Lifetime, periods, retries and triggers of one server.

    account: set by the client; its trigger() is called with "disable", "update" or "bootstrap"
    after the server has executed it. These methods and validate() are in writing.py.
    """

    OID = 1
    VERSION = "1.2"
    VERSION_1_1 = "1.1"
    MULTIPLE = True
    TABLE = (
        (0, _R | _MANDATORY, _INTEGER, "ssid"),
        (1, _RW | _MANDATORY, _INTEGER, "lifetime", 86400),
        (2, _RW, _INTEGER, "pmin"),
        (3, _RW, _INTEGER, "pmax"),
        (4, _E, None, "disable"),
        (5, _RW, _INTEGER, "disable_timeout"),
        (6, _RW | _MANDATORY, _BOOLEAN, "storing", False),
        (7, _RW | _MANDATORY, _STRING, "binding", "U"),
        (8, _E | _MANDATORY, None, "update"),
        (9, _E, None, "bootstrap"),
        (13, _R, _UNSIGNED, "priority"),
        (14, _RW, _UNSIGNED, "initial_delay"),
        (15, _R, _BOOLEAN, "failure_block"),
        (16, _R, _BOOLEAN, "bootstrap_on_failure"),
        (17, _RW, _UNSIGNED, "retry_count"),
        (18, _RW, _UNSIGNED, "retry_timer"),
        (19, _RW, _UNSIGNED, "sequence_delay"),
        (20, _RW, _UNSIGNED, "sequence_count"),
        (26, _RW, _INTEGER, "notification_mode"),
    )

    _late = ("lwm2m.writing", "Server")


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

    _late = ("lwm2m.checking", "OSCORE")

    # check(instance), set by whoever brings OSCORE: raises ValueError for what
    # cannot be used, so that it is refused when it is written and never later.
    check = None
