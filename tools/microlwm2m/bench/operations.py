# LwM2M operations as CoAP messages, and their answers as values.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# LwM2M Transport 1.2 section 6.4 (operations), Core 1.2 section 6.3 and 6.4.

import datetime
import json

from aiocoap import Message
from aiocoap.numbers import codes

from . import formats
from .formats import SENML_CBOR, TLV
from .models import TIME
from .registry import LINK_FORMAT, LinkError, format_path, parse_links, parse_path

PLAIN_TEXT = 0


class OperationFailed(Exception):
    """An operation got no answer that counts: the reason, in one line."""


class Result:
    """The answer to an operation, or a notification.

    code: "2.05". ok: whether it is a success. path: the tuple it was aimed at. format: the
    content format or None. payload: bytes. nodes: [formats.Node]. links: of Discover.
    location: of Create, as a path tuple. complaints: what a strict server would not have
    taken, as text. fault: why the payload could not be decoded, or "".
    """

    def __init__(self, message, path, models):
        self.code, self.ok = message.code.dotted, message.code.is_successful()
        self.path, self.models = path, models
        self.payload = bytes(message.payload)
        ct = message.opt.content_format
        self.format = None if ct is None else int(ct)
        self.nodes, self.links, self.complaints, self.fault = [], [], [], ""
        self.location = None
        if message.opt.location_path:
            self.location = parse_path("/" + "/".join(message.opt.location_path))
        if not self.ok or not (self.payload or self.format is not None):
            return
        try:
            if self.format == LINK_FORMAT:
                self.links = parse_links(self.payload.decode())
            elif self.format is not None:
                self.nodes, self.complaints = formats.decode(
                    self.format, path, self.payload, models
                )
            else:
                self.fault = "a payload without Content-Format"
        except (formats.FormatError, LinkError, UnicodeDecodeError) as e:
            self.fault = str(e)

    @property
    def values(self):
        """{path text: value}; the last one where a path occurs more than once."""
        return {format_path(node.path): node.value for node in self.nodes}

    @property
    def value(self):
        """The value of a resource: one value, or {riid: value} when it has instances."""
        if len(self.nodes) == 1 and self.nodes[0].path == self.path:
            return self.nodes[0].value
        below = [n for n in self.nodes if len(self.path) == 3 and len(n.path) == 4]
        if len(below) != len(self.nodes):
            raise ValueError("%s holds more than one resource" % format_path(self.path))
        return {node.path[3]: node.value for node in below}

    def lines(self):
        """What there is to see, one line a value or link."""
        for node in self.nodes:
            yield show_node(node, self.models)
        for target, attributes in self.links:
            yield "<%s>" % target + "".join(
                ";%s" % k if v is None else ";%s=%s" % (k, v) for k, v in attributes.items()
            )
        if self.location is not None:
            yield format_path(self.location)
        if self.fault:
            yield "undecodable (%s): %s" % (self.fault, self.payload.hex())
        for complaint in self.complaints:
            yield "complaint: " + complaint

    def brief(self):
        """All values in one line."""
        return " ".join(
            "%s=%s" % (format_path(n.path), show_value(n.value)) for n in self.nodes
        ) or self.fault

    def __repr__(self):
        return "<Result %s %s %s>" % (self.code, format_path(self.path), self.brief())


def show_value(value, kind=None):
    """A value as the prompt takes it too."""
    if value is None:
        return "(no value)"
    if isinstance(value, (bytes, bytearray)):
        return "hex:" + bytes(value).hex()
    if isinstance(value, tuple):
        return "%d:%d" % value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if value == {}:
        return "(no instances)"
    if kind == TIME:
        try:
            moment = datetime.datetime.fromtimestamp(value, datetime.timezone.utc)
            return "%d (%sZ)" % (value, moment.isoformat()[:19])
        except (ValueError, OverflowError, OSError):
            pass
    return str(value)


