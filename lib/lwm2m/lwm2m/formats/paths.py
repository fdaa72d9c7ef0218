# The paths that a composite operation asks for, in the formats that are SenML.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8428; OMA LwM2M Core 1.2.2, section 6.3.9

from cbor import CBORDecodeError
from .value import bad, names


def paths_of(records):
    """List of the paths that records name, whatever their values."""
    return [path for _, path in names(records)]


def decode_paths(payload):
    """The same of a payload of SenML CBOR."""
    from .cbor_decode import records

    try:
        return paths_of(records(payload))
    except CBORDecodeError:
        raise bad()
