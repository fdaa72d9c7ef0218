# CoAP for MicroPython: what the package offers, imported when it is first asked for.
# MIT license; Copyright (c) 2026 the microlwm2m authors

_attrs = {
    "Message": "message",
    "Error": "message",
    "FormatError": "message",
    "SecurityError": "message",
    "PlainError": "message",
    "decode": "message",
    "encode": "message",
    "Params": "params",
    "Endpoint": "endpoint",
    "Observation": "observe",
    "UDP": "transport",
    "Clock": "transport",
    "DTLS": "dtls",
    "Driver": "aio",
}


def __getattr__(name):
    module = _attrs.get(name)
    if module is not None:
        value = getattr(__import__(module, None, None, True, 1), name)
    elif name in _attrs.values():
        value = __import__(name, None, None, True, 1)
    else:
        raise AttributeError(name)
    globals()[name] = value
    return value
