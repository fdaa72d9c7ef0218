# Sealed messages: the OSCORE option, options by class, failures.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 sections 4, 5, 6 and 8

import gc

import coap.message as m
from check import equal, raises
from oscore import Account, Limits, validate
from oscore.message import decode_option, encode_option, fields_of, seal
from oscorepair import (
    CLIENT,
    SERVER,
    Flash,
    account,
    content,
    exchange,
    forging,
    get,
    pair,
    recorder,
    same,
    serve,
    wire,
)


def options(msg):
    return [(n, bytes(v)) for n, v in msg.options]


def refused(account, outer, code):
    e = raises(m.SecurityError, account.open_request, outer)
    equal(e.code, code)
    assert e.ex is None


# ---- the option


def test_option_round_trip():
    for piv in (b"\x00", b"\x05", b"\x01\x00", b"\xff" * 5):
        for kid in (None, b"", b"\x01", b"1234567"):
            for kid_context in (None, b"", b"c", bytes(60)):
                value = encode_option(piv, kid, kid_context)
                equal(decode_option(value), (piv, kid, kid_context))
    equal(encode_option(), b"")
    equal(decode_option(b""), (None, None, None))
    equal(decode_option(memoryview(b"\x09\x14\x00")), (b"\x14", b"\x00", None))


def test_option_is_decoded_strictly():
    bad = (
        "00",  # no flag: it were empty
        "20", "40", "80", "ff00",  # reserved
        "0614", "07" + "14" * 7,  # lengths of the Partial IV that are reserved
        "01", "0214", "051414",  # Partial IV cut off
        "020014", "050000000001",  # leading zeros
        "0114aa",  # something left without a kid
        "10", "1105", "110502aa", "1903050aaa",  # kid context cut off
    )
    for text in bad:
        raises(ValueError, decode_option, bytes.fromhex(text))


def test_every_option_of_three_bytes_is_taken_or_refused():
    # Whatever is taken is what encode_option makes of it: one form for one meaning.
    taken = 0
    for a in range(256):
        for b in (0, 1, 2, 0x14, 0xFF):
            for c in (0, 1, 0x7F):
                value = bytes((a, b, c))
                try:
                    piv, kid, kid_context = decode_option(value)
                except ValueError:
                    continue
                equal(encode_option(piv or b"", kid, kid_context), value)
                taken += 1
    assert taken > 50


def test_fields_of_a_request_are_those_of_its_option():
    # The short way of most requests takes and refuses what decode_option() does.
    taken = 0
    for a in list(range(32)) + [0x28, 0x49, 0x89, 0xFF]:
        for b in (0, 1, 0x14):
            for rest in (b"", b"\0", b"\x01\x02", b"\0\0\0\0\x05k", b"\x01\0\0\0\x05kk"):
                value = bytes((a, b)) + rest
                outer = m.Message(m.POST, payload=b"x").add(m.OSCORE, value)
                try:
                    want = decode_option(value)
                    if want[0] is None or want[1] is None:
                        want = False
                except ValueError:
                    want = False
                equal(fields_of(outer), want)
                taken += want is not False
                outer.payload = b""
                equal(fields_of(outer), False)
    assert taken > 30
    equal(fields_of(m.Message(m.POST, payload=b"x")), None)
    equal(fields_of(m.Message(m.POST, payload=b"x").add(m.OSCORE, b"")), False)


# ---- options by class


def test_options_of_class_E_are_inside_only():
    client, server = pair()
    request = get("3", "0")
    request.add(m.URI_QUERY, "a=b").add(m.ACCEPT, 112).add(m.CONTENT_FORMAT, 60).add(m.IF_MATCH, b"t")
    request.add(m.BLOCK1, 8).add(m.BLOCK2, 2).add(m.SIZE1, 99).add(m.NO_RESPONSE, 2)
    request.add(m.ECHO, b"12345678").add(m.REQUEST_TAG, b"r").add(2049, b"unknown")
    request.payload = b"body"
    outer, _ = client.seal_request(request)
    equal([n for n, _ in outer.options], [m.OSCORE])
    equal(outer.code, m.POST)
    inner, _ = server.open_request(wire(outer))
    assert same(inner, request)


