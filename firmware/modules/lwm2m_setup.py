# Provisioning: writes, shows, changes and wipes the factory bootstrap of a board.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M 1.2 Core section 6.1.3 (factory bootstrap), OMA object 21 version 2.0.
#
# `microlwm2m provision` calls run() over the REPL; whoever sits at one may call
# the four functions. Everything is checked before anything is written, and all
# that is written goes in one commit of flashstore: a board is provisioned as
# before or as asked, never in between. No function returns or prints a key.

import cbor

# Object and resource numbers of OMA's registry
_SECURITY = const(0)
_URI = const(0)
_BOOTSTRAP = const(1)
_MODE = const(2)
_IDENTITY = const(3)
_KEY = const(5)
_SSID = const(10)
_OSCORE_LINK = const(17)

_SERVER = const(1)
_SERVER_SSID = const(0)
_LIFETIME = const(1)

_OSCORE = const(21)
_SECRET = const(0)
_SENDER = const(1)
_RECIPIENT = const(2)
_AEAD = const(3)
_HMAC = const(4)
_SALT = const(5)
_ID_CONTEXT = const(6)

_PSK = const(0)  # modes
_NOSEC = const(3)
_ID_MAX = const(65534)  # of objects and instances
_LIFETIME_MAX = const(0x7FFFFFFF)  # seconds
_EP_MAX = const(64)  # bytes of an endpoint name
_SEED_LEN = const(32)  # bytes of randomness from the host
_SECRET_MIN = const(16)  # bytes: AES-128's own strength


def _store(store):
    if store is None:
        from lwm2m_flash import open_store

        store = open_store()
    return store


def _bytes(data):
    if isinstance(data, str):
        from binascii import unhexlify

        data = unhexlify(data)
    return data


# Without the value: it may be a key that went astray into another field.
def _need(ok, text):
    if not ok:
        raise ValueError(text)


def _map(value, text):
    _need(isinstance(value, dict), text)
    return value


def _in(value, low, high):
    return isinstance(value, int) and low <= value <= high


def _check_keys(keys, where):
    from oscore.limits import validate

    aead, hmac = keys.get(_AEAD, 0), keys.get(_HMAC, 0)
    _need(isinstance(aead, int) and isinstance(hmac, int), where + "an algorithm is no number")
    try:
        secret = validate(
            keys.get(_SECRET),
            keys.get(_SENDER),
            keys.get(_RECIPIENT),
            master_salt=keys.get(_SALT),
            aead=aead,
            hmac=hmac,
            id_context=keys.get(_ID_CONTEXT),
        )[0]
    except ValueError as e:
        raise ValueError(where + str(e))
    _need(len(secret) >= _SECRET_MIN, where + "master_secret: at least 16 bytes")


def _check_psk(identity, key, where):
    ok = isinstance(identity, bytes) and isinstance(key, bytes)
    _need(ok, where + "coaps:// needs an identity and a pre-shared key")
    _need(len(key) >= _SECRET_MIN, where + "pre-shared key: at least 16 bytes")
    try:
        # What this board has decides.
        from coap.dtls import context

        context(identity, key)
    except ImportError:
        raise ValueError(where + "this firmware has no DTLS")
    except ValueError as e:
        raise ValueError(where + str(e))


