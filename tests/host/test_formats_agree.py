# The content formats agree with `cbor2`, `json` and a TLV reader written from the specification.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import base64
import json
import math
import random
import struct
from pathlib import Path

import cbor2
import pytest
from hypothesis import HealthCheck, currently_in_test_context, given, note, seed, settings
from hypothesis import strategies as st

SCRIPT = Path(__file__).with_name("agree_formats.py")
SEED = random.SystemRandom().getrandbits(32)
BAD_REQUEST = "! 128"

TEXT, OPAQUE, CBOR, SENML_JSON, SENML_CBOR = 0, 42, 60, 110, 112
TLV, JSON, LWM2M_CBOR = 11542, 11543, 11544
ALL = (TEXT, OPAQUE, CBOR, SENML_JSON, SENML_CBOR, TLV, JSON, LWM2M_CBOR)

STR, INT, UINT, FLOAT, BOOL, BYTES, TIME, LINK, CORELNK = range(9)


def run(examples):
    def wrap(test):
        test = seed(SEED)(test)
        return settings(
            max_examples=examples,
            deadline=None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
        )(test)

    return wrap


def say(line):
    if currently_in_test_context():
        note(line)


class Board:
    """One MicroPython process that answers line by line."""

    def __init__(self, micropython):
        self.process = micropython.popen(SCRIPT, heap="2M")

    def ask(self, *words):
        line = " ".join(str(w) for w in words)
        say(line)
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, "the interpreter has ended"
        say(answer)
        return answer.strip()

    def encode(self, ct, base, nodes):
        answer = self.ask("E", ct, path_text(base), *(node_text(p, v) for p, v in nodes))
        return b"" if answer == "-" else bytes.fromhex(answer)

    def decode(self, ct, base, payload):
        return self.ask("D", ct, path_text(base), payload.hex() or "-")


@pytest.fixture(scope="module")
def board(micropython):
    print("seed", SEED)  # pytest shows it when a test fails
    board = Board(micropython)
    yield board
    board.process.stdin.close()
    board.process.wait(timeout=10)
    board.process.stdout.close()


def path_text(path):
    return "/".join(str(n) for n in path) or "/"


def value_text(value):
    if isinstance(value, str):
        return value.encode().hex()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float):
        return struct.pack(">d", value).hex()
    if isinstance(value, tuple):
        return "%d:%d" % value
    return "%d" % value


def node_text(path, value):
    return path_text(path) + "=" + value_text(value)


def answer_of(nodes):
    return " ".join(node_text(p, v) for p, v in nodes)


# ---- what is written

text = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
ids = st.one_of(st.integers(0, 30), st.integers(0, 65535))
int64 = st.one_of(st.integers(-300, 300), st.integers(-(1 << 63), (1 << 63) - 1))
floats = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.floats(width=16, allow_nan=False, allow_infinity=False),
    st.integers(-1000, 1000).map(lambda n: n / 8),
)
VALUES = (
    text,
    int64,
    st.one_of(st.integers(0, 300), st.integers(0, (1 << 64) - 1)),
    floats,
    st.booleans(),
    st.binary(max_size=300),
    int64,
    st.tuples(ids, ids),
    text,
)


@st.composite
def resources(draw, max_iids=1):
    """Nodes of object 9, ascending: rid 0 to 8 single, 100 to 108 multiple; type is rid mod 100."""
    nodes = []
    for iid in sorted(draw(st.sets(ids, min_size=1, max_size=max_iids))):
        rids = st.one_of(st.integers(0, 8), st.integers(100, 108), st.integers(300, 308))
        for rid in sorted(draw(st.sets(rids, max_size=6))):
            value = VALUES[rid % 100]
            if rid < 100 or rid >= 300:
                nodes.append(((9, iid, rid), draw(value)))
            else:
                for riid in sorted(draw(st.sets(ids, min_size=1, max_size=3))):
                    nodes.append(((9, iid, rid, riid), draw(value)))
    return nodes


