# The bench server against a device made by hand: B.2, registration, operations, command line.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 section 8 and appendix B; LwM2M Transport 1.2 section 6.4.

import asyncio
import functools
import json
import os
import re
import secrets
import signal
import subprocess
import sys
from pathlib import Path

import cbor2
import pytest
from aiocoap import Message
from aiocoap.numbers import codes, types
from aiocoap.numbers.constants import TransportTuning
from aiocoap.numbers.optionnumbers import OptionNumber

from microlwm2m.bench import Account, BenchServer, OperationFailed, oscore, registry
from microlwm2m.bench.accounts import load, parse
from microlwm2m.bench.prompt import Prompt
from microlwm2m.errors import Refused, UsageError

sys.path.insert(0, str(Path(__file__).parent))
from oscore_device import Context, Device  # noqa: E402

SECRET = bytes(range(16))
ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "tools"


class Quick(TransportTuning):
    ACK_TIMEOUT = 0.05
    ACK_RANDOM_FACTOR = 1.0


def account(**changes):
    values = dict(endpoint="dev", sender_id=b"\1", recipient_id=b"\2", master_secret=SECRET)
    return Account(**dict(values, **changes))


def in_loop(test):
    """Run a test that is a coroutine."""

    @functools.wraps(test)
    def run(*args, **kw):
        asyncio.run(asyncio.wait_for(test(*args, **kw), 60))

    return run


def bench(*accounts, **options):
    options.setdefault("tuning", Quick())
    return BenchServer(accounts or (account(),), port=0, **options)


def content(data, ct=112):
    return Message(code=codes.CONTENT, content_format=ct, payload=cbor2.dumps(data) if ct == 112 else data)


def plain_code(response):
    """The code of an answer without protection, as section 8.2 wants it."""
    assert response.opt.oscore is None and response.payload == b""
    assert response.opt.max_age == 0
    return response.code.dotted


# Accounts


@pytest.mark.parametrize("endpoint", ["dev", "urn:dev:os:0023:01", "urn:dev:mac:01:02"])
@pytest.mark.parametrize("salt", ["", "9e7ca92223786340"])
def test_account_from_the_command_line(endpoint, salt):
    text = ":".join([endpoint, "01", "0a0b"] + [SECRET.hex()] + [salt] * bool(salt))
    assert parse(text) == Account(endpoint, b"\1", b"\x0a\x0b", SECRET, bytes.fromhex(salt))


@pytest.mark.parametrize("text", [
    "", "dev", "dev:01:02", "dev:01:02:0011", "dev:xx:02:" + SECRET.hex(),
    "dev:01:01:" + SECRET.hex(), ":01:02:" + SECRET.hex(), "dev:0102030405060708:02:" + SECRET.hex(),
])
def test_account_that_cannot_be(text):
    with pytest.raises(UsageError) as e:
        parse(text)
    assert SECRET.hex() not in str(e.value)


def test_account_says_nothing_of_its_secret():
    text = repr(account(master_salt=b"saltsalt"))
    assert SECRET.hex() not in text and repr(SECRET) not in text and "salt" not in text.lower()


@pytest.mark.parametrize("changes, name", [
    ({"aead": 1}, "aead"), ({"hmac": 5}, "hmac"), ({"sender_id": bytes(8)}, "sender_id"),
    ({"aead": 12, "recipient_id": bytes(2)}, "recipient_id"), ({"recipient_id": b"\1"}, "recipient_id"),
    ({"master_secret": b""}, "master_secret"), ({"endpoint": ""}, "endpoint"), ({"b2": "no"}, "b2"),
])
def test_account_names_the_argument(changes, name):
    with pytest.raises(ValueError, match="^%s: " % name):
        account(**changes)


def test_accounts_file(tmp_path):
    entry = {"endpoint": "dev", "sender_id": "01", "recipient_id": "02",
             "master_secret": SECRET.hex(), "aead": 30}
    path = tmp_path / "accounts.json"
    path.write_text(json.dumps({"accounts": [entry]}))
    assert load(path) == [account(aead=30)]
    for wrong in ({"aead": 5}, {"secret": "00"}, {"sender_id": "zz"}, {"sender_id": 1}):
        path.write_text(json.dumps([dict(entry, **wrong)]))
        with pytest.raises(UsageError, match="account 0: "):
            load(path)


# Appendix B.2


@in_loop
async def test_b2_message_2_on_the_wire():
    async with bench() as server, Device(server) as device:
        r1 = bytes(range(8))
        r2, inner, response = await device.b2_first(r1)
        assert inner.code == codes.UNAUTHORIZED and inner.payload == b"" and not inner.opt._options
        # No Partial IV, no kid: the h flag, the length, the wrapped R2.
        assert response.opt.oscore == bytes([0x10, 1 + len(r2), 0x40 + len(r2)]) + r2
        assert response.code == codes.CHANGED and len(r2) >= 8
        # The same R1 again makes no new state; another gives another R2.
        assert (await device.b2_first(r1))[0] == r2
        assert (await device.b2_first(bytes(8)))[0] != r2
        # Nothing was registered by request 1, whatever it asked for.
        await device.b2_first(secrets.token_bytes(8), device.registration())
        assert server.devices == []


@in_loop
async def test_b2_with_a_captured_client(monkeypatch):
    """What Leshan's client sent makes what Leshan's server answered, byte for byte."""
    captured = json.loads((ROOT / "tests" / "vectors" / "leshan_b2.json").read_text())
    data = [bytes.fromhex(d["hex"]) for d in captured["datagrams"]]
    r2 = bytes.fromhex("051f5a48f6c29d8ea5466e2a55a4b6d1")
    monkeypatch.setattr(oscore.secrets, "token_bytes", lambda n: r2)
    client = {k: bytes.fromhex(captured["client"][k]) for k in ("sender_id", "recipient_id", "master_secret")}
    out = []
    async with bench(Account("os1", **client), tap=lambda d: out.append((d.direction, d.data))) as server:
        async with Device(server) as device:
            for request in (data[0], data[2]):
                device.transport.sendto(request)
                await until(lambda n=request: out and out[-1][0] == "out" and ("in", n) in out)
            assert out[1] == ("out", data[1])
            # The location is ours; what stands before it is the same.
            assert out[3][1][:13] == data[3][:13]
            there = server.device("os1")
            assert (there.lwm2m, there.lifetime, there.binding) == ("1.1", 60, "UT")


