# What a Bootstrap-Server may do, and that it is one transaction.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# heapsize: 512K

import sys
import cbor
from check import raises, equal
from coap.message import Message, Error, GET, POST, PUT, DELETE
from coap.message import URI_PATH, CONTENT_FORMAT, ACCEPT
from lwm2m import Client
from lwm2m.bootstrap import BootstrapAccount
from lwm2m.client import Account
from lwm2m.objects.device import Device
from lwm2m.objects.accounts import OSCORE
from lwm2m_begin import check_keys
from oscore import Limits

BS = {0: "coap://192.0.2.9", 1: True, 2: 3, 17: [21, 0]}
BS_KEYS = {0: b"bootstrap-secret", 1: b"b", 2: b"s"}
SECURITY = [{0: "0", 3: "coap://192.0.2.1"}, {0: "1", 4: False}, {0: "2", 2: 3}, {0: "10", 2: 7}, {0: "17", "vlo": "21:1"}]
SERVER = [{0: "0", 2: 7}, {0: "1", 2: 300}, {0: "6", 4: False}, {0: "7", 3: "U"}]
KEYS = [{0: "0", 8: b"0123456789abcdef"}, {0: "1", 8: b"x"}, {0: "2", 8: b"y"}]


def make():
    OSCORE.check = check_keys  # as the product does
    said = []
    client = Client("ep", secure=lambda security, keys: None, log=said.append)
    client.model.define(OSCORE)
    client.add(Device())
    client.load({0: {0: dict(BS)}, 21: {0: dict(BS_KEYS)}})
    client.committed = []
    client.on_config = client.committed.append
    session = client.sessions[0]
    assert isinstance(session, BootstrapAccount)
    session.asked = "bootstrap"
    session.answered(0, Message(0x44))
    return client, session, said


def request(code, path, records=None, ct=112, accept=None):
    msg = Message(code)
    for segment in path.split("/")[1:]:
        msg.add(URI_PATH, segment)
    if records is not None:
        base = {-2: path if path.count("/") == 3 else path + "/"}
        rows = [dict(r) for r in records]
        rows[0].update(base)
        msg.payload = cbor.dumps(rows)
        msg.add(CONTENT_FORMAT, ct)
    if accept is not None:
        msg.add(ACCEPT, accept)
    return msg


def ask(session, *args, **kw):
    return session.serve(request(*args, **kw), session.peer, None)


def refused(session, *args, **kw):
    return raises(Error, session.serve, request(*args, **kw), session.peer, None).code


def give(session):
    equal(ask(session, PUT, "/0/1", SECURITY).code, 0x44)
    equal(ask(session, PUT, "/1/0", SERVER).code, 0x44)
    equal(ask(session, PUT, "/21/1", KEYS).code, 0x44)


def run_after(session):
    while session._after:
        session._after.pop(0)()


def test_finish_commits_once():
    client, session, said = make()
    give(session)
    equal(client.committed, [])
    equal(ask(session, POST, "/bs").code, 0x44)
    equal(len(client.committed), 1)
    config = client.committed[0]
    equal(config[1], {0: {0: 7, 1: 300, 6: False, 7: "U"}})
    equal((config[0][1][0], config[0][1][17]), ("coap://192.0.2.1", (21, 1)))
    equal(config[21][1][0], b"0123456789abcdef")
    assert "0123456789abcdef" not in "\n".join(said)


def test_delete_keeps_the_account_of_the_bootstrap_server():
    for path in ("", "/"):
        client, session, _ = make()
        give(session)
        equal(ask(session, DELETE, path).code, 0x42)
        equal(client.dump(), {0: {0: client.dump()[0][0]}, 21: {0: client.dump()[21][0]}})
        equal(client.model.instance(3, 0).iid, 0)
    client, session, _ = make()
    give(session)
    equal(ask(session, DELETE, "/0").code, 0x42)
    equal(ask(session, DELETE, "/21").code, 0x42)
    equal(sorted(client.dump()[0]), [0])
    equal(sorted(client.dump()[21]), [0])
    equal(refused(session, DELETE, "/0/0"), 0x80)
    equal(refused(session, DELETE, "/21/0"), 0x80)
    equal(ask(session, DELETE, "/1/0").code, 0x42)
    equal(refused(session, DELETE, "/1/0"), 0x84)
    equal(refused(session, DELETE, "/3/0"), 0x85)


