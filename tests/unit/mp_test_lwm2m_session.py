# The way to a server, with a clock of ours and a socket that records.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# heapsize: 512K

import os
from check import equal, raises
from coap.endpoint import Endpoint
from coap.message import Message, decode, encode, ACK, CON, CONTENT, CREATED, GET, NOT_FOUND, POST
from coap.message import CHANGED, INTERNAL, LOCATION_PATH, LOCATION_QUERY, OSCORE, UNAUTHORIZED, URI_PATH
from coap.message import ACCEPT, BLOCK1, BLOCK2, CONTENT_FORMAT, CONTINUE, OBSERVE, PUT
from coap.params import Params
from lwm2m import Instance, Model, RW, STRING
from lwm2m.client import Account
from lwm2m.objects.device import Device
from lwm2m.objects.accounts import Security, Server
from lwm2m.server import Dispatcher
from oscore.message import seal
import lwm2m
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
    on_settled = None

    def __init__(self):
        self.clock = 0
        self.said = []
        self.sockets = []
        self.bootstraps = 0
        self.model = Model()
        self.dispatcher = Dispatcher(self.model, 2048)
        self.model.add(Device(manufacturer="m"))

    def now(self):
        return self.clock

    def random(self, n):
        return os.urandom(n)

    def log(self, text):
        self.said.append(text.partition(": ")[2])

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


def make(sealed=True, **fields):
    client = Clocked()
    security = Security()
    security.uri = "coap://h"
    server = Server()
    server.ssid = 1
    for name in fields:
        setattr(server, name, fields[name])
    hook = oscore.Account(bytes(range(16)), b"c", b"s", random=os.urandom) if sealed else None
    return client, Account().begin(client, security, server, hook)


class Peer:
    """The server at the other end: take() lets the two talk until nobody has more to say."""

    def __init__(self, client, account):
        self.client = client
        self.account = account
        self.codes = []  # of the requests that it served
        self.moved = 0
        self.start()

    def start(self):
        """It begins anew: no context, no registration."""
        self.hook = oscore.Account(bytes(range(16)), b"s", b"c", random=os.urandom)
        self.endpoint = Endpoint(self.send, os.urandom, self.serve, self.hook)

    def send(self, data, peer):
        self.account.endpoint.receive(bytes(data), "peer", self.client.clock)

    def serve(self, request, peer, responder):
        self.codes.append((request.code, request.path()))
        if request.path() == ["rd"]:
            # A query in the location is allowed, and nothing to us.
            return Message(CREATED).add(LOCATION_PATH, "rd").add(LOCATION_PATH, "5").add(LOCATION_QUERY, "x")
        return Message(CHANGED)

    def take(self):
        idle = False
        while not idle:
            self.account.poll(self.client.clock)
            idle = True
            socket = self.client.sockets[-1]
            while socket.sent:
                data = socket.sent.pop(0)
                self.moved += 1
                self.endpoint.receive(data, "device", self.client.clock)
                idle = False

    def begin_b2(self):
        """Answer the newest request with message 2, as a server does that kept the ID Context
        and lost the rest: for it that is an R1."""
        self.hook = self.endpoint.hook = oscore.Account(bytes(range(16)), b"s", b"c", random=os.urandom)
        outer = decode(self.client.sockets[-1].sent.pop())
        piv, kid, _ = oscore.message.decode_option(outer.opt(OSCORE))
        r1 = oscore.derive.bstr(self.account.hook.ctx.id_context)
        outer.set(OSCORE, oscore.message.encode_option(piv, bytes(kid), r1))
        self.endpoint.receive(encode(outer), "device", self.client.clock)

    def ask(self, msg):
        """The device's answer to a request of the server."""
        outer, binding = self.hook.seal_request(msg)
        self.mid = getattr(self, "mid", 0) + 1
        outer.type, outer.mid, outer.token = CON, self.mid, b"t"
        self.account.endpoint.receive(encode(outer), "peer", self.client.clock)
        return self.hook.open_response(decode(self.client.sockets[-1].sent.pop()), binding)

    def until_registered(self):
        """Seconds that it takes."""
        begun = self.client.clock
        self.take()
        while self.account.location is None:
            self.client.clock = self.account.poll(self.client.clock)
            self.take()
        return (self.client.clock - begun) // 1000


def refuse(client, account, code=UNAUTHORIZED):
    # Answer the newest datagram plainly, as anybody can.
    request = decode(client.sockets[-1].sent[-1])
    reply = Message(code, ACK, request.mid, request.token)
    account.endpoint.receive(encode(reply), "peer", client.clock)


