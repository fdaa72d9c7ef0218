# CBOR agrees with `cbor2` on random objects, and with RFC 8949 on what is well-formed.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import math
import random
import struct
from collections.abc import Mapping
from pathlib import Path

import cbor2

SCRIPT = Path(__file__).with_name("agree_cbor.py")
DEPTH = 10


def seeded():
    seed = random.SystemRandom().getrandbits(32)
    print("seed", seed)  # pytest shows it when the test fails
    return random.Random(seed)


def ask(micropython, inputs, items=100000):
    lines = [d.hex() or "-" for d in inputs]
    done = micropython.run(SCRIPT, DEPTH, items, heap="2M", input="\n".join(lines) + "\n", timeout=100)
    assert done.returncode == 0, done.stderr
    answers = done.stdout.split("\n")[:-1]
    assert len(answers) == len(lines)
    return answers


def random_float(r):
    kind = r.randrange(5)
    if kind == 0:
        return struct.unpack(">d", r.randbytes(8))[0]
    if kind == 1:
        return struct.unpack(">f", r.randbytes(4))[0]
    if kind == 2:
        return struct.unpack(">e", r.randbytes(2))[0]
    return r.choice((0.0, -0.0, math.inf, -math.inf, math.nan, r.randrange(10**6) / 10, float(r.randrange(10**6))))


def random_text(r):
    ranges = ((0, 0x80), (0x80, 0x800), (0x800, 0xD800), (0xE000, 0x10000), (0x10000, 0x110000))
    return "".join(chr(r.randrange(*r.choice(ranges))) for _ in range(r.choice((0, 1, 5, 23, 24, 100))))


def random_int(r):
    return r.choice((-1, 1)) * r.getrandbits(r.choice((3, 5, 8, 16, 30, 31, 32, 62, 63, 64, 65, 100))) - r.randrange(2)


def random_scalar(r):
    return r.choice(
        (random_int, random_float, random_text, lambda r: r.randbytes(r.choice((0, 1, 23, 24, 255, 256, 300))),
         lambda r: r.choice((True, False, None, cbor2.undefined, cbor2.CBORSimpleValue(r.choice((0, 19, 32, 255))))))
    )(r)


def random_object(r, depth=0):
    kind = r.randrange(8)
    if depth == DEPTH - 1 or kind < 4 + (depth > 3):  # a big number is a tag, too
        return random_scalar(r)
    n = r.choice((0, 1, 2, 3, 5, 30)) if depth < 2 else r.randrange(3)
    if kind < 6:
        return [random_object(r, depth + 1) for _ in range(n)]
    if kind < 7:
        # 1, 1.0 and True are one key here but three in CBOR: leave floats and booleans out.
        keys = (random_int, random_text, lambda r: r.randbytes(4))
        return {r.choice(keys)(r): random_object(r, depth + 1) for _ in range(n)}
    # Above the tags that cbor2 makes objects of.
    return cbor2.CBORTag(r.randrange(60000, 2**r.choice((17, 32, 64))), random_object(r, depth + 1))


def head(r, major, n):
    """Not always the shortest form."""
    size = r.choice([s for s in (0, 1, 2, 4, 8) if n < (24 if s == 0 else 256**s)])
    if size == 0:
        return bytes((major << 5 | n,))
    return bytes((major << 5 | {1: 24, 2: 25, 4: 26, 8: 27}[size],)) + n.to_bytes(size, "big")


def loose(r, obj):
    """An encoding with longer heads, indefinite lengths and pieces here and there."""
    if isinstance(obj, int) and not isinstance(obj, bool) and -(2**64) <= obj < 2**64:
        return head(r, 0, obj) if obj >= 0 else head(r, 1, -1 - obj)
    if isinstance(obj, (bytes, str)):
        major = 2 if isinstance(obj, bytes) else 3
        parts = [obj]
        pieces = r.randrange(3) == 0
        if pieces:
            cut = r.randrange(len(obj) + 1)
            parts = [obj[:cut], obj[cut:]][: r.randrange(2) + 1 if cut == len(obj) else 2]
        parts = [p if major == 2 else p.encode() for p in parts]
        body = b"".join(head(r, major, len(p)) + p for p in parts)
        return bytes((major << 5 | 31,)) + body + b"\xff" if pieces else body
    if isinstance(obj, (list, dict)):
        major = 4 if isinstance(obj, list) else 5
        items = obj if major == 4 else [x for pair in obj.items() for x in pair]
        body = b"".join(loose(r, x) for x in items)
        if r.randrange(2):
            return bytes((major << 5 | 31,)) + body + b"\xff"
        return head(r, major, len(obj)) + body
    if isinstance(obj, cbor2.CBORTag):
        return head(r, 6, obj.tag) + loose(r, obj.value)
    return cbor2.dumps(obj)


def thawed(obj):
    if isinstance(obj, tuple):
        return list(obj)
    return dict(obj) if isinstance(obj, Mapping) else obj


