# Appendix B.2: the four messages, both roles, and what peers do otherwise.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 Appendix B.2
#
# Traps, each with a test named test_trap_N here or elsewhere (tests/host/test_layers.py):
#  1. Some servers carry request 1 out: it is a harmless GET.
#  2. R2 has any length, and ID Contexts reach 24 bytes and more.
#  3. Any request is taken for request 3: one at a time until it is answered.
#  4. A server may take request 1 for the request 3 of an earlier run.
#  5. A retransmission repeats the same bytes.
#  6. A plain error is a hint that anybody can send: its rate is limited, and nothing changes.
#  7. Observations end with their context.
#  8. A server may ask for Echo right after B.2.
#  9. Two accounts may have the same IDs.
# 10. Outer codes say nothing.
# 11. Fresh keys come long before numbers end.
# 12. A server that lost its context answers plain: 4.00 or 4.01.
# 13. A server may begin in the middle of a body, which is not lost.
# 14. Some servers need a kid context in every request, others must not see one.
# 15. Each run has a socket of its own; a request 1 that is known gets Echo under R1.
# 16. The newest Echo counts.
# 17. Answers to blocks may have no Block1, and some bodies come in blocks only.
# 18. Outer Uri-Port, no token, Request-Tag, Location-Query: all normal.
# 19. Notifications have Observe inside and outside.
# 20. R1 and R3 never come again, whatever the port's generator does.

import json
import sys

import coap.message as m
from check import equal, raises
from oscore import Contexts, Limits
from oscore.derive import bstr, unbstr
from oscore.message import decode_option, encode_option, seal
from oscorepair import (
    CLIENT,
    SERVER,
    Flash,
    Rand,
    account,
    content,
    exchange,
    forging,
    get,
    pair,
    ready,
    recorder,
    same,
    serve,
    wire,
)


class Script:
    """A random generator that gives what it is told to."""

    def __init__(self, *values):
        self.values = list(values)

    def __call__(self, n):
        value = self.values.pop(0)
        equal(len(value), n)
        return value


def option(msg):
    return decode_option(msg.opt(m.OSCORE))


def answered(server_ctx, binding, code, kid_context=None, piv=b"", nonce=None, options=()):
    """A response as some peer would send it to a request that binding stands for."""
    msg = m.Message(code)
    for number, value in options:
        msg.add(number, value)
    nonce = nonce or server_ctx.nonce(False, binding.piv)
    value = encode_option(piv, None, kid_context)
    aad = server_ctx.request(False, binding.piv)[2]
    with forging():
        return wire(seal(server_ctx, msg, m.CHANGED, value, nonce, aad))


# ---- CBOR wrapping


def test_bstr():
    for n in (0, 1, 23, 24, 32, 40, 253, 255):
        value = bytes(range(n % 256))[:n]
        wrapped = bstr(value)
        equal(unbstr(wrapped), value)
        equal(len(wrapped), n + (1 if n < 24 else 2))
        raises(AssertionError, equal, unbstr(wrapped[:-1]) if n else b"", value + b"x")
        equal(unbstr(wrapped + b"x"), None)
    equal(bstr(bytes(300))[:3], b"\x59\x01\x2c")
    for bad in (b"", b"\x58", b"\x41", b"\x61a", b"\x5f\x41a\xff", b"\xf6", b"\x59\x00\x01a"):
        equal(unbstr(bad), None)


# ---- Leshan


def leshan():
    with open("tests/vectors/leshan_b2.json") as f:
        v = json.load(f)
    return v["client"], [bytes.fromhex(d["hex"]) for d in v["datagrams"]]


