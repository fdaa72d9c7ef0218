# Link format: the attributes of the links that Discover lists.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 6690; OMA LwM2M Core 1.2.2, section 6.3.2 (Discover)
#
# Not in the table of formats: it carries links, not values.

CT = 40
NAME = "LINK"

# Text values that stand without quotation marks: Leshan refuses them quoted.
_BARE = ("ver", "lwm2m")


def attributes(pairs):
    """The text of a link's attributes: ";pmin=5;dim=2".

    pairs: list of (name, value), value: None for a bare name, int or float, str, or a list or
    tuple of int (ct). Raises ValueError where a number is not finite.
    """
    text = ""
    for key, value in pairs:
        text += ";" + key
        if value is not None:
            text += "=" + _value(key, value)
    return text


def _value(key, value):
    if isinstance(value, (list, tuple)):
        s = " ".join([str(n) for n in value])
        if len(value) == 1:
            return s
    elif isinstance(value, int):
        return str(value)
    elif not isinstance(value, str):
        from .texts import plain

        return plain(value)
    elif key in _BARE:
        return value
    else:
        s = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + s + '"'
