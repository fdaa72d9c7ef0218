# Targets with state: what an account refuses leaves it as it was, but for its counters.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import coap.message as m
from check import equal
from fuzz_targets import Input, some
from oscore.account import Account
from oscore.derive import bstr
from oscore.limits import Limits
from oscore.message import decode_option, encode_option, seal
from oscorepair import CLIENT, SALT, SECRET, SERVER, Flash, Rand, forging, recorder

REFUSED = (m.BAD_REQUEST, m.UNAUTHORIZED, m.BAD_OPTION)
# Nothing is sealed in so few numbers as here; under "b1" a reservation comes in between.
LIMITS = Limits(reserve=4, window=8)

_mid = 0


def wire(msg, kind=m.CON, token=b"\x01"):
    """What arrives of a message, as bytes."""
    global _mid
    _mid = (_mid + 1) & 0xFFFF
    msg.type = kind
    msg.mid = _mid
    msg.token = token
    return m.encode(msg)


def get(*options):
    msg = m.Message(m.GET).add(m.URI_PATH, "3").add(m.URI_PATH, "0")
    for number, value in options:
        msg.add(number, value)
    return msg


def context_state(ctx):
    if ctx is None:
        return None
    window = ctx.window
    return (
        bytes(ctx.sender_key), bytes(ctx.recipient_key), ctx.id_context, ctx.seq, ctx.reserved,
        ctx.sealed, ctx.live(), window and (window.size, window.highest, window.missing),
    )  # fmt: skip


def state(account):
    """All that an account remembers, but for counters."""
    keep = account._keep
    return (
        account.state, account.generation, account._rekey, account._trying, account._worn,
        account._echo, account._ask, tuple(account._r2), account._patience,
        context_state(account.ctx), context_state(account._pending), context_state(account._first),
        keep and (keep.show, keep.dirty, keep.late, keep.ctx is account.ctx),
    )  # fmt: skip


def binding_state(binding):
    return (
        binding.fetch, binding.observe, binding.number, binding.own, binding.kid_context,
        binding.nonce, binding.piv, binding.ctx,
    )  # fmt: skip


class Side:
    """An account with its flash, that can be restarted."""

    def __init__(self, own, other, policy, rand):
        self.args = (own, other, policy, rand)
        self.flash = Flash()
        self.start()

    def start(self):
        own, other, policy, rand = self.args
        self.account = Account(
            SECRET, own, other, SALT, random=rand, persist=self.flash.record(), policy=policy,
            limits=LIMITS,
        )  # fmt: skip

    def serve(self, data, response=None):
        """What an endpoint does with a request: the answer as it arrives, or None."""
        account = self.account
        try:
            inner, binding = account.open_request(m.decode(data))
        except m.SecurityError as e:
            answer = m.Message(e.code)
            for number, value in e.options:
                answer.add(number, value)
            if e.ex is None:
                return wire(answer, m.ACK)
            binding = e.ex
        else:
            assert 0 < inner.code < 32
            answer = response or m.Message(m.CONTENT, payload=b"ok")
            if response is None and inner.opt(m.OBSERVE) is not None:
                answer.add(m.OBSERVE, 0)
        try:
            return wire(account.seal_response(answer, binding), m.ACK)
        except m.Error:
            return None  # no numbers: flash is broken, or the context is gone


def pair(policy="b1"):
    recorder.forget()
    rand = Rand(1)
    return Side(CLIENT, SERVER, policy, rand), Side(SERVER, CLIENT, policy, rand)


def exchange(client, server, msg=None):
    outer, binding = client.account.seal_request(msg or get())
    return client.account.open_response(m.decode(server.serve(wire(outer))), binding)


def ready(client, server):
    exchange(client, server, client.account.probe())
    exchange(client, server)
    equal((client.account.state, server.account.state), ("ready", "ready"))


def sealed(side, *options):
    outer, _ = side.account.seal_request(get(*options))
    return wire(outer)


# ---- Scenes for requests: each gives the account that receives, and samples.


