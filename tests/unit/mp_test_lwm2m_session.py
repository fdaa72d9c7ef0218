# The way to a server, with a clock of ours and a socket that records.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import os
from check import equal
from coap.message import Message, decode, encode, ACK, UNAUTHORIZED
from coap.params import Params
from lwm2m import Model
from lwm2m.account import Account
from lwm2m.objects.security import Security
from lwm2m.objects.server import Server
from lwm2m.server import Dispatcher
import oscore


class Transport:
    def __init__(self):
        self.sent = []

    def sendto(self, data, peer):
        self.sent.append(bytes(data))


class Clocked:
    # What an Account asks of its client, with a clock that the test sets.
    endpoint = "ep"
    params = Params()

    def __init__(self):
        self.clock = 0
        self.said = []
        self.sockets = []
        self.bootstraps = 0
        self.model = Model()
        self.dispatcher = Dispatcher(self.model)

    def now(self):
        return self.clock

    def random(self, n):
        return os.urandom(n)

    def say(self, session, text):
        self.said.append(text)

    def on_error(self, exc):
        raise exc

    def connect(self, session):
        self.sockets.append(Transport())
        session.attach(self.sockets[-1], "peer")
        return True

    def disconnect(self, session):
        session.detach()

    def bootstrap_server(self):
        return True

    def bootstrap(self):
        self.bootstraps += 1


def make(**fields):
    client = Clocked()
    security = Security()
    security.uri = "coap://h"
    server = Server()
    server.ssid = 1
    for name in fields:
        setattr(server, name, fields[name])
    hook = oscore.Account(bytes(range(16)), b"c", b"s", random=os.urandom)
    return client, Account(client, security, server, hook)


def refuse(client, account, code=UNAUTHORIZED):
    # Answer the newest datagram plainly, as anybody can.
    request = decode(client.sockets[-1].sent[-1])
    reply = Message(code, ACK, request.mid, request.token)
    account.receive(encode(reply), "peer", client.clock)


def test_hints_double_up_to_a_minute_then_bootstrap():
    client, account = make()
    waits = []
    for _ in range(9):
        account.poll(client.clock)
        refuse(client, account)
        wake = account.poll(client.clock) or client.clock
        waits.append((account.machine.wake - client.clock) // 1000)
        if account.machine.wake > client.clock:
            equal(wake, account.machine.wake)
        client.clock = account.machine.wake
    # The first hint is acted upon at once: poll() has done so before it returned.
    equal(waits[1:], [1, 2, 4, 8, 16, 32, 60, 60])
    equal(client.bootstraps, 2)


def test_no_bootstrap_where_the_server_says_so():
    client, account = make(bootstrap_on_failure=False)
    for _ in range(9):
        account.poll(client.clock)
        refuse(client, account)
        account.poll(client.clock)
        client.clock = max(client.clock, account.machine.wake)
    equal(client.bootstraps, 0)


def test_each_run_of_b2_has_a_socket_and_an_r1_of_its_own():
    client, account = make()
    for _ in range(5):
        account.poll(client.clock)
        refuse(client, account)
        account.poll(client.clock)
        client.clock = max(client.clock, account.machine.wake)
    firsts = [s.sent[0] for s in client.sockets]
    assert len(firsts) >= 5
    options = {bytes(decode(d).opt(9)) for d in firsts}
    equal(len(options), len(firsts))


def test_a_plain_request_changes_nothing_and_gets_4_01():
    client, account = make()
    account.poll(0)
    before = account.status()
    account.receive(b"\x40\x01\x12\x34\xb1\x33", "peer", 0)
    equal(decode(client.sockets[-1].sent[-1]).code, UNAUTHORIZED)
    equal(account.status(), before)


def test_a_stranger_is_not_served():
    client, account = make()
    account.poll(0)
    n = len(client.sockets[-1].sent)
    account.receive(b"\x40\x01\x12\x34\xb1\x33", "somebody", 0)
    equal(decode(client.sockets[-1].sent[n]).code, UNAUTHORIZED)
