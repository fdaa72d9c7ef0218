# The slots of a store in the ESP32's non-volatile storage.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# MicroPython's esp32.NVS: https://docs.micropython.org/en/latest/library/esp32.html#esp32.NVS

from esp32 import NVS as _NVS

_NOT_FOUND = -0x1102  # ESP_ERR_NVS_NOT_FOUND
_KEYS = ("0", "1")


class NVS:
    """Two blobs of a namespace as the slots of a store.

    namespace: 1 to 15 characters, one for each store. NVS marks former data as erased
    but keeps its bytes until the page is needed: only flash encryption protects them.
    """

    def __init__(self, namespace):
        self.namespace = namespace
        self._nvs = _NVS(namespace)

    def name(self, slot):
        """What problems call a slot."""
        return "nvs:%s/%s" % (self.namespace, _KEYS[slot])

    def read(self, slot, limit):
        """The slot's bytes; None when it was never written. OSError beyond limit."""
        buf = bytearray(limit)
        try:
            n = self._nvs.get_blob(_KEYS[slot], buf)
        except OSError as e:
            if e.errno == _NOT_FOUND:
                return None
            raise
        return memoryview(buf)[:n]

    def write(self, slot, data):
        """Write data; NVS keeps the former data until that is done."""
        self._nvs.set_blob(_KEYS[slot], data)
        self._nvs.commit()

    def erase(self, slot):
        """Remove the slot."""
        try:
            self._nvs.erase_key(_KEYS[slot])
        except OSError as e:
            if e.errno == _NOT_FOUND:
                return
            raise
        self._nvs.commit()
