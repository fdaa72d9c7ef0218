# Security contexts that outlive a restart: who has one, and the record of it in flash.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 Appendix B.1 and B.2
#
# An account's policy is set when it is provisioned, and stands in the configuration as
# "opts": {"restart": {instance of /21: policy}}.
#   "b2", where nothing stands: fresh keys at each start, nothing in flash.
#   "b1": keys agreed on by Appendix B.2 once, which then live on.
#   "b1-static": keys from the master secret alone, for a server without Appendix B.2.
# docs/security.md says what each costs, and why no nonce comes twice under any of them.
#
# The record of which numbers may have been used decides that, so:
# - It has a store of its own (a commit writes all records of a store), and a name made
#   from the keys: other keys never find it, and it is never found for other keys.
# - Where there is no record, or none that can be read, nothing is known and the keys
#   are not used: ValueError, upon which an Account wants fresh ones by Appendix B.2. So a
#   device that lost its record, or was given keys that it had before, begins with an ID
#   Context that never was, not with number 0.
# - "b1-static" alone begins with a record, which provisioning makes; the tool takes it
#   for a secret that it has just drawn and for no other.

from binascii import hexlify

from hkdf import hkdf
from lwm2m_flash import open_record

B1 = "b1"
STATIC = "b1-static"


def policies(config):
    """{instance of /21: policy} of a configuration, where that is not "b2"."""
    return config.get("opts", {}).get("restart", {})


def record_name(master_secret, sender_id, recipient_id, master_salt=b"", aead=10, hmac=0):
    """The name of the record that belongs to these keys, and that tells nothing of them.

    hmac is there for who has the arguments of oscore.Account at hand: all numbers mean
    the same function.
    """
    info = bytes((len(sender_id),)) + sender_id + bytes((len(recipient_id),)) + recipient_id
    info = b"microlwm2m record" + info + bytes((aead & 0xFF,))
    return hexlify(hkdf(master_secret, 8, master_salt, info)).decode()


def _name(keys):
    # keys: an instance of /21 as {resource: value}
    return record_name(keys[0], keys[1], keys[2], keys.get(5) or b"", keys.get(3) or 10)


def persist(iid, name, log):
    """What oscore.Account takes as persist, for the keys of /21/iid."""
    store = open_record(iid)
    for problem in store.problems:
        # The newest commit may be lost: Keeper begins one reservation further.
        log("flash: " + problem)

    def read():
        data = store.get(name)
        if data is None:
            raise ValueError("no record")
        return data

    def write(data):
        # What is there of other keys goes with the same write.
        changes = {other: None for other in store.names()}
        changes[name] = data
        store.commit(changes)

    from oscore.record import Record

    return Record(read, write)


def remaining(config, objects):
    """The "opts" of a configuration once its objects are these: a policy stays with the
    keys that it was set for."""
    old = config["objects"].get(21, {})
    new = objects.get(21, {})
    opts = config.get("opts", {}).copy()
    restart = {}
    for iid, policy in opts.pop("restart", {}).items():
        if iid in old and iid in new and _name(old[iid]) == _name(new[iid]):
            restart[iid] = policy
    if restart:
        opts["restart"] = restart
    return opts


def check(config):
    """ValueError says what is wrong with the policies of a configuration."""
    restart = policies(config)
    if not isinstance(restart, dict):
        raise ValueError("opts: restart is no map")
    for iid, policy in restart.items():
        if policy not in (B1, STATIC):
            raise ValueError("opts: restart policy %r is not known" % policy)
        try:
            import oscore.keep  # noqa: F401
        except ImportError:
            raise ValueError("this firmware has no restart policy but b2")
        if iid not in config["objects"].get(21, {}):
            raise ValueError("opts: restart policy of keys that are missing")


def check_fresh(iid, keys, policy):
    """ValueError where keys that are to become those of /21/iid cannot have this policy."""
    if policy == STATIC and _name(keys) in open_record(iid).names():
        raise ValueError("these keys were used before: b1-static needs fresh ones")


def prepare(iid, keys, policy):
    """Before keys become those of /21/iid. A cut after this leaves the old keys as they
    were, or in need of Appendix B.2 if the new ones are the same."""
    store = open_record(iid)
    name = _name(keys)
    if policy == STATIC:
        from oscore.record import Record

        Record(None, lambda data: store.put(name, data)).commit(None, 0, None, False)
    elif name in store.names():
        store.delete(name)


def tidy(iid, keys):
    """After that: only the record of these keys stays. keys: None for none."""
    store = open_record(iid)
    if keys is None:
        return store.erase()
    name = _name(keys)
    changes = {other: None for other in store.names() if other != name}
    if changes:
        store.commit(changes, wipe=True)
