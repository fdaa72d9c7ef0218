# Requests of a server: rights, codes, formats.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import cbor
from check import raises, equal
from coap.message import Message, decode, encode, Error, GET, POST, PUT, DELETE, FETCH, IPATCH
from coap.message import OBSERVE, URI_PATH, URI_QUERY, CONTENT_FORMAT, ACCEPT, LOCATION_PATH
from lwm2m import Instance, Model, R, RW, E, MULTI, STRING, INTEGER
from lwm2m.objects.device import Device
from lwm2m.objects.accounts import OSCORE, Security, Server
from lwm2m.reporting import Reporting
from lwm2m.server import Dispatcher
from lwm2m.arguments import arguments_of


class Thing(Instance):
    OID = 30000
    MULTIPLE = CREATE = True
    TABLE = (
        (0, RW, STRING, "name"),
        (1, R, INTEGER, "level"),
        (2, RW | MULTI, STRING, "tags"),
        (4, E, None, "kick"),
    )
    name = "x"
    level = 7
    tags = None

    def kick(self, arguments):
        return lambda: arguments


class Observed(Reporting):
    def observed(self, account, path, paths, accept, handle, now):
        self.observations.append((paths or path, accept, handle))


class FakeAccount:
    # Stands where an Account would: it only records.
    def __init__(self, model):
        self.reports = Observed(model, Server(), None)
        self.version = "1.2"
        self.after = []

    def after_answer(self, function):
        self.after.append(function)


class Responder:
    def __init__(self, room=True):
        self.room = room

    def observe(self):
        return "handle" if self.room else None


def make():
    model = Model()
    for oid in (Security, Server, OSCORE):
        model.define(oid)
    security = Security()
    security.uri = "coap://h"
    model.add(security)
    keys = OSCORE()
    keys.master_secret = b"0123456789abcdef"
    model.add(keys)
    model.add(Device(manufacturer="m"))
    model.add(Thing())
    return Dispatcher(model, 1024), FakeAccount(model)


def request(code, path, payload=b"", ct=None, accept=None, queries=(), observe=None):
    msg = Message(code, payload=payload)
    for segment in path.split("/")[1:]:
        msg.add(URI_PATH, segment)
    for query in queries:
        msg.add(URI_QUERY, query)
    if ct is not None:
        msg.add(CONTENT_FORMAT, ct)
    if accept is not None:
        msg.add(ACCEPT, accept)
    if observe is not None:
        msg.add(OBSERVE, observe)
    # As it arrives: most Reads are known by Message.kinds, and go a way of their own.
    return decode(encode(msg))


def ask(d, a, *args, **kw):
    return d.handle(request(*args, **kw), a, Responder(), 0)


def refused(d, a, *args, **kw):
    return raises(Error, d.handle, request(*args, **kw), a, Responder(), 0).code


def text(response):
    return bytes(response.payload).decode()


def test_read_formats():
    d, a = make()
    r = ask(d, a, GET, "/30000/0/1")
    equal((r.code, r.uint(CONTENT_FORMAT)), (0x45, 112))
    equal(bytes(r.payload), b"\x81\xa2\x21\x6a/30000/0/1\x02\x07")
    equal(text(ask(d, a, GET, "/30000/0/1", accept=0)), "7")
    equal(refused(d, a, GET, "/30000/0/1", accept=65000), 0x86)
    equal(refused(d, a, GET, "/30000/0", accept=0), 0x86)
    # 4.04 and 4.05 come before 4.06.
    equal(refused(d, a, GET, "/30000/0/9", accept=65000), 0x84)
    equal(refused(d, a, GET, "/30000/0/4", accept=65000), 0x85)


def test_keys_are_nobody_s():
    d, a = make()
    for path in ("/0", "/0/0", "/0/0/0", "/21", "/21/0", "/21/0/0", "/21/9", "/0/0/5"):
        for code in (GET, PUT, POST, DELETE):
            equal(refused(d, a, code, path), 0x81)
        equal(refused(d, a, GET, path, accept=40), 0x81)


def test_bad_paths():
    d, a = make()
    for path in ("/x", "/3/0/0/0/0", "/03", "/00", "/3//0", "/65535", "/99999999999", "/-1", "/+1", "/3.0", "/1_0", "/ 12", "/٣٣"):
        equal(refused(d, a, GET, path), 0x84)
    equal(refused(d, a, GET, ""), 0x85)
    equal(refused(d, a, DELETE, "/"), 0x85)
    equal(refused(d, a, FETCH, "/3"), 0x85)


