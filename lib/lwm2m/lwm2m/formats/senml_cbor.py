# SenML CBOR.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8428 section 6; OMA LwM2M Core 1.2.2, section 7.4.5

from cbor import CBORDecodeError, Reader, Writer
from micropython import const
from . import senml
from . import value as v
from .cbor import read, write

CT = 112
NAME = "SENML_CBOR"

_BN = const(-2)
_N = const(0)
_VLO = const(100)

_OBJLNK = const(7)

_TEXT = const(3)  # major types
_TAG = const(6)

# The label of each type's value: v, vs, vb or vd. An Objlnk has "vlo".
_LABELS = b"\x03\x02\x02\x02\x04\x08\x02\x00\x03"


def encode(base, nodes, buf):
    """Write nodes; see formats/__init__.py."""
    w = Writer(buf)
    w.array(len(nodes))
    bn = v.name(base)
    for path, typ, value in nodes:
        n = v.name(path[len(base) :])
        w.map(1 + bool(bn) + bool(n))
        if bn:
            w.int(_BN)
            w.text(bn)
            bn = ""
        if n:
            w.int(_N)
            w.text(n)
        if typ == _OBJLNK:
            w.text("vlo")
        else:
            w.int(_LABELS[typ])
        write(w, typ, value, False)
    return w.pos


def decode(base, payload, typeof):
    """See formats/__init__.py."""
    try:
        return senml.decode(base, _records(payload), typeof)
    except CBORDecodeError:
        raise v.bad("CBOR")


def decode_paths(payload):
    """The paths that a Read- or Observe-Composite asks for."""
    try:
        return senml.decode_paths(_records(payload))
    except CBORDecodeError:
        raise v.bad("CBOR")


def _records(payload):
    r = Reader(payload)
    while r.major() == _TAG:
        r.tag()
    n = r.array()
    while r.more(n):
        n -= 1
        record = {}
        m = r.map()
        while r.more(m):
            m -= 1
            if r.major() != _TEXT:
                label = r.int()
            else:
                label = r.text()
                if label.endswith("_"):  # must be understood (RFC 8428 section 4.4)
                    raise v.bad("SenML label")
                if label == "vlo":
                    label = _VLO
            if label in record:
                raise v.bad("SenML label twice")
            record[label] = read(r)
        yield record
    r.finish()
