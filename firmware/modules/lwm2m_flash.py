# Where the device keeps its records: one place for the program and for provisioning.
# MIT license; Copyright (c) 2026 the microlwm2m authors


def open_store():
    """The flashstore.Store of "config", "seed" and "boot"; OSError when there is no flash."""
    from flashstore import Store

    return Store("/lwm2m")
