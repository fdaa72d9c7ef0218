# Link format: the lists of Register, Update and Discover.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 6690; OMA LwM2M Core 1.2.2, sections 6.2.1 (Register), 6.1.6 and 6.3.2 (Discover)
#
# Not in the table of formats: it carries links, not values.

CT = 40
NAME = "LINK"

# Text values that stand without quotation marks: Leshan refuses them quoted.
_BARE = ("ver", "lwm2m")


def encode_links(entries, buf):
    """Write links to buf (bytearray or memoryview) and return how many bytes they take.

    entries: list of (path, attributes); path: tuple of 0 to 4 IDs, () being the root;
    attributes: list of (name, value). value: None for a bare name, int or float, str, or a
    list or tuple of int (ct). "ver" is left out of links that are not an object's.
    Raises ValueError where buf is too small or a number is not finite.
    """
    pos = 0
    sep = "<"
    for path, attributes in entries:
        text = sep + ("".join(["/%d" % i for i in path]) or "/") + ">"
        for key, value in attributes:
            if key == "ver" and len(path) != 1:
                continue
            text += ";" + key
            if value is not None:
                text += "=" + _value(key, value)
        text = text.encode()
        end = pos + len(text)
        if end > len(buf):
            raise ValueError("buf")
        buf[pos:end] = text
        pos = end
        sep = ",<"
    return pos


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
