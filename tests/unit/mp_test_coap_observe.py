# Observe, both roles: RFC 7641.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# heapsize: 1M

from check import equal
from coap.message import *
from coap.seldom import Observation
from coap_net import Calls, Net, bodies, exchanges, flying, queue, text


class Sensor:
    """A handler whose one value can be observed."""

    def __init__(self):
        self.value = b"0"
        self.observations = []
        self.cancels = []
        self.refuse = False

    def __call__(self, request, peer, responder):
        if request.uint(OBSERVE) == 0:
            observation = responder.observe()
            if observation is not None:
                observation.on_cancel = self.cancels.append
                self.observations.append(observation)
        if self.refuse:
            raise Error(NOT_FOUND)
        return Message(CONTENT, payload=self.value)


def served(**settings):
    """An endpoint "me" with a Sensor; its observer is the test."""
    net = Net()
    sensor = Sensor()
    return net, net.add("me", sensor, **settings), sensor


class Done(list):
    """An on_done that keeps the errors."""

    def __call__(self, observation, error):
        self.append(error)


def register(net, me, mid=1, token=b"t", value=0, peer="peer"):
    me.receive(encode(Message(GET, CON, mid, token).add(OBSERVE, value).add(URI_PATH, "v")), peer, net.now)
    return decode(net.sent[-1][3])


def last(net):
    return decode(net.sent[-1][3])


def test_registration_and_notifications():
    net, me, sensor = served()
    equal(bytes.fromhex("61450001 74 60 ff 30".replace(" ", "")), encode(register(net, me)))
    done = []
    for i in range(1, 4):
        me.notify(sensor.observations[0], Message(CONTENT, payload=b"n"), net.now, on_done=lambda o, e: done.append(e))
        got = last(net)
        equal((got.type, got.code, got.token, got.uint(OBSERVE), text(got)), (NON, CONTENT, b"t", i, b"n"))
    equal((done, len(net.sent), sensor.cancels), ([None] * 3, 4, []))
    equal(me.next_wakeup(), None)


def test_numbers_wrap_at_24_bits():
    net, me, sensor = served()
    register(net, me)
    observation = sensor.observations[0]
    observation.seq = 0xFFFFFE
    numbers = []
    for _ in range(3):
        me.notify(observation, Message(CONTENT), net.now)
        numbers.append(last(net).uint(OBSERVE))
    equal(numbers, [0xFFFFFF, 0, 1])


def test_confirmable_notification():
    net, me, sensor = served()
    register(net, me)
    done = []
    me.notify(sensor.observations[0], Message(CONTENT, payload=b"n"), net.now, True, lambda o, e: done.append(e))
    first = net.sent[-1][3]
    got = last(net)
    equal((got.type, got.token, got.uint(OBSERVE)), (CON, b"t", 1))
    net.run(3000)
    equal((net.sent[-1][3], done), (first, []))
    me.receive(encode(Message(EMPTY, ACK, got.mid)), "peer", net.now)
    equal(done, [None])
    net.run(300000)
    equal((len(net.sent), me.observations, sensor.cancels), (3, sensor.observations, []))


def test_unanswered_notification_ends_it():
    net, me, sensor = served()
    register(net, me)
    done = []
    me.notify(sensor.observations[0], Message(CONTENT), net.now, True, lambda o, e: done.append(e))
    net.run(100000)
    equal((done, sensor.cancels, me.observations), (["timeout"], ["timeout"], []))
    me.notify(sensor.observations[0], Message(CONTENT), net.now, True, lambda o, e: done.append(e))
    equal((done[1:], me.next_wakeup()), (["cancelled"], None))


def test_reset_ends_it():
    for confirmable in (True, False):
        net, me, sensor = served()
        register(net, me)
        register(net, me, 2, b"other")
        me.notify(sensor.observations[0], Message(CONTENT), net.now, confirmable)
        mid = last(net).mid
        # Somebody else's Reset does nothing.
        me.receive(encode(Message(EMPTY, RST, mid)), "stranger", net.now)
        equal(sensor.cancels, [])
        me.receive(encode(Message(EMPTY, RST, mid)), "peer", net.now)
        equal((sensor.cancels, me.observations), (["reset"], sensor.observations[1:]))
        net.run(300000)


