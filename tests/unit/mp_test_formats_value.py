# The rules of types, ranges, numbers and names that all formats share; the registry.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import lwm2m.formats as formats
from check import equal, raises
from coap.message import Error, BAD_REQUEST, NOT_ACCEPTABLE
from lwm2m.formats import opaque, text, texts, value
from lwm2m.types import (
    STRING,
    INTEGER,
    UNSIGNED,
    FLOAT,
    BOOLEAN,
    OPAQUE,
    TIME,
    OBJLNK,
    CORELNK,
)

P = (3442, 0, 1)


def always(typ):
    return lambda oid, rid: typ


def refused(fn, *args):
    equal(raises(Error, fn, *args).code, BAD_REQUEST)


def test_registry():
    equal(formats.NUMBERS, (0, 42, 60, 110, 112, 11542, 11543, 11544))
    for ct in formats.NUMBERS:
        module = formats.get(ct)
        equal(module.CT, ct)
        assert module.NAME and module is formats.get(ct)
        assert callable(module.encode) and callable(module.decode)
        equal(hasattr(module, "decode_paths"), ct in (110, 112))
    for ct in (1, 40, 50, 113, 11541, 65535, None):
        assert formats.get(ct) is None


def test_types_that_fit():
    for typ, got, want in (
        (STRING, "a", "a"),
        (CORELNK, "</1>", "</1>"),
        (INTEGER, -1 << 63, -1 << 63),
        (INTEGER, (1 << 63) - 1, (1 << 63) - 1),
        (INTEGER, ("1.0E2",), 100),
        (INTEGER, ("9223372036854775.807e3",), (1 << 63) - 1),
        (INTEGER, ("-1500e-2",), -15),
        (INTEGER, ("0.0e-99",), 0),
        (UNSIGNED, (1 << 64) - 1, (1 << 64) - 1),
        (UNSIGNED, 0, 0),
        (TIME, -1, -1),
        (FLOAT, 1, 1.0),
        (FLOAT, 1.5, 1.5),
        (FLOAT, ("15e-1",), 1.5),
        (BOOLEAN, True, True),
        (OPAQUE, b"\x00", b"\x00"),
        (OBJLNK, "3:1", (3, 1)),
        (OBJLNK, "65535:65535", (65535, 65535)),
        (None, {}, {}),
    ):
        result = value.coerce(typ, got)
        equal(result, want)
        assert type(result) is type(want)


def test_types_that_do_not_fit():
    for typ, wrong in (
        (STRING, 1),
        (STRING, b"a"),
        (STRING, True),
        (STRING, None),
        (CORELNK, 1.5),
        (INTEGER, True),
        (INTEGER, 1.0),
        (INTEGER, "1"),
        (INTEGER, 1 << 63),
        (INTEGER, (-1 << 63) - 1),
        (INTEGER, ("1.5",)),
        (INTEGER, ("1e19",)),
        (INTEGER, ("1e20",)),
        (INTEGER, ("1e-1",)),
        (INTEGER, ("1e999999999999",)),
        (INTEGER, ("1e-999999999999",)),
        (UNSIGNED, -1),
        (UNSIGNED, 1 << 64),
        (TIME, 1.0),
        (TIME, "2000-01-01T00:00:00Z"),
        (FLOAT, True),
        (FLOAT, "1.5"),
        (FLOAT, ("1e400",)),
        (FLOAT, ("-1e400",)),
        (BOOLEAN, 1),
        (BOOLEAN, "true"),
        (OPAQUE, "a"),
        (OBJLNK, (3, 1)),
        (OBJLNK, "3"),
        (OBJLNK, "3:"),
        (OBJLNK, ":1"),
        (OBJLNK, "3:1:2"),
        (OBJLNK, "3:-1"),
        (OBJLNK, "3:65536"),
        (OBJLNK, 3),
    ):
        refused(value.coerce, typ, wrong)


def test_utf8_is_checked():
    for good in ("", "a", "\xe4\u20ac\U0001f600", "\x00", "\ufffd", "\U0010ffff", "\ud7ff\ue000"):
        equal(text.decode(P, good.encode(), always(STRING)), [(P, good)])
    for wrong in (
        b"\x80",
        b"\xc3",
        b"\xc3a",
        b"\xff",
        b"\xc0\x80",  # overlong
        b"a\xc1\xbf",
        b"\xe0\x80\x80",
        b"\xf0\x80\x80\x80",
        b"\xed\xa0\x80",  # surrogates
        b"\xed\xbf\xbf",
        b"\xf4\x90\x80\x80",  # beyond Unicode
        b"\xf8\x88\x80\x80\x80",
    ):
        refused(text.decode, P, wrong, always(STRING))


def test_numbers_as_json_has_them():
    for good in (b"0", b"-0", b"10", b"1.5", b"-1.50", b"1e5", b"1E+05", b"0.1e-7", b"0e0"):
        equal(texts.scan(good, 0), len(good))
        equal(texts.scan(b"[" + good + b",", 1), len(good) + 1)
    for wrong in (b"", b"-", b"+1", b"01", b"-01", b".5", b"1.", b"1.e5", b"1e", b"1e+", b"e5", b"a"):
        refused(texts.scan, wrong, 0)
    refused(texts.scan, b"1" * 65, 0)
    equal(texts.scan(b"1" * 64, 0), 64)
    equal(texts.scan(b"1.5.5", 0), 3)


def test_numbers_as_people_write_them():
    for good in (b"+1", b"007", b".5", b"1.", b"-.5e1"):
        equal(texts.scan(good, 0, False), len(good))
    for wrong in (b"", b"+", b".", b"-.", b"e5", b".e5", b"1e", b"nan", b"inf"):
        refused(texts.scan, wrong, 0, False)


