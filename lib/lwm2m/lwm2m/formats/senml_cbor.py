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
_LABELS = (b"\x03", b"\x02", b"\x02", b"\x02", b"\x04", b"\x08", b"\x02", b"cvlo", b"\x03")


def encode(base, nodes, buf):
    """Write nodes; see formats/__init__.py."""
    w = Writer(buf)
    w.array(len(nodes))
    depth = len(base)
    first = depth
    for path, typ, value in nodes:
        named = len(path) > depth
        if first:
            # bn stands in the first record only
            first = 0
            w.raw(b"\xa3\x21" if named else b"\xa2\x21")
            w.text(v.name(base))
            if named:
                w.raw(b"\x00")
        else:
            w.raw(b"\xa2\x00" if named else b"\xa1")
        if named:
            w.text(v.name(path[depth:]))
        w.raw(_LABELS[typ])
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
