# LwM2M client for MicroPython.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core and Transport 1.2.2

__version__ = "0.1.0"

# Importing the package costs nothing: a name brings its module when it is used.
_attrs = {
    "Client": "client",
    "Instance": "model",
    "Model": "model",
    "R": "model",
    "W": "model",
    "RW": "model",
    "E": "model",
    "MULTI": "model",
    "MANDATORY": "model",
    "STRING": "types",
    "INTEGER": "types",
    "UNSIGNED": "types",
    "FLOAT": "types",
    "BOOLEAN": "types",
    "OPAQUE": "types",
    "TIME": "types",
    "OBJLNK": "types",
    "CORELNK": "types",
}


def __getattr__(attr):
    module = _attrs.get(attr)
    if module is None:
        raise AttributeError(attr)
    value = getattr(__import__(module, globals(), None, (attr,), 1), attr)
    globals()[attr] = value
    return value