def _in_use():
    client, server = pair()
    exchange(client, server)
    samples = [sealed(client), sealed(client, (m.OBSERVE, 0)), sealed(client, (m.ECHO, b"1" * 8))]
    server.serve(samples[0])  # a replay by now
    return server, samples


def _restarted():
    client, server = pair()
    exchange(client, server)
    server.start()
    return server, [sealed(client), sealed(client)]


def _challenged():
    client, server = pair()
    exchange(client, server)
    server.start()
    answer = server.serve(sealed(client))  # Echo, which lies inside
    echo = server.account._echo
    assert answer and echo
    return server, [sealed(client), sealed(client, (m.ECHO, echo))]


def _asking():
    client, server = pair()
    exchange(client, server)
    server.account.challenge()
    return server, [sealed(client)]


def _new():
    client, server = pair("b2")
    return server, [wire(client.account.seal_request(client.account.probe())[0])]


def _told_r2():
    client, server = pair("b2")
    exchange(client, server, client.account.probe())
    return server, [sealed(client), sealed(client)]


def _agreed():
    client, server = pair("b2")
    ready(client, server)
    samples = [sealed(client), sealed(client, (m.OBSERVE, 0))]
    client.account.rekey()
    samples.append(sealed(client))
    return server, samples


def _in_third():
    client, server = pair("b2")
    exchange(client, server, client.account.probe())
    server.serve(sealed(client))  # its answer is lost
    return client, [sealed(server), sealed(server)]


def _in_first():
    client, server = pair("b2")
    client.account.seal_request(client.account.probe())
    other, _ = pair("b2")
    return client, [wire(other.account.seal_request(get())[0])]


class Request:
    """A datagram to an account in one of many states."""

    scenes = (_in_use, _restarted, _challenged, _asking, _new, _told_r2, _agreed, _in_third, _in_first)

    def __init__(self):
        # What was sealed in any scene: some have the same keys.
        self.genuine = set()
        self.now = [self.begin(scene) for scene in self.scenes]

    def begin(self, scene):
        side, samples = scene()
        for sample in samples:
            self.genuine.add(self.essence(m.decode(sample)))
        return side, state(side.account), side.flash.data, samples

    def essence(self, msg):
        piv, kid, _ = decode_option(msg.opt(m.OSCORE))
        return piv, kid and bytes(kid), bytes(msg.payload)

    def seeds(self):
        out = []
        for i, scene in enumerate(self.now):
            out += [bytes((i,)) + sample for sample in scene[3]]
        return out

    def __call__(self, data):
        i = data[0] % len(self.scenes) if data else 0
        try:
            msg = m.decode(data[1:])
        except m.FormatError:
            return
        if not 0 < msg.code < 32:
            return
        side, before, flash, _ = self.now[i]
        account = side.account
        try:
            inner, binding = account.open_request(msg)
            assert 0 < inner.code < 32 and inner.opt(m.OSCORE) is None
        except m.SecurityError as e:
            binding = e.ex
            if binding is None and e.text != "challenged":
                assert e.code in REFUSED and not e.options
                equal(state(account), before)
                equal(side.flash.data, flash)
                return
        recorder.forget()  # of the other scenes, which have the same keys
        # Verified: then it is what the peer sealed, whatever else was changed.
        assert self.essence(msg) in self.genuine, "forged"
        if binding is not None:
            account.seal_response(m.Message(m.CONTENT), binding)
        self.now[i] = self.begin(self.scenes[i])


# ---- Scenes for responses: what receives, what it is bound to, and samples.


def _got():
    client, server = pair()
    exchange(client, server)
    outer, binding = client.account.seal_request(get())
    return client, binding, [server.serve(wire(outer)), wire(m.Message(m.UNAUTHORIZED))]


def _observing():
    client, server = pair()
    outer, binding = client.account.seal_request(get((m.OBSERVE, 0)))
    _, seen = server.account.open_request(m.decode(wire(outer)))
    samples = []
    for n in range(4):
        msg = m.Message(m.CONTENT, payload=b"value").add(m.OBSERVE, n).add(m.CONTENT_FORMAT, 0)
        samples.append(wire(server.account.seal_response(msg, seen, True), m.NON))
    client.account.open_response(m.decode(samples[1]), binding)
    return client, binding, samples


