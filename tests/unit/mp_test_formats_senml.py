# SenML JSON, SenML CBOR, LwM2M CBOR and the JSON of LwM2M 1.0: names, records, edges.
# MIT license; Copyright (c) 2026 the microlwm2m authors

from check import equal, float_cbor, raises
from coap.message import Error, BAD_REQUEST, NOT_ACCEPTABLE
from lwm2m.formats import lwm2m_cbor, oma_json, senml_cbor, senml_json, value
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

TYPES = (STRING, INTEGER, UNSIGNED, FLOAT, BOOLEAN, OPAQUE, TIME, OBJLNK, CORELNK)

ALL = [
    ((9, 0, 0), "\xe4 \"\\\n\x01"),
    ((9, 0, 1), -7),
    ((9, 0, 2), (1 << 64) - 1),
    ((9, 0, 3), 1.5),
    ((9, 0, 4), True),
    ((9, 0, 5), b"\x00\xff\xfe"),
    ((9, 0, 6), 946684800),
    ((9, 0, 7), (3, 1)),
    ((9, 0, 8), "</3>"),
    ((9, 0, 101, 0), 1),
    ((9, 0, 101, 300), -2),
]


def typeof(oid, rid):
    return TYPES[rid % 100] if oid == 9 and rid % 100 < 9 else None


def nodes(pairs):
    return [(path, typeof(path[0], path[2]), x) for path, x in pairs]


def refused(fn, *args):
    equal(raises(Error, fn, *args).code, BAD_REQUEST)


def both(fmt, base, pairs, want):
    buf = bytearray(len(want))
    n = fmt.encode(base, nodes(pairs), buf)
    equal(bytes(buf[:n]), want)
    equal(fmt.decode(base, want, typeof), pairs)
    raises(ValueError, fmt.encode, base, nodes(pairs), bytearray(len(want) - 1))
    equal(fmt.encode(base, nodes(pairs), bytearray(300)), n)


# ---- SenML JSON


def test_json_instance():
    both(
        senml_json,
        (9, 0),
        ALL,
        (
            '[{"bn":"/9/0","n":"/0","vs":"\xe4 \\"\\\\\\n\\u0001"},{"n":"/1","v":-7},'
            '{"n":"/2","v":18446744073709551615},{"n":"/3","v":1.5},{"n":"/4","vb":true},'
            '{"n":"/5","vd":"AP_-"},{"n":"/6","v":946684800},{"n":"/7","vlo":"3:1"},'
            '{"n":"/8","vs":"</3>"},{"n":"/101/0","v":1},{"n":"/101/300","v":-2}]'
        ).encode(),
    )


def test_json_levels():
    both(senml_json, (9, 0, 1), [((9, 0, 1), 5)], b'[{"bn":"/9/0/1","v":5}]')
    both(senml_json, (9, 0, 101, 7), [((9, 0, 101, 7), 5)], b'[{"bn":"/9/0/101/7","v":5}]')
    both(senml_json, (9, 0, 101), [((9, 0, 101, 7), 5)], b'[{"bn":"/9/0/101","n":"/7","v":5}]')
    both(senml_json, (9,), [((9, 2, 1), 5)], b'[{"bn":"/9","n":"/2/1","v":5}]')
    both(senml_json, (9,), [], b"[]")
    both(
        senml_json,
        (),
        [((9, 0, 1), 5), ((9, 1, 101, 3), 6)],
        b'[{"n":"/9/0/1","v":5},{"n":"/9/1/101/3","v":6}]',
    )


def test_json_has_no_nan():
    for x in (float("nan"), float("-inf")):
        e = raises(Error, senml_json.encode, (9, 0, 3), [((9, 0, 3), FLOAT, x)], bytearray(99))
        equal(e.code, NOT_ACCEPTABLE)


def decode_json(rid, text):
    payload = ('[{"bn":"/9/0/%d",%s}]' % (rid, text)).encode()
    ((_, x),) = senml_json.decode((9, 0, rid), payload, typeof)
    return x


