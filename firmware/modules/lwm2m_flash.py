# Where the device keeps its records in flash.
# MIT license; Copyright (c) 2026 the microlwm2m authors

from flashstore import Store


def open_store():
    """Configuration and seed: records "config" and "seed", written when they change."""
    return Store("/lwm2m")


def open_counters():
    """What changes at each start: record "boot". A store of its own, since a commit
    writes all records of a store, and keys should not be written at each start."""
    return Store("/lwm2m-n", 512)