def test_options_of_class_U_stay_outside():
    client, server = pair()
    request = get("a").add(m.URI_HOST, "host").add(m.URI_PORT, 61616).add(m.HOP_LIMIT, 5)
    request.add(m.PROXY_SCHEME, "coap")
    outer, _ = client.seal_request(request)
    equal([n for n, _ in outer.options], [3, 7, 9, 16, 39])
    inner, _ = server.open_request(wire(outer))
    assert same(inner, request)


def test_outer_options_of_class_E_are_ignored():
    client, server = pair()
    outer, binding = client.seal_request(get("a"))
    outer.add(m.URI_PATH, "evil").add(m.ACCEPT, 50).add(m.MAX_AGE, 3).add(m.ECHO, b"x")
    outer.add(m.BLOCK2, 1).add(m.NO_RESPONSE, 0xFF).add(m.REQUEST_TAG, b"q").add(m.SIZE1, 4)
    inner, answer = serve(server, wire(outer))
    assert same(inner, get("a"))
    answer.add(m.MAX_AGE, 9).add(m.CONTENT_FORMAT, 0).add(m.LOCATION_PATH, "evil")
    assert same(client.open_response(answer, binding), content(b"ok"))


def test_inner_options_that_belong_outside_are_not_taken():
    # A peer that seals them: they never reach the handler.
    client, server = pair()
    from oscore import message

    kept = message._special
    message._special = lambda options: False
    try:
        outer, _ = client.seal_request(get("a").add(m.URI_HOST, "h").add(m.PROXY_SCHEME, "coap"))
        nested, _ = client.seal_request(get("a").add(m.OSCORE, b"\x09\x01\x02"))
    finally:
        message._special = kept
    inner, _ = server.open_request(wire(outer))
    equal(options(inner), [(m.URI_PATH, b"a")])
    refused(server, wire(nested), m.BAD_REQUEST)


def test_oscore_option_in_what_is_to_be_sealed_is_misuse():
    client, _ = pair()
    raises(ValueError, client.seal_request, get("a").add(m.OSCORE, b""))


def test_proxy_uri_is_split():
    client, server = pair()
    request = m.Message(m.GET).add(m.PROXY_URI, "coap://[2001:db8::1]:5684/a%2Fb/%C3%bc/?x=%26&y")
    outer, _ = client.seal_request(request)
    equal(options(outer)[1:], [(m.PROXY_URI, b"coap://[2001:db8::1]:5684")])
    equal(request.options, [(m.PROXY_URI, b"coap://[2001:db8::1]:5684/a%2Fb/%C3%bc/?x=%26&y")])
    inner, _ = server.open_request(wire(outer))
    equal([bytes(v) for v in inner.opts(m.URI_PATH)], [b"a/b", "ü".encode(), b""])
    equal([bytes(v) for v in inner.opts(m.URI_QUERY)], [b"x=&", b"y"])
    equal(bytes(inner.opt(m.PROXY_URI)), b"coap://[2001:db8::1]:5684")
    # without a path, with a query only
    outer, _ = client.seal_request(m.Message(m.GET).add(m.PROXY_URI, "coaps://h?q"))
    inner, _ = server.open_request(wire(outer))
    equal(options(inner), [(m.URI_QUERY, b"q"), (m.PROXY_URI, b"coaps://h")])
    for bad in ("coap", "://h/a", "coap:///a", "coap://h/#f", "coap://h/%4", "coap://h/%zz"):
        raises(ValueError, client.seal_request, m.Message(m.GET).add(m.PROXY_URI, bad))
    twice = m.Message(m.GET).add(m.PROXY_URI, "coap://h").add(m.URI_PATH, "a")
    raises(ValueError, client.seal_request, twice)