def test_leshan_client_and_server_as_captured():
    keys, datagrams = leshan()
    for run in (datagrams[:6], datagrams[6:]):
        arrived = [m.decode(d) for d in run]
        r1 = unbstr(option(arrived[0])[2])
        r2 = unbstr(option(arrived[1])[2])
        r2_r3 = unbstr(option(arrived[2])[2])
        assert r2_r3[: len(r2)] == r2
        client = account(
            bytes.fromhex(keys["sender_id"]),
            bytes.fromhex(keys["recipient_id"]),
            master_secret=bytes.fromhex(keys["master_secret"]),
            master_salt=bytes.fromhex(keys["master_salt"]),
            aead=keys["aead"],
            hmac=keys["hkdf"],
            random=Script(r1, r2_r3[len(r2) :]),
        )
        # What their client sealed, opened by the same context as a server of ours would
        # derive it, and sealed again by ours: the datagrams are the same.
        server = account(
            bytes.fromhex(keys["recipient_id"]),
            bytes.fromhex(keys["sender_id"]),
            master_secret=bytes.fromhex(keys["master_secret"]),
            master_salt=b"",
        )
        probe = server.open_with(server.derive(r1), arrived[0], b"\x00")
        equal(probe.path(), ["rederivation", "blackhole"])
        outer, binding = client.seal_request(probe)
        outer.type, outer.mid, outer.token = m.CON, arrived[0].mid, arrived[0].token
        equal(m.encode(outer), run[0])
        equal(client.state, "b2-1")
        inner = client.open_response(arrived[1], binding)
        equal((inner.code, inner.options, bytes(inner.payload)), (m.UNAUTHORIZED, [], b""))
        equal((client.state, client.again(inner)), ("b2-2", ()))

        register = server.open_with(server.derive(r2_r3), arrived[2], b"\x00")
        equal((register.code, register.path()), (m.POST, ["rd"]))
        outer, binding = client.seal_request(register)
        outer.type, outer.mid, outer.token = m.CON, arrived[2].mid, arrived[2].token
        equal(m.encode(outer), run[2])
        inner = client.open_response(arrived[3], binding)
        equal(inner.code, m.CREATED)
        equal(bytes(inner.opts(m.LOCATION_PATH)[0]), b"rd")
        equal(client.state, "ready")

        # the server reads /3/0
        inner, binding = client.open_request(arrived[4])
        equal((inner.code, inner.path()), (m.GET, ["3", "0"]))
        ctx = server.derive(r2_r3)
        nonce, aad = ctx.nonce(True, binding.piv), ctx.request(True, binding.piv)[2]
        from oscore.message import unseal

        value = unseal(ctx, arrived[5], nonce, aad, None)
        equal(value.code, m.CONTENT)
        outer = client.seal_response(value, binding)
        outer.type, outer.mid, outer.token = m.ACK, arrived[5].mid, arrived[5].token
        equal(m.encode(outer), run[5])
        if len(run) > 6:
            inner = server.open_with(ctx, arrived[6], b"\x01")
            equal(inner.code, m.DELETE)
            outer, binding = client.seal_request(inner)
            outer.type, outer.mid, outer.token = m.CON, arrived[6].mid, arrived[6].token
            equal(m.encode(outer), run[6])
            equal(client.open_response(arrived[7], binding).code, m.DELETED)


# ---- the four messages between ours


def test_four_messages():
    client, server = account(), account(SERVER, CLIENT)
    equal((client.state, server.state), ("new", "new"))
    assert not client.ready()
    outer, binding = client.seal_request(client.probe())
    piv, kid, kid_context = option(outer)
    equal((piv, kid, len(unbstr(kid_context))), (b"\x00", CLIENT, 8))
    equal(client.state, "b2-1")
    none, answer = serve(server, wire(outer))
    equal(none, None)  # the application never sees request 1
    equal((option(answer)[:2], len(unbstr(option(answer)[2]))), ((None, None), 8))
    inner = client.open_response(answer, binding)
    equal((inner.code, client.again(inner), client.state), (m.UNAUTHORIZED, (), "b2-2"))

    outer, binding = client.seal_request(get("rd"))
    piv, kid, wrapped = option(outer)
    equal((piv, kid), (b"\x00", CLIENT))
    equal(unbstr(wrapped)[:8], unbstr(option(answer)[2]))
    inner, answer = serve(server, wire(outer))
    equal(inner.path(), ["rd"])
    equal(option(answer), (None, None, None))
    assert same(client.open_response(answer, binding), content(b"ok"))
    equal((client.state, server.state), ("ready", "ready"))
    equal(client.ctx.id_context, unbstr(wrapped))

    for number in (1, 2):
        outer, binding = client.seal_request(get("rd"))
        equal(option(outer), (bytes((number,)), CLIENT, None))
        assert same(client.open_response(serve(server, wire(outer))[1], binding), content(b"ok"))
    outer, binding = server.seal_request(get("3"))
    equal(option(outer), (b"\x00", SERVER, None))
    assert same(server.open_response(serve(client, wire(outer))[1], binding), content(b"ok"))
    equal((client.generation, client.counters["rederived"]), (1, 1))


def test_every_run_has_contexts_of_its_own():
    client, server = account(), account(SERVER, CLIENT)
    keys = set()
    for run in range(1, 6):
        ready(client, server)
        keys.add(bytes(client.ctx.sender_key))
        equal((len(keys), client.generation, client.ctx.seq), (run, run, 1))
        client.rekey()


def test_old_context_serves_until_the_new_one_is_verified():
    client, server = account(), account(SERVER, CLIENT)
    ready(client, server)
    old = client.ctx
    late, late_binding = client.seal_request(get("late"))
    client.rekey()
    equal((client.state, client.ready()), ("new", False))
    outer, binding = client.seal_request(client.probe())
    _, message_2 = serve(server, wire(outer))
    # the server asks meanwhile, and answers what was asked before
    asked, asked_binding = server.seal_request(get("3"))
    assert same(server.open_response(serve(client, wire(asked))[1], asked_binding), content(b"ok"))
    assert same(
        client.open_response(serve(server, wire(late))[1], late_binding), content(b"ok")
    )
    equal(client.ctx, old)
    client.open_response(message_2, binding)
    equal((client.state, client.ctx), ("b2-2", old))
    outer, binding = client.seal_request(get("a"))
    _, message_4 = serve(server, wire(outer))
    asked, asked_binding = client.seal_request(get("b"))  # under the new one already
    equal(unbstr(option(asked)[2]), unbstr(option(outer)[2]))
    client.open_response(message_4, binding)
    assert client.ctx is not old and not old.live()
    equal(bytes(old.sender_key) + bytes(old.recipient_key), bytes(32))
    equal(client.state, "ready")


