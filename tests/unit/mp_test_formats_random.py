# Random and mutated payloads: each is decoded, or refused with 4.00, and nothing else happens.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import os
import random

import lwm2m.formats as formats
from coap.message import Error, BAD_REQUEST

_ROUNDS = 10000


def typeof(oid, rid):
    return rid % 100 if oid == 9 and rid % 100 < 9 else None


NODES = [
    ((9, 0, 0), 0, "text \xe4\u20ac"),
    ((9, 0, 1), 1, -70000),
    ((9, 0, 2), 2, (1 << 64) - 1),
    ((9, 0, 3), 3, 0.1),
    ((9, 0, 4), 4, True),
    ((9, 0, 5), 5, b"\x00\xff\xfe"),
    ((9, 0, 6), 6, 946684800),
    ((9, 0, 7), 7, (3, 1)),
    ((9, 0, 8), 8, "</3>"),
    ((9, 0, 101, 0), 1, 1),
    ((9, 0, 101, 300), 1, -2),
    ((9, 1, 3), 3, 1.5),
]

# What no encoder of ours writes, as material for the mutations.
FORMS = {
    60: ("c482200f", "c5822003", "c249010000000000000000", "5f410041ffff", "7f61616162ff", "f93e00",
         "d9d9f7c11a386d4380", "f7", "9f01ff", "bf0102ff"),
    110: (b'[{"bn":"/9/","bt":1.7e9,"n":"0/0","vs":"\\ud83d\\ude00\\n","u":"m"},{"n":"0/3","v":1.0E-7}]'.hex(),),
    112: ("9fbf00643 02f3102 0521642f392f30ffff".replace(" ", ""), "81a3036161220021662f392f302f30",
          "82a300622f30036161 21642f392f30a200622f3302c482200f".replace(" ", "")),
    11543: (b'{"e":[{"n":"0/1","v":5,"t":1},{"n":"0/4","bv":true}],"bt":5,"bn":"/9/"}'.hex(),),
    11544: ("a182090 0a2010502 06".replace(" ", ""), "bf9f0900ffbf0105ffff", "a109a104a0"),
    11542: ("0004", "880900", "080407c30900ffff", "d00500010000"),
    0: (b"-1.5E+07".hex(), b"AP8=".hex()),
}


def seeds(ct):
    fmt = formats.get(ct)
    buf = bytearray(600)
    out = []
    for base in ((9,), (9, 0), (9, 0, 101)):
        nodes = [n for n in NODES if n[0][: len(base)] == base]
        try:
            out.append((base, bytes(buf[: fmt.encode(base, nodes, buf)])))
        except Error:
            pass
    for node in NODES:
        try:
            out.append((node[0], bytes(buf[: fmt.encode(node[0], [node], buf)])))
        except Error:
            pass
    for form in FORMS.get(ct, ()):
        out.append(((9, 0, 3) if ct in (0, 60) else (9,), bytes.fromhex(form)))
    return out


def mutated(payload, others):
    data = bytearray(payload)
    for _ in range(random.randrange(1, 4)):
        kind = random.randrange(6)
        at = random.randrange(len(data) + 1)
        if kind == 0 and data:
            data[at % len(data)] = random.getrandbits(8)
        elif kind == 1 and data:
            data[at % len(data)] ^= 1 << random.randrange(8)
        elif kind == 2:
            data = data[:at]
        elif kind == 3:
            data = data[:at] + data[at + random.randrange(1, 4) :]
        elif kind == 4:
            data = data[:at] + bytes((random.getrandbits(8),)) + data[at:]
        else:
            other = random.choice(others)[1]
            data = data[:at] + other[random.randrange(len(other) + 1) :]
    return bytes(data)


def run(ct):
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed)
    random.seed(seed)
    fmt = formats.get(ct)
    some = seeds(ct)
    bases = ((), (9,), (9, 0), (9, 0, 3), (9, 0, 101), (9, 0, 101, 300), (9, 0, 99), (9, 0, 5))
    taken = 0
    for i in range(_ROUNDS):
        if i & 7 == 7:
            payload = os.urandom(random.randrange(40))
        else:
            base, payload = random.choice(some)
            payload = mutated(payload, some)
        if (i & 7) > 4:
            base = random.choice(bases)
        try:
            got = fmt.decode(base, memoryview(payload), typeof)
        except Error as e:
            assert e.code == BAD_REQUEST
            continue
        except Exception as e:
            print(base, payload)
            raise e
        taken += 1
        for path, value in got:
            check(base, path, value, payload)
        if ct in (110, 112):
            try:
                for path in fmt.decode_paths(payload):
                    assert len(path) <= 4
            except Error:
                pass
    print("taken", taken)
    # Both ways must have been gone, or this shows nothing.
    assert 20 < taken < _ROUNDS - 20


PYTHON = (str, int, int, float, bool, bytes, int, tuple, str)


def check(base, path, value, payload):
    # What is decoded lies in the target and has the type of its resource.
    both = min(len(path), len(base))
    fine = path[:both] == base[:both]
    if value is None and len(path) == 2 or value == {} and len(path) == 3:
        fine = fine and len(path) >= len(base)
    else:
        fine = fine and max(3, len(base)) <= len(path) <= 4
        typ = typeof(path[0], path[2])
        if typ is not None:
            fine = fine and type(value) is PYTHON[typ]
        if typ in (1, 6):
            fine = fine and -1 << 63 <= value < 1 << 63
        elif typ == 2:
            fine = fine and 0 <= value < 1 << 64
    assert fine, (base, path, value, payload)


def test_text():
    run(0)


def test_opaque():
    run(42)


def test_cbor():
    run(60)


def test_senml_json():
    run(110)


def test_senml_cbor():
    run(112)


def test_tlv():
    run(11542)


def test_json_of_lwm2m_1_0():
    run(11543)


def test_lwm2m_cbor():
    run(11544)
