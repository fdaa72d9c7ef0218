# CBOR: the examples of RFC 8949 appendix A and F, items over buffers, and bounds.
# MIT license; Copyright (c) 2026 the microlwm2m authors

from binascii import hexlify, unhexlify

import cbor
from cbor import CBORDecodeError, CBORSimpleValue, CBORTag, Reader, Writer
from check import equal, float_cbor, raises

_INF = float("inf")
_ONE = 1.0  # divided at run time: not every port reads all digits of a literal

# RFC 8949 appendix A: what dumps() writes as well (with half=True for floats) ...
_EXAMPLES = (
    ("00", 0), ("01", 1), ("0a", 10), ("17", 23), ("1818", 24), ("1819", 25), ("1864", 100),
    ("1903e8", 1000), ("1a000f4240", 1000000), ("1b000000e8d4a51000", 1000000000000),
    ("1bffffffffffffffff", 18446744073709551615),
    ("c249010000000000000000", 18446744073709551616),
    ("3bffffffffffffffff", -18446744073709551616),
    ("c349010000000000000000", -18446744073709551617),
    ("20", -1), ("29", -10), ("3863", -100), ("3903e7", -1000),
    ("f90000", 0.0), ("f98000", -0.0), ("f93c00", 1.0), ("fb3ff199999999999a", 1.1),
    ("f93e00", 1.5), ("f97bff", 65504.0), ("fa47c35000", 100000.0),
    ("fa7f7fffff", 3.4028234663852886e38), ("fb7e37e43c8800759c", 1.0e300),
    ("f90001", _ONE / (1 << 24)), ("f90400", _ONE / (1 << 14)), ("f9c400", -4.0),
    ("fbc010666666666666", -4.1), ("f97c00", _INF), ("f9fc00", -_INF),
    ("f4", False), ("f5", True), ("f6", None),
    ("f7", CBORSimpleValue(23)), ("f0", CBORSimpleValue(16)), ("f8ff", CBORSimpleValue(255)),
    ("c074323031332d30332d32315432303a30343a30305a", CBORTag(0, "2013-03-21T20:04:00Z")),
    ("c11a514b67b0", CBORTag(1, 1363896240)),
    ("d74401020304", CBORTag(23, b"\x01\x02\x03\x04")),
    ("d818456449455446", CBORTag(24, b"dIETF")),
    ("d82076687474703a2f2f7777772e6578616d706c652e636f6d", CBORTag(32, "http://www.example.com")),
    ("40", b""), ("4401020304", b"\x01\x02\x03\x04"),
    ("60", ""), ("6161", "a"), ("6449455446", "IETF"), ("62225c", '"\\'),
    ("62c3bc", "\u00fc"), ("63e6b0b4", "\u6c34"), ("64f0908591", "\U00010151"),
    ("80", []), ("83010203", [1, 2, 3]), ("8301820203820405", [1, [2, 3], [4, 5]]),
    ("98190102030405060708090a0b0c0d0e0f101112131415161718181819", list(range(1, 26))),
    ("a0", {}), ("826161a161626163", ["a", {"b": "c"}]),
)
# ... maps of several pairs, whose order is the dict's ...
_MAPS = (
    ("a201020304", {1: 2, 3: 4}),
    ("a26161016162820203", {"a": 1, "b": [2, 3]}),
    ("a56161614161626142616361436164614461656145", {c: c.upper() for c in "abcde"}),
)
# ... and what is only read: longer forms and indefinite lengths.
_READ_ONLY = (
    ("fa7f800000", _INF), ("faff800000", -_INF), ("fb7ff0000000000000", _INF),
    ("fbfff0000000000000", -_INF), ("c1fb41d452d9ec200000", CBORTag(1, 1363896240.5)),
    ("5f42010243030405ff", b"\x01\x02\x03\x04\x05"), ("7f657374726561646d696e67ff", "streaming"),
    ("9fff", []), ("9f018202039f0405ffff", [1, [2, 3], [4, 5]]),
    ("9f01820203820405ff", [1, [2, 3], [4, 5]]), ("83018202039f0405ff", [1, [2, 3], [4, 5]]),
    ("83019f0203ff820405", [1, [2, 3], [4, 5]]),
    ("9f0102030405060708090a0b0c0d0e0f101112131415161718181819ff", list(range(1, 26))),
    ("bf61610161629f0203ffff", {"a": 1, "b": [2, 3]}), ("826161bf61626163ff", ["a", {"b": "c"}]),
    ("bf6346756ef563416d7421ff", {"Fun": True, "Amt": -2}),
)
_NANS = ("f97e00", "fa7fc00000", "fb7ff8000000000000")

