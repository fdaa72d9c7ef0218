# Sealed messages that a proxy cut into blocks, with lib/oscore as security hook.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 section 4.1.3.4.2
# heapsize: 512K

from check import equal
from coap.message import *
from coap_net import Calls, Net, bodies, exchanges, flying, outer_of, text
from oscorepair import pair, recorder, wire

BODY = bytes([i * 7 & 0xFF for i in range(400)])


def accounts():
    recorder.forget()
    return pair()


class Proxy:
    """A forward proxy: an endpoint without a hook between `client` and `server`, which cuts
    what is longer than its blocks."""

    def __init__(self, net, **settings):
        self.net = net
        self.end = net.add("proxy", self.handle, **settings)

    def copy(self, msg, code=None):
        out = Message(code or msg.code, payload=bytes(msg.payload))
        out.options = [(n, bytes(v)) for n, v in msg.options if n in (OBSERVE, OSCORE, URI_HOST)]
        return out

    def handle(self, request, peer, responder):
        observation = None
        if request.uint(OBSERVE) == 0:
            observation = responder.observe()
        told = []

        def on_response(exchange, response, error):
            if error is not None:
                return
            answer = self.copy(response)
            if told and observation is not None:
                self.end.notify(observation, answer, self.net.now, True)
            else:
                told.append(1)
                responder.respond(answer, self.net.now)

        observe = observation is not None
        self.end.request(self.copy(request), "server", self.net.now, on_response, observe=observe)
        return None


class Server:
    """Keeps what is put, and gives it back."""

    def __init__(self):
        self.value = BODY
        self.requests = []
        self.observation = None

    def __call__(self, request, peer, responder):
        self.requests.append((request.code, request.path()))
        if request.uint(OBSERVE) == 0:
            self.observation = responder.observe()
        if len(request.payload):
            self.value = text(request)
        return Message(CHANGED if request.code == PUT else CONTENT, payload=self.value)


def three(szx=2, **settings):
    net = Net()
    a, b = accounts()
    client = net.add("client", None, a, **settings)
    proxy = Proxy(net, block_szx=szx)
    handler = Server()
    server = net.add("server", handler, b, **settings)
    return net, client, proxy, server, handler


def get():
    return Message(GET).add(URI_PATH, "path")


def put(payload=BODY):
    return Message(PUT, payload=payload).add(URI_PATH, "path")


def ask(net, client, msg, ms=300000, **kw):
    calls = Calls()
    client.request(msg, "proxy", net.now, calls, **kw)
    net.run(ms)
    return calls.one()


def blocks(net, number, *way):
    return [decode(d[3]).uint(number) for d in net.sent if d[1:3] == way and decode(d[3]).opt(number)]


def test_both_ways():
    net, client, proxy, server, handler = three()
    response, error = ask(net, client, put())
    equal((error, response.code, text(response)), (None, CHANGED, BODY))
    equal(handler.requests, [(PUT, ["path"])])
    equal(handler.value, BODY)
    # 400 bytes, code, Uri-Path, marker and tag are 415: 7 blocks of 64.
    want = [n << 4 | (8 if n < 6 else 0) | 2 for n in range(7)]
    equal(blocks(net, BLOCK1, "proxy", "server"), want)
    equal(blocks(net, BLOCK1, "server", "proxy"), want)
    equal(blocks(net, BLOCK2, "proxy", "client"), want)
    equal(blocks(net, BLOCK2, "client", "proxy"), [n << 4 | 2 for n in range(1, 7)])
    for datagram in net.sent:
        assert b"path" not in datagram[3] and BODY[:30] not in datagram[3]
    # Nothing is left of it.
    for end in (client, server):
        equal((end.counters.errors, outer_of(end).server.bodies, exchanges(end)), (0, [], []))
        equal(end.next_wakeup(), None)


def test_blocks_inside_and_outside():
    net, client, proxy, server, handler = three(3)
    body = bytes([i & 0xFF for i in range(2500)])
    response, error = ask(net, client, put(body))
    equal((error, text(response), handler.requests), (None, body, [(PUT, ["path"])]))
    assert len(blocks(net, BLOCK1, "proxy", "server")) >= 4 * 4