def _check_account(account, where, objects, ssids, linked):
    uri = account.get(_URI)
    ok = isinstance(uri, str) and uri.startswith(("coap://", "coaps://"))
    _need(ok, where + "server URI must begin with coap:// or coaps://")
    if uri.startswith("coaps:"):
        _need(account.get(_MODE) == _PSK, where + "coaps:// goes with security mode 0 (PSK)")
        _check_psk(account.get(_IDENTITY), account.get(_KEY), where)
    else:
        _need(account.get(_MODE) == _NOSEC, where + "coap:// goes with security mode 3 (NoSec)")
    ssid = None
    if account.get(_BOOTSTRAP):
        try:
            __import__("lwm2m.bootstrap")
        except ImportError:
            raise ValueError(where + "this firmware has no bootstrap")
    else:
        ssid = account.get(_SSID)
        _need(_in(ssid, 1, 65534), where + "short server ID must be 1 to 65534")
        served = [
            server
            for server in objects.get(_SERVER, {}).values()
            if server.get(_SERVER_SSID) == ssid
        ]
        _need(len(served) == 1, where + "needs one server object with its short server ID")
        _need(_in(served[0].get(_LIFETIME), 0, _LIFETIME_MAX), where + "bad lifetime")
    _need(
        ssid not in ssids, where + "another one has the same short server ID, or is for bootstrap"
    )
    ssids.append(ssid)
    link = account.get(_OSCORE_LINK)
    if link is not None:
        keys = objects.get(_OSCORE, {})
        _need(len(link) == 2 and link[0] == _OSCORE, where + "bad link to OSCORE keys")
        _need(link[1] in keys, where + "its OSCORE keys are missing")
        keys = keys[link[1]]
        _check_keys(keys, where)
        # One secret in two accounts would be one key stream used twice.
        same = [k for k in linked if k is keys or k[_SECRET] == keys[_SECRET]]
        _need(not same, where + "another one has the same master secret")
        linked.append(keys)


def _check_all(config):
    ep = config.get("ep")
    ok = isinstance(ep, str) and 0 < len(ep.encode()) <= _EP_MAX
    _need(ok, "endpoint name must have 1 to 64 bytes")
    _map(config.get("opts", {}), "opts is no map")
    objects = _map(config.get("objects"), "objects missing")
    for oid, instances in objects.items():
        _need(_in(oid, 0, _ID_MAX), "an object ID is not 0 to 65534")
        for iid, instance in _map(instances, "an object is no map").items():
            _need(_in(iid, 0, _ID_MAX), "an instance ID is not 0 to 65534")
            _map(instance, "an instance is no map")
    _need(objects.get(_SECURITY), "no server account")
    ssids, linked = [], []
    for iid, account in objects[_SECURITY].items():
        _check_account(account, "account %d: " % iid, objects, ssids, linked)
    if "restart" in config.get("opts", ()):
        import lwm2m_restart

        lwm2m_restart.check(config)


# An array where a number belongs, and the like.
def _typed(f, *args):
    try:
        return f(*args)
    except (TypeError, AttributeError, KeyError):
        raise ValueError("a value is missing or of the wrong type")


def _check(config):
    _typed(_check_all, config)


def _decode(data, what):
    try:
        return cbor.loads(_bytes(data))
    except (ValueError, MemoryError, EOFError, IndexError):
        raise ValueError(what + " does not parse")


# None when there is none. A record that does not parse is refused here; apply()
# without add does not look at it and is the way out.
def _load(store):
    data = store.get("config")
    if data is None:
        return None
    return _map(
        _decode(data, "the configuration on the board"), "the configuration on the board is no map"
    )


# The seed of R1 and R3 (RFC 8613 appendix B.2) comes from the host, the board and
# the seed before it: none of the three alone can make a nonce repeat.
def _seed(store, random):
    import os
    from hkdf import hkdf

    random = _bytes(random)
    _need(isinstance(random, bytes) and len(random) == _SEED_LEN, "the seed must have 32 bytes")
    return hkdf(
        random + os.urandom(_SEED_LEN) + (store.get("seed") or b""), _SEED_LEN, info=b"seed"
    )


# Whatever else is in this store was learned under the old configuration and goes.
# The boot counter has a store of its own and stays: it never goes back.
def _change(store, new):
    changes = {name: None for name in store.names()}
    changes.update(new)
    # wipe: the slot that held the old keys is written over as well.
    store.commit(changes, wipe=True)


