# Random and mutated datagrams into an Endpoint: nothing escapes, nothing grows.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# heapsize: 512K
#
# COAP_FUZZ: how many datagrams (10,000), COAP_FUZZ_SEED: the seed, else that of the clock.

import gc
import os
import random
import time

from coap.block import block_value
from coap.endpoint import Endpoint
from coap.message import (
    ACCEPT,
    ACK,
    BLOCK1,
    BLOCK2,
    CHANGED,
    CON,
    CONTENT,
    CONTENT_FORMAT,
    CONTINUE,
    ECHO,
    EMPTY,
    ETAG,
    FETCH,
    GET,
    IF_MATCH,
    NO_RESPONSE,
    NON,
    NOT_FOUND,
    OBSERVE,
    OSCORE,
    POST,
    PROXY_URI,
    PUT,
    REQUEST_TAG,
    RST,
    SIZE1,
    SIZE2,
    UNAUTHORIZED,
    URI_PATH,
    URI_QUERY,
    Error,
    FormatError,
    Message,
    decode,
    encode,
)
from coap.params import Params
import coap.outer  # noqa: F401  so that the heap does not shrink when it is first needed
from coap_net import Toy, bodies, exchanges, flying, outer_of, queue

COUNT = int(os.getenv("COAP_FUZZ") or 30000)
PEERS = ("p", "q")


