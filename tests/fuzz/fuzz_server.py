# What a server asks of the device, and a Bootstrap-Server: refused whole, or carried out.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import coap.message as m
import lwm2m.bootstrap as bootstrap
import lwm2m.reporting as reporting
from bodies import decode_body, encode_body
from check import equal
from coap.endpoint import Endpoint
from fuzz_targets import Input, some
from lwm2m import BOOLEAN, CORELNK, E, FLOAT, INTEGER, MULTI, OBJLNK, OPAQUE, R, RW, STRING, TIME, UNSIGNED
from lwm2m import Client, Instance
from lwm2m.objects.device import Device
from lwm2m.objects.accounts import OSCORE

CONFIG = {
    0: {
        0: {0: "coap://h", 10: 123, 17: (21, 0)},
        1: {0: "coap://b", 1: True, 17: (21, 1)},
    },
    1: {0: {0: 123}},
    21: {
        0: {0: b"0123456789abcdef", 1: b"C", 2: b"S"},
        1: {0: b"0123456789abcdef", 1: b"C", 2: b"B"},
    },
}
SECRET = b"0123456789abcdef"
# Time and free memory of Device: not of our doing.
MOVING = ((3, 10), (3, 13))


class Thing(Instance):
    """A resource of each type."""

    OID = 9
    MULTIPLE = CREATE = True
    TABLE = (
        (0, RW, STRING, "text"),
        (1, RW, INTEGER, "integer"),
        (2, RW, UNSIGNED, "unsigned"),
        (3, RW, FLOAT, "float"),
        (4, RW, BOOLEAN, "boolean"),
        (5, RW, OPAQUE, "opaque"),
        (6, RW, TIME, "time"),
        (7, RW, OBJLNK, "link"),
        (8, R, CORELNK, "links"),
        (9, E, None, "kick"),
        (101, RW | MULTI, INTEGER, "numbers"),
    )
    text = "x"
    integer = -7
    unsigned = 7
    float = 0.5
    boolean = True
    opaque = b"o"
    time = 1000
    link = (3, 0)
    links = "</3>"
    numbers = None

    def kick(self, arguments):
        if len(arguments) > 3:
            raise ValueError("arguments")
        return lambda: None

    def validate(self):
        if self.integer == 13:
            raise ValueError("integer")


class Hook:
    """In place of the keys, which nothing here needs."""

    generation = 0
    state = "ready"
    counters = {name: 0 for name in ("undecodable", "unknown", "replayed", "failed")}

    def ready(self):
        return True

    def wipe(self):
        pass


class Responder:
    def __init__(self):
        self.room = True

    def observe(self):
        return Handle() if self.room else None


class Handle:
    on_cancel = None


def client(objects):
    out = Client("fuzz", secure=lambda security, keys: Hook(), log=lambda line: None, random=bytes)
    out.model.define(OSCORE)
    out.add(Device(manufacturer="m"))
    thing = Thing()
    thing.numbers = {0: 1, 300: -2}
    out.add(thing)
    out.now = lambda: 1000
    out.faults = []
    out.on_error = out.faults.append
    out.kick = lambda: None
    out.load(objects)
    return out


def all_of(model):
    """Every value of the model."""
    out = []
    for oid in sorted(model.objects):
        for instance in model.instances(oid):
            out.append((oid, instance.iid))
            for row in instance.TABLE:
                if not row[1] & E and (oid, row[0]) not in MOVING:
                    value = getattr(instance, row[3], None)
                    if isinstance(value, dict):
                        value = sorted(value.items())
                    out.append((row[0], None if callable(value) else value))
    return out


def requests(data, most):
    """Messages as some(): code, options and payload."""
    data = Input(data)
    out = []
    while data.left() and len(out) < most:
        text = data.some()
        if not text or not 0 < text[0] < 32:
            continue
        msg = m.Message(text[0])
        try:
            msg.options, msg.payload = decode_body(memoryview(text), 1)
        except m.FormatError:
            continue
        out.append(msg)
    return out


