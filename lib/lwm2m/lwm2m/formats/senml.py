# What SenML JSON and SenML CBOR share: names and records.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8428 (SenML); OMA LwM2M Core 1.2.2, sections 7.4.4 and 7.4.5

from . import value as v

# Labels by their CBOR numbers (RFC 8428 section 6). "vlo" is LwM2M's own and has none.
_BN = const(-2)
_BV = const(-5)
_BS = const(-6)
_N = const(0)
_V = const(2)
_VS = const(3)
_VB = const(4)
_S = const(5)
_VD = const(8)
_VLO = const(100)

_OBJLNK = const(7)


def _names(records):
    # (record, path). A base name holds until the next one, and counts wherever in its
    # record it stands: Leshan writes it last.
    bn = ""
    n = 0
    for record in records:
        n += 1
        if n > v.MAX_VALUES:
            raise v.bad("too many records")
        bn = record.get(_BN, bn)
        name = record.get(_N, "")
        if type(bn) is not str or type(name) is not str:
            raise v.bad("name")
        yield record, v.path(bn + name)


def decode(base, records, typeof):
    """List of (path, value). records: dicts of labels (numbers as in SenML CBOR, 100 for
    "vlo") to values as value.coerce() takes them. Times and units are left alone."""
    out = []
    for record, path in _names(records):
        if len(path) < 3 or path[: len(base)] != base:
            raise v.bad("path")
        typ = typeof(path[0], path[2])
        label = None
        for key in record:
            if key in (_V, _VS, _VB, _VD, _VLO):
                if label is not None:
                    raise v.bad("two values")
                label = key
            elif key in (_BV, _BS, _S):
                # Something to add up: not in LwM2M, and not to be overlooked.
                raise v.bad("SenML label")
        value = record.get(label)
        kind = type(value)
        if label == _V:
            ok = kind in (int, float, tuple)
        elif label == _VB:
            ok = kind is bool
        elif label == _VD:
            ok = kind is bytes
        else:
            ok = kind is str and (label == _VS or typ in (None, _OBJLNK))
        if not ok:
            raise v.bad("SenML value")
        out.append((path, v.coerce(typ, value)))
    return out


def decode_paths(records):
    """List of the paths that records name, whatever their values."""
    return [path for _, path in _names(records)]
