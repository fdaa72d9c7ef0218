# Appendix B.1: numbers reserved ahead, the window recovered with Echo, the record in flash.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 section 7.5 and Appendix B.1
# heapsize: 2M

import coap.message as m
from check import equal, raises
from oscore import Limits, Record
from oscore.message import decode_option
from oscorepair import CLIENT, SERVER, Flash, Rand, account, content, exchange, get, pair, same
from oscorepair import SALT, SECRET, recorder, serve, wire

K = Limits.reserve


def number(outer):
    return int.from_bytes(decode_option(outer.opt(m.OSCORE))[0], "big")


def end(flash):
    return flash.record().load()[1]


# ---- numbers


def test_a_number_is_committed_before_it_is_used():
    flash = Flash()
    client = account(policy="b1", flash=flash)
    for _ in range(5 * K):
        outer, _ = client.seal_request(get("a"))
        assert number(outer) < end(flash)


def test_a_restart_goes_on_behind_all_that_was_used():
    flash = Flash()
    used = -1
    for run in range(8):
        client = account(policy="b1", flash=flash)
        for _ in range(run * 20):
            n = number(client.seal_request(get("a"))[0])
            assert n > used
            used = n
            if run & 1:
                client.housekeep()


def test_flash_is_written_once_in_k_messages_and_not_by_a_message():
    flash = Flash()
    client = account(policy="b1", flash=flash)
    begin = flash.writes
    equal(begin, 2)
    for _ in range(20 * K):
        before = flash.writes
        client.seal_request(get("a"))
        equal(flash.writes, before)
        client.housekeep()
    equal(flash.writes - begin, 20)
    equal(client._keep.late, 0)


def test_k_is_settable():
    flash = Flash()
    client = account(policy="b1", flash=flash, limits=Limits(reserve=7))
    for _ in range(70):
        client.seal_request(get("a"))
    equal((client._keep.late, end(flash)), (9, 70))


def test_without_a_reservation_nothing_is_sealed():
    flash = Flash()
    client = account(policy="b1", flash=flash)
    flash.broken = True
    for _ in range(K):
        client.seal_request(get("a"))
    for _ in range(3):
        equal(raises(m.Error, client.seal_request, get("a")).code, m.UNAVAILABLE)
    raises(OSError, client.housekeep)
    flash.broken = False
    equal(number(client.seal_request(get("a"))[0]), K)


def test_flash_that_is_broken_at_the_start():
    flash = Flash()
    account(policy="b1", flash=flash)
    flash.broken = True
    client = account(policy="b1", flash=flash)
    raises(m.Error, client.seal_request, get("a"))
    flash.broken = False
    assert number(client.seal_request(get("a"))[0]) >= 2 * K


def test_a_record_that_cannot_be_read_is_not_taken_for_a_new_one():
    for data in (False, b"", b"\x02" * 7, b"\x01\x02\x00\x00\x00\x00\x00", b"\x01\x01\x00\x00\x00\x00\x00\x05a"):
        flash = Flash()
        flash.data = data
        client = account(policy="b1", flash=flash)
        # other keys are needed: Appendix B.2
        equal((client.ctx, client.state), (None, "new"))


def test_a_store_that_falls_back_on_the_record_before():
    # As flashstore does when the newest slot is found corrupt: whenever it happens, the
    # record before it is still true.
    for steps in range(0, 4 * K, 7):
        flash = Flash()
        recorder.forget()
        before = recorder.used
        for run in range(4):
            client = account(policy="b1", flash=flash)
            for _ in range(steps):
                client.seal_request(get("a"))
                if run & 1:
                    client.housekeep()
            if run == 2:
                client.save()
            # one slot is lost; there are always two
            flash.history.pop()
            flash.data = flash.history[-1]
        equal(recorder.used - before, 4 * steps)


# ---- clean stop