def _first_asked():
    client, server = pair("b2")
    outer, binding = client.account.seal_request(client.account.probe())
    return client, binding, [server.serve(wire(outer))]


def _third_asked():
    client, server = pair("b2")
    exchange(client, server, client.account.probe())
    outer, binding = client.account.seal_request(get())
    return client, binding, [server.serve(wire(outer))]


def _peer_forgot():
    client, server = pair("b2")
    ready(client, server)
    client.account.learned()
    server.start()
    outer, binding = client.account.seal_request(get())
    return client, binding, [server.serve(wire(outer))]


def _asked_for_echo():
    client, server = pair()
    exchange(client, server)
    server.account.challenge()
    outer, binding = client.account.seal_request(get())
    return client, binding, [server.serve(wire(outer))]


class Response:
    """A datagram to an account that waits for a response in one of many states."""

    scenes = (_got, _observing, _first_asked, _third_asked, _peer_forgot, _asked_for_echo)

    def __init__(self):
        self.genuine = set()
        self.now = [self.begin(scene) for scene in self.scenes]

    def begin(self, scene):
        side, binding, samples = scene()
        for sample in samples:
            self.genuine.add(bytes(m.decode(sample).payload))
        before = state(side.account), binding_state(binding)
        return side, binding, before, side.flash.data, samples

    def seeds(self):
        out = []
        for i, scene in enumerate(self.now):
            out += [bytes((i,)) + sample for sample in scene[4]]
        return out

    def __call__(self, data):
        i = data[0] % len(self.scenes) if data else 0
        try:
            msg = m.decode(data[1:])
        except m.FormatError:
            return
        if not 64 <= msg.code < 192:
            return
        side, binding, before, flash, _ = self.now[i]
        account = side.account
        try:
            inner = account.open_response(msg, binding)
        except (m.SecurityError, m.PlainError):
            equal((state(account), binding_state(binding)), before)
            equal(side.flash.data, flash)
            return
        assert bytes(msg.payload) in self.genuine and len(msg.payload), "forged"
        assert 64 <= inner.code < 192 and inner.opt(m.OSCORE) is None
        account.again(inner)
        self.now[i] = self.begin(self.scenes[i])


# ---- What a peer that has the keys may seal


