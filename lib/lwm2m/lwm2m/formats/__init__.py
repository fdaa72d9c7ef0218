# Content formats by their CoAP number; a module is imported when it is first used.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2, section 7.4
#
# A format is a module with
#   CT, NAME; OPTION, (number, value) of its Content-Format, is set here
#   encode(base, nodes, buf): bytes written to buf. base: path of the request, a tuple of
#     0 to 4 IDs; nodes: list of (path of 3 or 4 IDs, type, value), ascending, inside base.
#     ValueError where buf is too small, Error(NOT_ACCEPTABLE) where the format has no form
#     for these values.
#   decode(base, payload, typeof): list of (path, value), path of 3 or 4 IDs, or of 2 with
#     the value None for an instance without resources; {} is a multiple resource without
#     instances; the instance ID is None where the payload leaves it to the client (Create).
#     typeof(oid, rid): type, or None where the resource is unknown: its value is then
#     whatever the format makes of it, to be ignored. Error(BAD_REQUEST) where payload is
#     malformed, a value of another type, or a path outside base.
#   decode_paths(payload): list of paths of 0 to 4 IDs (SenML only: composite operations)


_CONTENT_FORMAT = const(12)

# Number and module of each, ascending.
NUMBERS = (0, 42, 60, 110, 112, 11542, 11543, 11544)
_MODULES = const(("text", "opaque", "cbor", "senml_json", "senml_cbor", "tlv", "oma_json", "lwm2m_cbor"))


def get(ct):
    """The module of a content format, or None, also where the firmware has it not. ct: CoAP
    content-format number."""
    if ct in NUMBERS:
        try:
            module = __import__(_MODULES[NUMBERS.index(ct)], globals(), None, ("decode",), 1)
        except ImportError:
            return None
        module.OPTION = (_CONTENT_FORMAT, ct.to_bytes((ct > 0) + (ct > 255), "big"))
        return module

