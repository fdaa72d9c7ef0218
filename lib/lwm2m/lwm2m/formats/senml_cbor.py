# SenML CBOR.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8428 section 6; OMA LwM2M Core 1.2.2, section 7.4.5

from .cbor import write, writer

# Found at once, and not after a search in vain among the names of this module.
len = len

CT = 112
NAME = "SENML_CBOR"

_OBJLNK = const(7)
# Bytes that hold the longest path and what is around it.
_ENOUGH = const(32)

# As value.name(), in bytes, which are not looked for among the interned strings.
_NAMES = const((b"", b"/%d", b"/%d/%d", b"/%d/%d/%d", b"/%d/%d/%d/%d"))

# Those of a value, behind an array of one map of two; the fourth byte is their head.
_FORMS = const((b"\x81\xa2\x21?/%d/%d/%d", b"\x81\xa2\x21?/%d/%d/%d/%d"))

# The label of each type's value: v, vs, vb or vd. An Objlnk has "vlo".
_LABELS = const((b"\x03", b"\x02", b"\x02", b"\x02", b"\x04", b"\x08", b"\x02", b"cvlo", b"\x03"))


def encode(base, nodes, buf):
    """Write nodes; see formats/__init__.py."""
    buf = writer(buf)
    i = len(nodes)
    if i == 1 and nodes[0][0] == base and buf.limit >= _ENOUGH:
        # As _record(), for most.
        base = _FORMS[len(base) - 3] % base
        i = len(base)
        nodes = nodes[0]
        if i < 28 and nodes[1] != _OBJLNK:
            buf.buf[0:i] = base
            buf.buf[3] = 0x5C + i
            buf.buf[i] = _LABELS[nodes[1]][0]
            buf.pos = i + 1
            write(buf, nodes[1], nodes[2], False)
            return buf.pos
        base = nodes[0]
        nodes = [nodes]
        i = 1
    buf.array(i)
    i = 0
    while i < len(nodes):
        _record(buf, base, nodes[i], i)
        i += 1
    return buf.pos


def _record(w, base, node, i):
    name = node[0][len(base) :]
    if i or not base:
        w.raw(b"\xa2\x00" if name else b"\xa1")
    else:
        w.raw(b"\xa3\x21" if name else b"\xa2\x21")
        w.text(_NAMES[len(base)] % base)
        if name:
            w.raw(b"\x00")
    if name:
        w.text(_NAMES[len(name)] % name)
    w.raw(_LABELS[node[1]])
    write(w, node[1], node[2], False)


def __getattr__(name):
    # What reads is apart, and not kept here: many a server only asks for values.
    if name == "decode":
        from .cbor_decode import decode_senml as value
    elif name == "decode_paths":
        from .paths import decode_paths as value
    else:
        raise AttributeError(name)
    return value
