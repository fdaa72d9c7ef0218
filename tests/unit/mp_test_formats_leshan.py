# What Leshan writes is decoded to the value that was given to Leshan.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# heapsize: 4M

import json

import lwm2m.formats as formats
from check import SINGLE, equal, raises
from coap.message import Error, BAD_REQUEST

DECIMAL = (0, 110, 11543)  # formats that write numbers so
VECTORS = json.load(open("tests/vectors/leshan_writes.json"))

# The resources of the Test Object 3442; those from 1000 on are the multiple ones.
TYPES = {110: 0, 120: 1, 125: 2, 130: 3, 140: 4, 150: 5, 160: 6, 170: 7, 180: 8}
# Security, Server, Device and OSCORE as far as they are written.
OTHERS = {
    0: (0, 4, 1, 5, 5, 5, 1, 5, 5, 0, 1, 1, 1, None, None, None, None, 7),
    1: (1, 1, 1, 1, None, 1, 4, 0, None, None, None, None, None, 1, 1, 4, 4, 1, 1, 1, 1, 4, 0, 4),
    3: (None,) * 14 + (0,),
    21: (5, 5, 5, 1, 1, 5),
}


def typeof(oid, rid):
    if oid == 3442:
        return TYPES.get(rid % 1000)
    return OTHERS[oid][rid]


def ids(text):
    return tuple([int(s) for s in text.split("/") if s])


def link(text):
    return tuple([int(s) for s in text.split(":")])


def given(typ, value):
    # The value of a REST call as this side has it.
    if typ == "FLOAT":
        return float(value)
    if typ in ("INTEGER", "UNSIGNED_INTEGER"):
        return int(value)
    if typ == "OPAQUE":
        return bytes.fromhex(value)
    if typ == "TIME":
        return value // 1000  # whole seconds of its milliseconds
    if typ == "OBJLNK":
        return (value["objectId"], value["objectInstanceId"])
    return value


def of_instance(base, value):
    # {rid: [kind, value]} as {path: value}
    want = {}
    for rid, (kind, x) in value.items():
        path = base + (int(rid),)
        if kind == "multiple integer":
            for riid, y in x.items():
                want[path + (int(riid),)] = y
        elif kind == "opaque":
            want[path] = bytes.fromhex(x)
        elif kind == "objlnk":
            want[path] = link(x)
        else:
            want[path] = x
    return want


def of_composite(value):
    if isinstance(value, str):
        path, _, x = value.partition("=")
        return {ids(path): x.strip('"')}
    want = {}
    for path, x in value.items():
        if isinstance(x, str):
            x, _, kind = x.partition(" ")
            if kind == "(opaque)":
                x = bytes.fromhex(x)
            elif kind == "(time)":
                x = int(x)
            elif kind == "(objlnk)":
                x = link(x)
        want[ids(path)] = x
    return want


def wanted(w, base):
    op, typ, value = w["op"], w["type"], w["rest_value"]
    if op == "create-empty" and w["format"] == 11542:
        return {(3442, 4): None}
    if op == "create-with-id":
        base += (4,)
    elif op == "create-without-id":
        base += (None,)
    if typ == "INSTANCE":
        return of_instance(base, value)
    if typ == "COMPOSITE":
        return of_composite(value)
    if isinstance(value, dict) and "objectId" not in value:
        return {base + (int(k),): given(typ, x) for k, x in value.items()}
    return {base: given(typ, value)}


def check(ct):
    n = 0
    for w in VECTORS["writes"]:
        if w["format"] != ct:
            continue
        n += 1
        fmt = formats.get(ct)
        payload = memoryview(bytes.fromhex(w["hex"]))
        if w["type"] == "PATHS":
            equal(fmt.decode_paths(payload), [ids(s) for s in w["rest_value"].split(",")])
            continue
        base = ids(w["path"])
        want = wanted(w, base)
        # Decimals beyond single precision are refused, where floats have no more than that.
        if SINGLE and ct in DECIMAL and any(type(x) is float and x - x != 0 for x in want.values()):
            raises(Error, fmt.decode, base, payload, typeof)
            continue
        got = fmt.decode(base, payload, typeof)
        equal(len(got), len(dict(got)))
        equal(dict(got), want)
        for path, value in got:
            assert type(value) is type(want[path]), (w, value)
    return n


def test_text():
    equal(check(0), 73)


def test_opaque():
    equal(check(42), 4)


def test_cbor():
    equal(check(60), 73)


def test_senml_json():
    equal(check(110), 93)


def test_senml_cbor():
    equal(check(112), 95)


def test_tlv():
    equal(check(11542), 89)


def test_json_of_lwm2m_1_0():
    equal(check(11543), 88)


def test_nothing_captured_is_left_out():
    equal(73 + 4 + 73 + 93 + 95 + 89 + 88, len(VECTORS["writes"]))


SECURITY = {0: "coap://127.0.0.1:5683", 1: False, 2: 3, 3: b"", 4: b"", 5: b"", 6: 3, 7: b"",
            8: b"", 9: "", 10: 123, 11: 1, 12: 0, 17: (21, 1)}
SERVER = {0: 123, 1: 300, 2: 1, 6: True, 7: "U"}
FULL = {3: 60, 5: 100, 13: 1, 14: 2, 15: True, 16: True, 17: 3, 18: 4, 19: 5, 20: 6, 21: True,
        22: "U", 23: False}
