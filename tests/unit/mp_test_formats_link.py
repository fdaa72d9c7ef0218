# Link format: what Register, Update and Discover send.
# MIT license; Copyright (c) 2026 the microlwm2m authors

from check import SINGLE, equal, raises
from coap.message import Error, INTERNAL
from lwm2m.formats import link, texts
from lwm2m.server import Dispatcher


def links(*entries):
    entries = [(path, link.attributes(pairs)) for path, pairs in entries]
    payload = Dispatcher(None, 200).links_payload(entries)
    n = len(payload)
    equal(Dispatcher(None, n).links_payload(entries), payload)
    if n:
        equal(raises(Error, Dispatcher(None, n - 1).links_payload, entries).code, INTERNAL)
    return payload.decode()


def test_register():
    equal(
        links(
            ((), [("rt", "oma.lwm2m"), ("ct", [112])]),
            ((1, 0), []),
            ((3,), [("ver", "1.2")]),
            ((3, 0), []),
            ((3303,), []),
        ),
        '</>;rt="oma.lwm2m";ct=112,</1/0>,</3>;ver=1.2,</3/0>,</3303>',
    )


def test_several_formats_are_quoted():
    equal(links(((), [("ct", (60, 112))])), '</>;ct="60 112"')


def test_discover():
    equal(
        links(
            ((3, 0), [("pmin", 10), ("pmax", 60)]),
            ((3, 0, 7), [("dim", 2), ("gt", 50), ("lt", 42.2), ("st", -0.5), ("edge", None)]),
            ((3, 0, 7, 1), []),
        ),
        "</3/0>;pmin=10;pmax=60,</3/0/7>;dim=2;gt=50;lt=42.2;st=-0.5;edge,</3/0/7/1>",
    )


def test_bootstrap_discover():
    equal(
        links(
            ((), [("lwm2m", "1.1")]),
            ((0, 1), [("ssid", 101), ("uri", "coap://a")]),
            ((21, 0), []),
        ),
        '</>;lwm2m=1.1,</0/1>;ssid=101;uri="coap://a",</21/0>',
    )


def test_quotation_marks_are_escaped():
    equal(links(((5,), [("title", 'a"b\\')])), '</5>;title="a\\"b\\\\"')


def test_decimals_have_no_exponent():
    for value, want in (
        (0, "0"),
        (-7, "-7"),
        (1.0, "1"),
        (1.5, "1.5"),
        (-0.25, "-0.25"),
        (1e-7, "0.0000001"),
        (-1.25e-5, "-0.0000125"),
        (1e10, "10000000000"),
        (1.5e20, "150000000000000000000"),
        (123456.789, "123456.8" if SINGLE else "123456.789"),
    ):
        equal(texts.plain(value), want)
    if not SINGLE:  # there it is infinite
        equal(texts.plain(1e300), "1" + "0" * 300)
    raises(ValueError, texts.plain, float("inf"))
    raises(ValueError, texts.plain, float("nan"))


def test_empty_list():
    equal(links(), "")
