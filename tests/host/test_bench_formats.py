# The content formats of the bench server: what Leshan writes, round trips, and what is no payload.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# LwM2M Core 1.2 section 7.4; tests/vectors/leshan_writes.json (captured from Leshan's server).

import json
import math
from pathlib import Path

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microlwm2m.bench import formats, prompt
from microlwm2m.bench.models import Models
from microlwm2m.bench.registry import LinkError, parse_links, parse_path
from microlwm2m.errors import UsageError

MODELS = Models()
LESHAN = json.loads((Path(__file__).parents[1] / "vectors" / "leshan_writes.json").read_text())
SINGLE = [w for w in LESHAN["writes"]
          if w["op"] in ("write-resource", "write-resource-instance") and w["format_name"] != "JSON"]


def meant(write):
    """The value of a captured write, as the bench server has it."""
    value, kind = write["rest_value"], write["type"]
    if kind == "TIME":
        return write.get("seconds", int(value) // 1000)
    if kind == "OBJLNK":
        return value["objectId"], value["objectInstanceId"]
    if kind == "OPAQUE":
        return bytes.fromhex(value)
    if kind == "BOOLEAN":
        return value in (True, "true")
    return {"FLOAT": float, "INTEGER": int, "UNSIGNED_INTEGER": int}.get(kind, str)(value)


def name(write):
    return "%s-%s-%s" % (write["format_name"], write["path"], str(write["rest_value"])[:20])


@pytest.mark.parametrize("write", SINGLE, ids=name)
def test_decode_what_leshan_writes(write):
    path = parse_path(write["path"])
    nodes, complaints = formats.decode(write["format"], path, bytes.fromhex(write["hex"]), MODELS)
    value = meant(write)
    if write["format_name"] == "TLV" and write["type"] == "UNSIGNED_INTEGER":
        # Leshan writes an unsigned as a signed number; 2^64-1 comes as one byte.
        bits = 8 * (len(bytes.fromhex(write["hex"])) - 2)
        if bits < 64 and nodes[0].value != value:
            value &= (1 << bits) - 1
    assert [(n.path, n.value, n.time) for n in nodes] == [(path, value, None)]
    assert type(nodes[0].value) is type(value) and complaints == []


# But for an Objlnk in SenML: Leshan writes a string, we write vlo.
ALIKE = [w for w in SINGLE if w["format_name"] in ("CBOR", "SENML_CBOR", "OPAQUE")
         and (w["format_name"], w["type"]) != ("SENML_CBOR", "OBJLNK")]


@pytest.mark.parametrize("write", ALIKE, ids=name)
def test_encode_as_leshan_does(write):
    path = parse_path(write["path"])
    payload = formats.encode(write["format"], path, [(path, meant(write))], MODELS)
    assert payload.hex() == write["hex"]


def test_decode_of_several_resources_as_leshan_writes_them():
    for write in LESHAN["writes"]:
        if write["op"] == "write-multi-resource" and write["format_name"] != "JSON":
            path = parse_path(write["path"])
            nodes, complaints = formats.decode(write["format"], path, bytes.fromhex(write["hex"]), MODELS)
            one = dict(write, op="write-resource-instance")
            wanted = [
                (path + (int(riid),), meant(dict(one, rest_value=value, **(
                    {"seconds": value // 1000} if write["type"] == "TIME" else {}))))
                for riid, value in sorted(write["rest_value"].items(), key=lambda kv: int(kv[0]))
            ]
            assert [(n.path, n.value) for n in sorted(nodes)] == wanted, write
            assert complaints == []


# Left out: what has no single value or no format that both have, and what the specification
# takes though Leshan does not, or the other way round.
ELSEWHERE = ("instance", "lwm2m cbor", "no content format", "3 byte", "2 byte", "decimal fraction",
             "bigfloat", "unsigned 1 byte", "tag0", "bignum")
CASES = [c for c in LESHAN["leshan_decoder"]["cases"] if not any(w in c["what"] for w in ELSEWHERE)]
RIDS = {"time": 160, "cbor tag1": 160, "untagged": 160, "integer": 120, "objlnk": 170, "opaque": 150,
        "base64": 150, "bytes": 150, "unsigned": 125, "vlo": 170}


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["what"])
def test_complaints_are_leshans(case):
    """What Leshan refuses is refused or complained of; what it takes is not."""
    rid = next((r for w, r in RIDS.items() if w in case["what"] and "for float" not in case["what"]), 130)
    try:
        payload = bytes.fromhex(case["hex"])
        _, complaints = formats.decode(case["format"], (3442, 0, rid), payload, MODELS)
        taken = not complaints
    except formats.FormatError:
        taken = False
    assert taken == case["accepted"]


VALUES = {
    110: st.text(), 120: st.integers(-(1 << 63), (1 << 63) - 1), 125: st.integers(0, (1 << 64) - 1),
    130: st.floats(allow_nan=False, allow_infinity=False), 140: st.booleans(), 150: st.binary(),
    160: st.integers(-62135596800, 253402300799), 170: st.tuples(st.integers(0, 65535), st.integers(0, 65535)),
    180: st.text(),
}
WHOLE = (formats.SENML_JSON, formats.SENML_CBOR, formats.TLV, formats.LWM2M_CBOR)


def close(a, b):
    return a == b or (isinstance(a, float) and math.isclose(a, b, rel_tol=1e-15))


@settings(max_examples=100, deadline=None, print_blob=True)
@given(st.data(), st.sampled_from(WHOLE), st.integers(0, 65535))
def test_round_trip_of_an_instance(data, ct, iid):
    nodes = []
    for rid, values in VALUES.items():
        if data.draw(st.booleans()):
            nodes.append(((3442, iid, rid), data.draw(values)))
        for riid in sorted(data.draw(st.sets(st.integers(0, 65535), max_size=2))):
            nodes.append(((3442, iid, rid + 1000, riid), data.draw(values)))
    if not nodes:
        return
    nodes.sort()
    for base in ((3442, iid), (3442,)):
        payload = formats.encode(ct, base, nodes, MODELS)
        got, complaints = formats.decode(ct, base, payload, MODELS)
        assert sorted((n.path, n.value) for n in got) == nodes and complaints == []


@settings(max_examples=200, deadline=None, print_blob=True)
@given(st.data(), st.sampled_from(sorted(VALUES)), st.booleans())
def test_round_trip_of_one_value(data, rid, instance):
    path = (3442, 0, rid + 1000, 7) if instance else (3442, 0, rid)
    value = data.draw(VALUES[rid])
    for ct in (formats.TEXT, formats.CBOR) + WHOLE + ((formats.OCTETS,) if rid == 150 else ()):
        payload = formats.encode(ct, path, [(path, value)], MODELS)
        (node,), complaints = formats.decode(ct, path, payload, MODELS)
        assert node.path == path and close(node.value, value) and complaints == []


@settings(max_examples=300, deadline=None, print_blob=True)
@given(st.sampled_from((0, 42, 60, 110, 112, 320, 322, 11542, 11544)), st.binary(max_size=40),
       st.sampled_from(((), (3,), (3, 0), (3, 0, 9), (3442, 0, 1120), (3442, 0, 1150, 1))))
def test_a_payload_decodes_or_is_refused(ct, payload, base):
    try:
        formats.decode(ct, base, payload, MODELS)
    except formats.FormatError:
        pass


def test_the_specifications_examples():
    # LwM2M Core 1.2 section 7.4.4: the Device object's instance in TLV.
    payload = bytes.fromhex(
        "c800144f70656e204d6f62696c6520416c6c69616e6365c801164c69676874776569676874204d324d20436c69656e74"
        "c80209333435303030313233c303312e30860641000141010588070842000ed842011388870841007d42010384c10964"
        "c10a0f830b410000c40d5182428fc60e2b30323a3030c11055")
    nodes, complaints = formats.decode(formats.TLV, (3, 0), payload, MODELS)
    assert complaints == [] and {formats.format_path(n.path): n.value for n in nodes} == {
        "/3/0/0": "Open Mobile Alliance", "/3/0/1": "Lightweight M2M Client", "/3/0/2": "345000123",
        "/3/0/3": "1.0", "/3/0/6/0": 1, "/3/0/6/1": 5, "/3/0/7/0": 3800, "/3/0/7/1": 5000,
        "/3/0/8/0": 125, "/3/0/8/1": 900, "/3/0/9": 100, "/3/0/10": 15, "/3/0/11/0": 0,
        "/3/0/13": 1367491215, "/3/0/14": "+02:00", "/3/0/16": "U"}
    again = formats.encode(formats.TLV, (3, 0), [(n.path, n.value) for n in nodes], MODELS)
    assert again == payload


@pytest.mark.parametrize("ct, payload, values", [
    (112, [{-2: "/3/0/", 0: "9", 2: 5, -3: 100.0, 6: 1}, {0: "10", 2: 6}], [((3, 0, 9), 5, 101.0), ((3, 0, 10), 6, 100.0)]),
    (112, [{0: "/3/0/9", -5: 3, 2: 2}], [((3, 0, 9), 5, None)]),
    (112, [{0: "/3/0/22/0", "vlo": "3:1"}], [((3, 0, 22, 0), (3, 1), None)]),
    (112, [], []),
    (11544, {3: {0: {9: 5, 11: {}}}}, [((3, 0, 9), 5, None), ((3, 0, 11), {}, None)]),
    (11544, {(3, 0): {9: 5}}, [((3, 0, 9), 5, None)]),
])
def test_cbor_details(ct, payload, values):
    nodes, _ = formats.decode(ct, (), cbor2.dumps(payload), MODELS)
    assert [tuple(n) for n in nodes] == values


@pytest.mark.parametrize("ct, path, nodes", [
    (0, (3, 0), [((3, 0, 9), 5)]), (0, (3, 0), [((3, 0, 9), 5), ((3, 0, 10), 5)]),
    (42, (3, 0, 9), [((3, 0, 9), 5)]), (112, (3, 0, 9), [((3, 0, 9), "5")]),
    (112, (3, 0, 9), [((3, 0, 9), True)]), (112, (3, 0, 0), [((3, 0, 0), 5)]),
    (11542, (3, 0, 9), [((3, 0, 9), 1 << 63)]), (11542, (5, 0, 13), [((5, 0, 13), -1)]),
    (11543, (3, 0, 9), [((3, 0, 9), 5)]),
])
def test_what_cannot_be_written(ct, path, nodes):
    if len(path) == 2 and len(nodes) == 1:
        formats.encode(ct, path, nodes, MODELS)  # one value is one value, wherever it is aimed
        return
    with pytest.raises(formats.FormatError):
        formats.encode(ct, path, nodes, MODELS)


# Objects from OMA's files


def test_models_from_a_folder(tmp_path):
    (tmp_path / "1.xml").write_text(
        "<LWM2M><Object><Name>Mine</Name><ObjectID>26000</ObjectID><Resources>"
        '<Item ID="1"><Name>Level</Name><Type>Float</Type><MultipleInstances>Multiple</MultipleInstances></Item>'
        "</Resources></Object></LWM2M>")
    models = Models(tmp_path)
    assert models.name((26000,)) == "Mine" and models.name((26000, 0, 1)) == "Level"
    assert models.type((26000, 0, 1, 5)) == "float" and models.resource(26000, 1).multiple
    assert models.type((3, 0, 9)) == "integer" and models.type((26000, 0, 5700)) == "float"
    (tmp_path / "2.xml").write_text("<LWM2M>")
    with pytest.raises(UsageError, match="2.xml: not an object definition"):
        Models(tmp_path)


# What is typed


@pytest.mark.parametrize("text, commands", [
    ("a; b\nc", ["a", "b", "c"]), ("# all\na # rest; b\nc", ["a", "c"]), ("write /1 'x; y'; b", ["write /1 'x; y'", "b"]),
    ('w "a # b"', ['w "a # b"']), ("w a#b", ["w a#b"]), (" ;;\n", []), ("w \"it's; so\"", ["w \"it's; so\""]),
])
def test_commands_are_split(text, commands):
    assert prompt.split(text) == commands


@pytest.mark.parametrize("text, kind, value", [
    ("5", None, 5), ("1.5", None, 1.5), ("true", None, True), ("hex:0102", None, b"\1\2"), ("3:1", None, (3, 1)),
    ("+02x", None, "+02x"), ("5", "string", "5"), ("5", "float", 5.0), ("0x10", "integer", 16), ("1", "boolean", True),
    ("ab", "opaque", b"ab"), ("hex:ab", "opaque", b"\xab"), ("3:1", "objlnk", (3, 1)), ("</3>", "corelnk", "</3>"),
])
def test_values_are_read_by_type(text, kind, value):
    got = prompt.parse_value(text, kind)
    assert got == value and type(got) is type(value)


@pytest.mark.parametrize("text, kind", [
    ("x", "integer"), ("x", "float"), ("yes", "boolean"), ("hex:x", "opaque"), ("3", "objlnk"),
])
def test_values_that_are_not_of_their_type(text, kind):
    with pytest.raises(ValueError):
        prompt.parse_value(text, kind)


def test_links():
    assert parse_links('</>;rt="oma.lwm2m";ct="60 112",</3>;ver=1.2,</3/0>,</9>;obs;t="a,b;c"') == [
        ("/", {"rt": "oma.lwm2m", "ct": "60 112"}), ("/3", {"ver": "1.2"}), ("/3/0", {}),
        ("/9", {"obs": None, "t": "a,b;c"})]
    for bad in ("", ",", "</3", "/3", "</3>,", '</3>;a="', "</3>;", "</3> ,</4>", "</3>x"):
        with pytest.raises(LinkError):
            parse_links(bad)