def test_deregistration():
    net, me, sensor = served()
    register(net, me)
    got = register(net, me, 2, b"x", 1)  # another token: not this one
    equal((sensor.cancels, got.opt(OBSERVE)), ([], None))
    got = register(net, me, 3, b"t", 1, "stranger")
    equal(sensor.cancels, [])
    got = register(net, me, 4, b"t", 1)
    equal((got.code, got.opt(OBSERVE), text(got)), (CONTENT, None, b"0"))
    equal((sensor.cancels, me.observations), (["deregistered"], []))


def test_registration_again_with_the_same_token():
    net, me, sensor = served()
    register(net, me)
    me.notify(sensor.observations[0], Message(CONTENT), net.now)
    got = register(net, me, 2)
    # The same observation for the peer, so the numbers go on.
    equal((sensor.cancels, len(me.observations), got.uint(OBSERVE)), (["replaced"], 1, 2))
    me.notify(sensor.observations[1], Message(CONTENT), net.now)
    equal(last(net).uint(OBSERVE), 3)
    # The first one again as a duplicate changes nothing.
    register(net, me, 2)
    equal(len(sensor.observations), 2)


def test_registration_that_fails():
    net, me, sensor = served()
    sensor.refuse = True
    got = register(net, me)
    equal((got.code, got.opt(OBSERVE)), (NOT_FOUND, None))
    equal((sensor.cancels, me.observations), (["refused"], []))


def test_observations_are_bounded():
    net, me, sensor = served(max_observations=2)
    for i in range(3):
        got = register(net, me, i, bytes([i]))
        equal(got.code, CONTENT)
        equal(got.opt(OBSERVE) is None, i == 2)
    equal(len(me.observations), 2)
    equal(me.restore(Observation(b"x", "peer")), False)
    # A token that is there already needs no room.
    equal(register(net, me, 9, b"\x00").uint(OBSERVE), 1)


def test_newer_notification_waits_for_the_ack():
    net, me, sensor = served()
    register(net, me)
    observation = sensor.observations[0]
    done = []

    def notify(value, confirmable):
        me.notify(
            observation, Message(CONTENT, payload=value), net.now, confirmable,
            lambda o, e: done.append((value, e)),
        )  # fmt: skip

    notify(b"1", True)
    notify(b"2", True)
    notify(b"3", False)
    equal((len(net.sent), done), (2, [(b"2", "replaced")]))
    me.receive(encode(Message(EMPTY, ACK, last(net).mid)), "peer", net.now)
    equal((len(net.sent), text(last(net)), last(net).type), (3, b"3", NON))
    equal(done[1:], [(b"1", None), (b"3", None)])
    notify(b"4", True)
    notify(b"5", True)
    me.receive(encode(Message(EMPTY, ACK, last(net).mid)), "peer", net.now)
    equal((text(last(net)), last(net).type, last(net).uint(OBSERVE)), (b"5", CON, 4))
    me.receive(encode(Message(EMPTY, ACK, last(net).mid)), "peer", net.now)
    equal(done[3:], [(b"4", None), (b"5", None)])
    notify(b"6", True)
    notify(b"7", True)
    net.run(200000)
    equal(done[5:], [(b"6", "timeout"), (b"7", "timeout")])


def test_confirmable_notifications_keep_nstart():
    net, me, sensor = served()
    for i in range(3):
        register(net, me, i, bytes([i]))
    n = len(net.sent)
    for observation in sensor.observations:
        me.notify(observation, Message(CONTENT, payload=b"a"), net.now, True)
    calls = Calls()
    me.request(Message(GET), "peer", net.now, calls)
    equal(len(net.sent), n + 1)
    # One that waits takes the newer value.
    me.notify(sensor.observations[1], Message(CONTENT, payload=b"b"), net.now, True)
    values = []
    for _ in range(3):
        values.append((last(net).token, text(last(net))))
        me.receive(encode(Message(EMPTY, ACK, last(net).mid)), "peer", net.now)
    equal(values, [(b"\x00", b"a"), (b"\x01", b"b"), (b"\x02", b"a")])
    equal(last(net).code, GET)


def test_error_is_the_last_notification():
    for confirmable in (False, True):
        net, me, sensor = served()
        register(net, me)
        done = Done()
        me.notify(sensor.observations[0], Message(NOT_FOUND), net.now, confirmable, done)
        got = last(net)
        equal((got.code, got.opt(OBSERVE), me.observations), (NOT_FOUND, None, []))
        if confirmable:
            net.run(3000)
            equal(len(net.sent), 3)
            me.receive(encode(Message(EMPTY, ACK, got.mid)), "peer", net.now)
        equal((done, sensor.cancels, me.next_wakeup()), ([None], [], None))