@pytest.mark.parametrize("size", [0, 1, 7, 16, 24, 32])
@in_loop
async def test_b2_takes_an_r1_of_any_usual_length(size):
    async with bench() as server, Device(server) as device:
        r1 = secrets.token_bytes(size)
        r2, _, _ = await device.b2_first(r1)
        r3 = secrets.token_bytes(max(size, 1))
        device.context = Context(device, r2 + r3)
        response = await device.ask(device.registration(), kid_context=cbor2.dumps(r2 + r3))
        assert response.code == codes.CREATED and server.devices


@in_loop
async def test_b2_own_partial_iv():
    async with bench(quirks=["own-piv"]) as server, Device(server) as device:
        first = Context(device, b"11111111")
        outer, request_id = first.protect(device.registration(), kid_context=cbor2.dumps(b"11111111"))
        response = await device.exchange(outer)
        r2 = device.r2_of(response)
        second = Context(device, r2 + b"11111111")
        inner, _ = second.unprotect(response, request_id)
        assert inner.code == codes.UNAUTHORIZED and second.piv == b"\0"
        await device.register()


@pytest.mark.parametrize("aead, name, size", [
    (10, "AES-CCM-16-64-128", 7), (30, "AES-CCM-16-128-128", 7),
    (12, "AES-CCM-64-64-128", 1), (32, "AES-CCM-64-128-128", 1),
])
@in_loop
async def test_register_with_every_aead(aead, name, size):
    mine, theirs = bytes(size), b"\xff" * size
    there = account(sender_id=mine, recipient_id=theirs, aead=aead, master_salt=b"saltsalt")
    async with bench(there) as server, Device(server, mine, theirs, salt=b"saltsalt") as device:
        device.aead = name
        device.serve = lambda request: content([{-2: "/3/0/9", 2: 5}])
        await device.register()
        assert (await server.read("dev", "/3/0/9")).value == 5


@in_loop
async def test_request_3_is_not_taken_twice():
    async with bench() as server, Device(server) as device:
        await device.register()
        assert plain_code(await device.resend()) == "4.01"
        assert len([e for e in server.log.history if e.name == "registered"]) == 1
        # A new request with the wrapped ID Context is of a device that missed message 4.
        update = Message(code=codes.POST, uri_path=device.location)
        wrapped = cbor2.dumps(device.context.id_context)
        assert (await device.ask(update, kid_context=wrapped)).code == codes.CHANGED
        raw = device.context.id_context
        assert (await device.ask(update, kid_context=raw)).code == codes.CHANGED
        # After another B.2 the old request 3 is no request 3 either.
        old = device.data
        await device.register()
        device.data = old
        assert plain_code(await device.resend()) == "4.01"


@in_loop
async def test_a_duplicate_gets_the_same_bytes():
    out = []

    def tap(datagram):
        if datagram.direction == "out":
            out.append(datagram.data)

    async with bench(tap=tap) as server, Device(server) as device:
        await device.register()
        mid = int.from_bytes(device.data[2:4], "big")
        count = len(out)
        await device.resend(mid)
        assert len(out) == count + 1 and out[-1] == out[-2]
        assert len(server.devices) == 1


@in_loop
async def test_the_old_context_lives_until_request_3():
    async with bench() as server, Device(server) as device:
        await device.register()
        await device.b2_first(secrets.token_bytes(8))
        assert (await device.update()).code == codes.CHANGED
        old = device.context
        await device.b2(Message(code=codes.POST, uri_path=device.location))
        new, device.context = device.context, old
        outer, _ = old.protect(Message(code=codes.POST, uri_path=device.location), kid_context=False)
        assert plain_code(await device.exchange(outer)) == "4.00"
        device.context = new
        assert (await device.update(lt=77)).code == codes.CHANGED
        assert server.device("dev").lifetime == 77


@in_loop
async def test_server_starts_b2_at_message_2():
    async with bench() as server, Device(server) as device:
        await device.register()
        server.rekey("dev")
        used = device.context
        outer, request_id = used.protect(Message(code=codes.POST, uri_path=device.location), kid_context=False)
        response = await device.exchange(outer)
        r2 = device.r2_of(response)
        second = Context(device, r2 + used.id_context, literal_iv=used.common_iv)
        inner, _ = second.unprotect(response, request_id)
        assert inner.code == codes.UNAUTHORIZED
        device.context = Context(device, r2 + b"333")
        update = Message(code=codes.POST, uri_path=device.location)
        assert (await device.ask(update, kid_context=cbor2.dumps(r2 + b"333"))).code == codes.CHANGED
        assert (await device.update()).code == codes.CHANGED


@in_loop
async def test_what_is_answered_in_plain():
    async with bench() as server, Device(server) as device:
        # Nothing known yet: an ordinary request.
        device.context = Context(device, b"unknown!")
        ordinary, _ = device.context.protect(device.registration(), kid_context=False)
        assert plain_code(await device.exchange(ordinary)) == "4.01"
        await device.register()
        wrong = Context(device, b"another!")
        wrong.sender_sequence_number = 5
        ordinary, _ = wrong.protect(device.registration(), kid_context=False)
        assert plain_code(await device.exchange(ordinary)) == "4.00"
        server.forget()
        ordinary, _ = device.context.protect(device.registration(), kid_context=False)
        assert plain_code(await device.exchange(ordinary)) == "4.01"
        # Another kid, an undecodable option, no protection at all.
        stranger = Device(server, sender_id=b"\7")
        ordinary, _ = Context(stranger, b"x").protect(device.registration(), kid_context=b"x")
        assert plain_code(await device.exchange(ordinary)) == "4.01"
        for option in (b"\x80", b"\x09", b"\x19\0\x20ab", b"\x18", b"\0"):
            message = Message(code=codes.POST, oscore=option, payload=bytes(20))
            assert plain_code(await device.exchange(message)) == "4.02", option
        message = Message(code=codes.POST, oscore=b"\x09\0\1", payload=b"")
        assert plain_code(await device.exchange(message)) == "4.01"
        assert plain_code(await device.exchange(device.registration())) == "4.01"
        assert [d.endpoint for d in server.devices] == ["dev"]


