# How the device begins: the configuration is read, keys and objects brought to the client.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# The one place that knows all layers: it brings OSCORE, flash and the product's objects to
# the client. lwm2m_app lets go of it once the client is made.

import asyncio
import errno
import gc
import os
import sys

import lwm2m_app
from oscore.account import Account
from oscore.fresh import Fresh

VERSION = ".".join([str(n) for n in sys.implementation.version[:3]])

# Below this much heap, in bytes, fewer replies are kept for duplicates.
_SMALL = const(56 * 1024)


def small(heap):
    """Client's params for a heap of so many bytes; None are the usual ones."""
    if heap < _SMALL:
        # Of a peer that keeps to NSTART = 1 (RFC 7252 section 4.7) the last one is asked for.
        from coap.params import Params

        return Params(dedup_slots=4, dedup_bytes=512)


def begin(reboot, heap):
    """(client, product) for a heap of so many bytes. Raises what make_client() does."""
    made = make_client(reboot, params=small(heap))
    lwm2m_app.log("device %s, MicroPython %s" % (made[0].endpoint, VERSION))
    return made


def start(client, product):
    """The product's task, None where it cannot be begun."""
    try:
        return asyncio.create_task(product.run(client))
    except Exception as e:
        client.on_error(e)


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


class Learned:
    """A persist of oscore.Account under "b2": its keys end with the run, but that the server
    needs a kid context in each request is remembered. Nothing is written, and lwm2m_restart not
    needed, before there is such a server. keys: the instance of /21."""

    def __init__(self, keys):
        self._keys = keys

    def load(self):
        from lwm2m_flash import open_record

        if open_record(self._keys.iid).names():
            return record(self._keys).load()

    def commit(self, *state):
        record(self._keys).commit(*state)


def record(keys):
    """The record in flash of the context that belongs to an instance of /21."""
    from lwm2m_restart import persist, record_name

    return persist(keys.iid, record_name(**account_arguments(keys)), lwm2m_app.log)


def secure(config, random, keys):
    """The security hook of the account with the keys of an instance of /21."""
    persist = lwm2m_app.learned(keys)
    policy = "b2"
    if keys.iid in config["opts"].get("restart", ()):
        persist = record(keys)
        policy = "b1"
    arguments = account_arguments(keys)
    account = Account(random=random, persist=persist, policy=policy, **arguments)
    if account.ready():
        lwm2m_app.log("oscore: /21/%d goes on from the last run (appendix B.1)" % keys.iid)
    return account


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
    import lwm2m_hooks
    import lwm2m_product
    from lwm2m import Client
    from lwm2m.objects.accounts import OSCORE

    loaded = list(sys.modules)
    from lwm2m_flash import open_counters, open_store

    opened = store or open_store()
    counters = counters or open_counters()
    for problem in opened.problems + counters.problems:
        lwm2m_app.log("flash: " + problem)
    opened.mend()
    config = read_config(opened)
    random = fresh(opened, counters)
    # What the model holds from now on is not kept a second time.
    objects = config.pop("objects")
    if objects.get(21):
        from aesccm import AESCCM

        # AES in viper has tables of 4 KB in one piece: first come, first served.
        gc.collect()
        AESCCM(bytes(16))
    OSCORE.check = lwm2m_hooks.check_keys
    secure, commit = lwm2m_hooks.hooks(store, config, random)

    client = Client(config["ep"], secure=secure, log=lwm2m_app.log, **kw)
    client.on_config = commit
    client.on_settled = lwm2m_app.forget
    client.model.define(OSCORE)
    lwm2m_product.objects(client, reboot)
    client.load(objects)
    if client.bootstrap_server() is None:
        # Nobody will bring another configuration.
        client.secure = client.on_config = OSCORE.check = None
        lwm2m_app.forget("lwm2m_hooks")
    _forget(config, loaded)
    return client, lwm2m_product


# What is let go of again once it is read, but for what was loaded before. The last ones not where
# contexts outlive a restart: a store is in use.
_READ = (
    "cbor.errors",
    "cbor.items",
    "cbor.reader",
    "cbor",
    "hkdf",
    "lwm2m.formats.value",
    "oscore.answer",
    "oscore.derive",
    "oscore.limits",
    "oscore.refuse",
    "oscore.keep",
    "oscore.record",
    "flashstore",
    "lwm2m_flash",
    "lwm2m_restart",
)


def _forget(config, loaded):
    names = _READ[:9] if "restart" in config["opts"] else _READ
    lwm2m_app.forget(*[name for name in names if name not in loaded])


def commit(store, config, objects):
    """Make the configuration of these objects permanent. config: all the rest of it."""
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
    _forget(config, loaded)
