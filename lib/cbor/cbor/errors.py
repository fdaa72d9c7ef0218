# What is raised for bytes that are no CBOR, and for objects that have none.
# MIT license; Copyright (c) 2026 the microlwm2m authors


class CBORDecodeError(ValueError):
    """The input is not well-formed, not of the type asked for, or beyond a bound."""


class CBOREncodeError(ValueError):
    """The object has no encoding, or is nested deeper than MAX_DEPTH."""
