# The message layer: RFC 7252 section 4.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import micropython

from check import equal
from coap.endpoint import Endpoint
from coap.message import *
from coap_net import Calls, Net, Rand, exchanges, flying, queue, text


def unhex(data):
    return bytes.fromhex(data.replace(" ", ""))


def get(path="a", code=GET):
    return Message(code).add(URI_PATH, path)


def sent_by(net, name):
    return [data for _, source, _, data in net.sent if source == name]


def alone(handler=None, **settings):
    """An endpoint "me" whose peer is the test itself."""
    net = Net()
    return net, net.add("me", handler, **settings)


def content(request, peer, responder):
    return Message(CONTENT, payload=b"v")


def test_retransmission_schedule():
    net, me = alone()
    calls = Calls()
    start = net.now
    me.request(get(), "peer", start, calls)
    equal(me.next_wakeup(), net.sent[0][0] + flying(me)[0].interval)
    net.run(200000)
    equal(calls, [(None, "timeout")])
    equal(len(net.sent), 5)
    # Every datagram is the first one again.
    equal(set(sent_by(net, "me")), {net.sent[0][3]})
    at = [when - start for when, _, _, _ in net.sent]
    first = at[1]
    assert 2000 <= first < 3000, first
    equal(at, [0, first, 3 * first, 7 * first, 15 * first])
    equal((me.counters.retransmitted, me.counters.timeouts), (4, 1))
    equal((me.next_wakeup(), exchanges(me), flying(me)), (None, [], []))


def test_timeout_of_last_retransmission():
    net, me = alone(max_retransmit=1, ack_timeout_ms=1000, ack_random_factor=1)
    calls = Calls()
    me.request(get(), "peer", net.now, calls)
    equal(me.poll(net.now), net.now + 1000)
    net.run(2999)
    equal((len(net.sent), calls), (2, []))
    net.run(1)
    equal(calls, [(None, "timeout")])


def test_random_factor_spreads():
    firsts = set()
    for seed in range(1, 21):
        net = Net()
        me = net.add("me", seed=seed)
        me.request(get(), "peer", net.now, Calls())
        interval = me.next_wakeup() - net.now
        assert 2000 <= interval < 3000
        firsts.add(interval)
    assert len(firsts) > 10


def test_late_poll_does_not_burst():
    net, me = alone()
    me.request(get(), "peer", net.now, Calls())
    # Asleep for a minute, then polled often.
    for i in range(100):
        me.poll(net.now + 60000 + i)
    equal(len(net.sent), 2)


def test_piggybacked_response():
    net, me = alone()
    calls = Calls()
    me.request(get(), "peer", net.now, calls)
    request = decode(net.sent[0][3])
    equal((request.type, request.code, request.path(), len(request.token)), (CON, GET, ["a"], 4))
    me.receive(encode(Message(CONTENT, ACK, request.mid, request.token, b"v")), "peer", net.now)
    response, error = calls.one()
    equal((response.code, text(response), error), (CONTENT, b"v", None))
    net.run(300000)
    equal(len(net.sent), 1)


def test_piggybacked_response_has_to_match():
    net, me = alone()
    calls = Calls()
    me.request(get(), "peer", net.now, calls)
    r = decode(net.sent[0][3])
    wrong = bytes([r.token[0] ^ 1]) + r.token[1:]
    for msg, peer in (
        (Message(CONTENT, ACK, r.mid ^ 1, r.token), "peer"),
        (Message(CONTENT, ACK, r.mid, wrong), "peer"),
        (Message(CONTENT, ACK, r.mid, r.token[:-1]), "peer"),
        (Message(CONTENT, ACK, r.mid, r.token), "other"),
        (Message(GET, ACK, r.mid, r.token), "peer"),
        (Message(0x20, ACK, r.mid, r.token), "peer"),
        (Message(EMPTY, ACK, r.mid ^ 1), "peer"),
        (Message(EMPTY, ACK, r.mid), "other"),
        (Message(EMPTY, RST, r.mid ^ 1), "peer"),
        (Message(EMPTY, RST, r.mid), "other"),
        (Message(CONTENT, RST, r.mid, r.token), "peer"),
    ):
        me.receive(encode(msg), peer, net.now)
    equal((calls, len(net.sent), me.counters.dropped), ([], 1, 11))
    net.run(3000)
    equal(len(net.sent), 2)


