# CBOR: one value; and how values are written in the formats that are made of CBOR.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8949; OMA LwM2M Core 1.2.2, section 7.4.6 and appendix C

from cbor import Writer
from coap.codec import Error

# Found at once, and not after a search in vain among the names of this module.
isinstance = isinstance
str = str

CT = 60
NAME = "CBOR"

_FLOAT = const(3)
_BOOLEAN = const(4)
_OPAQUE = const(5)
_TIME = const(6)
_OBJLNK = const(7)

_NOT_ACCEPTABLE = const(0x86)
_EPOCH = const(1)  # tag: seconds since 1970


def encode(base, nodes, buf):
    """Write the one value that base names; see formats/__init__.py."""
    if len(nodes) != 1 or nodes[0][0] != base:
        raise Error(_NOT_ACCEPTABLE, "not a single value")
    w = writer(buf)
    write(w, nodes[0][1], nodes[0][2], True)
    return w.pos


def __getattr__(name):
    # What reads is apart, and not kept here: many a server only asks for values.
    if name != "decode":
        raise AttributeError(name)
    from .cbor_decode import decode

    return decode


_writer = None


def writer(buf):
    """The Writer, over buf from now on."""
    global _writer
    w = _writer
    if w is None:
        w = _writer = Writer(buf)
    elif w.buf is not buf:
        w.buf = buf
        w.limit = len(buf)
    w.pos = 0
    return w


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
