# The security hook of an endpoint: what is sealed, what is let through, what changes state.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# heapsize: 512K

from check import equal
from coap.message import *
from coap_net import Calls, Net, Toy, exchanges, text


OBSERVED = []


def content(request, peer, responder):
    if request.uint(OBSERVE) == 0:
        OBSERVED.append(responder.observe())
    return Message(CONTENT, payload=b"secret" if not len(request.payload) else bytes(request.payload))


def pair(handler=content, key=7, other=7, **settings):
    net = Net()
    return net, net.add("client", None, Toy(key), **settings), net.add("server", handler, Toy(other), **settings)


def ask(net, client, msg, ms=300000, **kw):
    calls = Calls()
    client.request(msg, "server", net.now, calls, **kw)
    net.run(ms)
    return calls.one()


def get():
    return Message(GET).add(URI_PATH, "path")


def alone(handler=content):
    net = Net()
    return net, net.add("me", handler, Toy(7))


def test_everything_is_sealed():
    net, client, server = pair()
    response, error = ask(net, client, get())
    equal((error, response.code, text(response)), (None, CONTENT, b"secret"))
    for _, _, _, data in net.sent:
        assert b"path" not in data and b"secret" not in data
    request, answer = [decode(d[3]) for d in net.sent]
    equal((request.code, answer.code, answer.type), (POST, CHANGED, ACK))
    equal((answer.mid, answer.token), (request.mid, request.token))


def test_retransmissions_are_sealed_once():
    net, client, server = pair()
    net.lose = lambda n, d, source: n < 3
    equal(ask(net, client, get())[1], None)
    equal(len({d[3] for d in net.sent if d[1] == "client"}), 1)
    equal(client.hook.number, 1)


def test_duplicates_do_not_reach_the_hook():
    net, client, server = pair()
    net.lose = lambda n, d, source: source == "server" and n < 4
    equal(text(ask(net, client, get())[0]), b"secret")
    # Else the second one would be a replay.
    equal((server.counters.refused, server.counters.duplicates, server.hook.number), (0, 2, 1))


def test_request_that_is_not_authentic():
    net, me = alone()
    plain = encode(Message(GET, CON, 5, b"t").add(URI_PATH, "path"))
    bad = Message(POST, CON, 6, b"t", bytes(9)).add(OSCORE, b"")
    for data, code, mid in ((plain, "81", "0005"), (encode(bad), "80", "0006")):
        n = len(net.sent)
        me.receive(data, "peer", net.now)
        # Max-Age 0, not cacheable.
        equal([d[3] for d in net.sent[n:]], [bytes.fromhex("61" + code + mid + "74" + "d001")])
    bad.type = NON
    me.receive(encode(bad), "peer", net.now)
    equal((last(net).type, last(net).code), (NON, BAD_REQUEST))
    equal((me.counters.refused, me.counters.requests, me.entries), (3, 0, []))


def last(net):
    return decode(net.sent[-1][3])


def test_forged_request_does_not_take_a_message_id():
    # The forger is first with the message ID that the true peer will use.
    net, client, server = pair()
    calls = Calls()
    client.request(get(), "server", net.now, calls)
    true = net.moving.pop()[2]
    forged = bytearray(true)
    forged[-1] ^= 1
    server.receive(bytes(forged), "client", net.now)
    equal(last(net).code, BAD_REQUEST)
    server.receive(true, "client", net.now)
    equal((last(net).code, server.counters.requests), (CHANGED, 1))


def test_forged_response_acknowledges_nothing():
    for kind in (ACK, NON, CON):
        net, client, server = pair()
        calls = Calls()
        client.request(get(), "server", net.now, calls)
        request = last(net)
        net.moving.clear()
        for payload in (b"", bytes(9)):
            forged = Message(CHANGED, kind, request.mid, request.token, payload).add(OSCORE, b"")
            client.receive(encode(forged), "server", net.now)
        # Nothing is said about it either.
        equal((calls, len(net.sent), client.counters.refused, client.entries), ([], 1, 2, []))
        # It goes on as if nothing had come.
        net.run(100000)
        equal(len([d for d in net.sent if d[1] == "client"]), 2)
        equal(text(calls.one()[0]), b"secret")


def test_response_to_another_request():
    # An old answer, sealed by the peer, under the new token and message ID.
    net, client, server = pair()
    ask(net, client, get())
    old = last(net)
    calls = Calls()
    client.request(get(), "server", net.now, calls)
    net.moving.clear()
    replayed = Message(old.code, ACK, last(net).mid, last(net).token, bytes(old.payload)).add(OSCORE, b"")
    client.receive(encode(replayed), "server", net.now)
    equal((calls, client.counters.refused), ([], 1))