def test_message_2_in_an_ack():
    client, server = account(), account(SERVER, CLIENT)
    outer, binding = client.seal_request(client.probe())
    try:
        server.open_request(wire(outer))
        raise AssertionError
    except m.SecurityError as e:
        message_2 = m.decode(server.seal_ack(e.response(), e.ex, 7, b"t"))
    client.open_response(message_2, binding)
    equal(client.state, "b2-2")


def test_what_fails_in_message_2_changes_nothing():
    client, server = account(), account(SERVER, CLIENT)
    outer, binding = client.seal_request(client.probe())
    _, good = serve(server, wire(outer))
    limit = Limits.id_context - 8
    for kid_context in (
        b"", b"\x40", b"\x48" + bytes(8), b"\x47" + bytes(8), b"\x61a",
        bstr(bytes(limit)), bstr(bytes(limit + 1)), bstr(bytes(200)),
    ):
        bad = m.decode(m.encode(good))
        bad.set(m.OSCORE, encode_option(b"", None, kid_context))
        raises(m.SecurityError, client.open_response, bad, binding)
        equal((client.state, client.ctx), ("b2-1", None))
    bad = m.decode(m.encode(good))
    bad.payload = bytes(bad.payload)[:-1] + b"x"
    raises(m.SecurityError, client.open_response, bad, binding)
    client.open_response(good, binding)
    equal(client.state, "b2-2")
    raises(m.SecurityError, client.open_response, good, binding)  # once
    equal(client.state, "b2-2")


def test_message_2_must_be_4_01():
    client = account()
    outer, binding = client.seal_request(client.probe())
    peer = account(SERVER, CLIENT)
    r1 = client._first.id_context
    second = peer.derive(b"12345678" + r1)
    nonce = peer.derive(r1).nonce(False, b"\x00")
    wrong = answered(second, binding, m.NOT_FOUND, bstr(b"12345678"), nonce=nonce)
    raises(m.SecurityError, client.open_response, wrong, binding)
    equal(client.state, "b2-1")
    # with options inside, as the answer of an application that was turned into 4.01
    right = answered(
        second, binding, m.UNAUTHORIZED, bstr(b"12345678"), nonce=nonce,
        options=((m.LOCATION_PATH, b"rd"), (m.LOCATION_QUERY, b"x")),
    )
    client.open_response(right, binding)
    equal(client.state, "b2-2")


# ---- the traps


def test_trap_1_request_1_is_a_harmless_one():
    equal(account().probe().path(), ["rederivation", "blackhole"])
    equal(account().probe().code, m.GET)


def test_trap_2_r2_of_any_length():
    for n in (1, 8, 16, 24, 56):
        client = account()
        outer, binding = client.seal_request(client.probe())
        r1 = client._first.id_context
        peer = account(SERVER, CLIENT)
        r2 = bytes(range(n))
        nonce = peer.derive(r1).nonce(False, b"\x00")
        message_2 = answered(peer.derive(r2 + r1), binding, m.UNAUTHORIZED, bstr(r2), nonce=nonce)
        client.open_response(message_2, binding)
        outer, _ = client.seal_request(get("a"))
        id_context = unbstr(option(outer)[2])
        equal((id_context[:n], len(id_context)), (r2, n + 8))
        assert peer.open_with(peer.derive(id_context), wire(outer), b"\x00") is not None


def test_an_id_context_never_looks_like_a_wrapped_one():
    # R2 of Californium's 16 bytes that would make R2 || R3 a CBOR byte string by itself:
    # unwrapped, as a server may need it, Californium would take it for a new R1.
    for first in (b"\x57", b"\x58\x16", b"\x56"):
        client, peer = account(), account(SERVER, CLIENT, policy="b1")
        outer, binding = client.seal_request(client.probe())
        r1 = unbstr(option(outer)[2])
        nonce = binding.ctx.nonce(True, binding.piv)
        r2 = first + bytes(16 - len(first))
        client.open_response(
            answered(peer.derive(r2 + r1), binding, m.UNAUTHORIZED, bstr(r2), nonce=nonce), binding
        )
        assert client.state == "b2-2"
        id_context = unbstr(option(client.seal_request(get("rd"))[0])[2])
        assert id_context[:16] == r2 and unbstr(id_context) is None
        assert len(id_context) == (24 if first == b"\x56" else 25)


def test_message_2_with_a_partial_iv():
    # Its nonce is then of the second context, Common IV and all.
    client = account()
    outer, binding = client.seal_request(client.probe())
    second = account(SERVER, CLIENT).derive(b"RRRRRRRR" + client._first.id_context)
    message_2 = answered(
        second, binding, m.UNAUTHORIZED, bstr(b"RRRRRRRR"), b"\x05", second.nonce(True, b"\x05")
    )
    client.open_response(message_2, binding)
    equal(client.state, "b2-2")