@in_loop
async def test_kid_context_that_is_no_byte_string():
    async with bench() as server, Device(server) as device:
        for kid_context in (b"", b"\x18", b"\x01", b"\x41a\x00", b"\x58\x41" + bytes(65)):
            outer, _ = Context(device, kid_context).protect(device.registration(), kid_context=kid_context)
            assert plain_code(await device.exchange(outer)) == "4.01", kid_context


@in_loop
async def test_without_b2_freshness_is_proved_by_echo():
    async with bench(account(b2="optional")) as server, Device(server) as device:
        device.context = Context(device, None)
        first = await device.ask(device.registration())
        assert first.code == codes.UNAUTHORIZED and first.opt.echo
        message = device.registration()
        message.opt.echo = first.opt.echo
        assert (await device.ask(message)).code == codes.CREATED
        assert plain_code(await device.resend()) == "4.01"
        assert server.devices


@in_loop
async def test_echo_at_the_first_use_of_a_context():
    async with bench(quirks=["echo"]) as server, Device(server) as device:
        response = await device.b2(device.registration())
        assert response.code == codes.UNAUTHORIZED and response.opt.echo
        assert server.devices == []
        message = device.registration()
        message.opt.echo = response.opt.echo
        response = await device.ask(message)
        assert response.code == codes.CREATED
        device.location = response.opt.location_path
        assert (await device.update()).code == codes.CHANGED


@in_loop
async def test_a_server_that_needs_the_kid_context():
    async with bench(quirks=["kid-context"]) as server, Device(server) as device:
        await device.register()
        update = Message(code=codes.POST, uri_path=device.location)
        outer, _ = device.context.protect(update, kid_context=False)
        assert plain_code(await device.exchange(outer)) == "4.00"
        response = await device.ask(update, kid_context=device.context.id_context)
        assert response.code == codes.CHANGED and server.devices


@in_loop
async def test_two_accounts_with_one_sender_id():
    other = account(endpoint="other", master_secret=b"another secret..")
    async with bench(account(), other) as server:
        async with Device(server) as one, Device(server, secret=b"another secret..") as two:
            await two.register("other")
            await one.register("dev")
            assert (await two.update()).code == codes.CHANGED
            assert (await one.update()).code == codes.CHANGED
            assert {d.endpoint for d in server.devices} == {"dev", "other"}


@pytest.mark.nonces("its device uses one twice")
@in_loop
async def test_a_nonce_used_twice_is_reported():
    async with bench() as server, Device(server) as device:
        r1 = bytes(8)
        await device.b2_first(r1)
        assert not [e for e in server.log.history if e.name == "nonce-reuse"]
        await device.b2_first(r1, Message(code=codes.GET, uri_path=["other"]))
        event = await server.wait("nonce-reuse", "dev", timeout=5)
        assert event.data == {"where": "request"}


# Registration


@in_loop
async def test_register_update_deregister():
    async with bench() as server, Device(server) as device:
        response = await device.register()
        assert response.payload == b"" and response.opt.location_path[0] == "rd"
        there = server.device("dev")
        assert (there.lifetime, there.lwm2m, there.binding, there.sealed) == (300, "1.2", "U", True)
        assert there.objects == {1: [0], 3: [0]} and there.formats == [112]
        update = Message(code=codes.POST, uri_path=device.location, uri_query=["lt=60"],
                         content_format=40, payload=b"</1/0>,</3>;ver=1.2,</3/0>,</3303/0>,</3303/1>")
        response = await device.ask(update)
        assert response.code == codes.CHANGED and response.payload == b""
        assert there.lifetime == 60 and there.versions == {3: "1.2"}
        assert there.objects == {1: [0], 3: [0], 3303: [0, 1]}
        gone = Message(code=codes.DELETE, uri_path=device.location)
        assert (await device.ask(gone)).code == codes.DELETED
        assert server.devices == []
        assert (await device.update()).code == codes.NOT_FOUND
        names = [e.name for e in server.log.history if e.endpoint == "dev"]
        assert names == ["b2", "context", "registered", "updated", "deregistered", "refused"]


@pytest.mark.parametrize("changes, code", [
    ({"ep": "other"}, "4.03"), ({"ep": None}, "2.01"), ({"lwm2m": None}, "4.00"),
    ({"lwm2m": "1.3"}, "4.12"), ({"lwm2m": "1.0"}, "2.01"), ({"lt": None}, "2.01"), ({"lt": "x"}, "4.00"),
    ({"lt": "0"}, "4.00"), ({"b": "Z"}, "4.00"), ({"b": None}, "2.01"), ({"links": b""}, "4.00"),
    ({"links": b"</1/0>,"}, "4.00"), ({"links": b"\xff"}, "4.00"), ({"links": b"</1/0>;ct=\"1"}, "4.00"),
])
@in_loop
async def test_register_that_is_or_is_not_taken(changes, code):
    async with bench() as server, Device(server) as device:
        links = changes.pop("links", b"</1/0>,</3/0>")
        response = await device.b2(device.registration(links=links, **changes))
        assert response.code.dotted == code and response.payload == b""
        assert bool(server.devices) == (code == "2.01")


@in_loop
async def test_lwm2m_version_is_a_setting():
    async with bench(versions=("1.0", "1.1")) as server, Device(server) as device:
        assert (await device.b2(device.registration())).code == codes.PRECONDITION_FAILED
        assert (await device.ask(device.registration(lwm2m="1.1"))).code == codes.CREATED
        assert server.device("dev").lwm2m == "1.1"


@in_loop
async def test_register_again_replaces():
    async with bench() as server, Device(server) as device:
        await device.register()
        first = device.location
        response = await device.ask(device.registration())
        assert response.code == codes.CREATED and response.opt.location_path != first
        assert len(server.devices) == 1
        assert (await device.update()).code == codes.NOT_FOUND