def test_json_numbers():
    for rid, text, want in (
        (1, '"v":1.0E2', 100),
        (1, '"v":-0', 0),
        (1, '"v":9223372036854775807', (1 << 63) - 1),
        (1, '"v":9.223372036854775807e18', (1 << 63) - 1),
        (2, '"v":18446744073709551615', (1 << 64) - 1),
        (3, '"v":1', 1.0),
        (3, '"v":15e-1', 1.5),
        (3, '"v":1.0E-7', 1e-7),
        (6, '"v":1.7e9', 1700000000),
        (4, '"vb":false', False),
        (7, '"vlo":"3:1"', (3, 1)),
        (7, '"vs":"3:1"', (3, 1)),
        (5, '"vd":"AP8="', b"\x00\xff"),
        (99, '"v":1', 1),
        (99, '"vs":"x"', "x"),
    ):
        got = decode_json(rid, text)
        equal(got, want)
        assert type(got) is type(want)
    for rid, text in (
        (1, '"v":1.5'),
        (1, '"v":9223372036854775808'),
        (1, '"v":1e30'),
        (1, '"v":"1"'),
        (1, '"vs":"1"'),
        (1, '"vb":true'),
        (2, '"v":-1'),
        (3, '"v":1e400'),
        (3, '"v":NaN'),
        (3, '"vs":"1.5"'),
        (4, '"v":1'),
        (4, '"vb":1'),
        (4, '"vb":null'),
        (5, '"vs":"AP8"'),
        (5, '"vd":"A"'),
        (5, '"vd":1'),
        (0, '"v":1'),
        (0, '"vd":"AP8"'),
        (0, '"vlo":"3:1"'),
        (8, '"vlo":"3:1"'),
        (7, '"v":3'),
        (7, '"vlo":3'),
    ):
        refused(decode_json, rid, text)


def test_json_strings():
    for text, want in (
        (r'"\"\\\/\b\f\n\r\t"', '"\\/\b\f\n\r\t'),
        (r'"\u00e4\u20AC"', "\xe4\u20ac"),
        (r'"\ud83d\ude00!"', "\U0001f600!"),
        (r'"\u0000"', "\x00"),
        ('"\xe4\u20ac\U0001f600\x7f"', "\xe4\u20ac\U0001f600\x7f"),
        ('""', ""),
    ):
        equal(decode_json(0, '"vs":' + text), want)
    for text in (
        '"',
        '"\\"',
        r'"\x41"',
        r'"\u12"',
        r'"\u12g4"',
        r'"\u 123"',
        r'"\u+123"',
        r'"\ud83d"',
        r'"\ud83d\n"',
        r'"\ud83d\u0041"',
        r'"\ude00"',
        '"\n"',
        '"\x00"',
        "'a'",
    ):
        refused(decode_json, 0, '"vs":' + text)
    refused(senml_json.decode, (9, 0, 0), b'[{"n":"/9/0/0","vs":"\xff"}]', typeof)
    refused(senml_json.decode, (9, 0, 0), b'[{"n":"/9/0/0","vs":"\\u12\x11\x11"}]', typeof)


def test_json_white_space():
    payload = b' [ {\t"n"\r\n: "/9/0/1" ,"v" :5 } , {"n":"/9/0/2","v":6}\n] '
    equal(senml_json.decode((9,), memoryview(payload), typeof), [((9, 0, 1), 5), ((9, 0, 2), 6)])


