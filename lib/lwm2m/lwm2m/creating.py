# Create and Delete: instances that servers, and a bootstrap, make and remove; and the copy of
# the configuration that a bootstrap takes first.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2 sections 6.3.7 and 6.3.8; Transport 1.2.2 section 6.4.4
#
# A firmware that leaves this out answers them 4.05.

from coap.codec import Message, Error
from .writing import MAX_INSTANCES

_DELETE = const(4)
_CREATED = const(0x41)
_DELETED = const(0x42)
_BAD_REQUEST = const(0x80)
_METHOD_NOT_ALLOWED = const(0x85)
_INTERNAL = const(0xA0)
_LOCATION_PATH = const(8)
_CONTENT_FORMAT = const(12)

# Of a row of a table (model.py).
_E = const(4)
_MANDATORY = const(16)

_MAX_ID = const(65534)


def serve(dispatcher, request, path, account):
    """The answer to a DELETE, and to a POST to an object."""
    model = dispatcher.model
    if request.code == _DELETE:
        delete(model, path, account)
        return Message(_DELETED)
    model.object(path[0])
    records = []
    if request.opt(_CONTENT_FORMAT) is not None and len(request.payload):
        records = dispatcher.decode(request, path)
    wanted = None
    for where, _ in records:
        if where[1] is not None:
            if wanted not in (None, where[1]):
                raise Error(_BAD_REQUEST)
            wanted = where[1]
    iid = create(model, path[0], wanted, records, account)
    msg = Message(_CREATED)
    if wanted is None:  # Location-Path only where the server did not choose the ID
        msg.add(_LOCATION_PATH, str(path[0]))
        msg.add(_LOCATION_PATH, str(iid))
    return msg


def create(model, oid, iid, records, origin=None, anyway=False):
    """Create an instance with the values of records; its ID is the return value.

    iid: None lets the device choose. anyway: a bootstrap creates. Errors: 4.04 unknown
    object, 4.05 not to be created, 4.00 taken ID or bad values, 5.00 full.
    """
    instances = model.object(oid)
    cls = model.classes[oid]
    if anyway:
        allowed = not instances or getattr(cls, "MULTIPLE", False)
    else:
        allowed = getattr(cls, "CREATE", False)
    if not allowed:
        raise Error(_METHOD_NOT_ALLOWED)
    if len(instances) >= MAX_INSTANCES:
        raise Error(_INTERNAL)
    if iid is None:
        iid = model.free_iid(instances)
    elif iid in instances or not 0 <= iid <= _MAX_ID:
        raise Error(_BAD_REQUEST)
    instance = cls()
    instance.iid = iid
    model.apply(model.plan(instance, (oid, iid), records, False, anyway), origin)
    for row in instance.TABLE:
        if row[1] & _MANDATORY and not row[1] & _E and model.value(instance, row) is None:
            raise Error(_BAD_REQUEST)
    model.add(instance, iid)
    model.tell((oid, iid), origin)
    return iid


def delete(model, path, origin=None, anyway=False):
    """Delete an instance. Errors: 4.04, 4.05 when it must stay."""
    if len(path) != 2:
        raise Error(_METHOD_NOT_ALLOWED)
    model.instance(path[0], path[1])
    if not (anyway or getattr(model.classes[path[0]], "CREATE", False)):
        raise Error(_METHOD_NOT_ALLOWED)
    model.remove(path[0], path[1])
    model.tell(path, origin)


def dump(model, oids):
    """Values of all instances of these objects: {oid: {iid: {rid: value}}}."""
    out = {}
    for oid in oids:
        for instance in model.instances(oid):
            values = {}
            for row in instance.TABLE:
                value = None if row[1] & _E else getattr(instance, row[3])
                if value is not None:
                    values[row[0]] = value
            out.setdefault(oid, {})[instance.iid] = values
    return out
