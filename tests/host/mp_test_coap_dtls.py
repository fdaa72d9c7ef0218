# The DTLS transport against the port's own DTLS server; tests/interop has another's.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# Here and not in tests/unit, since no emulated board has `tls`.

import asyncio
import errno
import gc
import io
import os
import socket
import sys
import time

from check import Skip, equal, raises
from coap import dtls
from coap.aio import Driver
from coap.dtls import DTLS, context
from coap.endpoint import Endpoint
from coap.message import ACK, CHANGED, POST, Message, decode, encode
from coap.transport import resolve

IDENTITY = b"sensor-1"
KEY = bytes(range(16))
PORT = 20000 + int.from_bytes(os.urandom(2), "big") % 12000

try:
    import tls

    context(IDENTITY, KEY)
except (ImportError, ValueError) as e:
    raise Skip("the port's tls: " + str(e))


class Wire(io.IOBase):
    def __init__(self, server):
        self.server = server

    def readinto(self, buf):
        if not self.server.inbox:
            return None
        data = self.server.inbox.pop(0)
        buf[: len(data)] = data
        return len(data)

    def write(self, buf):
        self.server.put(bytes(buf))
        return len(buf)

    def ioctl(self, request, argument):
        return 0


class Server:
    """One session. heard and said: the datagrams of the wire; lose: how many of the next
    ones from the client are lost."""

    def __init__(self, keys=None, suites=None):
        self.context = tls.SSLContext(tls.PROTOCOL_DTLS_SERVER)
        if suites:
            self.context.set_ciphers(suites)
        self.context.server_psk_keys = {IDENTITY: KEY} if keys is None else keys
        self.bind()
        self.peer = self.tls = None
        self.inbox = []
        self.heard = []
        self.said = []
        self.lose = 0

    def bind(self):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.setblocking(False)
        self.sock.bind(resolve("127.0.0.1", PORT))

    def put(self, data):
        self.said.append(data)
        self.sock.sendto(data, self.peer)

    def take(self):
        """What came, opened; None when nothing did."""
        while True:
            try:
                data, self.peer = self.sock.recvfrom(2000)
            except OSError as e:
                if e.errno != errno.EAGAIN:
                    raise
                break
            self.heard.append(data)
            if self.lose:
                self.lose -= 1
            else:
                self.inbox.append(data)
        if self.peer is None:
            return None
        if self.tls is None:
            self.wrap()
        try:
            return self.tls.recv(2000)
        except OSError as e:
            if self.tls is not None and "HELLO_VERIFY" in str(e):
                self.wrap()
                return None
            raise

    def wrap(self):
        self.tls = self.context.wrap_socket(
            Wire(self), server_side=True, do_handshake_on_connect=False, client_id=self.peer
        )


class Refusing:
    """A server whose handshake fails, which is not what the test is about."""

    def __init__(self, server):
        self.server = server

    def take(self):
        try:
            return self.server.take()
        except OSError:
            return None


def client(identity=IDENTITY, key=KEY):
    return DTLS(resolve("127.0.0.1", PORT), identity, key)


def turns(c, server, up, down=0, limit_ms=10000):
    """Serve both ends until so many datagrams arrived at each; those at the server, those at
    the client."""
    start = time.ticks_ms()
    arrived, answers = [], []
    wake = 0
    while len(arrived) < up or len(answers) < down:
        now = time.ticks_diff(time.ticks_ms(), start)
        assert now < limit_ms, "it does not come to that"
        if wake is not None and now >= wake:
            wake = c.poll(now)
        data = server.take()
        if data is not None:
            arrived.append(data)
        got = c.recvfrom(1152)
        if got is not None:
            equal(got[1], c.peer)
            answers.append(got[0])
        if data is None and got is None:
            time.sleep_ms(1)
    return arrived, answers


def established(server, c):
    c.sendto(b"first", c.peer)
    equal(turns(c, server, 1), ([b"first"], []))
    equal(c.ready, True)
    return c


