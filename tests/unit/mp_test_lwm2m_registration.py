# Registration as a state machine: messages, retries, lifetimes.
# MIT license; Copyright (c) 2026 the microlwm2m authors

from check import equal
from coap.message import Message, POST, DELETE, URI_PATH, URI_QUERY, CONTENT_FORMAT, LOCATION_PATH
from lwm2m.objects.accounts import Server
from lwm2m.registration import Registration


def make(**fields):
    server = Server()
    server.ssid = 1
    for name in fields:
        setattr(server, name, fields[name])
    r = Machine()
    r.begin(server)
    return r, server, r.said


class Machine(Registration):
    def __init__(self):
        self.said = []
        self.told = []

    def name(self):
        return "ep1"

    def links(self):
        return b"</3/0>"

    def say(self, text):
        self.said.append(text)

    def exhausted(self):
        self.told.append(self.tries)


def answer(code, *location):
    msg = Message(code)
    for segment in location:
        msg.add(LOCATION_PATH, segment)
    return msg


def registered(now=0, **fields):
    r, server, said = make(**fields)
    r.next(now)
    r.answered(now, answer(0x41, "rd", "abc"))
    return r, server, said


def words(msg, number):
    return [bytes(v).decode() for v in msg.opts(number)]


def test_register_message():
    r, _, _ = make(lifetime=300)
    msg = r.next(0)
    equal(msg.code, POST)
    equal(words(msg, URI_PATH), ["rd"])
    equal(words(msg, URI_QUERY), ["ep=ep1", "lt=300", "lwm2m=1.2", "b=U"])
    equal(msg.uint(CONTENT_FORMAT), 40)
    equal(bytes(msg.payload), b"</3/0>")
    equal(r.next(0), None)  # one at a time


def test_registered_and_updates_before_the_lifetime_ends():
    for lifetime, wait in ((300, 207), (60, 30), (186, 93), (86400, 86307)):
        r, _, said = registered(1000, lifetime=lifetime)
        assert r.location and "registered location=/rd/abc" in said[-1]
        equal(r.wake, 1000 + wait * 1000)
        equal(r.next(r.wake - 1), None)
        msg = r.next(r.wake)
        equal((msg.code, words(msg, URI_PATH), words(msg, URI_QUERY)), (POST, ["rd", "abc"], []))
        equal(msg.opt(CONTENT_FORMAT), None)
        now = r.wake + 50
        r.answered(now, answer(0x44))
        equal(r.wake, now + wait * 1000)


def test_lifetime_0_never_updates():
    equal(registered(lifetime=0)[0].wake, None)


def test_update_says_what_changed():
    r, server, _ = registered(lifetime=300)
    server.lifetime = 100
    r.structure_changed(5000)
    msg = r.next(5000)
    equal(words(msg, URI_QUERY), ["lt=100"])
    equal((msg.uint(CONTENT_FORMAT), bytes(msg.payload)), (40, b"</3/0>"))
    r.answered(5100, answer(0x44))
    equal(r.wake, 5100 + 50000)


def test_change_during_an_update_is_told_afterwards():
    r, _, _ = registered(lifetime=300)
    r.update(0)
    assert r.next(0)
    r.structure_changed(10)
    equal(r.next(10), None)
    r.answered(20, answer(0x44))
    equal(r.wake, 20)
    equal(bytes(r.next(20).payload), b"</3/0>")


def test_failed_update_registers_again_at_once():
    for response, error in ((answer(0x84), None), (None, "timeout")):
        r, _, said = registered(lifetime=300)
        r.next(r.wake)
        r.answered(300000, response, error)
        assert "registering again" in said[-1]
        equal(words(r.next(300000), URI_PATH), ["rd"])


def test_1_2_is_refused_then_1_1_and_remembered():
    r, _, said = make()
    r.next(0)
    r.answered(5, answer(0x8C))
    msg = r.next(5)
    assert "lwm2m=1.1" in words(msg, URI_QUERY)
    r.answered(6, answer(0x41, "rd", "x"))
    assert "lwm2m=1.1" in said[-1]
    r.forget(7)
    assert "lwm2m=1.1" in words(r.next(7), URI_QUERY)


def test_4_12_for_1_1_is_a_failure():
    r, _, _ = make()
    r.next(0)
    r.answered(0, answer(0x8C))
    r.next(0)
    r.answered(0, answer(0x8C))
    equal(r.wake, 60000)


def test_retries_double_then_wait_a_day_then_go_on():
    r, _, said = make()
    waits = []
    now = 0
    for _ in range(7):
        assert r.next(now)
        r.answered(now, None, "timeout")
        waits.append((r.wake - now) // 1000)
        now = r.wake
    equal(waits, [60, 120, 240, 480, 86400, 60, 120])
    assert "timeout" in said[-1]


def test_retries_as_the_server_object_says():
    r, _, _ = make(retry_count=2, retry_timer=3, sequence_delay=100)
    waits = []
    now = 0
    for _ in range(4):
        r.next(now)
        r.answered(now, answer(0x80))
        waits.append((r.wake - now) // 1000)
        now = r.wake
    equal(waits, [3, 100, 3, 100])


def test_created_without_a_location_is_a_failure():
    r, _, said = make()
    r.next(0)
    r.answered(0, answer(0x41))
    assert r.location is None and "Location-Path" in said[-1]
    r.next(60000)
    r.answered(60000, answer(0x41, "x" * 129))
    assert r.location is None


def test_network_is_back():
    r, _, _ = make()
    r.next(0)
    r.answered(0, None, "timeout")
    r.retry_now(10)
    assert r.next(10)


def test_disable_comes_back():
    r, server, _ = registered(disable_timeout=30)
    r.disable(1000)
    equal(r.next(1000), None)  # its answer goes first
    msg = r.next(1500)
    equal((msg.code, words(msg, URI_PATH)), (DELETE, ["rd", "abc"]))
    r.answered(1600, answer(0x42))
    assert r.location is None
    equal(r.next(30999), None)
    r.retry_now(20000)  # the network coming back does not end it
    equal(r.next(20000), None)
    equal(words(r.next(31000), URI_PATH), ["rd"])


def test_leave_stays_away():
    r, _, said = registered()
    r.leave(0)
    equal(r.next(0).code, DELETE)
    r.answered(1, None, "timeout")
    assert r.location is None and "unanswered" in said[-1]
    equal(r.wake, None)
    equal(r.next(10**9), None)


def test_a_failed_sequence_is_told():
    r, _, _ = make(retry_count=2)
    now = 0
    for _ in range(4):
        r.next(now)
        r.answered(now, None, "timeout")
        now = r.wake
    equal(r.told, [2, 4])