def test_losses():
    for lost in range(8):
        net, client, proxy, server, handler = three()
        net.lose = lambda n, data, source, lost=lost: n % 9 == lost
        response, error = ask(net, client, put(), 3000000)
        equal((error, text(response), handler.requests), (None, BODY, [(PUT, ["path"])]))


def test_everything_comes_twice():
    net, client, proxy, server, handler = three()
    settle = net.settle

    def twice():
        net.moving[:] = [m for m in net.moving for _ in (0, 1)]
        settle()

    net.settle = twice
    response, error = ask(net, client, put())
    equal((error, text(response), handler.requests), (None, BODY, [(PUT, ["path"])]))


def test_not_confirmable():
    net, client, proxy, server, handler = three()
    response, error = ask(net, client, put(), confirmable=False)
    equal((error, text(response)), (None, BODY))


def test_observe():
    net, client, proxy, server, handler = three()
    calls = Calls()
    client.request(get(), "proxy", net.now, calls, observe=True)
    net.run(100000)
    for n in (3, 300, 5, 390):
        server.notify(handler.observation, Message(CONTENT, payload=BODY[:n]), net.now, True)
        net.run(100000)
    equal([(len(r.payload), e) for r, e in calls], [(n, None) for n in (400, 3, 300, 5, 390)])
    assert all(text(r) == BODY[: len(r.payload)] for r, _ in calls)
    assert len(blocks(net, BLOCK2, "client", "proxy")) > 10
    equal((client.counters.errors, client.counters.refused), (0, 0))


def test_requests_go_on_meanwhile():
    net, client, proxy, server, handler = three(nstart=3)
    proxy.end.params.max_transfers = 4
    calls = Calls()
    for _ in range(3):
        client.request(get(), "proxy", net.now, calls)
    net.run(300000)
    equal([(text(r), e) for r, e in calls], [(BODY, None)] * 3)


# ---- Requests, datagram by datagram


class Peer:
    """Sends the blocks of sealed requests to an endpoint, by hand."""

    def __init__(self, **settings):
        self.net = Net()
        self.account, hook = accounts()
        self.handler = Server()
        self.end = self.net.add("me", self.handler, hook, **settings)
        self.mid = 0

    def seal(self, msg=None):
        outer, self.binding = self.account.seal_request(msg or put(BODY[:150]))
        return outer

    def block(self, outer, num, more, szx=2, payload=None, kind=CON, peer="peer", size1=None):
        size = 16 << szx
        self.mid += 1
        msg = Message(outer.code, kind, self.mid, b"t")
        msg.options = outer.options[:]
        msg.payload = outer.payload[num * size : num * size + size] if payload is None else payload
        msg.add(BLOCK1, num << 4 | (8 if more else 0) | szx)
        if size1 is not None:
            msg.add(SIZE1, size1)
        return self.send(encode(msg), peer)

    def send(self, data, peer="peer"):
        self.last = data
        n = len(self.net.sent)
        self.end.receive(data, peer, self.net.now)
        got = [decode(d[3]) for d in self.net.sent[n:]]
        equal(len(got), 1)
        return got[0]

    def body(self, outer, szx=2, **kw):
        size = 16 << szx
        last = (len(outer.payload) - 1) // size
        for num in range(last + 1):
            got = self.block(outer, num, num < last, szx, **kw)
        return got

    def check(self, got, payload=BODY[:150]):
        equal((got.code, got.opt(OSCORE) is not None), (CHANGED, True))
        equal(text(self.account.open_response(got, self.binding)), payload)