def test_separate_response():
    net, me = alone()
    calls = Calls()
    me.request(get(), "peer", net.now, calls)
    r = decode(net.sent[0][3])
    me.receive(encode(Message(EMPTY, ACK, r.mid)), "peer", net.now)
    net.run(50000)
    equal((len(net.sent), calls), (1, []))
    separate = encode(Message(CONTENT, CON, 0x77, r.token, b"late"))
    me.receive(separate, "peer", net.now)
    response, error = calls.one()
    equal((text(response), error), (b"late", None))
    # Acknowledged, and again when it is doubled; told once.
    me.receive(separate, "peer", net.now)
    equal(sent_by(net, "me")[1:], [unhex("60000077")] * 2)
    equal((len(calls), me.counters.duplicates), (1, 1))


def test_separate_response_before_its_ack():
    net, me = alone()
    calls = Calls()
    me.request(get(), "peer", net.now, calls)
    r = decode(net.sent[0][3])
    me.receive(encode(Message(CONTENT, NON, 0x77, r.token, b"v")), "peer", net.now)
    equal(text(calls.one()[0]), b"v")
    me.receive(encode(Message(EMPTY, ACK, r.mid)), "peer", net.now)
    net.run(300000)
    equal(len(net.sent), 1)


def test_separate_response_that_never_comes():
    net, me = alone()
    calls = Calls()
    me.request(get(), "peer", net.now, calls)
    me.receive(encode(Message(EMPTY, ACK, decode(net.sent[0][3]).mid)), "peer", net.now)
    equal(me.next_wakeup(), net.now + 93000)
    net.run(92999)
    equal(calls, [])
    net.run(1)
    equal(calls, [(None, "timeout")])
    equal(me.next_wakeup(), None)


def test_bound_for_the_whole_exchange():
    net, me = alone()
    calls = Calls()
    me.request(get(), "peer", net.now, calls, timeout_ms=5000)
    net.run(4999)
    equal(calls, [])
    net.run(1)
    equal(calls, [(None, "timeout")])
    # Also after an ACK, which else gives 93 s.
    calls = Calls()
    me.request(get(), "peer", net.now, calls, timeout_ms=5000)
    me.receive(encode(Message(EMPTY, ACK, decode(net.sent[-1][3]).mid)), "peer", net.now)
    net.run(5000)
    equal(calls, [(None, "timeout")])


def test_reset_ends_a_request():
    net, me = alone()
    for confirmable in (True, False):
        calls = Calls()
        me.request(get(), "peer", net.now, calls, confirmable=confirmable)
        me.receive(encode(Message(EMPTY, RST, decode(net.sent[-1][3]).mid)), "peer", net.now)
        equal(calls, [(None, "reset")])
    net.run(300000)
    equal(len(net.sent), 2)


def test_non_request():
    net, me = alone()
    calls = Calls()
    me.request(get(), "peer", net.now, calls, confirmable=False)
    r = decode(net.sent[0][3])
    equal(r.type, NON)
    # An ACK for a NON means nothing.
    me.receive(encode(Message(EMPTY, ACK, r.mid)), "peer", net.now)
    me.receive(encode(Message(CONTENT, NON, 5, r.token, b"v")), "peer", net.now)
    equal(text(calls.one()[0]), b"v")
    calls = Calls()
    me.request(get(), "peer", net.now, calls, confirmable=False)
    net.run(93000)
    equal(calls, [(None, "timeout")])
    equal(len(net.sent), 2)
    # Nobody asks for the answer: nothing is kept.
    me.request(get(), "peer", net.now, None, confirmable=False)
    equal((len(net.sent), exchanges(me), me.next_wakeup()), (3, [], None))


def test_ping_is_answered():
    net, me = alone()
    me.receive(unhex("4000abcd"), "peer", net.now)
    equal(sent_by(net, "me"), [unhex("7000abcd")])
    me.receive(unhex("5000abcd"), "peer", net.now)
    equal(len(net.sent), 1)


def test_ping():
    net, me = alone()
    pongs = []
    me.ping("peer", net.now, pongs.append)
    data = net.sent[0][3]
    equal((len(data), data[:2]), (4, unhex("4000")))
    me.receive(unhex("7000") + data[2:], "peer", net.now)
    equal(pongs, [True])
    me.ping("peer", net.now, pongs.append)
    net.run(100000)
    equal(pongs, [True, False])