# ---- codes and Observe


def test_trap_10_outer_codes_say_nothing():
    client, server = pair()
    for code in range(1, 8):
        request = m.Message(code).add(m.URI_PATH, "a")
        outer, binding = client.seal_request(request)
        equal(outer.code, m.POST)
        inner, answer = serve(server, wire(outer), content(code=m.NOT_FOUND))
        equal(inner.code, code)
        equal(answer.code, m.CHANGED)
        equal(client.open_response(answer, binding).code, m.NOT_FOUND)


def observed(client, server):
    outer, binding = client.seal_request(get("a").add(m.OBSERVE, 0))
    equal((outer.code, outer.opt(m.OBSERVE)), (m.FETCH, b""))
    inner, seen = server.open_request(wire(outer))
    equal(bytes(inner.opt(m.OBSERVE)), b"")
    return binding, seen


def notify(server, seen, value, notification=True):
    msg = content(b"%d" % value).add(m.OBSERVE, value)
    return wire(server.seal_response(msg, seen, notification), kind=m.NON)


def test_trap_19_observe_stands_inside_and_outside():
    client, server = pair()
    binding, seen = observed(client, server)
    pivs = []
    for value in (0, 7, 8):
        arrived = notify(server, seen, value, value != 0)
        equal((arrived.code, arrived.uint(m.OBSERVE)), (m.CONTENT, value))
        pivs.append(decode_option(arrived.opt(m.OSCORE))[0])
        inner = client.open_response(arrived, binding)
        # inside it is empty, and its value here is the order of the Partial IVs
        equal(inner.uint(m.OBSERVE), int.from_bytes(pivs[-1], "big") + 1)
        equal(bytes(inner.payload), b"%d" % value)
    equal(pivs, [b"\x00", b"\x01", b"\x02"])


def test_notifications_are_taken_in_order_and_once():
    client, server = pair()
    binding, seen = observed(client, server)
    sent = [notify(server, seen, n) for n in range(4)]
    client.open_response(sent[1], binding)
    for late in (sent[0], sent[1]):
        equal(raises(m.SecurityError, client.open_response, late, binding).text, "replayed")
    client.open_response(sent[3], binding)
    raises(m.SecurityError, client.open_response, sent[2], binding)
    equal(client.counters["replayed"], 3)


def test_first_notification_without_partial_iv_is_the_oldest():
    client, server = pair()
    binding, seen = observed(client, server)
    # as other servers send it: under the request's nonce
    first = server.seal_response(content(b"0"), seen)
    equal(first.opt(m.OSCORE), b"")
    arrived = wire(first)
    equal(bytes(client.open_response(arrived, binding).payload), b"0")
    # it carried no Observe inside, so the observation never was
    raises(m.SecurityError, client.open_response, notify(server, seen, 1), binding)

    binding, seen = observed(client, server)
    msg = content(b"0").add(m.OBSERVE, 0)
    nonce, aad = server.ctx.nonce(False, seen.piv), server.ctx.request(False, seen.piv)[2]
    first = wire(seal(server.ctx, msg, m.CONTENT, b"", nonce, aad))
    equal(client.open_response(first, binding).uint(m.OBSERVE), 0)
    raises(m.SecurityError, client.open_response, first, binding)
    client.open_response(notify(server, seen, 1), binding)
    raises(m.SecurityError, client.open_response, first, binding)


def test_observe_that_a_proxy_took_off():
    client, server = pair()
    outer, binding = client.seal_request(get("a").add(m.OBSERVE, 0))
    outer.remove(m.OBSERVE)
    inner, seen = server.open_request(wire(outer))
    assert inner.opt(m.OBSERVE) is None
    binding, seen = observed(client, server)
    arrived = notify(server, seen, 3)
    arrived.remove(m.OBSERVE)
    assert client.open_response(arrived, binding).opt(m.OBSERVE) is None


