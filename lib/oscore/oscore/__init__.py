# OSCORE for MicroPython: what the package offers, imported when it is first asked for.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613

_attrs = {
    "Account": "account",
    "Context": "context",
    "Contexts": "contexts",
    "Fresh": "fresh",
    "Limits": "limits",
    "Record": "record",
    "Window": "window",
    "validate": "limits",
}


def __getattr__(name):
    module = _attrs.get(name)
    if module is None:
        raise AttributeError(name)
    value = getattr(__import__(module, globals(), None, (name,), 1), name)
    globals()[name] = value
    return value
