# Endpoints sealed with lib/oscore: options by class, methods, No-Response, through a proxy.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 sections 4.1.3.3 (Proxy-Uri), 4.2; RFC 8132; RFC 7967
# heapsize: 512K

import builtins
import sys

from check import equal
from coap.message import *
from coap_net import Calls, Net, text
from oscorepair import pair, recorder


class Handler:
    """Answers with what it is told, and keeps what it was asked."""

    def __init__(self):
        self.requests = []
        self.answer = Message(CONTENT, payload=b"answer")

    def __call__(self, request, peer, responder):
        options = [(n, bytes(v)) for n, v in request.options]
        self.requests.append((request.code, options, bytes(request.payload)))
        out = Message(self.answer.code, payload=self.answer.payload)
        out.options = self.answer.options[:]
        return out


class Proxy:
    """A forward proxy between `client` and `server` that knows no keys. It keeps the options
    that it was shown and passes on what is not addressed to itself."""

    def __init__(self, net):
        self.net = net
        self.seen = []
        self.end = net.add("proxy", self.handle)
        self.end.critical += (PROXY_URI, PROXY_SCHEME)

    def handle(self, request, peer, responder):
        self.seen.append([(n, bytes(v)) for n, v in request.options])
        out = Message(request.code, payload=bytes(request.payload))
        out.options = [(n, bytes(v)) for n, v in request.options if n not in (PROXY_URI, PROXY_SCHEME)]
        uri = request.opt(PROXY_URI)
        if uri is not None:
            host = bytes(uri).split(b"://")[1]
            out.set(URI_HOST, host.split(b":")[0])

        def back(exchange, response, error):
            responder.respond(response, self.net.now)

        self.end.request(out, "server", self.net.now, back)
        return None


def sealed(proxy=False):
    recorder.forget()
    net = Net()
    a, b = pair()
    handler = Handler()
    client = net.add("client", None, a)
    net.add("server", handler, b)
    return net, client, handler, Proxy(net) if proxy else None


def ask(net, client, msg, to="server", ms=200000, **kw):
    calls = Calls()
    client.request(msg, to, net.now, calls, **kw)
    net.run(ms)
    return calls.one()


def outside(data):
    """Numbers of the options of a datagram, without the OSCORE option that must be there."""
    numbers = [n for n, _ in decode(data).options]
    numbers.remove(OSCORE)
    return numbers


def test_fetch_and_ipatch():
    for code in (FETCH, IPATCH, PATCH):
        net, client, handler, _ = sealed()
        msg = Message(code, payload=b"what").add(URI_PATH, "a").add(CONTENT_FORMAT, 112)
        response, error = ask(net, client, msg)
        equal((error, text(response)), (None, b"answer"))
        equal(handler.requests, [(code, [(URI_PATH, b"a"), (CONTENT_FORMAT, b"\x70")], b"what")])
        # Outside all methods look alike (section 4.2).
        equal([decode(d[3]).code for d in net.sent], [POST, CHANGED])
        assert b"what" not in net.sent[0][3]


def test_a_request_that_waits_is_not_the_next_one():
    # What was around an answered request is used again, around one whose answer waits it is not.
    net, client, handler, _ = sealed()
    waiting = []

    def handle(request, peer, responder):
        if request.code == FETCH:
            waiting.append(responder)
            return None
        return handler(request, peer, responder)

    net.ends["server"].handler = handle
    equal(text(ask(net, client, Message(GET).add(URI_PATH, "a"))[0]), b"answer")
    calls = Calls()
    client.request(Message(FETCH, payload=b"what"), "server", net.now, calls)
    net.run(0)
    outer = waiting[0].outer
    before = (outer.mid, outer.token, bytes(outer.payload))
    equal(text(ask(net, client, Message(GET).add(URI_PATH, "a"), ms=0)[0]), b"answer")
    equal((outer.mid, outer.token, bytes(outer.payload)), before)
    waiting[0].respond(Message(CONTENT, payload=b"late"), net.now)
    net.run(0)
    equal(text(calls.one()[0]), b"late")


def test_fetch_that_observes():
    net, client, handler, _ = sealed()
    observed = []

    def handle(request, peer, responder):
        observed.append(responder.observe())
        return handler(request, peer, responder)

    net.ends["server"].handler = handle
    calls = Calls()
    client.request(Message(FETCH, payload=b"what"), "server", net.now, calls, observe=True)
    net.run(0)
    net.ends["server"].notify(observed[0], Message(CONTENT, payload=b"more"), net.now)
    net.run(0)
    equal([text(r) for r, _ in calls], [b"answer", b"more"])
    equal((handler.requests[0][0], handler.requests[0][2]), (FETCH, b"what"))
    equal([decode(d[3]).code for d in net.sent], [FETCH, CONTENT, CONTENT])