class Inside:
    """Any plain text, under any kid context, that an account verifies."""

    def __init__(self):
        self.scenes = (self.request, self.first, self.third, self.response, self.notified, self.second)

    def seeds(self):
        out = []
        texts = [b"\x01\xb13", b"\x45\xffok", b"\x81\xd1\xef\x0812345678", b"\x02\x60\xb1a\xffx", b"\x45\x61\x05\xff1"]
        for i in range(len(self.scenes)):
            for text in texts:
                for r in (b"", b"12345678", bytes(24)):
                    out.append(bytes((i,)) + some(r, b"\x09\0C") + text)
        return out

    def sealed(self, ctx, text, code, option, ours, piv, outside):
        """A message with that plain text in it, and what else may stand outside."""
        with forging():
            outer = seal(ctx, m.Message(text[0] if text else 1), code, option, ctx.nonce(*ours), ctx.request(*piv)[2])
            buf = bytearray(text or b"\x01")
            n = len(buf)
            buf.extend(bytes(ctx.tag_len))
            ctx.seal(ctx.nonce(*ours), buf, n, ctx.request(*piv)[2])
        outer.payload = buf
        if outside:
            number = outside[0] << 1 & 0x1FE | (len(outside) & 1)
            if number != m.OSCORE:
                outer.add(number, outside[1:])
        return m.decode(wire(outer))

    def __call__(self, data):
        data = Input(data)
        scene = self.scenes[data.below(len(self.scenes))]
        scene(data.some(), data.some(), data.rest())

    def asked(self, side, msg):
        """Open a request of whom has the keys."""
        account = side.account
        before = state(account)
        try:
            inner, binding = account.open_request(msg)
        except m.SecurityError as e:
            if e.ex is None:
                equal(state(account), before)
                return
            binding = e.ex
            inner = None
        if inner is not None:
            assert 0 < inner.code < 32 and inner.opt(m.OSCORE) is None
            numbers = [n for n, _ in inner.options]
            equal(numbers, sorted(numbers))
            for ask in (inner.path,):
                try:
                    ask()
                except m.Error:
                    pass
        account.seal_response(m.Message(m.CONTENT, payload=b"x"), binding)

    def request(self, r, outside, text):
        client, server = pair()
        ctx = client.account.ctx
        option = encode_option(b"\0", CLIENT, r or None)
        self.asked(server, self.sealed(ctx, text, m.POST, option, (True, b"\0"), (True, b"\0"), outside))

    def first(self, r, outside, text):
        client, server = pair("b2")
        try:
            ctx = client.account.derive(r)
        except m.Error:
            return
        option = encode_option(b"\x05", CLIENT, bstr(r))
        self.asked(server, self.sealed(ctx, text, m.FETCH, option, (True, b"\x05"), (True, b"\x05"), outside))

    def third(self, r, outside, text):
        client, server = pair("b2")
        exchange(client, server, client.account.probe())
        try:
            ctx = client.account.derive(server.account._r2[0] + r)
        except m.Error:
            return
        option = encode_option(b"\0", CLIENT, bstr(ctx.id_context))
        self.asked(server, self.sealed(ctx, text, m.POST, option, (True, b"\0"), (True, b"\0"), outside))

    def answered(self, side, msg, binding):
        account = side.account
        before = state(account), binding_state(binding)
        try:
            inner = account.open_response(msg, binding)
        except (m.SecurityError, m.PlainError):
            equal((state(account), binding_state(binding)), before)
            return
        assert 64 <= inner.code < 192 and inner.opt(m.OSCORE) is None
        again = account.again(inner)
        msg = get()
        for number, value in again or ():
            msg.add(number, value)
        account.seal_request(msg)

    def response(self, r, outside, text):
        client, server = pair()
        _, binding = client.account.seal_request(get())
        ctx = server.account.ctx
        option = encode_option(b"", None, r or None)
        msg = self.sealed(ctx, text, m.CHANGED, option, (False, binding.piv), (False, binding.piv), outside)
        self.answered(client, msg, binding)

    def notified(self, r, outside, text):
        client, server = pair()
        _, binding = client.account.seal_request(get((m.OBSERVE, 0)))
        ctx = server.account.ctx
        piv = r[:5] or b"\0"
        if len(piv) > 1 and not piv[0]:
            return
        option = encode_option(piv)
        msg = self.sealed(ctx, text, m.CONTENT, option, (True, piv), (False, binding.piv), outside)
        self.answered(client, msg, binding)

    def second(self, r, outside, text):
        client, server = pair("b2")
        _, binding = client.account.seal_request(client.account.probe())
        first = client.account._first
        try:
            ctx = server.account.derive(r + first.id_context)
        except m.Error:
            return
        option = encode_option(b"", None, bstr(r))
        nonce = first.nonce(True, binding.piv)
        msg = self.sealed(_Bound(ctx, nonce), text, m.CHANGED, option, (), (False, binding.piv), outside)
        self.answered(client, msg, binding)


class _Bound:
    # A context whose nonce is another's, as in message 2 of Appendix B.2.
    def __init__(self, ctx, nonce):
        self._nonce = nonce
        self.request = ctx.request
        self.seal = ctx.seal
        self.tag_len = ctx.tag_len

    def nonce(self):
        return self._nonce


# ---- Two accounts on a bad network, with restarts


