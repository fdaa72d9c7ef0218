# What tests under MicroPython need beyond assert.
# MIT license; Copyright (c) 2026 the microlwm2m authors


class Skip(Exception):
    """Raised with a reason when the port lacks what the test is about."""


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
