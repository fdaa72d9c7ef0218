# What the content formats share: types of values, paths, and the records of SenML.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2, sections 7.4.4 and 7.4.5, and appendix C (data types); RFC 8428 (SenML)

from coap.codec import Error

_BAD_REQUEST = const(0x80)

# Found at once, and not after a search in vain among the names of this module.
len = len

_INTEGER = const(1)
_UNSIGNED = const(2)
_FLOAT = const(3)
_BOOLEAN = const(4)
_OPAQUE = const(5)
_TIME = const(6)
_OBJLNK = const(7)

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

_MAX_ID = const(65535)

# Bound: values in one payload.
MAX_VALUES = 128


def bad():
    """The Error that a malformed payload becomes."""
    return Error(_BAD_REQUEST)


def coerce(typ, value):
    """A decoded value as the type of its resource has it.

    typ: type, None leaves the value alone. value: str, bytes, bool, int, float, or a tuple of
    one str: a decimal number that is not written as an integer.
    Raises Error(BAD_REQUEST) for a value of another type or out of its range.
    """
    if typ is None:
        return value
    kind = type(value)
    if typ == _FLOAT:
        if kind is tuple:
            value = float(value[0])
            if value - value != 0:  # infinite: beyond what this port's floats hold
                raise bad()
            return value
        if kind is int:
            return float(value)
        if kind is float:
            return value
    elif typ in (_INTEGER, _UNSIGNED, _TIME):
        if kind is tuple:
            from .texts import integral

            value = integral(value[0])
            kind = int
        if kind is int:
            low = 0 if typ == _UNSIGNED else -(1 << 63)
            if low <= value < low + (1 << 64):
                return value
            raise bad()
    elif typ == _BOOLEAN:
        if kind is bool:
            return value
    elif typ == _OPAQUE:
        if kind is bytes:
            return value
    elif kind is str:
        if typ == _OBJLNK:
            return objlnk(value)
        return _checked(value)
    raise bad()


def _checked(text):
    # MicroPython's decoder lets overlong forms and surrogates through (RFC 3629 section 3).
    if len(text) != len(text.encode()):
        for c in text:
            n = ord(c)
            if n >> 11 == 27 or n > 0x10FFFF or c != chr(n):
                raise bad()
    return text


def objlnk(value):
    """(object ID, instance ID) of a link written as "3:1"; raises Error(BAD_REQUEST)."""
    oid, _, iid = value.partition(":")
    return number(oid), number(iid)


def number(value):
    """An ID in text; raises Error(BAD_REQUEST)."""
    if value.isdigit() and len(value) < 6:
        value = int(value)
        if value <= _MAX_ID:
            return value
    raise bad()


def path(value):
    """The path that a text such as "/3/0" names, "/" being (). Raises Error(BAD_REQUEST)."""
    if value == "/":
        return ()
    parts = value.split("/")
    if parts[0] or not 2 <= len(parts) <= 5:
        raise bad()
    return tuple([number(s) for s in parts[1:]])


def resource(base, typeof):
    """Type of the one value that base names, None where it is unknown.

    Raises Error(BAD_REQUEST) where base is not one resource or resource instance.
    """
    if len(base) < 3:
        raise bad()
    return typeof(base[0], base[2])


def names(records):
    """(record, path) of each. A base name holds until the next one, and counts wherever in
    its record it stands: Leshan writes it last."""
    bn = ""
    n = 0
    for record in records:
        n += 1
        if n > MAX_VALUES:
            raise bad()
        bn = record.get(_BN, bn)
        name = record.get(_N, "")
        if type(bn) is not str or type(name) is not str:
            raise bad()
        yield record, path(bn + name)


def decode_records(base, records, typeof):
    """List of (path, value). records: dicts of labels (numbers as in SenML CBOR, 100 for
    "vlo") to values as value.coerce() takes them. Times and units are left alone."""
    out = []
    for record, path in names(records):
        if len(path) < 3 or path[: len(base)] != base:
            raise bad()
        typ = typeof(path[0], path[2])
        label = None
        for key in record:
            if key in (_V, _VS, _VB, _VD, _VLO):
                if label is not None:
                    raise bad()
                label = key
            elif key in (_BV, _BS, _S):
                # Something to add up: not in LwM2M, and not to be overlooked.
                raise bad()
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
            raise bad()
        out.append((path, coerce(typ, value)))
    return out
