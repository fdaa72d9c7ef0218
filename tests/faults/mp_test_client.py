# The client when something beside it fails: the application, the server's choice of words.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# heapsize: 1M

import asyncio

import coap.message as m
import lwm2m_app
from check import raises
from lwm2m import Client
from lwm2m.objects.device import Device

CONFIG = {
    0: {0: {0: "coap://192.0.2.1", 1: False, 2: 3, 10: 1}},
    1: {0: {0: 1, 1: 60, 6: False, 7: "U", 18: 7}},
}
PEER = ("192.0.2.1", 5683)


class Wire:
    """A transport that keeps what is sent."""

    sock = None

    def __init__(self):
        self.sent = []

    def sendto(self, data, peer):
        self.sent.append(m.decode(bytes(data)))

    def recvfrom(self, n):
        return None

    def close(self):
        pass


def made(**kw):
    asyncio.new_event_loop()
    wire = Wire()
    lines = []
    client = Client("dev", transport=lambda *_: (wire, PEER), log=lines.append, **kw)
    client.add(Device())
    client.load(CONFIG)
    return client, wire, lines


def answer(client, wire, code, *options, payload=b""):
    request = wire.sent[-1]
    response = m.Message(code, payload=payload)
    for number, value in options:
        response.add(number, value)
    data = m.pack(response, m.ACK, request.mid, request.token)
    client.accounts[0].endpoint.receive(data, PEER, client.now())


def registered():
    client, wire, lines = made()
    account = client.accounts[0]
    account.poll(client.now())
    answer(client, wire, m.CREATED, (m.LOCATION_PATH, "rd"), (m.LOCATION_PATH, "1"))
    assert account.location
    return client, wire, lines, account


def test_location_of_any_bytes():
    client, wire, lines = made()
    account = client.accounts[0]
    account.poll(client.now())
    answer(client, wire, m.CREATED, (m.LOCATION_PATH, b"r\xffd"), (m.LOCATION_PATH, b"a\n%\x00 "))
    assert lines == ["server 1: registered location=/r%FFd/a%0A%25%00%20 lifetime=60 lwm2m=1.2"], lines
    # It is kept as it was given, and used so.
    account.update(client.now())
    account.poll(client.now())
    assert [bytes(s) for s in wire.sent[-1].opts(m.URI_PATH)] == [b"r\xffd", b"a\n%\x00 "]
    assert "/r%FFd/" in client.status()


def test_list_of_objects_longer_than_the_buffer():
    client, wire, lines = made(max_payload=20)
    account = client.accounts[0]
    wake = account.poll(client.now())
    assert lines == ["server 1: register failed: longer than max_payload, next try in 7 s"], lines
    assert not wire.sent and wake - client.now() > 6000
    # With room for it the next try succeeds.
    client.dispatcher.max_payload = 1024
    account.wake = client.now()
    account.poll(client.now())
    assert len(wire.sent) == 1


def test_what_comes_after_an_answer_fails():
    client, wire, lines, account = registered()

    def fails():
        raise KeyError("of the application")

    done = []
    account.after_answer(fails)
    account.after_answer(lambda: done.append(1))
    account.poll(client.now())
    assert done == [1] and lines[1:] == ["fault: KeyError: of the application"], lines


def test_the_same_fault_is_said_once_a_minute():
    client, wire, lines = made()

    class Clock:
        time = 0

        def now(self):
            return self.time

    clock = Clock()
    client.now = clock.now
    for clock.time in range(0, 130000, 1000):
        client.on_error(ValueError("x"))
    assert lines == ["fault: ValueError: x"] * 3, lines
    client.on_error(ValueError("y"))
    assert len(lines) == 4


def test_an_account_that_fails_is_polled_again():
    client, wire, lines, account = registered()
    polls = []

    def poll(now):
        polls.append(now)
        if len(polls) < 2:
            raise RuntimeError("broken")
        client.stop()
        account.location = None
        return None

    account.poll = poll
    account.transport = None  # nothing to receive from
    asyncio.run(client.run())
    assert lines[1:] == ["fault: RuntimeError: broken"], lines
    assert polls[1] - polls[0] >= 900


def test_a_name_that_breaks_the_line():
    for name in ("", "a\nb", "a\x7f"):
        assert str(raises(ValueError, Client, name)) == "endpoint"


def test_who_is_interrupted_can_leave():
    """KeyboardInterrupt in the client's own task: the keys stay, for the De-register."""
    client, wire, lines, account = registered()

    class Hook:
        saved = 0

        def save(self):
            self.saved += 1

    def interrupted(now):
        raise KeyboardInterrupt

    def left(now):
        account.location = None

    account.transport = None  # nothing to receive from
    account.hook = Hook()
    account.poll = interrupted
    raises(KeyboardInterrupt, asyncio.run, client.run())
    assert account.location and account.hook.saved == 0
    asyncio.new_event_loop()
    account.poll = left
    client.stop()
    asyncio.run(client.run())
    assert account.hook.saved == 1


def test_a_product_that_fails_is_said_and_the_client_goes_on():
    class Later:
        async def run(self, client):
            await asyncio.sleep_ms(1)
            raise ValueError("of the product")

    class AtOnce:
        def run(self, client):
            raise ValueError("of the product")

    class Never:
        pass

    for product, fault in ((Later, "ValueError: of the"), (AtOnce, "ValueError: of the"), (Never, "AttributeError: ")):
        client, wire, lines, account = registered()
        account.transport = None  # nothing to receive from

        def poll(now):
            if len(lines) > 1:
                client.stop()
                account.location = None
            return now + 1

        account.poll = poll
        lwm2m_app.serve(client, product())
        assert len(lines) == 2 and lines[1].startswith("fault: " + fault), lines
