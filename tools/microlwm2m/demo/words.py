# A message of LwM2M in words, for a person in a hurry.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# LwM2M Transport 1.2 section 6.4 (which message is which operation).

from urllib.parse import unquote

from aiocoap.numbers import codes

from ..bench import formats
from ..bench.models import Models
from ..bench.operations import Result, describe, show_value
from ..bench.registry import LINK_FORMAT, LinkError, Registration, format_path, parse_links
from .wire import B2_ANSWERS, B2_ASKS, B2_CONFIRMS

_models = Models()
_PLAIN_TEXT = 0


def tell(seen):
    """What a wire.Seen is."""
    text = _tell(seen)
    return "the same again: " + text if seen.again else text


def _tell(seen):
    if seen.outer is None:
        return "no CoAP"
    if seen.mark == "empty":
        return {2: "acknowledgement", 3: "reset"}.get(int(seen.outer.mtype), "ping")
    if seen.mark == "plain":
        return describe(seen.outer)
    if seen.inner is None:
        return "does not open with the keys of this account"
    if seen.b2 == B2_ASKS:
        return "B.2 message 1, asks for fresh keys with R1 = %s" % seen.kid_context.hex()
    if seen.b2 == B2_ANSWERS:
        return "B.2 message 2, %s with R2 = %s" % (
            seen.inner.code.dotted, seen.kid_context.hex()
        )
    if seen.inner.code.is_response():
        return _response(seen)
    words = _device_request(seen.inner) if seen.up else _server_request(seen.inner)
    return "B.2 message 3, " + words if seen.b2 == B2_CONFIRMS else words


def _device_request(message):
    path = message.opt.uri_path
    query = dict(item.partition("=")[::2] for item in message.opt.uri_query)
    if path[:1] != ("rd",):
        return describe(message)
    if message.code == codes.DELETE:
        return "De-register"
    if len(path) > 1:
        return "Update" + "".join(", %s=%s" % pair for pair in query.items())
    return "Register %s: LwM2M %s, %s s, %s" % (
        unquote(query.get("ep", "?")), query.get("lwm2m"), query.get("lt", "86400"), _objects(message.payload),
    )


def _objects(payload):
    try:
        links = parse_links(payload.decode())
    except (LinkError, UnicodeDecodeError):
        return "?"
    return Registration("", "", None, True, "", links=links).listing().replace(",", " ")


def _server_request(message):
    where = target(_path(message))
    if message.code == codes.GET:
        if message.opt.accept == LINK_FORMAT:
            return "Discover " + where
        return {None: "Read ", 0: "Observe "}.get(message.opt.observe, "Stop to observe ") + where
    if message.code == codes.PUT and message.opt.content_format is not None:
        return "Write %s: %s" % (where, _values(message, _path(message)))
    if message.code == codes.POST and message.opt.content_format in (None, _PLAIN_TEXT):
        return "Execute " + where
    return describe(message)


def target(path):
    """A path with the name of what it leads to."""
    name = _models.name(path)
    return format_path(path) + (" (%s)" % name if name else "")


def _response(seen):
    message, path = seen.inner, _path(seen.request)
    if message.code == codes.CONTENT:
        if message.opt.content_format == LINK_FORMAT:
            return "Content: %s" % message.payload.decode(errors="replace")
        what = "Notification of %s" % target(path) if seen.notification else "Content"
        return "%s: %s" % (what, _values(message, path))
    named = {codes.CREATED: "Created", codes.CHANGED: "Changed", codes.DELETED: "Deleted"}
    words = named.get(message.code, str(message.code))
    if message.opt.location_path:
        words += " as /" + "/".join(message.opt.location_path)
    return words


def _values(message, path):
    if not message.code.is_request():
        result = Result(message, path, _models)
        nodes, fault = result.nodes, result.fault
    else:
        try:
            nodes, _ = formats.decode(message.opt.content_format, path, message.payload, _models)
            fault = ""
        except formats.FormatError as e:
            nodes, fault = [], str(e)
    if len(nodes) == 1 and nodes[0].path == path:
        return show_value(nodes[0].value, _models.type(path))
    return fault or " ".join("%s=%s" % (format_path(n.path), show_value(n.value)) for n in nodes)


def _path(message):
    return tuple(int(part) for part in message.opt.uri_path if part.isdigit())
