# `microlwm2m provision --restart`: what the tool takes, and what a device does with it.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 Appendix B.1 and B.2

import pytest
from device import Device

IDS = ["--sender-id", "01", "--recipient-id", "02"]
SERVER = ["--server", "coap://192.0.2.1"]
SECRET = "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"


@pytest.fixture
def device(tmp_path):
    with Device(tmp_path / "device.img") as made:
        yield made


def opts(micropython, device):
    source = (
        "import flashfile\n"
        "flashfile.mount(%r)\n"
        "import cbor, lwm2m_flash\n"
        "print(cbor.loads(lwm2m_flash.open_store().get('config'))['opts'])\n"
        "print([len(lwm2m_flash.open_record(i).names()) for i in (0, 1)])\n"
    )
    return micropython.run(source % str(device.image)).stdout.splitlines()


def test_it_reaches_the_device(micropython, device):
    def provision(*more):
        done = device.command("provision", "--endpoint", "d", *SERVER, *IDS, *more)
        assert done.returncode == 0, done.stderr
        return opts(micropython, device)

    assert provision() == ["{}", "[0, 0]"]
    assert provision("--restart", "b2") == ["{}", "[0, 0]"]
    assert provision("--restart", "b1", "--master-secret", SECRET) == ["{'restart': {0: 'b1'}}", "[0, 0]"]
    assert provision("--restart", "b1-static") == ["{'restart': {0: 'b1-static'}}", "[1, 0]"]
    assert "goes on after a restart: b1-static" in device.command("show").stdout
    done = device.command("provision", "--add", "--short-id", "2", *SERVER, *IDS, "--restart", "b1-static")
    assert done.returncode == 0
    assert opts(micropython, device)[1] == "[1, 1]"
    assert device.command("wipe").returncode == 0
    assert provision() == ["{}", "[0, 0]"]


def test_static_keys_are_drawn_by_the_tool(micropython, device):
    new = ["provision", "--endpoint", "d", *SERVER, *IDS, "--restart", "b1-static"]
    done = device.command(*new, "--master-secret", SECRET)
    assert done.returncode == 2 and "makes the master secret itself" in done.stderr
    assert not device.image.exists()
    shown = {device.command(*new).stdout.split()[-1] for _ in range(2)}
    # and so when they are changed; the device keeps watch on that
    done = device.command("rotate", "--master-secret", SECRET)
    assert done.returncode == 1 and "fresh master secret alone" in done.stderr
    shown.add(device.command("rotate").stdout.split()[-1])
    assert len(shown) == 3
    assert opts(micropython, device) == ["{'restart': {0: 'b1-static'}}", "[1, 0]"]


@pytest.mark.parametrize("more, want", [
    (["--restart", "b3", *IDS], "--restart"),
    (["--restart", "b1", "--plain"], "--plain"),
])  # fmt: skip
def test_what_makes_no_sense(device, more, want):
    done = device.command("provision", "--endpoint", "d", *SERVER, *more)
    assert done.returncode == 2 and want in done.stderr.splitlines()[-1]


def test_the_help_says_what_each_costs(device):
    text = device.command("provision", "--help").stdout
    for word in ("b2", "b1", "b1-static", "backup", "Echo"):
        assert word in text