# kept: instances of /21 whose keys are as before.
def _commit(store, config, random, kept=()):
    _check(config)
    new = {"config": cbor.dumps(config), "seed": _seed(store, random)}
    before = _keys(store)
    restart = config.get("opts", {}).get("restart", {})
    import lwm2m_restart

    keys = config["objects"].get(_OSCORE, {})
    changed = [iid for iid in restart if iid not in kept]
    for iid in changed:
        lwm2m_restart.check_fresh(iid, keys[iid], restart[iid])
    for iid in changed:
        lwm2m_restart.prepare(iid, keys[iid], restart[iid])
    _change(store, new)
    for iid in before | set(restart):
        lwm2m_restart.tidy(iid, keys[iid] if iid in restart or iid in kept else None)


# Instances of /21 of what is on the board, whatever that is.
def _keys(store):
    try:
        return set(_load(store)["objects"][_OSCORE])
    except (ValueError, TypeError, KeyError, AttributeError):
        return set()


# Restart policies of what is on the board, whatever that is.
def _restart(store):
    try:
        return _load(store)["opts"]["restart"].copy()
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}


def _free(taken):
    iid = 0
    while iid in taken:
        iid += 1
    return iid


# The host does not know which instances a board has: new ones are renumbered here.
def _merge(old, new):
    _need(new.get("ep") in (None, old["ep"]), "the board's endpoint name is " + old["ep"])
    objects = old["objects"]
    moved = {}
    for account in _map(new.get("objects"), "objects missing").get(_SECURITY, {}).values():
        link = account.get(_OSCORE_LINK)
        if link is not None:
            have = objects.setdefault(_OSCORE, {})
            iid = _free(have)
            have[iid] = new["objects"].get(_OSCORE, {}).get(link[1], {})
            moved[link[1]] = iid
            account[_OSCORE_LINK] = [_OSCORE, iid]
        objects[_SECURITY][_free(objects[_SECURITY])] = account
    for server in new["objects"].get(_SERVER, {}).values():
        have = objects.setdefault(_SERVER, {})
        have[_free(have)] = server
    opts = old.setdefault("opts", {})
    restart = opts.get("restart", {})
    opts.update(new.get("opts", {}))
    if "restart" in opts:
        for iid, policy in new.get("opts", {}).get("restart", {}).items():
            restart[moved[iid]] = policy
        opts["restart"] = restart
    return old


def apply(config, random, add=False, store=None):
    """Provision the board.

    config: CBOR as bytes or in hex, {"ep": name, "objects": {oid: {iid: {rid:
    value}}}, "opts": {}}. random: 32 random bytes of the host's, bytes or hex.
    add: keep what is there and add these accounts to it ("ep" may be left out).
    opts: {"restart": {iid of /21: "b1" or "b1-static"}}, see lwm2m_restart. The latter
    is for a master secret that no device had before: it is not to be given twice.
    ValueError: refused, nothing has changed. OSError: the flash failed.
    """
    store = _store(store)
    new = _map(_decode(config, "the configuration"), "the configuration is no map")
    kept = ()
    if add:
        old = _load(store)
        if old is not None:
            _check(old)
            kept = list(old["objects"].get(_OSCORE, ()))
            new = _typed(_merge, old, new)
    _commit(store, new, random, kept)


def rotate(change, random, store=None):
    """Give one account new keys and keep all else.

    change: CBOR as bytes or in hex, {"ssid": short server ID, 0 for the bootstrap
    account, or None for the only one; "keys": {rid of /21: value, or None to
    remove}; "fresh": true where the master secret was drawn for this}. random: as in
    apply(). ValueError: refused, nothing has changed.
    """
    store = _store(store)
    change = _map(_decode(change, "the change"), "the change is no map")
    config = _load(store)
    _need(config is not None, "the board is not provisioned")
    _check(config)
    sealed = []
    ssid = change.get("ssid")
    for account in config["objects"][_SECURITY].values():
        mine = 0 if account.get(_BOOTSTRAP) else account.get(_SSID)
        if ssid in (None, mine):
            if _OSCORE_LINK in account:
                sealed.append(account[_OSCORE_LINK][1])
    _need(sealed, "no such account with OSCORE keys")
    _need(len(sealed) == 1, "several accounts: say which by its short server ID")
    keys = config["objects"][_OSCORE][sealed[0]]
    for rid, value in _map(change.get("keys"), "keys missing").items():
        if value is None:
            keys.pop(rid, None)
        else:
            keys[rid] = value
    if _restart(store).get(sealed[0]) == "b1-static":
        _need(change.get("fresh") is True, "b1-static takes a fresh master secret alone")
    kept = [iid for iid in config["objects"][_OSCORE] if iid != sealed[0]]
    _commit(store, config, random, kept)


