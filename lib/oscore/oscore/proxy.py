# Proxy-Uri taken apart, so that path and query go inside.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 section 4.1.3.3; RFC 7252 section 6.4; RFC 3986

from coap.codec import Message

_URI_PATH = const(11)
_URI_QUERY = const(15)
_PROXY_URI = const(35)
_PROXY_SCHEME = const(39)
_HEX = "0123456789abcdef"


def _decode(text):
    parts = text.split("%")
    out = bytearray(parts[0].encode())
    for part in parts[1:]:
        high = _HEX.find(part[0:1].lower())
        low = _HEX.find(part[1:2].lower())
        if len(part) < 2 or high < 0 or low < 0:
            raise ValueError("Proxy-Uri")
        out.append(high << 4 | low)
        out.extend(part[2:].encode())
    return bytes(out)


def split(msg):
    """A copy of msg whose Proxy-Uri has become Proxy-Uri without path and query (outside),
    Uri-Path and Uri-Query (inside). Raises ValueError for a URI that is not absolute, has
    a fragment, or stands beside one of these options."""
    out = Message(msg.code, msg.type, msg.mid, msg.token, msg.payload)
    uri = None
    for number, value in msg.options:
        if number == _PROXY_URI:
            if uri is not None:
                raise ValueError("Proxy-Uri")
            uri = str(value, "utf-8")
        elif number in (_URI_PATH, _URI_QUERY, _PROXY_SCHEME):
            raise ValueError("Proxy-Uri")
        else:
            out.options.append((number, value))
    at = uri.find("://")
    if at < 1 or "#" in uri:
        raise ValueError("Proxy-Uri")
    rest, _, query = uri[at + 3 :].partition("?")
    host, slash, path = rest.partition("/")
    if not host:
        raise ValueError("Proxy-Uri")
    out.add(_PROXY_URI, uri[: at + 3] + host)
    if path:
        for segment in path.split("/"):
            out.add(_URI_PATH, _decode(segment))
    if query:
        for argument in query.split("&"):
            out.add(_URI_QUERY, _decode(argument))
    return out
