# Security (/0): one instance an account.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2, appendix E.1

from lwm2m.model import Instance

# As in model.py and types.py; here, so that the table is a constant and stays in flash.
_MANDATORY = const(16)
_STRING = const(0)
_INTEGER = const(1)
_BOOLEAN = const(4)
_OPAQUE = const(5)
_OBJLNK = const(7)

# Security mode without any of its own.
_NOSEC = const(3)


class Security(Instance):
    """Where a server is and what secures the way to it. No server reads or writes it.
    Its validate() is in writing.py."""

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

    _late = ("lwm2m.writing", "Security")
