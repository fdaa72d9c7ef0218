# Random and mutated sealed messages: nothing but SecurityError, and no state that moves.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# heapsize: 1M

import time

import coap.message as m
from check import equal
from oscore.message import decode_option
from oscorepair import (
    CLIENT,
    SERVER,
    Rand,
    account,
    content,
    forging,
    get,
    pair,
    ready,
    serve,
    wire,
)

_N = 6000


def seeded():
    seed = time.ticks_us()
    print("seed", seed)
    return Rand(seed)


def state(account):
    ctx = account.ctx
    window = ctx and ctx.window
    return (
        account.state,
        account.generation,
        ctx and ctx.seq,
        window and (window.highest, window.missing),
        account._pending and account._pending.seq,
        len(account._r2),
    )


def mutate(rand, data):
    """A datagram with a few bytes changed, cut off or put in."""
    data = bytearray(data)
    for _ in range(1 + rand.below(3)):
        dice = rand.below(6)
        at = rand.below(len(data)) if data else 0
        if dice == 0:
            data = data[:at]
        elif dice == 1:
            data = data[:at] + rand(1 + rand.below(4)) + data[at:]
        elif dice == 2 and data:
            data = data[:at] + data[at + 1 :]
        elif data:
            data[at] ^= 1 << rand.below(8)
    return bytes(data)


def arrives(data):
    try:
        return m.decode(data)
    except m.FormatError:
        return None


def test_requests():
    rand = seeded()
    client, server = account(), account(SERVER, CLIENT)
    ready(client, server)
    client.rekey()
    samples = [m.encode(wire(client.seal_request(client.probe())[0]))]
    client.abandon()
    samples.append(m.encode(wire(client.seal_request(get("3", "0"))[0])))
    samples.append(m.encode(wire(client.seal_request(get("a").add(m.OBSERVE, 0))[0])))
    before = state(server)
    refused = 0
    for _ in range(_N):
        data = samples[rand.below(3)]
        changed = mutate(rand, data)
        msg = arrives(changed)
        if msg is None or not 0 < msg.code < 32:
            continue
        try:
            server.open_request(msg)
        except m.SecurityError as e:
            if e.ex is None:
                refused += 1
                equal(state(server), before)
                continue
        # Verified: only what is not protected can have been changed.
        original = m.decode(data)
        equal(bytes(msg.payload), bytes(original.payload))
        equal(decode_option(msg.opt(m.OSCORE))[:2], decode_option(original.opt(m.OSCORE))[:2])
        server._r2 = ()
        server.ctx.window.highest, server.ctx.window.missing = before[3]
        equal(state(server), before)
    print(refused, "refused")
    assert refused > _N // 4


def test_responses():
    rand = seeded()
    client, server = account(), account(SERVER, CLIENT)
    outer, binding = client.seal_request(client.probe())
    message_2 = m.encode(serve(server, wire(outer))[1])
    before = state(client)
    refused = 0
    for _ in range(_N // 2):
        msg = arrives(mutate(rand, message_2))
        if msg is None or not 64 <= msg.code < 192:
            continue
        try:
            client.open_response(msg, binding)
        except (m.SecurityError, m.PlainError):
            refused += 1
            equal((state(client), binding.number), (before, -2))
            continue
        equal(bytes(msg.payload), bytes(m.decode(message_2).payload))
        client.abandon()
        outer, binding = client.seal_request(client.probe())
        message_2 = m.encode(serve(server, wire(outer))[1])
        before = state(client)
    assert refused > _N // 8
    client, server = pair()
    outer, binding = client.seal_request(get("a").add(m.OBSERVE, 0))
    _, seen = server.open_request(wire(outer))
    answer = content(b"value").add(m.OBSERVE, 5).add(m.CONTENT_FORMAT, 0)
    sample = m.encode(wire(server.seal_response(answer, seen)))
    for _ in range(_N // 2):
        msg = arrives(mutate(rand, sample))
        if msg is None or not 64 <= msg.code < 192:
            continue
        try:
            client.open_response(msg, binding)
        except (m.SecurityError, m.PlainError):
            equal(binding.number, -2)
            continue
        equal(bytes(msg.payload), bytes(m.decode(sample).payload))
        binding.number = -2


def test_random_options():
    rand = seeded()
    client, server = pair()
    before = state(server)
    for _ in range(_N):
        outer = m.Message(m.POST, payload=rand(rand.below(40)))
        outer.add(m.OSCORE, rand(rand.below(20)))
        try:
            server.open_request(wire(outer))
            raise AssertionError("verified")
        except m.SecurityError as e:
            equal((e.ex, state(server)), (None, before))


def test_what_was_verified_and_is_no_message():
    # The peer seals rubbish.
    rand = seeded()
    client, server = pair()
    accepted = 0
    for i in range(_N // 4):
        n = 1 + rand.below(20)
        plain = rand(n)
        if rand.below(2):
            plain = b"\x01" + plain[1:]
        outer, _ = client.seal_request(get())
        piv = decode_option(outer.opt(m.OSCORE))[0]
        buf = bytearray(plain) + bytes(8)
        with forging():
            client.ctx.seal(client.ctx.nonce(True, piv), buf, n, client.ctx.request(True, piv)[2])
        outer.payload = buf
        before = state(server)
        try:
            inner, _ = server.open_request(wire(outer))
        except m.SecurityError as e:
            equal((e.code, e.ex, state(server)), (m.BAD_REQUEST, None, before))
            continue
        accepted += 1
        assert 0 < inner.code < 32 and inner.opt(m.OSCORE) is None
        if i % 32 == 0:
            client.housekeep()
    assert accepted > _N // 100