def show_node(node, models):
    """One line: path, name, value and time."""
    words = [format_path(node.path)]
    if len(node.path) > 2 and models.name(node.path):
        words.append(models.name(node.path))
    line = "%s = %s" % (" ".join(words), show_value(node.value, models.type(node.path)))
    return line if node.time is None else "%s @%s" % (line, node.time)


def as_path(path):
    """A tuple path from a tuple or text. Raises ValueError."""
    return parse_path(path) if isinstance(path, str) else tuple(path)


def flatten(path, value):
    """[(path, value)] below a path, from a value or dicts of them by number."""
    if isinstance(value, dict):
        return [pair for key in sorted(value) for pair in flatten(path + (key,), value[key])]
    if len(path) < 3:
        raise ValueError("%s takes {number: value}" % format_path(path))
    return [(path, value)]


def _to(code, path, **options):
    return Message(code=code, uri_path=[str(n) for n in path], **options)


def read(path, accept=SENML_CBOR, observe=None):
    """Read, or Observe (observe=0) and its cancellation (observe=1)."""
    return _to(codes.GET, path, accept=accept, observe=observe)


def discover(path, depth=None):
    return _to(codes.GET, path, accept=LINK_FORMAT,
               uri_query=[] if depth is None else ["depth=%d" % depth])


def write(path, value, models, ct=SENML_CBOR, partial=False):
    """Write-Replace, or Write-Partial-Update."""
    payload = formats.encode(ct, path, flatten(path, value), models)
    return _to(codes.POST if partial else codes.PUT, path, content_format=ct, payload=payload)


def write_attributes(path, attributes):
    """attributes: {name: value}, None to remove one."""
    query = [k if v is None else "%s=%s" % (k, v) for k, v in attributes.items()]
    return _to(codes.PUT, path, uri_query=query)


def execute(path, arguments=""):
    if not arguments:
        return _to(codes.POST, path)
    return _to(codes.POST, path, content_format=PLAIN_TEXT, payload=arguments.encode())


def create(oid, iid, values, models, ct=SENML_CBOR):
    """iid: None when the device chooses, which only TLV can say."""
    if iid is None:
        payload = formats.encode(TLV, (oid, 0), flatten((oid, 0), values), models)
        return _to(codes.POST, (oid,), content_format=TLV, payload=payload)
    nodes = flatten((oid, iid), values)
    payload = formats.encode(ct, (oid,), nodes, models)
    if not nodes and ct == TLV:
        payload = formats.tlv_instance(iid)
    return _to(codes.POST, (oid,), content_format=ct, payload=payload)


def delete(path):
    return _to(codes.DELETE, path)


def read_composite(paths, ct=SENML_CBOR, observe=None):
    return Message(code=codes.FETCH, content_format=ct, accept=ct, observe=observe,
                   payload=formats.paths(ct, paths))


def write_composite(values, models, ct=SENML_CBOR):
    """values: {path: value or dict of them}."""
    nodes = [pair for path, value in values.items() for pair in flatten(as_path(path), value)]
    return Message(code=codes.iPATCH, content_format=ct,
                   payload=formats.encode(ct, (), nodes, models))


def describe(message):
    """A message in a few words: `POST /rd?ep=x 112 bytes` or `2.05 35 bytes`."""
    opt = message.opt
    words = []
    if message.code.is_request():
        query = "?" + "&".join(opt.uri_query) if opt.uri_query else ""
        words += [str(message.code), "/" + "/".join(opt.uri_path) + query]
    else:
        words.append(message.code.dotted)
        if opt.location_path:
            words.append("/" + "/".join(opt.location_path))
    if opt.observe is not None:
        words.append("observe" if message.code.is_response() else "observe=%d" % opt.observe)
    for label, block in (("block1", opt.block1), ("block2", opt.block2)):
        if block is not None:
            words.append("%s=%d%s" % (label, block.block_number, "+" if block.more else ""))
    if opt.echo is not None:
        words.append("echo")
    if message.payload:
        words.append("%d bytes" % len(message.payload))
    return " ".join(words)