def test_what_is_sent_before_the_handshake_waits():
    server = Server()
    c = client()
    equal(c.poll(0), None)  # nothing to do until something is sent
    equal(server.heard, [])
    c.sendto(b"one", c.peer)
    equal(c.poll(0), 250)
    c.sendto(b"one", c.peer)  # its retransmission
    c.sendto(b"two", c.peer)
    equal(c.unsent, 0)
    c.sendto(b"three", c.peer)
    equal(c.unsent, 1)
    equal(turns(c, server, 2), ([b"one", b"two"], []))
    equal(c.poll(1000000), None)
    # The handshake, then application data of DTLS 1.2.
    equal({data[0] for data in server.heard[:-2]}, {22})
    for data in server.heard[-2:]:
        equal(data[:3], b"\x17\xfe\xfd")
        assert b"one" not in data and b"two" not in data
    c.close()


def test_both_ways():
    server = Server()
    c = established(server, client())
    for n in (1, 100, 1152):
        data = os.urandom(n)
        c.sendto(memoryview(data), c.peer)
        equal(turns(c, server, 1), ([data], []))
        server.tls.send(data)
        equal(turns(c, server, 0, 1), ([], [data]))
    equal(c.recvfrom(1152), None)
    equal((c.unsent, c.unread), (0, 0))
    c.close()


def test_suite_of_the_server():
    for suite in ("TLS-PSK-WITH-AES-128-GCM-SHA256", "TLS-PSK-WITH-AES-128-CBC-SHA256"):
        server = Server(suites=[suite])
        c = established(server, client())
        equal(c._tls.cipher(), (suite, "DTLSv1.2"))
        c.close()
        server.sock.close()


def test_lost_datagrams_of_the_handshake_are_repeated():
    server = Server()
    server.lose = 1
    began = time.ticks_ms()
    c = established(server, client())
    # mbed TLS's first timer, and at most one look of ours later.
    assert 1000 <= time.ticks_diff(time.ticks_ms(), began) < 3000
    # The same message in a record of the next number.
    equal(server.heard[0][13:], server.heard[1][13:])
    equal((server.heard[0][10], server.heard[1][10]), (0, 1))
    c.close()


def test_no_answer():
    c = client()
    c.handshake_ms = 3000
    c.sendto(b"one", c.peer)
    equal(c.poll(1000), 1250)
    equal(c.poll(3999), 4249)
    equal(str(raises(OSError, c.poll, 4000)), "dtls: no handshake in 3 s")
    assert c.unread >= 1  # ECONNREFUSED is no reason
    # It stays so, and nothing else raises.
    c.sendto(b"two", c.peer)
    equal(c.recvfrom(100), None)
    raises(OSError, c.poll, 4001)
    c.close()
    c.close()


def test_unknown_identity_is_an_alert():
    server = Server(keys={b"other": KEY})
    c = client()
    c.sendto(b"one", c.peer)

    # mbed TLS says so; Scandium is silent, as for a wrong key.
    equal(str(raises(OSError, turns, c, Refusing(server), 1)), "dtls: alert from the server")
    c.close()


def test_no_datagram_ends_a_session():
    server = Server()
    c = established(server, client())
    for data in (b"", b"\x17", b"\x17\xfe\xfd" + bytes(60), b"\x15\xfe\xfd" + bytes(8) + b"\0\2\2\x28", os.urandom(1300)):
        server.sock.sendto(data, server.peer)
        for _ in range(5):
            equal(c.recvfrom(1152), None)
            time.sleep_ms(1)
        equal(c.poll(0), None)
    equal(c.unread, 1)
    # Recorded ones neither.
    server.tls.send(b"fresh")
    server.sock.sendto(server.said[-1], server.peer)
    time.sleep_ms(5)
    equal([c.recvfrom(1152), c.recvfrom(1152)], [(b"fresh", c.peer), None])
    # A server that is away for a while: what is sent is lost, not more.
    server.sock.close()
    for _ in range(3):
        c.sendto(b"lost", c.peer)
        time.sleep_ms(2)
        equal(c.recvfrom(100), None)
    assert c.unsent + c.unread > 1
    server.bind()
    c.sendto(b"again", c.peer)
    equal(turns(c, server, 1), ([b"again"], []))
    c.close()


def test_datagrams_of_others_are_not_seen():
    server = Server()
    c = established(server, client())
    other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    other.sendto(b"", server.peer)
    other.sendto(server.said[-1], server.peer)
    time.sleep_ms(5)
    equal(c.recvfrom(100), None)
    equal(c.unread, 0)
    other.close()
    c.close()


