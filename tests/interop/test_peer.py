# The Leshan peer as the other tests rely on it: its routes, its OSCORE, its restarts.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import cbor2
import pytest
from aiocoap import Message
from aiocoap.numbers.codes import CHANGED, CONTENT, CREATED, DELETE, DELETED, GET, POST
from peer import PeerError, PeerTimeout, Typed
from rawdevice import RawDevice

SECRET = bytes(range(16))
LINKS = "</1/0>,</3/0>,</3303>;ver=1.1,</3303/0>,</3442/0>"
_ids = iter(range(0x100, 0xFFFF))


def account():
    """Keys of a device of its own: (sender_id, recipient_id, master_secret), as the device has them."""
    number = next(_ids).to_bytes(2, "big")
    return b"c" + number, b"s" + number, SECRET


def give(leshan, name, keys, **more):
    sender, recipient, secret = keys
    leshan.set_account(name, recipient.hex(), sender.hex(), secret.hex(), **more)


def sealed_device(leshan, name, handler=None, links=LINKS):
    """Registered over OSCORE after B.2."""
    keys = account()
    give(leshan, name, keys)
    device = RawDevice(("127.0.0.1", leshan.coap), keys, handler)
    assert str(device.b2_first().code) == "4.01 Unauthorized"
    assert device.register(name, links, third=True).code == CREATED
    leshan.events.wait_for("REGISTRATION", name)
    return device


def plain_device(leshan, name, handler=None, **register):
    device = RawDevice(("127.0.0.1", leshan.coap), None, handler)
    assert device.register(name, LINKS, **register).code == CREATED
    leshan.events.wait_for("REGISTRATION", name)
    return device


# ---- In the clear ----


def test_a_plain_register_is_seen_by_rest_and_by_event(leshan, name):
    with RawDevice(("127.0.0.1", leshan.coap)) as device:
        assert device.register(name, LINKS).code == CREATED
        event = leshan.events.wait_for("REGISTRATION", name)
        seen = leshan.registration(name)
        assert seen["oscore"] is None and seen["lwM2mVersion"] == "1.1" and seen["lifetime"] == 60
        assert seen["availableInstances"] == {"1": [0], "3": [0], "3303": [0], "3442": [0]}
        assert seen["registrationId"] == event.data["registrationId"] == device.location.split("/")[1]
        assert device.update().code == CHANGED
        leshan.events.wait_for("UPDATED", name)
        assert device.request(DELETE, device.location).code == DELETED
        leshan.events.wait_for("DEREGISTRATION", name)
        assert leshan.registration(name) is None


class Bench:
    """Answers each operation, and remembers what came."""

    def __init__(self, answer):
        self.answer, self.seen = answer, []

    def __call__(self, request, path):
        query = "&".join(request.opt.uri_query)
        formats = request.opt.accept, request.opt.content_format
        self.seen.append((str(request.code), path + ("?" + query if query else ""),
                          *(None if f is None else int(f) for f in formats), request.payload))  # fmt: skip
        return self.answer() if callable(self.answer) else self.answer


def senml(*records):
    return cbor2.dumps([{-2: base, 0: n, 2: v} if n else {-2: base, 2: v} for base, n, v in records])