def seeded():
    seed = int(os.getenv("COAP_FUZZ_SEED") or time.time_ns() // 1000 & 0xFFFFFF)
    print("seed", seed)
    random.seed(seed)


def noise(n):
    return bytes([random.getrandbits(8) for _ in range(n)])


def below(n):
    return random.getrandbits(24) % n


def some_value(number):
    if number in (BLOCK1, BLOCK2):
        return block_value(below(4), below(2), below(8))
    if number == OBSERVE:
        return below(3)
    if number in (URI_PATH, URI_QUERY):
        return noise(1) if below(20) == 0 else "abcd"[below(4)]
    return noise(below(5) if below(10) else 300)


REQUEST = (URI_PATH, URI_PATH, OBSERVE, BLOCK1, BLOCK2, SIZE1, ECHO, NO_RESPONSE, REQUEST_TAG, ACCEPT)
REPLY = (OBSERVE, BLOCK1, BLOCK2, BLOCK2, ETAG, ECHO, SIZE2, CONTENT_FORMAT)
NUMBERS = (
    URI_PATH, URI_PATH, OBSERVE, BLOCK1, BLOCK2, BLOCK1, SIZE1, SIZE2, ETAG, ECHO, NO_RESPONSE,
    REQUEST_TAG, ACCEPT, CONTENT_FORMAT, URI_QUERY, OSCORE, IF_MATCH, PROXY_URI, 9999, 65535,
)  # fmt: skip
CODES = (GET, POST, PUT, FETCH, CONTENT, CHANGED, CONTINUE, UNAUTHORIZED, NOT_FOUND, EMPTY)


class Victim:
    """An endpoint that does all it can do, and what it sent."""

    def __init__(self, hook):
        self.sent = []
        self.kept = []
        self.now = 0
        self.end = Endpoint(self.send, noise, self.handle, hook, Params(block_szx=1, max_body=300))
        self.end.wants = lambda request, peer: below(3) == 0
        self.end.on_error = self.fault

    def fault(self, e):
        raise_later.append(e)

    def send(self, data, peer):
        got = decode(bytes(data))
        if got.type < ACK:
            self.sent.append((got, peer))
            if len(self.sent) > 4:
                self.sent.pop(0)

    def handle(self, request, peer, responder):
        request.path()
        if request.uint(OBSERVE) == 0:
            responder.observe()
        way = below(6)
        if way == 0:
            raise Error(NOT_FOUND)
        if way == 1:
            self.kept.append(responder)
            return None
        if way == 2 and responder.more:
            return Message(CONTINUE)
        return Message(CONTENT, payload=bytes(below(400)))

    def live(self):
        """Something that an application does."""
        end = self.end
        way = below(8)
        peer = PEERS[below(2)]
        if way == 0:
            msg = Message(CODES[below(4)], payload=bytes(below(200)))
            end.request(msg, peer, self.now, self.answered, below(2) == 0, observe=below(2) == 0)
        elif way == 1 and exchanges(end) and below(4) == 0:
            end.cancel(exchanges(end)[below(len(exchanges(end)))])
        elif way == 2 and end.observations:
            observation = end.observations[below(len(end.observations))]
            code = NOT_FOUND if below(10) == 0 else CONTENT
            end.notify(observation, Message(code, payload=bytes(below(200))), self.now, below(2) == 0)
        elif way == 3 and self.kept:
            self.kept.pop().respond(Message(CHANGED, payload=bytes(below(100))), self.now)
        elif way == 4:
            end.ping(peer, self.now, None)
        elif way == 5:
            self.now += (10, 1000, 30000)[below(3)]
            end.poll(self.now)
        del self.kept[4:]

    def answered(self, exchange, response, error):
        if response is not None:
            bytes(response.payload)

    def check(self):
        end = self.end
        params = end.params
        assert len(end.entries) <= params.dedup_slots
        assert [seen[0] for seen in end.entries] == end.mids
        # Each may have one that fetches the rest of a notification, and these one that fetches
        # what a proxy cut off.
        assert len(exchanges(end)) <= 4 * params.max_exchanges
        if outer_of(end) is not None:
            assert len(outer_of(end).server.bodies) <= params.max_outer
        assert len(end.observations) <= params.max_observations
        assert len(bodies(end)) <= params.max_transfers
        assert len(flying(end)) <= 4 * params.max_exchanges + params.max_separate
        assert len(queue(end)) <= params.max_exchanges * 2 + params.max_observations
        for observation in end.observations:
            assert observation.key is not None


raise_later = []


def datagram(victim):
    """Something that may come from the network, and the peer it comes from."""
    way = below(8)
    peer = PEERS[below(2)]
    if way == 0:
        return noise(below(60)), peer
    if way == 1:
        return bytes([0x40 | random.getrandbits(6)]) + noise(3 + below(40)), peer
    bound = 0
    numbers = REQUEST if below(3) else NUMBERS
    if way < 5 and victim.sent:
        # An answer to something that was sent: an acknowledgement, a reset, a response.
        got, peer = victim.sent[below(len(victim.sent))]
        live = [exchange for exchange in exchanges(victim.end) if exchange.mid is not None]
        if live and below(4):
            got = live[below(len(live))]
            peer = got.peer
            bound = got.security or 0
        if below(3) == 0:
            return encode(Message(EMPTY, (ACK, ACK, RST)[below(3)], got.mid)), peer
        msg = Message(CODES[4 + below(5)], (ACK, ACK, NON, CON)[below(4)], got.mid, got.token)
        if below(4):
            numbers = REPLY
    else:
        msg = Message(CODES[below(10)], below(2), below(64), noise(below(3)))
    if msg.code:
        for _ in range(below(5)):
            number = numbers[below(len(numbers))]
            if numbers is NUMBERS or number == URI_PATH or msg.opt(number) is None:
                msg.add(number, some_value(number))
        msg.payload = bytes((0, 32, 32, 32, 20, 600)[below(6)])
        if victim.end.hook is not None and below(8):
            # Sealed by the peer, so that what is inside gets through.
            outer = victim.peer._seal(msg, bound, POST if 0 < msg.code < 32 else CHANGED)
            outer.type = msg.type
            outer.mid = msg.mid
            outer.token = msg.token
            msg = outer
            if below(6) == 0:
                # A proxy cut it, or says that it did.
                size = (16, 32)[below(2)]
                msg.payload = msg.payload[: size * (1 + below(2))]
                number = BLOCK1 if 0 < msg.code < 32 else BLOCK2
                msg.add(number, block_value(below(3), below(3), size >> 5))
    data = bytearray(encode(msg))
    if below(3) == 0:
        for _ in range(1 + below(3)):
            data[below(len(data))] = random.getrandbits(8)
    if below(10) == 0:
        data = data[: below(len(data) + 1)]
    return bytes(data), peer


def storm(hook, other=None):
    seeded()
    victim = Victim(hook)
    victim.peer = other
    free = None
    for i in range(COUNT):
        data, peer = datagram(victim)
        victim.now += below(200)
        try:
            victim.end.receive(data, peer, victim.now)
            if below(4) == 0:
                victim.live()
        except Exception:
            print("datagram", i, data.hex())
            raise
        if hook is not None:
            del hook.opened[:-4]
        if raise_later:
            print("datagram", i, data.hex())
            raise raise_later.pop()
        if i % 100 == 0:
            victim.check()
        if i == COUNT // 2:
            free = quiet(victim)
    after = quiet(victim)
    # One block for every hundred datagrams would be 4,800 bytes. What a conservative
    # collector takes for a pointer differs by up to 1,600, however many datagrams came.
    assert after >= free - COUNT // 10, "free heap went from %d to %d" % (free, after)
    counters = victim.end.counters
    print(dict(counters.items()))
    assert counters.requests > COUNT // 50 and counters.malformed > COUNT // 50
    assert counters.responses and counters.duplicates and counters.retransmitted and counters.timeouts


def quiet(victim):
    """End what runs, and the free heap then."""
    end = victim.end
    del victim.kept[:]
    del victim.sent[:]
    for observation in end.observations[:]:
        end.forget(observation)
    while end.next_wakeup() is not None:
        victim.now += 100000
        end.poll(victim.now)
        for exchange in exchanges(end)[:]:
            end.cancel(exchange)
    victim.now += 1000000
    for i in range(end.params.dedup_slots):
        end._remember(i, None, b"", victim.now)
    del end.entries[:]
    del end.mids[:]
    end._oldest = 0
    end._room = end.params.dedup_bytes
    del victim.sent[:]
    end.poll(victim.now)
    assert (exchanges(end), flying(end), queue(end), bodies(end)) == ([], [], [], [])
    assert outer_of(end) is None or not outer_of(end).server.bodies
    gc.collect()
    return gc.mem_free()


def test_plain_endpoint():
    storm(None)


def test_sealed_endpoint():
    storm(Toy(7), Toy(7))


def test_decoder():
    # Whatever decodes is encoded to the same message again.
    seeded()
    good = 0
    for _ in range(COUNT):
        data = bytes([0x40 | random.getrandbits(6)]) + noise(3 + below(30))
        try:
            msg = decode(data)
        except FormatError:
            continue
        good += 1
        again = decode(encode(msg))
        assert (again.type, again.code, again.mid, again.token) == (msg.type, msg.code, msg.mid, msg.token)
        assert [(n, bytes(v)) for n, v in again.options] == [(n, bytes(v)) for n, v in msg.options]
        assert bytes(again.payload) == bytes(msg.payload)
    assert good > COUNT // 100, good
