# Reads CBOR: one value, SenML, and values in the formats that are made of CBOR.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8949; RFC 8428 section 6; OMA LwM2M Core 1.2.2, sections 7.4.5 and 7.4.6

from cbor import CBORDecodeError, Reader
from . import value as v

_VLO = const(100)

_TEXT = const(3)  # major types
_TAG = const(6)


def read(r):
    """The next item as value.coerce() takes it. Tags that make a number of what follows are
    applied, others are passed over. Raises CBORDecodeError."""
    while r.major() == _TAG:
        pos = r.pos
        if 2 <= r.tag() <= 5:
            r.pos = pos
            break
    return r.value()


def decode(base, payload, typeof):
    """[(base, value)]; see formats/__init__.py."""
    typ = v.resource(base, typeof)
    try:
        r = Reader(payload)
        value = read(r)
        r.finish()
    except CBORDecodeError:
        raise v.bad()
    return [(base, v.coerce(typ, value))]


def decode_senml(base, payload, typeof):
    """See formats/__init__.py."""
    try:
        return v.decode_records(base, records(payload), typeof)
    except CBORDecodeError:
        raise v.bad()


def records(payload):
    """Iterate over the records of a SenML payload. Raises CBORDecodeError."""
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
                    raise v.bad()
                if label == "vlo":
                    label = _VLO
            if label in record:
                raise v.bad()
            record[label] = read(r)
        yield record
    r.finish()
