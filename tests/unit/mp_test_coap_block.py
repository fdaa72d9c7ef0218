# Block-wise transfer: RFC 7959, with the figures of its section 3 as whole exchanges.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# heapsize: 1M

from check import equal, raises
from coap.block import Client, Incomplete, block_of, block_value, key_of
from coap.message import *
from coap.params import Params
from coap_net import Calls, Net, Rand, bodies, exchanges, flying, queue, text


def body(n):
    return bytes([(i * 7 + (i >> 8)) & 0xFF for i in range(n)])


def short(msg):
    """A message as the figures of RFC 7959 write it."""
    out = []
    for number in (BLOCK2, BLOCK1):
        value = msg.uint(number)
        if value is not None:
            which = 2 if number == BLOCK2 else 1
            out.append("%d:%d/%d/%d" % (which, value >> 4, value >> 3 & 1, 16 << (value & 7)))
    return " ".join([describe(msg.code)] + out)


def shorts(net):
    return [short(decode(data)) for _, _, _, data in net.sent]


class Store:
    """A handler that keeps what it is given."""

    def __init__(self, **values):
        self.values = values
        self.seen = []

    def __call__(self, request, peer, responder):
        path = "/".join(request.path())
        self.seen.append((request.code, path, text(request)))
        if request.code == PUT:
            self.values[path] = text(request)
            return Message(CHANGED)
        if request.code == POST:
            return Message(CHANGED, payload=bytes(reversed(text(request))))
        if path not in self.values:
            raise Error(NOT_FOUND)
        return Message(CONTENT, payload=self.values[path]).add(CONTENT_FORMAT, 42)


def pair(handler, client=None, **server):
    net = Net()
    server.setdefault("block_szx", 3)
    settings = {"block_szx": 3}
    settings.update(client or {})
    net.add("server", handler, **server)
    return net, net.add("client", **settings)


def ask(net, client, code, path="v", payload=b"", ms=300000):
    calls = Calls()
    client.request(Message(code, payload=payload).add(URI_PATH, path), "server", net.now, calls)
    net.run(ms)
    return calls.one()


def check_empty(net):
    for end in net.ends.values():
        equal((bodies(end), exchanges(end), flying(end), queue(end)), ([], [], [], []))


def test_get_figure_2():
    # Figure 2: 3 blocks of 128.
    data = body(300)
    net, client = pair(Store(v=data))
    response, error = ask(net, client, GET)
    equal((error, response.code, text(response)), (None, CONTENT, data))
    equal(response.uint(CONTENT_FORMAT), 42)
    equal((response.opt(BLOCK2), response.opt(SIZE2)), (None, None))
    equal(
        shorts(net),
        ["0.01", "2.05 2:0/1/128", "0.01 2:1/0/128", "2.05 2:1/1/128", "0.01 2:2/0/128", "2.05 2:2/0/128"],
    )
    equal(decode(net.sent[1][3]).uint(SIZE2), 300)
    # The handler made the representation once.
    equal(len(net.ends["server"].handler.seen), 1)
    check_empty(net)


def test_get_figure_3_early_negotiation():
    data = body(200)
    net, client = pair(Store(v=data), client={"block_szx": 2, "early_block2": True})
    equal(text(ask(net, client, GET)[0]), data)
    equal(
        shorts(net),
        ["0.01 2:0/0/64", "2.05 2:0/1/64", "0.01 2:1/0/64", "2.05 2:1/1/64", "0.01 2:2/0/64", "2.05 2:2/1/64"]
        + ["0.01 2:3/0/64", "2.05 2:3/0/64"],
    )


def test_get_figure_4_late_negotiation():
    # The client learns at the first block that they are 128, and wants 64.
    data = body(300)
    net, client = pair(Store(v=data), client={"block_szx": 2})
    equal(text(ask(net, client, GET)[0]), data)
    equal(
        shorts(net),
        ["0.01", "2.05 2:0/1/128", "0.01 2:2/0/64", "2.05 2:2/1/64", "0.01 2:3/0/64", "2.05 2:3/1/64"]
        + ["0.01 2:4/0/64", "2.05 2:4/0/64"],
    )