def test_malformed_datagrams():
    net, me = alone(content)
    for data, answer in (
        ("40010102ff", "70000102"),
        ("4f010304", "70000304"),
        ("40000506b1", "70000506"),
        ("40280708", "70000708"),  # codes of reserved classes
        ("40200708", "70000708"),
        ("40c1090a", "7000090a"),
        ("40ff090a", "7000090a"),
        ("50010102ff", None),  # NON
        ("50e1090a", None),
        ("60450102ff", None),  # ACK
        ("70450102ff", None),  # RST
        ("80010102ff", None),  # versions other than 1
        ("00010102", None),
        ("c0010102", None),
        ("", None),
        ("40", None),
        ("400001", None),
    ):
        n = len(net.sent)
        me.receive(unhex(data), "peer", net.now)
        equal((data, [d for _, _, _, d in net.sent[n:]]), (data, [unhex(answer)] if answer else []))
    equal(me.counters.errors, 0)


def test_too_long_a_datagram_is_rejected():
    net, me = alone(content, max_datagram=100)
    request = Message(PUT, mid=1, payload=bytes(95))
    me.receive(encode(request), "peer", net.now)
    equal(len(net.sent), 1)
    request.payload = bytes(96)
    request.mid = 2
    me.receive(encode(request), "peer", net.now)
    equal((net.sent[1][3], me.counters.dropped), (unhex("70000002"), 1))
    for first in (0x50, 0x60, 0x70, 0x80, 0x00):
        me.receive(bytes([first, 1, 0, 3]) + bytes(200), "peer", net.now)
    equal((len(net.sent), me.counters.dropped), (2, 6))


def test_duplicates_are_answered_with_the_same_bytes():
    times = []

    def handler(request, peer, responder):
        times.append(1)
        return Message(CONTENT, payload=bytes([len(times)]))

    net, me = alone(handler)
    request = encode(Message(GET, CON, 0x1234, b"t").add(URI_PATH, "a"))
    for _ in range(3):
        me.receive(request, "peer", net.now)
    equal(sent_by(net, "me"), [unhex("6145 1234 74 ff 01")] * 3)
    equal((len(times), me.counters.duplicates), (1, 2))
    # The same message ID of somebody else is no duplicate.
    me.receive(request, "other", net.now)
    equal(sent_by(net, "me")[3], unhex("6145 1234 74 ff 02"))
    # After EXCHANGE_LIFETIME it is a new message.
    me.receive(request, "peer", net.now + 246999)
    equal(len(times), 2)
    me.receive(request, "peer", net.now + 247000)
    equal(len(times), 3)


def test_duplicates_of_non_are_dropped():
    net, me = alone(content)
    request = encode(Message(GET, NON, 0x1234, b"t").add(URI_PATH, "a"))
    me.receive(request, "peer", net.now)
    me.receive(request, "peer", net.now)
    equal(len(net.sent), 1)
    answer = decode(net.sent[0][3])
    equal((answer.type, answer.code, answer.token), (NON, CONTENT, b"t"))


def test_the_oldest_duplicate_goes_first():
    net, me = alone(content, dedup_slots=4)
    requests = [encode(Message(GET, CON, mid, b"t")) for mid in range(6)]
    for request in requests:
        me.receive(request, "peer", net.now)
    equal((me.counters.requests, len(me.entries)), (6, 4))
    for request in requests[2:]:
        me.receive(request, "peer", net.now)
    equal((me.counters.requests, me.counters.duplicates), (6, 4))
    me.receive(requests[1], "peer", net.now)
    equal((me.counters.requests, len(me.entries)), (7, 4))