def operations(leshan, name, make):
    """Every operation by REST: what reaches the device, and what comes back."""
    bench = Bench(None)

    def answer(code, payload=b"", content_format=None, **options):
        bench.answer = lambda: Message(code=code, payload=payload, content_format=content_format, **options)
        bench.seen.clear()

    with make(leshan, name, bench):
        answer(CONTENT, cbor2.dumps([{-2: "/3/0/", 0: "0", 3: "acme"}, {0: "9", 2: 90}]), 112)
        got = leshan.read(name, "/3/0", "SENML_CBOR")
        assert (got.code, got.value) == ("2.05", {0: "acme", 9: 90})
        assert bench.seen == [("GET", "/3/0", 112, None, b"")]

        answer(CONTENT, b"21.5", 0)
        assert leshan.read(name, "/3303/0/5700", "TEXT").value == 21.5
        assert bench.seen == [("GET", "/3303/0/5700", 0, None, b"")]

        answer(CHANGED)
        assert leshan.write(name, "/3/0/14", "+02", "TEXT").code == "2.04"
        assert bench.seen == [("PUT", "/3/0/14", None, 0, b"+02")]

        answer(CHANGED)
        leshan.write(name, "/3442/0/130", 1.5, "CBOR")
        leshan.write(name, "/3442/0/160", Typed("time", 946684800), "CBOR")
        leshan.write(name, "/3442/0/170", (3, 1), "TEXT")
        leshan.write(name, "/3442/0/150", b"\x01\xff", "OPAQUE")
        assert [s[4] for s in bench.seen] == [bytes.fromhex("f93e00"), bytes.fromhex("c11a386d4380"), b"3:1", b"\x01\xff"]

        answer(CHANGED)
        leshan.write(name, "/3442/0", {110: "a", 1120: {0: 1, 5: 2}}, "TLV", replace=False)
        assert bench.seen[0][:4] == ("POST", "/3442/0", None, 11542)
        assert b"\xc1\x6ea" in bench.seen[0][4]  # resource 110

        answer(CHANGED)
        assert leshan.execute(name, "/3442/0/3", "0='1',1").code == "2.04"
        leshan.execute(name, "/3/0/4")
        assert [s[0:2] + s[4:] for s in bench.seen] == [("POST", "/3442/0/3", b"0='1',1"), ("POST", "/3/0/4", b"")]

        answer(CREATED, location_path=("3442", "4"))
        assert leshan.create(name, 3442, {110: "a"}).location == "3442/4"
        leshan.create(name, 3442, {110: "a"}, iid=7, fmt="TLV")
        assert [s[4].hex() for s in bench.seen] == ["c16e61", "0307c16e61"]

        answer(DELETED)
        assert leshan.delete(name, "/3442/4").code == "2.02"
        assert bench.seen == [("DELETE", "/3442/4", None, None, b"")]

        answer(CONTENT, b"</3303/0>,</3303/0/5700>;pmin=1;pmax=5", 40)
        assert leshan.discover(name, "/3303/0").links == {"/3303/0": {}, "/3303/0/5700": {"pmin": "1", "pmax": "5"}}
        assert bench.seen == [("GET", "/3303/0", 40, None, b"")]

        answer(CHANGED)
        assert leshan.write_attributes(name, "/3303/0/5700", pmin=1, pmax=None).code == "2.04"
        assert bench.seen == [("PUT", "/3303/0/5700?pmin=1&pmax", None, None, b"")]

        answer(CONTENT, cbor2.dumps([{-2: "/3/0/0", 3: "acme"}, {-2: "/1/0/1", 2: 60}]), 112)
        assert leshan.read_composite(name, ["/3/0/0", "/1/0/1"]).value == {"/3/0/0": "acme", "/1/0/1": 60}
        assert [s[:4] for s in bench.seen] == [("FETCH", "/", 112, 112)]
        assert cbor2.loads(bench.seen[0][4]) == [{0: "/3/0/0"}, {0: "/1/0/1"}]

        answer(CHANGED)
        leshan.write_composite(name, {"/3/0/14": "+07", "/1/0/1": 30})
        assert [s[:4] for s in bench.seen] == [("iPATCH", "/", None, 112)]
        assert cbor2.loads(bench.seen[0][4]) == [{3: "+07", -2: "/3/0/14"}, {2: 30, -2: "/1/0/1"}]

        answer(CONTENT, b"\xff\xff", 112)
        with pytest.raises(PeerError) as e:
            leshan.read(name, "/3/0", "SENML_CBOR")
        assert e.value.http == 500  # what the peer cannot decode


def test_every_operation_in_the_clear(leshan, name):
    operations(leshan, name, plain_device)


def test_every_operation_sealed(leshan, name):
    operations(leshan, name, sealed_device)