def test_json_malformed():
    for text in (
        "", " ", "[", "]", "{}", "null", "5", '"a"', "[5]", "[[]]", "[{}]", "[,]",
        '[{"n":"/9/0/1","v":5}', '[{"n":"/9/0/1","v":5}]]', '[{"n":"/9/0/1","v":5}],',
        '[{"n":"/9/0/1","v":5},]', '[,{"n":"/9/0/1","v":5}]', '[{"n":"/9/0/1" "v":5}]',
        '[{"n":"/9/0/1","v":5 "u":"m"}]', '[{"n":"/9/0/1","v":5,}]', '[{,"n":"/9/0/1","v":5}]',
        '[{"n":"/9/0/1","v" 5}]', '[{"n":"/9/0/1","v":}]', '[{"n":"/9/0/1","v":05}]',
        '[{"n":"/9/0/1","v":+5}]', '[{"n":"/9/0/1","v":5.}]', '[{"n":"/9/0/1","v":5]}',
        '[{n:"/9/0/1","v":5}]', '[{"n":"/9/0/1","v":truex}]', '[{"n":"/9/0/1","v":5}{}]',
        '[{"n":"/9/0/1","v":5}5]', '[{"n":"/9/0/1","v":', '[{"n":"/9/0/1","v"',
        '[{"n":"/9/0/1","v":5,"x":[1]}]', '[{"n":"/9/0/1","v":5,"x":{}}]',
        '[{"n":"/9/0/1","v":5,"v":6}]', '[{"n":"/9/0/1","v":5,"vs":"6"}]',
        '[{"n":"/9/0/1","v":5,"s":6}]', '[{"n":"/9/0/1","v":5,"bv":6}]',
        '[{"n":"/9/0/1","v":5,"bs":6}]', '[{"n":"/9/0/1","v":5,"must_":6}]',
        '[{"n":5,"v":5}]', '[{"bn":5,"n":"/9/0/1","v":5}]', '[{"v":5}]', '[{"n":"/9/0","v":5}]',
        '[{"n":"/9/0/1"}]', '[{"n":"/9/0/1/","v":5}]', '[{"n":"/8/0/1","v":5}]',
    ):
        refused(senml_json.decode, (9,), text.encode(), typeof)


def test_json_names():
    for text in (
        '[{"bn":"/9/0/","n":"1","v":5},{"n":"2","v":6}]',
        '[{"bn":"/9/0","n":"/1","v":5},{"n":"/2","v":6}]',
        '[{"n":"/9/0/1","v":5},{"n":"/9/0/2","v":6}]',
        '[{"bn":"/9/0/1","v":5},{"bn":"/9/0/2","v":6}]',
        '[{"v":5,"n":"1","bn":"/9/0/"},{"v":6,"n":"2"}]',
        '[{"bn":"/9/","n":"0/1","v":5},{"bn":"/9/0/","n":"2","v":6}]',
        '[{"bn":"/9/0/","bt":1.7e9,"bver":10,"n":"1","t":-1,"ut":5,"u":"C","v":5,"x":null},'
        '{"n":"2","v":6}]',
    ):
        equal(senml_json.decode((9, 0), text.encode(), typeof), [((9, 0, 1), 5), ((9, 0, 2), 6)])


def test_json_paths():
    equal(senml_json.decode_paths(b'[{"n":"/3/0/0"},{"n":"/9/0"},{"n":"/1"},{"n":"/"}]'),
          [(3, 0, 0), (9, 0), (1,), ()])
    equal(senml_json.decode_paths(b'[{"bn":"/3/0","n":"/0"},{"n":"/1/2"}]'),
          [(3, 0, 0), (3, 0, 1, 2)])
    equal(senml_json.decode_paths(b"[]"), [])
    for text in (b"", b"[{}]", b'[{"n":"3"}]', b'[{"n":"/3/0/0/0/0"}]'):
        refused(senml_json.decode_paths, text)


def test_number_of_records_is_bounded():
    record = '{"n":"/9/0/1","v":5}'
    payload = "[" + ",".join([record] * value.MAX_VALUES) + "]"
    equal(len(senml_json.decode((9,), payload.encode(), typeof)), value.MAX_VALUES)
    refused(senml_json.decode, (9,), (payload[:-1] + "," + record + "]").encode(), typeof)


# ---- JSON of LwM2M 1.0


def test_json_1_0():
    both(
        oma_json,
        (9, 0),
        ALL,
        (
            '{"bn":"/9/0","e":[{"n":"/0","sv":"\xe4 \\"\\\\\\n\\u0001"},{"n":"/1","v":-7},'
            '{"n":"/2","v":18446744073709551615},{"n":"/3","v":1.5},{"n":"/4","bv":true},'
            '{"n":"/5","sv":"AP/+"},{"n":"/6","v":946684800},{"n":"/7","ov":"3:1"},'
            '{"n":"/8","sv":"</3>"},{"n":"/101/0","v":1},{"n":"/101/300","v":-2}]}'
        ).encode(),
    )
    both(oma_json, (9, 0, 1), [((9, 0, 1), 5)], b'{"bn":"/9/0/1","e":[{"v":5}]}')
    both(oma_json, (9, 0), [], b'{"bn":"/9/0","e":[]}')