def test_base64():
    for data, padded in (
        (b"", ""),
        (b"\x00", "AA=="),
        (b"\x00\xff", "AP8="),
        (b"abc", "YWJj"),
        (b"\xfb\xff\xfe", "+//+"),
    ):
        equal(texts.base64(data), padded)
        for s in (padded, padded.rstrip("="), padded.replace("+", "-").replace("/", "_")):
            equal(texts.unbase64(s), data)
    wrongs = ("A", "A=", "A==", "A===", "AP8==", "=", "====", "AP8=AP8=", "A P8=", "AP8!",
              "AP8=\n", "\xe4\xf6\xfc\xdf", "YWJj=", "YWJj====")
    for wrong in wrongs:
        refused(texts.unbase64, wrong)


def test_paths():
    for path, s in (((3,), "/3"), ((3, 0), "/3/0"), ((3442, 0, 1130, 65535), "/3442/0/1130/65535")):
        equal(texts.name(path), s)
        equal(value.path(s), path)
    equal(value.path("/"), ())
    equal(texts.name(()), "")
    for wrong in ("", "3", "3/0", "//", "/3/", "/3//0", "/a", "/-1", "/3/65536", "/3/ 0", "/3/0x1",
                  "/1/2/3/4/5", "/\u0663", "/999999999999999999999", "/1.0", "/+1"):
        refused(value.path, wrong)


def test_text_numbers():
    for typ, payload, want in (
        (INTEGER, b"-5", -5),
        (INTEGER, b"+5", 5),
        (INTEGER, b"9223372036854775807", (1 << 63) - 1),
        (UNSIGNED, b"18446744073709551615", (1 << 64) - 1),
        (TIME, b"-1", -1),
        (FLOAT, b"1e-3", 0.001),
        (FLOAT, b".5", 0.5),
        (FLOAT, b"2", 2.0),
        (FLOAT, b"1.6777217E7", 16777217.0),
        (FLOAT, b"-0.0", 0.0),
        (BOOLEAN, b"1", True),
        (OPAQUE, b"AP8=", b"\x00\xff"),
        (OBJLNK, b"3:1", (3, 1)),
        (None, b"anything", "anything"),
    ):
        equal(text.decode(P, payload, always(typ)), [(P, want)])
    for typ, payload in (
        (INTEGER, b""),
        (INTEGER, b"1.0"),
        (INTEGER, b"1e2"),
        (INTEGER, b"1 "),
        (INTEGER, b"0x10"),
        (INTEGER, b"1_0"),
        (INTEGER, b"9223372036854775808"),
        (UNSIGNED, b"-1"),
        (FLOAT, b""),
        (FLOAT, b"nan"),
        (FLOAT, b"1,5"),
        (FLOAT, b"1e400"),
        (BOOLEAN, b""),
        (BOOLEAN, b"true"),
        (BOOLEAN, b"2"),
        (OPAQUE, b"A"),
        (OPAQUE, b"\xff"),
        (OBJLNK, b"3/1"),
    ):
        refused(text.decode, P, payload, always(typ))


def test_text_out():
    for typ, x, want in (
        (STRING, "\xe4\u20ac", "\xe4\u20ac".encode()),
        (INTEGER, -(1 << 63), b"-9223372036854775808"),
        (UNSIGNED, (1 << 64) - 1, b"18446744073709551615"),
        (FLOAT, 42, b"42.0"),
        (FLOAT, 0.1, b"0.1"),
        (BOOLEAN, True, b"1"),
        (BOOLEAN, False, b"0"),
        (OPAQUE, b"\x00\xff", b"AP8="),
        (OPAQUE, bytes(range(100)), None),
        (TIME, 946684800, b"946684800"),
        (OBJLNK, (3, 1), b"3:1"),
        (CORELNK, "</3>", b"</3>"),
    ):
        buf = bytearray(200)
        n = text.encode(P, [(P, typ, x)], buf)
        if want is not None:
            equal(bytes(buf[:n]), want)
        equal(text.decode(P, buf[:n], always(typ)), [(P, x)])
        raises(ValueError, text.encode, P, [(P, typ, x)], bytearray(n - 1))
    for x in (float("nan"), float("inf")):
        e = raises(Error, text.encode, P, [(P, FLOAT, x)], bytearray(20))
        equal(e.code, NOT_ACCEPTABLE)


def test_opaque():
    payload = bytearray(b"\x00\xff")
    got = opaque.decode(P, memoryview(payload), always(OPAQUE))
    payload[0] = 9
    equal(got, [(P, b"\x00\xff")])  # a copy: the datagram goes
    refused(opaque.decode, P, b"1", always(INTEGER))
    refused(opaque.decode, P[:2], b"1", always(OPAQUE))
    buf = bytearray(3)
    equal(opaque.encode(P, [(P, OPAQUE, b"abc")], buf), 3)
    equal(buf, b"abc")
    raises(ValueError, opaque.encode, P, [(P, OPAQUE, b"abcd")], buf)
    equal(raises(Error, opaque.encode, P, [(P, STRING, "a")], buf).code, NOT_ACCEPTABLE)


def test_single_values_only():
    several = [(P + (0,), STRING, "a"), (P + (1,), STRING, "b")]
    for ct in (0, 42, 60):
        fmt = formats.get(ct)
        for base, nodes in ((P, several), (P[:2], several), (P, several[:1]), (P, []),
                            (P[:2], [(P, STRING, "a")])):
            e = raises(Error, fmt.encode, base, nodes, bytearray(9))
            equal(e.code, NOT_ACCEPTABLE)
        for base in ((), P[:1], P[:2]):
            refused(fmt.decode, base, b"\x61a", always(STRING))
        equal(fmt.decode(P + (7,), b"\x41a", always(None))[0][0], P + (7,))
