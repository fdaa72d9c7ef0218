# The product of the minimal profile: Device alone. Yours replaces this one.
# MIT license; Copyright (c) 2026 the microlwm2m authors


def objects(client, reboot):
    """Add the product's objects. reboot: function that restarts the board."""
    import sys

    from lwm2m.objects.device import Device

    device = Device(
        manufacturer="microlwm2m",
        model_number=sys.platform,
        firmware_version=".".join([str(n) for n in sys.implementation.version[:3]]),
    )
    device.on_reboot = reboot
    client.add(device)


async def run(client):
    """What the product does beside LwM2M: nothing yet."""
