# No (key, nonce) pair seals twice, and R1, R2, R3 do not repeat.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# heapsize: 4M

import time

import coap.message as m
from check import equal, raises
from oscore import Fresh, Limits
from oscore.derive import unbstr
from oscore.message import decode_option
from oscorepair import CLIENT, SERVER, Flash, Rand, account, content, get, recorder, wire


def test_the_recorder_sees_a_nonce_that_is_used_twice():
    client = account(policy="b1")
    client.seal_request(get("a"))
    client.ctx.seq -= 1
    raises(AssertionError, client.seal_request, get("a"))
    equal(recorder.used, 1)


class Side:
    """One end of a random run: an account that is restarted, and what it has in flight."""

    def __init__(self, sender, recipient, policy, rand):
        self.sender, self.recipient, self.policy, self.rand = sender, recipient, policy, rand
        self.flash = Flash() if policy == "b1" else None
        self.boots = 0
        self.restart()

    def restart(self):
        self.boots += 1
        # the port's generator starts alike each time
        fresh = Fresh(b"seed of this side" + self.sender, self.boots, lambda n: bytes(n))
        self.account = account(
            self.sender,
            self.recipient,
            self.policy,
            random=fresh,
            flash=self.flash,
            limits=Limits(reserve=8, rekey=60),
        )
        self.waiting = []  # bindings of our requests
        self.seen = []  # bindings of the peer's requests


def step(rand, a, b, net):
    """One thing that may happen at side a, whose peer is b. net: datagrams under way."""
    dice = rand.below(1000)
    account = a.account
    if dice < 200:
        request = get("x")
        if rand.below(3) == 0:
            request.add(m.OBSERVE, 0)
        try:
            outer, binding = account.seal_request(request)
        except m.Error:
            return
        token = bytes((rand.below(256), len(a.waiting)))
        a.waiting.append((token, binding))
        net.append((b, wire(outer, token)))
    elif dice < 280 and a.seen:
        token, binding = a.seen[rand.below(len(a.seen))]
        try:
            outer = account.seal_response(
                content(b"n").add(m.OBSERVE, rand.below(1000)), binding, True
            )
        except m.Error:
            return
        net.append((b, wire(outer, token)))
    elif dice < 320 and a.seen:
        token, binding = a.seen[rand.below(len(a.seen))]
        try:
            net.append((b, wire(account.seal_response(content(b"late"), binding), token)))
        except m.Error:
            return
    elif dice < 328:
        account.rekey()
    elif dice < 336:
        account.challenge()
    elif dice < 370:
        account.housekeep()
    elif dice < 373:
        a.restart()
    elif dice < 375:
        account.save()
        a.restart()
    elif net:
        # delivered in any order, some lost, some kept to come again
        at = rand.below(min(len(net), 4))
        to, arrived = net[at]
        if rand.below(5):
            net.pop(at)
        if rand.below(6):
            deliver(to, a if to is b else b, arrived, net)
    del net[:-12]
    del a.waiting[:-8]
    del a.seen[:-4]


def deliver(to, back, arrived, net):
    account = to.account
    if 0 < arrived.code < 32:
        try:
            inner, binding = account.open_request(arrived)
        except m.SecurityError as e:
            answer = m.Message(e.code)
            if e.ex is not None:
                for number, value in e.options:
                    answer.add(number, value)
                answer = account.seal_response(answer, e.ex)
            net.append((back, wire(answer, arrived.token)))
            return
        to.seen.append((arrived.token, binding))
        try:
            answer = account.seal_response(content(b"ok"), binding)
        except m.Error:
            return
        net.append((back, wire(answer, arrived.token)))
        return
    for token, binding in to.waiting:
        if token == arrived.token:
            try:
                inner = account.open_response(arrived, binding)
            except m.PlainError:
                account.recover()
                return
            except m.SecurityError:
                return
            options = account.again(inner)
            if options is not None:
                request = get("x")
                for number, value in options:
                    request.add(number, value)
                try:
                    outer, binding = account.seal_request(request)
                except m.Error:
                    return
                to.waiting.append((token, binding))
                net.append((back, wire(outer, token)))
            if account.exhausted():
                account.rekey()
            return


