# Plain text: one value.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2, section 7.4.1 and appendix C

from . import texts as v

CT = 0
NAME = "TEXT"

_INTEGER = const(1)
_UNSIGNED = const(2)
_FLOAT = const(3)
_BOOLEAN = const(4)
_OPAQUE = const(5)
_TIME = const(6)
_OBJLNK = const(7)


def encode(base, nodes, buf):
    """Write the one value that base names; see formats/__init__.py."""
    typ, value = v.single(base, nodes)
    if typ == _FLOAT:
        value = v.decimal(value)
    elif typ == _BOOLEAN:
        value = "1" if value else "0"
    elif typ == _OPAQUE:
        value = v.base64(value)
    elif typ == _OBJLNK:
        value = "%d:%d" % value
    out = v.Out(buf)
    out.put(str(value))
    return out.pos


def decode(base, payload, typeof):
    """[(base, value)]; see formats/__init__.py."""
    typ = v.resource(base, typeof)
    value = v.text(payload)
    if typ in (_INTEGER, _UNSIGNED, _FLOAT, _TIME):
        if v.scan(payload, 0, False) != len(payload):
            raise v.bad()
        if typ == _FLOAT:
            value = (value,)
        else:
            try:
                value = int(value)
            except ValueError:
                raise v.bad()
    elif typ == _BOOLEAN:
        if value not in ("0", "1"):
            raise v.bad()
        value = value == "1"
    elif typ == _OPAQUE:
        value = v.unbase64(value)
    return [(base, v.coerce(typ, value))]
