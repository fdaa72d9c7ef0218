# Two OSCORE accounts that face each other, for the tests of lib/oscore.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import gc

import coap.message as m
import oscore.context as context
from oscore import Account, Record

SECRET = bytes(range(16))
SALT = b"\x9e\x7c\xa9\x22\x23\x78\x63\x40"
CLIENT = b"Cl"
SERVER = b"Sr"


class Rand:
    """Reproducible bytes that do not repeat."""

    def __init__(self, seed=1):
        self.state = seed

    def bits(self, n):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
        return self.state >> (64 - n)

    def below(self, n):
        return self.bits(32) % n

    def __call__(self, n):
        return bytes(self.bits(8) for _ in range(n))


_random = Rand()


class Recorder:
    """Sees all uses of a sender key, and fails the test when a pair of key and nonce comes
    again: no message is sealed twice, since a retransmission repeats its bytes.

    Importing this file begins to record. used: number of pairs.
    """

    def __init__(self):
        self.keys = {}
        self.used = 0
        self.below = context.on_seal  # the whole run's recorder, tests/nonces
        context.on_seal = self

    def __call__(self, key, nonce, sealed):
        nonces = self.keys.get(key)
        if nonces is None:
            nonces = self.keys[key] = set()
        assert nonce not in nonces, "nonce used twice"
        nonces.add(nonce)
        self.used += 1
        if self.below:
            self.below(key, nonce, sealed)

    def forget(self):
        """What follows is another world, where the same keys are new."""
        self.keys.clear()
        if self.below:
            self.below.forget()


recorder = Recorder()
gc.threshold(50_000)  # so that what is recorded does not scatter over the heap


class forging:
    """with forging(): what is sealed is not recorded, as a test plays a peer that errs."""

    def __enter__(self):
        context.on_seal = None

    def __exit__(self, *_):
        context.on_seal = recorder


class Flash:
    """A place for a record; data survives the accounts."""

    def __init__(self):
        self.data = None
        self.writes = 0
        self.broken = False
        self.history = []

    def read(self):
        if self.data is False:
            raise ValueError("corrupt")
        return self.data

    def write(self, data):
        if self.broken:
            raise OSError(5)
        self.data = data
        self.history.append(data)
        self.writes += 1

    def record(self):
        return Record(self.read, self.write)


def account(sender=CLIENT, recipient=SERVER, policy="b2", random=None, flash=None, **kw):
    """An account with the secrets of this file."""
    if policy == "b1" and flash is None:
        flash = Flash()
    return Account(
        kw.pop("master_secret", SECRET),
        sender,
        recipient,
        kw.pop("master_salt", SALT),
        random=random or _random,
        persist=flash and flash.record(),
        policy=policy,
        **kw,
    )


def pair(policy="b1", **kw):
    """A client and a server that agree."""
    return account(policy=policy, **kw), account(SERVER, CLIENT, policy=policy, **kw)


_mid = 0


def wire(msg, token=b"\x01", kind=m.CON):
    """What arrives of a message."""
    global _mid
    _mid = (_mid + 1) & 0xFFFF
    msg.token = token
    msg.mid = _mid
    msg.type = kind
    return m.decode(m.encode(msg))


def get(*path):
    """A GET request."""
    msg = m.Message(m.GET)
    for part in path:
        msg.add(m.URI_PATH, part)
    return msg


def content(payload=b"", code=m.CONTENT):
    """A response."""
    return m.Message(code, payload=payload)


def same(a, b):
    """Whether two messages say the same."""
    return (
        a.code == b.code
        and bytes(a.payload) == bytes(b.payload)
        and [(n, bytes(v)) for n, v in a.options] == [(n, bytes(v)) for n, v in b.options]
    )


def serve(account, outer, response=None, **kw):
    """What an endpoint with this hook does with a request: (inner request or None, outer
    response as it arrives)."""
    try:
        inner, binding = account.open_request(outer)
    except m.SecurityError as e:
        answer = m.Message(e.code)
        for number, value in e.options:
            answer.add(number, value)
        if e.ex is not None:
            answer = account.seal_response(answer, e.ex)
        return None, wire(answer, outer.token, m.ACK)
    answer = account.seal_response(response or content(b"ok"), binding, **kw)
    return inner, wire(answer, outer.token, m.ACK)


def exchange(client, server, request=None, response=None):
    """One request there and its response back: the inner response."""
    outer, binding = client.seal_request(request or get("3", "0"))
    _, answer = serve(server, wire(outer), response)
    return client.open_response(answer, binding)


def ready(client, server):
    """Run Appendix B.2 to its end."""
    assert exchange(client, server, client.probe()).code == m.UNAUTHORIZED
    assert client.state == "b2-2"
    assert exchange(client, server).code == m.CONTENT
    assert client.state == server.state == "ready"