def wipe(store=None):
    """Remove the configuration, its keys, and all that was learned under it."""
    store = _store(store)
    import lwm2m_restart

    before = _keys(store)
    _change(store, {})
    for iid in before:
        lwm2m_restart.tidy(iid, None)


def _set(value):
    return "set" if value else "none"


def _hex(value):
    from binascii import hexlify

    return hexlify(value).decode() or "(empty)"


# An identity is text more often than not.
def _text(value):
    for c in value:
        if not 32 < c < 127:
            return "0x" + _hex(value)
    return str(value, "ascii") or "(empty)"


# A Bootstrap-Server may have written what _check would refuse: this shows it.
def _show(config):
    objects = config["objects"]
    print("endpoint " + config["ep"])
    for iid in sorted(objects[_SECURITY]):
        account = objects[_SECURITY][iid]
        if account.get(_BOOTSTRAP):
            who = "bootstrap server"
        else:
            who = "server %s" % account.get(_SSID)
            for server in objects.get(_SERVER, {}).values():
                if server[_SERVER_SSID] == account.get(_SSID):
                    who += ", lifetime %d s" % server[_LIFETIME]
        print("%s, %s" % (account[_URI], who))
        dtls = account[_URI].startswith("coaps:")
        if dtls:
            print("  DTLS with a pre-shared key, identity %s, key: %s" % (
                _text(account.get(_IDENTITY, b"")), _set(account.get(_KEY))))  # fmt: skip
        keys = objects.get(_OSCORE, {}).get(account.get(_OSCORE_LINK, (_OSCORE, None))[1])
        if keys is None:
            print("  no OSCORE" if dtls else "  plain: no OSCORE")
            continue
        print("  OSCORE with AEAD %d, HKDF SHA-256" % (keys.get(_AEAD, 0) or 10))
        print("  sender ID %s, recipient ID %s" % (_hex(keys[_SENDER]), _hex(keys[_RECIPIENT])))
        names = (("secret", _SECRET), ("salt", _SALT), ("ID context", _ID_CONTEXT))
        print("  " + ", ".join([name + ": " + _set(keys.get(rid)) for name, rid in names]))
        policy = config.get("opts", {}).get("restart", {}).get(account[_OSCORE_LINK][1])
        if policy:
            print("  goes on after a restart: " + policy)
    for name in sorted(config.get("opts", {})):
        if name != "restart":
            print("option %s: set" % name)


def show(store=None):
    """Print what is configured, keys and salts as "set" or "none"."""
    store = _store(store)
    config = _load(store)
    for problem in store.problems:
        print("flash: " + problem)
    if config is None:
        print("not provisioned")
    else:
        _typed(_show, config)


def run(verb, *args):
    """One of apply, add, rotate, show, wipe for a program: prints a last line
    `lwm2m_setup: ok` or `lwm2m_setup: refused: WHY`, never a traceback."""
    try:
        if verb == "add":
            apply(*args, add=True)
        else:
            {"apply": apply, "rotate": rotate, "show": show, "wipe": wipe}[verb](*args)
        print("lwm2m_setup: ok")
    except ValueError as e:
        print("lwm2m_setup: refused: " + str(e))
    except OSError as e:
        print("lwm2m_setup: refused: the flash failed (errno %s)" % e.errno)
    except MemoryError:
        print("lwm2m_setup: refused: out of memory")