def test_long_fetch_and_long_ipatch():
    body = bytes([i * 7 & 0xFF for i in range(2000)])
    back = bytes(reversed(body))
    for code in (FETCH, IPATCH):
        net, client, handler, _ = sealed()
        handler.answer = Message(CHANGED, payload=back)
        response, error = ask(net, client, Message(code, payload=body).add(URI_PATH, "a"))
        equal((error, text(response)), (None, back))
        equal([(r[0], r[2]) for r in handler.requests], [(code, body)])


def test_no_response():
    # It stands inside, so that nobody on the way can suppress an answer, or make it.
    for value, code, answered in (
        (0, CONTENT, True), (2, CONTENT, False), (2, NOT_FOUND, True),
        (8, NOT_FOUND, False), (16, INTERNAL, False), (26, CONTENT, False),
    ):  # fmt: skip
        for kind in (True, False):
            net, client, handler, _ = sealed()
            handler.answer = Message(code)
            msg = Message(POST).add(URI_PATH, "a").add(NO_RESPONSE, value)
            client.request(msg, "server", net.now, None, kind)
            net.run(0)
            equal(outside(net.sent[0][3]), [])
            equal(len(handler.requests), 1)
            got = [decode(d[3]) for d in net.sent if d[1] == "server"]
            if answered:
                equal([m.code for m in got], [CHANGED])
            elif kind:
                equal([(m.type, m.code) for m in got], [(ACK, EMPTY)])
            else:
                equal(got, [])


def test_no_response_outside_is_not_ours():
    net, client, handler, _ = sealed()
    calls = Calls()
    client.request(Message(POST), "server", net.now, calls)
    source, to, data = net.moving.pop()
    msg = decode(data)
    msg.add(NO_RESPONSE, 26)
    net.moving.append((source, to, encode(msg)))
    net.run(0)
    equal(text(calls.one()[0]), b"answer")


def test_proxy_uri_through_a_proxy():
    net, client, handler, proxy = sealed(True)
    msg = Message(GET).add(PROXY_URI, "coap://server.example:5685/a%20b/c?x=1&y").add(ACCEPT, 112)
    response, error = ask(net, client, msg, "proxy")
    equal((error, text(response)), (None, b"answer"))
    # What the proxy needs it sees, and no more.
    equal([o for o in proxy.seen[0] if o[0] != OSCORE], [(PROXY_URI, b"coap://server.example:5685")])
    for datagram in net.sent:
        assert b"a b" not in datagram[3] and b"x=1" not in datagram[3]
    # The whole URI is there again at its end.
    code, options, _ = handler.requests[0]
    equal(code, GET)
    equal(options, [
        (URI_HOST, b"server.example"), (URI_PATH, b"a b"), (URI_PATH, b"c"),
        (URI_QUERY, b"x=1"), (URI_QUERY, b"y"), (ACCEPT, b"\x70"),
    ])  # fmt: skip


def test_proxy_scheme_host_and_port_through_a_proxy():
    net, client, handler, proxy = sealed(True)
    msg = Message(GET).add(PROXY_SCHEME, "coap").add(URI_HOST, "h").add(URI_PORT, 5685)
    response, error = ask(net, client, msg.add(URI_PATH, "a"), "proxy")
    equal(error, None)
    equal([n for n, _ in proxy.seen[0]], [URI_HOST, URI_PORT, OSCORE, PROXY_SCHEME])
    equal(handler.requests[0][1], [(URI_HOST, b"h"), (URI_PORT, b"\x16\x35"), (URI_PATH, b"a")])


def test_proxy_uri_that_arrives_is_refused():
    # We are no proxy; the refusal is sealed, since the request was authentic.
    net, client, handler, _ = sealed()
    response, error = ask(net, client, Message(GET).add(PROXY_URI, "coap://h/a"))
    equal((error, response.code, handler.requests), (None, NO_PROXYING, []))
    assert decode(net.sent[-1][3]).opt(OSCORE) is not None


def test_bad_proxy_uri_is_not_sent():
    net, client, handler, _ = sealed()
    client.on_error = None
    response, error = ask(net, client, Message(GET).add(PROXY_URI, "coap://h/#f"))
    equal((error, net.sent), ("refused", []))