# RFC 8949 appendix F.1: none of these is well-formed.
_BAD = (
    # end of input in a head, or before all that a head promised
    "18", "19", "1a", "1b", "1901", "1a0102", "1b01020304050607", "38", "58", "78", "98", "9a01ff00",
    "b8", "d8", "f8", "f900", "fa0000", "fb000000", "41", "61", "5affffffff00", "5bffffffffffffffff010203",
    "7affffffff00", "7b7fffffffffffffff010203", "81", "818181818181818181", "8200", "a1", "a20102",
    "a100", "a2000000", "c0", "5f4100", "7f6100", "9f", "9f0102", "bf", "bf01020102", "819f", "9f8000",
    "9f9f9f9f9fffffffff", "9f819f819f9fffffff",
    # reserved additional information
    "1c", "1d", "1e", "3c", "3d", "3e", "5c", "5d", "5e", "7c", "7d", "7e", "9c", "9d", "9e",
    "bc", "bd", "be", "dc", "dd", "de", "fc", "fd", "fe",
    # reserved two-byte simple values
    "f800", "f801", "f818", "f81f",
    # pieces of another type, or of indefinite length themselves
    "5f00ff", "5f21ff", "5f6100ff", "5f80ff", "5fa0ff", "5fc000ff", "5fe0ff", "7f4100ff",
    "5f5f4100ffff", "7f7f6100ffff",
    # a break where none may be
    "ff", "81ff", "8200ff", "a1ff", "a1ff00", "a100ff", "a20000ff", "9f81ff", "9f829f819f9fffffffff",
    "bf00ff", "bf000000ff", "c0ff",
    # integers and tags of indefinite length
    "1f", "3f", "df",
    # more than one item
    "0001", "8000", "f6f6",
    # text that is not UTF-8
    "61ff", "62c328", "7f61c361bcff",
)


def _check_same(got, want):
    equal(got, want)
    equal(type(got), type(want))
    if isinstance(want, float):
        equal(str(got), str(want))  # the sign of zero


def test_rfc8949_appendix_a_loads():
    for data, want in _EXAMPLES + _MAPS + _READ_ONLY:
        for kind in (bytes, bytearray, memoryview):
            _check_same(cbor.loads(kind(unhexlify(data))), want)
    for data in _NANS:
        got = cbor.loads(unhexlify(data))
        assert got != got


