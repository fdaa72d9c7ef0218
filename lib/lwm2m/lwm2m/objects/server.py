# Server (/1): how the client behaves towards one server.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2, appendix E.2

from lwm2m.model import Instance

# As in model.py and types.py; here, so that the table is a constant and stays in flash.
_R = const(1)
_RW = const(3)
_E = const(4)
_MANDATORY = const(16)
_STRING = const(0)
_INTEGER = const(1)
_UNSIGNED = const(2)
_BOOLEAN = const(4)


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
