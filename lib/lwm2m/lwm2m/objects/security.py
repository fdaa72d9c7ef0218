# Security (/0): one instance an account.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2, appendix E.1

from ..model import Instance

# As in model.py and types.py; here, so that the table is a constant and stays in flash.
_MANDATORY = const(16)
_STRING = const(0)
_INTEGER = const(1)
_BOOLEAN = const(4)
_OPAQUE = const(5)
_OBJLNK = const(7)

# Security modes (resource 2). OSCORE runs over PSK or over NOSEC.
PSK = 0
NOSEC = 3


class Security(Instance):
    """Where a server is and what secures the way to it. No server reads or writes it."""

    OID = 0
    VERSION = "1.2"
    VERSION_1_1 = "1.1"
    MULTIPLE = True
    TABLE = (
        (0, _MANDATORY, _STRING, "uri"),
        (1, _MANDATORY, _BOOLEAN, "bootstrap"),
        (2, _MANDATORY, _INTEGER, "mode"),
        (3, _MANDATORY, _OPAQUE, "identity"),
        (4, _MANDATORY, _OPAQUE, "server_key"),
        (5, _MANDATORY, _OPAQUE, "secret_key"),
        (10, 0, _INTEGER, "ssid"),
        (11, 0, _INTEGER, "hold_off"),
        (12, 0, _INTEGER, "account_timeout"),
        (17, 0, _OBJLNK, "oscore"),
    )

    uri = ""
    bootstrap = False
    mode = NOSEC
    identity = server_key = secret_key = b""
    ssid = None
    hold_off = None
    account_timeout = None
    oscore = None

    def validate(self):
        """ValueError names what makes no sense."""
        if not self.uri.startswith(("coap://", "coaps://")):
            raise ValueError("uri")
        if self.mode not in (PSK, NOSEC):
            raise ValueError("mode")
        if self.ssid is not None and not 1 <= self.ssid <= 65534 and not self.bootstrap:
            raise ValueError("ssid")
        if self.oscore is not None and self.oscore[0] not in (21, 65535):
            raise ValueError("oscore")