@st.composite
def targets(draw, ct):
    """(base, nodes below it) for a format."""
    if ct in (TEXT, OPAQUE, CBOR):
        typ = BYTES if ct == OPAQUE else draw(st.integers(0, 8))
        path = draw(st.sampled_from([(9, 0, typ), (9, 1, 100 + typ, 300)]))
        return path, [(path, draw(VALUES[typ]))]
    nodes = draw(resources(3))
    if not nodes:
        return draw(st.sampled_from([(9,), (9, 0)])), nodes
    base = draw(st.sampled_from(nodes))[0]
    base = base[: draw(st.integers(0 if ct in (SENML_JSON, SENML_CBOR, LWM2M_CBOR) else 1, len(base)))]
    return base, [node for node in nodes if node[0][: len(base)] == base]


def typ_of(path):
    return path[2] % 100


def loads(payload):
    # cbor2 makes a date of tag 1, which ends with the year 9999: keep the number.
    return cbor2.loads(payload, semantic_decoders={1: lambda x, _: ("epoch", x)})


def checked(path, x, tagged):
    """The value of a CBOR or JSON item, if that is what the specification has for the type."""
    typ = typ_of(path)
    if typ == LINK:
        assert isinstance(x, str)
        return tuple(int(s) for s in x.split(":"))
    if typ == TIME and tagged:
        epoch, x = x
        assert epoch == "epoch"
    assert type(x) is (str, int, int, float, bool, bytes, int, None, str)[typ], (path, x)
    return x


def tlv(data):
    """A reader of TLV from the words of the specification: (kind, id, body)."""
    pos = 0
    while pos < len(data):
        first = data[pos]
        pos += 1
        n = 2 if first & 0x20 else 1
        ident = int.from_bytes(data[pos : pos + n], "big")
        pos += n
        n = first >> 3 & 3
        length = int.from_bytes(data[pos : pos + n], "big") if n else first & 7
        pos += n
        assert pos + length <= len(data)
        yield first >> 6, ident, data[pos : pos + length]
        pos += length


def tlv_value(path, data):
    typ = typ_of(path)
    if typ in (STR, CORELNK):
        return data.decode()
    if typ == BYTES:
        return data
    if typ == FLOAT:
        return struct.unpack(">f" if len(data) == 4 else ">d", data)[0]
    if typ == LINK:
        return struct.unpack(">HH", data)
    if typ == BOOL:
        return {b"\x00": False, b"\x01": True}[data]
    assert len(data) in (1, 2, 4, 8)
    value = int.from_bytes(data, "big", signed=typ != UINT or len(data) < 8)
    # As few bytes as a signed integer needs.
    half = len(data) // 2
    assert half == 0 or typ == UINT and value >= 1 << 63 or not -(1 << 8 * half - 1) <= value < 1 << 8 * half - 1
    return value


def read_tlv(base, payload):
    if len(base) == 1:
        for kind, iid, body in tlv(payload):
            assert kind == 0
            yield from read_tlv(base + (iid,), body)
        return
    for kind, ident, body in tlv(payload):
        if len(base) == 4:
            assert kind == 1 and ident == base[3]
            yield base, tlv_value(base, body)
            continue
        path = base[:2] + (ident,)
        assert kind in (2, 3) and path[: len(base)] == base
        if kind == 3:
            yield path, tlv_value(path, body)
        else:
            for kind, riid, data in tlv(body):
                assert kind == 1
                yield path + (riid,), tlv_value(path, data)


def read_nested(path, item):
    if not isinstance(item, dict):
        yield path, checked(path, item, True)
        return
    for key, below in item.items():
        assert type(key) is int
        yield from read_nested(path + (key,), below)