@pytest.mark.parametrize(
    "link,path,number",
    [("</1>;ver=1.2,</1/0>", "/1/0/1", b"\xc1\x01\x05"), ("</1/0>", "/1/0/1", b"\xc1\x01\x05"),
     ("</3303/0>", "/3303/0/5700", bytes.fromhex("e81644084014000000000000"))],
)  # fmt: skip
def test_the_model_gives_the_type(leshan, name, link, path, number):
    bench = Bench(lambda: Message(code=CHANGED))
    with RawDevice(("127.0.0.1", leshan.coap), None, bench) as device:
        device.register(name, link)
        leshan.events.wait_for("REGISTRATION", name)
        leshan.write(name, path, 5, "TLV")
        assert bench.seen[0][4] == number


def test_without_a_model_the_type_must_be_said(leshan, name):
    bench = Bench(lambda: Message(code=CHANGED))
    with RawDevice(("127.0.0.1", leshan.coap), None, bench) as device:
        device.register(name, "</26241>;ver=1.0,</26241/0>")
        leshan.events.wait_for("REGISTRATION", name)
        with pytest.raises(PeerError) as e:
            leshan.write(name, "/26241/0/1", 5)
        assert e.value.http == 400 and bench.seen == []
        assert leshan.write(name, "/26241/0/1", Typed("integer", 5)).code == "2.04"
        assert bench.seen[0][4] == b"\xc1\x01\x05"


def test_what_a_device_refuses_is_an_answer(leshan, name):
    with plain_device(leshan, name):
        got = leshan.read(name, "/3/0/77")
        assert (got.code, got.ok, got.value) == ("4.04", False, None)


def test_wrong_calls_are_refused_unsent(leshan, name):
    bench = Bench(None)
    with plain_device(leshan, name, bench):
        for call in (
            lambda: leshan.read(name, "/3/0/9", "YAML"),
            lambda: leshan.read(name, "/x"),
            lambda: leshan.write(name, "/3442/0", {110: "a"}, "TEXT"),
            lambda: leshan.execute(name, "/3/0/4", "nonsense"),
        ):
            with pytest.raises(PeerError) as e:
                call()
            assert e.value.http == 400
        for path in ("/clients/nobody/3/0", "/nonsense"):
            with pytest.raises(PeerError) as e:
                leshan.call("GET", path)
            assert e.value.http == 404
        assert bench.seen == []


def test_a_device_that_does_not_answer_is_a_timeout(leshan, name):
    with plain_device(leshan, name):
        pass  # its socket is closed now
    with pytest.raises(PeerTimeout):
        leshan.read(name, "/3/0", timeout=1)


@pytest.mark.parametrize("make", [plain_device, sealed_device])
def test_observe_notify_cancel(leshan, name, make):
    path = "/3303/0/5700"
    value = Message(code=CONTENT, payload=senml((path, None, 20.0)), content_format=112)
    with make(leshan, name, Bench(value.copy)) as device:
        assert leshan.observe(name, path).value in (20.0, {path: 20.0})
        assert leshan.observations(name) == [[path]]
        for reading in (20.5, 21.0, 22.25):
            device.notify(path, senml((path, None, reading)), 112)
            assert leshan.events.wait_value(name, path) == reading
        assert leshan.cancel(name, path) == {"cancelled": 1}
        assert leshan.observations(name) == []
        mid = device.notify(path, senml((path, None, 23.0)), 112)
        assert device.resets.get(timeout=5) == mid
        assert not leshan.events.pending("NOTIFICATION", name)


@pytest.mark.parametrize("make", [plain_device, sealed_device])
def test_active_cancel_asks_the_device(leshan, name, make):
    path = "/3303/0/5700"
    value = Message(code=CONTENT, payload=senml((path, None, 20.0)), content_format=112)
    with make(leshan, name, Bench(value.copy)) as device:
        leshan.observe(name, path)
        token = device.observed[path][0]
        assert leshan.cancel(name, path, active=True)["response"]["status"] == "CONTENT(205)"
        assert device.cancelled == [(path, token)]
        with pytest.raises(PeerError) as e:
            leshan.cancel(name, path)
        assert e.value.http == 404  # there is none any more


