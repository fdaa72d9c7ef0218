# The device program: connects, serves, comes back.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# What it takes to begin is in lwm2m_begin, which is let go of: here is what stays.

import asyncio
import gc
import sys
import time

_started = time.ticks_ms()

# What is let go of once the client is made, and is imported anew when it is needed. The last
# ones not where contexts outlive a restart: a store is in use.
_START = (
    "cbor.items",
    "cbor.reader",
    "cbor",
    "hkdf",
    "lwm2m.formats.value",
    "oscore.derive",
    "oscore.limits",
    "oscore.refuse",
    "oscore.keep",
    "oscore.record",
    "flashstore",
    "lwm2m_flash",
    "lwm2m_restart",
)
# And whenever an account has registered or updated: they hold functions and no state.
_SETTLED = (
    "coap.exchange",
    "coap.late",
    "coap.sending",
    "hkdf",
    "lwm2m_begin",
    "lwm2m.account",
    "lwm2m.bootstrap",
    "lwm2m.registration",
    "lwm2m.seldom",
    "lwm2m.writing",
    "lwm2m.arguments",
    "lwm2m.composite",
    "lwm2m.creating",
    "lwm2m.discover",
    "lwm2m.formats.link",
    "lwm2m.formats",
    "lwm2m.objects.oscore",
    "lwm2m.objects.security",
    "lwm2m.objects.server",
    "lwm2m.objects",
    "oscore.derive",
    "oscore.limits",
    "oscore.refuse",
)


def log(text):
    """One line on the console: seconds since the start, then the event."""
    print("%9.3f %s" % (time.ticks_diff(time.ticks_ms(), _started) / 1000, text))


def forget(names=_SETTLED, loaded=()):
    """Let go of modules but for those whose names are in loaded."""
    for name in names:
        if name in sys.modules and name not in loaded:
            package, _, attr = name.rpartition(".")
            if package:
                delattr(sys.modules[package], attr)
            del sys.modules[name]


# What is called again long after the start. None of it keeps lwm2m_begin.


def check_keys(keys):
    from lwm2m_begin import check_keys

    check_keys(keys)


class Learned:
    """What oscore.Account takes as persist under "b2": its keys end with the run, but that
    the server needs a kid context in each request is remembered. Nothing is written, and
    lwm2m_restart not needed, before there is such a server. keys: the instance of /21."""

    def __init__(self, keys):
        self._keys = keys

    def load(self):
        from lwm2m_flash import open_record

        if open_record(self._keys.iid).names():
            from lwm2m_begin import record

            return record(self._keys).load()

    def commit(self, *state):
        from lwm2m_begin import record

        record(self._keys).commit(*state)


def hooks(store, config, random):
    """What Client takes as secure and on_config."""

    def secure(security, keys):
        from lwm2m_begin import secure

        return secure(config, random, keys)

    def commit(objects):
        from lwm2m_begin import commit

        commit(store, config, objects)

    return secure, commit


async def _run_product(client, product):
    # When it fails the device stays where it can be reached.
    try:
        await product.run(client)
    except Exception as e:
        client.on_error(e)


async def serve(client, product):
    """Run client and product until the client stops."""
    running = asyncio.create_task(_run_product(client, product))
    try:
        await client.run()
    finally:
        running.cancel()


def _begin(reboot, heap):
    # Not in main(): its frame would keep the module.
    from lwm2m_begin import VERSION, make_client, small

    made = make_client(reboot, params=small(heap))
    log("device %s, MicroPython %s" % (made[0].endpoint, VERSION))
    return made


def main(reboot=None):
    """Run the device until it is stopped. reboot: function that restarts the board.

    Returns 0 when it was stopped, 1 when there is nothing that it could do.
    """
    # Collect long before the heap is full: otherwise what stays comes to lie all over
    # it, and one day nothing of a few kilobytes fits in between.
    gc.collect()
    heap = gc.mem_free() + gc.mem_alloc()
    gc.threshold(heap // 8)
    if reboot is None:
        from machine import reset as reboot
    try:
        client, product = _begin(reboot, heap)
    except (ValueError, OSError, RuntimeError) as e:
        log("flash: %s" % e if isinstance(e, OSError) else str(e))
        return 1
    gc.collect()
    try:
        asyncio.run(serve(client, product))
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