def read(ct, base, payload):
    """list of (path, value) in a payload of ours, by means that are not ours."""
    if ct == TEXT:
        s = payload.decode()
        typ = typ_of(base)
        if typ == BYTES:
            value = base64.b64decode(s, validate=True)
        elif typ == FLOAT:
            value = float(s)
        elif typ == BOOL:
            value = {"0": False, "1": True}[s]
        elif typ == LINK:
            value = tuple(int(x) for x in s.split(":"))
        else:
            value = s if typ in (STR, CORELNK) else int(s)
        return [(base, value)]
    if ct == OPAQUE:
        return [(base, payload)]
    if ct == CBOR:
        return [(base, checked(base, loads(payload), True))]
    if ct == TLV:
        return list(read_tlv(base, payload))
    if ct == LWM2M_CBOR:
        return list(read_nested((), loads(payload)))
    records = json.loads(payload) if ct in (SENML_JSON, JSON) else cbor2.loads(payload)
    bn = ""
    if ct == JSON:
        assert set(records) == {"bn", "e"}
        bn, records = records["bn"], records["e"]
    out = []
    for record in records:
        if ct == SENML_CBOR:
            names = {-2: "bn", 0: "n", 2: "v", 3: "vs", 4: "vb", 8: "vd", "vlo": "vlo"}
            record = {names[k]: x for k, x in record.items()}
        bn = record.pop("bn", bn)
        name = bn + record.pop("n", "")
        assert name[0] == "/"
        path = tuple(int(s) for s in name[1:].split("/"))
        ((label, value),) = record.items()
        typ = typ_of(path)
        if ct == JSON:
            want = ("sv", "v", "v", "v", "bv", "sv", "v", "ov", "sv")[typ]
        else:
            want = ("vs", "v", "v", "v", "vb", "vd", "v", "vlo", "vs")[typ]
        assert label == want
        if typ == BYTES and ct == JSON:
            value = base64.b64decode(value, validate=True)
        elif typ == BYTES and ct == SENML_JSON:
            assert "=" not in value
            value = base64.b64decode(value + "=" * (-len(value) % 4), b"-_", validate=True)
        out.append((path, checked(path, value, False)))
    return out


@pytest.mark.parametrize("ct", ALL)
def test_what_is_written(board, ct):
    @run(60)
    @given(targets(ct))
    def check(target):
        base, nodes = target
        payload = board.encode(ct, base, nodes)
        note(payload.hex())
        assert answer_of(read(ct, base, payload)) == answer_of(nodes)
        if ct in (SENML_CBOR, LWM2M_CBOR) and nodes and max(map(len, map(str, nodes))) < 100:
            # Floats in single precision where that loses nothing.
            for path, value in nodes:
                if typ_of(path) == FLOAT and single(value):
                    assert b"\xfa" + struct.pack(">f", value) in payload

    check()


def single(x):
    try:
        return struct.unpack(">f", struct.pack(">f", x))[0] == x
    except OverflowError:
        return False


# ---- what is read