def test_clean_stop_keeps_the_window():
    client, flash = account(policy="b1"), Flash()
    server = account(SERVER, CLIENT, "b1", flash=flash)
    exchange(client, server)
    late, _ = client.seal_request(get("late"))
    exchange(client, server)
    used, _ = client.seal_request(get("used"))
    serve(server, wire(used))
    server.save()
    equal((server.ctx, server.state), (None, "new"))
    raises(m.Error, server.seal_request, get("a"))

    server = account(SERVER, CLIENT, "b1", flash=flash)
    assert server.ctx.window.missing < 1 << Limits.window
    equal(raises(m.SecurityError, server.open_request, wire(used)).text, "replayed")
    assert same(serve(server, wire(late))[0], get("late"))
    # the window in flash is spent: a power cut now must not bring it back
    server = account(SERVER, CLIENT, "b1", flash=flash)
    equal(server.ctx.window, None)


def test_a_window_that_grew_over_a_clean_stop():
    client, flash = account(policy="b1"), Flash()
    server = account(SERVER, CLIENT, "b1", flash=flash, limits=Limits(window=8))
    sent = [wire(client.seal_request(get("a"))[0]) for _ in range(40)]
    for i in (1, 2, 33, 39):
        serve(server, sent[i])
    server.save()
    server = account(SERVER, CLIENT, "b1", flash=flash, limits=Limits(window=64))
    for i in (1, 2, 3, 30, 31, 33, 39):
        equal(raises(m.SecurityError, server.open_request, sent[i]).text, "replayed")
    for i in (32, 34, 38):
        assert serve(server, sent[i])[0] is not None


def test_clean_stop_before_any_request():
    flash = Flash()
    account(policy="b1", flash=flash).save()
    client = account(policy="b1", flash=flash)
    equal((client.ctx.window.highest, client.ctx.window.missing), (-1, 0))


def test_save_that_fails_stops_the_account_all_the_same():
    flash = Flash()
    client = account(policy="b1", flash=flash)
    client.seal_request(get("a"))
    flash.broken = True
    raises(OSError, client.save)
    raises(m.Error, client.seal_request, get("a"))


def test_window_that_could_not_be_taken_out_of_flash_is_not_used():
    flash = Flash()
    server = account(SERVER, CLIENT, "b1", flash=flash)
    server.save()
    flash.broken = True
    server = account(SERVER, CLIENT, "b1", flash=flash)
    equal(server.ctx.window, None)


# ---- the window with Echo


def restarted():
    client, flash = account(policy="b1"), Flash()
    server = account(SERVER, CLIENT, "b1", flash=flash)
    old, _ = client.seal_request(get("old"))
    serve(server, wire(old))
    exchange(client, server)
    return client, account(SERVER, CLIENT, "b1", flash=flash, random=Rand(3)), old


def test_echo_recovers_the_window():
    client, server, old = restarted()
    outer, binding = client.seal_request(get("a"))
    none, answer = serve(server, wire(outer))
    equal(none, None)
    # a nonce of its own: the request might be a replay, whose nonce is used
    assert decode_option(answer.opt(m.OSCORE))[0] is not None
    inner = client.open_response(answer, binding)
    ((n, value),) = client.again(inner)
    outer, binding = client.seal_request(get("a").add(n, value))
    inner, answer = serve(server, wire(outer))
    assert inner is not None and same(client.open_response(answer, binding), content(b"ok"))
    for late in (old, outer):
        equal(raises(m.SecurityError, server.open_request, wire(late)).text, "replayed")
    assert same(exchange(client, server), content(b"ok"))


def test_replays_before_the_echo_do_not_reach_the_application():
    client, server, old = restarted()
    values = set()
    for _ in range(5):
        e = raises(m.SecurityError, server.open_request, wire(old))
        equal((e.code, e.ex is not None), (m.UNAUTHORIZED, True))
        values.add(e.options[0][1])
        server.seal_response(m.Message(e.code), e.ex)
    equal((len(values), server.ctx.window), (1, None))
    # nor does a value that nobody asked for
    outer, _ = client.seal_request(get("a").add(m.ECHO, b"12345678"))
    raises(m.SecurityError, server.open_request, wire(outer))
    equal(server.ctx.window, None)


