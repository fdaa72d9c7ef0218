# OSCORE for MicroPython: what the package offers, imported when it is first asked for.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613

# Each name, and the module that has it. A tuple stays in flash.
_NAMES = (
    ("Account", "account"),
    ("Context", "context"),
    ("Contexts", "contexts"),
    ("Fresh", "fresh"),
    ("Limits", "limits"),
    ("Record", "record"),
    ("Window", "window"),
    ("validate", "limits"),
)


def __getattr__(name):
    for attr, module in _NAMES:
        if name == attr:
            value = getattr(__import__(module, globals(), None, (name,), 1), name)
            globals()[name] = value
            return value
    raise AttributeError(name)
