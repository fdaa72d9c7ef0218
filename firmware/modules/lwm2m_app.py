# The device program: connects, serves, comes back.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# What it takes to begin is in lwm2m_begin, which is let go of: here is what stays.

import time

_started = time.ticks_ms()


def log(text):
    """One line on the console: seconds since the start, then the event."""
    print("%9.3f %s" % (time.ticks_diff(time.ticks_ms(), _started) / 1000, text))


def forget(*names):
    """Let go of modules; without arguments of those that hold functions and no state, whenever
    an account has registered or updated."""
    import sys

    for name in names or (
        "cbor.items",
        "cbor.reader",
        "cbor",
        "coap.late",
        "coap.sending",
        "hkdf",
        "lwm2m_begin",
        "lwm2m.account",
        "lwm2m.bootstrap",
        "lwm2m.checking",
        "lwm2m.registration",
        "lwm2m.seldom",
        "lwm2m.writing",
        "lwm2m.arguments",
        "lwm2m.attributes",
        "lwm2m.composite",
        "lwm2m.creating",
        "lwm2m.discover",
        "lwm2m.formats.link",
        "lwm2m.formats.cbor_decode",
        "lwm2m.formats.paths",
        "lwm2m.formats.value",
        "lwm2m.formats",
        "lwm2m.objects.accounts",
        "lwm2m.objects",
        "oscore.answer",
        "oscore.derive",
        "oscore.limits",
        "oscore.refuse",
    ):
        if name in sys.modules:
            package, _, attr = name.rpartition(".")
            if package:
                delattr(sys.modules[package], attr)
            del sys.modules[name]


def learned(keys):
    """What oscore.Account takes as persist under "b2", for an instance of /21: made when it is
    needed, and without keeping lwm2m_begin."""

    def persist():
        from lwm2m_begin import Learned

        return Learned(keys)

    return persist


def serve(client, product):
    """Run client and product until the client stops."""
    import asyncio

    # A product that fails, now or later, leaves the device where it can be reached.
    asyncio.get_event_loop().set_exception_handler(
        lambda loop, context: client.on_error(context["exception"])
    )
    running = __import__("lwm2m_begin").start(client, product)
    asyncio.run(client.run())
    if running:
        running.cancel()


def main(reboot=None):
    """Run the device until it is stopped. reboot: function that restarts the board.

    Returns 0 when it was stopped, 1 when there is nothing that it could do.
    """
    import asyncio
    import gc

    # Collect long before the heap is full: otherwise what stays comes to lie all over
    # it, and one day nothing of a few kilobytes fits in between. Where there are megabytes, to
    # look through them all is what takes long.
    gc.collect()
    heap = gc.mem_free() + gc.mem_alloc()
    gc.threshold(heap >> (3 if heap < 1000000 else 1))
    if reboot is None:
        from machine import reset as reboot
    try:
        # Not by a name in here, which would keep the module.
        client, product = __import__("lwm2m_begin").begin(reboot, heap)
    except (ValueError, OSError, RuntimeError) as e:
        log("flash: %s" % e if isinstance(e, OSError) else str(e))
        return 1
    gc.collect()
    try:
        serve(client, product)
    except KeyboardInterrupt:
        # Ctrl-C came in the middle of some task: go on without the others, to leave. The
        # unix port raises it even in a collection, which then leaves the heap locked: no
        # more can be done.
        try:
            asyncio.new_event_loop()
        except MemoryError:
            return 0
        client.stop()
        asyncio.run(client.run())
    return 0