def test_observe_in_answer_to_a_request_without():
    client, server = pair()
    outer, binding = client.seal_request(get("a"))
    _, seen = server.open_request(wire(outer))
    raises(m.SecurityError, client.open_response, notify(server, seen, 3), binding)
    equal(client.counters["undecodable"], 1)
    # and the exchange goes on waiting
    client.open_response(wire(server.seal_response(content(), seen)), binding)


def test_cancelled_observation():
    client, server = pair()
    outer, binding = client.seal_request(get("a").add(m.OBSERVE, 1))
    equal((outer.code, bytes(outer.opt(m.OBSERVE))), (m.FETCH, b"\x01"))
    inner, answer = serve(server, wire(outer))
    equal(inner.uint(m.OBSERVE), 1)
    equal(answer.code, m.CONTENT)
    equal(bytes(client.open_response(answer, binding).payload), b"ok")


# ---- responses and their nonces


def test_second_response_has_a_partial_iv_of_its_own():
    client, server = pair()
    outer, binding = client.seal_request(get("a"))
    _, seen = server.open_request(wire(outer))
    first = server.seal_response(content(b"1"), seen)
    second = server.seal_response(content(b"2"), seen)
    third = server.seal_response(content(b"3"), seen)
    equal([o.opt(m.OSCORE) for o in (first, second, third)], [b"", b"\x01\x00", b"\x01\x01"])
    equal(recorder.used, 4)
    equal(bytes(client.open_response(wire(second), binding).payload), b"2")
    # one response to a request that is no observation
    raises(m.SecurityError, client.open_response, wire(third), binding)
    raises(m.SecurityError, client.open_response, wire(first), binding)


def test_a_response_behind_that_of_an_ack_has_a_partial_iv_of_its_own():
    client, server = pair()
    outer, binding = client.seal_request(get("a"))
    _, seen = server.open_request(wire(outer))
    first = m.decode(server.seal_ack(content(b"1"), seen, 7, b"t"))
    second = m.decode(server.seal_ack(content(b"2"), seen, 8, b"t"))
    third = server.seal_response(content(b"3"), seen)
    equal([bytes(o.opt(m.OSCORE)) for o in (first, second, third)], [b"", b"\x01\x00", b"\x01\x01"])
    equal(recorder.used, 4)
    equal(bytes(client.open_response(first, binding).payload), b"1")


def test_an_ack_is_what_seal_response_makes():
    # Whatever the options, and for an outer FETCH, which is answered 2.05 (section 4.2).
    for code in (m.GET, m.FETCH):
        for options in ((), ((m.CONTENT_FORMAT, b""),), ((m.CONTENT_FORMAT, b"\x2d\x16"),), ((m.ETAG, b"e"),),
                        ((m.ETAG, b"e"), (m.CONTENT_FORMAT, b"p")), ((m.MAX_AGE, b""),)):  # fmt: skip
            for payload in (b"", b"value"):
                recorder.forget()
                client, server = pair()
                request = m.Message(code).add(m.URI_PATH, "a")
                if code == m.FETCH:
                    request.add(m.OBSERVE, 0)
                outer, binding = client.seal_request(request)
                _, seen = server.open_request(wire(outer))
                answer = m.Message(m.CONTENT, payload=payload, options=list(options))
                got = m.decode(server.seal_ack(answer, seen, 0x1234, b"token"))
                equal((got.type, got.mid, got.token), (m.ACK, 0x1234, b"token"))
                equal((got.code, bytes(got.opt(m.OSCORE))), (m.CONTENT if code == m.FETCH else m.CHANGED, b""))
                inner = client.open_response(got, binding)
                equal((inner.code, bytes(inner.payload)), (m.CONTENT, payload))
                equal([(n, bytes(v)) for n, v in inner.options], list(options))