def test_write():
    d, a = make()
    equal(ask(d, a, PUT, "/30000/0/0", b"abc", ct=0).code, 0x44)
    equal(d.model.instance(30000, 0).name, "abc")
    equal(ask(d, a, POST, "/30000/0/0", b"d").code, 0x44)  # no Content-Format: text
    equal(d.model.instance(30000, 0).name, "d")
    equal(refused(d, a, PUT, "/30000/0/1", b"1", ct=0), 0x85)
    equal(refused(d, a, PUT, "/30000/0/0", b"\xff", ct=0), 0x80)
    equal(refused(d, a, PUT, "/30000/0/0", b"x", ct=65000), 0x8F)
    equal(refused(d, a, PUT, "/30000/7/0", b"x", ct=65000), 0x84)
    equal(refused(d, a, PUT, "/30000", b"x", ct=112), 0x85)


def test_write_attributes():
    d, a = make()
    equal(ask(d, a, PUT, "/30000/0/1", queries=["pmin=1", "gt=5.000000"]).code, 0x44)
    discovered = text(ask(d, a, GET, "/30000/0/1", accept=40))
    equal(discovered, "</30000/0/1>;pmin=1;gt=5")
    equal(ask(d, a, PUT, "/30000/0/1", queries=["gt"]).code, 0x44)
    equal(text(ask(d, a, GET, "/30000/0/1", accept=40)), "</30000/0/1>;pmin=1")
    for bad in (["pmin=x"], ["nonsense=1"], ["pmax=0.5"], ["pmin=9", "pmax=5"], ["gt=1", "lt=2"], ["st=0"], ["gt=nan"]):
        equal(refused(d, a, PUT, "/30000/0/1", queries=bad), 0x80)
    equal(text(ask(d, a, GET, "/30000/0/1", accept=40)), "</30000/0/1>;pmin=1")
    equal(refused(d, a, PUT, "/30000/9", queries=["pmin=1"]), 0x84)
    equal(refused(d, a, PUT, "/30000/0", queries=["gt=1"]), 0x80)


def test_execute():
    d, a = make()
    equal(ask(d, a, POST, "/30000/0/4", b"0='a b',3").code, 0x44)
    equal(a.after[0](), [(0, "a b"), (3, None)])
    equal(refused(d, a, POST, "/30000/0/4", b"zz"), 0x80)
    equal(refused(d, a, POST, "/30000/0/4", b"", ct=112), 0x8F)
    equal(refused(d, a, PUT, "/30000/0/4", b"x", ct=0), 0x85)


def test_arguments():
    equal(arguments_of(b""), [])
    equal(arguments_of(b"5"), [(5, None)])
    equal(arguments_of(b"0='',1,2='x=,y'"), [(0, ""), (1, None), (2, "x=,y")])
    for bad in (b",", b"1,", b"a", b"12", b"1=", b"1=x", b"1='x", b"1='x'2", b"1=''x", b"\xff"):
        equal(raises(Error, arguments_of, bad).code, 0x80)


def test_create_and_delete():
    d, a = make()
    r = ask(d, a, POST, "/30000")
    equal((r.code, [bytes(v) for v in r.opts(LOCATION_PATH)]), (0x41, [b"30000", b"1"]))
    r = ask(d, a, POST, "/30000", b"\x08\x05\x03\xc1\x00n", ct=11542)
    equal((r.code, r.opts(LOCATION_PATH)), (0x41, []))
    equal(d.model.instance(30000, 5).name, "n")
    equal(ask(d, a, DELETE, "/30000/5").code, 0x42)
    equal(refused(d, a, DELETE, "/30000/5"), 0x84)
    equal(refused(d, a, DELETE, "/3/0"), 0x85)
    equal(refused(d, a, DELETE, "/30000"), 0x85)
    equal(refused(d, a, POST, "/3"), 0x85)
    equal(refused(d, a, POST, "/31000"), 0x84)


def test_observe():
    d, a = make()
    equal(ask(d, a, GET, "/30000/0/1", observe=0, accept=0).code, 0x45)
    equal(a.reports.observations, [((30000, 0, 1), 0, "handle")])
    # No room for one more: answered as a Read.
    equal(d.handle(request(GET, "/30000/0/1", observe=0), a, Responder(False), 0).code, 0x45)
    equal(len(a.reports.observations), 1)
    equal(ask(d, a, GET, "/30000/0/1", observe=1).code, 0x45)
    equal(refused(d, a, GET, "/30000/0/9", observe=0), 0x84)