def test_bytes_of_replies_are_bounded():
    net, me = alone(lambda *a: Message(CONTENT, payload=bytes(95)), dedup_slots=8, dedup_bytes=250)
    requests = [encode(Message(GET, CON, mid, b"")) for mid in range(4)]
    for request in requests:
        me.receive(request, "peer", net.now)
        assert me._room >= 0
    equal((me._room, me.counters.evicted), (250 - 200, 2))
    # The two newest replies are there; of the others it is still known that they are old.
    for request in requests:
        me.receive(request, "peer", net.now)
    equal((len(net.sent), me.counters.duplicates, me.counters.requests), (6, 4, 4))
    # The newest one is kept even if it is longer than all.
    net, me = alone(lambda *a: Message(CONTENT, payload=bytes(95)), dedup_bytes=10)
    me.receive(requests[0], "peer", net.now)
    me.receive(requests[0], "peer", net.now)
    equal((len(net.sent), me.counters.requests), (2, 1))
    me.receive(requests[1], "peer", net.now)
    equal(me._room, 10 - 100)


def test_bytes_of_replies_are_bounded_where_slots_are_used_again():
    net, me = alone(lambda *a: Message(CONTENT, payload=bytes(95)), dedup_slots=4, dedup_bytes=250)
    requests = [encode(Message(GET, CON, mid, b"")) for mid in range(15)]
    for i, request in enumerate(requests):
        me.receive(request, "peer", net.now)
        # Always the two newest, and no message counts for more than it takes.
        equal([mid for mid, _, _, reply in sorted(me.entries) if reply], [n for n in (i - 1, i) if n >= 0])
        equal(me._room, 250 - 100 * min(i + 1, 2))
        equal(len(me.entries), min(i + 1, 4))
    n = len(net.sent)
    for request in requests[11:]:
        me.receive(request, "peer", net.now)
    equal([net.sent[n][3][2:4], net.sent[n + 1][3][2:4], len(net.sent)], [b"\0\x0d", b"\0\x0e", n + 2])
    equal((me.counters.requests, me.counters.duplicates), (15, 4))


def test_replies_that_grow_push_out_the_oldest_first():
    size = [20]
    net, me = alone(lambda *a: Message(CONTENT, payload=bytes(size[0])), dedup_slots=4, dedup_bytes=120)
    for mid in range(6):
        me.receive(encode(Message(GET, CON, mid, b"")), "peer", net.now)
    equal([(e[0], len(e[3])) for e in sorted(me.entries)], [(2, 25), (3, 25), (4, 25), (5, 25)])
    size[0] = 60  # in the place of 2, and 3 has to go for it
    me.receive(encode(Message(GET, CON, 6, b"")), "peer", net.now)
    equal([(e[0], len(e[3])) for e in sorted(me.entries)], [(3, 0), (4, 25), (5, 25), (6, 65)])
    equal((me._room, me.counters.evicted), (5, 1))


def test_a_message_that_there_is_no_memory_to_remember():
    net, me = alone(content, dedup_slots=4)
    for mid in range(6):
        me.receive(encode(Message(GET, CON, mid, b"t")), "peer", net.now)
    before = me.entries[:], me.mids[:], me._oldest, me._room
    micropython.heap_lock()
    try:
        me._remember(6, "peer", b"reply", net.now)
        raised = False
    except MemoryError:
        raised = True
    micropython.heap_unlock()
    assert raised
    equal((me.entries, me.mids, me._oldest, me._room), before)


def test_nstart():
    net, me = alone()
    calls = [Calls() for _ in range(3)]
    for i in range(3):
        me.request(get(str(i)), "peer", net.now, calls[i])
    other = Calls()
    me.request(get("o"), "other", net.now, other)
    equal([(d[2], decode(d[3]).path()) for d in net.sent], [("peer", ["0"]), ("other", ["o"])])
    # An ACK alone lets the next one go.
    me.receive(encode(Message(EMPTY, ACK, decode(net.sent[0][3]).mid)), "peer", net.now)
    equal(decode(net.sent[2][3]).path(), ["1"])
    r = decode(net.sent[2][3])
    me.receive(encode(Message(VALID, ACK, r.mid, r.token)), "peer", net.now)
    equal(decode(net.sent[3][3]).path(), ["2"])
    equal([len(c) for c in calls], [0, 1, 0])
    net.run(300000)
    equal([c[0][1] for c in calls], ["timeout", None, "timeout"])


def test_queue_goes_on_after_a_timeout():
    net, me = alone()
    a, b = Calls(), Calls()
    me.request(get("a"), "peer", net.now, a)
    me.request(get("b"), "peer", net.now, b)
    net.run(93000)
    equal((a, b), ([(None, "timeout")], []))
    equal(decode(net.sent[-1][3]).path(), ["b"])