def test_an_ack_that_is_not_sealed_does_not_give_the_nonce_back():
    client, server = pair()
    _, seen = server.open_request(wire(client.seal_request(get("a"))[0]))
    unsorted = m.Message(m.CONTENT, options=[(m.CONTENT_FORMAT, b""), (m.ETAG, b"x")])
    raises(ValueError, server.seal_ack, unsorted, seen, 7, b"t")
    equal(bytes(m.decode(server.seal_ack(content(b"2"), seen, 8, b"t")).opt(m.OSCORE)), b"\x01\x00")


def test_a_seal_that_fails_does_not_give_the_nonce_back():
    client, server = pair()
    outer, _ = client.seal_request(get("a"))
    _, seen = server.open_request(wire(outer))
    bad = content().add(m.OSCORE, b"")
    raises(ValueError, server.seal_response, bad, seen)
    equal(server.seal_response(content(), seen).opt(m.OSCORE), b"\x01\x00")
    raises(ValueError, client.seal_request, get("a").add(m.OSCORE, b""))
    equal(decode_option(client.seal_request(get("a"))[0].opt(m.OSCORE))[0], b"\x02")


def test_response_to_another_request_is_dropped():
    client, server = pair()
    one, first = client.seal_request(get("a"))
    two, second = client.seal_request(get("a"))
    _, answer = serve(server, wire(one))
    equal(raises(m.SecurityError, client.open_response, answer, second).text, "failed")
    assert same(client.open_response(answer, first), content(b"ok"))
    _, answer = serve(server, wire(two))
    assert same(client.open_response(answer, second), content(b"ok"))


# ---- failures


def test_codes_of_failures():
    client, server = pair()
    good = client.seal_request(get("a"))[0]
    refused(server, wire(get("a")), m.UNAUTHORIZED)  # plain
    bad = wire(good)
    bad.set(m.OSCORE, b"\x00")
    refused(server, bad, m.BAD_OPTION)
    bad.set(m.OSCORE, b"\x08Cl")  # no Partial IV
    refused(server, bad, m.BAD_OPTION)
    bad.set(m.OSCORE, b"\x01\x01")  # no kid
    refused(server, bad, m.BAD_OPTION)
    bad = wire(good)
    bad.add(m.OSCORE, b"\x09\x00Cl")  # twice
    refused(server, bad, m.BAD_OPTION)
    bad = wire(good)
    bad.payload = b""
    refused(server, bad, m.BAD_OPTION)
    bad = wire(good)
    bad.set(m.OSCORE, encode_option(b"\x00", b"xx"))
    refused(server, bad, m.UNAUTHORIZED)  # kid
    bad.set(m.OSCORE, encode_option(b"\x00", b"Cl", b"context"))
    refused(server, bad, m.UNAUTHORIZED)  # kid context
    bad = wire(good)
    bad.payload = bytes(bad.payload)[:8]
    refused(server, bad, m.BAD_REQUEST)  # shorter than a tag and a code
    bad.payload = bytes(20)
    refused(server, bad, m.BAD_REQUEST)  # tag
    equal(server.ctx.window.highest, -1)
    equal(server.ctx.trust, Limits.failures - 2)
    assert server.open_request(wire(good))[0] is not None
    refused(server, wire(good), m.UNAUTHORIZED)  # replay
    want = {"plain": 1, "undecodable": 5, "unknown": 2, "failed": 2, "replayed": 1, "opened": 1}
    for name in want:
        equal((name, server.counters[name]), (name, want[name]))


def test_what_is_inside_must_be_a_request():
    client, server = pair()
    for code in (0, 0x20, 0x45, 0x81, 0xFF):
        outer, _ = client.seal_request(m.Message(code).add(m.URI_PATH, "a"))
        refused(server, wire(outer), m.BAD_REQUEST)
    # options that are none
    outer, _ = client.seal_request(get("a"))
    piv = decode_option(outer.opt(m.OSCORE))[0]
    buf = bytearray(b"\x01\xf1") + bytes(8)
    with forging():
        client.ctx.seal(client.ctx.nonce(True, piv), buf, 2, client.ctx.request(True, piv)[2])
    outer.payload = buf
    refused(server, wire(outer), m.BAD_REQUEST)


