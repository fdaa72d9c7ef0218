# OSCORE inside DTLS, and DTLS alone, with a DTLS server that is not MicroPython's: Scandium.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# DTLS 1.2 (RFC 6347), PSK (RFC 4279)
#
#   device --- DTLS --- wire --- DTLS --- Relay --- CoAP --- inside --- CoAP --- Leshan
#
# `wire` and `inside` are proxies: what they record is the capture of each layer.

import itertools
from pathlib import Path

import pytest
from device import Device
from needs import skip
from peer import PeerMissing
from proxy import DOWN, UP, Faults, Proxy
from relay import CBC, GCM, Relay, Session

SECRET = "101112131415161718191a1b1c1d1e1f"
KEY = "202122232425262728292a2b2c2d2e2f"
PROGRAM = Path(__file__).with_name("dtls_device.py")
# Record types (RFC 5246 section 6.2.1), and the version of DTLS 1.2.
CHANGE, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23
DTLS12 = bytes.fromhex("fefd")
_numbers = itertools.count(0xD000)


class Hasty(Device):
    """A device that waits for nobody: unanswered requests and handshakes end soon."""

    ack_ms, handshake_ms = 200, 5000

    def __init__(self, image, micropython):
        super().__init__(image)
        self._micropython = micropython

    def program(self):
        more = (self.image, self.ack_ms, self.handshake_ms)
        return self._micropython.command(PROGRAM, *more, heap="512K")

    def _env(self):
        return dict(super()._env(), MICROPYPATH=self._micropython.environment()["MICROPYPATH"])


@pytest.fixture
def device(tmp_path, micropython):
    with Hasty(tmp_path / "device.img", micropython) as made:
        yield made


@pytest.fixture
def relay():
    """A maker of relays in front of a port; they end with the test."""
    made = []

    def make(target, **kw):
        made.append(Relay(target, "me", KEY, **kw))
        try:
            return made[-1].start()
        except PeerMissing as e:
            skip(str(e))

    yield make
    for r in made:
        r.kill()


def fresh_ids():
    """A device's Sender ID and Recipient ID that no other test has, in hex."""
    number = next(_numbers)
    return "%04x" % number, "%04x" % (number + 0x1000)