def test_plain_error_is_a_hint():
    net, client, server = pair(other=8)
    response, error = ask(net, client, get())
    equal((response.code, error, len(net.sent)), (BAD_REQUEST, "plain", 2))
    equal((exchanges(client), client.next_wakeup()), ([], None))


def test_plain_error_as_a_message_of_its_own():
    net, client, server = pair()
    calls = Calls()
    client.request(get(), "server", net.now, calls)
    net.moving.clear()
    reply = Message(UNAUTHORIZED, CON, 9, last(net).token)
    client.receive(encode(reply), "server", net.now)
    equal((calls.one()[0].code, calls[0][1]), (UNAUTHORIZED, "plain"))
    equal(net.sent[-1][3], bytes.fromhex("60000009"))


def test_hook_that_cannot_seal():
    class Worn(Toy):
        def seal_request(self, msg):
            raise Error(UNAVAILABLE, "no numbers left")

        def seal_response(self, msg, ex, notification=False):
            raise Error(UNAVAILABLE, "no numbers left")

    net = Net()
    me = net.add("me", content, Worn(7))
    seen = []
    me.on_error = seen.append
    calls = Calls()
    me.request(get(), "peer", net.now, calls)
    equal((calls, net.sent, exchanges(me), len(seen)), ([(None, "refused")], [], [], 1))
    # Those that wait are told too.
    outer, _ = Toy(7).seal_request(get())
    me.receive(encode(Message(POST, CON, 5, b"t", outer.payload).add(OSCORE, b"")), "peer", net.now)
    equal(net.sent[0][3], bytes.fromhex("61a0000574d001"))
    equal((len(seen), me.counters.errors), (2, 2))


def test_hook_with_a_fault():
    class Faulty(Toy):
        def open_request(self, outer):
            raise KeyError(1)

        def open_response(self, outer, ex):
            raise KeyError(1)

    net = Net()
    me = net.add("me", content, Faulty(7))
    seen = []
    me.on_error = seen.append
    me.receive(encode(Message(GET, CON, 5)), "peer", net.now)
    calls = Calls()
    me.request(get(), "peer", net.now, calls)
    request = last(net)
    me.receive(encode(Message(CHANGED, ACK, request.mid, request.token)), "peer", net.now)
    equal((len(seen), calls, len(net.sent)), (2, [], 1))
    net.run(300000)
    equal(calls, [(None, "timeout")])


def test_sealed_challenge():
    # The hook wants the request again with Echo, and says so under protection.
    class Careful(Toy):
        asked = False

        def open_request(self, outer):
            msg, ex = super().open_request(outer)
            if bytes(msg.opt(ECHO, b"")) != b"fresh":
                raise SecurityError(UNAUTHORIZED, "old", ((ECHO, b"fresh"),), ex)
            return msg, ex

    net = Net()
    client = net.add("client", None, Toy(7))
    server = net.add("server", content, Careful(7))
    response, error = ask(net, client, get(), 1000)
    equal((response.code, text(response), error), (CONTENT, b"secret", None))
    equal(len(net.sent), 4)
    # The answer was sealed, and is repeated for a duplicate without asking the hook.
    equal(decode(net.sent[1][3]).code, CHANGED)
    server.receive(net.sent[0][3], "client", net.now)
    equal(net.sent[-1][3], net.sent[1][3])


def test_echo_is_answered():
    # RFC 9175 section 2.3, also where there is no hook and for a block in the middle.
    asked = []

    def handler(request, peer, responder):
        asked.append((len(request.payload), request.opt(ECHO) is not None))
        if len(asked) % 2:
            raise Error(UNAUTHORIZED, "", ((ECHO, b"e%d" % len(asked)),))
        return Message(CHANGED)

    net = Net()
    client = net.add("client", block_szx=3)
    server = net.add("server", handler, block_szx=3)
    server.wants = lambda request, peer: False
    calls = Calls()
    client.request(Message(PUT, payload=b"x").add(URI_PATH, "path"), "server", net.now, calls)
    net.run(0)
    equal((calls.one()[0].code, asked), (CHANGED, [(1, False), (1, True)]))
    echoed = decode(net.sent[2][3])
    equal((echoed.opt(ECHO), echoed.path()), (b"e1", ["path"]))
    assert echoed.token != decode(net.sent[0][3]).token and echoed.mid != decode(net.sent[0][3]).mid


def test_echo_for_a_block():
    def handler(request, peer, responder):
        if responder.offset == 128 and request.opt(ECHO) is None:
            raise Error(UNAUTHORIZED, "", ((ECHO, b"e"),))
        return Message(CONTINUE if responder.more else CHANGED)

    net = Net()
    client = net.add("client", block_szx=3)
    net.add("server", handler, block_szx=3).wants = lambda request, peer: True
    calls = Calls()
    client.request(Message(PUT, payload=bytes(300)), "server", net.now, calls)
    net.run(0)
    # The server dropped the transfer, so the block is lost, and all begins again.
    got = [decode(d[3]) for d in net.sent if d[1] == "client"]
    equal([(m.uint(BLOCK1) >> 4, m.opt(ECHO) is not None) for m in got][:3], [(0, False), (1, False), (1, True)])
    equal(len(calls), 1)