def test_a_request_may_be_sent_again():
    # What was given to request() is not changed, whatever was added on the way.
    for code, n in ((GET, 0), (PUT, 10), (PUT, 300)):
        store = Store(v=body(200))
        net, client = pair(store, client={"early_block2": True, "max_exchanges": 2})
        msg = Message(code, payload=body(n)).add(URI_PATH, "v")
        for observe in (False, True, False):
            calls = Calls()
            exchange = client.request(msg, "server", net.now, calls, observe=observe)
            net.run(0)
            response, error = calls.one()
            equal((error, response.code), (None, CONTENT if code == GET else CHANGED))
            equal((msg.options, msg.payload, msg.mid, msg.token), ([(URI_PATH, b"v")], body(n), 0, b""))
            client.cancel(exchange)


def test_put_figure_7():
    data = body(300)
    store = Store()
    net, client = pair(store)
    response, error = ask(net, client, PUT, payload=data)
    equal((error, response.code), (None, CHANGED))
    equal(store.seen, [(PUT, "v", data)])
    equal(
        shorts(net),
        ["0.03 1:0/1/128", "2.31 1:0/1/128", "0.03 1:1/1/128", "2.31 1:1/1/128", "0.03 1:2/0/128", "2.04 1:2/0/128"],
    )
    equal(decode(net.sent[0][3]).uint(SIZE1), 300)
    equal(decode(net.sent[2][3]).opt(SIZE1), None)
    # Each block has a token of its own.
    equal(len({decode(net.sent[i][3]).token for i in (0, 2, 4)}), 3)
    check_empty(net)


def test_put_figure_8_smaller_blocks_wanted():
    # The server answers the first block of 128 with 32: go on at number 4 of 32.
    data = body(200)
    store = Store()
    net, client = pair(store, block_szx=1)
    equal(ask(net, client, PUT, payload=data)[0].code, CHANGED)
    equal(store.values["v"], data)
    equal(
        shorts(net),
        ["0.03 1:0/1/128", "2.31 1:0/1/32", "0.03 1:4/1/32", "2.31 1:4/1/32", "0.03 1:5/1/32", "2.31 1:5/1/32"]
        + ["0.03 1:6/0/32", "2.04 1:6/0/32"],
    )


def test_post_figure_11_both_directions():
    data = body(260)
    net, client = pair(Store())
    response, error = ask(net, client, POST, payload=data)
    equal((error, response.code, text(response)), (None, CHANGED, bytes(reversed(data))))
    equal(
        shorts(net),
        ["0.02 1:0/1/128", "2.31 1:0/1/128", "0.02 1:1/1/128", "2.31 1:1/1/128"]
        + ["0.02 1:2/0/128", "2.04 2:0/1/128 1:2/0/128"]
        + ["0.02 2:1/0/128", "2.04 2:1/1/128", "0.02 2:2/0/128", "2.04 2:2/0/128"],
    )
    # The body is not sent a second time to fetch the response.
    equal(len(decode(net.sent[6][3]).payload), 0)
    check_empty(net)


