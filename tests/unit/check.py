# What tests under MicroPython need beyond assert.
# MIT license; Copyright (c) 2026 the microlwm2m authors


class Skip(Exception):
    """Raised with a reason when the port lacks what the test is about."""


# Floats of boards have 24 bits, not 53.
SINGLE = 1.0 + 2.0**-30 == 1.0

# CBOR of doubles that need all of their bits: what is made of the same literals in single precision.
_SINGLE_CBOR = {
    "fb36a0000000000001": "fa00000001",
    "fb3fb999999999999a": "fa3dcccccd",
    "fb3ff199999999999a": "fa3f8ccccd",
    "fb47f0000000000000": "fa7f800000",
    "fb7e37e43c8800759c": "fa7f800000",
    "fbc010666666666666": "fac0833333",
}


def float_cbor(text):
    """CBOR of a float, in hex, as this port writes it."""
    return _SINGLE_CBOR.get(text, text) if SINGLE else text


def raises(exc, fn, *args, **kw):
    """Call fn, demand that it raises exc, and return the exception."""
    try:
        result = fn(*args, **kw)
    except exc as e:
        return e
    raise AssertionError("%s not raised, returned %r" % (exc.__name__, result))


def equal(got, want):
    """Compare, and show both sides when they differ."""
    if got != want:
        raise AssertionError("got %r, want %r" % (got, want))
