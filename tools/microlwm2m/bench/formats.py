# LwM2M content formats on the host, written without a look at the board's.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# LwM2M Core 1.2 section 7.4; RFC 8428 (SenML), RFC 8790 (ETCH), RFC 8949 (CBOR).

import base64
import datetime
import decimal
import fractions
import io
import json
import struct
from collections.abc import Mapping
from typing import NamedTuple

import cbor2

from .models import BOOLEAN, CORELNK, FLOAT, INTEGER, OBJLNK, OPAQUE, STRING, TIME, UNSIGNED
from .registry import format_path, parse_path

TEXT, LINK, OCTETS, CBOR = 0, 40, 42, 60
SENML_JSON, SENML_CBOR, ETCH_JSON, ETCH_CBOR = 110, 112, 320, 322
TLV, LWM2M_CBOR = 11542, 11544

NAMES = {"text": TEXT, "link": LINK, "opaque": OCTETS, "cbor": CBOR, "senml-json": SENML_JSON,
         "senml-cbor": SENML_CBOR, "senml-etch-json": ETCH_JSON, "senml-etch-cbor": ETCH_CBOR,
         "tlv": TLV, "lwm2m-cbor": LWM2M_CBOR}


class FormatError(ValueError):
    """A payload that is not what its content format says, or a value it cannot hold."""


class Node(NamedTuple):
    """path: of a resource (3 numbers) or resource instance (4), or shorter for what has
    no value. value: str, int, float, bool, bytes, (oid, iid), {} for a resource without
    instances, None for a name alone. time: seconds since 1970 of a SenML record, or None."""

    path: tuple
    value: object
    time: object = None


def number(name):
    """The content format of a name or number as text. Raises FormatError."""
    if name.isdigit():
        return int(name)
    if name not in NAMES:
        raise FormatError("%s: a format is a number or one of %s" % (name, ", ".join(NAMES)))
    return NAMES[name]


def name(ct):
    """The name of a content format."""
    for text, value in NAMES.items():
        if value == ct:
            return text
    return "none" if ct is None else str(ct)


def infer(value):
    """The LwM2M type that a Python value has by itself."""
    if isinstance(value, bool):
        return BOOLEAN
    for kind, result in ((int, INTEGER), (float, FLOAT), (str, STRING), (tuple, OBJLNK)):
        if isinstance(value, kind):
            return result
    if isinstance(value, (bytes, bytearray)):
        return OPAQUE
    raise FormatError("%r has no LwM2M type" % (value,))


def objlnk(text):
    """(oid, iid) of "3:1"."""
    oid, _, iid = text.partition(":")
    if not oid.isdigit() or not iid.isdigit():
        raise FormatError("%r is no object link" % text)
    return int(oid), int(iid)


# Decoding


def decode(ct, base, payload, models):
    """([Node], [complaint]) of a payload. base: the tuple path of the request. A complaint
    is text on something that a strict server would have refused. Raises FormatError."""
    decoder = {
        TEXT: _text, OCTETS: _octets, CBOR: _cbor, SENML_JSON: _senml_json,
        ETCH_JSON: _senml_json, SENML_CBOR: _senml_cbor, ETCH_CBOR: _senml_cbor, TLV: _tlv,
        LWM2M_CBOR: _lwm2m_cbor,
    }.get(ct)
    if decoder is None:
        raise FormatError("content format %s" % name(ct))
    try:
        nodes = decoder(base, bytes(payload), models)
    except FormatError:
        raise
    except (ValueError, KeyError, IndexError, TypeError, struct.error, RecursionError,
            cbor2.CBORDecodeError) as e:
        raise FormatError("not %s: %s" % (name(ct), e)) from None
    complaints = []
    for node in nodes:
        if node.path[: len(base)] != base:
            complaints.append("%s lies outside %s" % (format_path(node.path), format_path(base)))
    return [_typed(ct, node, models, complaints) for node in nodes], complaints