def test_echo_without_end():
    net = Net()
    client = net.add("client", max_echo=3)

    def handler(request, peer, responder):
        raise Error(UNAUTHORIZED, "", ((ECHO, b"e"),))

    net.add("server", handler)
    response, error = ask(net, client, get())
    equal((response.code, error, len(net.sent)), (UNAUTHORIZED, None, 8))


def test_unknown_critical_option_inside():
    net, client, server = pair()
    response, error = ask(net, client, get().add(9999, b"x"))
    equal((response.code, error, decode(net.sent[1][3]).code), (BAD_OPTION, None, CHANGED))
    # One outside belongs to proxies and is dropped on opening.
    outer, _ = Toy(7).seal_request(get())
    outer.add(9999, b"x").add(URI_PORT, 5683)
    outer.mid = 77
    outer.payload[0] = 9
    outer = Toy(7)
    outer.number = 50
    sealed, _ = outer.seal_request(get())
    sealed.add(9999, b"x").add(URI_PORT, 5683)
    sealed.mid = 77
    server.receive(encode(sealed), "client", net.now)
    equal(last(net).code, CHANGED)


def test_blocks_are_sealed_each():
    stored = []

    def handler(request, peer, responder):
        stored.append(text(request))
        return Message(CHANGED, payload=bytes(reversed(stored[-1])))

    net, client, server = pair(handler, block_szx=3)
    net.lose = lambda n, d, source: n % 4 == 1
    data = bytes([i & 255 for i in range(1000)])
    response, error = ask(net, client, Message(PUT, payload=data).add(URI_PATH, "path"))
    equal((error, stored, text(response)), (None, [data], bytes(reversed(data))))
    for _, _, _, datagram in net.sent:
        msg = decode(datagram)
        equal((msg.opt(BLOCK1), msg.opt(BLOCK2)), (None, None))
        equal(len(msg.payload) < 180, True)
    equal(client.hook.number, 8 + 7)


def test_observe_under_protection():
    net, client, server = pair(block_szx=3)
    calls = Calls()
    client.request(get(), "server", net.now, calls, observe=True)
    net.run(0)
    equal([text(r) for r, e in calls], [b"secret"])
    observation = OBSERVED[0]
    for n in (5, 300):
        server.notify(observation, Message(CONTENT, payload=bytes(n)), net.now, n == 5)
        net.run(0)
    equal([len(r.payload) for r, e in calls], [6, 5, 300])
    assert all(b"secret" not in d[3] for d in net.sent)
    # A forged notification is dropped; a confirmable one is not acknowledged.
    token = decode(net.sent[0][3]).token
    n = len(net.sent)
    for kind in (NON, CON):
        client.receive(encode(Message(CHANGED, kind, 9, token, bytes(9)).add(OSCORE, b"").add(OBSERVE, 99)), "server", net.now)
    equal((len(calls), len(net.sent)), (3, n))


def test_observation_whose_context_is_gone():
    net, client, server = pair()
    calls = Calls()
    client.request(get(), "server", net.now, calls, observe=True)
    net.run(0)
    observation = OBSERVED[0]
    ends = []
    observation.on_cancel = ends.append
    done = []

    def gone(msg, ex, notification=False):
        raise Error(UNAVAILABLE, "context is gone")

    server.hook.seal_response = gone
    server.on_error = None
    for confirmable in (False, True):
        server.notify(observation, Message(CONTENT), net.now, confirmable, lambda o, e: done.append(e))
    equal((done, ends, server.observations), (["refused", "cancelled"], ["refused"], []))


def test_separate_response_is_sealed():
    kept = []
    net, client, server = pair(lambda request, peer, responder: kept.append(responder))
    calls = Calls()
    client.request(get(), "server", net.now, calls)
    net.run(1000)
    kept[0].respond(Message(CONTENT, payload=b"secret"), net.now)
    net.run(1000)
    equal(text(calls.one()[0]), b"secret")
    assert all(b"secret" not in d[3] for d in net.sent)


def test_what_waits_is_sealed_when_it_goes():
    # Under the context of then, not of when it was asked for.
    net, client, server = pair()
    client.request(get(), "server", net.now, Calls())
    calls = Calls()
    client.request(get(), "server", net.now, calls)
    equal(client.hook.number, 1)
    client.hook.number = 10
    net.run(0)
    equal((client.hook.number, calls.one()[1]), (11, None))