def test_json_1_0_malformed():
    for text in ("", "[]", "{}", '{"bn":"/9/0/1"}', '{"bn":"/9/0/1","e":5}',
                 '{"bn":"/9/0/1","e":[{"v":5,"e":[]}]}', '{"bn":"/9/0/1","e":[{"v":5}]}x',
                 '{"e":[{"v":5}]}', '{"bn":"/9/0/1","e":[{"v":5}],"e":[]}', '[' * 300,
                 '{"e":[' * 50):
        refused(oma_json.decode, (9, 0, 1), text.encode(), typeof)
    refused(oma_json.decode, (9, 0, 5), b'{"bn":"/9/0/5","e":[{"v":5}]}', typeof)
    refused(oma_json.decode, (9, 0, 5), b'{"bn":"/9/0/5","e":[{"sv":"A"}]}', typeof)
    equal(oma_json.decode((9, 0, 1), b'{"e":[{"v":5}],"bn":"/9/0/1"}', typeof), [((9, 0, 1), 5)])


# ---- SenML CBOR


def h(text):
    return bytes.fromhex(text.replace(" ", "").replace("\n", ""))


def test_cbor_instance():
    both(
        senml_cbor,
        (9, 0),
        ALL,
        h("""8b a3 21 64 2f392f30 00 62 2f30 03 67 c3a420225c0a01
             a2 00 62 2f31 02 26
             a2 00 62 2f32 02 1bffffffffffffffff
             a2 00 62 2f33 02 fa3fc00000
             a2 00 62 2f34 04 f5
             a2 00 62 2f35 08 4300fffe
             a2 00 62 2f36 02 1a386d4380
             a2 00 62 2f37 63766c6f 63333a31
             a2 00 62 2f38 03 64 3c2f333e
             a2 00 66 2f3130312f30 02 01
             a2 00 68 2f3130312f333030 02 21"""),
    )


def test_cbor_levels():
    both(senml_cbor, (9, 0, 1), [((9, 0, 1), 5)], h("81 a2 21 66 2f392f302f31 02 05"))
    both(senml_cbor, (9, 0, 101), [((9, 0, 101, 7), 5)],
         h("81 a3 21 68 2f392f302f313031 00 62 2f37 02 05"))
    both(senml_cbor, (9,), [], h("80"))
    both(senml_cbor, (), [((9, 0, 1), 5), ((9, 1, 2), 6)],
         h("82 a2 00 66 2f392f302f31 02 05 a2 00 66 2f392f312f32 02 06"))


def test_cbor_floats():
    for x, text in ((1.5, "fa3fc00000"), (0.1, "fb3fb999999999999a"), (42, "fa42280000"),
                    (0.0, "fa00000000"), (float("inf"), "fa7f800000"), (1e300, "fb7e37e43c8800759c")):
        both(senml_cbor, (9, 0, 3), [((9, 0, 3), x)], h("81 a2 21 66 2f392f302f33 02" + float_cbor(text)))


def decode_cbor(rid, text):
    payload = h("81 a2 21 6a 2f392f302f") + b"%05d" % rid + h(text)
    ((_, x),) = senml_cbor.decode((9, 0, rid), payload, typeof)
    return x


def test_cbor_values():
    for rid, text, want in (
        (1, "02 c2420100", 256),
        (1, "02 1b7fffffffffffffff", (1 << 63) - 1),
        (1, "02 3b7fffffffffffffff", -1 << 63),
        (3, "02 01", 1.0),
        (3, "02 f93e00", 1.5),
        (3, "02 c482200f", 1.5),
        (3, "02 c49f200fff", 1.5),
        (3, "02 c5822003", 1.5),
        (6, "02 c11a386d4380", 946684800),
        (5, "08 5f410041ffff", b"\x00\xff"),
        (0, "03 7f61616162ff", "ab"),
        (0, "03 d9d9f7 6161", "a"),
        (99, "03 6161", "a"),
    ):
        got = decode_cbor(rid, text)
        equal(got, want)
        assert type(got) is type(want)
    for rid, text in (
        (1, "02 f95140"),
        (1, "02 1b8000000000000000"),
        (1, "02 c48200c249010000000000000000"),
        (1, "03 6131"),
        (1, "02 6131"),
        (1, "02 f5"),
        (2, "02 20"),
        (3, "02 f6"),
        (3, "02 80"),
        (3, "02 c400"),
        (4, "04 01"),
        (4, "02 f5"),
        (5, "08 6161"),
        (5, "03 6161"),
        (0, "03 4161"),
        (0, "03 62c080"),
        (0, "03 7f61c361a4ff"),
        (7, "63766c6f 03"),
        (7, "03 6133"),
        (0, "63766c6f 63333a31"),
    ):
        refused(decode_cbor, rid, text)