def request(code, path, payload=b"", ct=None, accept=None, queries=(), observe=None):
    msg = m.Message(code, payload=payload)
    if observe is not None:
        msg.add(m.OBSERVE, observe)
    for segment in path.split("/")[1:]:
        msg.add(m.URI_PATH, segment)
    for query in queries:
        msg.add(m.URI_QUERY, query)
    if ct is not None:
        msg.add(m.CONTENT_FORMAT, ct)
    if accept is not None:
        msg.add(m.ACCEPT, accept)
    return bytes(encode_body(msg.options, payload, bytes((code,))))


def cbor_value(payload):
    return b"\x81\xa2\x00" + payload


class Server:
    """Requests of a registered server: an Error changes nothing, and nothing else is raised."""

    def __init__(self):
        self.begin()

    def begin(self):
        self.client = client(CONFIG)
        self.account = self.client.accounts[0]
        self.account.location = ["rd", "1"]
        reporting.of(self.account).send = lambda o, now, confirmable: None
        self.account.endpoint = Endpoint(lambda data, peer: None, bytes)
        self.account.endpoint.now = self.client.now()
        self.before = self.state()

    def state(self):
        reports = self.account.reports
        return (
            all_of(self.client.model), sorted(reports.attributes), [o.path for o in reports.observations],
            sorted([sorted(a.items()) for a in reports.attributes.values()]), list(self.account._after),
        )  # fmt: skip

    def seeds(self):
        senml = b"\x82\xa3\x21\x65/9/0/\x00\x611\x02\x05\xa2\x00\x611\x02\x06"
        put = (
            ("/9/0/0", b"new", 0), ("/9/0/1", b"\x05", 60), ("/9/0/3", b"1.5", 0), ("/9/0/5", b"\0\1", 42),
            ("/9/0", senml, 112), ("/9/0", b"\xc0\x00\xc1\x01\x05", 11542), ("/9/0/101", b"\x41\x00\x05", 11542),
            ("/9/0", b'[{"bn":"/9/0/","n":"1","v":13}]', 110), ("/9/0", b"\xa1\x09\xa1\x00\xa1\x01\x05", 11544),
            ("/9/0/7", b"3:0", 0), ("/1/0/1", b"60", 0), ("/9/0", b'{"bn":"/9/0/","e":[{"n":"1","v":1}]}', 11543),
        )  # fmt: skip
        out = [some(request(m.PUT, path, payload, ct)) for path, payload, ct in put]
        out += [some(request(m.POST, path, payload, ct)) for path, payload, ct in put]
        for accept in (None, 0, 40, 42, 60, 110, 112, 11542, 11543, 11544):
            for path in ("/9", "/9/0", "/9/0/1", "/9/0/101", "/9/0/101/0", "/3/0", "/1/0/1"):
                out.append(some(request(m.GET, path, accept=accept)))
        for queries in (("pmin=5", "pmax=60"), ("gt=1.5", "lt=-1", "st=0.5"), ("pmin", "gt"), ("depth=2",)):
            out.append(some(request(m.PUT, "/9/0/1", queries=queries), request(m.GET, "/9/0/1", observe=0)))
            out.append(some(request(m.GET, "/9/0", accept=40, queries=queries)))
        out.append(some(request(m.POST, "/9/0/9", b"0='a',1,5='b'"), request(m.POST, "/1/0/8")))
        out.append(some(request(m.POST, "/9", b"\x08\x05\x03\xc1\x01\x05", 11542), request(m.DELETE, "/9/5")))
        paths = b"\x82\xa1\x00\x64/9/0\xa1\x00\x66/3/0/0"
        out.append(some(request(m.FETCH, "", paths, 112, 112), request(m.IPATCH, "", senml, 112)))
        out.append(some(request(m.FETCH, "", b'[{"n":"/9/0/1"}]', 110, 110, observe=0)))
        out.append(some(request(m.GET, "/0/0/0"), request(m.PUT, "/21/0/0", b"x", 42)))
        return out

    def __call__(self, data):
        account = self.account
        dirty = False
        for msg in requests(data, 4):
            try:
                response = account.serve(msg, account.peer, Responder())
                assert 64 <= response.code < 192 and len(response.payload) <= 1024
                m.encode(response)
                assert not self.hidden(msg) and SECRET not in bytes(response.payload)
            except m.Error as e:
                assert m.BAD_REQUEST <= e.code < 0xC0
                assert e.code != m.UNAUTHORIZED or self.hidden(msg) or msg.code == m.IPATCH
                equal(self.state(), self.before)
                continue
            if msg.code in (m.GET, m.FETCH) and msg.uint(m.OBSERVE) != 0:
                equal(self.state(), self.before)
                continue
            dirty = True
            self.before = self.state()
            equal(self.client.dump()[21], CONFIG[21])
            account.reports.poll(2000)
            for instance in self.client.model.instances(9):
                instance.changed("integer")
            account.reports.poll(1 << 40)
            self.before = self.state()
        assert not self.client.faults, self.client.faults
        if dirty:
            self.begin()

    def hidden(self, msg):
        """Whether msg asks for keys."""
        segments = [bytes(s) for s in msg.opts(m.URI_PATH)]
        while segments and not segments[0]:
            segments.pop(0)
        return bool(segments) and segments[0] in (b"0", b"21")