class Account:
    """A device's keys at Leshan; DTLS is the relay's."""

    def __init__(self, leshan, name, bootstrap=False):
        self.name = name
        self.ids = fresh_ids()
        leshan.set_account(name, self.ids[1], self.ids[0], SECRET, bootstrap=bootstrap)

    def provision(self, device, port, *more, key=KEY, identity="me"):
        done = device.command(
            "provision", "--endpoint", self.name, "--server", "coaps://127.0.0.1:%d" % port,
            "--sender-id", self.ids[0], "--recipient-id", self.ids[1], "--master-secret", "-",
            "--psk-identity", identity, "--psk", "-", *more, input="%s\n%s\n" % (SECRET, key),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert key not in done.stdout and SECRET not in done.stdout
        return done.stdout


@pytest.fixture
def account(leshan, name):
    yield Account(leshan, name)
    leshan.delete_account(name)


def records(datagram):
    """The DTLS records of a datagram as (type, epoch, fragment)."""
    data, found = datagram.data, []
    while data:
        assert data[1:3] == DTLS12 or data[0] == HANDSHAKE, data.hex()
        end = 13 + int.from_bytes(data[11:13], "big")
        assert len(data) >= end
        found.append((data[0], int.from_bytes(data[3:5], "big"), data[13:end]))
        data = data[end:]
    return found


def both_layers(wire, inside, count):
    """Check the two captures against each other; print a datagram of each direction."""
    for direction in (UP, DOWN):
        inside.wait_for(lambda d, direction=direction: d.direction == direction and d.n == count - 1)
        inner = [d for d in inside.datagrams if d.direction == direction][:count]
        # On the wire: a handshake, then application data under keys, one datagram in each.
        outer = [d for d in wire.datagrams if d.direction == direction]
        kinds = [[(kind, epoch) for kind, epoch, _ in records(d)] for d in outer]
        carried = [d for d, kind in zip(outer, kinds) if kind == [(DATA, 1)]]
        assert {pair for kind in kinds for pair in kind} <= {
            (HANDSHAKE, 0), (CHANGE, 0), (HANDSHAKE, 1), (DATA, 1)
        }  # fmt: skip
        assert len(carried) >= count
        for d, c in zip(inner, carried):
            # Inside it: CoAP with an OSCORE option.
            assert d.sealed and d.code in ("0.02", "2.04", "0.05", "2.05"), d
            assert d.data not in c.data
            assert len(c.data) >= 13 + 8 + len(d.data) + 16
        print("%s on the wire: %s" % (direction, carried[0].data.hex()))
        print("%s inside it:   %s" % (direction, inner[0].data.hex()))


@pytest.mark.parametrize("suite", [GCM, CBC])
def test_oscore_inside_dtls(leshan, account, device, relay, suite):
    with Proxy(("127.0.0.1", leshan.coap)) as inside:
        r = relay(inside.port, suite=suite)
        with Proxy(("127.0.0.1", r.port)) as wire:
            out = account.provision(device, wire.port, "--lifetime", "120")
            assert "coaps://" in out and "sealed with OSCORE, in DTLS" in out
            assert "DTLS with a pre-shared key, identity me, key: set" in device.command("show").stdout
            device.start()
            device.wait_for("appendix B.2")
            device.wait_for(r"registered location=/rd/\w+ lifetime=120")
            leshan.events.wait_for("REGISTRATION", account.name)
            assert leshan.read(account.name, "/3/0/0").value == "microlwm2m"
            assert leshan.write(account.name, "/3/0/14", "+02").code == "2.04"
            first = leshan.observe(account.name, "/3303/0/5700").value
            assert leshan.events.wait_value(account.name, "/3303/0/5700", match=lambda v: v != first)
            both_layers(wire, inside, 5)
            assert {s for s in r.sessions} == {Session(suite, "me")}
            assert device.stop() == 0
            leshan.events.wait_for("DEREGISTRATION", account.name)
    for capture in (wire, inside):
        for word in (account.name, "microlwm2m", "3303"):
            assert not [d for d in capture.datagrams if word.encode() in d.data]
    assert KEY not in device.log and SECRET not in device.log


def test_pre_shared_key_alone_with_leshans_own_endpoint(own_leshan, name, device):
    leshan = own_leshan(coaps=0)
    leshan.set_psk_account(name, name, KEY)
    with Proxy(("127.0.0.1", leshan.coaps)) as wire:
        done = device.command(
            "provision", "--endpoint", name, "--server", "coaps://127.0.0.1:%d" % wire.port,
            "--plain", "--psk-identity", name, "--psk", "-", input=KEY + "\n",
        )  # fmt: skip
        assert done.returncode == 0 and "in DTLS, no OSCORE" in done.stdout, done
        device.start()
        device.wait_for("registered location=")
        event = leshan.events.wait_for("REGISTRATION", name)
        assert event.data["secure"] is True
        assert leshan.read(name, "/3/0/0").value == "microlwm2m"
        first = leshan.observe(name, "/3303/0/5700").value
        assert leshan.events.wait_value(name, "/3303/0/5700", match=lambda v: v != first)
        assert {kind for d in wire.datagrams for kind, epoch, _ in records(d) if epoch} == {HANDSHAKE, DATA}
        assert device.stop() == 0
        leshan.events.wait_for("DEREGISTRATION", name)


@pytest.mark.parametrize("wrong", [{"key": KEY[:-2] + "ff"}, {"identity": "you"}], ids=["key", "identity"])
def test_wrong_pre_shared_key_gives_one_line_and_the_client_goes_on(leshan, account, device, relay, wrong):
    r = relay(leshan.coap)
    device.handshake_ms = 2000
    with Proxy(("127.0.0.1", r.port)) as wire:
        account.provision(device, wire.port, "--retry-timer", "1", **wrong)
        device.start()
        for seconds in (1, 2):
            # Scandium does not answer a Finished that it cannot read, so it takes the handshake's time.
            device.wait_for("key agreement failed: dtls: no handshake in 2 s, next try in %d s" % seconds)
        assert len([line for line in device.log.splitlines() if "dtls" in line]) == 2
        # No record under keys but Finished: nothing was sent without a session, and never plain.
        assert {kind for d in wire.datagrams for kind, _, _ in records(d)} <= {CHANGE, HANDSHAKE, ALERT}
        assert not r.sessions
        for secret in (KEY[:-2], SECRET):
            assert secret not in device.log
        device.kill()
        device.handshake_ms = 10000
        account.provision(device, wire.port)
        device.start()
        device.wait_for("registered location=")


def test_server_that_lost_its_sessions(leshan, account, device, relay):
    r = relay(leshan.coap)
    account.provision(device, r.port, "--lifetime", "4", "--retry-timer", "1")
    device.start()
    device.wait_for("registered location=")
    leshan.events.wait_for("REGISTRATION", account.name)
    r.restart()
    # The Update shows it: nobody knows the session any more, and nobody says so.
    device.wait_for("update failed: timeout, registering again", timeout=30)
    device.wait_for("registered location=", timeout=30)
    leshan.events.wait_for("REGISTRATION", account.name, timeout=30)
    assert leshan.read(account.name, "/3/0/0").value == "microlwm2m"


def test_server_that_closes_the_session(leshan, account, device, relay):
    r = relay(leshan.coap)
    account.provision(device, r.port)
    device.start()
    device.wait_for("registered location=")
    leshan.events.wait_for("REGISTRATION", account.name)
    r.close_sessions()
    device.wait_for("dtls: closed by the server")
    device.wait_for("registered location=")
    leshan.events.wait_for("REGISTRATION", account.name)
    assert leshan.read(account.name, "/3/0/0").value == "microlwm2m"
    assert len(r.sessions) == 2
    assert device.log.count("appendix B.2") == 1  # the keys of OSCORE go on


def test_server_that_lost_everything(own_leshan, name, device, relay):
    leshan = own_leshan()
    account = Account(leshan, name)
    r = relay(leshan.coap)
    account.provision(device, r.port, "--lifetime", "4", "--retry-timer", "1")
    device.start()
    device.wait_for("registered location=")
    r.kill()
    leshan.restart()
    device.wait_for("update failed: timeout, registering again", timeout=30)
    r.start()
    device.wait_for("appendix B.2", timeout=60)
    device.wait_for("registered location=", timeout=60)
    assert leshan.read(name, "/3/0/0").value == "microlwm2m"


def test_network_that_loses_doubles_and_reorders(leshan, account, device, relay):
    r = relay(leshan.coap)
    faults = Faults(seed=7, lose=0.15, twice=0.1, swap=0.1)
    print(faults)
    device.ack_ms, device.handshake_ms = 1000, 60000
    with Proxy(("127.0.0.1", r.port), plan=faults) as wire:
        account.provision(device, wire.port, "--retry-timer", "1")
        device.start()
        device.wait_for("registered location=", timeout=120)
        leshan.events.wait_for("REGISTRATION", account.name, timeout=30)
        for _ in range(10):
            assert leshan.read(account.name, "/3/0/0", timeout=60).value == "microlwm2m"
        assert len([d for d in wire.datagrams if not d.plan]) > 0


@pytest.mark.parametrize("key", [KEY, KEY * 4], ids=["16 bytes", "64 bytes"])
def test_bootstrap_gives_a_pre_shared_key(leshan, name, device, relay, key):
    sender_id, recipient_id = fresh_ids()
    leshan.set_account(name, recipient_id, sender_id, SECRET)
    r = relay(leshan.coap)
    leshan.set_bootstrap(
        name, uri="coaps://127.0.0.1:%d" % r.port, psk=("me", key),
        sender_id=sender_id, recipient_id=recipient_id, master_secret=SECRET,
    )  # fmt: skip
    done = device.command(
        "provision", "--endpoint", name, "--server", "coap://127.0.0.1:%d" % leshan.bs, "--bootstrap", "--plain"
    )
    assert done.returncode == 0, done.stderr
    device.start()
    if key == KEY:
        device.wait_for("bootstrap: finished")
        device.wait_for("registered location=")
        assert r.sessions == [Session(GCM, "me")]
        assert leshan.read(name, "/3/0/0").value == "microlwm2m"
    else:
        # More than the port takes: the Finish is refused, and all of it goes back.
        device.wait_for("bootstrap: rolled back .*pre-shared key of 64 bytes")
        leshan.events.wait_for("BSSESSION", name, match=lambda e: e.data["name"] == "error")
        assert not r.sessions
    assert key not in device.log


def test_bootstrap_inside_dtls(leshan, name, device, relay):
    account = Account(leshan, name, bootstrap=True)
    other = SECRET[::-1]
    sender_id, recipient_id = fresh_ids()
    leshan.set_account(name, recipient_id, sender_id, other)
    leshan.set_bootstrap(name, sender_id=sender_id, recipient_id=recipient_id, master_secret=other)
    r = relay(leshan.bs)
    account.provision(device, r.port, "--bootstrap")
    device.start()
    device.wait_for("bootstrap: finished")
    device.wait_for("registered location=")
    assert leshan.read(name, "/3/0/0").value == "microlwm2m"
    # It stays provisioned as it was: the key towards the Bootstrap-Server outlives the others.
    assert device.stop() == 0
    shown = device.command("show").stdout
    assert "DTLS with a pre-shared key, identity me, key: set" in shown and KEY not in shown