def test_replays_do_not_wear_out_flash():
    client, server, old = restarted()
    flash_writes = server._keep._persist._write
    writes = []
    server._keep._persist._write = lambda data: (writes.append(1), flash_writes(data))
    sealed = 0
    for _ in range(10 * K):
        e = raises(m.SecurityError, server.open_request, wire(old))
        if e.ex is not None:
            server.seal_response(m.Message(e.code), e.ex)
            sealed += 1
        server.housekeep()
    equal((sealed, len(writes)), (K, 0))
    # own messages still find a number
    server.seal_request(get("a"))
    equal(len(writes), 1)


def test_a_response_of_the_peer_recovers_the_window_too():
    client, server, old = restarted()
    before, _ = client.seal_request(get("before"))
    outer, binding = server.seal_request(get("b").add(m.OBSERVE, 0))
    _, seen = client.open_request(wire(outer))
    notification = wire(client.seal_response(content(b"1").add(m.OBSERVE, 1), seen, True))
    server.open_response(notification, binding)
    for late in (old, before):
        equal(raises(m.SecurityError, server.open_request, wire(late)).text, "replayed")
    assert same(exchange(client, server), content(b"ok"))


def test_challenge_asks_once():
    client, server = pair()
    exchange(client, server)
    server.challenge()
    outer, binding = client.seal_request(get("a"))
    arrived = wire(outer)
    none, answer = serve(server, arrived)
    equal(none, None)
    # the request counts as received
    equal(raises(m.SecurityError, server.open_request, arrived).text, "replayed")
    options = client.again(client.open_response(answer, binding))
    assert same(exchange(client, server, get("a").add(*options[0])), content(b"ok"))
    assert same(exchange(client, server), content(b"ok"))
    # Another time it asks for another value: the first one proves nothing any more.
    server.challenge()
    again = client.again(exchange(client, server, get("a").add(*options[0])))
    assert again[0][1] != options[0][1]
    assert same(exchange(client, server, get("a").add(*again[0])), content(b"ok"))


def test_a_peer_that_knows_no_echo_gets_fresh_keys():
    client, server, _ = restarted()
    for _ in range(Limits.echoes):
        assert not server.exhausted()
        serve(server, wire(client.seal_request(get("a"))[0]))
    assert server.exhausted()
    # a peer without B.2 either: it goes on, and the next attempt is due some time
    server.rekey()
    _, binding = server.seal_request(server.probe())
    raises(m.PlainError, server.open_response, m.Message(m.UNAUTHORIZED), binding)
    equal((server.recover(), server.state, server.exhausted()), (False, "ready", False))
    for _ in range(Limits.echoes):
        serve(server, wire(client.seal_request(get("a"))[0]))
    server.rekey()
    exchange(server, client, server.probe())
    exchange(server, client)
    equal((server.exhausted(), client.state), (False, "ready"))
    assert same(exchange(client, server), content(b"ok"))


def test_an_echo_in_time_is_none_of_the_missing():
    client, server, old = restarted()
    for _ in range(3):
        for _ in range(Limits.echoes - 1):
            serve(server, wire(client.seal_request(get("a"))[0]))
        outer, binding = client.seal_request(get("a"))
        inner = client.open_response(serve(server, wire(outer))[1], binding)
        assert server.exhausted()
        exchange(client, server, get("a").add(*client.again(inner)[0]))
        assert not server.exhausted()
        server.challenge()


# ---- the record


def test_record_round_trip():
    flash = Flash()
    record = flash.record()
    equal(record.load(), None)
    for state in (
        (None, 0, None, False),
        (b"", 1, None, True),
        (bytes(range(64)), (1 << 40) - 1, None, False),
        (b"ctx", 77, (5, 0b101), True),
        (None, 77, (-1, 0), False),
        (b"ctx", 77, ((1 << 40) - 1, (1 << 64) - 1), False),
    ):
        record.commit(*state)
        equal(flash.record().load(), state)
        again = flash.record()
        equal(again.load(), state)
        again.reserve(999)
        equal(again.load(), (state[0], 999, None, state[3]))