def test_host_and_port_outside():
    net, client, handler, _ = sealed()
    msg = Message(GET).add(URI_HOST, "h").add(URI_PORT, 5683).add(URI_PATH, "a")
    equal(ask(net, client, msg)[1], None)
    equal(outside(net.sent[0][3]), [URI_HOST, URI_PORT])
    equal(handler.requests[0][1], [(URI_HOST, b"h"), (URI_PORT, b"\x16\x33"), (URI_PATH, b"a")])
    equal(outside(net.sent[1][3]), [])


# ---- what servers do that is all normal


def test_trap_16_the_newest_echo_counts():
    # A server that does not know a repeated request again asks anew, and has forgotten what it
    # asked for before.
    net, client, handler, _ = sealed()
    wanted = [b"none yet"]

    def ask_for_echo(request, peer, responder):
        echo = bytes(request.opt(ECHO, b""))
        if echo == wanted[-1] and len(wanted) > 3:
            return Message(CHANGED)
        wanted.append(b"echo-%d" % len(wanted))
        return Message(UNAUTHORIZED).add(ECHO, wanted[-1])

    net.ends["server"].handler = ask_for_echo
    response, error = ask(net, client, Message(POST).add(URI_PATH, "rd"))
    equal((response.code, error, len(wanted)), (CHANGED, None, 4))


def test_trap_18_none_of_it_is_a_bad_option():
    net, client, handler, _ = sealed()
    server = net.ends["server"]
    handler.answer = Message(CREATED).add(LOCATION_PATH, "rd").add(LOCATION_QUERY, "a=1")
    a = client.hook
    for n, token in enumerate((b"", b"t", b"")):
        inner = Message(POST).add(URI_PATH, "rd").add(REQUEST_TAG, b"tag"[: 2 * n])
        outer, binding = a.seal_request(inner)
        outer.add(URI_HOST, "server").add(URI_PORT, 5683)
        outer.type, outer.mid, outer.token = CON, 77 + n, token
        server.receive(encode(outer), "client", net.now)
        answer = decode(net.sent[-1][3])
        equal((answer.code, bytes(answer.token)), (CHANGED, token))
        answer = a.open_response(answer, binding)
        equal((answer.code, bytes(answer.opt(LOCATION_QUERY))), (CREATED, b"a=1"))
    equal(len(handler.requests), 3)
    net.moving.clear()
    # The same as it comes back to an endpoint.
    response, error = ask(net, client, Message(POST).add(URI_PATH, "rd"))
    equal((response.code, error), (CREATED, None))
    equal((server.counters.refused, server.counters.dropped, client.counters.dropped), (0, 0, 0))


class unloadable:
    """with unloadable(names): there is no memory to load these modules, nor are they there."""

    def __init__(self, *names):
        self.names = names

    def __enter__(self):
        self.load = builtins.__import__
        builtins.__import__ = self
        for name in self.names:
            sys.modules.pop(name, None)

    def __exit__(self, *_):
        builtins.__import__ = self.load

    def __call__(self, name, *args):
        if name in self.names or args and "oscore." + name in self.names:
            raise MemoryError
        return self.load(name, *args)


def test_what_is_refused_needs_no_memory_to_be_dropped():
    # What refuses a message is loaded when the first one comes: from outside, at any time.
    net, client, handler, _ = sealed()
    equal(ask(net, client, Message(GET))[1], None)
    server = net.ends["server"]
    server.on_error = None
    good = net.sent[0][3]
    forged = bytearray(good)
    forged[3] ^= 1  # another message ID
    forged[-1] ^= 1
    forged = bytes(forged)
    observing = Message(GET).add(OBSERVE, 0)
    for names in (("oscore.refuse", "coap.seldom"), ("coap.seldom",), ("oscore.refuse",), ("coap.errors",)):
        errors, refused, said = server.counters.errors, server.counters.refused, len(net.sent)
        with unloadable(*names):
            server.receive(forged, "client", net.now)
            server.receive(b"\x40\x01\x77\x77", "client", net.now)  # plain
        equal((server.counters.errors - errors, len(net.sent) - said), (2, 0))
        assert server.counters.refused == refused
    with unloadable("coap.seldom"):
        # A request that is authentic and asks for more goes unanswered too.
        equal(ask(net, client, observing), (None, "timeout"))
        assert not server.observations
    equal(text(ask(net, client, Message(GET))[0]), b"answer")
    refused = server.counters.refused
    server.receive(forged, "client", net.now)
    equal(server.counters.refused, refused + 1)
    equal(decode(net.sent[-1][3]).code, UNAUTHORIZED)
    equal(ask(net, client, Message(GET))[1], None)
