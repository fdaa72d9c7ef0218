# LwM2M client for MicroPython.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core and Transport 1.2.2

__version__ = "0.1.0"

# Importing the package costs nothing: a name brings its module when it is used.
_NAMES = (
    ("Client", "client"),
    ("Instance", "model"),
    ("Model", "model"),
    ("R", "types"),
    ("W", "types"),
    ("RW", "types"),
    ("E", "types"),
    ("MULTI", "types"),
    ("MANDATORY", "types"),
    ("STRING", "types"),
    ("INTEGER", "types"),
    ("UNSIGNED", "types"),
    ("FLOAT", "types"),
    ("BOOLEAN", "types"),
    ("OPAQUE", "types"),
    ("TIME", "types"),
    ("OBJLNK", "types"),
    ("CORELNK", "types"),
)


def __getattr__(name):
    for attr, module in _NAMES:
        if name == attr:
            value = getattr(__import__(module, globals(), None, (name,), 1), name)
            globals()[name] = value
            return value
    raise AttributeError(name)
