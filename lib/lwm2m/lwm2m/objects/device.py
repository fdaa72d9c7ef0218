# Device (/3): who the device is.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2, appendix E.4

import gc
import time

from lwm2m.model import Instance

# As in model.py and types.py; here, so that the table is a constant and stays in flash.
_R = const(1)
_RW = const(3)
_E = const(4)
_MULTI = const(8)
_MANDATORY = const(16)
_STRING = const(0)
_INTEGER = const(1)
_TIME = const(6)

# Ports count from 1970 or from 2000; resources of type Time from 1970.
_EPOCH = 0 if time.gmtime(0)[0] == 1970 else 946684800


class Device(Instance):
    """Names, versions, time and reboot.

    on_reboot, on_factory_reset: functions of the product, called after the answer
    has been sent; without the second, resource 5 is not there. A product
    derives from this class, or sets fields by keyword.
    """

    OID = 3
    VERSION = "1.2"
    VERSION_1_1 = "1.1"
    TABLE = (
        (0, _R, _STRING, "manufacturer"),
        (1, _R, _STRING, "model_number"),
        (2, _R, _STRING, "serial_number"),
        (3, _R, _STRING, "firmware_version"),
        (4, _E | _MANDATORY, None, "reboot"),
        (5, _E, None, "factory_reset"),
        (9, _R, _INTEGER, "battery_level"),
        (10, _R, _INTEGER, "memory_free"),
        (11, _R | _MULTI | _MANDATORY, _INTEGER, "error_codes"),
        (12, _E, None, "reset_errors"),
        (13, _RW, _TIME, "current_time"),
        (14, _RW, _STRING, "utc_offset"),
        (15, _RW, _STRING, "timezone"),
        (16, _R | _MANDATORY, _STRING, "binding", "U"),
        (17, _R, _STRING, "device_type"),
        (18, _R, _STRING, "hardware_version"),
        (19, _R, _STRING, "software_version"),
        (20, _R, _INTEGER, "battery_status"),
        (21, _R, _INTEGER, "memory_total"),
    )

    error_codes = (0,)
    memory_total = (gc.mem_free() + gc.mem_alloc()) >> 10
    on_reboot = on_factory_reset = None
    _offset = 0

    def __init__(self, **fields):
        for name in fields:
            if not hasattr(self, name):
                raise ValueError(name)
            setattr(self, name, fields[name])

    def memory_free(self):
        return gc.mem_free() >> 10

    @property
    def current_time(self):
        """Seconds since 1970: the port's clock, moved by what a server wrote."""
        return int(time.time()) + _EPOCH + self._offset

    @current_time.setter
    def current_time(self, seconds):
        if seconds is None:
            raise ValueError("current_time")
        self._offset += seconds - self.current_time

    def reboot(self, arguments):
        return self.on_reboot

    def reset_errors(self, arguments):
        self.set("error_codes", (0,))

    @property
    def factory_reset(self):
        if self.on_factory_reset:
            return lambda arguments: self.on_factory_reset