def test_answers_to_blocks():
    p = Peer()
    outer = p.seal()
    size = len(outer.payload)
    for num in (0, 1):
        got = p.block(outer, num, True)
        # Plain, and no more than the block's number.
        equal((got.type, got.code, [(n, bytes(v)) for n, v in got.options]), (ACK, CONTINUE, [(BLOCK1, bytes((num << 4 | 10,)))]))
        equal((bytes(got.payload), p.end.entries, p.end.counters.requests), (b"", [], 0))
    assert 128 < size <= 192
    got = p.block(outer, 2, False)
    equal((got.type, got.uint(BLOCK1)), (ACK, 2 << 4 | 2))
    p.check(got)
    equal(p.handler.requests, [(PUT, ["path"])])
    # The last block once more: a duplicate, with the same answer.
    equal(encode(p.send(p.last)), encode(got))
    equal((p.end.counters.duplicates, len(p.handler.requests)), (1, 1))


def test_one_block_that_is_all():
    p = Peer()
    p.check(p.body(p.seal(), 4))
    equal(outer_of(p.end).server.bodies, [])


def test_not_confirmable_blocks():
    p = Peer()
    got = p.body(p.seal(), kind=NON)
    equal(got.type, NON)
    p.check(got)


def test_a_block_again():
    p = Peer()
    outer = p.seal()
    p.block(outer, 0, True)
    p.block(outer, 1, True)
    equal(p.block(outer, 1, True).code, CONTINUE)
    equal(p.send(p.last).code, CONTINUE)
    p.check(p.block(outer, 2, False))


def test_gap_and_a_new_start():
    p = Peer()
    outer = p.seal()
    p.block(outer, 0, True)
    got = p.block(outer, 2, False)
    equal((got.code, got.uint(MAX_AGE), bytes(got.payload)), (INCOMPLETE, 0, b""))
    equal(p.block(outer, 5, True, payload=bytes(64)).code, INCOMPLETE)
    p.check(p.body(outer))


def test_bad_blocks():
    p = Peer()
    outer = p.seal()
    equal(p.block(outer, 0, True, 7, bytes(64)).code, BAD_REQUEST)
    equal(p.block(outer, 0, True, 2, bytes(63)).code, BAD_REQUEST)
    equal(p.block(outer, 0, True, 2, bytes(65)).code, BAD_REQUEST)
    msg = Message(POST, CON, 99, b"t", bytes(16)).add(OSCORE, outer.opt(OSCORE))
    equal(p.send(encode(msg.add(BLOCK1, b"\x01\0\0\0"))).code, BAD_OPTION)
    equal((p.end.counters.dropped, outer_of(p.end).server.bodies, p.end.entries), (4, [], []))


def test_too_long():
    p = Peer(max_unfragmented=200)
    outer = p.seal(put(BODY[:250]))
    got = p.block(outer, 0, True, size1=len(outer.payload))
    equal((got.code, got.uint(SIZE1), got.uint(MAX_AGE)), (TOO_LARGE, 200, 0))
    for num in range(3):
        equal(p.block(outer, num, True).code, CONTINUE)
    equal(p.block(outer, 3, True).code, TOO_LARGE)
    equal((outer_of(p.end).server.bodies, p.handler.requests), ([], []))


def test_switched_off():
    p = Peer(max_outer=0)
    equal(p.block(p.seal(), 0, True).code, BAD_REQUEST)
    equal((outer_of(p.end), p.end.counters.refused), (None, 1))


def test_a_plain_request_is_not_put_together():
    p = Peer()
    got = p.send(encode(Message(PUT, CON, 5, b"t", bytes(16)).add(BLOCK1, 8)))
    equal((got.code, outer_of(p.end)), (UNAUTHORIZED, None))


def test_forged_blocks():
    p = Peer()
    outer = p.seal()
    p.block(outer, 0, True)
    # A forger is first with block 1; the whole is then no message.
    p.block(outer, 1, True, payload=bytes(64))
    equal(p.block(outer, 1, True).code, CONTINUE)  # taken for a repetition
    got = p.block(outer, 2, False)
    equal((got.code, got.uint(MAX_AGE), got.opt(BLOCK1)), (BAD_REQUEST, 0, None))
    equal((p.end.entries, p.handler.requests, outer_of(p.end).server.bodies), ([], [], []))
    equal(p.end.hook.ctx.window.highest, -1)
    # Nothing that lasts: the same message is still good.
    p.check(p.body(outer))


