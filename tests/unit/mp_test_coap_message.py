# The CoAP codec: RFC 7252 section 3 and Appendix A, whole packets.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import os

from check import equal, raises
from coap import message
from coap.message import *
from bodies import decode_body
from coap.late import body_of
from coap.message import pack, read, uint, uint_bytes


def unhex(text):
    return bytes.fromhex(text.replace(" ", ""))


def test_rfc7252_appendix_a_figure_16():
    request = Message(GET, CON, 0x7D34).add(URI_PATH, "temperature")
    equal(encode(request), unhex("40017d34 bb") + b"temperature")
    response = Message(CONTENT, ACK, 0x7D34, payload=b"22.3 C")
    equal(encode(response), unhex("60457d34 ff") + b"22.3 C")


def test_rfc7252_appendix_a_figure_17():
    request = Message(GET, CON, 0x7D35, b"\x20").add(URI_PATH, "temperature")
    data = unhex("41017d35 20 bb") + b"temperature"
    equal(encode(request), data)
    got = decode(data)
    equal((got.type, got.code, got.mid, got.token, got.path()), (CON, GET, 0x7D35, b"\x20", ["temperature"]))
    equal(bytes(got.payload), b"")


def test_empty_messages():
    equal(encode(Message(EMPTY, RST, 0xBC90)), unhex("7000bc90"))
    equal(encode(Message(EMPTY, ACK, 1)), unhex("60000001"))
    got = decode(unhex("7000bc90"))
    equal((got.type, got.code, got.mid, got.token, got.options), (RST, 0, 0xBC90, b"", []))


def test_option_deltas_at_their_bounds():
    # Option number, and the bytes that begin it when it is the first.
    for number, head in (
        (0, "00"),
        (12, "c0"),
        (13, "d000"),
        (268, "d0ff"),
        (269, "e00000"),
        (270, "e00001"),
        (65535, "e0fef2"),
    ):
        msg = Message(GET, mid=1).add(number, b"")
        data = unhex("40010001" + head)
        equal(encode(msg), data)
        equal([(n, bytes(v)) for n, v in decode(data).options], [(number, b"")])


def test_option_lengths_at_their_bounds():
    for length, head in ((0, "10"), (12, "1c"), (13, "1d00"), (268, "1dff"), (269, "1e0000"), (1034, "1e02fd")):
        value = b"v" * length
        msg = Message(GET, mid=1).add(1, value)
        data = unhex("40010001" + head) + value
        equal(encode(msg), data)
        equal([(n, bytes(v)) for n, v in decode(data).options], [(1, value)])


def test_malformed_datagrams():
    # What is sent, and the type and message ID that a Reset may need.
    for data, kind, mid in (
        ("", None, None),
        ("400100", None, None),
        ("00010001", None, None),  # version 0
        ("80010001", None, None),  # version 2
        ("c0010001", None, None),  # version 3
        ("49010001010203040506070809", CON, 1),  # token of 9
        ("5f010203" + "00" * 15, NON, 0x203),  # token of 15
        ("4401000101", CON, 1),  # token cut off
        ("40000001ff", CON, 1),  # Empty with content
        ("4100000101", CON, 1),  # Empty with token
        ("60000001b1", ACK, 1),
        ("40010001f0", CON, 1),  # delta 15
        ("400100011f", CON, 1),  # length 15
        ("40010001ff", CON, 1),  # marker without payload
        ("40010001b4746573", CON, 1),  # value cut off
        ("40010001d0", CON, 1),  # extended delta cut off
        ("40010001e000", CON, 1),
        ("400100010d", CON, 1),  # extended length cut off
        ("400100010e00", CON, 1),
        ("400100010dff", CON, 1),
        ("40010001e0fef3", CON, 1),  # number 65536
        ("50010001e0ffffe0ffff", NON, 1),
    ):
        e = raises(FormatError, decode, unhex(data))
        equal((data, e.type, e.mid), (data, kind, mid))


def test_a_message_that_is_used_again_is_as_a_new_one():
    datagrams = [
        encode(Message(POST, CON, 1, b"token", b"payload").add(URI_PATH, "a").add(OBSERVE, 0)),
        encode(Message(GET, CON, 2)),
        encode(Message(GET, CON, 3, b"t")),
        encode(Message(PUT, CON, 4, payload=b"p")),
        encode(Message(FETCH, CON, 5).add(URI_PATH, "b").add(URI_PATH, "c")),
    ]
    for first in datagrams:
        for second in datagrams:
            used = read(second, read(first, None))
            new = read(second, None)
            for name in ("type", "code", "mid", "token", "payload", "options", "kinds"):
                equal(getattr(used, name), getattr(new, name))


def test_options_and_payload_are_views():
    data = bytearray(unhex("40010001 b161 ff70"))
    msg = decode(data)
    data[5] = ord("b")
    data[7] = ord("q")
    equal(msg.path(), ["b"])
    equal(bytes(msg.payload), b"q")