def test_requests_are_served_while_ours_waits():
    net, me = alone(content)
    me.request(get(), "peer", net.now, Calls())
    me.receive(encode(Message(GET, CON, 7, b"t")), "peer", net.now)
    equal(net.sent[1][3], unhex("61450007 74 ff 76"))


def test_exchanges_are_bounded():
    net, me = alone(max_exchanges=3)
    calls = [Calls() for _ in range(4)]
    for i in range(4):
        me.request(get(str(i)), "peer", net.now, calls[i])
    equal([len(c) for c in calls], [0, 0, 0, 1])
    equal(calls[3], [(None, "refused")])
    pongs = []
    for _ in range(3):
        me.ping("peer", net.now, pongs.append)
    equal(pongs, [False, False])


def test_queue_goes_on_after_a_cancel():
    net, me = alone()
    first = me.request(get("a"), "peer", net.now, Calls())
    me.request(get("b"), "peer", net.now, Calls())
    me.cancel(first)
    equal((me.next_wakeup(), len(net.sent)), (net.now, 1))
    net.run(0)
    equal(decode(net.sent[1][3]).path(), ["b"])


def test_cancel():
    net, me = alone()
    a, b = Calls(), Calls()
    first = me.request(get("a"), "peer", net.now, a)
    second = me.request(get("b"), "peer", net.now, b)
    me.cancel(second)
    me.cancel(second)
    me.cancel(first)
    equal((a, b), ([(None, "cancelled")], [(None, "cancelled")]))
    equal((exchanges(me), queue(me), flying(me), me.next_wakeup()), ([], [], [], None))
    assert first.done and second.done
    # A late confirmable response is rejected, a late NON one is not worth an answer.
    token = decode(net.sent[0][3]).token
    me.receive(encode(Message(CONTENT, CON, 9, token)), "peer", net.now)
    me.receive(encode(Message(CONTENT, NON, 10, token)), "peer", net.now)
    equal(sent_by(net, "me")[1:], [unhex("70000009")])


def test_unknown_critical_option_in_a_request():
    served = []

    def handler(request, peer, responder):
        served.append(request.code)
        return Message(CHANGED)

    net, me = alone(handler)
    for mid, number, value, code in (
        (1, 9999, b"x", BAD_OPTION),
        (2, IF_MATCH, b"x", BAD_OPTION),
        (3, IF_NONE_MATCH, b"", BAD_OPTION),
        (4, PROXY_URI, b"coap://x", 0xA5),
        (5, PROXY_SCHEME, b"coap", 0xA5),
        (6, 10000, b"x", CHANGED),  # elective
        (7, URI_HOST, b"h", CHANGED),
        (8, URI_PORT, b"\x16\x33", CHANGED),
        (9, HOP_LIMIT, b"\x01", CHANGED),
        (10, MAX_AGE, b"\x01", CHANGED),
    ):
        me.receive(encode(Message(PUT, CON, mid, b"t").add(number, value)), "peer", net.now)
        got = decode(net.sent[-1][3])
        equal((number, got.type, got.mid, got.code, got.token), (number, ACK, mid, code, b"t"))
    # Not repeatable, so the second one is not understood (section 5.4.5).
    me.receive(encode(Message(PUT, CON, 11).add(ACCEPT, 0).add(ACCEPT, 0)), "peer", net.now)
    equal(net.sent[-1][3], unhex("6082000b"))
    equal(len(served), 5)
    n = len(net.sent)
    me.receive(encode(Message(PUT, NON, 12).add(9999, b"x")), "peer", net.now)
    equal((len(net.sent), len(served)), (n, 5))


def test_unknown_critical_option_in_a_response():
    net, me = alone()
    calls = Calls()
    me.request(get(), "peer", net.now, calls)
    r = decode(net.sent[0][3])
    for kind in (ACK, NON, CON):
        me.receive(encode(Message(CONTENT, kind, r.mid, r.token).add(9999, b"")), "peer", net.now)
    equal(sent_by(net, "me")[1:], [bytes([0x70, 0, r.mid >> 8, r.mid & 255])])
    equal(calls, [])
    net.run(300000)
    equal(calls, [(None, "timeout")])


