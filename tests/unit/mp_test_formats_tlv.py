# TLV against the examples of OMA LwM2M Core 1.2.2 section 7.4.3, and at its edges.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# heapsize: 1M

from check import SINGLE, equal, raises
from coap.message import Error, BAD_REQUEST
from lwm2m.formats import tlv
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

TYPES = {
    2: {0: INTEGER, 1: INTEGER, 2: INTEGER, 3: INTEGER},
    3: {0: STRING, 1: STRING, 2: STRING, 3: STRING, 6: INTEGER, 7: INTEGER, 8: INTEGER,
        9: INTEGER, 10: INTEGER, 11: INTEGER, 13: TIME, 14: STRING, 16: STRING},
    65: {0: OBJLNK, 1: STRING, 2: INTEGER},
    9: {0: STRING, 1: INTEGER, 2: UNSIGNED, 3: FLOAT, 4: BOOLEAN, 5: OPAQUE, 6: TIME, 7: OBJLNK,
        8: CORELNK, 300: INTEGER},
}


def typeof(oid, rid):
    return TYPES.get(oid, {}).get(rid)


def nodes(pairs):
    return [(path, typeof(path[0], path[2]), value) for path, value in pairs]


def both(base, pairs, text):
    # Written as the bytes of text, and read from them.
    want = bytes.fromhex(text.replace(" ", ""))
    buf = bytearray(len(want))
    equal(tlv.encode(base, nodes(pairs), buf), len(want))
    equal(bytes(buf), want)
    equal(tlv.decode(base, want, typeof), pairs)
    large = bytearray(b"\xee" * 300)
    equal(tlv.encode(base, nodes(pairs), large), len(want))
    equal(bytes(large[: len(want)]), want)
    if want:
        raises(ValueError, tlv.encode, base, nodes(pairs), bytearray(len(want) - 1))


def refused(base, text):
    e = raises(Error, tlv.decode, base, bytes.fromhex(text.replace(" ", "")), typeof)
    equal(e.code, BAD_REQUEST)


DEVICE = [
    ((3, 0, 0), "Open Mobile Alliance"),
    ((3, 0, 1), "Lightweight M2M Client"),
    ((3, 0, 2), "345000123"),
    ((3, 0, 3), "1.0"),
    ((3, 0, 6, 0), 1),
    ((3, 0, 6, 1), 5),
    ((3, 0, 7, 0), 3800),
    ((3, 0, 7, 1), 5000),
    ((3, 0, 8, 0), 125),
    ((3, 0, 8, 1), 900),
    ((3, 0, 9), 100),
    ((3, 0, 10), 15),
    ((3, 0, 11, 0), 0),
    ((3, 0, 13), 1367491215),
    ((3, 0, 14), "+02:00"),
    ((3, 0, 16), "U"),
]
DEVICE_TLV = """
    c80014 4f70656e204d6f62696c6520416c6c69616e6365
    c80116 4c69676874776569676874204d324d20436c69656e74
    c80209 333435303030313233
    c303 312e30
    8606 410001 410105
    880708 42000ed8 42011388
    8708 41007d 42010384
    c109 64
    c10a 0f
    830b 410000
    c40d 5182428f
    c60e 2b30323a3030
    c110 55
""".replace("\n", "")


def test_device_instance():
    both((3, 0), DEVICE, DEVICE_TLV)
    equal(len(bytes.fromhex(DEVICE_TLV.replace(" ", ""))), 121)


def test_device_object():
    both((3,), DEVICE, "080079" + DEVICE_TLV)


def test_access_control_object():
    both(
        (2,),
        [
            ((2, 0, 0), 1),
            ((2, 0, 1), 0),
            ((2, 0, 2, 127), 7),
            ((2, 0, 3), 127),
            ((2, 2, 0), 3),
            ((2, 2, 1), 0),
            ((2, 2, 2, 127), 7),
            ((2, 2, 2, 310), 1),
            ((2, 2, 3), 127),
        ],
        "08000e c10001 c10100 8302 417f07 c1037f"
        "080212 c10003 c10100 8702 417f07 61013601 c1037f",
    )