def test_responses_that_fail_change_nothing():
    client, server = pair()
    outer, binding = client.seal_request(get("a"))
    _, seen = server.open_request(wire(outer))
    good = wire(server.seal_response(content(b"ok"), seen))
    for change in (
        lambda o: o.set(m.OSCORE, b"\x00"),
        lambda o: o.set(m.OSCORE, b"\x08xx"),
        lambda o: o.set(m.OSCORE, b"\x01\x00"),
        lambda o: o.set(m.OSCORE, b"\x10\x03abc"),
        lambda o: o.set(m.OSCORE, b"\x10\x02\x41a"),
        lambda o: setattr(o, "payload", bytes(o.payload)[:-1]),
        lambda o: setattr(o, "payload", b""),
        lambda o: o.add(m.OSCORE, b""),
    ):
        bad = m.decode(m.encode(good))
        change(bad)
        raises(m.SecurityError, client.open_response, bad, binding)
        equal(client.state, "ready")
    plain = m.Message(m.NOT_FOUND)
    raises(m.SecurityError, client.open_response, plain, binding)
    for code in (m.BAD_REQUEST, m.UNAUTHORIZED, m.BAD_OPTION):
        equal(raises(m.PlainError, client.open_response, m.Message(code), binding).code, code)
    assert same(client.open_response(good, binding), content(b"ok"))


def test_kid_in_a_response_is_allowed():
    client, server = pair()
    outer, binding = client.seal_request(get("a"))
    _, answer = serve(server, wire(outer))
    answer.set(m.OSCORE, b"\x08Sr")
    assert same(client.open_response(answer, binding), content(b"ok"))


# ---- what an account is made from


def test_arguments_are_checked_and_named():
    good = dict(master_secret=b"s", sender_id=b"a", recipient_id=b"b")
    for name, value in (
        ("master_secret", b""),
        ("master_secret", bytes(65)),
        ("master_secret", "text"),
        ("master_salt", bytes(65)),
        ("sender_id", bytes(8)),
        ("recipient_id", bytes(8)),
        ("recipient_id", b"a"),
        ("recipient_id", None),
        ("aead", 1),
        ("aead", 24),
        ("aead", "10"),
        ("aead", (10, 16, 6, 8, None)),
        ("hmac", -11),
        ("hmac", 7),
        ("id_context", bytes(65)),
    ):
        arguments = dict(good)
        arguments[name] = value
        e = raises(ValueError, validate, **arguments)
        assert str(e).startswith(name), (name, str(e))
    ids = (b"s", b"a", b"b")
    for name, arguments in (
        ("policy", {"policy": "b3", "random": len}),
        ("random", {}),
        ("persist", {"policy": "b1", "random": len}),
    ):
        e = raises(ValueError, Account, *ids, **arguments)
        assert str(e).startswith(name), str(e)


def test_id_length_follows_the_nonce():
    for aead, most in ((10, 7), (30, 7), (12, 1), (32, 1), (0, 7)):
        validate(b"s", bytes(most), b"b" * most, aead=aead)
        raises(ValueError, validate, b"s", bytes(most + 1), b"b", aead=aead)


def test_limits_are_settable_and_checked():
    equal(Limits(id_context=100).id_context, 100)
    equal(Limits.id_context, 64)
    for name, value in (
        ("id_context", 31),
        ("id_context", 254),
        ("sequence", 1 << 40),
        ("rekey", 1 << 33),
        ("window", 0),
        ("window", 65),
        ("nonce", 3),
        ("reserve", 0),
        ("r2", 0),
        ("unknown", 1),
        ("_x", 1),
    ):
        raises(ValueError, Limits, **{name: value})
    validate(bytes(100), b"a", b"b", limits=Limits(master_secret=100))


