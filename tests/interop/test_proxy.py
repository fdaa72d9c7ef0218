# The proxy between client and server: what it records, and each of its faults.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import random
import socket

import pytest
from proxy import DOWN, LOSE, SWAP, TWICE, UP, Datagram, Faults, Proxy, Script


class Server:
    """Answers nothing by itself: a test receives and sends by hand."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(5)
        self.address = self.socket.getsockname()
        self.peer = None

    def take(self, count):
        got = []
        for _ in range(count):
            data, self.peer = self.socket.recvfrom(2048)
            got.append(data)
        return got

    def answer(self, *datagrams):
        for data in datagrams:
            self.socket.sendto(data, self.peer)

    def silent(self):
        self.socket.settimeout(0.05)
        with pytest.raises(TimeoutError):
            self.socket.recv(2048)
        self.socket.settimeout(5)


@pytest.fixture
def server():
    made = Server()
    yield made
    made.socket.close()


@pytest.fixture
def proxy(server):
    with Proxy(server.address) as made:
        yield made


@pytest.fixture
def client(proxy):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("127.0.0.1", proxy.port))
        s.settimeout(5)
        yield s


def test_passes_and_records_both_directions(server, proxy, client):
    client.send(b"one")
    assert server.take(1) == [b"one"]
    server.answer(b"two")
    assert client.recv(100) == b"two"
    seen = [(d.number, d.direction, d.client, d.n, d.data) for d in proxy.datagrams]
    assert seen == [(0, UP, 0, 0, b"one"), (1, DOWN, 0, 0, b"two")]
    assert 0 <= proxy.datagrams[0].at <= proxy.datagrams[1].at


def test_each_client_keeps_an_address_of_its_own(server, proxy, client):
    client.send(b"a")
    server.take(1)
    first = server.peer
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.settimeout(5)
        other.sendto(b"b", ("127.0.0.1", proxy.port))
        server.take(1)
        assert server.peer != first
        server.answer(b"to b")
        assert other.recv(100) == b"to b"
    client.send(b"c")
    server.take(1)
    assert server.peer == first
    assert [d.client for d in proxy.datagrams] == [0, 1, 1, 0]


def test_loses(server, proxy, client):
    proxy.plan = Script({(UP, 0): LOSE})
    client.send(b"lost")
    client.send(b"kept")
    assert server.take(1) == [b"kept"]
    assert [d.plan for d in proxy.datagrams] == [LOSE, (0,)]


def test_doubles(server, proxy, client):
    proxy.plan = Script({(DOWN, 0): TWICE})
    client.send(b"x")
    server.take(1)
    server.answer(b"again")
    assert [client.recv(100), client.recv(100)] == [b"again", b"again"]


def test_delays(server, proxy, client):
    proxy.plan = Script({(UP, 0): (0.2,)})
    client.send(b"late")
    client.send(b"soon")
    assert server.take(2) == [b"soon", b"late"]


def test_swaps_with_the_next(server, proxy, client):
    proxy.plan = Script({(UP, 0): SWAP, (UP, 1): SWAP})
    client.send(b"1")
    client.send(b"2")
    assert server.take(2) == [b"2", b"1"]


def test_a_swap_without_a_next_is_only_late(server, proxy, client):
    proxy.plan = Script({(UP, 0): SWAP})
    client.send(b"1")
    assert server.take(1) == [b"1"]
    client.send(b"2")
    assert server.take(1) == [b"2"]
    server.silent()  # the first did not come again


def test_a_cut_line_passes_nothing(server, proxy, client):
    proxy.cut = True
    client.send(b"1")
    proxy.wait_for(lambda d: d.data == b"1")
    server.silent()
    proxy.cut = False
    client.send(b"2")
    assert server.take(1) == [b"2"]


def test_injects_into_both_directions(server, proxy, client):
    client.send(b"1")
    server.take(1)
    proxy.inject(UP, b"forged up")
    assert server.take(1) == [b"forged up"]
    proxy.inject(DOWN, b"forged down")
    assert client.recv(100) == b"forged down"
    assert len(proxy.datagrams) == 1


def test_rebind_changes_the_port_that_the_server_sees(server, proxy, client):
    client.send(b"1")
    server.take(1)
    before = server.peer
    proxy.rebind()
    client.send(b"2")
    assert server.take(1) == [b"2"]
    assert server.peer != before
    server.answer(b"3")
    assert client.recv(100) == b"3"


def test_wait_for_looks_behind_a_number(server, proxy, client):
    client.send(b"x")
    server.take(1)
    mark = proxy.last
    with pytest.raises(TimeoutError):
        proxy.wait_for(lambda d: d.data == b"x", timeout=0, after=mark)
    client.send(b"x")
    assert proxy.wait_for(lambda d: d.data == b"x", after=mark).number == 1


def test_faults_are_the_same_for_the_same_seed():
    seed = random.randrange(1 << 32)
    print("seed", seed)

    def plans(seed):
        faults = Faults(seed, lose=0.2, twice=0.2, delay=0.2, swap=0.2)
        return [faults(Datagram(0, way, 0, n, 0.0, b"", None)) for way in (UP, DOWN) for n in range(500)]

    drawn = plans(seed)
    assert drawn == plans(seed)
    assert drawn != plans(seed + 1)
    assert drawn[:500] != drawn[500:]  # the directions do not share their luck
    for plan in (LOSE, TWICE, SWAP, (0,)):
        assert 130 <= drawn.count(plan) <= 280, plan
    assert all(0 <= p[0] <= 0.3 for p in drawn if len(p) == 1)


def test_datagram_reads_outer_coap():
    # RFC 8613 C.4: an OSCORE request
    data = bytes.fromhex("44025d1f00003974396c6f63616c686f7374620914ff612f1092f1776f1c1668b3825e")
    d = Datagram(0, UP, 0, 0, 0.0, data, (0,))
    assert (d.type, d.code, d.mid, d.sealed) == ("CON", "0.02", 0x5D1F, True)
    assert d.options == [(3, b"localhost"), (9, bytes.fromhex("0914"))]
    plain = d._replace(data=bytes.fromhex("44015d1f00003974396c6f63616c686f737483747631"))
    assert (plain.code, plain.sealed) == ("0.01", False)
    assert plain.options == [(3, b"localhost"), (11, b"tv1")]
    long = d._replace(data=bytes.fromhex("40450001") + b"\xe5\x01\x02abcde")  # 0x102 + 269
    assert long.options == [(527, b"abcde")]
    for junk in (b"", b"\x40", b"\x00" * 8, b"\x40\x01\x00\x00\xd0"):
        assert d._replace(data=junk).options == []
        repr(d._replace(data=junk))
