# Factory bootstrap: a configuration from outside, checked against the tables.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2 section 6.1.3

from coap.codec import Error
from .formats.value import coerce
from .model import is_id

_E = const(4)
_MULTI = const(8)
_OBJLNK = const(7)


def instances(model, objects):
    """(object ID, instance ID, {resource ID: value}) of all instances of a configuration,
    the values of the types that the model's tables say; what a table does not know is left out.

    objects: {object ID: {instance ID: {resource ID: value}}}, of any origin. Raises
    ValueError that names what cannot be.
    """
    for oid in objects:
        if not is_id(oid) or not isinstance(objects[oid], dict):
            raise ValueError("/%r: no map of instances" % (oid,))
        for iid in objects[oid]:
            where = "/%d/%r: " % (oid, iid)
            if not is_id(iid):
                raise ValueError(where + "no instance ID")
            if not isinstance(objects[oid][iid], dict):
                raise ValueError(where + "no map of resources")
            if oid not in model.objects:
                raise ValueError(where + "no such object in this firmware")
            values = {}
            for row in model.objects[oid].cls.TABLE:
                if row[0] in objects[oid][iid] and not row[1] & _E:
                    try:
                        values[row[0]] = _value(row, objects[oid][iid][row[0]])
                    except (Error, TypeError):
                        raise ValueError(where + row[3] + ": a value of the wrong type")
            yield oid, iid, values


def _value(row, value):
    if not row[1] & _MULTI:
        return _single(row[2], value)
    values = {}
    for riid in value:
        if not is_id(riid):
            raise TypeError
        values[riid] = _single(row[2], value[riid])
    return values


def _single(kind, value):
    if kind == _OBJLNK and isinstance(value, (list, tuple)):
        if len(value) != 2 or not is_id(value[0], 65535) or not is_id(value[1], 65535):
            raise TypeError
        return tuple(value)
    return coerce(kind, value)