def test_record_refuses_what_is_none():
    flash = Flash()
    record = flash.record()
    record.commit(b"ctx", 77, (5, 0b101), True)
    good = flash.data
    for i in range(len(good)):
        flash.data = good[:i]
        raises(ValueError, record.load)
    flash.data = good + b"x"
    raises(ValueError, record.load)
    flash.data = b"\x02" + good[1:]
    raises(ValueError, record.load)


def test_record_at_the_end_of_all_numbers():
    # A start adds a reservation to what flash holds: that must not overflow its five bytes.
    for end in ((1 << 40) - 1, (1 << 40) - 64, (1 << 32) - 1):
        flash = Flash()
        flash.record().commit(None, end, None, False)
        client = account(policy="b1", flash=flash)
        assert client.ctx.seq > end
        equal(raises(m.Error, client.seal_request, get()).code, m.UNAVAILABLE)
    limits = Limits(sequence=(1 << 40) - 1)
    flash.record().commit(None, (1 << 40) - 70, None, False)
    client = account(policy="b1", flash=flash, limits=limits)
    for _ in range(6):
        client.seal_request(get())
    raises(m.Error, client.seal_request, get())
    client = account(policy="b1", flash=flash, limits=limits)
    raises(m.Error, client.seal_request, get())


def test_record_holds_no_key():
    flash = Flash()
    client = account(policy="b1", flash=flash, id_context=b"ctx")
    client.seal_request(get("a"))
    client_key = bytes(client.ctx.sender_key)
    client.save()
    for data in flash.history:
        for secret in (SECRET, SALT, client_key):
            for i in range(len(secret) - 3):
                assert secret[i : i + 4] not in data


# ---- ID Context, and the way from one policy to the other


def test_id_context_of_the_account_goes_with_each_request():
    client, server = pair(id_context=b"ctx")
    outer, _ = client.seal_request(get("a"))
    equal(decode_option(outer.opt(m.OSCORE))[2], b"ctx")
    assert same(serve(server, wire(outer))[0], get("a"))
    bare = account(policy="b1")
    raises(m.SecurityError, bare.open_request, wire(outer))


def test_b2_context_is_kept_under_b1():
    flash, other = Flash(), Flash()
    client = account(policy="b1", flash=flash)
    server = account(SERVER, CLIENT, "b1", flash=other)
    client.rekey()
    exchange(client, server, client.probe())
    exchange(client, server)
    id_context = client.ctx.id_context
    # power goes before it is in flash: the old one comes back, with numbers of its own
    lost = account(policy="b1", flash=flash)
    equal((lost.ctx.id_context, lost.ctx.seq), (None, 2 * K))
    assert client.housekeep() and server.housekeep()
    client = account(policy="b1", flash=flash)
    equal(client.ctx.id_context, id_context)
    assert client.ctx.seq >= K
    assert same(exchange(client, server), content(b"ok"))


def test_policy_b2_leaves_the_numbers_of_b1_alone():
    flash = Flash()
    client = account(policy="b1", flash=flash)
    for _ in range(100):
        client.seal_request(get("a"))
    before = end(flash)
    client = account(policy="b2", flash=flash)
    equal(client.state, "new")
    client.learned()
    client.housekeep()
    equal(end(flash), before)
    assert account(policy="b1", flash=flash).ctx.seq >= 100


def test_policy_b2_over_a_record_that_cannot_be_read_leaves_no_number():
    # What "b2" writes must not become a beginning for "b1", which used nobody knows what.
    flash = Flash()
    client = account(policy="b1", flash=flash)
    for _ in range(100):
        client.seal_request(get("a"))
    flash.data = False
    client = account(policy="b2", flash=flash)
    client.learned()
    assert client.housekeep()
    client = account(policy="b1", flash=flash)
    equal(raises(m.Error, client.seal_request, get("a")).code, m.UNAVAILABLE)
    assert client.exhausted()  # fresh keys are due


def test_memory_only_record_is_refused_without_persist():
    raises(ValueError, lambda: account(policy="b1", flash=None, random=1))
    assert Record(lambda: None, None).load() is None
