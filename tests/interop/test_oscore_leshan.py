# Appendix B.2 against Leshan: killed and restarted at each of its steps, on either side.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import itertools
from pathlib import Path

import pytest

DEVICE = Path(__file__).with_name("oscore_device.py")
SECRET = bytes(range(16))
_ids = itertools.count(0x4100)


class Device:
    """oscore_device.py in a process of its own; kill() and start() are a power cut."""

    def __init__(self, micropython, port, name, sender, recipient):
        self.micropython = micropython
        self.args = (port, name, sender.hex(), recipient.hex(), SECRET.hex())
        self.process = None
        self.trips = 0
        self.start()

    def start(self):
        self.process = self.micropython.popen(DEVICE, *self.args)
        assert self.line() == "READY"

    def line(self):
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError("the device ended")
        return line.strip()

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def ask(self, command):
        self.trips += command in ("PROBE", "REGISTER", "LONG", "UPDATE", "DEREGISTER")
        self.tell(command)
        return self.line()

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdin.close()
            self.process.stdout.close()
            self.process = None

    def come_back(self):
        """What a client does until it is registered; the number of round trips."""
        self.trips = 0
        for _ in range(8):
            if self.ask("PROBE").split()[1] == "b2-2" and self.ask("REGISTER") == "2.01 ready":
                return self.trips
            self.ask("REKEY")
        raise AssertionError("not registered")


@pytest.fixture
def device(micropython, leshan, name):
    made = []

    def make(peer=leshan):
        number = next(_ids).to_bytes(2, "big")
        sender, recipient = b"C" + number, b"S" + number
        peer.set_account(name, recipient.hex(), sender.hex(), SECRET.hex())
        made.append(Device(micropython, peer.coap, name, sender, recipient))
        made[-1].sender, made[-1].recipient = sender, recipient
        return made[-1]

    yield make
    for d in made:
        d.kill()


def serves(leshan, device, name):
    assert leshan.read(name, "/3/0/9", "SENML_CBOR").value in (75, "75")
    assert device.ask("UPDATE") == "2.04 ready"


def test_b2_then_both_ask(leshan, device, name):
    d = device()
    assert d.ask("PROBE") == "4.01 b2-2"
    assert d.ask("REGISTER") == "2.01 ready"
    serves(leshan, d, name)
    assert d.ask("DEREGISTER") == "2.02 ready"


def test_trap_17_answers_to_blocks_without_block1_inside(leshan, device, name):
    d = device()
    assert d.ask("PROBE") == "4.01 b2-2"
    assert d.ask("LONG") == "2.01 ready"  # its first block is request 3
    assert len(leshan.registration(name)["objectLinks"]) >= 131
    serves(leshan, d, name)


def test_observation(leshan, device, name):
    d = device()
    d.come_back()
    leshan.observe(name, "/3/0/9")
    for _ in range(3):
        assert d.ask("NOTIFY") == "notified"
        leshan.events.wait_value(name, "/3/0/9")
    # It ends with its context.
    d.ask("REKEY")
    d.come_back()
    assert d.ask("NOTIFY") == "refused"
    serves(leshan, d, name)


@pytest.mark.parametrize("step", range(5))
def test_device_is_killed_at_each_step(leshan, device, name, step):
    d = device()
    if step == 0:
        d.tell("PROBE")  # perhaps sent, answered to nobody
    elif step >= 1:
        assert d.ask("PROBE") == "4.01 b2-2"
    if step == 2:
        d.tell("REGISTER")
    elif step >= 3:
        assert d.ask("REGISTER") == "2.01 ready"
    if step == 4:
        serves(leshan, d, name)
    d.kill()
    d.start()
    trips = d.come_back()
    print("round trips:", trips)
    assert trips <= 4
    serves(leshan, d, name)


def test_rekey_keeps_the_registration(leshan, device, name):
    d = device()
    d.come_back()
    registered = leshan.registration(name)["registrationId"]
    for _ in range(3):
        assert d.ask("REKEY") == "new"
        assert d.ask("PROBE") == "4.01 b2-2"
        assert d.ask("UPDATE") == "2.04 ready"
        serves(leshan, d, name)
    assert leshan.registration(name)["registrationId"] == registered


@pytest.mark.parametrize("step", range(3))
def test_server_forgets_at_each_step(leshan, device, name, step):
    """As a restart in its place; test_leshan.py kills it."""
    d = device()
    if step > 0:
        assert d.ask("PROBE") == "4.01 b2-2"
    if step > 1:
        assert d.ask("REGISTER") == "2.01 ready"
    leshan.forget()
    if step == 1:
        # request 3 is a request 1 to it, and its answer a message 2
        assert d.ask("REGISTER") == "4.01 b2-2"
        assert d.ask("REGISTER") == "2.01 ready"
    elif step == 2:
        # a plain 4.00; a kid context does not help; fresh keys do
        assert d.ask("UPDATE") == "plain ready"
        assert d.ask("RECOVER") == "False ready"
        assert d.ask("UPDATE") == "plain ready"
        assert d.ask("RECOVER") == "True new"
        d.come_back()
    else:
        d.come_back()
    serves(leshan, d, name)


def test_account_is_gone_and_comes_again(leshan, device, name):
    d = device()
    d.come_back()
    leshan.delete_account(name)
    for want in ("False ready", "True new"):
        assert d.ask("UPDATE") == "plain ready"
        assert d.ask("RECOVER") == want
    assert d.ask("PROBE") == "plain b2-1"
    assert d.ask("RECOVER") == "False ready"
    leshan.set_account(name, d.recipient.hex(), d.sender.hex(), SECRET.hex())
    assert d.ask("UPDATE") == "plain ready"
    assert d.ask("RECOVER") == "True new"
    d.come_back()
    serves(leshan, d, name)


def test_after_deregistration_the_context_is_gone(leshan, device, name):
    d = device()
    d.come_back()
    assert d.ask("DEREGISTER") == "2.02 ready"
    assert d.ask("REGISTER") == "plain ready"
    d.ask("REKEY")
    d.come_back()
    serves(leshan, d, name)