def same(a, b):
    if isinstance(a, float) and isinstance(b, float):
        return struct.pack(">d", a) == struct.pack(">d", b) or a != a and b != b
    # cbor2 makes what is below a tag immutable.
    a, b = thawed(a), thawed(b)
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    if isinstance(a, dict):
        # MicroPython's dicts have no order.
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, cbor2.CBORTag):
        return a.tag == b.tag and same(a.value, b.value)
    return a == b


def shortest(obj):
    """The length that dumps() may take for obj."""
    if isinstance(obj, float):
        try:
            return 5 if obj != obj or struct.unpack(">f", struct.pack(">f", obj))[0] == obj else 9
        except OverflowError:
            return 9
    if isinstance(obj, (list, dict)):
        items = obj if isinstance(obj, list) else [x for pair in obj.items() for x in pair]
        return len(cbor2.dumps([0] * len(obj))) - len(obj) + sum(shortest(x) for x in items)
    if isinstance(obj, cbor2.CBORTag):
        return len(cbor2.dumps(cbor2.CBORTag(obj.tag, 0))) - 1 + shortest(obj.value)
    return len(cbor2.dumps(obj))


def test_objects_agree(micropython):
    r = seeded()
    objects = [random_object(r) for _ in range(1500)]
    inputs = [cbor2.dumps(obj) if r.randrange(2) else loose(r, obj) for obj in objects]
    for obj, data in zip(objects, inputs):
        assert same(cbor2.loads(data), obj), "the test's own encoder is wrong"
    for obj, data, answer in zip(objects, inputs, ask(micropython, inputs)):
        assert answer[:2] == "= ", (answer[:100], data.hex())
        again = bytes.fromhex(answer[2:])
        assert same(cbor2.loads(again), obj), (again.hex(), data.hex())
        assert len(again) == shortest(obj), (again.hex(), data.hex())


class Malformed(Exception):
    pass


def well_formed(data, pos=0, depth=0, piece_of=None):
    """RFC 8949 appendix C, with the bound of depth: the position after the item."""

    def take(n):
        nonlocal pos
        if n > len(data) - pos:
            raise Malformed
        pos += n
        return data[pos - n : pos]

    first = take(1)[0]
    major, info = first >> 5, first & 31
    if piece_of is not None and (major != piece_of or info == 31):
        raise Malformed
    n = info
    if 24 <= info <= 27:
        n = int.from_bytes(take(1 << info - 24), "big")
    elif 28 <= info <= 30 or info == 31 and major in (0, 1, 6, 7):
        raise Malformed
    if major in (4, 5, 6) and depth == DEPTH:
        raise Malformed
    if major in (2, 3):
        if info == 31:
            while data[pos : pos + 1] != b"\xff":
                pos = well_formed(data, pos, depth, major)
            pos += 1
        else:
            take(n)
    elif major in (4, 5):
        left = n * (major - 3) if info < 31 else -1
        while left and not (left < 0 and data[pos : pos + 1] == b"\xff"):
            pos = well_formed(data, pos, depth + 1)
            if info == 31 and major == 5:
                pos = well_formed(data, pos, depth + 1)
            left -= 1 if left > 0 else 0
        if info == 31:
            pos += 1
    elif major == 6:
        pos = well_formed(data, pos, depth + 1)
    elif major == 7 and info == 24 and n < 32:
        raise Malformed
    return pos


def mutated(r, data):
    data = bytearray(data)
    for _ in range(r.choice((0, 1, 1, 2, 4))):
        at = r.randrange(len(data) + 1)
        kind = r.randrange(4)
        if kind == 0:
            data[at : at + 1] = r.randbytes(1)
        elif kind == 1:
            data[at:at] = r.choice((b"\xff", b"\x9f", b"\x5f", b"\xbf", r.randbytes(3)))
        elif kind == 2:
            del data[at : at + r.randrange(1, 4)]
        elif data:
            data[at % len(data)] ^= 1 << r.randrange(8)
    return bytes(data)


def test_what_is_malformed_agrees_and_raises_one_error(micropython):
    r = seeded()
    inputs = []
    while len(inputs) < 3000:
        obj = random_object(r)
        data = mutated(r, loose(r, obj))[:600] if r.randrange(4) else r.randbytes(r.randrange(20))
        inputs.append(data)
    # What RFC 8949 calls well-formed but cannot be an object here: said in words.
    invalid = ("! text is not UTF-8", "! a key is", "! mantissa", "! number too large", "! type ", "! not a")
    good = bad = 0
    for data, answer in zip(inputs, ask(micropython, inputs)):
        try:
            end = well_formed(data)
        except Malformed:
            assert answer[0] == "!", (answer, data.hex())
            bad += 1
            continue
        if answer.removeprefix("skip ").startswith(invalid):
            continue
        assert answer[:2] == ("= " if end == len(data) else "+ "), (answer, data.hex())
        good += 1
    assert good > 300 and bad > 300


def test_bounds_hold_on_the_way(micropython):
    r = seeded()
    inputs = [loose(r, [random_object(r) for _ in range(50)]) for _ in range(20)]
    for answer in ask(micropython, inputs, items=20):
        assert answer.endswith("MAX_ITEMS"), answer