def test_bounds_and_time():
    p = Peer(max_outer=2, transfer_timeout_ms=5000)
    # A transfer that is authentic, which nothing of this may push out.
    inner = put(bytes(32)).add(BLOCK1, 8 | 1)
    equal(p.send(encode(wire(p.seal(inner)))).code, CHANGED)
    equal(len(bodies(p.end)), 1)
    outers = [p.seal() for _ in range(4)]
    for outer in outers:
        p.block(outer, 0, True)
    equal((len(outer_of(p.end).server.bodies), len(bodies(p.end))), (2, 1))
    # The two that were used last go on; of another peer's none does.
    equal(p.block(outers[1], 1, True).code, INCOMPLETE)
    equal(p.block(outers[2], 1, True, peer="other").code, INCOMPLETE)
    equal(p.block(outers[3], 1, True).code, CONTINUE)
    p.net.run(4999)
    equal(p.block(outers[2], 1, True).code, CONTINUE)
    p.net.run(1)
    equal(len(outer_of(p.end).server.bodies), 1)
    p.net.run(5000)
    equal((outer_of(p.end).server.bodies, p.end.next_wakeup()), ([], None))


# ---- Responses, datagram by datagram


class Asked:
    """A request of an endpoint, whose response is sent in blocks by hand."""

    def __init__(self, **settings):
        self.net = Net()
        hook, self.account = accounts()
        self.end = self.net.add("me", None, hook, **settings)
        self.calls = Calls()
        self.exchange = self.end.request(get(), "peer", self.net.now, self.calls)
        self.request = decode(self.net.sent[0][3])
        _, binding = self.account.open_request(self.request)
        self.outer = self.account.seal_response(Message(CONTENT, payload=BODY[:150]), binding)

    def block(self, to, num, more, kind=ACK, payload=None, mid=None, code=None, etag=b"e"):
        msg = Message(code or self.outer.code, kind, to.mid if mid is None else mid, to.token)
        msg.options = self.outer.options[:]
        msg.payload = self.outer.payload[num * 64 : num * 64 + 64] if payload is None else payload
        if num is not None:
            msg.add(BLOCK2, num << 4 | (8 if more else 0) | 2)
            msg.add(ETAG, etag)
        return self.send(encode(msg))

    def send(self, data):
        n = len(self.net.sent)
        self.end.receive(data, "peer", self.net.now)
        return [decode(d[3]) for d in self.net.sent[n:]]

    def rest(self, ask):
        """Answer what asks for blocks until nothing is asked."""
        while ask:
            num = ask[0].uint(BLOCK2) >> 4
            ask = self.block(ask[0], num, num < 2)
        equal(text(self.calls.one()[0]), BODY[:150])


def test_what_is_asked_for():
    a = Asked()
    asked = a.block(a.request, 0, True)
    equal(len(asked), 1)
    ask = asked[0]
    equal((ask.type, ask.code, bytes(ask.payload)), (CON, POST, b""))
    equal([(n, bytes(v)) for n, v in ask.options], [(OSCORE, bytes(a.request.opt(OSCORE))), (BLOCK2, b"\x12")])
    assert ask.token != a.request.token and ask.mid != a.request.mid
    # Its turn did not depend on NSTART, and the request itself goes on.
    assert a.exchange in flying(a.end)
    a.rest(asked)
    equal((a.exchange.done, exchanges(a.end), flying(a.end)), (True, [], []))


def test_separate_response():
    a = Asked()
    a.send(encode(Message(EMPTY, ACK, a.request.mid)))
    asked = a.block(a.request, 0, True, CON, mid=900)
    equal([(m.type, m.uint(BLOCK2)) for m in asked], [(CON, 0x12)])  # not acknowledged yet
    while len(asked) == 1:
        num = asked[0].uint(BLOCK2) >> 4
        asked = self_answered(a, asked[0], num)
    # All of it was verified: now it is.
    equal(text(a.calls.one()[0]), BODY[:150])


