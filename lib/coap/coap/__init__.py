# CoAP for MicroPython: what the package offers, imported when it is first asked for.
# MIT license; Copyright (c) 2026 the microlwm2m authors

# Each name, and the module that has it. A tuple stays in flash.
_NAMES = const(
    (
        ("Message", "message"),
        ("Error", "message"),
        ("FormatError", "message"),
        ("SecurityError", "message"),
        ("PlainError", "message"),
        ("decode", "message"),
        ("encode", "message"),
        ("Params", "params"),
        ("Endpoint", "endpoint"),
        ("Observation", "seldom"),
        ("Incomplete", "block"),
        ("UDP", "transport"),
        ("Clock", "transport"),
        ("DTLS", "dtls"),
        ("Driver", "aio"),
    )
)


def __getattr__(name):
    for attr, module in _NAMES:
        if name == attr or name == module:
            value = __import__(module, None, None, True, 1)
            if name == attr:
                value = getattr(value, name)
            globals()[name] = value
            return value
    raise AttributeError(name)