def test_hints_double_up_to_a_minute_then_bootstrap():
    client, account = make()
    waits = []
    for _ in range(9):
        account.poll(client.clock)
        refuse(client, account)
        wake = account.poll(client.clock) or client.clock
        waits.append((account.wake - client.clock) // 1000)
        if account.wake > client.clock:
            equal(wake, account.wake)
        client.clock = account.wake
    # The first hint is acted upon at once: poll() has done so before it returned.
    equal(waits[1:], [1, 2, 4, 8, 16, 32, 60, 60])
    equal(client.bootstraps, 2)


def test_no_bootstrap_where_the_server_says_so():
    client, account = make(bootstrap_on_failure=False)
    for _ in range(9):
        account.poll(client.clock)
        refuse(client, account)
        account.poll(client.clock)
        client.clock = max(client.clock, account.wake)
    equal(client.bootstraps, 0)


def test_each_run_of_b2_has_a_socket_and_an_r1_of_its_own():
    client, account = make()
    for _ in range(5):
        account.poll(client.clock)
        refuse(client, account)
        account.poll(client.clock)
        client.clock = max(client.clock, account.wake)
    firsts = [s.sent[0] for s in client.sockets]
    assert len(firsts) >= 5
    options = {bytes(decode(d).opt(9)) for d in firsts}
    equal(len(options), len(firsts))


def test_a_plain_request_changes_nothing_and_gets_4_01():
    client, account = make()
    account.poll(0)
    before = account.status()
    account.endpoint.receive(b"\x40\x01\x12\x34\xb1\x33", "peer", 0)
    equal(decode(client.sockets[-1].sent[-1]).code, UNAUTHORIZED)
    equal(account.status(), before)


def test_a_stranger_is_not_served():
    client, account = make()
    account.poll(0)
    n = len(client.sockets[-1].sent)
    account.endpoint.receive(b"\x40\x01\x12\x34\xb1\x33", "somebody", 0)
    equal(decode(client.sockets[-1].sent[n]).code, UNAUTHORIZED)
    # Without keys the address is all that tells.
    client, account = make(sealed=False)
    account.poll(0)
    for peer, code in (("peer", CONTENT), ("somebody", UNAUTHORIZED)):
        account.endpoint.receive(b"\x40\x01\x12\x34\xb1\x33\x01\x30\x01\x30", peer, 0)
        equal(decode(client.sockets[-1].sent[-1]).code, code)


def test_no_memory_for_a_module_that_is_needed_now_is_5_00():
    client, account = make(sealed=False)
    errors = []
    client.on_error = errors.append
    account.poll(0)
    peer = client.sockets[-1]

    def write(mid):
        msg = Message(PUT, CON, mid, payload=b"UTC+1")
        msg.add(URI_PATH, "3").add(URI_PATH, "0").add(URI_PATH, "14").add(CONTENT_FORMAT, 0)
        account.endpoint.receive(encode(msg), "peer", 0)
        return decode(peer.sent[-1]).code

    def full(*args):
        raise MemoryError

    lwm2m.__import__ = full
    try:
        equal(write(1), INTERNAL)
    finally:
        del lwm2m.__import__
    equal([type(e) for e in errors], [MemoryError])
    equal(client.model.instance(3, 0).utc_offset, None)
    equal(write(2), CHANGED)
    equal(client.model.instance(3, 0).utc_offset, "UTC+1")


def test_what_a_class_has_nowhere_is_an_attribute_error():
    client, account = make()
    assert "Account" in str(raises(AttributeError, lambda: account.nothing))
    assert "Model" in str(raises(AttributeError, lambda: client.model.nothing))


def test_trap_3_one_request_at_a_time_while_b2_runs():
    client, account = make()
    peer = Peer(client, account)
    for step in range(2):
        # Request 1 is out, then request 3: whatever falls due has to wait.
        for _ in range(3):
            account.poll(client.clock)
            account.trigger("update")
        sockets, sent = len(client.sockets), client.sockets[-1].sent
        equal((sockets, len(sent), account.hook.state), (1, 1, ("b2-1", "b2-2")[step]))
        peer.endpoint.receive(sent.pop(), "device", client.clock)
    peer.take()
    equal(peer.codes, [(POST, ["rd"]), (POST, ["rd", "5"])])
    # The same where the server begins, with its answer to an Update.
    account.trigger("update")
    account.poll(client.clock)
    peer.begin_b2()
    for _ in range(3):
        account.poll(client.clock)
        account.trigger("update")
    equal((len(client.sockets), len(client.sockets[-1].sent), account.hook.state), (1, 1, "b2-2"))
    peer.take()
    assert account.location and account.hook.ready()


def test_trap_3_a_confirmable_notification_waits_and_ends_with_its_context():
    for confirmable in (1, 0):
        client, account = make(notification_mode=confirmable)
        peer = Peer(client, account)
        peer.until_registered()
        device = client.model.instance(3, 0)
        device.battery_level = 50
        path = Message(GET).add(URI_PATH, "3").add(URI_PATH, "0").add(URI_PATH, "9")
        equal(peer.ask(path.add(OBSERVE, 0)).code, CONTENT)
        account.trigger("update")
        account.poll(client.clock)
        peer.begin_b2()
        equal(account.hook.state, "b2-2")
        # Request 3 is out. What is not confirmable goes under the old keys, where it belongs.
        client.clock += 1000
        device.battery_level = 40
        account.reports.touched((3, 0, 9), False)
        account.poll(client.clock)
        equal(len(client.sockets[-1].sent), 1 + (not confirmable))
        old = peer.hook
        peer.take()
        equal((account.location, account.hook.ready()), ([b"rd", b"5"], True))
        equal((account.reports.observations, account.endpoint.observations), ([], []))
        device.battery_level = 30
        account.reports.touched((3, 0, 9), False)
        client.clock += 60_000
        moved = peer.moved
        peer.take()
        equal((peer.moved, peer.hook), (moved, old))


def test_trap_4_a_server_that_takes_request_1_for_request_3():
    # It answers without R2 under the keys of R1: nothing is wrong with the keys, and the next
    # run begins at once. One that never gives an R2 is tried again as /1/x/18 says.
    client, account = make()
    peer = Peer(client, account)
    for _ in range(3):
        account.poll(client.clock)
        crossed(client, account, peer)
        account.poll(client.clock)
        equal(client.clock, 0)
    equal(peer.until_registered(), 0)
    client, account = make()
    peer = Peer(client, account)
    for _ in range(4):
        account.poll(client.clock)
        crossed(client, account, peer)
    assert "key agreement failed" in client.said[-1], client.said
    assert account.wake > client.clock


def crossed(client, account, peer):
    outer = decode(client.sockets[-1].sent.pop())
    piv, _, wrapped = oscore.message.decode_option(outer.opt(OSCORE))
    ctx = peer.hook.derive(oscore.derive.unbstr(wrapped))
    answer = seal(ctx, Message(NOT_FOUND), CHANGED, b"", ctx.nonce(False, piv), ctx.request(False, piv)[2])
    answer.type, answer.mid, answer.token = ACK, outer.mid, outer.token
    account.endpoint.receive(encode(answer), "peer", client.clock)


class Notes(Instance):
    OID = 30000
    MULTIPLE = True
    TABLE = ((0, RW, STRING, "text"),)
    text = "x"


def registered():
    client, account = make()
    peer = Peer(client, account)
    for _ in range(16):  # so that the list of objects takes two blocks, and a text three
        client.model.add(Notes())
        client.model.add(Wide())
        client.model.add(Wider())
    peer.until_registered()
    del peer.codes[:]
    return client, account, peer


class Wide(Notes):
    OID = 30001


class Wider(Notes):
    OID = 30002


def test_trap_13_a_body_of_ours_is_sent_again_under_the_new_keys():
    client, account, peer = registered()
    bodies = []
    serve = peer.serve

    def kept(request, sender, responder):
        bodies.append((request.path(), len(request.payload)))
        return serve(request, sender, responder)

    peer.serve = peer.endpoint.handler = kept
    for block in range(2):
        old = account.hook.ctx
        del bodies[:]
        account.structure_changed(client.clock)
        account.poll(client.clock)
        for _ in range(block):
            peer.endpoint.receive(client.sockets[-1].sent.pop(), "device", client.clock)
        peer.endpoint.handler = kept
        peer.begin_b2()
        equal((account.hook.state, account.hook.ctx.live()), ("b2-2", True))
        peer.take()
        # All of it, in its old place, and only then a Register for the new keys.
        equal([b[0] for b in bodies], [["rd", "5"], ["rd"]])
        assert bodies[0][1] == bodies[1][1] > 512, bodies
        assert account.hook.ready() and not old.live()


def test_trap_13_a_body_of_the_server_goes_on_under_the_new_keys():
    client, account, peer = registered()
    text = "".join([chr(97 + i % 26) for i in range(1300)])
    path = (b"30000", b"0", b"0")

    def request(code, *options):
        msg = Message(code)
        for segment in path:
            msg.add(URI_PATH, segment)
        for option in options:
            msg.add(*option)
        return msg

    def block(n):
        msg = request(PUT, (CONTENT_FORMAT, 0), (BLOCK1, n << 4 | (8 if n < 2 else 0) | 5))
        msg.payload = text[512 * n : 512 * n + 512].encode()
        return peer.ask(msg).code

    def rekey():
        generation = account.hook.generation
        account.trigger("update")
        account.poll(client.clock)
        peer.begin_b2()
        peer.take()
        equal(account.hook.generation, generation + 1)

    equal(block(0), CONTINUE)
    rekey()
    equal((block(1), block(2)), (CONTINUE, CHANGED))
    equal(client.model.instance(30000, 0).text, text)
    # and out again
    got = b""
    for n in range(3):
        answer = peer.ask(request(GET, (ACCEPT, 0), (BLOCK2, n << 4 | 5)))
        equal(answer.code, CONTENT)
        got += bytes(answer.payload)
        if n == 0:
            client.model.instance(30000, 0).text = "another"  # what was begun stays whole
            rekey()
    equal(got, text.encode())


def test_a_server_that_never_ends_b2_is_not_asked_without_end():
    # It forgets R2 each time, so that each request 3 is a request 1 to it.
    client, account = make()
    peer = Peer(client, account)
    asked = 0
    account.poll(client.clock)
    while client.sockets[-1].sent:
        peer.start()
        peer.endpoint.receive(client.sockets[-1].sent.pop(), "device", client.clock)
        asked += 1
        account.poll(client.clock)
        assert asked < 5
    equal((asked, peer.codes), (3, []))
    assert account.wake > client.clock
    # Once it does not forget any more the device is there at the next try.
    peer.until_registered()


def test_a_server_that_is_restarted_again_and_again_is_not_waited_for_long():
    # Where only the kid context is tried, once in a context, nothing is added to the wait.
    client, account = make()
    peer = Peer(client, account)
    equal(peer.until_registered(), 0)
    waits = []
    for _ in range(4):
        client.clock += 5000
        peer.start()
        account.trigger("update")
        waits.append(peer.until_registered())
    equal(waits, [0, 1, 2, 4])
    client.clock += 300_000
    peer.start()
    account.trigger("update")
    equal(peer.until_registered(), 0)


def test_a_forger_of_plain_errors_is_answered_ever_more_slowly():
    # He answers first, always: each request is sealed, and few are sent.
    client, account = make()
    Peer(client, account).until_registered()
    account.trigger("update")
    requests = 0
    while client.clock < 600_000:
        wake = account.poll(client.clock)
        if client.sockets[-1].sent:
            requests += 1
            refuse(client, account)
            client.sockets[-1].sent.clear()
        else:
            client.clock = wake
    assert 10 < requests < 40, requests


def test_what_is_not_verified_is_counted_and_said_once_a_minute():
    client, account = make()
    peer = Peer(client, account)
    peer.until_registered()
    settled = []
    client.on_settled = lambda: settled.append(1)
    outer, _ = peer.hook.seal_request(Message(GET).add(URI_PATH, "3"))
    good = bytes(outer.opt(OSCORE))

    def said():
        return [line for line in client.said if "not verified" in line]

    # kid of nobody, tag that is wrong, option that is none
    for option, code, name in (
        (good[:-1] + b"x", 0x81, "unknown"), (good, 0x80, "failed"), (b"\xe0", 0x82, "undecodable"),
    ):
        for n in range(5):
            bad = Message(POST, CON, 100 + n, b"t", bytes(20)).add(OSCORE, option)
            account.endpoint.receive(encode(bad), "peer", client.clock)
            answer = decode(client.sockets[-1].sent.pop())
            # Max-Age 0 and nothing else: why is nobody's business.
            equal((answer.code, answer.options, bytes(answer.payload)), (code, [(14, b"")], b""))
            client.clock += 100
            account.poll(client.clock)
        equal((name, account.failures()[name]), (name, 5))
    equal(said(), ["oscore: messages not verified: 1 unknown"])
    client.clock += 60_000
    account.poll(client.clock)
    equal(settled, [1, 1])  # what it took to say so may go
    equal(said()[1:], ["oscore: messages not verified: 5 undecodable, 4 unknown, 5 failed"])
    client.clock += 60_000
    account.poll(client.clock)
    equal(len(said()), 2)
    # They are this account's, and another one's do not come into it.
    equal(make()[1].failures(), {"undecodable": 0, "unknown": 0, "replayed": 0, "failed": 0})
    equal(make(sealed=False)[1].failures(), {})