def test_trap_4_request_1_taken_for_request_3():
    # Answered without kid context under the keys of R1: no failure of a key.
    client = account()
    outer, binding = client.seal_request(client.probe())
    first = client._first
    peer = account(SERVER, CLIENT).derive(first.id_context)
    inner = client.open_response(answered(peer, binding, m.NOT_FOUND), binding)
    equal((inner.code, client.state), (m.NOT_FOUND, "new"))
    equal((client.again(inner), client.counters["restarted"]), (None, 1))
    assert not first.live()
    again, _ = client.seal_request(client.probe())
    assert option(again)[2] != option(outer)[2]


def test_trap_5_what_is_sent_again_is_what_was_sealed():
    # Sealing twice makes two messages: the endpoint keeps the bytes of the first.
    client, server = pair()
    one, _ = client.seal_request(get("a"))
    two, _ = client.seal_request(get("a"))
    assert bytes(one.payload) != bytes(two.payload)
    assert option(one)[0] != option(two)[0]


def test_trap_6_a_plain_error_is_a_hint():
    client, server = account(), account(SERVER, CLIENT)
    ready(client, server)
    old = client.ctx
    outer, binding = client.seal_request(get("a"))
    for code in (m.BAD_REQUEST, m.UNAUTHORIZED, m.BAD_OPTION):
        raises(m.PlainError, client.open_response, m.Message(code), binding)
        equal((client.state, client.ctx), ("ready", old))
    # the true answer is still taken
    assert same(client.open_response(serve(server, wire(outer))[1], binding), content(b"ok"))


def test_trap_7_an_observation_ends_with_its_context():
    client, server = account(), account(SERVER, CLIENT)
    ready(client, server)
    outer, binding = server.seal_request(get("a").add(m.OBSERVE, 0))
    _, seen = client.open_request(wire(outer))
    client.seal_response(content(b"1").add(m.OBSERVE, 1), seen, True)
    outer, binding = server.seal_request(get("slow"))
    _, slow = client.open_request(wire(outer))
    client.rekey()
    client.seal_response(content(b"2").add(m.OBSERVE, 2), seen, True)
    ready(client, server)
    raises(m.Error, client.seal_response, content(b"3").add(m.OBSERVE, 3), seen, True)
    # nor can a request of then be answered, under whatever nonce
    raises(m.Error, client.seal_response, content(b"late"), slow)
    equal(client.generation, 2)


def test_trap_8_echo_right_after_b2():
    client, server = account(), account(SERVER, CLIENT)
    exchange(client, server, client.probe())
    server.challenge()
    outer, binding = client.seal_request(get("rd"))
    none, answer = serve(server, wire(outer))
    equal(none, None)
    inner = client.open_response(answer, binding)
    ((number, value),) = client.again(inner)
    equal((inner.code, number, len(value)), (m.UNAUTHORIZED, m.ECHO, 8))
    equal(client.state, "ready")
    inner = exchange(client, server, get("rd").add(number, value))
    assert same(inner, content(b"ok"))
    # asked once
    assert same(exchange(client, server), content(b"ok"))
    equal(server.counters["challenged"], 1)


def test_trap_9_two_accounts_with_one_recipient_id():
    a, b = account(b"a", b"S", "b1"), account(b"b", b"S", "b1", master_secret=b"another")
    server = Contexts(
        (account(b"S", b"a", "b1"), account(b"S", b"b", "b1", master_secret=b"another"))
    )
    for client in (a, b, a):
        assert same(exchange(client, server), content(b"ok"))
    # both peers have the same kid
    twin = account(b"T", b"a", "b1", master_secret=b"another", id_context=b"x")
    twins = Contexts((account(b"S", b"a", "b1"), account(b"T", b"a", "b1", master_secret=b"3")))
    other = account(b"a", b"T", "b1", master_secret=b"3")
    for client in (a, other, a):
        assert same(exchange(client, twins), content(b"ok"))
    bad, _ = twin.seal_request(get("a"))
    equal(raises(m.SecurityError, twins.open_request, wire(bad)).code, m.UNAUTHORIZED)
    equal(raises(m.SecurityError, twins.open_request, wire(get("a"))).code, m.UNAUTHORIZED)
    raises(m.Error, twins.seal_request, get("a"))
    one = Contexts([account(b"S", b"a", "b1")])
    outer, binding = one.seal_request(get("a"))
    peer = account(b"a", b"S", "b1")
    assert same(one.open_response(serve(peer, wire(outer))[1], binding), content(b"ok"))


def test_contexts_hand_on_what_is_sealed():
    client = account()
    server = Contexts((account(b"X", CLIENT, master_secret=b"x"), account(SERVER, CLIENT)))
    ready(client, server.accounts[1])
    client.rekey()
    equal(exchange(client, server, client.probe()).code, m.UNAUTHORIZED)
    assert same(exchange(client, server), content(b"ok"))