def self_answered(a, ask, num):
    got = a.block(ask, num, num < 2)
    if num == 2:
        equal([(m.type, m.code, m.mid) for m in got], [(ACK, EMPTY, 900)])
        return []
    return got


def test_forged_first_block():
    a = Asked()
    asked = a.block(a.request, 0, True, payload=bytes(64))
    asked = a.block(asked[0], 1, True)
    equal(a.block(asked[0], 2, False), [])
    equal((a.calls, a.end.counters.refused, a.exchange in flying(a.end)), ([], 1, True))
    # The true one comes later.
    a.rest(a.block(a.request, 0, True))


def test_forged_block_without_end():
    a = Asked(max_unfragmented=300)
    asked = a.block(a.request, 0, True, payload=bytes(64))
    n = 0
    while asked:
        n += 1
        asked = a.block(asked[0], n, True, payload=bytes(64))
    equal((n, a.calls, a.exchange in flying(a.end)), (4, [], True))
    # One that says so at once.
    msg = Message(CHANGED, ACK, a.request.mid, a.request.token, bytes(64)).add(OSCORE, b"")
    equal(a.send(encode(msg.add(BLOCK2, 8 | 2).add(SIZE2, 301))), [])
    a.rest(a.block(a.request, 0, True))


def test_newest_first_block_counts():
    a = Asked()
    first = a.block(a.request, 0, True, payload=bytes(64))
    again = a.block(a.request, 0, True)
    equal(len(exchanges(a.end)), 2)
    equal(a.block(first[0], 1, True), [])
    a.rest(again)


def test_odd_blocks():
    a = Asked()
    for num, more, payload in ((1, True, bytes(64)), (2, False, bytes(3)), (0, True, bytes(63))):
        equal(a.block(a.request, num, more, payload=payload), [])
    equal((a.calls, a.end.counters.dropped, len(exchanges(a.end))), ([], 3, 1))
    # A sealed message in one block, marked as such.
    a.outer.payload = a.outer.payload[:]
    msg = Message(a.outer.code, ACK, a.request.mid, a.request.token, a.outer.payload)
    msg.options = a.outer.options[:]
    a.send(encode(msg.add(BLOCK2, 4)))
    equal(text(a.calls.one()[0]), BODY[:150])


def test_response_changes_meanwhile():
    a = Asked()
    asked = a.block(a.request, 0, True, payload=bytes(64), etag=b"old")
    asked = a.block(asked[0], 1, True, etag=b"new")
    equal(asked[0].uint(BLOCK2), 2)  # from the start
    a.rest(asked)


def test_plain_error_for_the_rest():
    a = Asked()
    asked = a.block(a.request, 0, True)
    equal(a.send(encode(Message(INCOMPLETE, ACK, asked[0].mid, asked[0].token))), [])
    equal((a.calls, len(exchanges(a.end))), ([], 1))
    a.rest(a.block(a.request, 0, True))


def test_request_that_ends_meanwhile():
    a = Asked()
    asked = a.block(a.request, 0, True)
    a.end.cancel(a.exchange)
    equal(a.block(asked[0], 1, True), [])
    equal(([e for r, e in a.calls], exchanges(a.end), flying(a.end)), (["cancelled"], [], []))
    equal((a.end.counters.errors, a.end.counters.dropped), (0, 1))


def test_first_block_again():
    # The request is sent again while the rest is fetched: it does not begin anew.
    a = Asked()
    asked = a.block(a.request, 0, True)
    equal(a.block(a.request, 0, True), [])
    asked = a.block(asked[0], 1, True)
    equal(a.block(a.request, 0, True), [])
    equal(asked[0].uint(BLOCK2), 0x22)
    a.rest(asked)


def test_rest_that_does_not_come():
    a = Asked()
    a.block(a.request, 0, True)
    a.net.run(300000)
    equal([e for r, e in a.calls], ["timeout"])
    equal((exchanges(a.end), flying(a.end), a.end.next_wakeup()), ([], [], None))