def test_heap_stays():
    server = Server()
    c = established(server, client())
    free = None
    for n in range(600):
        c.sendto(b"x" * 100, c.peer)
        turns(c, server, 1)
        server.tls.send(b"y" * 100)
        turns(c, server, 0, 1)
        server.heard.clear()
        server.said.clear()
        if n == 100:
            gc.collect()
            free = gc.mem_free()
    gc.collect()
    assert gc.mem_free() >= free, (free, gc.mem_free())
    c.close()


class Pretend:
    """Stands in for the module tls."""

    PROTOCOL_DTLS_CLIENT = 2
    CERT_NONE = 0

    def __init__(self, **attributes):
        self.made = type("SSLContext", (), attributes)

    def SSLContext(self, protocol):
        return self.made()


def test_what_a_port_may_lack():
    real = sys.modules.get("tls")
    try:
        sys.modules["tls"] = type("tls", (), {})()
        equal(str(raises(ValueError, context, IDENTITY, KEY)), "this firmware has no DTLS")
        sys.modules["tls"] = Pretend()
        equal(str(raises(ValueError, context, IDENTITY, KEY)), "this firmware's DTLS has no pre-shared keys")
        sys.modules["tls"] = Pretend(psk_key=None, get_ciphers=lambda self: ["TLS-RSA-WITH-AES-128-GCM-SHA256"])
        assert "no cipher suite" in str(raises(ValueError, context, IDENTITY, KEY))
        raises(ValueError, DTLS, resolve("127.0.0.1", PORT), IDENTITY, KEY)
    finally:
        sys.modules.pop("tls")
        if real:
            sys.modules["tls"] = real


def test_identity_and_key():
    context(b"i" * 128, bytes(32))
    for identity, key in ((b"", KEY), (b"i" * 129, KEY), (IDENTITY, b""), (IDENTITY, b"secretsecret" * 99)):
        text = str(raises(ValueError, context, identity, key))
        assert "secret" not in text and "iii" not in text, text


def test_only_suites_with_a_pre_shared_key_are_offered():
    assert all(name.startswith("TLS-PSK-WITH-") for name in dtls.SUITES)
    server = Server()
    c = client()
    c.sendto(b"x", c.peer)
    time.sleep_ms(5)
    server.take()
    hello = server.heard[0]
    # ClientHello: record 13, handshake 12, version 2, random 32, session ID, cookie, suites.
    at = 13 + 12 + 2 + 32
    at += 1 + hello[at]
    at += 1 + hello[at]
    n = hello[at] << 8 | hello[at + 1]
    suites = {hello[i] << 8 | hello[i + 1] for i in range(at + 2, at + 2 + n, 2)}
    # TLS_PSK_WITH_AES_128_GCM_SHA256, ..._CBC_SHA256, and the one that says no renegotiation.
    assert {0x00A8, 0x00AE} <= suites <= {0x00A8, 0x00AE, 0xC0A8, 0xC0A4, 0x00FF}, suites
    c.close()


def test_driver():
    server = Server()

    async def serve():
        while True:
            data = server.take()
            if data:
                msg = decode(data)
                answer = Message(CHANGED, ACK, msg.mid, bytes(msg.token), bytes(msg.payload))
                server.tls.send(encode(answer))
            await asyncio.sleep_ms(1)

    async def main():
        driver = Driver(client(), lambda send: Endpoint(send, os.urandom))
        tasks = [asyncio.create_task(serve()), asyncio.create_task(driver.run())]
        for n in (0, 100, 400):
            response = await driver.request(Message(POST, payload=bytes(n)), driver.transport.peer)
            equal((response.code, bytes(response.payload)), (CHANGED, bytes(n)))
        tasks[1].cancel()
        driver.transport.close()
        # Without a server run() says so.
        tasks[0].cancel()
        server.sock.close()
        driver = Driver(client(), lambda send: Endpoint(send, os.urandom))
        driver.transport.handshake_ms = 300
        request = asyncio.create_task(driver.request(Message(POST), driver.transport.peer))
        try:
            await driver.run()
        except OSError as e:
            equal(str(e), "dtls: no handshake in 0 s")
        else:
            raise AssertionError
        request.cancel()

    asyncio.run(asyncio.wait_for(main(), 20))