def test_rfc8949_appendix_a_dumps():
    for data, obj in _EXAMPLES:
        want = float_cbor(data)
        want = "f97c00" if want == "fa7f800000" else want  # infinity, in single precision
        equal(hexlify(cbor.dumps(obj, half=True)).decode(), want)
    equal(cbor.dumps(float("nan"), half=True), unhexlify("f97e00"))
    for data, obj in _MAPS:
        equal(len(cbor.dumps(obj)), len(data) // 2)
        equal(cbor.loads(cbor.dumps(obj)), obj)


def test_single_precision_when_it_loses_nothing():
    for data, v in (
        ("fa3fc00000", 1.5), ("fa80000000", -0.0), ("fa7f800000", _INF), ("faff800000", -_INF),
        ("fa00000001", 1.401298464324817e-45), ("fb36a0000000000001", 1.4012984643248174e-45),
        ("fa7f7fffff", 3.4028234663852886e38), ("fb47f0000000000000", 3.402823669209385e38),
        ("fb3fb999999999999a", 0.1), ("fa7fc00000", float("nan")), ("fa7fc00000", -float("nan")),
    ):
        equal(hexlify(cbor.dumps(v)).decode(), float_cbor(data))


def test_half_precision_is_exact_or_not_used():
    for bits in range(0, 0x10000, 7):
        data = bytes((0xF9, bits >> 8, bits & 0xFF))
        v = cbor.loads(data)
        if v == v:
            equal(cbor.dumps(v, half=True), data)
    for v in (65505.0, 65536.0, 2.0**-25, 2.0**-24 * 1.5, 1 + 2.0**-11, 2.0**-15 + 2.0**-25):
        equal(cbor.dumps(v, half=True)[0], 0xFA)


def test_not_well_formed():
    for data in _BAD:
        raises(CBORDecodeError, cbor.loads, unhexlify(data))
    raises(CBORDecodeError, cbor.loads, b"")


def test_skip_finds_the_same_end_as_value():
    for data, _ in _EXAMPLES + _MAPS + _READ_ONLY:
        data = unhexlify(data)
        r = Reader(b"\x82" + data + b"\x01")
        equal(r.array(), 2)
        equal(bytes(r.raw()), data)
        equal(r.uint(), 1)
        r.finish()
    for data in _BAD[:-6]:  # but two items, and text, which skip() does not read
        r = Reader(unhexlify(data))
        raises(CBORDecodeError, r.skip)


def test_every_prefix_is_refused():
    whole = cbor.dumps({"a": [1, -500, 2.5, None, b"xyz", {"b": CBORTag(1, 2**40)}], 7: "text"})
    for n in range(len(whole)):
        raises(CBORDecodeError, cbor.loads, whole[:n])


def test_giant_lengths_allocate_nothing():
    for major in (0x40, 0x60, 0x80, 0xA0):
        for n in (0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF):
            data = bytes((major | 27,)) + n.to_bytes(8, "big") + bytes(100)
            raises(CBORDecodeError, cbor.loads, data)
            raises(CBORDecodeError, Reader(data).skip)


def test_depth_is_bounded():
    for opening, inner, closing in (
        (b"\x81", b"\x00", b""), (b"\x9f", b"", b"\xff"), (b"\xa1\x00", b"\x00", b""), (b"\xc9", b"\x00", b""),
    ):
        n = cbor.MAX_DEPTH
        cbor.loads(opening * n + inner + closing * n)
        Reader(opening * n + inner + closing * n).skip()
        for deeper in (n + 1, 10000):
            data = opening * deeper + inner + closing * deeper
            assert "MAX_DEPTH" in str(raises(CBORDecodeError, cbor.loads, data))
            assert "MAX_DEPTH" in str(raises(CBORDecodeError, Reader(data).skip))
    me = []
    me.append(me)
    raises(cbor.CBOREncodeError, cbor.dumps, me)
    cbor.MAX_DEPTH = 1
    cbor.loads(b"\x81\x00")
    raises(CBORDecodeError, cbor.loads, b"\x81\x80")


def test_items_are_bounded():
    n = cbor.MAX_ITEMS
    data = cbor.dumps([0] * (n - 1))
    equal(len(cbor.loads(data)), n - 1)
    assert "MAX_ITEMS" in str(raises(CBORDecodeError, cbor.loads, cbor.dumps([0] * n)))
    raises(CBORDecodeError, cbor.loads, b"\x5f" + b"\x40" * n + b"\xff")
    cbor.MAX_ITEMS = 2
    equal(cbor.loads(b"\x81\x80"), [[]])
    raises(CBORDecodeError, cbor.loads, b"\x82\x00\x00")


def test_keys():
    equal(cbor.loads(unhexlify("a2010201f6")), {1: None})  # the later one
    equal(cbor.loads(unhexlify("a2f7014102f4")), {CBORSimpleValue(23): 1, b"\x02": False})
    equal(cbor.loads(unhexlify("a1c90102")), {CBORTag(9, 1): 2})
    for data in ("a18001", "a1a001", "a1c98001"):
        raises(CBORDecodeError, cbor.loads, unhexlify(data))


def test_decimal_fractions_and_big_floats():
    for data, want in (
        ("c48221196ab3", 273.15),  # RFC 8949 section 3.4.4
        ("c5822003", 1.5),
        ("c482020a", 1000.0), ("c4820000", 0.0), ("c4821b0fffffffffffffff00", 0.0),
        ("c4823b0fffffffffffffff01", 0.0), ("c49f21196ab3ff", 273.15),
        ("c48221c24101", 0.01), ("c48221c34101", -0.02),
    ):
        equal(cbor.loads(unhexlify(data)), want)
        equal(Reader(unhexlify(data)).number(), want)
    for data in (
        "c4821b0fffffffffffffff01", "c4", "c400", "c480", "c48100", "c48200", "c483000000", "c48200f6",
        "c482f600", "c4820040", "c48200c100", "c49f0000", "c49f000000ff", "c200", "c260", "c2", "c35f4100",
    ):
        raises(CBORDecodeError, cbor.loads, unhexlify(data))
        raises(CBORDecodeError, Reader(unhexlify(data)).number)
    equal(Reader(unhexlify("c24102")).number(), 2)
    equal(Reader(unhexlify("1864")).number(), 100)
    equal(Reader(unhexlify("29")).number(), -10)
    equal(Reader(unhexlify("f93e00")).number(), 1.5)
    for data in ("f6", "6131", "c101", "80"):
        raises(CBORDecodeError, Reader(unhexlify(data)).number)


def test_reader_wants_the_type_asked_for():
    one = {
        "uint": b"\x01", "int": b"\x20", "bytes": b"\x41a", "text": b"\x61a", "array": b"\x80",
        "map": b"\xa0", "tag": b"\xc1\x00", "float": b"\xf9\x00\x00", "bool": b"\xf5",
    }
    for name in one:
        for other in one:
            if name == other or (name, other) == ("int", "uint"):
                getattr(Reader(one[other]), name)()
            else:
                raises(CBORDecodeError, getattr(Reader(one[other]), name))
        raises(CBORDecodeError, getattr(Reader(b""), name))
    raises(CBORDecodeError, Reader(b"").null)
    raises(CBORDecodeError, Reader(b"").peek)
    assert Reader(b"\xf6").null()
    r = Reader(b"\x01")
    assert not r.null()
    equal(r.uint(), 1)


def test_reader_over_a_part_of_a_buffer():
    buf = b"\xff\xff\x82\x43abc\x63def\xff"
    r = Reader(memoryview(buf), 2, 11)
    equal((r.major(), r.peek()), (4, 0x82))
    equal(r.array(), 2)
    view = r.bytes()
    assert isinstance(view, memoryview)
    equal(bytes(view), b"abc")
    equal(r.text(), "def")
    r.finish()
    r = Reader(buf, 2, 10)
    r.array()
    r.bytes()
    raises(CBORDecodeError, r.text)


def test_loop_over_any_length():
    for data in ("a201020304", "bf01020304ff"):
        r = Reader(unhexlify(data))
        got = []
        n = r.map()
        while r.more(n):
            got.append((r.int(), r.int()))
            n -= 1
        equal(got, [(1, 2), (3, 4)])
        r.finish()


def test_writer_fits_exactly_or_raises():
    def write(w):
        w.array(11)
        w.uint(500)
        w.int(-1)
        w.bytes(b"abc")
        w.text("d\u00e9")
        w.float(1.5)
        w.float(0.1)
        w.bool(True)
        w.null()
        w.tag(1234)
        w.map()
        w.simple(23)
        w.raw(b"\x81\x01")
        w.end()
        w.begin_text()
        w.text(b"x")
        w.end()
        w.begin_bytes()
        w.bytes(memoryview(b"y"))
        w.end()

    want = unhexlify(
        "8b1901f4204361626363" + "64c3a9" + "fa3fc00000" + float_cbor("fb3fb999999999999a") + "f5f6"
        "d904d2bff78101ff" + "7f6178ff" + "5f4179ff"
    )
    n = len(want)
    buf = bytearray(n + 10)
    for target in (buf, memoryview(buf)):
        w = Writer(target, 5, 5 + n)
        write(w)
        equal(bytes(w.view()), want)
        equal(w.pos, 5 + n)
        equal(cbor.loads(w.view())[:4], [500, -1, b"abc", "d\u00e9"])
        for room in range(n):
            w = Writer(target, 5, 5 + room)
            assert "full" in str(raises(ValueError, write, w))
            assert w.pos <= 5 + room
        equal(bytes(buf[:5] + buf[-5:]), bytes(10))


def test_writer_misuse():
    w = Writer(bytearray(20))
    raises(ValueError, w.uint, -1)
    raises(ValueError, w.uint, 2**64)
    raises(ValueError, w.int, -(2**64) - 1)
    for n in (-1, 24, 31, 256):
        raises(ValueError, w.simple, n)
        raises(ValueError, CBORSimpleValue, n)
    equal(w.pos, 0)


def test_what_has_no_encoding():
    for obj in (object(), len, {1, 2}, [1j], {"a": equal}):
        raises(cbor.CBOREncodeError, cbor.dumps, obj)


def test_integers_at_every_edge():
    for bits in (0, 4, 5, 8, 16, 29, 30, 31, 32, 61, 62, 63, 64, 65, 127, 128, 200):
        for v in (2**bits - 1, 2**bits, 2**bits + 1):
            equal(cbor.loads(cbor.dumps(v)), v)
            equal(cbor.loads(cbor.dumps(-v)), -v)