def test_trap_11_rekey_comes_before_the_end():
    limits = Limits(rekey=5, sequence=9, failures=3)
    client, server = account(limits=limits), account(SERVER, CLIENT)
    ready(client, server)
    for _ in range(4):
        assert not client.exhausted()
        exchange(client, server)
    assert client.exhausted()
    while client.ctx.seq <= limits.sequence:
        exchange(client, server)
    e = raises(m.Error, client.seal_request, get("a"))
    equal(e.code, m.UNAVAILABLE)
    equal(client.ctx.seq, 10)
    client.rekey()
    ready(client, server)
    assert not client.exhausted()
    outer, _ = server.seal_request(get("a"))
    for _ in range(3):
        bad = wire(outer)
        bad.payload = bytes(12)
        raises(m.SecurityError, client.open_request, bad)
    assert client.exhausted()


def test_responses_wear_the_key_too():
    client, server = account(), account(SERVER, CLIENT, limits=Limits(rekey=20))
    ready(client, server)
    for _ in range(18):
        exchange(client, server)
        assert not server.exhausted()
    exchange(client, server)
    equal((server.ctx.seq, server.exhausted()), (0, True))


def test_responses_in_an_ack_wear_the_key_too():
    client, server = account(), account(SERVER, CLIENT, limits=Limits(rekey=20))
    ready(client, server)
    before = server.ctx.sealed
    for i in range(20 - before):
        assert not server.exhausted()
        inner, binding = server.open_request(wire(client.seal_request(get("a"))[0]))
        server.seal_ack(content(b"ok"), binding, i, b"t")
        equal(server.ctx.sealed, before + i + 1)
    equal((server.ctx.seq, server.exhausted()), (0, True))


def test_a_worn_key_goes_on_where_the_peer_refuses_b2():
    client, server = account(limits=Limits(rekey=32)), account(SERVER, CLIENT)
    ready(client, server)
    for attempt in range(3):
        while not client.exhausted():
            exchange(client, server)
        equal(client.ctx.seq, 32 + 2 * attempt)
        client.rekey()
        _, binding = client.seal_request(client.probe())
        raises(m.PlainError, client.open_response, m.Message(m.UNAUTHORIZED), binding)
        equal((client.recover(), client.state, client.exhausted()), (False, "ready", False))
    client.rekey()
    ready(client, server)
    equal(client._worn, 32)


def test_highest_sequence_numbers():
    for limit, last in ((None, b"\xff" * 4), (Limits(sequence=(1 << 40) - 1), b"\xff" * 5)):
        client, server = account(limits=limit), account(SERVER, CLIENT, limits=limit)
        ready(client, server)
        client.ctx.seq = int.from_bytes(last, "big") - 1
        exchange(client, server)
        outer, binding = client.seal_request(get("a"))
        equal(option(outer)[0], last)
        assert same(client.open_response(serve(server, wire(outer))[1], binding), content(b"ok"))
        raises(m.Error, client.seal_request, get("a"))
        equal(server.ctx.window.highest, int.from_bytes(last, "big"))


def test_trap_12_plain_error_of_a_server_that_was_restarted():
    for code in (m.BAD_REQUEST, m.UNAUTHORIZED):
        client, server = account(), account(SERVER, CLIENT)
        ready(client, server)
        server = account(SERVER, CLIENT, random=Rand(77))
        # once with a kid context, in case that is all it lacks
        outer, binding = client.seal_request(get("a"))
        raises(m.PlainError, client.open_response, m.Message(code), binding)
        equal((client.recover(), client.state), (False, "ready"))
        outer, binding = client.seal_request(get("a"))
        equal(option(outer)[2], client.ctx.id_context)
        raises(m.PlainError, client.open_response, m.Message(code), binding)
        equal((client.recover(), client.state), (True, "new"))
        ready(client, server)
        # and in this context it is not tried before it is needed
        equal(option(client.seal_request(get("a"))[0])[2], None)


def test_b2_that_is_refused_leaves_the_context_in_use():
    # The plain error may be anybody's, or the peer may know no B.2.
    client, server = account(), account(SERVER, CLIENT)
    ready(client, server)
    for want in (False, True):
        _, binding = client.seal_request(get("a"))
        raises(m.PlainError, client.open_response, m.Message(m.UNAUTHORIZED), binding)
        equal(client.recover(), want)
    _, binding = client.seal_request(client.probe())
    raises(m.PlainError, client.open_response, m.Message(m.UNAUTHORIZED), binding)
    equal((client.recover(), client.state), (False, "ready"))
    assert same(exchange(client, server), content(b"ok"))
    # nothing to fall back on: again from the start
    client = account()
    _, binding = client.seal_request(client.probe())
    raises(m.PlainError, client.open_response, m.Message(m.UNAUTHORIZED), binding)
    equal((client.recover(), client.state), (True, "new"))