def test_object_links():
    both(
        (65, 0),
        [
            ((65, 0, 0, 0), (66, 0)),
            ((65, 0, 0, 1), (66, 1)),
            ((65, 0, 1), "8613800755500"),
            ((65, 0, 2), 0x12345678),
        ],
        "88000c 4400 00420000 4401 00420001 c8010d 38363133383030373535353030 c402 12345678",
    )


def test_levels():
    both((3, 0, 9), [((3, 0, 9), 100)], "c10964")
    both((3, 0, 7), [((3, 0, 7, 0), 3800), ((3, 0, 7, 1), 5000)], "880708 42000ed8 42011388")
    both((3, 0, 7, 1), [((3, 0, 7, 1), 5000)], "42011388")
    both((3, 0), [], "")
    both((3,), [], "")


def test_values():
    for rid, value, text in (
        (0, "", "c000"),
        (0, "\xe4", "c200c3a4"),
        (1, 0, "c10100"),
        (1, 127, "c1017f"),
        (1, 128, "c2010080"),
        (1, -128, "c10180"),
        (1, -129, "c201ff7f"),
        (1, 32768, "c40100008000"),
        (1, 1 << 31, "c801080000000080000000"),
        (1, -1 << 63, "c801088000000000000000"),
        (1, (1 << 63) - 1, "c801087fffffffffffffff"),
        (2, 127, "c1027f"),
        (2, 255, "c20200ff"),
        (2, (1 << 64) - 1, "c80208ffffffffffffffff"),
        (2, 1 << 63, "c802088000000000000000"),
        (3, 1.5, "c4033fc00000"),
        (3, 0.1, "c4033dcccccd" if SINGLE else "c803083fb999999999999a"),
        (3, float("inf"), "c4037f800000"),
        (4, True, "c10401"),
        (4, False, "c10400"),
        (5, b"", "c005"),
        (5, bytes(7), "c705" + "00" * 7),
        (5, bytes(8), "c80508" + "00" * 8),
        (6, -1, "c106ff"),
        (6, 4102444800, "c8060800000000f4865700"),
        (7, (0, 65535), "c4070000ffff"),
        (8, "</3>", "c4083c2f333e"),
        (300, 1, "e1012c01"),
    ):
        both((9, 0, rid), [((9, 0, rid), value)], text)


def test_long_values():
    for n, head in ((255, "c805ff"), (256, "d0050100"), (65535, "d005ffff"), (65536, "d805010000")):
        buf = bytearray(n + 5)
        path = (9, 0, 5)
        k = tlv.encode(path, [(path, OPAQUE, bytes(n))], buf)
        equal(bytes(buf[: k - n]), bytes.fromhex(head))
        equal(tlv.decode(path, memoryview(buf)[:k], typeof), [(path, bytes(n))])


def test_nan():
    path = (9, 0, 3)
    buf = bytearray(8)
    n = tlv.encode(path, [(path, FLOAT, float("nan"))], buf)
    equal(n, 6)
    ((_, value),) = tlv.decode(path, buf[:n], typeof)
    assert value != value


def test_integers_of_any_length():
    for text, value in (
        ("c101ff", -1),
        ("c30100ffff", 65535),
        ("c301ff0000", -65536),
        ("c5010000000001", 1),
        ("c801080000000000000001", 1),
        ("c401ffffffff", -1),
    ):
        equal(tlv.decode((9, 0, 1), bytes.fromhex(text), typeof), [((9, 0, 1), value)])
    refused((9, 0, 1), "c001")
    refused((9, 0, 1), "c80109000000000000000001")


def test_unsigned_is_sign_extended():
    for text, value in (
        ("c102ff", (1 << 64) - 1),
        ("c20200ff", 255),
        ("c402fffffffe", (1 << 64) - 2),
        ("c80208ffffffffffffffff", (1 << 64) - 1),
        ("c80208 8000000000000000", 1 << 63),
    ):
        equal(tlv.decode((9, 0, 2), bytes.fromhex(text.replace(" ", "")), typeof), [((9, 0, 2), value)])


