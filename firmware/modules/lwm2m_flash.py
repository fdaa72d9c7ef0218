# Where the device keeps its records in flash.
# MIT license; Copyright (c) 2026 the microlwm2m authors

from flashstore import Store


def open_store():
    """Configuration and seed: records "config", "seed" and "epoch", written when they
    change."""
    return Store("/lwm2m")


def open_counters():
    """What changes at each start: record "boot". A store of its own, since a commit
    writes all records of a store, and keys should not be written at each start."""
    return Store("/lwm2m-n", 512)


def open_record(iid):
    """What an account with the keys of /21/iid keeps of its context over a restart, under
    policy "b1" (see lwm2m_restart): written once in 64 messages."""
    return Store("/lwm2m-r%d" % iid, 512)
