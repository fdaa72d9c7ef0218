# Random and spoilt requests of the server itself, sealed: each has an answer, none does harm.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import random
import re

from aiocoap import Message
from aiocoap.numbers import codes
from aiocoap.numbers.optionnumbers import OptionNumber
from aiocoap.optiontypes import OpaqueOption
from faults.rig import COUNT, ENDPOINT, SALT, SECRET, TEXT

from microlwm2m.bench import formats

REQUESTS = 1500

METHODS = [codes.GET, codes.PUT, codes.POST, codes.DELETE, codes.FETCH, codes.PATCH, codes.iPATCH]
FORMATS = [None, 0, 40, 42, 60, 110, 112, 11542, 11543, 11544, 320, 322, 9999]
PATHS = [
    (), (0,), (0, 0), (0, 0, 5), (1,), (1, 0), (1, 0, 0), (1, 0, 2), (1, 0, 3), (1, 0, 6), (1, 0, 7), (1, 0, 8), (2,),
    (3,), (3, 0), (3, 0, 0), (3, 0, 11), (3, 0, 11, 0), (3, 0, 12), (3, 0, 13), (3, 0, 14), (3, 1), (3303,),
    (3303, 0), (3303, 0, 5605), (3303, 0, 5700), (3303, 0, 5750), (3303, 1), (21,), (21, 0), (21, 0, 0), (26300,),
    (26300, 0), (26300, 0, 1), (26300, 0, 3), (26300, 0, 6), (26300, 0, 7), (26300, 0, 7, 1), (26300, 0, 10),
    (26301,), (26301, 0), (26301, 1), (26301, 1, 0), (26301, 5), (65535,), (9999,), (9999, 0, 0),
]
# What ends the device, or its registration, or changes what the registration says.
TABOO = {(1, 0, 4), (1, 0, 9), (3, 0, 4), (26300, 0, 8), (26300, 0, 12), (1,), (1, 0), (1, 0, 1), (1, 0, 5)}
QUERIES = [
    "pmin=1", "pmax=5", "pmin=9", "pmax=0", "gt=1", "lt=-1e9", "st=0", "st=0.5", "gt=", "gt", "pmin=x", "pmin=-1",
    "pmax=99999999999999999999", "epmin=1", "epmax=2", "edge=1", "con=1", "con=2", "hqmax=3", "depth=0", "depth=3",
    "depth=9", "depth=", "", "=", "ep=x", "\u00e9=1", "gt=1.5", "lt=0.1", "st=-0.1", "pmin=1=2",
]
VALUES = [0, 1, -1, 1 << 31, (1 << 63) - 1, -(1 << 63), 1.5, float("inf"), "", "x", "x" * 300, b"", b"x" * 200, True, (3, 0), (65535, 65535)]


def payload(dice, path, ct, models):
    kind = dice.randrange(4)
    if kind == 0 or ct is None:
        return dice.choice([b"", dice.randbytes(dice.randrange(1, 60)), b"0='x',1", b"1", b"true", b"3:0", b"[]", b"\x80"])
    nodes = []
    for _ in range(dice.randrange(1, 4)):
        below = path + tuple(dice.choice([0, 1, 3, 5, 6, 7, 14, 5750]) for _ in range(3 - len(path)))
        if dice.random() < 0.2 and len(below) == 3:
            below += (dice.randrange(40),)
        if len(path) == 4:
            below = path
        nodes.append((below, dice.choice(VALUES)))
    try:
        data = formats.encode(ct, path, nodes, models)
    except Exception:  # what the format cannot say, or the bench will not
        return dice.randbytes(5)
    return spoilt(dice, data) if kind == 1 else data


TYPED = {
    (3, 0, 13): 1 << 30, (3, 0, 14): "+01", (3, 0, 15): "Europe/Rome", (3303, 0, 5750): "x", (26300, 0, 3): "text",
    (26300, 0, 5): 40, (26300, 0, 6): b"blob", (26300, 0, 7, 1): 5, (26300, 0, 7, 9): 6, (26300, 0, 10): 1.5,
    (26301, 0, 0): "y", (26301, 1, 0): "z", (1, 0, 2): 1, (1, 0, 3): 20, (1, 0, 6): True,
}
READABLE = [p for p in PATHS if p[:1] in ((1,), (3,), (3303,), (26300,), (26301,))]


def spoilt(dice, data):
    data = bytearray(data)
    for _ in range(dice.randrange(1, 4)):
        at = dice.randrange(len(data)) if data else 0
        if dice.random() < 0.3:
            del data[at:]
        elif data:
            data[at] ^= 1 << dice.randrange(8)
    return bytes(data)