class Bootstrap:
    """Requests of a Bootstrap-Server: the account that it has stays, and what is not finished
    goes back whole."""

    def seeds(self):
        security = b"\xc8\x00\x08coap://s\xc1\x01\x00\xc1\x02\x03\xc0\x03\xc0\x04\xc0\x05\xc2\x0a\x00\x7c\xc4\x11\x00\x15\x00\x02"
        server = b"\xc2\x00\x00\x7c\xc2\x01\x01\x2c\xc1\x06\x00\xc1\x07U"
        keys = b"\xc8\x00\x10" + SECRET + b"\xc1\x01D\xc1\x02T"
        finish = request(m.POST, "/bs")
        writes = (
            request(m.PUT, "/0/5", security, 11542), request(m.PUT, "/1/1", server, 11542),
            request(m.PUT, "/21/2", keys, 11542),
        )  # fmt: skip
        out = [some(*(writes + (finish,))), some(request(m.DELETE, ""), *(writes + (finish,)))]
        out += [some(request(m.DELETE, path), finish) for path in ("/0", "/0/0", "/0/1", "/1", "/21", "/21/1", "/3")]
        out += [some(request(m.GET, path, accept=40)) for path in ("", "/0", "/1", "/21", "/9")]
        out += [some(request(m.GET, path)) for path in ("/1", "/1/0", "/2", "/0", "/21/0")]
        many = b"\x08\x05" + bytes((len(server),)) + server
        out.append(some(request(m.PUT, "/1", many, 11542), finish))
        out.append(some(request(m.PUT, "/0/0/17", b"21:0", 0), finish))
        senml = b"\x82\xa3\x21\x66/21/3/\x00\x610\x08\x43abc\xa2\x00\x611\x08\x41X"
        out.append(some(request(m.PUT, "/21/3", senml, 112), request(m.PUT, "/21/0/3", b"\x18\x1e", 60)))
        return out

    def __call__(self, data):
        one = client({oid: dict(CONFIG[oid]) for oid in CONFIG})
        committed = []
        one.on_config = committed.append
        bootstrap.bootstrapped = lambda client: None
        security = one.model.instance(0, 1)
        account = bootstrap.BootstrapAccount().begin(one, security, Hook())
        account.waiting = True
        begin = one.dump()
        own = (begin[0][1], begin[21][1])
        for msg in requests(data, 6):
            try:
                response = account.serve(msg, account.peer, Responder())
                assert 64 <= response.code < 192 and len(response.payload) <= 1024
                m.encode(response)
            except m.Error as e:
                assert m.BAD_REQUEST <= e.code < 0xC0
            now = one.dump()
            # Its own account stays: /0/1 and /21/1 may be written resource by resource only.
            assert 1 in now[0] and 1 in now[21], now
            if committed:
                equal(committed, [now])
                one.check()
                break
            while account._after:
                account._after.pop(0)()
            if account.saved is None:
                equal(one.dump(), begin)
        if not committed:
            account.ended("the end")
            equal(one.dump(), begin)
            equal((begin[0][1], begin[21][1]), own)
        assert not one.faults, one.faults
