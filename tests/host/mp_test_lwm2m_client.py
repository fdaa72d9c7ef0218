# The client's driver on the host's sockets: what it does where nobody answers.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import asyncio
import os
import sys

from check import Skip, equal, raises
from coap.message import ACK, CREATED, LOCATION_PATH, Message, decode, encode
from coap.params import Params
from coap.transport import resolve, UDP
from lwm2m import Client

PORT = 20000 + int.from_bytes(os.urandom(2), "big") % 12000


def make(said, uri="coap://127.0.0.1:%d" % PORT, security=None, retransmit=1, **kw):
    params = Params(ack_timeout_ms=20, max_retransmit=retransmit)
    client = Client("ep", log=said.append, params=params, **kw)
    account = {0: uri, 1: False, 2: 3, 10: 1}
    account.update(security or {})
    client.load({0: {0: account}, 1: {0: {0: 1, 1: 60, 18: 1}}})
    return client


def run(client, until, limit_s=20):
    async def all():
        task = asyncio.create_task(client.run())
        while not until():
            await asyncio.sleep_ms(5)
        task.cancel()

    asyncio.run(asyncio.wait_for(all(), limit_s))


def test_a_server_that_does_not_answer_is_tried_again():
    said = []
    server = UDP(resolve("127.0.0.1", PORT))
    run(make(said), lambda: len(said) == 2)
    server.close()
    equal(said[0], "server 1: register failed: timeout, next try in 1 s")
    equal(said[1], "server 1: register failed: timeout, next try in 2 s")


PSK = {2: 0, 3: b"sensor-1", 5: bytes(range(16))}
COAPS = "coaps://127.0.0.1:%d" % PORT


def refused(*args, **kw):
    text = str(raises(ValueError, make, [], *args, **kw))
    assert text.startswith("/0/0: ") and "\n" not in text, text
    return text


def need_dtls():
    from coap.dtls import context

    try:
        context(b"x", bytes(16))
    except ValueError as e:
        raise Skip("the port's tls: " + str(e))


def test_dtls_that_cannot_be_is_refused_and_nothing_is_sent_plain():
    # The scheme and the mode say the same.
    assert "coaps://" in refused(COAPS)
    assert "coaps://" in refused(security=PSK)
    assert "identity" in refused(COAPS, PSK | {3: b""})
    assert "key" in refused(COAPS, PSK | {5: b""})
    # A port without DTLS.
    kept = sys.modules.get("tls")
    sys.modules["tls"] = type("tls", (), {})()
    try:
        equal(refused(COAPS, PSK), "/0/0: this firmware has no DTLS")
    finally:
        sys.modules.pop("tls")
        if kept:
            sys.modules["tls"] = kept
    # Another transport is another's business.
    made = make([], COAPS, transport=lambda security, host, port: None)
    equal(len(made.accounts), 1)


def test_handshake_that_nobody_answers():
    need_dtls()
    from coap.dtls import DTLS

    DTLS.handshake_ms = 400
    said = []
    server = UDP(resolve("127.0.0.1", PORT))
    client = make(said, COAPS, PSK, retransmit=6)
    equal(client.status(), "server 1 at %s: waiting 0 s, in DTLS, 0 observed" % COAPS)
    run(client, lambda: len(said) == 2)
    equal(said[0], "server 1: register failed: dtls: no handshake in 0 s, next try in 1 s")
    equal(said[1], "server 1: register failed: dtls: no handshake in 0 s, next try in 2 s")
    # Handshake records (22) in DTLS's own versions, and nothing else.
    heard = 0
    while True:
        got = server.recvfrom(2000)
        if got is None:
            break
        heard += 1
        equal(got[0][:2], b"\x16\xfe")
    assert heard >= 2
    server.close()


class Ending:
    """A transport whose session ends when it is told to."""

    def __init__(self, peer):
        self.udp = UDP()
        self.sock = self.udp.sock
        self.peer = peer
        self.end = self.closed = False
        self.sent = 0

    def sendto(self, data, peer):
        self.sent += 1
        self.udp.sendto(data, peer)

    def recvfrom(self, n):
        return self.udp.recvfrom(n)

    def poll(self, now):
        if self.end:
            raise OSError("dtls: closed by the server")

    def close(self):
        self.closed = True
        self.udp.close()


def ending(said, **kw):
    made = []
    peer = resolve("127.0.0.1", PORT)

    def transport(security, host, port):
        made.append(Ending(peer))
        return made[-1], peer

    return make(said, transport=transport, **kw), made


def test_each_unanswered_request_ends_a_session():
    said = []
    server = UDP(resolve("127.0.0.1", PORT))
    client, made = ending(said)
    run(client, lambda: len(said) == 2)
    server.close()
    assert len(made) >= 2 and made[0].closed and made[0] is not made[1]
    equal(said[0], "server 1: register failed: timeout, next try in 1 s")


async def answer(server, code, *location):
    """The server's answer to the next request; what it was."""
    while True:
        got = server.recvfrom(1152)
        if got:
            break
        await asyncio.sleep_ms(1)
    request = decode(got[0])
    msg = Message(code, ACK, request.mid, bytes(request.token))
    for segment in location:
        msg.add(LOCATION_PATH, segment)
    server.sendto(encode(msg), got[1])
    return request


def test_a_session_that_ends():
    said = []
    server = UDP(resolve("127.0.0.1", PORT))
    client, made = ending(said)
    waited = []

    async def all():
        task = asyncio.create_task(client.run())
        # While a request waits: it fails, and is repeated when it is due.
        while not (made and made[0].sent):
            await asyncio.sleep_ms(1)
        made[0].end = True
        while server.recvfrom(1152):
            pass
        client.kick()
        await answer(server, CREATED, "rd", "1")
        while len(said) < 2:
            await asyncio.sleep_ms(1)
        # While nothing waits: the server has to be told of the new way.
        made[1].end = True
        client.kick()
        waited.append(await answer(server, CREATED, "rd", "2"))
        while len(said) < 4:
            await asyncio.sleep_ms(1)
        task.cancel()

    asyncio.run(asyncio.wait_for(all(), 20))
    server.close()
    equal(waited[0].path(), ["rd"])
    assert made[0].closed and made[1].closed
    equal(
        [line.partition(": ")[2] for line in said],
        [
            "register failed: dtls: closed by the server, next try in 1 s",
            "registered location=/rd/1 lifetime=60 lwm2m=1.2",
            "dtls: closed by the server",
            "registered location=/rd/2 lifetime=60 lwm2m=1.2",
        ],
    )