def test_trap_13_server_starts_at_message_2():
    for repeat in range(3):
        client, server = account(), account(SERVER, CLIENT)
        ready(client, server)
        for _ in range(repeat):
            exchange(client, server)
        # It lost sequence number and window, but not the ID Context that is in use.
        old = client.ctx
        outer, binding = client.seal_request(get("block"))
        lost = account(SERVER, CLIENT, random=Rand(5))
        lost.ctx = None
        r2 = b"0123456789abcdef"
        second = lost.derive(r2 + old.id_context)
        nonce = lost.derive(old.id_context).nonce(False, binding.piv)
        message_2 = answered(second, binding, m.UNAUTHORIZED, bstr(r2), nonce=nonce)
        inner = client.open_response(message_2, binding)
        equal((inner.code, client.again(inner)), (m.UNAUTHORIZED, ()))
        equal((client.state, client.ctx), ("b2-2", old))
        raises(m.SecurityError, client.open_response, message_2, binding)  # once
        # the body again, from its first block, as request 3
        lost._r2 += (r2,)
        assert same(exchange(client, lost, get("block")), content(b"ok"))
        assert client.ready() and client.ctx is not old
        assert same(exchange(client, lost, get("block")), content(b"ok"))


def test_trap_13_two_requests_are_answered_with_message_2():
    # The second answer comes when request 3 is out already: what answers that counts.
    client, server = account(), account(SERVER, CLIENT)
    ready(client, server)
    one, two = [client.seal_request(get("a")) for _ in range(2)]
    lost = account(SERVER, CLIENT, random=Rand(5))

    def message_2(binding, r2):
        second = lost.derive(r2 + client.ctx.id_context)
        nonce = lost.derive(client.ctx.id_context).nonce(False, binding.piv)
        return answered(second, binding, m.UNAUTHORIZED, bstr(r2), nonce=nonce)

    client.open_response(message_2(one[1], b"r2-one-1"), one[1])
    third, binding = client.seal_request(get("a"))
    client.open_response(message_2(two[1], b"r2-two-2"), two[1])
    lost._r2 += (b"r2-one-1",)
    assert same(client.open_response(serve(lost, wire(third))[1], binding), content(b"ok"))
    equal((client.state, client.ctx.id_context), ("ready", lost.ctx.id_context))


def test_keys_of_message_2_are_gone_once_it_is_sealed():
    client, server = account(), account(SERVER, CLIENT)
    outer, _ = client.seal_request(client.probe())
    made = raises(m.SecurityError, server.open_request, wire(outer)).ex
    assert made.ctx.live()
    server.seal_response(m.Message(m.UNAUTHORIZED), made)
    equal((made.ctx.live(), bytes(made.ctx.sender_key)), (False, bytes(16)))


def test_server_that_loses_r2_between_2_and_4():
    client, server = account(), account(SERVER, CLIENT)
    exchange(client, server, client.probe())
    server = account(SERVER, CLIENT, random=Rand(55))  # restarted
    # request 3 is a request 1 to it, with R2 || R3 as R1
    outer, binding = client.seal_request(get("rd"))
    none, answer = serve(server, wire(outer))
    equal(none, None)
    inner = client.open_response(answer, binding)
    equal((client.state, client.again(inner)), ("b2-2", ()))
    assert same(exchange(client, server, get("rd")), content(b"ok"))
    equal(client.state, "ready")


def test_client_restarts_at_each_step():
    server = account(SERVER, CLIENT)
    for step in range(5):
        client = account(random=Rand(100 + step))
        if step > 0:
            outer, binding = client.seal_request(client.probe())
        if step > 1:
            _, answer = serve(server, wire(outer))
        if step > 2:
            client.open_response(answer, binding)
            outer, binding = client.seal_request(get("rd"))
        if step > 3:
            serve(server, wire(outer))
        client = account(random=Rand(200 + step))
        ready(client, server)


def test_message_4_lost_then_a_request_of_the_server():
    # The server has our R3: its request proves what message 4 would have.
    client, server = account(), account(SERVER, CLIENT)
    exchange(client, server, client.probe())
    outer, binding = client.seal_request(get("rd"))
    _, message_4 = serve(server, wire(outer))
    asked, asked_binding = server.seal_request(get("3"))
    assert same(server.open_response(serve(client, wire(asked))[1], asked_binding), content(b"ok"))
    equal((client.state, client.generation), ("ready", 1))
    # the answer, repeated, comes late
    assert same(client.open_response(message_4, binding), content(b"ok"))
    equal(client.generation, 1)


def test_message_4_lost_and_request_3_given_up():
    # The next request carries R2 || R3 again, which this server knows by now.
    client, server = account(), account(SERVER, CLIENT)
    exchange(client, server, client.probe())
    serve(server, wire(client.seal_request(get("rd"))[0]))
    assert same(exchange(client, server, get("rd")), content(b"ok"))
    equal((client.state, server.generation), ("ready", 1))


def test_request_1_given_up_and_begun_again():
    client, server = account(), account(SERVER, CLIENT)
    one, first = client.seal_request(client.probe())
    _, late = serve(server, wire(one))
    two, second = client.seal_request(client.probe())
    assert option(one)[2] != option(two)[2]
    raises(m.SecurityError, client.open_response, late, first)  # R1 of then is gone
    equal((first.ctx.live(), bytes(first.ctx.sender_key)), (False, bytes(16)))
    equal(client.state, "b2-1")
    client.open_response(serve(server, wire(two))[1], second)
    ready_now = exchange(client, server)
    assert same(ready_now, content(b"ok")) and client.ready()


