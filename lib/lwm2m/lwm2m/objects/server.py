# Server (/1): how the client behaves towards one server.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2, appendix E.2

from ..model import Instance, R, RW, E, MANDATORY
from ..types import STRING, INTEGER, UNSIGNED, BOOLEAN


class Server(Instance):
    """Lifetime, periods, retries and triggers of one server.

    on_trigger: set by the client; called with "disable", "update" or "bootstrap"
    when the server executes it.
    """

    OID = 1
    VERSION = "1.2"
    VERSION_1_1 = "1.1"
    MULTIPLE = True
    TABLE = (
        (0, R | MANDATORY, INTEGER, "ssid"),
        (1, RW | MANDATORY, INTEGER, "lifetime"),
        (2, RW, INTEGER, "pmin"),
        (3, RW, INTEGER, "pmax"),
        (4, E, None, "disable"),
        (5, RW, INTEGER, "disable_timeout"),
        (6, RW | MANDATORY, BOOLEAN, "storing"),
        (7, RW | MANDATORY, STRING, "binding"),
        (8, E | MANDATORY, None, "update"),
        (9, E, None, "bootstrap"),
        (13, R, UNSIGNED, "priority"),
        (14, RW, UNSIGNED, "initial_delay"),
        (15, R, BOOLEAN, "failure_block"),
        (16, R, BOOLEAN, "bootstrap_on_failure"),
        (17, RW, UNSIGNED, "retry_count"),
        (18, RW, UNSIGNED, "retry_timer"),
        (19, RW, UNSIGNED, "sequence_delay"),
        (20, RW, UNSIGNED, "sequence_count"),
        (26, RW, INTEGER, "notification_mode"),
    )

    ssid = None
    lifetime = 86400
    pmin = pmax = None
    disable_timeout = None
    storing = False
    binding = "U"
    priority = initial_delay = None
    failure_block = bootstrap_on_failure = None
    retry_count = retry_timer = sequence_delay = sequence_count = None
    notification_mode = None
    on_trigger = None

    def validate(self):
        """ValueError names what makes no sense."""
        if self.ssid is None or not 1 <= self.ssid <= 65534:
            raise ValueError("ssid")
        if self.lifetime < 0:
            raise ValueError("lifetime")
        if "U" not in self.binding:
            raise ValueError("binding")
        if self.notification_mode not in (None, 0, 1):
            raise ValueError("notification_mode")
        for name in ("pmin", "pmax", "disable_timeout"):
            if (getattr(self, name) or 0) < 0:
                raise ValueError(name)

    # What a trigger does begins after its 2.04 has been sent.
    def disable(self, arguments):
        return self._trigger("disable")

    def update(self, arguments):
        return self._trigger("update")

    def bootstrap(self, arguments):
        return self._trigger("bootstrap")

    def _trigger(self, what):
        if self.on_trigger:
            return lambda: self.on_trigger(what)
