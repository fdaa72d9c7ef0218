# Temperature (/3303), and what all IPSO sensors share.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M registry, object 3303 version 1.1

from ..model import Instance, R, RW, E, MANDATORY
from ..types import STRING, FLOAT


class Sensor(Instance):
    """A measured value with its extremes. A subclass gives OID, VERSION and units."""

    MULTIPLE = False
    TABLE = (
        (5601, R, FLOAT, "min_measured"),
        (5602, R, FLOAT, "max_measured"),
        (5603, R, FLOAT, "min_range"),
        (5604, R, FLOAT, "max_range"),
        (5605, E, None, "reset"),
        (5700, R | MANDATORY, FLOAT, "value"),
        (5701, R, STRING, "units"),
        (5750, RW, STRING, "application_type"),
    )

    value = 0.0
    min_measured = max_measured = None
    min_range = max_range = None
    units = application_type = None

    def measured(self, value):
        """Take a measurement, a number in the sensor's units; observers are told."""
        if self.min_measured is None or value < self.min_measured:
            self.set("min_measured", value)
        if self.max_measured is None or value > self.max_measured:
            self.set("max_measured", value)
        self.set("value", value)

    def reset(self, arguments):
        self.set("min_measured", self.value)
        self.set("max_measured", self.value)


class Temperature(Sensor):
    """Degrees Celsius."""

    OID = 3303
    VERSION = "1.1"
    MULTIPLE = True
    units = "Cel"