def test_response_to_nobody():
    net, me = alone()
    me.receive(encode(Message(CONTENT, CON, 1, b"x")), "peer", net.now)
    me.receive(encode(Message(CONTENT, NON, 2, b"x")), "peer", net.now)
    # A notification nobody waits for: the Reset ends the observation.
    me.receive(encode(Message(CONTENT, NON, 3, b"x").add(OBSERVE, 5)), "peer", net.now)
    me.receive(encode(Message(CONTENT, ACK, 4, b"x")), "peer", net.now)
    equal(sent_by(net, "me"), [unhex("70000001"), unhex("70000003")])


def test_separate_response_of_ours():
    kept = []

    def handler(request, peer, responder):
        kept.append(responder)

    net, me = alone(handler)
    request = encode(Message(GET, CON, 0x11, b"t"))
    me.receive(request, "peer", net.now)
    equal(sent_by(net, "me"), [unhex("60000011")])
    kept[0].respond(Message(CONTENT, payload=b"v"), net.now)
    data = net.sent[1][3]
    equal((data[:2], data[4:]), (unhex("4145"), b"t\xffv"))
    # The request once more: its ACK once more.
    me.receive(request, "peer", net.now)
    equal(net.sent[2][3], unhex("60000011"))
    net.run(3000)
    equal(net.sent[3][3], data)
    me.receive(unhex("6000") + data[2:4], "peer", net.now)
    net.run(300000)
    equal((len(net.sent), flying(me)), (4, []))


def test_separate_response_to_a_non():
    kept = []
    net, me = alone(lambda request, peer, responder: kept.append(responder))
    me.receive(encode(Message(GET, NON, 0x11, b"t")), "peer", net.now)
    equal(net.sent, [])
    kept[0].respond(Message(CONTENT), net.now)
    net.run(300000)
    got = decode(net.sent[0][3])
    equal((len(net.sent), got.type, got.token), (1, NON, b"t"))


def test_separate_responses_are_bounded():
    kept = []
    net, me = alone(lambda request, peer, responder: kept.append(responder), max_separate=2)
    for mid in range(3):
        me.receive(encode(Message(GET, CON, mid, b"t")), "peer", net.now)
    for responder in kept:
        responder.respond(Message(CONTENT), net.now)
    equal([decode(d).type for d in sent_by(net, "me")[3:]], [CON, CON, NON])
    # They do not hold up a request of ours.
    me.request(get(), "peer", net.now, Calls())
    equal(decode(net.sent[-1][3]).code, GET)


def test_no_response_option():
    net, me = alone(lambda request, peer, responder: Message(request.uint(ACCEPT)))
    mid = 0
    for kind in (CON, NON):
        for value, code, wanted in (
            (0, CHANGED, True),
            (2, CHANGED, False),
            (2, NOT_FOUND, True),
            (8, NOT_FOUND, False),
            (16, INTERNAL, False),
            (24, CHANGED, True),
            (26, INTERNAL, False),
        ):
            mid += 1
            n = len(net.sent)
            request = Message(POST, kind, mid, b"t").add(NO_RESPONSE, value).add(ACCEPT, code)
            me.receive(encode(request), "peer", net.now)
            got = [d[3] for d in net.sent[n:]]
            if wanted:
                equal(decode(got[0]).code, code)
            else:
                equal(got, [bytes([0x60, 0, 0, mid])] if kind == CON else [])


def test_errors_of_the_handler():
    seen = []

    def handler(request, peer, responder):
        path = request.path()[0]
        if path == "error":
            raise Error(NOT_ACCEPTABLE, "text", ((CONTENT_FORMAT, 60),))
        if path == "bad":
            return 5
        raise KeyError("k")

    net, me = alone(handler)
    me.on_error = seen.append
    for mid, path in ((1, "error"), (2, "fault"), (3, "bad")):
        me.receive(encode(Message(GET, CON, mid).add(URI_PATH, path)), "peer", net.now)
    equal(sent_by(net, "me"), [unhex("60860001 c13c"), unhex("60a00002"), unhex("60a00003")])
    equal((me.counters.errors, len(seen)), (2, 2))
    assert isinstance(seen[0], KeyError)
    # A path that is no text, and an on_error that raises itself.
    me.on_error = handler
    me.receive(unhex("40010004 b2c328"), "peer", net.now)
    me.receive(unhex("40010005 b178"), "peer", net.now)
    equal(sent_by(net, "me")[3:], [unhex("60820004"), unhex("60a00005")])