class Writer:
    """Writes nodes in one of the many forms that a format allows, as draw chooses."""

    def __init__(self, draw, base, nodes):
        self.draw, self.base, self.nodes = draw, base, nodes

    def either(self, *of):
        return self.draw(st.sampled_from(of))

    def number(self, x):
        """JSON text of a number."""
        if isinstance(x, float):
            s = repr(x)
            return s.replace("e", "E") if self.either(0, 1) else s
        forms = [str(x)]
        if x and x % 10 == 0:
            forms += ["%de1" % (x // 10), "%d.0E+01" % (x // 10)]
            forms += ["%d0e-1" % x]
        forms += ["%d.0" % x]
        return self.either(*forms)

    def records(self):
        """SenML records as lists of (label, path and value, or name)."""
        base = path_text(self.base)
        style = self.either("base", "slash", "full", "each", "two") if self.base else "full"
        out = []
        for i, (path, value) in enumerate(self.nodes):
            full = "/" + path_text(path)
            record = [("value", (path, value))]
            if style in ("base", "slash"):
                bn = "/" + base + ("/" if style == "slash" and path != self.base else "")
                if path == self.base or style == "slash" and len(self.nodes) == 1:
                    bn = "/" + base + ("/" if len(full) > len(bn) and style == "slash" else "")
                if i == 0:
                    record.append(("bn", bn))
                if full[len(bn) :]:
                    record.append(("n", full[len(bn) :]))
            elif style == "full":
                record.append(("n", full))
            elif style == "each":
                record.append(("bn", full))
            else:
                at = self.draw(st.integers(1, len(full)))
                record += [("bn", full[:at])] + ([("n", full[at:])] if full[at:] else [])
            if self.either(0, 0, 1):
                record.append(("t", 5))
            if self.either(0, 0, 1) and not i:
                record.append(("bt", 1.5e9))
            if self.either(0, 0, 1):
                record.append(("u", "m"))
            out.append(self.draw(st.permutations(record)))
        return out

    def label(self, path, names=("vs", "v", "v", "v", "vb", "vd", "v", "vlo", "vs")):
        typ = typ_of(path)
        return self.either("vs", "vlo") if typ == LINK and "vs" in names else names[typ]

    def json(self):
        space = self.either("", " ", "\n\t", "\r ")
        comma = space + "," + space

        def quoted(s):
            return json.dumps(s, ensure_ascii=self.either(True, False))

        parts = []
        for record in self.records():
            members = []
            for label, x in record:
                if label == "value":
                    path, x = x
                    label, typ = self.label(path), typ_of(path)
                    if typ in (INT, UINT, FLOAT, TIME):
                        x = self.number(x)
                    elif typ == BYTES:
                        x = base64.urlsafe_b64encode(x).decode()
                        x = quoted(x.rstrip("=") if self.either(0, 1) else x)
                    elif typ == LINK:
                        x = quoted("%d:%d" % x)
                    elif typ == BOOL:
                        x = json.dumps(x)
                    else:
                        x = quoted(x)
                else:
                    x = json.dumps(x)
                members.append(quoted(label) + space + ":" + space + x)
            parts.append("{" + space + comma.join(members) + space + "}")
        return (space + "[" + comma.join(parts) + space + "]" + space).encode()

    def item(self, path, x, tagged=False):
        """CBOR of one value."""
        typ = typ_of(path)
        if typ == LINK:
            x = "%d:%d" % x
        elif typ == TIME and self.either(True, tagged):
            return b"\xc1" + cbor2.dumps(x)
        elif typ == FLOAT:
            if x == int(x) and abs(x) < 2**53 and x and self.either(0, 1):
                return cbor2.dumps(int(x))
            return cbor2.dumps(x, canonical=self.either(True, False))
        data = cbor2.dumps(x)
        if typ in (STR, BYTES, CORELNK) and self.either(0, 0, 1):
            data = (b"\x7f" if isinstance(x, str) else b"\x5f") + data + b"\xff"
        return b"\xd9\xd9\xf7" + data if self.either(0, 0, 0, 1) else data

    def several(self, major, items):
        if self.either(0, 1):
            return bytes((major << 5 | 31,)) + b"".join(items) + b"\xff"
        n = len(items) if major == 4 else len(items) // 2
        return bytes((major << 5 | n,) if n < 24 else (major << 5 | 24, n)) + b"".join(items)

    def cbor(self):
        numbers = {"bn": -2, "bt": -3, "n": 0, "u": 1, "v": 2, "vs": 3, "vb": 4, "t": 6, "vd": 8}
        parts = []
        for record in self.records():
            members = []
            for label, x in record:
                if label == "value":
                    label, x = self.label(x[0]), self.item(*x)
                else:
                    x = cbor2.dumps(x)
                members += [cbor2.dumps(numbers.get(label, label)), x]
            parts.append(self.several(5, members))
        start = b"\xd9\xd9\xf7" if self.either(0, 1) else b""
        return start + self.several(4, parts)

    def nested(self, nodes=None, at=0):
        nodes = self.nodes if nodes is None else nodes
        members = []
        while nodes:
            path = nodes[0][0]
            n = self.draw(st.integers(1, len(path) - at))
            key = path[at : at + n]
            below = [node for node in nodes if node[0][at : at + n] == key]
            if n > 1 or self.either(0, 0, 1):
                members.append(self.several(4, [cbor2.dumps(k) for k in key]))
            else:
                members.append(cbor2.dumps(key[0]))
            if at + n == len(path):
                members.append(self.item(*nodes[0], True))
            else:
                members.append(self.nested(below, at + n))
            nodes = nodes[len(below) :]
        return self.several(5, members)

    def tlv(self):
        # From the instances down, or from where the path of the request ends.
        base = self.base[: self.draw(st.integers(1, max(1, len(self.base))))]
        return self.tlv_below(base, self.nodes)

    def tlv_below(self, base, nodes):
        out = b""
        if len(base) == 1 and nodes:
            return self.tlv_of(0, nodes, 1)
        if len(base) == 4:
            return self.tlv_of(1, nodes, 3)
        if len(base) == 3 and nodes and len(nodes[0][0]) == 4 and self.either(0, 1):
            return self.tlv_of(1, nodes, 3)
        while nodes:
            rid = nodes[0][0][:3]
            below = [node for node in nodes if node[0][:3] == rid]
            nodes = nodes[len(below) :]
            if len(below[0][0]) == 3:
                out += self.tlv_of(3, below, 2)
            else:
                out += self.head(2, rid[2], self.tlv_of(1, below, 3))
        return out

    def tlv_of(self, kind, nodes, level):
        out = b""
        while nodes:
            key = nodes[0][0][: level + 1]
            below = [node for node in nodes if node[0][: level + 1] == key]
            nodes = nodes[len(below) :]
            if kind == 0:
                body = self.tlv_below(key, below)
            else:
                body = self.tlv_bytes(*below[0])
            out += self.head(kind, key[level], body)
        return out

    def head(self, kind, ident, body):
        wide = ident > 255 or self.either(0, 0, 1)
        sizes = [n for n in (0, 1, 2, 3) if len(body) < (8, 256, 65536, 1 << 24)[n]]
        n = self.either(*sizes)
        first = kind << 6 | wide << 5 | n << 3 | (0 if n else len(body))
        length = len(body).to_bytes(n, "big") if n else b""
        return bytes((first,)) + ident.to_bytes(1 + wide, "big") + length + body

    def tlv_bytes(self, path, x):
        typ = typ_of(path)
        if typ in (STR, CORELNK):
            return x.encode()
        if typ == BYTES:
            return x
        if typ == FLOAT:
            return struct.pack(">f", x) if single(x) and self.either(0, 1) else struct.pack(">d", x)
        if typ == LINK:
            return struct.pack(">HH", *x)
        if typ == BOOL:
            return bytes((x,))
        if typ == UINT and x >= 1 << 63:
            x -= 1 << 64
        fits = [n for n in range(1, 9) if -(1 << 8 * n - 1) <= x < 1 << 8 * n - 1]
        return x.to_bytes(self.either(*fits), "big", signed=True)

    def write(self, ct):
        if ct == CBOR:
            return self.item(*self.nodes[0], True)
        return {SENML_JSON: self.json, SENML_CBOR: self.cbor, TLV: self.tlv, LWM2M_CBOR: self.nested}[ct]()


@pytest.mark.parametrize("ct", (CBOR, SENML_JSON, SENML_CBOR, TLV, LWM2M_CBOR))
def test_what_is_read(board, ct):
    @run(120)
    @given(st.data())
    def check(data):
        base, nodes = data.draw(targets(ct))
        payload = Writer(data.draw, base, nodes).write(ct)
        note(payload)
        assert board.decode(ct, base, payload) == answer_of(nodes)

    check()


@pytest.mark.parametrize("ct", ALL)
def test_what_is_not_a_payload(board, ct):
    """Bytes of any kind, and payloads that are changed, are read or refused."""
    outcomes = set()

    @run(150)
    @given(st.data())
    def check(data):
        base, nodes = data.draw(targets(ct))
        payload = bytearray(board.encode(ct, base, nodes))
        if data.draw(st.booleans()):
            payload = bytearray(data.draw(st.binary(max_size=60)))
        else:
            for _ in range(data.draw(st.integers(1, 3))):
                at = data.draw(st.integers(0, len(payload)))
                payload[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
        base = base[: data.draw(st.integers(0, 4))]
        answer = board.decode(ct, base, payload)
        assert not answer.startswith("escaped")
        assert answer[:1] != "!" or answer == BAD_REQUEST
        outcomes.add(answer == BAD_REQUEST)
        if ct in (SENML_JSON, SENML_CBOR):
            answer = board.ask("P", ct, "/", payload.hex() or "-")
            assert not answer.startswith("escaped")

    check()
    assert True in outcomes  # by chance alone few are still payloads of such a base


def test_paths(board):
    @run(40)
    @given(st.lists(st.lists(ids, max_size=4).map(tuple), max_size=6))
    def check(paths):
        records = [{"n": "/" + "/".join(map(str, p))} for p in paths]
        want = " ".join(map(path_text, paths))
        assert board.ask("P", SENML_JSON, "/", json.dumps(records).encode().hex()) == want
        assert board.ask("P", SENML_CBOR, "/", cbor2.dumps([{0: r["n"]} for r in records]).hex()) == want

    check()


def test_floats_that_are_not_numbers(board):
    for x in (math.inf, -math.inf, math.nan):
        for ct in (CBOR, SENML_CBOR, TLV, LWM2M_CBOR):
            payload = board.encode(ct, (9, 0, 3), [((9, 0, 3), x)])
            ((_, got),) = read(ct, (9, 0, 3), payload)
            assert math.isnan(got) if math.isnan(x) else got == x
        for ct in (TEXT, SENML_JSON, JSON):
            assert board.ask("E", ct, "9/0/3", node_text((9, 0, 3), x)) == "! 134"