def test_cbor_forms():
    want = [((9, 0, 1), 5), ((9, 0, 2), 6)]
    for text in (
        "82 a3 21 65 2f392f302f 00 61 31 02 05 a2 00 61 32 02 06",
        "82 a3 00 61 31 02 05 21 65 2f392f302f a2 00 61 32 02 06",
        "9f bf 00 61 31 02 05 21 65 2f392f302f ff bf 00 61 32 02 06 ff ff",
        "82 a2 00 66 2f392f302f31 02 05 a2 00 66 2f392f302f32 02 06",
        "d9d9f7 82 a2 21 66 2f392f302f31 02 05 a2 21 66 2f392f302f32 02 06",
        "82 a6 20 0a 21 65 2f392f302f 22 fb41da000000000000 00 61 31 06 20 02 05 a3 00 61 32 18fe 80 02 06",
    ):
        equal(senml_cbor.decode((9, 0), h(text), typeof), want)


def test_cbor_malformed():
    for text in (
        "", "a0", "01", "81", "8101", "9f", "81a0", "81a10205", "80 00",
        "81 a2 00 66 2f392f302f31 02 05 00",
        "81 a2 00 66 2f392f302f31 02",
        "82 a2 00 66 2f392f302f31 02 05",
        "9f a2 00 66 2f392f302f31 02 05",
        "81 bf 00 66 2f392f302f31 02 05",
        "81 a3 00 66 2f392f302f31 02 05 02 05",
        "81 a3 00 66 2f392f302f31 02 05 03 6161",
        "81 a3 00 66 2f392f302f31 02 05 05 01",
        "81 a3 00 66 2f392f302f31 02 05 24 01",
        "81 a3 00 66 2f392f302f31 02 05 25 01",
        "81 a3 00 66 2f392f302f31 02 05 62 785f 01",
        "81 a3 00 66 2f392f302f31 02 05 80 01",
        "81 a2 00 09 02 05",
        "81 a3 21 09 00 66 2f392f302f31 02 05",
        "81 a2 00 64 2f392f30 02 05",
        "81 a2 00 66 2f382f302f31 02 05",
        "9b ffffffffffffffff",
        "81 bb ffffffffffffffff",
        "81 a2 00 66 2f392f302f31 02 5b 7fffffffffffffff",
    ):
        refused(senml_cbor.decode, (9,), h(text), typeof)
    refused(senml_cbor.decode, (9,), b"\x81\xa2\x00\x66/9/0/1\x02" + b"\x81" * 500, typeof)
    refused(senml_cbor.decode, (9,), b"\xc1" * 500, typeof)


def test_cbor_paths():
    equal(senml_cbor.decode_paths(h("83 a1 00 66 2f332f302f30 a1 21 62 2f31 a1 21 61 2f")),
          [(3, 0, 0), (1,), ()])
    equal(senml_cbor.decode_paths(h("80")), [])
    for text in ("", "a0", "81a0", "81a10005", "81a1006133"):
        refused(senml_cbor.decode_paths, h(text))


def test_records_at_the_bound():
    record = h("a2 00 66 2f392f302f31 02 05")
    n = value.MAX_VALUES
    equal(len(senml_cbor.decode((9,), b"\x9f" + record * n + b"\xff", typeof)), n)
    refused(senml_cbor.decode, (9,), b"\x9f" + record * (n + 1) + b"\xff", typeof)


# ---- LwM2M CBOR


def test_lwm2m_cbor_instance():
    both(
        lwm2m_cbor,
        (9, 0),
        ALL,
        h("""bf 09 bf 00 bf
             00 67 c3a420225c0a01
             01 26
             02 1bffffffffffffffff
             03 fa3fc00000
             04 f5
             05 4300fffe
             06 c11a386d4380
             07 63333a31
             08 643c2f333e
             1865 bf 00 01 19012c 21 ff
             ff ff ff"""),
    )