@pytest.mark.parametrize("make", [plain_device, sealed_device])
def test_observe_composite(leshan, name, make):
    paths = ["/3303/0/5700", "/3/0/9"]
    value = Message(code=CONTENT, payload=senml((paths[0], None, 20.0), (paths[1], None, 90)), content_format=112)
    with make(leshan, name, Bench(value.copy)) as device:
        assert leshan.observe_composite(name, paths).value == {paths[0]: 20.0, paths[1]: 90}
        device.notify("/", senml((paths[0], None, 20.5), (paths[1], None, 89)), 112)
        event = leshan.events.wait_for("NOTIFICATION", name)
        assert (event.data["kind"], event.values) == ("composite", {paths[0]: 20.5, paths[1]: 89})
        token = device.observed["/"][0]
        leshan.cancel_composite(name, paths, active=True)
        assert device.cancelled == [("/", token)]


@pytest.mark.parametrize("make", [plain_device, sealed_device])
def test_a_notification_that_leshan_cannot_read_is_told(leshan, name, make):
    path = "/3303/0/5700"
    value = Message(code=CONTENT, payload=senml((path, None, 20.0)), content_format=112)
    with make(leshan, name, Bench(value.copy)) as device:
        leshan.observe(name, path)
        device.notify(path, b"\xff", 112)
        leshan.events.wait_for("NOTIFICATION_ERROR", name)


@pytest.mark.parametrize("make", [plain_device, sealed_device])
def test_send_gives_values_and_their_times(leshan, name, make):
    path = "/3303/0/5700"
    with make(leshan, name) as device:
        records = [{-2: path, -3: 1700000000, 2: 20.5}, {-2: path, 6: 10, 2: 21.5}]
        assert device.request(POST, "dp", cbor2.dumps(records), content_format=112).code == CHANGED
        event = leshan.events.wait_for("SEND", name)
        assert [(t["t"], t["val"][path]["value"]) for t in event.data["timestamped"]] == [
            (1700000000000, "20.5"),
            (1700000010000, "21.5"),
        ]
        assert path in event.values


# ---- OSCORE ----


def test_b2_registers_and_the_registration_knows_its_kid(leshan, name):
    with sealed_device(leshan, name) as device:
        assert leshan.registration(name)["oscore"] == device.account[0].hex()
        assert device.update().code == CHANGED
        leshan.events.wait_for("UPDATED", name)


def test_an_unknown_kid_gets_a_plain_401(leshan):
    with RawDevice(("127.0.0.1", leshan.coap), account()) as device:
        answer = device.request(GET, "rd")
        assert (str(answer.code), answer.opt.oscore, answer.opt.max_age) == ("4.01 Unauthorized", None, 0)
        assert b"ecurity context not found" in answer.payload
        assert str(device.b2_first().code) == "4.01 Unauthorized" and device.outer[-1].opt.oscore is None


def test_wrong_keys_get_a_plain_400(leshan, name):
    sender, recipient, secret = keys = account()
    give(leshan, name, keys)
    with RawDevice(("127.0.0.1", leshan.coap), (sender, recipient, bytes(16))) as device:
        answer = device.request(GET, "rd")
        assert (str(answer.code), answer.opt.oscore) == ("4.00 Bad Request", None)


def test_a_replay_gets_a_plain_401(leshan, name):
    with sealed_device(leshan, name) as device:
        device.update()
        device.keys.sender_sequence_number -= 1
        answer = device.update()
        assert (str(answer.code), answer.opt.oscore) == ("4.01 Unauthorized", None)
        assert b"eplay" in answer.payload


def test_a_retransmission_gets_the_same_answer_again(leshan, name):
    # Without the swapped layers: a replay; and request 1 of B.2 would be taken as request 3.
    keys = account()
    give(leshan, name, keys)
    with RawDevice(("127.0.0.1", leshan.coap), keys) as device:
        assert str(device.b2_first().code) == "4.01 Unauthorized"
        first = device.send_again()
        assert (first.code, first.payload) == (device.outer[0].code, device.outer[0].payload)
        assert device.register(name, third=True).code == CREATED
        third = device.send_again()
        assert (third.code, third.payload) == (device.outer[-2].code, device.outer[-2].payload)
        assert len([e for e in leshan.events.pending("REGISTRATION", name)]) == 1
        assert device.update().code == CHANGED