def test_lengths_around_a_block():
    for n in (0, 1, 127, 128, 129, 255, 256, 257):
        data = body(n)
        store = Store()
        net, client = pair(store)
        equal(ask(net, client, PUT, payload=data)[0].code, CHANGED)
        equal(store.values["v"], data)
        equal(len(net.sent), 2 * max(1, (n + 127) // 128))
        response, error = ask(net, client, GET)
        equal((n, text(response)), (n, data))
        equal(len(net.sent), 4 * max(1, (n + 127) // 128))
        check_empty(net)


def test_all_sizes_each_way():
    data = body(1500)
    for theirs in range(7):
        for ours in range(7):
            net, client = pair(Store(), client={"block_szx": ours}, block_szx=theirs)
            equal(ask(net, client, PUT, payload=data)[0].code, CHANGED)
            equal(text(ask(net, client, GET)[0]), data)


def losing(rand, of_256):
    return lambda n, data, source: rand(1)[0] < of_256


def test_losses():
    data = body(1000)
    for seed in range(1, 6):
        store = Store()
        net, client = pair(store, client={"max_retransmit": 8})
        net.lose = losing(Rand(seed), 50)
        response, error = ask(net, client, PUT, payload=data, ms=10000000)
        equal((error, store.values.get("v")), (None, data))
        equal(text(ask(net, client, GET, ms=10000000)[0]), data)
        equal(len([s for s in store.seen if s[0] == PUT]), 1)


def test_block_number_may_be_anything():
    # A client that starts in the middle, reads backwards, or skips: every block is right.
    data = body(300)
    store = Store(v=data)
    net, client = pair(store)
    server = net.ends["server"]
    for num, szx in ((2, 3), (1, 3), (0, 3), (4, 2), (0, 0), (18, 0), (9, 1), (2, 3)):
        size = 16 << szx
        calls = Calls()
        client.request(
            Message(GET).add(URI_PATH, "v").add(BLOCK2, num << 4 | szx), "server", net.now, calls
        )
        net.run(0)
        response, error = calls.one()
        want = data[num * size : num * size + size]
        equal((error, response.code, text(response)), (None, CONTENT, want))
        equal(response.uint(BLOCK2), block_value(num, (num + 1) * size < 300, szx))
    equal(len(bodies(server)) <= 2, True)
    for num, szx, code in ((3, 3, BAD_REQUEST), (19, 0, BAD_REQUEST), (0, 7, BAD_REQUEST), (1, 7, BAD_REQUEST)):
        calls = Calls()
        client.request(
            Message(GET).add(URI_PATH, "v").add(BLOCK2, num << 4 | szx), "server", net.now, calls
        )
        net.run(0)
        equal((num, szx, calls.one()[0].code), (num, szx, code))


def test_larger_block_asked_than_we_send():
    # Number 1 of 1024 from a server that sends 128: that is number 8 of 128.
    data = body(3000)
    net, client = pair(Store(v=data))
    calls = Calls()
    client.request(Message(GET).add(URI_PATH, "v").add(BLOCK2, 1 << 4 | 6), "server", net.now, calls)
    net.run(0)
    response = calls.one()[0]
    equal((short(response), text(response)), ("2.05 2:8/1/128", data[1024:1152]))


def raw(net, msg, peer="raw"):
    """Have the server take a message and return what it answers."""
    n = len(net.sent)
    net.ends["server"].receive(encode(msg), peer, net.now)
    equal(len(net.sent), n + 1)
    return decode(net.sent[n][3])


class Mids:
    n = 0


def put(num, more, data, szx=0, path="v", **kw):
    Mids.n += 1
    msg = Message(PUT, CON, Mids.n, bytes([Mids.n & 255]), data).add(URI_PATH, path)
    msg.add(BLOCK1, block_value(num, more, szx))
    for number, value in kw.items():
        msg.add({"tag": REQUEST_TAG, "size1": SIZE1}[number], value)
    return msg


def test_gap_is_4_08():
    store = Store()
    net, _ = pair(store)
    equal(short(raw(net, put(1, True, bytes(16)))), "4.08 1:1/0/16")
    equal(short(raw(net, put(0, True, b"a" * 16))), "2.31 1:0/1/16")
    equal(short(raw(net, put(2, True, b"c" * 16))), "4.08 1:2/0/16")
    # The block that is due is still taken.
    equal(short(raw(net, put(1, True, b"b" * 16))), "2.31 1:1/1/16")
    equal(short(raw(net, put(3, False, b"d"))), "4.08 1:3/0/16")
    equal(short(raw(net, put(2, False, b"c"))), "2.04 1:2/0/16")
    equal(store.values["v"], b"a" * 16 + b"b" * 16 + b"c")


def test_a_block_twice_is_taken_once():
    # In a message of its own, since the answer to the first was lost for good.
    store = Store()
    net, _ = pair(store)
    raw(net, put(0, True, b"a" * 16))
    raw(net, put(1, True, b"b" * 16))
    equal(short(raw(net, put(1, True, b"b" * 16))), "2.31 1:1/1/16")
    raw(net, put(2, False, b"c"))
    equal(store.values["v"], b"a" * 16 + b"b" * 16 + b"c")


def test_block_zero_begins_again():
    store = Store()
    net, _ = pair(store)
    raw(net, put(0, True, b"x" * 16))
    raw(net, put(1, True, b"x" * 16))
    raw(net, put(0, True, b"a" * 16))
    raw(net, put(1, False, b"b"))
    equal(store.values["v"], b"a" * 16 + b"b")


def test_bad_blocks():
    net, _ = pair(Store())
    equal(raw(net, put(0, True, bytes(15))).code, BAD_REQUEST)
    equal(raw(net, put(0, True, bytes(17))).code, BAD_REQUEST)
    equal(raw(net, put(0, False, bytes(17))).code, BAD_REQUEST)
    equal(raw(net, put(0, True, bytes(16), szx=7)).code, BAD_REQUEST)
    msg = put(0, True, bytes(16))
    msg.set(BLOCK1, b"\x01\x00\x00\x08")
    equal(raw(net, msg).code, BAD_OPTION)
    # A leading zero byte does no harm.
    msg = put(0, True, bytes(16))
    msg.set(BLOCK1, b"\x00\x00\x00\x08")
    equal(raw(net, msg).code, CONTINUE)
    equal(net.ends["server"].counters.errors, 0)


def test_too_large_is_4_13():
    store = Store()
    net, client = pair(store, max_body=1000)
    # Known from Size1 at the first block, ...
    response, error = ask(net, client, PUT, payload=body(1001))
    equal((short(response), response.uint(SIZE1), len(net.sent)), ("4.13 1:0/0/128", 1000, 2))
    equal(ask(net, client, PUT, payload=body(1000))[0].code, CHANGED)
    # ... or when there is too much.
    for i in range(62):
        equal(raw(net, put(i, True, bytes(16))).code, CONTINUE)
    got = raw(net, put(62, True, bytes(16)))
    equal((short(got), got.uint(SIZE1)), ("4.13 1:62/0/16", 1000))
    check_empty(net)


def test_size1_that_is_wrong():
    for size1 in (1, 33, 500):
        store = Store()
        net, _ = pair(store)
        raw(net, put(0, True, b"a" * 16, size1=size1))
        raw(net, put(1, True, b"b" * 16))
        raw(net, put(2, False, b"c"))
        equal(store.values["v"], b"a" * 16 + b"b" * 16 + b"c")


def test_transfers_are_told_apart():
    store = Store()
    net, _ = pair(store, max_transfers=4)
    # By path, by peer and by Request-Tag.
    raw(net, put(0, True, b"a" * 16, path="a"))
    raw(net, put(0, True, b"b" * 16, path="b"))
    raw(net, put(0, True, b"o" * 16, path="a"), "other")
    raw(net, put(0, True, b"t" * 16, path="a", tag=b"1"))
    equal(raw(net, put(1, False, b"!", path="b")).code, CHANGED)
    equal(store.values["b"], b"b" * 16 + b"!")
    equal(raw(net, put(1, False, b"!", path="a"), "other").code, CHANGED)
    equal(store.values["a"], b"o" * 16 + b"!")
    equal(raw(net, put(1, False, b"!", path="a", tag=b"1")).code, CHANGED)
    equal(store.values["a"], b"t" * 16 + b"!")
    equal(raw(net, put(1, False, b"!", path="a", tag=b"2")).code, INCOMPLETE)
    equal(raw(net, put(1, False, b"!", path="a")).code, CHANGED)
    equal(store.values["a"], b"a" * 16 + b"!")


def test_transfers_are_bounded():
    net, _ = pair(Store(), max_transfers=2)
    server = net.ends["server"]
    for path in "abc":
        raw(net, put(0, True, bytes(16), path=path))
        assert len(bodies(server)) <= 2
    # The one not used for longest went.
    equal(raw(net, put(1, True, bytes(16), path="a")).code, INCOMPLETE)
    equal(raw(net, put(1, True, bytes(16), path="b")).code, CONTINUE)
    raw(net, put(0, True, bytes(16), path="d"))
    equal(raw(net, put(2, True, bytes(16), path="b")).code, CONTINUE)
    equal(raw(net, put(1, True, bytes(16), path="c")).code, INCOMPLETE)


def test_transfers_expire():
    net, client = pair(Store(v=body(300)), transfer_timeout_ms=10000)
    server = net.ends["server"]
    raw(net, put(0, True, bytes(16)))
    equal(server.next_wakeup(), net.now + 10000)
    net.run(9999)
    equal(raw(net, put(1, True, bytes(16))).code, CONTINUE)
    net.run(9999)
    equal(len(bodies(server)), 1)
    net.run(1)
    equal((bodies(server), server.next_wakeup()), ([], None))
    equal(raw(net, put(2, True, bytes(16))).code, INCOMPLETE)
    # And those on the way out.
    calls = Calls()
    client.request(Message(GET).add(URI_PATH, "v").add(BLOCK2, 3), "server", net.now, calls)
    net.run(0)
    equal(len(bodies(server)), 1)
    net.run(10000)
    equal(bodies(server), [])


def test_a_post_is_not_carried_out_twice():
    # Its response is gone: fetching the rest would repeat it.
    store = Store()
    net, _ = pair(store)
    msg = Message(POST, CON, 900, payload=b"x").add(URI_PATH, "v").add(BLOCK2, 1 << 4)
    equal(raw(net, msg).code, INCOMPLETE)
    equal(store.seen, [])


def test_representation_that_changes():
    # The second block comes from another state: the client sees it by the ETag.
    store = Store(v=body(300))
    net, client = pair(store, transfer_timeout_ms=100)
    data = b"n" * 290

    def lose(n, d, source):
        if n == 2:
            bodies(net.ends["server"]).clear()
            store.values["v"] = data
        return False

    net.lose = lose
    response, error = ask(net, client, GET)
    equal((error, text(response)), (None, data))


def test_representation_that_changes_all_the_time():
    net, client = pair(Store(v=body(600)))
    net.lose = lambda n, d, source: bodies(net.ends["server"]).clear()
    equal(ask(net, client, GET), (None, "incomplete"))
    check_empty(net)


def test_response_longer_than_we_keep():
    net, client = pair(Store(v=body(1001)), client={"max_body": 1000}, max_body=2000)
    equal(ask(net, client, GET), (None, "too large"))
    # Size2 said so in the first block.
    equal(len(net.sent), 2)
    net, client = pair(Store(v=body(1001)), max_body=1000)
    equal(ask(net, client, GET)[0].code, INTERNAL)
    equal(net.ends["server"].counters.errors, 0)


def test_error_in_the_middle():
    store = Store(v=body(600))
    net, client = pair(store)

    def lose(n, d, source):
        if n == 2:
            bodies(net.ends["server"]).clear()
            del store.values["v"]

    net.lose = lose
    equal(ask(net, client, GET)[0].code, NOT_FOUND)


def answers(*script):
    """A handler that is none: answers as the test says, so that a client meets odd servers."""
    net = Net()
    client = net.add("client", block_szx=0)
    calls = Calls()
    requests = []

    def serve(msg):
        client.request(msg, "odd", net.now, calls)
        for make in script:
            got = decode(net.sent[-1][3])
            requests.append(short(got))
            reply = make if isinstance(make, Message) else make(got)
            reply.type = ACK
            reply.mid = got.mid
            reply.token = got.token
            client.receive(encode(reply), "odd", net.now)
        return calls.one(), requests

    return serve


def test_continue_without_block1():
    # Californium puts the Block1 of its answer outside of what it seals.
    serve = answers(Message(CONTINUE), Message(CONTINUE), Message(CHANGED))
    (response, error), requests = serve(Message(PUT, payload=bytes(40)))
    equal((response.code, error), (CHANGED, None))
    equal(requests, ["0.03 1:0/1/16", "0.03 1:1/1/16", "0.03 1:2/0/16"])


def test_blocks_processed_one_by_one():
    # A server without atomic transfers answers each block for itself (RFC 7959 section 2.3).
    serve = answers(
        Message(CHANGED).add(BLOCK1, 0 << 4), Message(CHANGED).add(BLOCK1, 1 << 4), Message(CHANGED).add(BLOCK1, 2 << 4)
    )
    (response, error), requests = serve(Message(PUT, payload=bytes(40)))
    equal((response.code, len(requests)), (CHANGED, 3))


def test_upload_that_is_refused():
    serve = answers(Message(CONTINUE).add(BLOCK1, 8), Message(FORBIDDEN).add(BLOCK1, 1 << 4 | 8))
    (response, error), requests = serve(Message(PUT, payload=bytes(40)))
    equal((response.code, len(requests)), (FORBIDDEN, 2))


def test_upload_lost_at_the_server():
    # 4.08 once: from the start. Twice: that is the answer.
    go = Message(CONTINUE)
    serve = answers(go, Message(INCOMPLETE), go, go, Message(CHANGED))
    (response, error), requests = serve(Message(PUT, payload=bytes(40)))
    equal(response.code, CHANGED)
    equal(requests[2:], ["0.03 1:0/1/16", "0.03 1:1/1/16", "0.03 1:2/0/16"])
    serve = answers(go, Message(INCOMPLETE), go, Message(INCOMPLETE))
    equal(serve(Message(PUT, payload=bytes(40)))[0][0].code, INCOMPLETE)


def test_smaller_blocks_after_4_13():
    net = Net()
    client = net.add("client", block_szx=2)
    calls = Calls()
    client.request(Message(PUT, payload=bytes(100)), "odd", net.now, calls)
    first = decode(net.sent[0][3])
    reply = Message(TOO_LARGE, ACK, first.mid, first.token).add(BLOCK1, 1)
    client.receive(encode(reply), "odd", net.now)
    equal([short(decode(d[3])) for d in net.sent], ["0.03 1:0/1/64", "0.03 1:0/1/32"])
    equal(calls, [])


def test_odd_responses():
    def piece(num, more, data, **kw):
        msg = Message(CONTENT, payload=data).add(BLOCK2, block_value(num, more, kw.get("szx", 0)))
        return msg.add(ETAG, kw["etag"]) if "etag" in kw else msg

    full = bytes(16)
    for script, want in (
        ([piece(1, True, full)], "incomplete"),  # does not begin at 0
        ([piece(0, True, full[:15])], "incomplete"),
        ([piece(0, True, full, szx=7)], "incomplete"),
        ([piece(0, True, full), piece(2, True, full)], "incomplete"),  # gap
        ([piece(0, True, full), piece(0, True, full)], "incomplete"),
        ([piece(0, True, full), Message(CONTENT, payload=full)], "incomplete"),
        ([piece(0, True, full, etag=b"1"), piece(1, False, full, etag=b"2"), piece(0, False, b"new", etag=b"2")], b"new"),
        ([piece(0, True, full, etag=b"1"), piece(1, False, b"y", etag=b"1")], full + b"y"),
        ([piece(0, False, b"x")], b"x"),
        ([piece(0, True, full), Message(NOT_FOUND)], NOT_FOUND),
        ([piece(0, True, full).add(SIZE2, 1 << 20)], "too large"),
        ([piece(0, True, full).add(SIZE2, 1 << 40), ], "too large"),
    ):
        (response, error), _ = answers(*script)(Message(GET))
        if isinstance(want, str):
            equal((response, error), (None, want))
        elif isinstance(want, int):
            equal((response.code, error), (want, None))
        else:
            equal((text(response), error), (want, None))


def test_a_server_that_takes_no_other_size_in_the_middle():
    # As libcoap does: the size is asked for at the beginning instead, once.
    def piece(num, more, size, data):
        return Message(CONTENT, payload=data).add(BLOCK2, block_value(num, more, size))

    first = piece(0, True, 1, bytes(32))
    again = (piece(0, True, 0, bytes(16)), piece(1, False, 0, b"end"))
    (response, error), requests = answers(first, Message(BAD_REQUEST), *again)(Message(GET))
    equal((text(response), error), (bytes(16) + b"end", None))
    equal(requests, ["0.01", "0.01 2:2/0/16", "0.01 2:0/0/16", "0.01 2:1/0/16"])
    (response, error), requests = answers(first, Message(BAD_REQUEST), again[0], Message(BAD_REQUEST))(Message(GET))
    equal((response.code, error, len(requests)), (BAD_REQUEST, None, 4))


def test_request_tag_after_a_broken_upload():
    # Blocks of a body that was given up must not mix with those of the next (RFC 9175).
    net, client = pair(Store())
    tags = []
    for i in range(3):
        if i:
            net.lose = lambda n, d, source: decode(d).opt(BLOCK1, b"\x00")[0] >> 4 == 1
        calls = Calls()
        n = len(net.sent)
        client.request(Message(PUT, payload=body(300)).add(URI_PATH, "v"), "server", net.now, calls)
        net.run(300000)
        equal(calls.one()[1], "timeout" if i else None)
        got = decode(net.sent[n][3])
        tags.append(None if got.opt(REQUEST_TAG) is None else bytes(got.opt(REQUEST_TAG)))
    equal(tags, [None, None, b"\x00\x01"])
    net.lose = None
    equal(ask(net, client, PUT, payload=body(300))[0].code, CHANGED)
    equal(decode(net.sent[-2][3]).opt(REQUEST_TAG), b"\x00\x02")


class Stream:
    """A handler that takes long bodies block by block."""

    def __init__(self):
        self.pieces = []
        self.fail_at = None

    def __call__(self, request, peer, responder):
        self.pieces.append((responder.offset, len(request.payload), responder.more))
        if responder.offset == self.fail_at:
            raise Error(CONFLICT)
        return Message(CONTINUE if responder.more else CHANGED)


def test_body_taken_in_pieces():
    stream = Stream()
    net, client = pair(stream, max_body=256)
    net.ends["server"].wants = lambda request, peer: request.path() == ["fw"]
    response, error = ask(net, client, PUT, "fw", body(1100))
    equal((error, response.code), (None, CHANGED))
    equal(stream.pieces, [(i * 128, 128, True) for i in range(8)] + [(1024, 76, False)])
    check_empty(net)
    # Others are put together, and bounded.
    stream.pieces.clear()
    equal(ask(net, client, PUT, "other", body(200))[0].code, CHANGED)
    equal(stream.pieces, [(0, 200, False)])
    equal(ask(net, client, PUT, "other", body(257))[0].code, TOO_LARGE)
    # A short one comes in one piece.
    stream.pieces.clear()
    equal(ask(net, client, PUT, "fw", body(100))[0].code, CHANGED)
    equal(stream.pieces, [(0, 100, False)])


def test_body_refused_in_the_middle():
    stream = Stream()
    stream.fail_at = 256
    net, client = pair(stream)
    net.ends["server"].wants = lambda request, peer: True
    response, error = ask(net, client, PUT, "fw", body(1100))
    equal((short(response), len(stream.pieces)), ("4.09 1:2/0/128", 3))
    check_empty(net)


def test_body_made_in_pieces():
    data = body(1000)
    made = []

    def piece(offset, n):
        made.append((offset, n))
        return data[offset : offset + n]

    net, client = pair(lambda request, peer, responder: Message(CONTENT, payload=piece), max_body=256)
    response, error = ask(net, client, GET)
    equal((error, text(response)), (None, data))
    equal(made, [(i * 128, 129) for i in range(8)])
    check_empty(net)
    for n in (0, 1, 128, 129):
        data = body(n)
        equal(text(ask(net, client, GET)[0]), data)


def test_the_handlers_buffer_may_be_used_again():
    buf = bytearray(400)

    def handler(request, peer, responder):
        buf[:] = bytes([ord(request.path()[0])]) * 400
        return Message(CONTENT, payload=memoryview(buf)[:300])

    net, client = pair(handler)
    calls = Calls()
    client.request(Message(GET).add(URI_PATH, "a"), "server", net.now, calls)
    net.lose = lambda n, d, source: n == 1 and net.ends["server"].receive(
        encode(Message(GET, CON, 9).add(URI_PATH, "b")), "x", net.now
    )
    net.run(1000)
    equal(text(calls.one()[0]), b"a" * 300)


def test_separate_response_in_blocks():
    kept = []
    data = body(300)
    net, client = pair(lambda request, peer, responder: kept.append(responder))
    calls = Calls()
    client.request(Message(GET).add(URI_PATH, "v"), "server", net.now, calls)
    net.run(0)
    kept[0].respond(Message(CONTENT, payload=data), net.now)
    net.run(10000)
    equal(text(calls.one()[0]), data)
    equal(len(kept), 1)


def test_block_number_that_does_not_fit():
    raises(Error, block_of, Message(GET).add(BLOCK1, 1 << 24), BLOCK1)
    equal(block_of(Message(GET).add(BLOCK1, (1 << 24) - 2), BLOCK1), (1 << 24) - 2)
    equal(block_of(Message(GET), BLOCK1), None)


def test_key_leaves_out_what_differs_between_blocks():
    a = Message(PUT).add(URI_PATH, "a").add(ACCEPT, 60)
    b = Message(PUT).add(URI_PATH, "a").add(ACCEPT, 60).add(BLOCK1, 9).add(SIZE1, 5).add(ECHO, b"e").add(OBSERVE, 0)
    equal(key_of(a), key_of(b))
    assert key_of(a) != key_of(Message(GET).add(URI_PATH, "a").add(ACCEPT, 60))
    assert key_of(a) != key_of(Message(PUT).add(URI_PATH, "b").add(ACCEPT, 60))
    assert key_of(a) != key_of(Message(PUT).add(URI_PATH, "a"))


def test_random_servers_do_not_break_the_client():
    # Whatever a server answers, the transfer ends and stays in its bounds.
    rand = Rand(77)
    params = Params(block_szx=0, max_body=200)
    for _ in range(300):
        transfer = Client(Message(PUT, payload=bytes(rand(1)[0])), params)
        for _ in range(200):
            transfer.message()
            r = rand(6)
            reply = Message((CONTENT, CONTINUE, CHANGED, INCOMPLETE, TOO_LARGE, CONTENT)[r[0] % 6], payload=rand(16)[: r[5] % 18])
            if r[1] & 3:
                num = transfer.ask >> 4 if transfer.ask is not None and r[1] & 4 else r[2] & 3
                reply.add(BLOCK2, num << 4 | r[3] & 8)
            if r[4] & 1:
                reply.add(BLOCK1, r[2])
            try:
                if not transfer.feed(reply):
                    break
            except Incomplete:
                break
            assert transfer.body is None or len(transfer.body) <= 216
        else:
            raise AssertionError("does not end")