def test_its_own_account_is_not_written():
    client, session, _ = make()
    equal(refused(session, PUT, "/0/0", SECURITY), 0x80)
    equal(refused(session, PUT, "/21/0", KEYS), 0x80)
    before = client.dump()
    for path, value in (("/0/0/0", {3: "coap://192.0.2.66"}), ("/21/0/0", {8: b"fedcba9876543210"})):
        equal(refused(session, PUT, path, [value]), 0x80)
    equal(client.dump(), before)
    # One resource of another is.
    give(session)
    equal(ask(session, PUT, "/21/1/0", [{8: b"fedcba9876543210"}]).code, 0x44)
    equal(client.dump()[21][1][0], b"fedcba9876543210")


def test_only_servers_and_access_control_are_read():
    client, session, _ = make()
    give(session)
    equal(ask(session, GET, "/1/0").code, 0x45)
    for path in ("/0", "/0/0", "/21/0", "/3/0", "/1/0/0"):
        equal(refused(session, GET, path), 0x85)


def test_discover():
    client, session, _ = make()
    give(session)
    text = bytes(ask(session, GET, "", accept=40).payload).decode()
    equal(text, "</>;lwm2m=1.1,</0>;ver=1.2,</0/0>,</0/1>;ssid=7,</1>;ver=1.2,</1/0>;ssid=7,</3>;ver=1.2,</3/0>,</21>;ver=2.0,</21/0>,</21/1>")
    # What a server of 1.1 may not be told; not for the keys of the Bootstrap-Server either way.
    session.version = "1.2"
    text = bytes(ask(session, GET, "/21", accept=40).payload).decode()
    equal(text, "</>;lwm2m=1.2,</21>;ver=2.0,</21/0>,</21/1>;ssid=7")
    for path in ("/21/1", "/0/1"):
        equal(refused(session, GET, path, accept=40), 0x85)


def test_unusable_keys_are_refused_when_they_are_written():
    client, session, _ = make()
    for bad in (
        [{0: "0", 8: b"0123456789abcdef"}, {0: "1", 8: b"x"}, {0: "2", 8: b"x"}],
        [{0: "0", 8: b"0123456789abcdef"}, {0: "1", 8: bytes(8)}, {0: "2", 8: b"x"}],
        KEYS + [{0: "3", 2: 999}],
        KEYS + [{0: "3", 2: 24}],
        KEYS + [{0: "4", 2: 999}],
        KEYS + [{0: "3", 2: 12}, {0: "1", 8: b"xx"}],  # IDs of that AEAD have one byte
        [{0: "1", 8: b"x"}, {0: "2", 8: b"y"}],
        # beyond the bounds of oscore.Limits
        [{0: "0", 8: bytes(Limits.master_secret + 1)}] + KEYS[1:],
        KEYS + [{0: "5", 8: bytes(Limits.master_salt + 1)}],
        KEYS + [{0: "6", 8: bytes(Limits.id_context + 1)}],
    ):
        equal(refused(session, PUT, "/21/1", bad), 0x80)
        equal(sorted(client.dump()[21]), [0])
    # at them, and 0 for the default algorithm
    good = [{0: "0", 8: bytes(Limits.master_secret)}] + KEYS[1:] + [{0: "3", 2: 0}, {0: "4", 2: 0}]
    good += [{0: "5", 8: bytes(Limits.master_salt)}, {0: "6", 8: bytes(Limits.id_context)}]
    equal(ask(session, PUT, "/21/1", good).code, 0x44)
    # and one resource at a time
    equal(refused(session, PUT, "/21/1/3", [{2: 999}]), 0x80)
    equal(client.dump()[21][1][3], 0)


def test_byte_strings_may_come_as_text():
    client, session, _ = make()
    equal(ask(session, PUT, "/21/1", [{0: "0", 3: "0123456789abcdef"}, {0: "1", 3: "x"}, {0: "2", 3: "y"}]).code, 0x44)
    want = {0: b"0123456789abcdef", 1: b"x", 2: b"y"}
    equal(client.dump()[21][1], want)
    # In whatever format the server of version 1.0 or 1.1 of the object writes them.
    for ct, payload in (
        (110, b'[{"bn":"/21/1/","n":"0","vs":"0123456789abcdef"},{"n":"1","vs":"x"},{"n":"2","vs":"y"}]'),
        (11544, cbor.dumps({21: {1: {0: "0123456789abcdef", 1: "x", 2: "y"}}})),
        (11542, b"\xc8\x00\x100123456789abcdef\xc1\x01x\xc1\x02y"),
    ):
        equal(ask(session, DELETE, "/21").code, 0x42)
        msg = request(PUT, "/21/1")
        msg.add(CONTENT_FORMAT, ct)
        msg.payload = payload
        equal(session.serve(msg, session.peer, None).code, 0x44)
        equal(client.dump()[21][1], want)
    # A number is neither.
    equal(refused(session, PUT, "/21/1", [{0: "0", 2: 5}] + KEYS[1:]), 0x80)


