# The device program: reads the configuration, connects, serves, comes back.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# The one place that knows all layers: it brings OSCORE, flash and the product's
# objects to the client, and writes one line per event to the console.

import asyncio
import errno
import gc
import os
import sys
import time

from lwm2m import Client
from lwm2m.objects.oscore import OSCORE
from oscore import Account, Fresh

_started = time.ticks_ms()
_VERSION = ".".join([str(n) for n in sys.implementation.version[:3]])

# What the start needs and nothing else, until the configuration is written: 5 KB of heap.
_START = (
    "cbor.items",
    "cbor.reader",
    "flashstore",
    "hkdf",
    "lwm2m.factory",
    "lwm2m.formats.value",
    "lwm2m_flash",
    "lwm2m_restart",
    "oscore.derive",
    "oscore.keep",
    "oscore.limits",
    "oscore.record",
    "oscore.refuse",
)


# Below this much heap, in bytes, fewer replies are kept for duplicates.
_SMALL = const(56 * 1024)


def _small():
    # Of a peer that keeps to NSTART = 1 (RFC 7252 section 4.7) the last one is asked for.
    from coap.params import Params

    return Params(dedup_slots=4, dedup_bytes=512)


def log(text):
    """One line on the console: seconds since the start, then the event."""
    print("%9.3f %s" % (time.ticks_diff(time.ticks_ms(), _started) / 1000, text))


def check_keys(instance):
    """Refuse an instance of /21 that OSCORE cannot use; ValueError names the resource."""
    from oscore.limits import validate

    # Resource 6 is not used, but what is stored has its bound.
    validate(id_context=instance.id_context, **account_arguments(instance))


def account_arguments(instance):
    """Arguments of oscore.Account from an instance of /21."""
    return {
        "master_secret": instance.master_secret,
        "sender_id": instance.sender_id,
        "recipient_id": instance.recipient_id,
        "master_salt": instance.master_salt or b"",
        "aead": instance.aead or 10,
        "hmac": instance.hmac or 0,
    }


class _Learned:
    """What oscore.Account takes as persist under "b2": its keys end with the run, but that
    the server needs a kid context in each request is remembered. Nothing is written, and
    lwm2m_restart not needed, before there is such a server."""

    def __init__(self, keys):
        self._keys = keys

    def _record(self):
        from lwm2m_restart import persist, record_name

        return persist(self._keys.iid, record_name(**account_arguments(self._keys)), log)

    def load(self):
        from lwm2m_flash import open_record

        if open_record(self._keys.iid).names():
            return self._record().load()

    def commit(self, *state):
        self._record().commit(*state)


def fresh(store, counters):
    """The generator of R1 and R3: seed, boot counter and the port's own, in one.

    The counter is committed before anything is drawn, so no two starts share one,
    however they end (RFC 8613 appendix B.2). OSError when the flash refuses.

    A counter that flash has lost is not begun anew: "epoch", which stands by the seed,
    is the upper half of the next one. One that may have fallen back to the commit before
    goes one further, and is written into both slots so that this holds again.
    """
    seed = store.get("seed")
    if seed is None:
        raise ValueError("no seed: run `microlwm2m provision` again")
    boot = counters.get("boot")
    if boot is None:
        epoch = int.from_bytes(store.get("epoch", b""), "big") + 1
        store.commit({"epoch": epoch.to_bytes(4, "big")}, wipe=True)
        boot = epoch << 32
    else:
        boot = int.from_bytes(boot, "big")
    if counters.problems:
        boot += 2
        counters.put("boot", boot.to_bytes(8, "big"))
    boot += 1
    counters.put("boot", boot.to_bytes(8, "big"))
    return Fresh(seed, boot, os.urandom)


def forget(loaded):
    """Let go of what of _START was not imported before, when the names in loaded were: it is
    imported anew when it is needed."""
    for name in _START:
        if name in sys.modules and name not in loaded:
            package, _, attr = name.rpartition(".")
            if package:
                delattr(sys.modules[package], attr)
            del sys.modules[name]


def read_config(store):
    """The provisioned configuration; ValueError when there is none that can be used."""
    import cbor

    data = store.get("config")
    if data is None:
        raise ValueError("not provisioned: run `microlwm2m provision`")
    try:
        config = cbor.loads(data)
        opts = config.setdefault("opts", {})
        ep = config["ep"]
        ok = isinstance(ep, str) and ep and isinstance(config["objects"], dict)
        if ok and isinstance(opts, dict) and isinstance(opts.get("restart", {}), dict):
            return config
    except (ValueError, KeyError, TypeError, AttributeError, MemoryError):
        pass
    raise ValueError("configuration does not parse: run `microlwm2m provision` again")


def make_client(reboot, store=None, counters=None, **kw):
    """The client with the product's objects and the provisioned accounts.

    ValueError says in one line what cannot be used. kw: goes on to Client.
    """
    import lwm2m_product

    loaded = list(sys.modules)
    from lwm2m_flash import open_counters, open_store

    opened = store or open_store()
    counters = counters or open_counters()
    for problem in opened.problems + counters.problems:
        log("flash: " + problem)
    opened.mend()
    config = read_config(opened)
    random = fresh(opened, counters)
    # What the model holds from now on is not kept a second time.
    objects = config.pop("objects")
    if objects.get(21):
        from aesccm import AESCCM

        # AES in viper has tables of 4.4 KB in one piece: first come, first served.
        gc.collect()
        AESCCM(bytes(16))
    OSCORE.check = check_keys

    def secure(security, keys):
        record = _Learned(keys)
        policy = "b2"
        if keys.iid in config["opts"].get("restart", ()):
            record = record._record()
            policy = "b1"
        arguments = account_arguments(keys)
        account = Account(random=random, persist=record, policy=policy, **arguments)
        if account.ready():
            log("oscore: /21/%d goes on from the last run (appendix B.1)" % keys.iid)
        return account

    client = Client(config["ep"], secure=secure, log=log, **kw)
    client.on_config = lambda objects: _commit(store, config, objects)
    client.model.define(OSCORE)
    lwm2m_product.objects(client, reboot)
    client.load(objects)
    if "restart" not in config["opts"]:  # else a store is in use
        forget(loaded)
    return client, lwm2m_product


def _commit(store, config, objects):
    # Make the configuration of these objects permanent. config: all the rest of it.
    import cbor

    loaded = list(sys.modules)
    if store is None:
        from lwm2m_flash import open_store

        store = open_store()
    new = config.copy()
    try:
        # What the start has read has to be there still: it is written anew.
        old = read_config(store)
        if "restart" in new["opts"]:
            from lwm2m_restart import remaining

            new["opts"] = remaining(old, objects)
    except ValueError:
        raise OSError(errno.EIO)
    new["objects"] = objects
    store.commit({"config": cbor.dumps(new)}, wipe=True)
    config["opts"] = new["opts"]
    if "restart" not in new["opts"]:
        forget(loaded)


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
        client, product = make_client(reboot, params=_small() if heap < _SMALL else None)
    except (ValueError, OSError, RuntimeError) as e:
        log("flash: %s" % e if isinstance(e, OSError) else str(e))
        return 1
    gc.collect()
    log("device %s, MicroPython %s" % (client.endpoint, _VERSION))
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
