# Writes any object as CBOR: what dumps() and Writer.value() do.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8949 section 3

import cbor

from .errors import CBOREncodeError

try:
    from .items import CBORSimpleValue, CBORTag
except ImportError:
    CBORSimpleValue = CBORTag = ()


def write(w, obj, depth):
    """Write obj, which lies depth arrays, maps and tags deep, with the Writer w. Raises
    CBOREncodeError."""
    if obj is None:
        w.null()
    elif obj is True or obj is False:
        w.bool(obj)
    elif isinstance(obj, int):
        n = obj if obj >= 0 else -1 - obj
        if n > 0xFFFFFFFFFFFFFFFF:
            w.tag(2 if obj >= 0 else 3)
            size = 9
            while n >> 8 * size:
                size += 1
            w.bytes(n.to_bytes(size, "big"))
        else:
            w.int(obj)
    elif isinstance(obj, float):
        w.float(obj)
    elif isinstance(obj, str):
        w.text(obj)
    elif isinstance(obj, (bytes, bytearray, memoryview)):
        w.bytes(obj)
    elif isinstance(obj, CBORSimpleValue):
        w.simple(obj.value)
    else:
        if depth >= cbor.MAX_DEPTH:
            raise CBOREncodeError("deeper than MAX_DEPTH")
        depth += 1
        if isinstance(obj, (list, tuple)):
            w.array(len(obj))
            for item in obj:
                write(w, item, depth)
        elif isinstance(obj, dict):
            w.map(len(obj))
            for key in obj:
                write(w, key, depth)
                write(w, obj[key], depth)
        elif isinstance(obj, CBORTag):
            w.tag(obj.tag)
            write(w, obj.value, depth)
        else:
            raise CBOREncodeError("no encoding for " + type(obj).__name__)