def test_registering_again_keeps_the_context(leshan, name):
    with sealed_device(leshan, name) as device:
        assert device.register(name).code == CREATED
        leshan.events.wait_for("DEREGISTRATION", name)
        leshan.events.wait_for("REGISTRATION", name)
        assert device.update().code == CHANGED


def test_the_account_decides_who_may_register(leshan, name):
    with sealed_device(leshan, name) as device:
        assert str(device.register("not-" + name).code) == "4.03 Forbidden"
    with RawDevice(("127.0.0.1", leshan.coap)) as device:
        assert str(device.register(name).code) == "4.03 Forbidden"


def test_new_keys_replace_the_old_context(leshan, name):
    with sealed_device(leshan, name) as device:
        sender, recipient, _ = device.account
        give(leshan, name, (sender, recipient, bytes(16)))
        assert str(device.update().code) == "4.00 Bad Request"
        device.account = sender, recipient, bytes(16)
        device.b2_first()
        assert device.register(name, third=True).code == CREATED


def test_a_request_1_of_wrong_keys_blocks_the_account_until_it_is_set_anew(leshan, name):
    # Californium 3.12 and 4.0 enter B.2 before the tag is verified, and leave only with an answer:
    # the right keys are refused too from then on. A test that uses wrong keys sets the account anew.
    sender, recipient, secret = keys = account()
    give(leshan, name, keys)
    with RawDevice(("127.0.0.1", leshan.coap), (sender, recipient, bytes(16))) as device:
        assert str(device.b2_first().code) == "4.00 Bad Request"
    with RawDevice(("127.0.0.1", leshan.coap), keys) as device:
        for number, code in ((0, "4.01 Unauthorized"), (1, "4.00 Bad Request"), (50, "4.00 Bad Request")):
            # Its window has noted number 0; others are opened with the keys of the wrong run's R1.
            assert str(device.b2_first(number=number).code) == code and device.outer[-1].opt.oscore is None
        leshan.delete_account(name)
        give(leshan, name, keys)
        assert str(device.b2_first().code) == "4.01 Unauthorized" and device.outer[-1].opt.oscore is not None
        assert device.register(name, third=True).code == CREATED


@pytest.mark.parametrize("wrong", [{"aead": 1}, {"aead": 24}, {"hkdf": 5}, {"recipient_id": ""}, {"master_secret": ""},
                                   {"master_secret": "0"}, {"sender_id": "00" * 8}])  # fmt: skip
def test_unusable_accounts_are_refused(leshan, name, wrong):
    with pytest.raises(PeerError) as e:
        leshan.set_account(name, **{"sender_id": "01", "recipient_id": "fe01", "master_secret": "00" * 16, **wrong})
    assert e.value.http == 400


def test_two_accounts_of_one_recipient_id_are_refused(leshan, name):
    keys = account()
    give(leshan, name, keys)
    with pytest.raises(PeerError) as e:
        give(leshan, "other-" + name, keys)
    assert e.value.http == 400


def test_no_route_gives_the_keys_away(leshan, name):
    give(leshan, name, account())
    shown = [a for a in leshan.call("GET", "/security/clients") if a["endpoint"] == name]
    assert len(shown) == 1 and SECRET.hex() not in str(shown)


# ---- Versions ----


@pytest.mark.parametrize("make", [plain_device, sealed_device])
def test_a_newer_version_is_refused_where_told(leshan, name, make):
    with make(leshan, name) as device:
        with leshan.newest("1.1"):
            assert str(device.register(name, version="1.2").code) == "4.12 Precondition Failed"
            assert device.register(name, version="1.1").code == CREATED
        assert device.register(name, version="1.2").code == CREATED
        assert leshan.registration(name)["lwM2mVersion"] == "1.2"


# ---- Bootstrap ----