def test_forget():
    net, me, sensor = served()
    register(net, me)
    done = []
    observation = sensor.observations[0]
    for _ in range(2):
        me.notify(observation, Message(CONTENT), net.now, True, lambda o, e: done.append(e))
    me.forget(observation)
    me.forget(observation)
    equal((me.observations, done, sensor.cancels), ([], ["cancelled", "cancelled"], []))
    equal(me.next_wakeup(), None)


def test_restored_observation():
    net, me, sensor = served()
    register(net, me)
    old = sensor.observations[0]
    stored = (old.token, old.peer, None, old.key, old.seq)
    # The device starts again.
    me = net.add("me", sensor, seed=9)
    observation = Observation(*stored)
    equal(me.restore(observation), True)
    me.notify(observation, Message(CONTENT, payload=bytes(600)), net.now)
    got = last(net)
    equal((got.token, got.uint(OBSERVE), len(got.payload)), (b"t", 1, 512))
    # The rest of it is there to be fetched.
    me.receive(encode(Message(GET, CON, 9).add(URI_PATH, "v").add(BLOCK2, 1 << 4 | 5)), "peer", net.now)
    equal(len(last(net).payload), 88)


def test_notification_in_blocks():
    # First block in the notification, the rest by GET with Block2 and another token
    # (RFC 7959 section 3.4, figure 12).
    net = Net()
    sensor = Sensor()
    server = net.add("server", sensor, block_szx=3)
    client = net.add("client", block_szx=3)
    calls = Calls()
    client.request(Message(GET).add(URI_PATH, "v"), "server", net.now, calls, observe=True)
    net.run(0)
    equal(text(calls[0][0]), b"0")
    for confirmable in (False, True):
        del calls[:]
        n = len(net.sent)
        data = b"".join([bytes([i]) * 100 for i in range(4)])
        message = Message(CONTENT, payload=data)
        server.notify(sensor.observations[0], message, net.now, confirmable)
        net.run(0)
        response, error = calls.one()
        equal((error, text(response), response.opt(BLOCK2)), (None, data, None))
        # What was given to notify() stays as it was.
        equal((message.options, message.payload), ([], data))
        moved = [decode(d[3]) for d in net.sent[n:] if decode(d[3]).code]
        equal([m.uint(BLOCK2, 0) >> 4 for m in moved], [0, 1, 1, 2, 2, 3, 3])
        equal([m.opt(OBSERVE) is not None for m in moved], [True] + [False] * 6)
        assert moved[0].token not in [m.token for m in moved[1:]]
    equal((queue(client), flying(client), bodies(server)), ([], [], []))


def test_newer_notification_while_the_rest_is_fetched():
    net = Net()
    sensor = Sensor()
    server = net.add("server", sensor, block_szx=3)
    client = net.add("client", block_szx=3)
    calls = Calls()
    client.request(Message(GET).add(URI_PATH, "v"), "server", net.now, calls, observe=True)
    net.run(0)
    del calls[:]
    a, b = b"a" * 300, b"b" * 300
    server.notify(sensor.observations[0], Message(CONTENT, payload=a), net.now)
    server.notify(sensor.observations[0], Message(CONTENT, payload=b), net.now)
    net.run(100000)
    equal(text(calls.one()[0]), b)
    equal((len(exchanges(client)), flying(client), queue(client)), (1, [], []))


def observing(**settings):
    """An endpoint "me" that observes; the server is the test."""
    net = Net()
    me = net.add("me", **settings)
    calls = Calls()
    exchange = me.request(Message(GET).add(URI_PATH, "v"), "peer", net.now, calls, observe=True)
    got = last(net)
    equal((got.type, got.uint(OBSERVE), got.path()), (CON, 0, ["v"]))
    return net, me, calls, exchange, got


MIDS = [100]


def note(token, seq, payload=b"", kind=NON, mid=None):
    MIDS[0] += 1
    msg = Message(CONTENT, kind, MIDS[0] if mid is None else mid, token, payload)
    return encode(msg if seq is None else msg.add(OBSERVE, seq))