def test_a_finish_that_makes_no_sense_gets_4_06_and_rolls_back():
    for leave_out in ("/0/1", "/1/0", "/21/1"):
        client, session, said = make()
        before = client.dump()
        for path, records in (("/0/1", SECURITY), ("/1/0", SERVER), ("/21/1", KEYS)):
            if path != leave_out:
                ask(session, PUT, path, records)
        equal(refused(session, POST, "/bs"), 0x86)
        run_after(session)
        equal(client.dump(), before)
        equal(client.committed, [])
        assert "rolled back" in "\n".join(said)


def test_two_accounts_linked_to_the_same_keys_are_refused():
    client, session, _ = make()
    before = client.dump()
    give(session)
    ask(session, PUT, "/0/2", SECURITY[:-2] + [{0: "10", 2: 8}, {0: "17", "vlo": "21:1"}])
    ask(session, PUT, "/1/1", [{0: "0", 2: 8}] + SERVER[1:])
    equal(refused(session, POST, "/bs"), 0x86)
    run_after(session)
    equal(client.dump(), before)


def test_flash_that_refuses_gets_5_00_and_rolls_back():
    client, session, said = make()
    before = client.dump()

    def fail(objects):
        raise OSError(28)

    client.on_config = fail
    give(session)
    equal(refused(session, POST, "/bs"), 0xA0)
    run_after(session)
    equal(client.dump(), before)
    assert "flash" in "\n".join(said)


def test_keys_are_in_no_list_of_objects():
    client, session, _ = make()
    give(session)
    pairs = client.check()
    account = Account().begin(client, pairs[0][0], pairs[0][1], None)
    equal(bytes(account.links()), b'</>;rt="oma.lwm2m";ct=112,</1>;ver=1.2,</1/0>,</3>;ver=1.2,</3/0>')


def test_a_link_to_keys_is_never_served_plain():
    # A firmware without OSCORE refuses the account, and goes nowhere.
    said = []
    client = Client("ep", log=said.append)
    client.model.define(OSCORE)
    error = raises(ValueError, client.load, {0: {0: dict(BS)}, 21: {0: dict(BS_KEYS)}})
    equal(str(error), "/0/0/17: this firmware has no OSCORE")
    equal(client.accounts, [])


def test_without_checking_py_keys_are_used_all_the_same():
    # A firmware that trusts what provisioning has checked: an account is never plain by mistake.
    sys.modules["lwm2m.checking"] = sys
    made = []

    def secure(security, keys):
        made.append((security.iid, keys.iid))

    config = {
        0: {0: {0: "coap://h", 2: 3, 10: 7, 17: (21, 0)}, 1: {0: "coap://i", 2: 3, 10: 8}},
        1: {0: {0: 7, 1: 60}},
        21: {0: dict(BS_KEYS)},
    }
    for keys in (secure, None, "missing"):
        client = Client("ep", log=print, secure=secure if keys else None)
        client.model.define(OSCORE)
        if keys is secure:
            client.load(config)
            # /0/1 has no Server: no account.
            equal(([a.security.iid for a in client.accounts], made), ([0], [(0, 0)]))
            continue
        if keys:
            config[21] = {}
        raises(Exception, client.load, config)
        equal(client.accounts, [])


def test_no_finish_in_time_rolls_back():
    client, session, said = make()
    before = client.dump()
    give(session)
    equal(session.next(session.wake), None)
    equal(client.dump(), before)
    assert "no Finish" in "\n".join(said)


def test_hold_off_is_waited_before_the_first_try_only():
    client = Client("ep", log=lambda text: None)
    client.load({0: {0: {0: "coap://192.0.2.9", 1: True, 2: 3, 11: 5}}})
    machine = client.sessions[0]
    now = client.now()
    assert now + 4000 < machine.wake <= now + 5000
    equal(machine.next(machine.wake - 1), None)
    equal(machine.next(machine.wake).path(), ["bs"])
    for delay in (10, 20, 40, 80, 160, 320, 640, 1280, 1280):
        machine.asked = "bootstrap"
        machine.answered(1000, None, "timeout")
        equal(machine.wake, 1000 + 1000 * delay)


def test_each_operation_counts_the_wait_anew():
    client, session, _ = make()
    session.operation(100000)
    equal(session.wake, 347000)