def test_bootstrap_over_oscore(leshan, name):
    keys = account()
    give(leshan, name, keys, bootstrap=True)
    leshan.set_bootstrap(name, sender_id="6c6d", recipient_id="6c", master_secret="b0" * 16, master_salt="5a", fmt="TLV")
    seen = []

    def handler(request, path):
        seen.append((str(request.code), path, request.payload))
        return Message(code={"DELETE": DELETED}.get(str(request.code), CHANGED))

    with RawDevice(("127.0.0.1", leshan.bs), keys, handler) as device:
        assert str(device.b2_first().code) == "4.01 Unauthorized"
        assert device.b2_third(POST, "bs?ep=" + name).code == CHANGED
        leshan.events.wait_for("BSSESSION", name, match=lambda e: e.data["name"] == "finished")
    assert [s[:2] for s in seen] == [("DELETE", "/0"), ("DELETE", "/1"), ("DELETE", "/21"), ("PUT", "/0/1"),
                                     ("PUT", "/1/0"), ("PUT", "/21/1"), ("POST", "/bs")]  # fmt: skip
    sent = {path: payload for _, path, payload in seen}
    assert b"coap://127.0.0.1:%d" % leshan.coap in sent["/0/1"]
    assert bytes.fromhex("b0" * 16) in sent["/21/1"] and b"\x6c\x6d" in sent["/21/1"]


def test_bootstrap_without_a_configuration_fails_the_session(leshan, name):
    with RawDevice(("127.0.0.1", leshan.bs)) as device:
        assert str(device.request(POST, "bs?ep=" + name).code) == "4.00 Bad Request"
        leshan.events.wait_for("BSSESSION", name, match=lambda e: e.data["name"] == "failed")


# ---- Restarts ----


def test_forget_is_a_restart_with_the_accounts_kept(own_leshan, name):
    leshan = own_leshan()
    with sealed_device(leshan, name) as device:
        leshan.forget()
        assert leshan.clients() == {}
        answer = device.update()  # in a context that the server has lost
        assert (str(answer.code), answer.opt.oscore) == ("4.00 Bad Request", None)
        device.b2_first()
        assert device.register(name, third=True).code == CREATED
        leshan.events.wait_for("REGISTRATION", name)
        assert not leshan.events.pending("DEREGISTRATION", name)


@pytest.mark.parametrize("accounts", [True, False])
def test_kill_and_restart(own_leshan, name, accounts):
    leshan = own_leshan()
    with sealed_device(leshan, name) as device:
        ports = dict(leshan.ports)
        leshan.restart(accounts=accounts)
        assert leshan.ports == ports and leshan.clients() == {}
        answer = device.update()
        assert (str(answer.code)[:4], answer.opt.oscore) == (("4.00" if accounts else "4.01"), None)
        if not accounts:
            give(leshan, name, device.account)
        device.b2_first()
        assert device.register(name, third=True).code == CREATED
        leshan.events.wait_for("REGISTRATION", name)


def test_a_client_in_queue_mode_falls_asleep(own_leshan, name):
    leshan = own_leshan(awake_ms=300)
    with RawDevice(("127.0.0.1", leshan.coap)) as device:
        assert device.request(POST, "rd?ep=%s&lt=60&lwm2m=1.1&b=U&Q" % name, b"</3/0>", content_format=40).code == CREATED
        leshan.events.wait_for("AWAKE", name)
        leshan.events.wait_for("SLEEPING", name)
        with pytest.raises(PeerError) as e:
            leshan.read(name, "/3/0")
        assert e.value.http == 409


def test_small_blocks(own_leshan, name):
    leshan = own_leshan(block=64)
    bench = Bench(lambda: Message(code=CHANGED))
    with plain_device(leshan, name, bench):
        # The device answers the first block as if it were all: enough to see that there is one.
        leshan.write(name, "/3442/0/110", "x" * 200, "TEXT", timeout=2)
        assert bench.seen[0][4] == b"x" * 64


def test_the_process_ends_with_its_owner(own_leshan):
    leshan = own_leshan()
    process = leshan._process
    process.stdin.close()
    assert process.wait(5) == 0
