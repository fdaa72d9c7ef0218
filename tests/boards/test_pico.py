# The whole product on an emulated Raspberry Pi Pico, against Leshan, over PPP.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import subprocess
import sys

import pytest
from console import Console, install_main, microlwm2m, provision
from emulator import ROOT, Pico, Repl, need_board
from needs import skip

sys.path.insert(0, str(ROOT / "tests" / "interop"))
from peer import Peer, PeerMissing  # noqa: E402

pytestmark = pytest.mark.timeout(400)

SECRET = "0102030405060708090a0b0c0d0e0f10"
ME = "10.64.0.1"  # this machine's loopback, as the board has it


@pytest.fixture(scope="module")
def leshan():
    need_board("PICO")
    try:
        peer = Peer().start()
    except PeerMissing as e:
        skip(str(e))
    yield peer
    peer.stop()


class Device:
    """A provisioned Pico with a console."""

    def __init__(self, leshan, name, flash):
        self.leshan, self.name = leshan, name
        self.board = Pico(flash=flash)
        self.board.start()
        try:
            leshan.set_account(name, "bb", "aa", SECRET)
            install_main(self.board)
            uri = "coap://%s:%d" % (ME, leshan.coap)
            provision(self.board, name, uri, "aa", "bb", SECRET, "--lifetime", "600")
            self.console = Console(self.board)
        except BaseException:
            self.board.stop()
            raise

    def registered(self):
        self.console.wait_for("registered location=")
        return self.leshan.events.wait_for("REGISTRATION", self.name, timeout=30)

    def close(self):
        self.console.close()
        self.board.stop()
        self.leshan.delete_account(self.name)


@pytest.fixture(scope="module")
def device(leshan, tmp_path_factory):
    made = Device(leshan, "pico", tmp_path_factory.mktemp("pico") / "flash.bin")
    yield made
    made.close()


def test_provisioned_and_registered(device):
    device.registered()


def test_read_write_execute(device):
    leshan, name = device.leshan, device.name
    assert leshan.read(name, "/3/0/1", timeout=20).value == "rp2"
    assert set(leshan.read(name, "/3/0", timeout=20).value) >= {0, 1, 3, 16}
    assert leshan.write(name, "/3/0/15", "Europe/Warsaw", timeout=20).code == "2.04"
    assert leshan.read(name, "/3/0/15", timeout=20).value == "Europe/Warsaw"
    assert leshan.read(name, "/0/0", timeout=20).code == "4.01"


def test_observed(device):
    leshan, name = device.leshan, device.name
    first = leshan.observe(name, "/3303/0/5700", timeout=20).value
    values = [leshan.events.wait_value(name, "/3303/0/5700", timeout=30) for _ in range(3)]
    assert len({first, *values}) >= 3
    leshan.cancel(name, "/3303/0/5700")


def test_reboots_by_execute(device):
    assert device.leshan.execute(device.name, "/3/0/4", timeout=20).code == "2.04"
    device.board.wait_for("reset")
    device.registered()
    assert device.leshan.read(device.name, "/3/0/1", timeout=20).value == "rp2"


def test_power_is_cut_while_starting(device):
    # A start has one or two flash operations: the boot counter, and littlefs tidying up.
    board, console = device.board, device.console
    cuts = 0
    for n in range(8):
        board.power(cut_after=1 + n % 2)
        registered = lambda: console.find("registered location=")  # noqa: E731
        if board.wait_for("cut", timeout=60, unless=registered):
            cuts += 1
            board.power()
            console.wait_for("registered location=")
        device.leshan.events.wait_for("REGISTRATION", device.name, timeout=30)
        assert device.leshan.read(device.name, "/3/0/1", timeout=20).value == "rp2"
    assert cuts >= 4
    assert not board.faults


@pytest.mark.parametrize("after", [1, 2])
def test_power_is_cut_while_provisioning(leshan, tmp_path, after):
    # What was there, or what was asked for: never in between.
    with Pico(flash=tmp_path / "flash.bin") as board:
        uri = "coap://%s:%d" % (ME, leshan.coap)
        provision(board, "before", uri, "aa", "bb", SECRET)
        board.cut_after(after)
        with pytest.raises((AssertionError, subprocess.TimeoutExpired)):
            provision(board, "after", uri, "aa", "bb", SECRET[::-1], timeout=20)
        board.wait_for("cut")
        board.power()
        shown = microlwm2m("show", board.target)
        assert "endpoint before" in shown or "endpoint after" in shown
        assert "secret: set" in shown
        provision(board, "again", uri, "aa", "bb", SECRET)
        assert "endpoint again" in microlwm2m("show", board.target)
        assert not board.faults


STORE = """
import flashstore
store = flashstore.Store("/cut")
print(int(store.get("n", b"0")), store.get("same", b"0") == store.get("n", b"0"))
"""


def test_power_is_cut_in_commits_of_the_store():
    # Two records in one commit, over and over, with power cut in the n-th flash operation: after
    # each cut both are of the commit that was last done, or of the one that was cut.
    need_board("PICO")
    with Pico(jump=True) as board:
        last = 0
        for n in range(1, 31):
            repl = Repl(board)
            had, same = repl.run(STORE).split()
            assert same == "True" and int(had) - last in (0, 1), (n, had, last)
            board.cut_after(n)
            code = "n = %s\nwhile True:\n n += 1\n b = str(n).encode()\n" % had
            code += " store.commit({'n': b, 'same': b})\n print(n)"
            last = max([int(had), *map(int, repl.until_gone(code).split())])
            board.wait_for("cut")
            board.power()
        assert board.stats()["erases"] and last > 30
        assert not board.faults