def test_client_observes():
    net, me, calls, exchange, got = observing()
    me.receive(encode(Message(CONTENT, ACK, got.mid, got.token, b"a").add(OBSERVE, 5)), "peer", net.now)
    me.receive(note(got.token, 6, b"b"), "peer", net.now)
    me.receive(note(got.token, 7, b"c", CON, 9), "peer", net.now)
    equal([text(r) for r, _ in calls], [b"a", b"b", b"c"])
    equal(net.sent[-1][3], bytes.fromhex("60000009"))
    equal((exchange.done, me.next_wakeup()), (False, None))
    # A doubled one is acknowledged and not told.
    me.receive(note(got.token, 7, b"c", CON, 9), "peer", net.now)
    equal((len(calls), len(net.sent)), (3, 3))
    # The answer to the registration once more.
    me.receive(encode(Message(CONTENT, ACK, got.mid, got.token, b"a").add(OBSERVE, 5)), "peer", net.now)
    equal(len(calls), 3)


def test_client_keeps_the_order():
    net, me, calls, exchange, got = observing()
    me.receive(encode(Message(CONTENT, ACK, got.mid, got.token, b"a").add(OBSERVE, 0xFFFFFE)), "peer", net.now)
    for seq, payload in ((0xFFFFFF, b"b"), (0xFFFFFD, b"-"), (1, b"c"), (0, b"-"), (1, b"-"), (0x7FFFFF, b"d"), (0xFFFFFF, b"-")):
        me.receive(note(got.token, seq, payload), "peer", net.now)
    equal([text(r) for r, _ in calls], [b"a", b"b", b"c", b"d"])
    # After 128 s any number is newer.
    net.now += 128001
    me.receive(note(got.token, 5, b"e"), "peer", net.now)
    equal(text(calls[-1][0]), b"e")


def test_client_whose_server_does_not_observe():
    net, me, calls, exchange, got = observing()
    me.receive(encode(Message(CONTENT, ACK, got.mid, got.token, b"a")), "peer", net.now)
    equal((text(calls.one()[0]), exchange.done, exchanges(me)), (b"a", True, []))


def test_client_whose_observation_ends():
    net, me, calls, exchange, got = observing()
    me.receive(encode(Message(CONTENT, ACK, got.mid, got.token, b"a").add(OBSERVE, 5)), "peer", net.now)
    msg = Message(NOT_FOUND, NON, 9, got.token)
    me.receive(encode(msg), "peer", net.now)
    equal((calls[1][0].code, exchange.done, exchanges(me)), (NOT_FOUND, True, []))


def test_client_cancels():
    net, me, calls, exchange, got = observing()
    me.receive(encode(Message(CONTENT, ACK, got.mid, got.token, b"a").add(OBSERVE, 5)), "peer", net.now)
    me.cancel(exchange)
    equal(calls[1], (None, "cancelled"))
    # The next notification is rejected, of whatever type.
    me.receive(note(got.token, 6, mid=9), "peer", net.now)
    me.receive(note(got.token, 7, b"", CON, 10), "peer", net.now)
    equal([d[3] for d in net.sent[1:]], [bytes.fromhex("70000009"), bytes.fromhex("7000000a")])


def test_client_registration_unanswered():
    net, me, calls, exchange, got = observing()
    net.run(200000)
    equal((calls, exchange.done), ([(None, "timeout")], True))


def test_cancelling_while_the_rest_is_fetched():
    net, me, calls, exchange, got = observing()
    reply = Message(CONTENT, ACK, got.mid, got.token, bytes(512)).add(OBSERVE, 1).add(BLOCK2, 8 | 5)
    me.receive(encode(reply), "peer", net.now)
    equal((last(net).uint(BLOCK2), last(net).opt(OBSERVE), calls), (1 << 4 | 5, None, []))
    me.cancel(exchange)
    equal((calls, exchanges(me), me.next_wakeup()), ([(None, "cancelled")], [], None))


def test_two_ends_over_a_bad_network():
    from coap_net import Rand

    net = Net()
    sensor = Sensor()
    server = net.add("server", sensor)
    client = net.add("client")
    calls = Calls()
    client.request(Message(GET).add(URI_PATH, "v"), "server", net.now, calls, observe=True)
    net.run(0)
    rand = Rand(3)
    net.lose = lambda n, d, source: rand(1)[0] < 30
    for i in range(200):
        server.notify(sensor.observations[0], Message(CONTENT, payload=bytes([i])), net.now, i % 3 == 0)
        net.run(1000)
    net.run(100000)
    values = [text(r)[0] for r, e in calls[1:]]
    equal((values, len(values) > 100, values[-1]), (sorted(values), True, 199))
    equal((sensor.cancels, len(server.observations)), ([], 1))
