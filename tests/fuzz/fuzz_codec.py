# Targets without state: CoAP messages, OSCORE options, records in flash, CBOR, formats.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import math

import cbor
import coap.message as m
import lwm2m.formats as formats
from check import equal
from coap.block import block_of, key_of
from fuzz_targets import Input
from oscore.account import Account
from oscore.derive import unbstr
from oscore.limits import Limits
from oscore.message import decode_option, encode_option, option_of
from oscore.record import Record as _Record
from oscorepair import CLIENT, SECRET, SERVER, Rand, recorder


def plain(msg):
    return msg.code, [(n, bytes(v)) for n, v in msg.options], bytes(msg.payload)


class Message:
    """A datagram: what decodes is encoded to the same message again."""

    def seeds(self):
        out = [b"\x40\0\0\0", b"\x70\0\x12\x34", b"\x48\x01\x12\x3412345678\xff1"]
        for kind, code in ((0, 1), (1, 2), (2, 0x45), (0, 5), (2, 0x5F), (1, 0xA0)):
            msg = m.Message(code, kind, 0x1234, b"tok", b"payload" * (code & 3))
            msg.add(m.URI_PATH, "3").add(m.URI_PATH, "\xfc").add(m.URI_QUERY, "a=b")
            msg.add(m.BLOCK1, 0x1A).add(m.BLOCK2, 6).add(m.OBSERVE, 0).add(m.CONTENT_FORMAT, 11542)
            msg.add(m.OSCORE, b"\x09\x14C").add(2049, bytes(270)).add(m.ECHO, bytes(20))
            out.append(m.encode(msg))
        return out

    def __call__(self, data):
        kept = bytes(data)
        try:
            msg = m.decode(data)
        except m.FormatError as e:
            assert e.type is None or (0 <= e.type < 4 and 0 <= e.mid < 0x10000)
            return
        m.describe(msg.code)
        for number, value in msg.options:
            assert 0 <= number < 0x10000
            m.uint(value)
        try:
            msg.path()
        except m.Error as e:
            equal(e.code, m.BAD_OPTION)
        for number in (m.BLOCK1, m.BLOCK2):
            try:
                block_of(msg, number)
            except m.Error:
                pass
        if 0 < msg.code < 32:
            key_of(msg)
        n = len(m.encode(msg))
        buf = bytearray(n + 2)
        equal(m.encode(msg, buf, 1), n)
        equal((buf[0], buf[-1]), (0, 0))
        copy = m.decode(buf[1:-1])
        equal(plain(copy), plain(msg))
        equal((copy.type, copy.mid, copy.token), (msg.type, msg.mid, msg.token))
        equal(bytes(data), kept)


class Option:
    """The value of an OSCORE option: whatever is taken has one form only."""

    def seeds(self):
        out = [b"", b"\x01\0", b"\x09\x14C", b"\x19\x14\x02\x41\x37C", b"\x1d\1\2\3\4\5\0S", b"\x08"]
        return out + [b"\x19\0\x0a\x58\x08" + bytes(8) + b"Cl", b"\x10\x01\x40"]

    def __call__(self, data):
        try:
            piv, kid, kid_context = decode_option(data)
        except ValueError:
            return
        equal(encode_option(piv or b"", kid, kid_context), bytes(data))
        if kid_context is not None:
            inner = unbstr(kid_context)
            assert inner is None or len(inner) < len(kid_context)
        outer = m.Message(m.POST).add(m.OSCORE, data)
        equal(bytes(option_of(outer)), bytes(data))
        try:
            option_of(outer.add(m.OSCORE, b""))
            raise AssertionError("two options")
        except ValueError:
            pass


class _Flash:
    def __init__(self, data):
        self.data = data

    def read(self):
        return self.data

    def write(self, data):
        self.data = data


class Record:
    """A record in flash: refused, or the account goes on behind its numbers."""

    def seeds(self):
        out = []
        for args in (
            (None, 64, None, False),
            (b"12345678", 64, (5, 0x3F), True),
            (bytes(24), 1 << 33, (-1, 0), False),
            (b"", 0, (1 << 39, (1 << 64) - 1), False),
        ):
            flash = _Flash(None)
            _Record(flash.read, flash.write).commit(*args)
            out.append(flash.data)
        return out

    def __call__(self, data):
        recorder.forget()
        flash = _Flash(bytes(data))
        record = _Record(flash.read, flash.write)
        try:
            id_context, end, window, show = record.load()
        except ValueError:
            assert flash.data == bytes(data)
        else:
            record.commit(id_context, end, window, show)
            equal(_Record(flash.read, flash.write).load(), (id_context, end, window, show))
        flash.data = bytes(data)
        account = Account(
            SECRET, CLIENT, SERVER, random=Rand(1), persist=_Record(flash.read, flash.write), policy="b1"
        )
        if account.ctx is None:
            equal((account.state, flash.data), ("new", bytes(data)))
            return
        assert account.ctx.seq >= end
        try:
            account.seal_request(m.Message(m.GET))
            assert _Record(flash.read, flash.write).load()[1] >= account.ctx.seq
        except m.Error as e:
            equal(e.code, m.UNAVAILABLE)  # the record's numbers are at their end
            assert end + 64 > Limits.sequence
        account.save()
        try:
            _Record(flash.read, flash.write).load()
        except ValueError:
            raise AssertionError("its own record")