def senml(*records):
    return cbor.dumps(list(records))


def test_read_composite():
    d, a = make()
    payload = senml({0: "/30000/0/1"}, {0: "/3/0/0"}, {0: "/3/0/99"}, {0: "/21/0"}, {0: "/0"})
    r = ask(d, a, FETCH, "", payload, ct=112)
    want = [{0: "/30000/0/1", 2: 7}, {0: "/3/0/0", 3: "m"}]
    equal(cbor.loads(r.payload), want)
    everything = cbor.loads(ask(d, a, FETCH, "", senml({0: "/"}), ct=112).payload)
    names = [record[0] for record in everything]
    assert "/3/0/0" in names and "/30000/0/1" in names
    equal([n for n in names if n.startswith(("/0/", "/21/"))], [])
    equal(refused(d, a, FETCH, "", payload, ct=11542), 0x8F)
    equal(refused(d, a, FETCH, "", b"\xff", ct=112), 0x80)
    ask(d, a, FETCH, "", payload, ct=112, observe=0)
    equal(a.reports.observations[0][0][:2], [(30000, 0, 1), (3, 0, 0)])


def test_write_composite_is_atomic_over_objects():
    d, a = make()
    ok = senml({0: "/30000/0/0", 3: "n"}, {0: "/3/0/14", 3: "+01"})
    equal(ask(d, a, IPATCH, "", ok, ct=112).code, 0x44)
    thing, device = d.model.instance(30000, 0), d.model.instance(3, 0)
    equal((thing.name, device.utc_offset), ("n", "+01"))
    first = {0: "/30000/0/0", 3: "z"}
    for second, code in (
        ({0: "/3/0/0", 3: "x"}, 0x85),
        ({0: "/3/0/99", 3: "x"}, 0x84),
        ({0: "/9/0/0", 3: "x"}, 0x84),
        ({0: "/21/0/0", 8: b"x"}, 0x81),
        ({0: "/3/0/14", 2: 1}, 0x80),
    ):
        equal(refused(d, a, IPATCH, "", senml(first, second), ct=112), code)
        equal((thing.name, device.utc_offset), ("n", "+01"))
    equal(refused(d, a, IPATCH, "", senml(), ct=112), 0x80)


def test_discover():
    d, a = make()
    d.model.instance(30000, 0).tags = {1: "a", 2: "b"}
    everything = "</30000>,</30000/0>,</30000/0/0>,</30000/0/1>,</30000/0/2>;dim=2,</30000/0/4>"
    r = ask(d, a, GET, "/30000", accept=40)
    equal((r.uint(CONTENT_FORMAT), text(r)), (40, everything))
    equal(text(ask(d, a, GET, "/30000/0", accept=40)), everything.split(",", 1)[1])
    equal(text(ask(d, a, GET, "/30000/0/2", accept=40)), "</30000/0/2>;dim=2,</30000/0/2/1>,</30000/0/2/2>")
    equal(text(ask(d, a, GET, "/30000", accept=40, queries=["depth=1"])), "</30000>,</30000/0>")
    equal(text(ask(d, a, GET, "/3/0/0", accept=40)), "</3/0/0>")
    assert text(ask(d, a, GET, "/3", accept=40)).startswith("</3>;ver=1.2,</3/0>,</3/0/0>")
    equal(refused(d, a, GET, "/30000", accept=40, queries=["depth=9"]), 0x80)
    a.version = "1.1"
    assert text(ask(d, a, GET, "/3", accept=40)).startswith("</3>;ver=1.1,</3/0>")
    assert text(ask(d, a, GET, "/30000", accept=40)).startswith("</30000>,")


def test_answers_of_every_length():
    # Around the ends of the buffer that stays, and of those that are made.
    d, a = make()
    thing = d.model.instance(30000, 0)
    for n in (0, 60, 61, 62, 63, 64, 90, 96, 97, 230, 256, 257, 500, 512, 900, 1, 95):
        thing.name = "x" * n
        for path in ("/30000/0/0", "/30000/0"):
            record = cbor.loads(ask(d, a, GET, path, accept=112).payload)[0]
            equal(record[3], thing.name)


def test_an_answer_longer_than_the_buffer_is_5_00():
    d, a = make()
    d.model.instance(30000, 0).name = "x" * 2000
    equal(refused(d, a, GET, "/30000/0/0"), 0xA0)
    equal(ask(d, a, GET, "/30000/0/1").code, 0x45)