def test_without_a_handler():
    net, me = alone()
    me.receive(unhex("40010001"), "peer", net.now)
    equal(sent_by(net, "me"), [unhex("60840001")])


def test_errors_of_callbacks():
    seen = []

    def on_response(exchange, response, error):
        raise ValueError("cb")

    net, me = alone()
    me.on_error = seen.append
    me.request(get(), "peer", net.now, on_response)
    r = decode(net.sent[0][3])
    me.receive(encode(Message(CONTENT, ACK, r.mid, r.token)), "peer", net.now)
    me.request(get(), "peer", net.now, on_response)
    net.run(300000)
    equal((len(seen), me.counters.errors, exchanges(me)), (2, 2, []))


def test_network_that_cannot_send():
    def send(data, peer):
        raise OSError(101)

    me = Endpoint(send, Rand(), content)
    calls = Calls()
    me.request(get(), "peer", 0, calls)
    me.receive(unhex("40010001"), "peer", 0)
    now = 0
    while now is not None:
        now = me.poll(now)
    equal((calls, me.counters.unsent, me.counters.errors), ([(None, "timeout")], 6, 0))


def test_a_callback_that_asks_again():
    # A state machine sends its next request from on_response.
    net, me = alone()
    log = []

    def on_response(exchange, response, error):
        log.append(error)
        if len(log) < 3:
            me.request(get(), "peer", net.now, on_response)

    me.request(get(), "peer", net.now, on_response)
    net.run(400000)
    equal((log, len(net.sent)), (["timeout"] * 3, 15))


def test_nothing_stays_of_what_was_answered():
    net, me = alone()
    calls = Calls()
    exchange = me.request(get(), "peer", net.now, calls)
    request = decode(net.sent[-1][3])
    assert me.sending is not None
    me.receive(encode(Message(CONTENT, ACK, request.mid, request.token)), "peer", net.now)
    equal((me.poll(net.now), me.sending, exchange.done, len(calls)), (None, None, True, 1))
    # An answer that comes again finds nobody who waits.
    me.receive(encode(Message(CONTENT, ACK, request.mid, request.token)), "peer", net.now)
    me.receive(encode(Message(CONTENT, CON, 7, request.token)), "peer", net.now)
    equal((len(calls), me.counters.dropped, decode(net.sent[-1][3]).type), (1, 2, RST))
    me.cancel(exchange)
    equal((len(calls), me.sending), (1, None))


def test_a_callback_that_polls():
    # What it begins is not lost to the poll() that calls it.
    net, me = alone(max_retransmit=0)
    log = []

    def on_response(exchange, response, error):
        log.append(error)
        me.poll(net.now)
        if len(log) < 2:
            me.request(get(), "peer", net.now, on_response)

    me.request(get(), "peer", net.now, on_response)
    net.run(400000)
    equal((log, len(net.sent), me.sending), (["timeout"] * 2, 2, None))


def test_two_endpoints_over_a_bad_network():
    served = []

    def handler(request, peer, responder):
        served.append(text(request))
        return Message(CHANGED, payload=request.payload)

    net = Net()
    a = net.add("a", handler, max_exchanges=20)
    net.add("b", handler)
    rand = Rand(5)
    net.lose = lambda n, data, source: rand(1)[0] < 90
    calls = [Calls() for _ in range(20)]
    for i in range(20):
        a.request(Message(POST, payload=bytes([i])), "b", net.now, calls[i])
    net.run(2000000)
    done = 0
    for i in range(20):
        response, error = calls[i].one()
        if error is None:
            equal(text(response), bytes([i]))
            done += 1
        else:
            equal(error, "timeout")
    assert done > 10, done
    # At most once each, however often it was sent.
    equal(len(served), len(set(served)))
    assert a.counters.retransmitted > 5


def test_unknown_settings_are_named():
    from check import raises
    from coap.params import Params

    equal(raises(ValueError, Params, blok_szx=5).args, ("blok_szx",))
    raises(ValueError, Params, __init__=1)
    equal((Params(nstart=3).nstart, Params().nstart), (3, 1))