@in_loop
async def test_a_location_is_its_owners(monkeypatch):
    other = account(endpoint="other", sender_id=b"\3", recipient_id=b"\4")
    async with bench(account(), other) as server:
        async with Device(server) as one, Device(server, b"\3", b"\4") as two:
            await one.register()
            await two.register("other")
            two.location = one.location
            assert (await two.update()).code == codes.NOT_FOUND
            gone = Message(code=codes.DELETE, uri_path=one.location)
            assert (await two.ask(gone)).code == codes.NOT_FOUND
            assert len(server.devices) == 2


def test_registration_expires(monkeypatch):
    monkeypatch.setattr(registry, "EXPIRY_GRACE", 0)

    @in_loop
    async def run():
        async with bench() as server, Device(server) as device:
            await device.register(lt=1)
            await server.wait("expired", "dev", timeout=10)
            assert server.devices == []

    run()


@pytest.mark.parametrize("szx", [2, 6])
@in_loop
async def test_register_of_4_kb_in_blocks(szx):
    links = b",".join([b'</>;rt="oma.lwm2m";ct=112'] + [b"</3303/%d>" % n for n in range(350)])
    assert len(links) > 4000
    async with bench() as server, Device(server) as device:
        size = 16 << szx
        message = device.registration(links=links)
        for start in range(0, len(links), size):
            more = start + size < len(links)
            part = message.copy(payload=links[start : start + size], block1=(start // size, more, szx))
            if start == 0:
                response = await device.b2(part)
            else:
                response = await device.ask(part)
            assert response.code == (codes.CONTINUE if more else codes.CREATED)
            assert tuple(response.opt.block1) == (start // size, more, szx)
        assert server.device("dev").objects == {3303: list(range(350))}
        # A gap, and a block that belongs to nothing.
        part = message.copy(payload=links[:size], block1=(0, True, szx))
        assert (await device.ask(part)).code == codes.CONTINUE
        part = message.copy(payload=links[:size], block1=(2, True, szx))
        assert (await device.ask(part)).code == codes.REQUEST_ENTITY_INCOMPLETE
        part = message.copy(payload=links[:size], block1=(1, True, szx))
        assert (await device.ask(part)).code == codes.REQUEST_ENTITY_INCOMPLETE


@in_loop
async def test_plain_devices_when_they_are_let_in():
    async with bench(plain=True) as server, Device(server) as device:
        response = await device.exchange(device.registration())
        assert response.code == codes.FORBIDDEN  # dev has an account
        response = await device.exchange(device.registration("bare"))
        assert response.code == codes.CREATED and response.opt.oscore is None
        assert not server.device("bare").sealed
        await device.register()
        assert server.device("dev").sealed
        # Neither side reaches the other's registration.
        outside = Message(code=codes.DELETE, uri_path=device.location)
        assert (await device.exchange(outside)).code == codes.NOT_FOUND
        outside = Message(code=codes.DELETE, uri_path=response.opt.location_path)
        assert (await device.ask(outside)).code == codes.NOT_FOUND


@in_loop
async def test_send():
    async with bench() as server, Device(server) as device:
        payload = cbor2.dumps([{-2: "/3303/0/", 0: "5700", 2: 21.5, 6: 1700000000}, {0: "5701", 3: "Cel"}])
        message = Message(code=codes.POST, uri_path=["dp"], content_format=112, payload=payload)
        assert (await device.b2(message)).code == codes.NOT_FOUND
        await device.register()
        response = await device.ask(message)
        assert response.code == codes.CHANGED and response.payload == b""
        event = await server.wait("send", "dev", timeout=5)
        assert [tuple(n) for n in event.detail.nodes] == [
            ((3303, 0, 5700), 21.5, 1700000000), ((3303, 0, 5701), "Cel", None)]
        for bad in (b"\xff", b""):
            assert (await device.ask(message.copy(payload=bad))).code == codes.BAD_REQUEST
        assert (await device.ask(message.copy(content_format=None))).code == codes.BAD_REQUEST
        silent = message.copy(no_response=2)
        outer, _ = device.context.protect(silent, kid_context=False)
        device.send(outer, types.NON)
        await server.wait("send", "dev", timeout=5, after=event.number)


@in_loop
async def test_a_critical_option_that_is_not_understood():
    async with bench() as server, Device(server) as device:
        await device.register()
        message = Message(code=codes.POST, uri_path=device.location)
        message.opt.add_option(OptionNumber(2049).create_option(decode=b"x"))
        assert (await device.ask(message)).code == codes.BAD_OPTION


# Operations


def recorder(answers):
    """serve() that gives one answer after another."""
    answers = list(answers)
    return lambda request: answers.pop(0)


def asked(request):
    """A request as (code, path, options, payload)."""
    opt = {}
    for name in ("content_format", "accept", "observe"):
        value = getattr(request.opt, name)
        if value is not None:
            opt[name] = int(value)
    if request.opt.uri_query:
        opt["query"] = list(request.opt.uri_query)
    return str(request.code), "/" + "/".join(request.opt.uri_path), opt, request.payload


@in_loop
async def test_every_operation_as_the_device_sees_it():
    async with bench() as server, Device(server) as device:
        await device.register()
        changed = functools.partial(Message, code=codes.CHANGED)

        async def one(operation, answer, request):
            device.serve = lambda _: answer
            result = await operation
            assert asked(device.seen[-1]) == request
            assert result.code == answer.code.dotted
            return result

        result = await one(server.read("dev", "/3/0/0"), content([{-2: "/3/0/0", 3: "m"}]),
                           ("GET", "/3/0/0", {"accept": 112}, b""))
        assert result.value == "m"
        result = await one(server.read("dev", "/3/0", format=11542),
                           content(bytes.fromhex("c1 09 64 86 06 41 00 01 41 01 05"), 11542),
                           ("GET", "/3/0", {"accept": 11542}, b""))
        assert result.values == {"/3/0/9": 100, "/3/0/6/0": 1, "/3/0/6/1": 5}
        result = await one(server.read("dev", "/3/0/99", format=None), Message(code=codes.NOT_FOUND),
                           ("GET", "/3/0/99", {}, b""))
        assert not result.ok
        await one(server.write("dev", "/3/0/14", "+02"), changed(),
                  ("PUT", "/3/0/14", {"content_format": 112}, cbor2.dumps([{3: "+02", -2: "/3/0/14"}])))
        await one(server.write("dev", "/3/0/14", "+02", format=0, partial=True), changed(),
                  ("POST", "/3/0/14", {"content_format": 0}, b"+02"))
        await one(server.write("dev", "/1/0", {1: 60, 7: "U"}), changed(),
                  ("PUT", "/1/0", {"content_format": 112},
                   cbor2.dumps([{0: "1", 2: 60, -2: "/1/0/"}, {0: "7", 3: "U"}])))
        await one(server.write("dev", "/3442/0/1110", {0: "a", 7: "b"}, format=11542), changed(),
                  ("PUT", "/3442/0/1110", {"content_format": 11542},
                   bytes.fromhex("a6 0456 41 00 61 41 07 62")))
        await one(server.write_attributes("dev", "/3/0/9", {"pmin": 5, "gt": None}), changed(),
                  ("PUT", "/3/0/9", {"query": ["pmin=5", "gt"]}, b""))
        await one(server.execute("dev", "/3/0/4"), changed(), ("POST", "/3/0/4", {}, b""))
        await one(server.execute("dev", "/3442/0/3", "0='hello'"), changed(),
                  ("POST", "/3442/0/3", {"content_format": 0}, b"0='hello'"))
        created = Message(code=codes.CREATED)
        await one(server.create("dev", 3442, 3, {110: "x"}), created,
                  ("POST", "/3442", {"content_format": 112}, cbor2.dumps([{0: "3/110", 3: "x", -2: "/3442/"}])))
        created = Message(code=codes.CREATED, location_path=["3442", "4"])
        result = await one(server.create("dev", 3442, values={110: "x"}), created,
                           ("POST", "/3442", {"content_format": 11542}, bytes.fromhex("c1 6e 78")))
        assert result.location == (3442, 4)
        await one(server.delete("dev", "/3442/3"), Message(code=codes.DELETED),
                  ("DELETE", "/3442/3", {}, b""))
        links = Message(code=codes.CONTENT, content_format=40, payload=b'</3/0>;pmin=5,</3/0/6>;dim=2')
        result = await one(server.discover("dev", "/3/0", depth=1), links,
                           ("GET", "/3/0", {"accept": 40, "query": ["depth=1"]}, b""))
        assert result.links == [("/3/0", {"pmin": "5"}), ("/3/0/6", {"dim": "2"})]
        result = await one(
            server.read_composite("dev", ["/3/0/0", "/1/0"]),
            content([{-2: "/3/0/0", 3: "m"}, {-2: "/1/0/1", 2: 60}]),
            ("FETCH", "/", {"content_format": 112, "accept": 112}, cbor2.dumps([{0: "/3/0/0"}, {0: "/1/0"}])))
        assert result.values == {"/3/0/0": "m", "/1/0/1": 60}
        await one(server.write_composite("dev", {"/3/0/14": "+02", "/1/0": {1: 60}}), changed(),
                  ("iPATCH", "/", {"content_format": 112},
                   cbor2.dumps([{0: "/3/0/14", 3: "+02"}, {0: "/1/0/1", 2: 60}])))


@in_loop
async def test_long_values_go_in_blocks_both_ways():
    body = secrets.token_bytes(1500)
    async with bench(block_size=256) as server, Device(server) as device:
        await device.register()
        got, szx = [], 3  # 128: the device wants them smaller

        def serve(request):
            if request.code == codes.PUT:
                number, more, _ = request.opt.block1
                if number == 0:
                    assert request.opt.size1 == len(body)
                got.append(request.payload)
                return Message(code=codes.CONTINUE if more else codes.CHANGED, block1=(number, more, szx))
            number = request.opt.block2.block_number if request.opt.block2 else 0
            part = body[number * 64 : number * 64 + 64]
            return Message(code=codes.CONTENT, content_format=42, payload=part, etag=b"e",
                           block2=(number, number * 64 + 64 < len(body), 2))

        device.serve = serve
        assert (await server.write("dev", "/5/0/0", body, format=42)).code == "2.04"
        assert b"".join(got) == body and len(got[0]) == 256 and len(got[1]) == 128
        assert (await server.read("dev", "/5/0/0", format=42)).value == body
        etags = iter(b"ab")

        def changing(request):
            response = serve(request)
            response.opt.etag = bytes([next(etags)])
            return response

        device.serve = changing
        with pytest.raises(OperationFailed, match="changed between"):
            await server.read("dev", "/5/0/0", format=42)


@in_loop
async def test_an_operation_survives_lost_datagrams():
    lost, sent = [], []

    def tap(datagram):
        if datagram.direction == "out" and datagram.sealed and reading:
            sent.append(datagram.data)
            if len(lost) < 2:
                lost.append(datagram.data)
                return False

    reading = False
    async with bench(tap=tap) as server, Device(server) as device:
        await device.register()
        device.serve = lambda request: content([{-2: "/3/0/9", 2: 5}])
        reading = True
        assert (await server.read("dev", "/3/0/9")).value == 5
        assert len(lost) == 2 and len(device.seen) == 1
        assert sent[0] == sent[1] == sent[2]  # sealed once


@in_loop
async def test_an_operation_without_an_answer():
    async with bench(timeout=0.3) as server, Device(server) as device:
        with pytest.raises(OperationFailed, match="dev is not registered"):
            await server.read("dev", "/3/0/9")
        await device.register()
        device.serve = lambda request: None
        with pytest.raises(OperationFailed, match="did not answer within 0.3 s"):
            await server.read("dev", "/3/0/9")
        # What was given up holds nothing back.
        device.serve = lambda request: content([{-2: "/3/0/9", 2: 5}])
        assert (await server.read("dev", "/3/0/9")).value == 5
        with pytest.raises(OperationFailed, match="timeout"):
            device.serve = lambda request: None
            await server.read("dev", "/3/0/9", timeout=30)  # the last retransmission of Quick
        server.forget("dev")
        with pytest.raises(OperationFailed, match="no security context"):
            await server.read("dev", "/3/0/9")


@in_loop
async def test_answers_that_are_not_the_devices():
    async with bench() as server, Device(server) as device:
        await device.register()

        def serve(outer):
            # A forged answer under the right token first, then the true one.
            forged = Message(code=codes.CHANGED, oscore=b"", payload=bytes(20))
            device.send(forged, types.NON, outer.token)
            real(outer)

        real, device._request = device._request, serve
        device.serve = lambda request: content([{-2: "/3/0/9", 2: 5}])
        assert (await server.read("dev", "/3/0/9")).value == 5
        await server.wait("unverified", "dev", timeout=5)

        def refuse(outer):
            device.send(Message(code=codes.UNAUTHORIZED), types.ACK, outer.token, outer.mid)

        device._request = refuse
        with pytest.raises(OperationFailed, match="answered 4.01 without protection"):
            await server.read("dev", "/3/0/9")


@in_loop
async def test_the_device_asks_for_echo():
    async with bench() as server, Device(server) as device:
        await device.register()
        device.serve = recorder([
            Message(code=codes.UNAUTHORIZED, echo=b"fresh"), content([{-2: "/3/0/9", 2: 5}]),
        ])
        assert (await server.read("dev", "/3/0/9")).value == 5
        assert [r.opt.echo for r in device.seen] == [None, b"fresh"]


@in_loop
async def test_a_separate_response():
    async with bench() as server, Device(server) as device:
        await device.register()

        def separate(outer):
            inner, request_id = device.context.unprotect(outer)
            ack = Message(code=codes.EMPTY)
            device.send(ack, types.ACK, b"", outer.mid)
            sealed, _ = device.context.protect(content([{-2: "/3/0/9", 2: 5}]), request_id)
            asyncio.get_running_loop().call_later(0.05, device.send, sealed, types.CON, outer.token)

        device._request = separate
        assert (await server.read("dev", "/3/0/9")).value == 5


@in_loop
async def test_complaints_of_a_strict_server():
    async with bench() as server, Device(server) as device:
        await device.register()
        device.serve = recorder([
            content([{-2: "/3303/0/5700", 2: 21}]), content([{-2: "/3/0/9", 2: 5.0}]),
            content([{-2: "/1/0/0", 2: 1}]), content(b"\x1a\x38\x6d\x43\x80", 60),
        ])
        said = []
        for path, ct in (("/3303/0/5700", 112), ("/3/0/9", 112), ("/3/0/9", 112), ("/3/0/13", 60)):
            said += (await server.read("dev", path, format=ct)).complaints
        assert said == [
            "/3303/0/5700: integer where float is due", "/3/0/9: float where integer is due",
            "/1/0/0 lies outside /3/0/9", "/3/0/13: Time without its tag"]


# Observe


@in_loop
async def test_observe_notify_cancel():
    async with bench() as server, Device(server) as device:
        await device.register()
        path = ("3303", "0", "5700")
        device.serve = lambda request: content([{-2: "/3303/0/5700", 2: 20.0}])
        observation = await server.observe("dev", "/3303/0/5700")
        assert observation.active and observation.first.value == 20.0
        assert asked(device.seen[-1]) == ("GET", "/3303/0/5700", {"accept": 112, "observe": 0}, b"")
        for number, value in enumerate((20.5, 21.0, 21.5)):
            device.notify(path, content([{-2: "/3303/0/5700", 2: value}]), (types.NON, types.CON)[number % 2])
            assert (await observation.next(5)).value == value
        event = await server.wait("notify", "dev", timeout=5)
        assert str(event).endswith("notify dev path=/3303/0/5700 values=/3303/0/5700=20.5")
        token = device.observers[path][0]
        result = await server.cancel("dev", "/3303/0/5700")
        assert result.value == 20.0 and not observation.active
        assert asked(device.seen[-1]) == ("GET", "/3303/0/5700", {"accept": 112, }, b"")
        mid = device.notify(path, content([{-2: "/3303/0/5700", 2: 1.0}]), types.CON)
        await until(lambda: mid in device.resets)
        assert device.observers[path][0] == token
        with pytest.raises(OperationFailed, match="no observation of /3303/0/5700"):
            await server.cancel("dev", "/3303/0/5700")


async def until(condition):
    """Wait for something that has no event: what a socket has received."""
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came true")


@pytest.mark.parametrize("mtype", [types.NON, types.CON])
@in_loop
async def test_passive_cancel_rejects_the_next_notification(mtype):
    async with bench() as server, Device(server) as device:
        await device.register()
        device.serve = lambda request: content([{-2: "/3/0/9", 2: 5}])
        await server.observe("dev", "/3/0/9")
        assert await server.cancel("dev", "/3/0/9", passive=True) is None
        mid = device.notify(("3", "0", "9"), content([{-2: "/3/0/9", 2: 6}]), mtype)
        await until(lambda: mid in device.resets)
        assert len(device.seen) == 1


@in_loop
async def test_notifications_are_ordered_by_partial_iv():
    async with bench() as server, Device(server) as device:
        await device.register()
        device.serve = lambda request: content([{-2: "/3/0/9", 2: 5}])
        observation = await server.observe("dev", "/3/0/9")
        held, device.transport.sendto = [], lambda data: held.append(data)
        send = type(device.transport).sendto
        for value in (6, 7):
            device.notify(("3", "0", "9"), content([{-2: "/3/0/9", 2: value}]))
        del device.transport.sendto
        for data in (held[1], held[0], held[1]):
            send(device.transport, data)
        device.notify(("3", "0", "9"), content([{-2: "/3/0/9", 2: 8}]))
        assert [(await observation.next(5)).value for _ in range(2)] == [7, 8]
        assert not [e for e in server.log.history if e.name == "nonce-reuse"]


@pytest.mark.nonces("its device leaves out its Partial IV")
@in_loop
async def test_a_notification_without_its_own_partial_iv_is_reported():
    async with bench() as server, Device(server) as device:
        await device.register()
        device.serve = lambda request: content([{-2: "/3/0/9", 2: 5}])
        observation = await server.observe("dev", "/3/0/9")
        device.notify(("3", "0", "9"), content([{-2: "/3/0/9", 2: 6}]), piv=False)
        event = await server.wait("nonce-reuse", "dev", timeout=5)
        assert event.data == {"where": "response"} and observation.count == 0


@in_loop
async def test_a_notification_without_the_inner_observe_is_the_last():
    async with bench() as server, Device(server) as device:
        await device.register()
        device.serve = lambda request: content([{-2: "/3/0/9", 2: 5}])
        observation = await server.observe("dev", "/3/0/9")
        device.notify(("3", "0", "9"), content([{-2: "/3/0/9", 2: 6}]), inner_observe=False)
        assert (await observation.next(5)).value == 6
        with pytest.raises(OperationFailed, match="no longer observed"):
            await observation.next(5)


@in_loop
async def test_a_last_notification_with_an_error():
    async with bench() as server, Device(server) as device:
        await device.register()
        device.serve = lambda request: content([{-2: "/3/0/9", 2: 5}])
        observation = await server.observe("dev", "/3/0/9")
        device.notify(("3", "0", "9"), Message(code=codes.NOT_FOUND), inner_observe=False)
        assert [result.code async for result in observation] == ["4.04"]
        event = await server.wait("observation-ended", "dev", timeout=5)
        assert event.data["why"] == "4.04 from the device"


@in_loop
async def test_observations_end_with_their_context():
    async with bench() as server, Device(server) as device:
        await device.register()
        device.serve = lambda request: content([{-2: "/3/0/9", 2: 5}])
        observation = await server.observe("dev", "/3/0/9")
        await device.b2(Message(code=codes.POST, uri_path=device.location))
        assert observation.ended == "new security context" and not server.observations
        mid = device.notify(("3", "0", "9"), content([{-2: "/3/0/9", 2: 6}]))
        await until(lambda: mid in device.resets)


@in_loop
async def test_what_the_device_does_not_observe():
    async with bench() as server, Device(server) as device:
        await device.register()
        device.serve = lambda request: Message(code=codes.METHOD_NOT_ALLOWED)
        observation = await server.observe("dev", "/3/0/4")
        assert not observation.active and observation.first.code == "4.05" and not server.observations


@in_loop
async def test_observe_composite():
    async with bench() as server, Device(server) as device:
        await device.register()
        answer = [{-2: "/3/0/9", 2: 5}, {-2: "/3/0/13", 2: 1}]
        device.serve = lambda request: content(answer)
        observation = await server.observe("dev", ["/3/0/13", "/3/0/9"])
        assert asked(device.seen[-1]) == (
            "FETCH", "/", {"content_format": 112, "accept": 112, "observe": 0},
            cbor2.dumps([{0: "/3/0/9"}, {0: "/3/0/13"}]))
        device.notify((), content([{-2: "/3/0/9", 2: 6}]))
        assert (await observation.next(5)).values == {"/3/0/9": 6}
        await server.cancel("dev", ["/3/0/9", "/3/0/13"])
        assert not server.observations


@in_loop
async def test_observation_stands_when_a_request_times_out():
    async with bench() as server, Device(server) as device:
        await device.register()
        device.serve = lambda request: content([{-2: "/3/0/9", 2: 5}])
        observation = await server.observe("dev", "/3/0/9")
        device.serve = lambda request: None
        with pytest.raises(OperationFailed):
            await server.read("dev", "/3/0/9")
        device.notify(("3", "0", "9"), content([{-2: "/3/0/9", 2: 6}]))
        assert (await observation.next(5)).value == 6


# Downloads


@in_loop
async def test_a_served_file():
    image = secrets.token_bytes(3000)
    async with bench(resources={"fw.bin": image}) as server, Device(server) as device:
        await device.register()
        body, number, etags = b"", 0, set()
        while True:
            get = Message(code=codes.GET, uri_path=["fw.bin"], block2=(number, False, 4))
            part = await device.ask(get)
            assert part.code == codes.CONTENT and len(part.payload) <= 256
            body += part.payload
            etags.add(part.opt.etag)
            if not part.opt.block2.more:
                break
            number += 1
        assert body == image and len(etags) == 1
        beyond = Message(code=codes.GET, uri_path=["fw.bin"], block2=(99, False, 4))
        assert (await device.ask(beyond)).code == codes.BAD_REQUEST


# The tap and the trace


@in_loop
async def test_the_tap_sees_what_the_wire_sees_and_the_trace_what_is_in_it():
    datagrams, inside = [], []
    async with bench(tap=datagrams.append, trace=inside.append) as server, Device(server) as device:
        await device.register()
        device.serve = lambda request: content([{-2: "/3/0/0", 3: "very own words"}])
        await server.read("dev", "/3/0/0")
        device.send(Message(code=codes.EMPTY), types.CON, b"")  # a ping
        await until(lambda: device.resets)
    assert [d.direction for d in datagrams] == ["in", "out"] * 2 + ["out", "in"] + ["in", "out"]
    assert [d.sealed for d in datagrams] == [True] * 6 + [None] * 2
    assert [d.time for d in datagrams] == sorted(d.time for d in datagrams)
    assert not any(b"own words" in d.data or b"lwm2m" in d.data for d in datagrams)
    assert [(i.direction, str(i), i.note) for i in inside] == [
        ("in", "GET /rederivation/blackhole", "b2"), ("out", "4.01", "b2"),
        ("in", "POST /rd?ep=dev&lt=300&lwm2m=1.2&b=U 39 bytes", ""),
        ("out", "2.01 /%s" % "/".join(device.location), ""),
        ("out", "GET /3/0/0", ""), ("in", "2.05 26 bytes", "")]


@in_loop
async def test_nothing_received_stops_the_server():
    async with bench() as server, Device(server) as device:
        for data in (b"", b"\x40", b"\xff" * 30, bytes(4), b"\x40\x01\0\1\xb1\xff", b"\x4f\x01\0\1",
                     b"\x48\x02\0\2", b"\x40\x02\0\3\x9d", b"\x40\x02\0\4\x91\x18\xff", b"\x40\xe0\0\5"):
            device.transport.sendto(data)
        await device.register()
        assert server.devices and server.counters["malformed"] >= 4


# The command line


def command(*args, input=""):
    env = dict(os.environ, PYTHONPATH=str(TOOLS))
    return subprocess.run([sys.executable, "-m", "microlwm2m", *args], input=input, text=True,
                          capture_output=True, timeout=30, env=env)


ACCOUNT = "--account=dev:01:02:" + SECRET.hex()


@pytest.mark.parametrize("args, status, words", [
    (["server"], 2, "nobody could register"),
    (["server", "--account", "dev"], 2, "account: want EP"),
    (["server", ACCOUNT, ACCOUNT], 2, "two accounts for endpoint dev"),
    (["server", ACCOUNT, "--bind", "x:y"], 2, "--bind x:y"),
    (["server", ACCOUNT, "--quirk", "none"], 2, "quirks: none"),
    (["server", ACCOUNT, "--format", "json"], 2, "json: a format is"),
    (["server", ACCOUNT, "--block-size", "7"], 2, "block_size"),
    (["server", ACCOUNT, "--models", "/nonexistent"], 2, "not a folder"),
    (["server", ACCOUNT, "--script", "/nonexistent"], 1, "No such file"),
    (["server", ACCOUNT, "--bind", "192.0.2.1:0"], 1, "cannot bind"),
    (["server", ACCOUNT, "--nonsense"], 2, "unrecognized arguments"),
    (["server", ACCOUNT, "--bind", ":0", "-c", "reed /3"], 2, "reed: no such command"),
    (["server", ACCOUNT, "--bind", ":0", "-c", "read"], 1, "no device is registered"),
    (["server", ACCOUNT, "--bind", ":0", "-c", "read dev 3"], 2, "a path begins with /"),
    (["server", ACCOUNT, "--bind", ":0", "-c", "wait registered --timeout 0.1; list"], 1, "no registered event"),
    (["serve"], 2, "invalid choice"),
    ([], 2, "VERB"),
])
def test_command_line_refusals_take_one_line(args, status, words):
    done = command(*args)
    assert done.returncode == status
    assert done.stderr.count("\n") == 1 and words in done.stderr, done.stderr
    assert done.stderr.startswith("microlwm2m") and SECRET.hex() not in done.stderr + done.stdout


def test_command_line_from_a_pipe_goes_on_after_a_failure():
    done = command("server", ACCOUNT, "--bind", ":0", "--quiet", input="read /3/0\naccounts; help\n")
    assert done.returncode == 0 and done.stderr.count("\n") == 1
    assert done.stdout.startswith("dev no context yet\nEP is an endpoint name")


@pytest.mark.parametrize("args, status", [([], 0), (["-c", "sleep 20"], 130)])
def test_ctrl_c_stops_it(args, status):
    process = subprocess.Popen(
        [sys.executable, "-m", "microlwm2m", "server", ACCOUNT, "--bind", ":0", *args],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=dict(os.environ, PYTHONPATH=str(TOOLS)))
    assert "listening" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (status, "", "")


@in_loop
async def test_wait_takes_up_where_it_was_or_at_the_mark():
    async with bench() as server:
        prompt = Prompt(server, lambda text: None)
        for number in (1, 2, 3):
            server.log.emit("tick", "dev", number=number)
        await prompt.run("wait tick --timeout 1")
        await prompt.run("wait tick number=3 --timeout 1")
        assert prompt.waited == server.log.count
        server.log.emit("tick", "dev", number=4)
        await prompt.run("mark")
        with pytest.raises(Refused, match="no tick event within 0.1 s"):
            await prompt.run("wait tick --timeout 0.1")
        with pytest.raises(Refused, match="4.04 instead of"):
            async with Device(server) as device:
                await device.register()
                await prompt.run("expect 2.05 read dev /3")


@in_loop
async def test_a_script_with_a_device(tmp_path):
    script = tmp_path / "script"
    script.write_text("""
        wait registered dev         # the device of this test
        read /3/0/0; read dev /3/0
        expect 4.04 read /9
        write /3/0/14 '+02;x'
        observe /3/0/9
        wait notify =80
        cancel /3/0/9
        exec /3/0/4 "0='a b'"
        list
        quit
        read /never
    """)
    env = dict(os.environ, PYTHONPATH=str(TOOLS))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "microlwm2m", "server", ACCOUNT, "--bind", "127.0.0.1:0",
        "--script", str(script), stdout=-1, stderr=-1, env=env)
    first = (await process.stdout.readline()).decode()
    host, port = first.split("listening address=")[1].strip().rsplit(":", 1)

    class There:
        class endpoint:
            address = host, int(port)

    def serve(request):
        path = "/".join(request.opt.uri_path)
        if request.opt.observe == 0:
            asyncio.get_running_loop().call_later(
                0.1, lambda: device.notify(("3", "0", "9"), content([{-2: "/3/0/9", 2: 80}])))
        return {
            "3/0/0": content([{-2: "/3/0/0", 3: "maker\n"}]), "3/0/9": content([{-2: "/3/0/9", 2: 79}]),
            "3/0": content([{-2: "/3/0/", 0: "0", 3: "m"}, {0: "13", 2: 0}, {0: "11/0", 2: 0}]),
        }.get(path) or Message(code=codes.NOT_FOUND if path == "9" else codes.CHANGED)

    async with Device(There, serve=serve) as device:
        await device.register()
        out, err = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, err) == (0, b"")
    lines = [line for line in out.decode().split("\n") if not line.startswith(" " * 4)]
    assert lines == [
        '2.05 /3/0/0 Manufacturer = "maker\\n"', "2.05", '  /3/0/0 Manufacturer = "m"',
        "  /3/0/13 Current Time = 0 (1970-01-01T00:00:00Z)", "  /3/0/11/0 Error Code = 0", "4.04", "2.04",
        "2.05 /3/0/9 Battery Level = 79", "2.05 /3/0/9 Battery Level = 79", "2.04", lines[-2], ""]
    assert re.fullmatch(
        r"dev sealed lwm2m=1\.2 b=U lt=300 \(\d+ s left\) /1/0,/3/0 peer=127\.0\.0\.1:\d+", lines[-2])
    assert asked(device.seen[3]) == (
        "PUT", "/3/0/14", {"content_format": 112}, cbor2.dumps([{3: "+02;x", -2: "/3/0/14"}]))
    assert asked(device.seen[-1]) == ("POST", "/3/0/4", {"content_format": 0}, b"0='a b'")