def test_wrong_types():
    refused((9, 0, 0), "c100ff")
    refused((9, 0, 0), "c200c080")
    refused((9, 0, 3), "c10301")
    refused((9, 0, 3), "c003")
    refused((9, 0, 4), "c10402")
    refused((9, 0, 4), "c1 04ff")
    refused((9, 0, 4), "c2040001")
    refused((9, 0, 4), "c004")
    refused((9, 0, 6), "c006")
    refused((9, 0, 7), "c20701ff")
    refused((9, 0, 7), "c007")


def test_create():
    equal(tlv.decode((3,), bytes.fromhex("c10964"), typeof), [((3, None, 9), 100)])
    equal(tlv.decode((3,), bytes.fromhex("8307417f07"), typeof), [((3, None, 7, 127), 7)])
    equal(tlv.decode((3,), b"\x00\x04", typeof), [((3, 4), None)])
    equal(tlv.decode((3,), bytes.fromhex("080400"), typeof), [((3, 4), None)])
    equal(tlv.decode((3,), bytes.fromhex("0304c10964"), typeof), [((3, 4, 9), 100)])
    equal(tlv.decode((3,), b"", typeof), [])


def test_wrapped_in_what_is_above():
    # A server may name levels that the path of its request has already.
    want = [((3, 0, 9), 100)]
    equal(tlv.decode((3, 0), bytes.fromhex("0300c10964"), typeof), want)
    equal(tlv.decode((3, 0, 9), bytes.fromhex("0300c10964"), typeof), want)
    equal(tlv.decode((3, 0, 7, 1), bytes.fromhex("840742011388"), typeof), [((3, 0, 7, 1), 5000)])
    equal(tlv.decode((3, 0, 7), bytes.fromhex("42011388"), typeof), [((3, 0, 7, 1), 5000)])


def test_empty_multiple_resource():
    equal(tlv.decode((3, 0), bytes.fromhex("8007"), typeof), [((3, 0, 7), {})])
    equal(tlv.decode((3, 0, 7), bytes.fromhex("880700"), typeof), [((3, 0, 7), {})])


def test_unknown_resources_are_left_raw():
    equal(tlv.decode((3, 0), bytes.fromhex("c263ff00"), typeof), [((3, 0, 99), b"\xff\x00")])
    equal(tlv.decode((3, 0), bytes.fromhex("83634105ff"), typeof), [((3, 0, 99, 5), b"\xff")])


def test_outside_the_target():
    refused((3, 0, 9), "c10a64")
    refused((3, 0), "0301c10964")
    refused((3, 0, 7, 1), "41000e")
    refused((3, 0, 7, 1), "c10764")
    refused((3, 0, 7, 1), "8007")
    refused((3, 0, 9), "0000")
    refused((3, 0, 7), "840842011388")
    refused((), "c10964")
    refused((3, 0), "410001")  # an instance of no resource
    refused((3,), "410001")


def test_malformed():
    for text in ("c1", "c109", "c2 0964", "e1", "e10009", "c8", "c809", "c80902 64", "d00900", "d8090000",
                 "d809ffffff", "ff", "0300c10964 c1", "0100c1", "0200c109", "8307 4101"):
        refused((3, 0), text)
    # What does not nest: an instance in an instance, a resource in a multiple one.
    refused((3,), "0500 0300c10964")
    refused((3, 0), "8307 c10964")
    refused((3, 0), "8507 8307410001")


def test_number_of_values_is_bounded():
    from lwm2m.formats import value

    payload = bytes.fromhex("c10964") * value.MAX_VALUES
    equal(len(tlv.decode((3, 0), payload, typeof)), value.MAX_VALUES)
    equal(raises(Error, tlv.decode, (3, 0), payload + b"\xc1\x09\x64", typeof).code, BAD_REQUEST)