def test_all_algorithms_seal_and_open():
    for aead in (10, 12, 30, 32):
        for hmac in (0, -10, 5):
            recorder.forget()
            client = account(b"a", b"b", "b1", aead=aead, hmac=hmac)
            server = account(b"b", b"a", "b1", aead=aead, hmac=hmac)
            assert same(exchange(client, server), content(b"ok"))
            tag = 16 if aead in (30, 32) else 8
            outer, _ = client.seal_request(m.Message(m.GET))
            equal(len(outer.payload), 1 + tag)
    recorder.forget()
    client = account(b"a", b"b", "b1", aead=10)
    server = account(b"b", b"a", "b1", aead=30)
    outer, _ = client.seal_request(get("a"))
    refused(server, wire(outer), m.BAD_REQUEST)


class Toy:
    """Somebody's AEAD: no security, other sizes."""

    def __init__(self, key, tag_length):
        self.key = bytes(key)
        self.tag_length = tag_length

    def mac(self, nonce, data, aad):
        x = 1
        for b in self.key + bytes(nonce) + bytes(data) + bytes(aad):
            x = (x * 31 + b) & 0xFFFFFFFF
        return x.to_bytes(self.tag_length, "big")

    def encrypt_into(self, nonce, buf, length, aad):
        end = length + self.tag_length
        buf[length:end] = self.mac(nonce, buf[:length], aad)
        return end

    def decrypt_into(self, nonce, buf, length, aad):
        n = length - self.tag_length
        if bytes(buf[n:length]) != self.mac(nonce, buf[:n], aad):
            raise ValueError("tag")
        return n


def test_aead_and_hkdf_of_the_user():
    def hkdf(secret, length, salt, info):
        return bytes((sum(bytes(info)) + i) & 255 for i in range(length))

    toy = (-65000, 32, 12, 4, Toy)
    client = account(b"123456", b"b", "b1", aead=toy, hmac=hkdf)
    server = account(b"b", b"123456", "b1", aead=toy, hmac=hkdf)
    assert same(exchange(client, server), content(b"ok"))
    equal((len(client.ctx.sender_key), len(client.ctx.nonce(True, b"\0"))), (32, 12))
    outer, _ = client.seal_request(get("a"))
    outer.payload[3] ^= 1
    refused(server, wire(outer), m.BAD_REQUEST)


def test_wiped_account_does_nothing():
    client, server = pair()
    outer, binding = client.seal_request(get("a"))
    _, answer = serve(server, wire(outer))
    ctx = client.ctx
    aeads = ctx._sender, ctx._recipient
    client.wipe()
    for key in (ctx.sender_key, ctx.recipient_key):
        equal(bytes(key), bytes(len(key)))
    for aead in aeads:
        equal(aead._state, None)
    raises(m.Error, client.seal_request, get("a"))
    raises(m.SecurityError, client.open_response, answer, binding)
    raises(m.SecurityError, client.open_request, wire(server.seal_request(get("a"))[0]))
    equal(client.state, "new")
    equal(client.housekeep(), False)


def test_nothing_stays_of_an_exchange():
    flash = Flash()
    client, server = account(policy="b1", flash=flash), account(SERVER, CLIENT, "b1")
    used = []
    with forging():
        for n in (300, 10, 1000):  # Partial IVs of one and of two bytes have come by then
            for _ in range(n):
                exchange(client, server)
                client.housekeep()
                flash.history.clear()
            gc.collect()
            used.append(gc.mem_alloc())
    assert used[2] <= used[1], used


def test_nothing_secret_is_printed():
    client, _ = pair()
    for thing in (client, client.ctx, client.seal_request(get("a"))):
        text = repr(thing)
        assert "0102" not in text and "\\x01\\x02" not in text