def sensible(dice, models):
    """A request that is right, or nearly so."""
    kind = dice.randrange(10)
    ct = dice.choice([110, 112, 11542, 11544, 60, 0])
    path, value = dice.choice(sorted(TYPED.items(), key=str))
    if kind < 2:
        message = Message(code=codes.GET, uri_path=map(str, dice.choice(READABLE)), accept=dice.choice([None, 40, ct]))
        if dice.random() < 0.3:
            message.opt.observe = dice.choice([0, 0, 1])
        return message
    if kind < 3:
        path = dice.choice(READABLE)
        query = dice.sample(QUERIES, 2)
        return Message(code=codes.PUT, uri_path=map(str, path), uri_query=query)
    if kind < 4:
        return Message(code=codes.DELETE, uri_path=["26301", str(dice.randrange(3))])
    if kind < 6:
        ct = dice.choice([110, 112])
        if dice.random() < 0.5:
            paths = dice.sample(READABLE, dice.randrange(1, 4))
            message = Message(code=codes.FETCH, content_format=ct, accept=ct, payload=formats.paths(ct, paths))
            if dice.random() < 0.3:
                message.opt.observe = dice.choice([0, 1])
        else:
            some = sorted(dice.sample(sorted(TYPED, key=str), dice.randrange(1, 4)))
            data = formats.encode(ct, (), [(p, TYPED[p]) for p in some], models)
            message = Message(code=codes.iPATCH, content_format=ct, payload=data)
    elif kind < 7:
        ct = dice.choice([110, 112, 11542, 11544])
        data = formats.encode(ct, (26301,), [((26301, dice.randrange(20), 0), "new")], models)
        message = Message(code=codes.POST, uri_path=["26301"], content_format=ct, payload=data)
    else:
        base = path[: dice.choice([2, 3, 3, 3, 4])]
        if base in TABOO:
            base = path
        data = formats.encode(ct, base, [(path, value)], models)
        message = Message(
            code=dice.choice([codes.PUT, codes.POST]), uri_path=map(str, base), content_format=ct, payload=data
        )
    if dice.random() < 0.4:
        message.payload = spoilt(dice, message.payload)
    return message


def request(dice, models):
    if dice.random() < 0.7:
        try:
            return sensible(dice, models)
        except formats.FormatError:
            pass
    while True:
        path = dice.choice(PATHS)
        if dice.random() < 0.1:
            path = path[:3] + (dice.randrange(70000),)
        segments = [str(n) for n in path]
        if dice.random() < 0.05:
            segments.insert(dice.randrange(len(segments) + 1), dice.choice(["", "x", "01", "-1", "99999999999", "1" * 200, "\u0661"]))
        code = dice.choice(METHODS)
        if code == codes.GET or tuple(int(s) for s in segments if s.isascii() and s.isdigit()) not in TABOO:
            break
    message = Message(code=code, uri_path=segments)
    ct = dice.choice(FORMATS)
    if dice.random() < 0.7 and code != codes.GET:
        message.opt.content_format = ct
        message.payload = payload(dice, path, ct, models)
    if dice.random() < 0.4:
        message.opt.accept = dice.choice(FORMATS[1:])
    if dice.random() < 0.15:
        message.opt.observe = dice.choice([0, 1, 2, 255])
    if dice.random() < 0.25:
        message.opt.uri_query = [dice.choice(QUERIES) for _ in range(dice.randrange(1, 4))]
    for chance, number, values in (
        (0.06, 27, [b"", b"\x08", b"\x0d", b"\x10", b"\x15", b"\x07", b"\xff\xff\xff\xff", dice.randbytes(2)]),
        (0.06, 23, [b"", b"\x05", b"\x10", b"\x07", b"\xff\xff\xff", b"\xff\xff\xff\xff", dice.randbytes(2)]),
        (0.03, 60, [b"\xff", b"\xff\xff\xff\xff\xff"]),
        (0.03, dice.choice([1, 4, 5, 252, 258, 292]), [b"", b"\x00" * 8]),
        (0.02, dice.choice([13, 21, 2049]), [b"x"]),
    ):
        if dice.random() < chance:
            message.opt.add_option(OpaqueOption(OptionNumber(number), dice.choice(values)))
    return message


def test_has_an_answer(rig, seed):
    rig.start()
    dice = random.Random(seed)
    answers = {}
    for n in range(REQUESTS):
        message = request(dice, rig.bench.server.models)
        answer = rig.exchange(message)
        assert answer.code.is_response(), message
        assert SECRET not in answer.payload and SALT not in answer.payload
        code = answer.code.dotted
        answers[code] = answers.get(code, 0) + 1
        if rig.device.log.count("fault:"):
            raise AssertionError("%s %s\n%s" % (message.opt, message.payload.hex(), rig.device.log))
        if n % 200 == 0:
            # The tables do not stay full.
            for iid in range(20):
                rig.bench.delete(ENDPOINT, "/26301/%d" % iid)
    print(sorted(answers.items()))
    assert len(answers) > 8
    # It serves on.
    assert rig.read("/3/0/0") == "microlwm2m"
    rig.write(TEXT, "after")
    assert rig.read(TEXT) == "after"
    rig.execute(COUNT)
    assert not re.search("agreeing|registered", rig.device.log.split("registered location", 1)[1])
