# LwM2M CBOR: maps nested as the data model is.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2, section 7.4.7

from cbor import CBORDecodeError, Reader
from . import value as v
from .cbor import write, writer
from .cbor_decode import read

# Found at once, and not after a search in vain among the names of this module.
len = len

CT = 11544
NAME = "LWM2M_CBOR"

_ARRAY = const(4)  # major types
_MAP = const(5)
_TAG = const(6)

_MAX_ID = const(65535)


def encode(base, nodes, buf):
    """Write nodes; see formats/__init__.py."""
    w = writer(buf)
    w.map()
    last = ()
    for path, typ, value in nodes:
        i = 0
        while i < len(last) - 1 and last[i] == path[i]:
            i += 1
        for _ in range(len(last) - i - 1):
            w.end()
        w.uint(path[i])
        for n in path[i + 1 :]:
            w.map()
            w.uint(n)
        write(w, typ, value, True)
        last = path
    for _ in last or (0,):
        w.end()
    return w.pos


def decode(base, payload, typeof):
    """See formats/__init__.py."""
    out = []
    try:
        r = Reader(payload)
        while r.major() == _TAG:
            r.tag()
        _walk(r, out, (), base, typeof)
        r.finish()
    except CBORDecodeError:
        raise v.bad()
    return out


def _walk(r, out, at, base, typeof):
    # The map of what is in the path at. The recursion ends with the data model: each key adds
    # an ID at least, and a path has no more than four.
    n = r.map()
    if not r.more(n):
        if len(at) >= max(2, len(base)):
            _add(out, at, None if len(at) == 2 else {})
        return
    while True:
        path = at + _key(r)
        both = min(len(path), len(base))
        if len(path) > 4 or path[:both] != base[:both]:
            raise v.bad()
        if r.major() == _MAP and len(path) < 4:
            _walk(r, out, path, base, typeof)
        elif len(path) < max(3, len(base)):
            raise v.bad()
        else:
            _add(out, path, v.coerce(typeof(path[0], path[2]), read(r)))
        n -= 1
        if not r.more(n):
            return


def _key(r):
    # One ID, or an array of those of several levels.
    if r.major() != _ARRAY:
        path = (r.uint(),)
    else:
        path = ()
        n = r.array()
        while r.more(n):
            n -= 1
            path += (r.uint(),)
            if len(path) > 4:
                raise v.bad()
    if not path or max(path) > _MAX_ID:
        raise v.bad()
    return path


def _add(out, path, value):
    if len(out) == v.MAX_VALUES:
        raise v.bad()
    out.append((path, value))