def test_trap_14_a_server_that_needs_the_kid_context_always():
    flash = Flash()
    client, server = account(flash=flash), account(SERVER, CLIENT)
    ready(client, server)
    for round in range(2):
        outer, binding = client.seal_request(get("a"))
        if option(outer)[2] is None:
            equal(round, 0)
            raises(m.PlainError, client.open_response, m.Message(m.BAD_REQUEST), binding)
            equal(client.recover(), False)
            outer, binding = client.seal_request(get("a"))
        equal(option(outer)[2], client.ctx.id_context)  # raw
        client.open_response(serve(server, wire(outer))[1], binding)
    # learned, in later contexts too, and after a restart
    equal((client.housekeep(), client.housekeep(), flash.writes), (True, False, 1))
    client.rekey()
    ready(client, server)
    equal(option(client.seal_request(get("a"))[0])[2], client.ctx.id_context)
    client = account(flash=flash, random=Rand(9))
    ready(client, server)
    equal(option(client.seal_request(get("a"))[0])[2], client.ctx.id_context)
    assert same(exchange(client, server), content(b"ok"))


def _left_out(*names):
    """A firmware without these modules: what is imported from them is not there."""
    for name in names:
        sys.modules[name] = sys


def test_without_keep_py_a_kid_context_is_learned_for_one_context():
    _left_out("oscore.keep", "oscore.record")
    flash = Flash()
    client, server = account(flash=flash), account(SERVER, CLIENT)
    ready(client, server)
    for _ in range(2):
        for _again in range(3):
            outer, binding = client.seal_request(get("a"))
            if option(outer)[2] is None:
                raises(m.PlainError, client.open_response, m.Message(m.BAD_REQUEST), binding)
                equal(client.recover(), False)
                outer, binding = client.seal_request(get("a"))
            equal(option(outer)[2], client.ctx.id_context)
            client.open_response(serve(server, wire(outer))[1], binding)
        equal((client.housekeep(), flash.writes), (False, 0))
        # It still is no answer for a server that has lost the context.
        outer, binding = client.seal_request(get("a"))
        raises(m.PlainError, client.open_response, m.Message(m.UNAUTHORIZED), binding)
        equal(client.recover(), True)
        ready(client, server)
        equal(option(client.seal_request(get("a"))[0])[2], None)
    assert "b1" in str(raises(ValueError, account, policy="b1", flash=Flash()))
    client.save()


def test_without_answer_py_a_peer_that_begins_is_refused():
    client, server = account(), account(SERVER, CLIENT)
    ready(client, server)
    before = client.ctx, client.ctx.window.highest
    _left_out("oscore.answer")
    peer = account(SERVER, CLIENT)
    for _ in range(2):
        outer, _ = peer.seal_request(peer.probe())
        e = raises(m.SecurityError, client.open_request, wire(outer))
        equal((e.code, e.ex, e.text, client._r2), (m.UNAUTHORIZED, None, "unknown", ()))
    equal((client.ctx, client.ctx.window.highest), before)
    assert same(exchange(client, server), content(b"ok"))


def test_trap_15_echo_in_the_context_of_r1():
    client = account()
    outer, binding = client.seal_request(client.probe())
    peer = account(SERVER, CLIENT).derive(client._first.id_context)
    for value in (b"one", b"two"):  # trap 16: the newest counts
        answer = answered(peer, binding, m.UNAUTHORIZED, options=((m.ECHO, value),))
        if value == b"two":
            # a second answer to the same request is not taken
            raises(m.SecurityError, client.open_response, answer, binding)
            outer, binding = client.seal_request(client.probe().add(m.ECHO, b"one"))
            answer = answered(peer, binding, m.UNAUTHORIZED, options=((m.ECHO, value),))
        inner = client.open_response(answer, binding)
        equal(client.again(inner), ((m.ECHO, value),))
    outer, binding = client.seal_request(client.probe().add(m.ECHO, b"two"))
    # the same context goes on
    inner = client.open_response(answered(peer, binding, m.NOT_FOUND), binding)
    equal((inner.code, client.state), (m.NOT_FOUND, "ready"))
    equal(client.ctx.id_context, peer.id_context)


def test_trap_18_what_is_normal():
    client, server = pair()
    request = get("rd").add(m.REQUEST_TAG, b"").add(m.URI_QUERY, "ep=x")
    outer, binding = client.seal_request(request)
    outer.add(m.URI_PORT, 5683)
    inner, seen = server.open_request(wire(outer, token=b""))
    equal(bytes(inner.opt(m.REQUEST_TAG)), b"")
    response = content(code=m.CREATED).add(m.LOCATION_PATH, "rd").add(m.LOCATION_QUERY, "a")
    answer = wire(server.seal_response(response, seen), token=b"")
    assert same(client.open_response(answer, binding), response)


# ---- B.2 as server


