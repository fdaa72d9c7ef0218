# Composite operations: Read, Observe and Write of several paths with one request.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2 sections 6.3.9 to 6.3.11
#
# A firmware that leaves this out answers them 4.05.

from coap.codec import Message, Error
from .formats import get
from .server import HIDDEN

_FETCH = const(5)
_CHANGED = const(0x44)
_BAD_REQUEST = const(0x80)
_UNAUTHORIZED = const(0x81)
_UNSUPPORTED_FORMAT = const(0x8F)
_CONTENT_FORMAT = const(12)
_ACCEPT = const(17)


def serve(dispatcher, request, account, responder, now):
    """The answer to a FETCH or iPATCH without a path."""
    fmt = get(request.uint(_CONTENT_FORMAT, 0))
    if not hasattr(fmt, "decode_paths"):
        raise Error(_UNSUPPORTED_FORMAT)
    if request.code != _FETCH:
        return _write(dispatcher.model, fmt, request, account)
    paths = fmt.decode_paths(request.payload)
    response = read(dispatcher, paths, request.uint(_ACCEPT))
    dispatcher.observed(request, (), paths, account, responder, now)
    return response


def read(dispatcher, paths, accept):
    """2.05 with what a Read-Composite of paths gives: what is not there, or not to be
    read, is left out."""
    model = dispatcher.model
    nodes = []
    for path in paths:
        for oid in path[:1] or sorted(model.objects):
            if oid not in HIDDEN:
                try:
                    nodes += model.read(path or (oid,))
                except Error:
                    pass
    return dispatcher.encoded((), nodes, accept)


def _write(model, fmt, request, account):
    # Atomic over all objects that it names.
    targets = {}
    for record in fmt.decode((), request.payload, model.typeof):
        path = record[0]
        if path[0] in HIDDEN:
            raise Error(_UNAUTHORIZED)
        model.row(path)
        targets.setdefault(path[:2], []).append(record)
    changes = []
    for path in targets:
        changes += model.plan(model.instance(path[0], path[1]), path, targets[path], False)
    if not changes:
        raise Error(_BAD_REQUEST)
    model.apply(changes, account)
    return Message(_CHANGED)
