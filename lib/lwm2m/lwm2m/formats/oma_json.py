# JSON of LwM2M 1.0, which servers of that age write by default.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M 1.0.2, section 6.4.4

from . import senml_json
from . import texts as v

CT = 11543
NAME = "JSON"

_E = const(101)
_BN = const(-2)
_OPAQUE = const(5)
_OBJLNK = const(7)


class _Reader(senml_json.Reader):
    LABELS = (("bn", _BN), ("e", _E), ("n", 0), ("v", 2), ("sv", 3), ("bv", 4), ("ov", 100))

    inside = False

    def value(self, c):
        if c != 91 or self.inside:
            return super().value(c)
        self.inside = True
        return [self.record(c) for c in self.members(93)]


def encode(base, nodes, buf):
    """Write nodes; see formats/__init__.py."""
    out = v.Out(buf)
    out.put('{"bn":"%s","e":[' % v.name(base))
    senml_json.write(out, base, nodes, "", _text)
    out.put("]}")
    return out.pos


def _text(typ, value):
    if typ == _OPAQUE:
        return "sv", '"%s"' % v.base64(value)
    label, value = senml_json.text(typ, value)
    if typ == _OBJLNK:
        label = "ov"
    elif len(label) > 1:
        label = label[1] + label[0]
    return label, value


def decode(base, payload, typeof):
    """See formats/__init__.py."""
    reader = _Reader(payload)
    top = reader.record(reader.token())
    reader.expect(-1)
    records = top.get(_E)
    if type(records) is not list:
        raise v.bad()
    for record in records:
        record[_BN] = top.get(_BN, "")

    # An Opaque is base64 in "sv", which a String is, too: only its type tells.
    def lenient(oid, rid):
        typ = typeof(oid, rid)
        return None if typ == _OPAQUE else typ

    out = v.decode_records(base, records, lenient)
    for i, (path, value) in enumerate(out):
        if typeof(path[0], path[2]) == _OPAQUE:
            if type(value) is not str:
                raise v.bad()
            out[i] = (path, v.unbase64(value))
    return out
