# The product of the devices under fault tests: it takes the frozen one's place in the image.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import asyncio
import gc

from coap.params import Params
from lwm2m import E, FLOAT, INTEGER, MULTI, OPAQUE, R, RW, STRING, Instance
from lwm2m.objects.device import Device
from lwm2m.objects.temperature import Temperature


class Probe(Instance):
    """What a test looks into the device with."""

    OID = 26300
    TABLE = (
        (0, R, INTEGER, "free"),
        (1, E, None, "count"),
        (2, R, INTEGER, "counted"),
        (3, RW, STRING, "text"),
        (4, R, STRING, "long_text"),
        (5, RW, INTEGER, "long_len"),
        (6, RW, OPAQUE, "blob"),
        (7, RW | MULTI, INTEGER, "many"),
        (8, E, None, "fail"),
        (9, R, INTEGER, "failing"),
        (10, RW, FLOAT, "level"),
        (11, R, STRING, "counters"),
        (12, E, None, "leave"),
    )

    counted = 0
    text = "x"
    long_len = 10
    blob = b""
    many = None
    level = 0.0
    broken = False
    client = None

    def free(self):
        """Bytes of heap that nothing holds."""
        gc.collect()
        return gc.mem_free()

    def count(self, arguments):
        self.set("counted", self.counted + 1)

    def long_text(self):
        return "0123456789" * ((self.long_len or 0) // 10)

    def fail(self, arguments):
        """Without an argument the call fails; with one, what is read or runs afterwards."""
        if not arguments:
            raise RuntimeError("asked to fail")
        if arguments[0][0] == 1:
            return self.later
        self.broken = arguments[0][0] == 2
        self.changed("failing")

    def later(self):
        raise RuntimeError("failed after the answer")

    def failing(self):
        if self.broken:
            raise RuntimeError("asked to fail")
        return 1

    def counters(self):
        account = self.client.accounts[0]
        words = ["%s=%d" % pair for pair in account.endpoint.counters.items()]
        return " ".join(sorted(words))


    def leave(self, arguments):
        """As Ctrl-C, which on the unix port may strike in the middle of a collection."""
        return self.client.stop


class Many(Instance):
    """An object whose instances servers create."""

    OID = 26301
    MULTIPLE = True
    CREATE = True
    TABLE = ((0, RW, STRING, "text"),)
    text = None


def objects(client, reboot):
    # Lost datagrams are repeated soon: a test does not wait for seconds.
    client.params = Params(ack_timeout_ms=100, ack_random_factor=1.0, max_retransmit=8)
    device = Device(manufacturer="microlwm2m")
    device.on_reboot = reboot
    client.add(device)
    client.add(Temperature())
    probe = Probe()
    probe.client = client
    client.add(probe)
    client.model.define(Many)


async def run(client):
    sensor = client.model.instance(3303, 0)
    n = 0
    while True:
        n = (n + 1) % 100
        sensor.measured(20.0 + n / 4)
        await asyncio.sleep_ms(40)
