# Client-initiated bootstrap with Leshan's bootstrap server, then its LwM2M server.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import itertools

import pytest
from device import Device

_keys = itertools.count(0xA000)
SECRET = "101112131415161718191a1b1c1d1e1f"
BS_SECRET = "202122232425262728292a2b2c2d2e2f"


class Ids:
    """IDs that no other test uses; as the device has them."""

    def __init__(self):
        number = next(_keys)
        self.sender_id, self.recipient_id = "%04x" % number, "%04x" % (number + 0x1000)

    def at(self, leshan, name, secret, **kw):
        leshan.set_account(name, self.recipient_id, self.sender_id, secret, **kw)


@pytest.fixture
def device(tmp_path):
    with Device(tmp_path / "device.img") as made:
        yield made


def provision(leshan, device, name, sealed):
    uri = "coap://127.0.0.1:%d" % leshan.bs
    if not sealed:
        done = device.command("provision", "--endpoint", name, "--server", uri, "--bootstrap", "--plain")
        assert done.returncode == 0, done.stderr
        return
    ids = Ids()
    ids.at(leshan, name, BS_SECRET, bootstrap=True)
    device.provision(name, uri, ids.sender_id, ids.recipient_id, BS_SECRET, "--bootstrap")


def configure(leshan, name, lifetime=300, server=True, secret=SECRET, **more):
    """What the bootstrap server gives; at the LwM2M server too, if server."""
    ids = Ids()
    leshan.set_bootstrap(
        name, lifetime=lifetime, sender_id=ids.sender_id, recipient_id=ids.recipient_id,
        master_secret=secret, **more,
    )
    if server:
        ids.at(leshan, name, secret)
    return ids


@pytest.mark.parametrize("sealed", [False, True], ids=["plain", "sealed"])
@pytest.mark.parametrize("fmt", [None, "TLV"], ids=["as asked", "tlv"])
def test_bootstrap_then_sealed_registration(leshan, name, device, sealed, fmt):
    configure(leshan, name, fmt=fmt)
    provision(leshan, device, name, sealed)
    device.start()
    device.wait_for("bootstrap: finished")
    device.wait_for("appendix B.2")
    device.wait_for("registered location=.* lifetime=300")
    assert leshan.read(name, "/3/0/0").value == "microlwm2m"
    # It is permanent: the next start registers without a bootstrap.
    device.kill()
    device.start()
    device.wait_for("registered location=")
    assert "bootstrap:" not in "\n".join(device.log.splitlines()[-3:])
    assert SECRET not in device.log and BS_SECRET not in device.log


def test_second_bootstrap_changes_the_keys(leshan, name, device):
    configure(leshan, name)
    provision(leshan, device, name, True)
    device.start()
    device.wait_for("registered location=")
    leshan.events.wait_for("REGISTRATION", name)
    ids = configure(leshan, name, server=False, lifetime=250, secret=SECRET[::-1])
    assert leshan.execute(name, "/1/0/9").code == "2.04"  # Bootstrap-Request Trigger
    leshan.events.wait_for("DEREGISTRATION", name)
    leshan.delete_account(name)
    ids.at(leshan, name, SECRET[::-1])
    device.wait_for("bootstrap: finished")
    device.wait_for("appendix B.2")  # the keys are new, so it follows at once
    device.wait_for("registered location=.* lifetime=250")
    assert leshan.read(name, "/3/0/0").value == "microlwm2m"


def test_bootstrap_trigger(leshan, name, device):
    ids = configure(leshan, name)
    provision(leshan, device, name, True)
    device.start()
    device.wait_for("registered location=.* lifetime=300")
    leshan.events.wait_for("REGISTRATION", name)
    leshan.set_bootstrap(
        name, lifetime=250, sender_id=ids.sender_id, recipient_id=ids.recipient_id, master_secret=SECRET,
    )
    assert leshan.execute(name, "/1/0/9").code == "2.04"
    device.wait_for("deregistered")
    device.wait_for("bootstrap: finished")
    device.wait_for("appendix B.2")
    device.wait_for("registered location=.* lifetime=250")


def test_bad_configuration_is_refused_with_4_06_and_rolled_back(leshan, name, device):
    """Each instance is in order; only Finish shows that they do not go together."""
    configure(leshan, name)
    provision(leshan, device, name, True)
    device.start()
    device.wait_for("registered location=.* lifetime=300")
    leshan.events.wait_for("REGISTRATION", name)
    # DTLS without a key of its own.
    leshan.set_bootstrap(
        name, uri="coaps://127.0.0.1:5684", lifetime=100, sender_id="aa", recipient_id="ab",
        master_secret=SECRET[::-1],
    )
    assert leshan.execute(name, "/1/0/9").code == "2.04"
    event = leshan.events.wait_for("BSSESSION", name, match=lambda e: e.data["name"] == "error", timeout=20)
    assert event.data["message"].startswith("BootstrapFinishRequest"), event.data
    assert "406" in event.data["message"], event.data
    device.wait_for("rolled back")
    device.wait_for("registered location=.* lifetime=300", timeout=30)
    assert leshan.read(name, "/3/0/0").value == "microlwm2m"
    # In flash too.
    device.kill()
    device.start()
    device.wait_for("registered location=.* lifetime=300")
    assert SECRET[::-1] not in device.log


def test_unusable_keys_are_refused_and_rolled_back(leshan, name, device):
    configure(leshan, name)
    provision(leshan, device, name, True)
    device.start()
    device.wait_for("registered location=.* lifetime=300")
    leshan.events.wait_for("REGISTRATION", name)
    # An account whose keys are unusable: equal IDs, which Leshan does not notice.
    leshan.set_bootstrap(name, lifetime=100, sender_id="aa", recipient_id="aa", master_secret=SECRET)
    assert leshan.execute(name, "/1/0/9").code == "2.04"
    device.wait_for("bootstrap.* rolled back|rolled back")
    device.wait_for("registered location=.* lifetime=300", timeout=30)
    assert leshan.read(name, "/3/0/0").value == "microlwm2m"


def test_auto_id(leshan, name, device):
    configure(leshan, name, auto_id=True)
    provision(leshan, device, name, True)
    device.start()
    device.wait_for("bootstrap: finished")
    device.wait_for("registered location=")
