# CBOR: one value; and how values stand in the formats that are made of CBOR.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8949; OMA LwM2M Core 1.2.2, section 7.4.6 and appendix C

from cbor import CBORDecodeError, Reader, Writer
from micropython import const
from . import value as v

# Found at once, and not after a search in vain among the names of this module.
isinstance = isinstance

CT = 60
NAME = "CBOR"

_FLOAT = const(3)
_BOOLEAN = const(4)
_OPAQUE = const(5)
_TIME = const(6)
_OBJLNK = const(7)

_TAG = const(6)  # major type
_EPOCH = const(1)  # tag: seconds since 1970


def encode(base, nodes, buf):
    """Write the one value that base names; see formats/__init__.py."""
    typ, value = v.single(base, nodes)
    w = writer(buf)
    write(w, typ, value, True)
    return w.pos


def decode(base, payload, typeof):
    """[(base, value)]; see formats/__init__.py."""
    typ = v.resource(base, typeof)
    try:
        r = Reader(payload)
        value = read(r)
        r.finish()
    except CBORDecodeError:
        raise v.bad("CBOR")
    return [(base, v.coerce(typ, value))]


_writer = None


def writer(buf):
    """A Writer over buf; that of before, where it is the same."""
    global _writer
    if _writer is None or _writer.buf is not buf:
        _writer = Writer(buf)
    _writer.pos = 0
    return _writer


def write(w, typ, value, tagged):
    """Write one value. tagged: whether a Time carries the tag that says so."""
    if isinstance(value, str):
        w.text(value)
    elif typ == _FLOAT:
        # As a float even where it is whole: Leshan refuses an integer here.
        w.float(float(value))
    elif typ == _BOOLEAN:
        w.bool(value)
    elif typ == _OPAQUE:
        w.bytes(value)
    elif typ == _OBJLNK:
        w.text("%d:%d" % value)
    else:
        if typ == _TIME and tagged:
            w.tag(_EPOCH)
        w.int(value)


def read(r):
    """The next item as value.coerce() takes it. Tags that make a number of what follows are
    applied, others are passed over. Raises CBORDecodeError."""
    while r.major() == _TAG:
        pos = r.pos
        if 2 <= r.tag() <= 5:
            r.pos = pos
            return r.number()
    return r.value()
