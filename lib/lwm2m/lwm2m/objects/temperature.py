# Temperature (/3303), and what all IPSO sensors share.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M registry, object 3303 version 1.1

from lwm2m.model import Instance

# As in model.py and types.py; here, so that the table is a constant and stays in flash.
_R = const(1)
_RW = const(3)
_E = const(4)
_MANDATORY = const(16)
_STRING = const(0)
_FLOAT = const(3)


class Sensor(Instance):
    """A measured value with its extremes. A subclass gives OID, VERSION and units."""

    TABLE = (
        (5601, _R, _FLOAT, "min_measured"),
        (5602, _R, _FLOAT, "max_measured"),
        (5603, _R, _FLOAT, "min_range"),
        (5604, _R, _FLOAT, "max_range"),
        (5605, _E, None, "reset"),
        (5700, _R | _MANDATORY, _FLOAT, "value", 0.0),
        (5701, _R, _STRING, "units"),
        (5750, _RW, _STRING, "application_type"),
    )

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
