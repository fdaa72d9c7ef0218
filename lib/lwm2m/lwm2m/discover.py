# Discover: what is there, and the attributes that govern how it is reported.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2 section 6.3.2
#
# A firmware that leaves this out answers it 4.05.

from coap.codec import Message, Error
from .attributes import attached, present, queries_of
from .formats.link import attributes
from .model import find
from .writing import version_of

_CONTENT = const(0x45)
_BAD_REQUEST = const(0x80)
_CONTENT_FORMAT = const(12)
_LINK_FORMAT = const(40)

# Of a row of a table (model.py).
_E = const(4)
_MULTI = const(8)

# What may say how many levels are gone down; without it one, and from an object two.
_DEPTHS = ("depth=0", "depth=1", "depth=2", "depth=3")


def serve(dispatcher, request, path, account):
    """The answer to a GET that accepts link format."""
    depth = None
    for query in queries_of(request):
        if query.startswith("depth="):
            if query not in _DEPTHS:
                raise Error(_BAD_REQUEST)
            depth = int(query[6:])
    found = links(dispatcher.model, path, depth, account.version)
    if account.reports:
        found = [(p, text + attributes(attached(account.reports, p))) for p, text in found]
    msg = Message(_CONTENT)
    msg.add(_CONTENT_FORMAT, _LINK_FORMAT)
    msg.payload = dispatcher.links_payload(found)
    return msg


def links(model, path, depth=None, lwm2m="1.2"):
    """Paths and link attributes from path on, depth levels down: a list of (path, text), in
    order. lwm2m: the version that the server speaks. Error 4.04 where there is no such path."""
    present(model, path)
    if depth is None:
        depth = 2 if len(path) == 1 else 1
    if len(path) == 4:
        return [(path, "")]
    if len(path) > 1:
        out = []
        instance = model.instance(path[0], path[1])
        if len(path) == 2:
            _instance(model, out, instance, depth)
        else:
            _resource(model, out, instance, find(instance.TABLE, path[2]), depth)
        return out
    out = [(path, version_of(model.classes[path[0]], lwm2m))]
    if depth > 0:
        for instance in model.instances(path[0]):
            _instance(model, out, instance, depth - 1)
    return out


def _instance(model, out, instance, depth):
    out.append(((instance.OID, instance.iid), ""))
    if depth > 0:
        for row in instance.TABLE:
            _resource(model, out, instance, row, depth - 1)


def _resource(model, out, instance, row, depth):
    path = (instance.OID, instance.iid, row[0])
    if row[1] & _E:
        if callable(getattr(instance, row[3], None)):
            out.append((path, ""))
        return
    value = model.value(instance, row)
    if value is None:
        return
    if not row[1] & _MULTI:
        out.append((path, ""))
        return
    out.append((path, ";dim=%d" % len(value)))
    if depth > 0:
        for riid in sorted(value):
            out.append((path + (riid,), ""))