class Life:
    """Whatever happens on the way, no nonce is used twice, nothing but what is announced is
    raised, and in the end a request is answered."""

    def seeds(self):
        out = []
        for policies in range(4):
            head = bytes((policies,))
            # a request there and back, a restart of either side, a rekey in between
            for between in (b"", b"\x05\0", b"\x06\0", b"\x07\0", b"\x06\0\x05\0", b"\x09\0", b"\x0b\0"):
                out.append(head + b"\0\0\1\0\1\0\0\0\1\0\1\0" + between + b"\0\1\1\0\1\0\0\0\1\0\1\0")
        return out + [b"\0\0\0\3\0\1\0\1\0\1\0\1\0", b"\3\x0c\0\1\0\1\0\x0c\0\1\0\1\0"]

    def __call__(self, data):
        data = Input(data)
        recorder.forget()
        rand = Rand(1)
        policies = data.byte()
        self.sides = (
            Side(CLIENT, SERVER, ("b1", "b2")[policies & 1], rand),
            Side(SERVER, CLIENT, ("b1", "b2")[policies >> 1 & 1], rand),
        )
        # What is under way: (to, datagram, binding or None for a request)
        self.air = []
        for _ in range(40):
            if not data.left():
                break
            self.step(data.byte(), data.byte())
        for side in self.sides:
            side.flash.broken = False
            side.account.abandon()
        self.settle(self.sides[0], self.sides[1])

    def step(self, op, arg):
        sides = self.sides
        side = sides[arg & 1]
        account = side.account
        op %= 14
        if op == 0 and len(self.air) < 8:
            self.send(arg & 1, get((m.OBSERVE, 0)) if arg & 2 else get())
        elif op == 1 and self.air:
            self.deliver(*self.air.pop(arg % len(self.air)))
        elif op == 2 and self.air:
            self.air.pop(arg % len(self.air))
        elif op == 3 and self.air and len(self.air) < 8:
            self.air.append(self.air[arg % len(self.air)])
        elif op == 4 and self.air:
            to, datagram, binding = self.air.pop(arg % len(self.air))
            datagram = bytearray(datagram)
            datagram[-1 - (arg >> 3) % min(len(datagram), 24)] ^= 1 << (arg & 7)
            self.deliver(to, bytes(datagram), binding)
        elif op == 5:
            side.start()
        elif op == 6:
            try:
                account.save()
            except OSError:
                pass
            side.start()
        elif op == 7:
            account.rekey()
        elif op == 8:
            account.abandon()
        elif op == 9:
            account.challenge()
        elif op == 10:
            try:
                account.housekeep()
            except OSError:
                pass
        elif op == 11:
            side.flash.broken = not side.flash.broken
        elif op == 12 and account.state != "ready":
            self.send(arg & 1, account.probe())
        elif op == 13:
            account.recover()

    def send(self, who, msg):
        try:
            outer, binding = self.sides[who].account.seal_request(msg)
        except m.Error:
            return
        self.air.append((1 - who, wire(outer), (who, self.sides[who].account, binding)))

    def deliver(self, to, datagram, bound):
        try:
            msg = m.decode(datagram)
        except m.FormatError:
            return
        side = self.sides[to]
        if 0 < msg.code < 32:
            answer = side.serve(datagram)
            if answer is not None and bound is not None:
                self.air.append((bound[0], answer, bound))
            return
        if not 64 <= msg.code < 192 or bound is None or bound[1] is not side.account:
            return
        try:
            inner = side.account.open_response(msg, bound[2])
        except m.PlainError:
            side.account.recover()
            return
        except m.SecurityError:
            return
        again = side.account.again(inner)
        if again is not None and len(self.air) < 8:
            self.send(to, get(*again))

    def settle(self, client, server):
        """One request answered, with all that it takes."""
        options = ()
        for _ in range(16):
            account = client.account
            try:
                outer, binding = account.seal_request(get(*options))
            except m.Error:
                raise AssertionError("no number")
            options = ()
            answer = server.serve(wire(outer))
            if answer is None:
                continue
            try:
                inner = account.open_response(m.decode(answer), binding)
            except m.PlainError:
                account.recover()
                continue
            except m.SecurityError:
                continue
            if inner.code == m.CONTENT:
                return
            options = account.again(inner) or ()
        raise AssertionError("no answer any more")
