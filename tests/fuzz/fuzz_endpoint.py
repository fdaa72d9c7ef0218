# A sealed endpoint, and a plain one, under datagrams that are good, forged, cut and repeated.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import coap.late  # noqa: F401  this and what follows: loaded here and not while it runs
import coap.message as m
import coap.outer  # noqa: F401
import coap.sending  # noqa: F401
from bodies import decode_body
from coap.block import block_value
from coap.endpoint import Endpoint as _Endpoint
from coap.params import Params
from coap_net import bodies, exchanges, flying, outer_of, queue
from fuzz_targets import Input
from oscorepair import CLIENT, SERVER, Flash, Rand, account, forging, recorder

STEPS = 24
PEERS = ("p", "q")


class Handler:
    """An application that does a bit of everything, as the path says."""

    def __init__(self, target):
        self.target = target
        self.kept = []

    def __call__(self, request, peer, responder):
        path = request.path()
        self.target.handled += 1
        if request.uint(m.OBSERVE) == 0:
            responder.observe()
        if path == ["e"]:
            raise m.Error(m.UNAUTHORIZED, "", ((m.ECHO, b"12345678"),))
        if path == ["s"]:
            if len(self.kept) < 3:
                self.kept.append(responder)
            return None
        if path == ["l"]:
            return m.Message(m.CONTENT, payload=bytes(300))
        if path == ["f"]:
            return m.Message(m.CONTENT, payload=lambda offset, n: bytes(max(0, min(n, 200 - offset))))
        if responder.more:
            return m.Message(m.CONTINUE)
        return m.Message(m.CHANGED, payload=bytes(request.payload))


