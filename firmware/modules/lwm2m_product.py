# The product: which objects it has and what feeds them. Yours replaces this one.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# A file of this name in the root of the board's filesystem is taken instead of
# the frozen one.

import asyncio


def objects(client, reboot):
    """Add the product's objects. reboot: function that restarts the board."""
    # What is needed once is imported here: a name of the module is 8 bytes of heap.
    import sys

    from lwm2m.objects.device import Device
    from lwm2m.objects.temperature import Temperature

    device = Device(
        manufacturer="microlwm2m",
        model_number=sys.platform,
        firmware_version=".".join([str(n) for n in sys.implementation.version[:3]]),
    )
    device.on_reboot = reboot
    client.add(device)
    sensor = Temperature()
    sensor.min_range = -40.0
    sensor.max_range = 85.0
    client.add(sensor)


async def run(client):
    """What the product does beside LwM2M: here it measures once a second."""
    sensor = client.model.instance(3303, 0)
    tenths = 0
    while True:
        tenths = (tenths + 3) % 100
        sensor.measured(20.0 + tenths / 10)
        await asyncio.sleep(1)