def test_request_1_never_reaches_the_application_and_keeps_the_context():
    client, server = account(), account(SERVER, CLIENT)
    ready(client, server)
    old = server.ctx
    client.rekey()
    exchange(client, server, client.probe())
    equal(server.ctx, old)
    exchange(client, server)
    assert server.ctx is not old and not old.live()


def test_replayed_request_1_gets_another_r2_and_no_state_but_that():
    client, server = account(), account(SERVER, CLIENT)
    outer, binding = client.seal_request(client.probe())
    arrived = wire(outer)
    seen = [option(serve(server, arrived)[1])[2] for _ in range(6)]
    equal((len(set(seen)), recorder.used), (6, 7))
    equal(len(server._r2), Limits.r2)
    equal(server.state, "new")


def test_replayed_request_3_is_refused():
    client, server = account(), account(SERVER, CLIENT)
    exchange(client, server, client.probe())
    outer, binding = client.seal_request(get("rd"))
    arrived = wire(outer)
    inner, answer = serve(server, arrived)
    client.open_response(answer, binding)
    e = raises(m.SecurityError, server.open_request, arrived)
    equal((e.code, e.ex), (m.UNAUTHORIZED, None))
    ready_again = exchange(client, server)
    assert same(ready_again, content(b"ok"))
    # after another run it is no more than a request 1, and the application does not see it
    client.rekey()
    ready(client, server)
    e = raises(m.SecurityError, server.open_request, arrived)
    assert e.ex is not None
    assert same(exchange(client, server), content(b"ok"))


def test_forged_requests_1_and_3():
    client, server = account(), account(SERVER, CLIENT)
    outer, binding = client.seal_request(client.probe())
    for kid_context, code in (
        (b"\x48" + bytes(8), m.BAD_REQUEST),
        (b"\x40", m.UNAUTHORIZED),
        (b"", m.UNAUTHORIZED),
        (b"raw", m.UNAUTHORIZED),
        (bstr(bytes(Limits.id_context + 1)), m.UNAUTHORIZED),
    ):
        bad = wire(outer)
        bad.set(m.OSCORE, encode_option(b"\x00", CLIENT, kid_context))
        e = raises(m.SecurityError, server.open_request, bad)
        equal((e.code, e.ex, server._r2), (code, None, ()))
    client.open_response(serve(server, wire(outer))[1], binding)
    third, _ = client.seal_request(get("a"))
    bad = wire(third)
    bad.payload = bytes(bad.payload)[:-1] + b"x"
    equal(raises(m.SecurityError, server.open_request, bad).code, m.BAD_REQUEST)
    equal((len(server._r2), server.state), (1, "new"))
    serve(server, wire(third))
    equal((len(server._r2), server.state), (0, "ready"))


def test_id_context_that_leaves_no_room_for_r2():
    client = account(limits=Limits(nonce=16, id_context=32))
    server = account(SERVER, CLIENT, limits=Limits(id_context=32))
    outer, _ = client.seal_request(client.probe())
    assert raises(m.SecurityError, server.open_request, wire(outer)).ex is not None
    ctx = client.derive(bytes(30))
    outer = seal(
        ctx, get("a"), m.POST, encode_option(b"\x00", CLIENT, bstr(bytes(30))),
        ctx.nonce(True, b"\x00"), ctx.request(True, b"\x00")[2],
    )
    e = raises(m.SecurityError, server.open_request, wire(outer))
    equal((e.code, e.ex), (m.UNAUTHORIZED, None))


def test_server_of_lwm2m_begins_b2_as_oscore_client():
    # The device answers; both go on in the new context, in both directions.
    device, server = account(), account(SERVER, CLIENT)
    ready(device, server)
    server.rekey()
    ready(server, device)
    assert same(exchange(device, server), content(b"ok"))
    assert same(exchange(server, device), content(b"ok"))
    equal((device.generation, server.generation), (2, 2))


def test_both_begin_at_once():
    # The device goes on with its own and refuses the server's request 1.
    device, server = account(), account(SERVER, CLIENT)
    ready(device, server)
    device.rekey()
    server.rekey()
    one, one_binding = device.seal_request(device.probe())
    two, two_binding = server.seal_request(server.probe())
    _, refusal = serve(device, wire(two))
    equal(refusal.code, m.UNAUTHORIZED)
    raises(m.PlainError, server.open_response, refusal, two_binding)
    # the server, being a peer of the same kind here, refuses too: both find out, one waits
    _, refusal = serve(server, wire(one))
    raises(m.PlainError, device.open_response, refusal, one_binding)
    equal((server.recover(), server.state), (False, "ready"))
    device.recover()
    device.rekey()
    ready(device, server)
    assert same(exchange(server, device), content(b"ok"))


def test_under_b1_too():
    client, server = pair()
    exchange(client, server)
    client.rekey()
    exchange(client, server, client.probe())
    assert same(exchange(client, server), content(b"ok"))
    equal(client.state, "ready")
    assert same(exchange(server, client), content(b"ok"))
    assert client.housekeep() and server.housekeep()
    assert not client.housekeep()