class Endpoint:
    """Steps of two bytes, the second one says how long what follows is."""

    def __init__(self):
        self.fault = None

    def seeds(self):
        get = b"\x01\xb1l"
        put = b"\x03\xb1x\xd1\x03\x09\xff" + bytes(32)
        out = []
        for sealed in (0, 1):
            head = bytes((sealed,))
            for text in (get, put, b"\x01\x60\x51s", b"\x01\xb1e", b"\x01\xb1f", b"\x45\xffok", b"\x5f\xd1\x0e\x09"):
                out.append(head + b"\1" + self.piece(text) + b"\5\2\4\0")
                out.append(head + b"\3\x48\2" + self.piece(text) + b"\5\0\2" + self.piece(b"\x45\x61\5\xffx") + b"\4\1")
                out.append(head + b"\7" + self.piece(text, 1) + b"\7" + self.piece(text, 2) + b"\1" + self.piece(text))
            out.append(head + b"\3\2\2" + self.piece(b"\x45\x60\xd1\x0a\x08\xff" + bytes(32)) + b"\6\0\6\1")
            out.append(head + b"\0" + self.piece(m.encode(m.Message(m.GET, m.CON, 7, b"t").add(m.URI_PATH, "x"))))
        return out

    def piece(self, text, how=0):
        return bytes((how, len(text))) + text

    def __call__(self, data):
        data = Input(data)
        recorder.forget()
        how = data.byte()
        rand = Rand(7)
        self.peer = hook = None
        if how & 1:
            self.peer = account(CLIENT, SERVER, "b1", rand, Flash())
            hook = account(SERVER, CLIENT, "b1", rand, Flash())
        self.now = 1000
        self.sent = []
        self.past = []
        self.mid = 0
        self.handled = 0
        self.handler = Handler(self)
        params = Params(block_szx=1, max_body=256, max_exchanges=3, max_observations=2, dedup_slots=4)
        self.end = _Endpoint(self.send, rand, self.handler, hook, params)
        self.end.on_error = self.failed
        self.end.wants = lambda request, peer: request.path() == ["w"]
        for _ in range(STEPS):
            if not data.left():
                break
            self.step(data.byte() % 9, data.byte(), data)
            self.check()
        self.quiet()

    def send(self, data, peer):
        msg = m.decode(bytes(data))
        assert len(data) <= 600
        if msg.type < m.ACK:
            self.sent.append((msg, peer))
            if len(self.sent) > 4:
                self.sent.pop(0)

    def failed(self, e):
        self.fault = e

    def receive(self, datagram, peer="p"):
        self.past.append(datagram)
        if len(self.past) > 6:
            self.past.pop(0)
        self.end.receive(datagram, peer, self.now)

    def lasting(self):
        """What nothing may change that is not authentic."""
        end = self.end
        ctx = end.hook.ctx
        return (
            self.handled, ctx.window.highest, ctx.window.missing, ctx.seq, len(end.entries),
            len(end.observations), [(b.key, b.used) for b in bodies(end)],
            [e.done for e in exchanges(end) if not e.sealed], queue(end)[:],
        )  # fmt: skip

    def step(self, op, arg, data):
        end = self.end
        self.now += arg >> 4
        if op == 0:
            # Whatever it is: where the peer has keys it is not sealed with them.
            datagram = data.some()
            if self.peer is None:
                self.receive(datagram, PEERS[arg & 1])
            else:
                before = self.authentic()
                self.receive(datagram, PEERS[arg & 1])
                if datagram not in before[1] and not self.plain_error(datagram):
                    assert self.lasting() == before[0], (before[0], self.lasting())
        elif op == 1 or op == 7:
            self.request(arg, data.some(), op == 7)
        elif op == 2 and self.sent:
            self.response(arg, data.some())
        elif op == 3:
            msg = m.Message((m.GET, m.PUT, m.FETCH, m.POST)[arg & 3], payload=bytes(arg >> 2 & 0x3C))
            end.request(msg.add(m.URI_PATH, "x"), "p", self.now, self.answered, arg & 4 == 0, observe=arg & 8 != 0)
        elif op == 4:
            self.now += (1, 100, 3000, 100000)[arg & 3]
            end.poll(self.now)
        elif op == 5 and self.sent:
            msg, peer = self.sent[arg % len(self.sent)]
            self.receive(m.encode(m.Message(m.EMPTY, m.ACK if arg & 16 else m.RST, msg.mid)), peer)
        elif op == 6:
            if arg & 1 and self.handler.kept:
                self.handler.kept.pop().respond(m.Message(m.CONTENT, payload=bytes(arg)), self.now)
            elif end.observations:
                code = m.NOT_FOUND if arg & 64 else m.CONTENT
                end.notify(end.observations[0], m.Message(code, payload=bytes(arg)), self.now, arg & 2 != 0)
        elif op == 8 and self.past:
            self.end.receive(self.past[arg % len(self.past)], PEERS[arg >> 7], self.now)

    def authentic(self):
        return self.lasting(), self.past[:]

    def plain_error(self, datagram):
        # What acknowledges, resets or is an error to a sealed request needs no keys.
        try:
            msg = m.decode(datagram)
        except m.FormatError:
            return False
        return not 0 < msg.code < 32

    def seal(self, text, nonce, aad, code, option):
        """An outer message with that code, options and payload in it."""
        inner = m.Message(text[0] if text else 1)
        try:
            inner.options, inner.payload = decode_body(memoryview(text), 1)
        except m.FormatError:
            pass
        if self.peer is None:
            return inner
        from oscore.message import seal

        kept = [o for o in inner.options if o[0] != m.OSCORE and o[0] != m.PROXY_URI]
        inner.options = kept
        with forging():
            return seal(self.peer.ctx, inner, code, option, nonce, aad)

    def request(self, arg, text, cut):
        nonce = aad = option = None
        if self.peer is not None:
            from oscore.message import encode_option

            ctx = self.peer.ctx
            piv = self.peer._number(ctx)
            nonce, aad = ctx.nonce(True, piv), ctx.request(True, piv)[2]
            option = encode_option(piv, CLIENT)
        outer = self.seal(text, nonce, aad, m.FETCH if arg & 8 else m.POST, option)
        if not 0 < outer.code < 32:
            outer.code = m.GET
        self.deliver(outer, arg, m.BLOCK1 if cut else None)

    def deliver(self, outer, arg, number, kind=None, mid=None, token=None, peer="p"):
        """Send a message, cut by a proxy where number says by which option; arg & 4: forged."""
        if mid is None:
            self.mid += 1
        payload = bytes(outer.payload)
        if arg & 4 and payload:
            payload = payload[:-1] + bytes((payload[-1] ^ 1,))
        size = 32
        blocks = (len(payload) + size - 1) // size if number else 1
        for i in range(blocks):
            msg = m.Message(outer.code, kind if kind is not None else arg & 1, self.mid if mid is None else mid)
            msg.token = b"t" if token is None else token
            msg.options = outer.options[:]
            msg.payload = payload
            if number:
                msg.payload = payload[i * size : i * size + size]
                msg.set(number, block_value(i, i < blocks - 1, 1))
                self.mid += 1
            before = None
            if arg & 4 and self.peer is not None and 0 < msg.code < 32:
                before = self.lasting()
            self.receive(m.encode(msg), peer)
            if before is not None:
                assert self.lasting() == before, (before, self.lasting())
            if number == m.BLOCK2:
                break  # the rest is asked for, and answered by another step

    def response(self, arg, text):
        msg, peer = self.sent[arg % len(self.sent)]
        outer = None
        if self.peer is not None:
            from oscore.message import decode_option, encode_option

            try:
                piv = decode_option(msg.opt(m.OSCORE, b""))[0]
            except ValueError:
                piv = None
            if piv is not None and 0 < msg.code < 32:
                ctx = self.peer.ctx
                aad = ctx.request(False, piv)[2]
                option = b""
                nonce = ctx.nonce(False, piv)
                if arg & 16:
                    own = self.peer._number(ctx)
                    option = encode_option(own)
                    nonce = ctx.nonce(True, own)
                outer = self.seal(text, nonce, aad, m.CONTENT, option)
        if outer is None:
            outer = self.seal(text, None, None, m.CONTENT, b"") if self.peer is None else m.Message(m.BAD_REQUEST)
        if not 64 <= outer.code < 192:
            outer.code = m.CONTENT
        kind = (m.ACK, m.ACK, m.NON, m.CON)[arg >> 2 & 3]
        cut = m.BLOCK2 if arg & 32 and self.peer is not None else None
        self.deliver(outer, arg & 3, cut, kind, msg.mid if kind == m.ACK else None, msg.token, peer)

    def answered(self, exchange, response, error):
        if response is not None:
            bytes(response.payload)

    def check(self):
        if self.fault is not None:
            fault, self.fault = self.fault, None
            raise fault
        end = self.end
        params = end.params
        assert len(end.entries) <= params.dedup_slots
        assert len(exchanges(end)) <= 4 * params.max_exchanges
        assert len(end.observations) <= params.max_observations
        assert len(bodies(end)) <= params.max_transfers
        if outer_of(end) is not None:
            assert len(outer_of(end).server.bodies) <= params.max_outer

    def quiet(self):
        """In the end all of it goes away."""
        end = self.end
        for observation in end.observations[:]:
            end.forget(observation)
        for _ in range(60):
            for exchange in exchanges(end)[:]:
                end.cancel(exchange)
            wake = end.next_wakeup()
            if wake is None:
                break
            self.now = max(self.now, wake)
            end.poll(self.now)
        self.check()
        assert not exchanges(end) and not flying(end) and not queue(end) and not bodies(end)
        assert outer_of(end) is None or not outer_of(end).server.bodies