def test_lwm2m_cbor_levels():
    both(lwm2m_cbor, (9, 0, 1), [((9, 0, 1), 5)], h("bf 09 bf 00 bf 01 05 ff ff ff"))
    both(lwm2m_cbor, (9, 0, 101, 7), [((9, 0, 101, 7), 5)],
         h("bf 09 bf 00 bf 1865 bf 07 05 ff ff ff ff"))
    both(lwm2m_cbor, (9,), [((9, 0, 101, 0), 5), ((9, 0, 102, 1), 6), ((9, 1, 1), 7)],
         h("bf 09 bf 00 bf 1865 bf 00 05 ff 1866 bf 01 06 ff ff 01 bf 01 07 ff ff ff"))
    both(lwm2m_cbor, (), [((9, 0, 1), 5), ((9, 1, 101, 0), 6)],
         h("bf 09 bf 00 bf 01 05 ff 01 bf 1865 bf 00 06 ff ff ff ff"))
    both(lwm2m_cbor, (9,), [], h("bf ff"))


def test_lwm2m_cbor_forms():
    for text in (
        "a1 09 a1 00 a2 01 05 02 06",
        "a1 82 09 00 a2 01 05 02 06",
        "a2 83 09 00 01 05 83 09 00 02 06",
        "bf 9f 09 00 ff bf 01 05 02 06 ff ff",
        "d9d9f7 a1 81 09 a1 00 a2 01 05 02 06",
    ):
        equal(lwm2m_cbor.decode((9, 0), h(text), typeof), [((9, 0, 1), 5), ((9, 0, 2), 6)])
    equal(lwm2m_cbor.decode((9,), h("a1 09 a1 04 a0"), typeof), [((9, 4), None)])
    equal(lwm2m_cbor.decode((9, 0), h("a1 09 a1 00 a1 1865 bfff"), typeof), [((9, 0, 101), {})])
    equal(lwm2m_cbor.decode((9, 0), h("a0"), typeof), [])
    equal(lwm2m_cbor.decode((9, 0), h("a1 09 a1 00 a1 1863 6161"), typeof), [((9, 0, 99), "a")])


def test_lwm2m_cbor_malformed():
    for text in (
        "", "80", "01", "a1", "a109", "bf", "bf 09 05 ff", "a1 09 a1 00 05", "a0 00",
        "a1 09 a1 00 a1 01 05 00",
        "a1 09 bf 00 a1 01 05",
        "a1 61 39 a1 00 a1 01 05",  # names are numbers
        "a1 20 a1 00 a1 01 05",
        "a1 1a00010000 a1 00 a1 01 05",
        "a1 80 a1 00 a1 01 05",
        "a1 85 09 00 01 00 00 05",
        "a1 9f 09 00 01 00 00 ff 05",
        "a1 84 09 00 1865 00 a1 00 05",
        "a1 84 09 00 1865 00 a0",
        "a1 08 a1 00 a1 01 05",  # outside the target
        "a1 08 a0",
        "a1 09 a1 00 a1 01 6161",
        "a1 09 a1 00 a1 01 80",
        "a1 09 a1 00 a1 01 f6",
        "bb ffffffffffffffff",
    ):
        refused(lwm2m_cbor.decode, (9,), h(text), typeof)
    refused(lwm2m_cbor.decode, (9, 0, 1), h("a1 09 a1 00 a1 02 05"), typeof)
    refused(lwm2m_cbor.decode, (9, 0, 1), h("a1 09 a1 01 a1 01 05"), typeof)
    refused(lwm2m_cbor.decode, (9, 0, 101, 1), h("a1 09 a1 00 a1 1865 05"), typeof)
    refused(lwm2m_cbor.decode, (9,), b"\xa1\x09" * 200, typeof)
    refused(lwm2m_cbor.decode, (9,), b"\xa1\x80" * 200, typeof)
    payload = b"\xbf\x09\xbf\x00\xbf" + b"\x01\x05" * (value.MAX_VALUES + 1) + b"\xff\xff\xff"
    refused(lwm2m_cbor.decode, (9,), payload, typeof)