FULL.update(SERVER)
KEYS = {0: b"\x01\x02\x03\x04", 1: b"\x01", 2: b"\x02"}
OSCORE = dict(KEYS)
OSCORE.update({3: 10, 4: -10})
SALTED = dict(KEYS)
SALTED.update({3: 30, 4: -10, 5: b"\x09\x09"})
BOOTSTRAP = (SECURITY, SERVER, OSCORE, SALTED, SECURITY, SERVER, FULL, OSCORE, KEYS, OSCORE)


def test_bootstrap_writes():
    equal(len(VECTORS["bootstrap_writes"]), len(BOOTSTRAP))
    for w, want in zip(VECTORS["bootstrap_writes"], BOOTSTRAP):
        base = ids(w["path"])
        got = formats.get(w["format"]).decode(base, bytes.fromhex(w["hex"]), typeof)
        equal(dict(got), {base + (rid,): value for rid, value in want.items()})


# Answers of a device that Leshan was shown: what stands in them by the words of the file, None
# where we refuse them. That is more than Leshan takes, but for a Time with tag 0 or a fraction.
ANSWERS = {
    "senml NaN": "nan",
    "cbor NaN": "nan",
    "tlv 2 byte float": None,
    "no content format": 1.5,
    "senml integer for float": 1.0,
    "cbor int for float": 1.0,
    "text 1e-3": 0.001,
    "text 2": 2.0,
    "cbor tag1 int": 946684800,
    "cbor untagged int": 946684800,
    "cbor tag1 double": None,
    "cbor tag0 string": None,
    "senml time int": 946684800,
    "senml time double": None,
    "senml time tag1": 946684800,
    "senml half 42.0 for integer": None,
    "senml half 1.5 for integer": None,
    "cbor half 42.0 for integer": None,
    "tlv 3 byte int": 255,
    "senml bignum": 256,
    "senml vlo": (3, 1),
    "senml vs for objlnk": (3, 1),
    "cbor text objlnk": (3, 1),
    "tlv objlnk": (3, 1),
    "senml indefinite bytes": b"\x00\xff",
    "opaque": b"\x00\xff",
    "text base64": b"\x00\xff",
    "cbor bytes": b"\x00\xff",
    "tlv unsigned 1 byte ff": (1 << 64) - 1,
    "tlv unsigned 00ff": 255,
    "instance senml bn + n": {130: 1.5, 120: 42},
    "instance senml, full names": {130: 1.5, 120: 42},
    "instance, empty senml pack": {},
    "instance, empty tlv": {},
    "instance, no bytes": None,
    "instance senml, path outside target": None,
}


def rid_of(case):
    what = case["what"]
    for word, rid in (("objlnk", 170), ("vlo", 170), ("unsigned", 125), ("integer", 120),
                      ("bignum", 120), ("3 byte int", 120), ("time", 160), ("tag0", 160),
                      ("tag1", 160), ("untagged", 160), ("bytes", 150), ("opaque", 150),
                      ("base64", 150)):
        if word in what and what not in ("senml integer for float",):
            return rid
    return 130


def test_answers_that_leshan_was_shown():
    for case in VECTORS["leshan_decoder"]["cases"]:
        want = ANSWERS.get(case["what"], 1.5)
        base = (3442, 0)
        if "instance" not in case["what"]:
            base += (rid_of(case),)
            want = want if want is None else {base: want}
        elif want is not None:
            want = {base + (rid,): value for rid, value in want.items()}
        fmt = formats.get(case["format"] or 0)
        payload = bytes.fromhex(case["hex"])
        if want is None:
            equal(raises(Error, fmt.decode, base, payload, typeof).code, BAD_REQUEST)
            continue
        got = dict(fmt.decode(base, payload, typeof))
        if want.get(base) == "nan":
            assert got[base] != got[base]
        else:
            equal(got, want)


def written(ct, rid, value):
    buf = bytearray(64)
    path = (3442, 0, rid)
    n = formats.get(ct).encode(path, [(path, TYPES[rid], value)], buf)
    return str(bytes(buf[:n]).hex())


def test_what_we_write_is_in_a_form_that_leshan_takes():
    cases = VECTORS["leshan_decoder"]["cases"]
    taken = {c["what"]: c["hex"] for c in cases if c["accepted"]}
    for what, ct, rid, value in (
        ("senml single", 112, 130, 1.5),
        ("cbor single", 60, 130, 1.5),
        ("tlv 4 byte", 11542, 130, 1.5),
        ("text", 0, 130, 1.5),
        ("senml json", 110, 130, 1.5),
        ("cbor tag1 int", 60, 160, 946684800),
        ("senml time int", 112, 160, 946684800),
        ("senml vlo", 112, 170, (3, 1)),
        ("cbor text objlnk", 60, 170, (3, 1)),
        ("tlv objlnk", 11542, 170, (3, 1)),
        ("text base64", 0, 150, b"\x00\xff"),
        ("cbor bytes", 60, 150, b"\x00\xff"),
        ("opaque", 42, 150, b"\x00\xff"),
        ("tlv unsigned 00ff", 11542, 125, 255),
    ):
        equal(written(ct, rid, value), taken[what])
    # A Float that happens to be whole stays a float, an Integer never becomes one.
    equal(written(112, 130, 1), "81a2216b2f333434322f302f31333002fa3f800000")
    equal(written(60, 130, 42), "fa42280000")
    equal(written(110, 130, 42), str(b'[{"bn":"/3442/0/130","v":42.0}]'.hex()))
    equal(written(0, 130, 42), str(b"42.0".hex()))
    equal(written(112, 120, 42), "81a2216b2f333434322f302f31323002182a")