def test_options_keep_their_order():
    msg = Message(GET)
    for number, value in ((URI_QUERY, "q1"), (URI_PATH, "a"), (ACCEPT, 60), (URI_PATH, "b"), (URI_QUERY, "q2")):
        msg.add(number, value)
    equal(msg.options, [(11, b"a"), (11, b"b"), (15, b"q1"), (15, b"q2"), (17, b"\x3c")])
    msg.set(URI_PATH, "c")
    equal(msg.options, [(11, b"c"), (15, b"q1"), (15, b"q2"), (17, b"\x3c")])
    msg.remove(URI_QUERY)
    equal(msg.options, [(11, b"c"), (17, b"\x3c")])
    equal((msg.opt(ACCEPT), msg.opt(ETAG), msg.opt(ETAG, b"x"), msg.opts(URI_PATH)), (b"\x3c", None, b"x", [b"c"]))


def test_unsigned_integers():
    for value, data in ((0, ""), (1, "01"), (255, "ff"), (256, "0100"), (65536, "010000"), (0xFFFFFFFF, "ffffffff")):
        equal(uint_bytes(value), unhex(data))
        equal(uint(unhex(data)), value)
        # Leading zeros are taken.
        equal(Message().add(ACCEPT, unhex("0000" + data)).uint(ACCEPT), value)
    equal(Message().uint(ACCEPT), None)
    equal(Message().uint(ACCEPT, 7), 7)
    raises(ValueError, uint_bytes, -1)


def test_path_that_is_no_text():
    msg = decode(unhex("40010001 b2c328"))
    equal(raises(Error, msg.path).code, BAD_OPTION)


def test_encode_into_a_buffer():
    msg = Message(POST, NON, 0xABCD, b"tk").add(URI_PATH, "rd").add(REQUEST_TAG, b"t" * 20)
    msg.payload = memoryview(b"xbody")[1:]
    data = encode(msg)
    equal(data, unhex("5202abcd") + b"tk" + unhex("b2") + b"rd" + unhex("ed000c07") + b"t" * 20 + b"\xffbody")
    equal(bytes(pack(msg, ACK, 2, b"")), unhex("60020002") + data[6:])
    for size in range(len(data)):
        buf = bytearray(size)
        raises(ValueError, encode, msg, buf)
        equal(len(buf), size)
    buf = bytearray(len(data) + 5)
    equal(encode(msg, buf, 3), len(data))
    equal(bytes(buf), bytes(3) + data + bytes(2))
    equal(encode(msg, memoryview(buf)[5:]), len(data))


def test_body_without_some_options():
    msg = Message().add(OBSERVE, 1).add(URI_PATH, "a").add(ECHO, b"e")
    equal(bytes(body_of(msg.options, b"p", (OBSERVE, ECHO))), unhex("b161ff70"))
    options, payload = decode_body(memoryview(b"\x00" + b"\xb1a\xffp"), 1)
    equal([(n, bytes(v)) for n, v in options], [(11, b"a")])
    equal(bytes(payload), b"p")


def test_what_cannot_be_encoded():
    msg = Message(GET, token=b"123456789")
    equal(raises(ValueError, encode, msg).args[0], "token")
    msg = Message(GET)
    msg.options = [(11, b"a"), (3, b"h")]
    equal(raises(ValueError, encode, msg).args[0], "options")


def test_words():
    equal((describe(CONTENT), describe(NOT_FOUND), describe(INTERNAL), describe(GET)), ("2.05", "4.04", "5.00", "0.01"))


def test_errors_carry_their_code():
    e = Error(TOO_LARGE, "why", ((SIZE1, 10),))
    equal((e.code, e.text, e.options), (TOO_LARGE, "why", ((SIZE1, 10),)))
    assert isinstance(SecurityError(BAD_REQUEST), Error) and isinstance(PlainError(BAD_REQUEST), Error)
    equal(SecurityError(BAD_REQUEST).ex, None)


def _copies(folder, names):
    # Constants of the modules in a folder that have a name of names, behind an underscore, and its
    # value.
    found = 0
    for module in os.listdir("lib/" + folder):
        if not module.endswith(".py"):
            continue
        with open("lib/%s/%s" % (folder, module)) as f:
            for line in f:
                name, eq, value = line.partition(" = const(")
                if eq and name in names:
                    equal((module, name, int(value.split(")")[0], 0)), (module, name, names[name]))
                    found += 1
    return found


def _public(module):
    names = {}
    for name in dir(module):
        value = getattr(module, name)
        if isinstance(value, int) and name[0] != "_":
            names["_" + name] = value
    return names


def test_copies_of_constants_agree():
    # A const is inlined only in its own module, so modules have copies.
    names = _public(message)
    assert _copies("coap/coap", names) > 35
    assert _copies("oscore/oscore", names) > 20
    assert _copies("lwm2m/lwm2m", names) > 45


def test_copies_of_types_and_flags_agree():
    import lwm2m.types as types

    names = _public(types)
    assert _copies("lwm2m/lwm2m/objects", names) > 20
    assert _copies("lwm2m/lwm2m", names) > 6
    flags = ("_R", "_W", "_RW", "_E", "_MULTI", "_MANDATORY")
    names = {name: names[name] for name in names if name not in flags}
    assert _copies("lwm2m/lwm2m/formats", names) > 20