def _typed(ct, node, models, complaints):
    kind, value, path = models.type(node.path), node.value, format_path(node.path)
    if isinstance(value, datetime.datetime):
        if ct not in (CBOR, LWM2M_CBOR):
            complaints.append("%s: tagged Time in %s" % (path, name(ct)))
        value = int(value.timestamp())
        if kind not in (TIME, None):
            complaints.append("%s: Time where %s is due" % (path, kind))
    elif kind == TIME and ct == CBOR:
        complaints.append("%s: Time without its tag" % path)
    if isinstance(value, (decimal.Decimal, fractions.Fraction)):
        value = float(value)
    if value is None or value == {} or kind is None:
        return node._replace(value=value)
    if kind == OBJLNK and isinstance(value, str):
        value = objlnk(value)
    wanted = {STRING: str, CORELNK: str, INTEGER: int, UNSIGNED: int, TIME: int, FLOAT: float,
              BOOLEAN: bool, OPAQUE: bytes, OBJLNK: tuple}[kind]
    if type(value) is not wanted:
        complaints.append("%s: %s where %s is due" % (path, infer(value), kind))
        if wanted is float and isinstance(value, int):
            value = float(value)
    elif kind == UNSIGNED and value < 0:
        complaints.append("%s: negative where unsigned is due" % path)
    return node._replace(value=value)


def _single(base):
    if len(base) not in (3, 4):
        raise FormatError("a format of single values at %s" % format_path(base))
    return base


def _text(base, payload, models):
    text, kind = payload.decode(), models.type(_single(base))
    if kind in (INTEGER, UNSIGNED, TIME):
        value = int(text)
    elif kind == FLOAT:
        value = float(text)
    elif kind == BOOLEAN:
        value = {"0": False, "1": True}[text]
    elif kind == OPAQUE:
        value = base64.b64decode(text, validate=True)
    else:
        value = text
    return [Node(base, value)]


def _octets(base, payload, models):
    return [Node(_single(base), payload)]


def _whole_cbor(payload):
    stream = io.BytesIO(payload)
    value = cbor2.load(stream)
    if stream.read(1):
        raise FormatError("bytes after the end")
    return _thawed(value)


