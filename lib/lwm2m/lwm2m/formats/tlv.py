# TLV: binary, nested as the data model is; the default of LwM2M 1.0.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2, section 7.4.3 and appendix C

from struct import pack, unpack
from . import value as v
from .texts import text

CT = 11542
NAME = "TLV"

_STRING = const(0)
_UNSIGNED = const(2)
_FLOAT = const(3)
_BOOLEAN = const(4)
_OPAQUE = const(5)
_OBJLNK = const(7)
_CORELNK = const(8)

# Kinds of identifiers, bits 7-6 of the first byte.
_INSTANCE = const(0)
_RESOURCE_INSTANCE = const(1)
_MULTIPLE = const(2)
_RESOURCE = const(3)

# IDs in the path of what each kind stands in.
_LEVEL = (1, 3, 2, 2)


def encode(base, nodes, buf):
    """Write nodes as far as they lie below base; see formats/__init__.py."""
    # Back to front: the length that a header needs is known once its body is there.
    view = memoryview(buf)
    pos = end_instance = end_resource = len(view)
    depth = len(base)
    i = len(nodes)
    while i:
        i -= 1
        path, typ, value = nodes[i]
        before = nodes[i - 1][0] if i else ()
        data = _bytes(typ, value)
        end = pos
        pos = _put(view, pos, data)
        several = len(path) == 4
        kind = _RESOURCE_INSTANCE if several else _RESOURCE
        pos = _put(view, pos, _header(kind, path[-1], end - pos))
        if before[:3] != path[:3]:
            if several and depth < 4:
                pos = _put(view, pos, _header(_MULTIPLE, path[2], end_resource - pos))
            end_resource = pos
            if before[:2] != path[:2]:
                if depth < 2:
                    pos = _put(view, pos, _header(_INSTANCE, path[1], end_instance - pos))
                end_instance = end_resource = pos
    n = len(view) - pos
    view[:n] = view[pos:]
    return n


def _put(view, pos, data):
    n = len(data)
    if n > pos:
        raise ValueError("buf")
    view[pos - n : pos] = data
    return pos - n


def _header(kind, ident, length):
    n = 1 if ident < 0x100 else 2
    b = kind << 6 | n - 1 << 5
    if length < 8:
        return bytes((b | length,)) + ident.to_bytes(n, "big")
    k = 1 if length < 0x100 else 2 if length < 0x10000 else 3
    return bytes((b | k << 3,)) + ident.to_bytes(n, "big") + length.to_bytes(k, "big")


def _bytes(typ, value):
    if typ in (_STRING, _CORELNK):
        return value.encode()
    if typ == _OPAQUE:
        return value
    if typ == _FLOAT:
        data = pack(">f", value)
        return data if unpack(">f", data)[0] == value or value != value else pack(">d", value)
    if typ == _OBJLNK:
        return pack(">HH", value[0], value[1])
    # Integers of all kinds, unsigned ones too, as signed: a leading bit would be read as one.
    value = int(value)
    n = 1
    while not -(1 << 8 * n - 1) <= value < 1 << 8 * n - 1:
        n <<= 1
    if n > 8:
        # Only an unsigned one from 2^63 on, which has no signed form.
        n = 8
        if value < 0 or value >> 64:
            raise ValueError("value")
    return (value & (1 << 8 * n) - 1).to_bytes(n, "big")


def decode(base, payload, typeof):
    """See formats/__init__.py. The instance ID is None where resources are directly in an
    object: Create without an instance ID."""
    if not base:
        raise v.bad()
    out = []
    _walk(out, base, None, memoryview(payload), typeof)
    return out


def _walk(out, base, inside, data, typeof):
    # inside: path of what data stands in; None on top, where each kind says by itself.
    # The recursion ends with the data model: nothing can be in a resource instance, and no
    # kind in itself.
    depth = len(base)
    pos = 0
    size = len(data)
    while pos < size:
        b = data[pos]
        kind = b >> 6
        head = pos + (3 if b & 0x20 else 2)
        n = b >> 3 & 3
        if head + n > size:
            raise v.bad()
        ident = int.from_bytes(data[pos + 1 : head], "big")
        pos = head + n
        n = int.from_bytes(data[head:pos], "big") if n else b & 7
        body = data[pos : pos + n]
        pos += n
        if pos > size:
            raise v.bad()
        level = _LEVEL[kind]
        path = base[:level] if inside is None else inside
        if inside is None and level == 2 and depth == 1:
            path += (None,)
        if len(path) != level:
            raise v.bad()
        path += (ident,)
        both = min(depth, level + 1)
        if path[:both] != base[:both]:
            raise v.bad()
        if n and (kind == _INSTANCE or kind == _MULTIPLE):
            _walk(out, base, path, body, typeof)
            continue
        if level + 1 < depth or len(out) == v.MAX_VALUES:
            raise v.bad()
        if kind == _INSTANCE:
            value = None
        elif kind == _MULTIPLE:
            value = {}
        else:
            value = _value(typeof(path[0], path[2]), body)
        out.append((path, value))


def _value(typ, data):
    n = len(data)
    if typ in (_STRING, _CORELNK):
        value = text(data)
    elif typ is None or typ == _OPAQUE:
        value = bytes(data)
    elif typ == _OBJLNK and n == 4:
        return unpack(">HH", data)
    elif typ == _FLOAT:
        if n != 4 and n != 8:
            raise v.bad()
        return unpack(">f" if n == 4 else ">d", data)[0]
    elif not 1 <= n <= 8:
        raise v.bad()
    else:
        value = int.from_bytes(data, "big")
        if data[0] & 0x80:
            value -= 1 << 8 * n
            if typ == _UNSIGNED:  # Leshan sends 2^64 - 1 as the one byte ff
                value += 1 << 64
        if typ == _BOOLEAN and n == 1 and value >> 1 == 0:
            return value == 1
    return v.coerce(typ, value)