def run(policies, steps):
    seed = time.ticks_us()
    print("seed", seed)
    rand = Rand(seed)
    a = Side(CLIENT, SERVER, policies[0], rand)
    b = Side(SERVER, CLIENT, policies[1], rand)
    net = []
    opened = contexts = 0
    for _ in range(steps):
        before = a.account, b.account
        if rand.below(2):
            step(rand, a, b, net)
        else:
            step(rand, b, a, net)
        for old, new in zip(before, (a.account, b.account)):
            if old is not new:
                opened += old.counters["opened"]
                contexts += old.counters["rederived"]
    for last in (a.account, b.account):
        opened += last.counters["opened"]
        contexts += last.counters["rederived"]
    print(recorder.used, "sealed,", opened, "opened,", contexts, "contexts")
    assert recorder.used > steps // 5
    assert opened > steps // 10
    assert contexts > 5


def test_random_run_b2():
    run(("b2", "b2"), 4000)


def test_random_run_b1():
    run(("b1", "b1"), 4000)


def test_random_run_mixed():
    run(("b2", "b1"), 4000)


# ---- power cuts


class PowerCut(Exception):
    pass


class Cut(Flash):
    """Loses power at the n-th write, before or after it is durable."""

    def __init__(self, n, durable):
        super().__init__()
        self.n, self.durable = n, durable

    def write(self, data):
        self.n -= 1
        if not self.n and not self.durable:
            raise PowerCut
        super().write(data)
        if not self.n:
            raise PowerCut


def life(flash, steps):
    """A board under "b1" that runs for some steps, with a rekey and a clean stop in it."""
    client = account(policy="b1", flash=flash, limits=Limits(reserve=4))
    for i in range(steps):
        client.seal_request(get("a"))
        if i & 1:
            client.housekeep()
        if i == 9:
            server = account(SERVER, CLIENT)
            client.rekey()
            for path in ("probe", "a"):
                outer, binding = client.seal_request(get(path))
                try:
                    _, seen = server.open_request(wire(outer))
                    answer = server.seal_response(content(b"ok"), seen)
                except m.SecurityError as e:
                    answer = server.seal_response(m.Message(e.code), e.ex)
                client.open_response(wire(answer), binding)
            assert client.ready() and client.ctx.id_context
    client.save()


def test_power_is_cut_at_each_write():
    cuts = 0
    for durable in (False, True):
        for n in range(1, 100):
            recorder.forget()
            flash = Cut(n, durable)
            try:
                life(flash, 20)
                break
            except PowerCut:
                cuts += 1
            for steps in (3, 0, 12):
                life(flash, steps)
    print(cuts, "cuts")
    assert cuts > 15


# ---- R1 and R3


def frozen(n):
    return bytes(n)


def test_trap_20_200_restarts_with_a_frozen_generator():
    r1, r3 = set(), set()
    server = account(SERVER, CLIENT)
    for boot in range(1, 201):
        client = account(random=Fresh(b"0123456789abcdef", boot, frozen))
        outer, binding = client.seal_request(client.probe())
        r1.add(unbstr(decode_option(outer.opt(m.OSCORE))[2]))
        try:
            server.open_request(wire(outer))
        except m.SecurityError as e:
            answer = wire(server.seal_response(m.Message(e.code), e.ex))
        client.open_response(answer, binding)
        outer, _ = client.seal_request(get("a"))
        r3.add(unbstr(decode_option(outer.opt(m.OSCORE))[2])[8:])
    equal((len(r1), len(r3), len(r1 | r3)), (200, 200, 400))


def test_none_of_the_three_alone_makes_it_repeat():
    def first(seed, boot, urandom):
        return Fresh(seed, boot, urandom)(8)

    want = first(bytes(16), 1, frozen)
    equal(first(bytes(16), 1, frozen), want)
    assert first(bytes(16), 2, frozen) != want  # another boot
    assert first(bytes(16), 1, lambda n: b"\x01" * n) != want  # restored from a backup
    assert first(b"\x01" * 16, 1, frozen) != want  # another board
    fresh = Fresh(bytes(16), 1, frozen)
    equal(len({fresh(8) for _ in range(300)}), 300)
    equal(len(fresh(40)), 40)
    raises(ValueError, Fresh, bytes(15), 1, frozen)