# Below a tag, as 55799 before everything, cbor2 gives what cannot be changed.
def _thawed(value):
    if isinstance(value, Mapping):
        return {k: _thawed(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_thawed(v) for v in value]
    return value


def _cbor(base, payload, models):
    value = _whole_cbor(payload)
    if isinstance(value, dict):
        return [Node(_single(base) + (int(riid),), v) for riid, v in value.items()] or [Node(base, {})]
    return [Node(_single(base), value)]


_SENML_KEYS = {-2: "bn", -3: "bt", -5: "bv", 0: "n", 2: "v", 3: "vs", 4: "vb", 6: "t", 8: "vd"}


def _senml_cbor(base, payload, models):
    records = _whole_cbor(payload)
    if not isinstance(records, list):
        raise FormatError("SenML is an array")
    return _senml([{_SENML_KEYS.get(k, k): v for k, v in r.items()} for r in records], base)


def _senml_json(base, payload, models):
    records = json.loads(payload.decode())
    if not isinstance(records, list):
        raise FormatError("SenML is an array")
    for record in records:
        if "vd" in record:
            text = record["vd"]
            record["vd"] = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    nodes = _senml(records, base)
    return [_json_number(node, models) for node in nodes]


# JSON has one kind of number: 1 may be a Float and 1.0 an Integer.
def _json_number(node, models):
    kind, value = models.type(node.path), node.value
    if kind == FLOAT and type(value) is int:
        return node._replace(value=float(value))
    if kind in (INTEGER, UNSIGNED, TIME) and isinstance(value, float) and value.is_integer():
        return node._replace(value=int(value))
    return node


def _senml(records, base):
    nodes, prefix, base_time, base_value = [], "", None, None
    for record in records:
        prefix = record.get("bn", prefix)
        base_time = record.get("bt", base_time)
        base_value = record.get("bv", base_value)
        unknown = [k for k in record if isinstance(k, str) and k.endswith("_")]
        if unknown:
            raise FormatError("SenML field %s must be understood" % unknown[0])
        path = parse_path(prefix + record.get("n", ""))
        values = [record[k] for k in ("v", "vs", "vb", "vd", "vlo") if k in record]
        if len(values) > 1:
            raise FormatError("two values in one record of %s" % format_path(path))
        value = values[0] if values else None
        if "vlo" in record:
            value = objlnk(value)
        if base_value is not None and "v" in record:
            value += base_value
        time = record.get("t")
        if base_time is not None:
            time = base_time + (time or 0)
        nodes.append(Node(path, value, time))
    return nodes


def _lwm2m_cbor(base, payload, models):
    tree = _whole_cbor(payload)
    if not isinstance(tree, dict):
        raise FormatError("LwM2M CBOR is a map")
    nodes = []

    def walk(path, value):
        if isinstance(value, dict) and (len(path) < 3 or value):
            for key, below in value.items():
                step = tuple(key) if isinstance(key, (tuple, list)) else (key,)
                if len(path + step) > 4 or not all(isinstance(n, int) for n in step):
                    raise FormatError("a key that is no path: %r" % (key,))
                walk(path + step, below)
        elif len(path) < 3 and value is not None:
            raise FormatError("a value at %s" % format_path(path))
        else:
            nodes.append(Node(path, value))

    walk((), tree)
    return nodes


def _tlv(base, payload, models):
    nodes = []

    def entries(data):
        while data:
            head = data[0]
            position = 3 if head & 0x20 else 2
            ident = int.from_bytes(data[1:position], "big")
            width = (head >> 3) & 3
            length = int.from_bytes(data[position : position + width], "big") if width else head & 7
            position += width
            if position + length > len(data):
                raise FormatError("TLV of %d bytes cut off" % length)
            yield head >> 6, ident, data[position : position + length]
            data = data[position + length :]

    def resources(at, data):
        empty = True
        for kind, ident, value in entries(data):
            empty = False
            path = at + (ident,)
            if kind == 3:
                nodes.append(Node(path, _tlv_value(value, models.type(path))))
            elif kind == 2:
                instances(path, value)
            else:
                raise FormatError("TLV of kind %d among resources" % kind)
        if empty:
            nodes.append(Node(at, None))

    def instances(at, data):
        empty = True
        for kind, ident, value in entries(data):
            empty = False
            if kind != 1:
                raise FormatError("TLV of kind %d among resource instances" % kind)
            nodes.append(Node(at + (ident,), _tlv_value(value, models.type(at))))
        if empty:
            nodes.append(Node(at, {}))

    if len(base) == 1:
        for kind, ident, value in entries(payload):
            if kind:
                raise FormatError("TLV of kind %d among instances" % kind)
            resources(base + (ident,), value)
    elif len(base) == 2:
        found = list(entries(payload))
        if len(found) == 1 and found[0][0] == 0:
            resources((base[0], found[0][1]), found[0][2])
        else:
            resources(base, payload)
    else:
        for kind, ident, value in entries(payload):
            at = base[:2] + (ident,)
            if kind == 3:
                nodes.append(Node(at, _tlv_value(value, models.type(at))))
            elif kind == 2:
                instances(at, value)
            elif kind == 1:
                nodes.append(Node(base[:3] + (ident,), _tlv_value(value, models.type(base))))
            else:
                raise FormatError("TLV of an instance at a resource")
    return nodes


def _tlv_value(data, kind):
    if kind in (INTEGER, TIME):
        if len(data) not in (1, 2, 4, 8):
            raise FormatError("an integer of %d bytes" % len(data))
        return int.from_bytes(data, "big", signed=True)
    if kind == UNSIGNED:
        return int.from_bytes(data, "big")
    if kind == FLOAT:
        return struct.unpack(">f" if len(data) == 4 else ">d", data)[0]
    if kind == BOOLEAN:
        return {b"\0": False, b"\1": True}[data]
    if kind == OBJLNK:
        return struct.unpack(">HH", data)
    if kind == OPAQUE:
        return data
    if kind is None:
        try:
            text = data.decode()
            return text if text.isprintable() else data
        except UnicodeDecodeError:
            return data
    return data.decode()


# Encoding


def encode(ct, base, nodes, models):
    """The payload for nodes [(path, value)] in ascending order, aimed at `base`.
    Raises FormatError."""
    nodes = [(path, value, models.type(path) or infer(value)) for path, value in nodes]
    for path, value, kind in nodes:
        _check(path, value, kind)
    encoder = {
        TEXT: _encode_text, OCTETS: _encode_octets, CBOR: _encode_cbor,
        SENML_JSON: _encode_senml_json, ETCH_JSON: _encode_senml_json,
        SENML_CBOR: _encode_senml_cbor, ETCH_CBOR: _encode_senml_cbor, TLV: _encode_tlv,
        LWM2M_CBOR: _encode_lwm2m_cbor,
    }.get(ct)
    if encoder is None:
        raise FormatError("content format %s cannot be written" % name(ct))
    try:
        return encoder(base, nodes)
    except (struct.error, OverflowError, AttributeError) as e:
        raise FormatError("does not fit %s: %s" % (name(ct), e)) from None


def _check(path, value, kind):
    wanted = {STRING: str, CORELNK: str, INTEGER: int, UNSIGNED: int, TIME: int,
              FLOAT: (float, int), BOOLEAN: bool, OPAQUE: (bytes, bytearray), OBJLNK: tuple}[kind]
    if not isinstance(value, wanted) or (isinstance(value, bool) and kind != BOOLEAN):
        raise FormatError("%s: %r is no %s" % (format_path(path), value, kind))


def paths(ct, targets):
    """The payload of a composite read: names without values."""
    records = [format_path(path) for path in targets]
    if ct in (SENML_CBOR, ETCH_CBOR):
        return cbor2.dumps([{0: n} for n in records])
    if ct in (SENML_JSON, ETCH_JSON):
        return json.dumps([{"n": n} for n in records], separators=(",", ":")).encode()
    if ct == LWM2M_CBOR:
        tree = {}
        for path in targets:
            if not path:
                raise FormatError("LwM2M CBOR cannot name /")
            at = tree
            for step in path[:-1]:
                at = at.setdefault(step, {})
                if at is None:
                    raise FormatError("a path below another")
            at.setdefault(path[-1], None)
        return cbor2.dumps(tree, canonical=True)
    raise FormatError("content format %s cannot name paths" % name(ct))


def _one(nodes):
    if len(nodes) != 1:
        raise FormatError("a format of single values for %d values" % len(nodes))
    return nodes[0][1:]


def _encode_text(base, nodes):
    value, kind = _one(nodes)
    if kind == BOOLEAN:
        text = "1" if value else "0"
    elif kind == OPAQUE:
        text = base64.b64encode(value).decode()
    elif kind == OBJLNK:
        text = "%d:%d" % value
    elif kind == FLOAT:
        text = repr(float(value))
    else:
        text = str(value)
    return text.encode()


def _encode_octets(base, nodes):
    value, kind = _one(nodes)
    if kind != OPAQUE:
        raise FormatError("application/octet-stream holds Opaque only")
    return bytes(value)


def _cbor_value(value, kind):
    if kind == FLOAT:
        return float(value)
    if kind == OBJLNK:
        return "%d:%d" % value
    return value


def _encode_cbor(base, nodes):
    value, kind = _one(nodes)
    if kind == TIME:
        value = cbor2.CBORTag(1, value)
    return cbor2.dumps(_cbor_value(value, kind), canonical=True)


_SENML_FIELD = {STRING: "vs", CORELNK: "vs", INTEGER: "v", UNSIGNED: "v", TIME: "v", FLOAT: "v",
                BOOLEAN: "vb", OPAQUE: "vd", OBJLNK: "vlo"}


# The base name is the target, and there are only names below it; a composite has
# whole names, since its records have nothing in common.
def _senml_records(base, nodes):
    records = []
    for path, value, kind in nodes:
        record = {_SENML_FIELD[kind]: _cbor_value(value, kind)}
        if not base:
            record["n"] = format_path(path)
        elif path == base:
            record["bn"] = format_path(base)
        else:
            record["n"] = "/".join(map(str, path[len(base) :]))
            if not records:
                record["bn"] = format_path(base) + "/"
        records.append(record)
    return records


def _encode_senml_cbor(base, nodes):
    labels = {text: label for label, text in _SENML_KEYS.items()}
    records = [{labels.get(k, k): v for k, v in r.items()} for r in _senml_records(base, nodes)]
    return cbor2.dumps(records, canonical=True)


def _encode_senml_json(base, nodes):
    records = _senml_records(base, nodes)
    for record in records:
        if "vd" in record:
            record["vd"] = base64.urlsafe_b64encode(record["vd"]).rstrip(b"=").decode()
    return json.dumps(records, separators=(",", ":"), ensure_ascii=False).encode()


def _encode_lwm2m_cbor(base, nodes):
    tree = {}
    for path, value, kind in nodes:
        at = tree
        for step in path[:-1]:
            at = at.setdefault(step, {})
        at[path[-1]] = _cbor_value(value, kind)
    return cbor2.dumps(tree, canonical=True)


def _entry(kind, ident, value):
    length = len(value)
    width = 0 if length < 8 else (length.bit_length() + 7) // 8
    head = kind << 6 | (0x20 if ident > 255 else 0) | width << 3 | (length if not width else 0)
    return (bytes([head]) + ident.to_bytes(2 if ident > 255 else 1, "big")
            + (length.to_bytes(width, "big") if width else b"") + value)


def _tlv_bytes(value, kind):
    if kind in (INTEGER, UNSIGNED, TIME):
        signed = kind != UNSIGNED
        for width in (1, 2, 4, 8):
            try:
                return value.to_bytes(width, "big", signed=signed)
            except OverflowError:
                continue
        raise FormatError("%d does not fit 8 bytes" % value)
    if kind == FLOAT:
        try:
            short = struct.pack(">f", value)
        except OverflowError:
            return struct.pack(">d", value)
        return short if struct.unpack(">f", short)[0] == value else struct.pack(">d", value)
    if kind == BOOLEAN:
        return b"\1" if value else b"\0"
    if kind == OBJLNK:
        return struct.pack(">HH", *value)
    return bytes(value) if kind == OPAQUE else value.encode()


def tlv_instance(iid):
    """The TLV of an Object Instance without resources, as a Create has it."""
    return _entry(0, iid, b"")


def _encode_tlv(base, nodes):
    if len(base) == 4:
        value, kind = _one(nodes)
        return _entry(1, base[3], _tlv_bytes(value, kind))

    def resources(chosen):
        out, done = b"", set()
        for path, value, kind in chosen:
            if len(path) == 3:
                out += _entry(3, path[2], _tlv_bytes(value, kind))
            elif path[:3] not in done:
                done.add(path[:3])
                inner = b"".join(_entry(1, p[3], _tlv_bytes(v, k)) for p, v, k in chosen if p[:3] == path[:3])
                out += _entry(2, path[2], inner)
        return out

    if len(base) != 1:
        return resources(nodes)
    out = b""
    for iid in sorted({path[1] for path, _, _ in nodes}):
        out += _entry(0, iid, resources([n for n in nodes if n[0][1] == iid]))
    return out