class Cbor:
    """One item: refused, or written to be read as the same again."""

    def seeds(self):
        out = [
            0, -1, 23, 24, 1 << 32, -(1 << 63), 1 << 70, 1.5, 1e300, -0.0, True, None, "", "\xfc",
            b"123", [], [1, [2, {}]], {1: {2: "x"}, "a": b""}, cbor.CBORTag(1, 2), cbor.undefined,
        ]  # fmt: skip
        out = [cbor.dumps(obj) for obj in out]
        for text in (
            "9f018202039f0405ffff", "bf61610161629f0203ffff", "7f657374726561646d696e67ff",
            "5f42010243030405ff", "f97e00", "f90001", "c48221196ab3", "c5822003", "c249010000000000000000",
        ):  # fmt: skip
            out.append(bytes.fromhex(text))
        return out

    def __call__(self, data):
        try:
            obj = cbor.loads(data)
        except cbor.CBORDecodeError:
            return
        again = cbor.dumps(obj)
        equal(plainest(cbor.loads(again)), plainest(obj))


def plainest(obj):
    """What can be compared: dicts have no order under MicroPython, and NaN, which may be a key
    more than once, is no NaN."""
    if isinstance(obj, dict):
        return sorted([repr((cbor.dumps(key), plainest(value))) for key, value in obj.items()])
    if isinstance(obj, list):
        return [plainest(item) for item in obj]
    if isinstance(obj, cbor.CBORTag):
        return obj.tag, plainest(obj.value)
    return cbor.dumps(obj)


def typeof(oid, rid):
    return rid % 100 if oid == 9 and rid % 100 < 9 else None


BASES = ((), (9,), (9, 0), (9, 0, 101), (9, 0, 5), (9, 0, 101, 1), (8, 0, 1), (9, 0, 3))
NODES = [
    ((9, 0, 0), 0, "text \xe4"),
    ((9, 0, 1), 1, -70000),
    ((9, 0, 2), 2, (1 << 64) - 1),
    ((9, 0, 3), 3, 0.5),
    ((9, 0, 4), 4, True),
    ((9, 0, 5), 5, b"\x00\xff\xfe"),
    ((9, 0, 6), 6, 946684800),
    ((9, 0, 7), 7, (3, 1)),
    ((9, 0, 8), 8, "</3>"),
    ((9, 0, 101, 0), 1, 1),
    ((9, 0, 101, 300), 1, -2),
    ((9, 1, 3), 3, 1.5),
]


class Formats:
    """A payload in a content format: refused with 4.00, or encoded to be decoded as the same."""

    def __init__(self):
        self.cts = formats.NUMBERS
        self.buf = bytearray(4096)

    def seeds(self):
        out = []
        for i, ct in enumerate(self.cts):
            fmt = formats.get(ct)
            for j, base in enumerate(BASES):
                nodes = [n for n in NODES if n[0][: len(base)] == base]
                for some in [nodes] + [[n] for n in nodes]:
                    try:
                        payload = bytes(self.buf[: fmt.encode(base, some, self.buf)])
                    except (m.Error, ValueError):
                        continue
                    if payload:
                        out.append(bytes((i, j)) + payload)
        return out

    def __call__(self, data):
        data = Input(data)
        fmt = formats.get(self.cts[data.below(len(self.cts))])
        base = BASES[data.below(len(BASES))]
        payload = data.rest()
        if hasattr(fmt, "decode_paths"):
            try:
                for path in fmt.decode_paths(payload):
                    assert len(path) < 5
            except m.Error as e:
                equal(e.code, m.BAD_REQUEST)
        try:
            records = fmt.decode(base, payload, typeof)
        except m.Error as e:
            equal(e.code, m.BAD_REQUEST)
            return
        nodes = []
        for path, value in records:
            n = len(path)
            assert 2 <= n <= 4 and path[: len(base)] == base[:n], path
            if n > 2 and path[1] is not None and value is not None and not isinstance(value, dict):
                typ = typeof(path[0], path[2])
                if typ is not None:
                    nodes.append((path, typ, value))
        nodes = one_each(nodes)
        if not nodes:
            return
        try:
            n = fmt.encode(base, nodes, self.buf)
        except ValueError:  # a value that this format cannot carry, or too many
            return
        except m.Error as e:
            equal(e.code, m.NOT_ACCEPTABLE)
            return
        again = fmt.decode(base, bytes(self.buf[:n]), typeof)
        equal([path for path, _ in again], [path for path, _, _ in nodes])
        for (_, value), (_, _, want) in zip(again, nodes):
            assert value == want or (value != value and want != want) or near(value, want), (value, want)


def near(value, want):
    # Text holds a float as closely as the port prints it.
    return (
        isinstance(want, float)
        and isinstance(value, float)
        and (math.isinf(want) or abs(value - want) <= 1e-6 * abs(want))
    )


def one_each(nodes):
    """Nodes as encode() wants them: ascending, each path once, none inside another."""
    out = []
    for node in sorted(nodes, key=lambda node: node[0]):
        if not out or node[0][: len(out[-1][0])] != out[-1][0]:
            out.append(node)
    return out
