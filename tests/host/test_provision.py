# microlwm2m provision, show, rotate, wipe and device, with the real unix port,
# real flash images and a REPL behind a pseudo-terminal.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import ast
import contextlib
import fcntl
import os
import pty
import random
import re
import select
import signal
import stat
import subprocess
import sys
import termios
import threading
import time
import tty
from pathlib import Path

import cbor2
import pytest

from microlwm2m import target, unixport
from microlwm2m.errors import Refused

ROOT = Path(__file__).resolve().parents[2]
SECRET = bytes(range(0xA0, 0xB0))
PSK = bytes(range(0xC0, 0xD0))
SALT = bytes.fromhex("9e7ca92223786340")
ACCOUNT = ["--endpoint", "sensor-1", "--server", "coap://192.0.2.1:5683",
           "--sender-id", "01", "--recipient-id", "02"]  # fmt: skip
KNOWN = [*ACCOUNT, "--master-secret", SECRET.hex(), "--master-salt", SALT.hex()]

RECORD = {
    "ep": "sensor-1",
    "objects": {
        0: {0: {0: "coap://192.0.2.1:5683", 1: False, 2: 3, 10: 123, 17: [21, 0]}},
        1: {0: {0: 123, 1: 86400, 6: True, 7: "U"}},
        21: {0: {0: SECRET, 1: b"\x01", 2: b"\x02", 3: 10, 4: 0, 5: SALT}},
    },
    "opts": {},
}


def command(*args):
    return [sys.executable, "-m", "microlwm2m", *map(str, args)]


def environment(**extra):
    return dict(os.environ, PYTHONPATH=str(ROOT / "tools"), **extra)


def cli(*args, input="", env=None, **kw):
    return subprocess.run(
        command(*args), input=input, capture_output=True, text=True, timeout=60,
        env=environment(**(env or {})), **kw,
    )  # fmt: skip


def ok(*args, **kw):
    done = cli(*args, **kw)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def fails(status, *args, **kw):
    """The one line with which it fails."""
    done = cli(*args, **kw)
    assert done.returncode == status, done
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("microlwm2m "), done.stderr
    return done.stderr


@pytest.fixture
def image(tmp_path):
    return tmp_path / "device.img"


@pytest.fixture
def flash(micropython, image):
    """Run MicroPython source with the image mounted, as a device has it."""

    def run(source):
        boot = "import flashfile\nflashfile.mount(%r)\n" % str(image)
        done = micropython.run(boot + source)
        assert done.returncode == 0 and done.stderr == "", done.stderr
        return done.stdout

    return run


@pytest.fixture
def record(flash):
    """A record on the image as bytes, None where there is none."""

    def get(name):
        text = flash("import lwm2m_flash\nprint(lwm2m_flash.open_store().get(%r))" % name)
        return ast.literal_eval(text)

    return get


# --- what the host refuses -------------------------------------------------------


def edit(*changes):
    """KNOWN with the value after each option replaced; None takes the option out."""
    args = list(KNOWN)
    for option, value in changes:
        i = args.index(option)
        args[i : i + 2] = [] if value is None else [option, value]
    return args


DTLS = edit(("--server", "coaps://192.0.2.1:5684"))

USAGE = [
    ("endpoint is missing", edit(("--endpoint", None))),
    ("--endpoint", edit(("--endpoint", ""))),
    ("--endpoint", edit(("--endpoint", "a\nb"))),
    ("--endpoint", edit(("--endpoint", "x" * 65))),
    ("--endpoint", edit(("--endpoint", "\u00e9" * 33))),
    ("--server", edit(("--server", None))),
    ("coap://", edit(("--server", "192.0.2.1"))),
    ("coap://", edit(("--server", "http://192.0.2.1"))),
    ("DTLS", edit(("--server", "coaps://192.0.2.1"))),
    ("--psk-identity", edit(("--server", "coaps://192.0.2.1"))),
    ("coaps://", [*KNOWN, "--psk-identity", "me"]),
    ("--psk-identity", [*KNOWN, "--psk", PSK.hex()]),
    ("--psk-identity", [*KNOWN, "--psk-out", "key"]),
    ("--psk-identity", [*DTLS, "--psk-identity", ""]),
    ("--psk-identity", [*DTLS, "--psk-identity", "x" * 129]),
    ("--psk-identity", [*DTLS, "--psk-identity", "a\nb"]),
    ("--psk-identity", [*DTLS, "--psk-identity", "0xabc"]),
    ("--psk ", [*DTLS, "--psk-identity", "me", "--psk", PSK.hex()[:-2]]),
    ("--psk ", [*DTLS, "--psk-identity", "me", "--psk", PSK.hex() * 2 + "00"]),
    ("--psk ", [*DTLS, "--psk-identity", "me", "--psk", "-"]),
    ("--psk-out", [*DTLS, "--psk-identity", "me", "--psk", PSK.hex(), "--psk-out", "key"]),
    ("host", edit(("--server", "coap://"))),
    ("host", edit(("--server", "coap://:5683"))),
    ("host", edit(("--server", "coap://a b"))),
    ("--server", edit(("--server", "coap://[::1"))),
    ("--server", edit(("--server", "coap://192.0.2.1:65536"))),
    ("port", edit(("--server", "coap://192.0.2.1:0"))),
    ("--server", edit(("--server", "coap://192.0.2.1:x"))),
    ("nothing more", edit(("--server", "coap://192.0.2.1/rd"))),
    ("nothing more", edit(("--server", "coap://me@192.0.2.1"))),
    ("255", edit(("--server", "coap://" + "h" * 250))),
    ("sender-id is missing", edit(("--sender-id", None))),
    ("recipient-id is missing", edit(("--recipient-id", None))),
    ("must differ", edit(("--sender-id", "02"))),
    ("must differ", edit(("--sender-id", ""), ("--recipient-id", ""))),
    ("--sender-id", edit(("--sender-id", "0"))),
    ("--sender-id", edit(("--sender-id", "xy"))),
    ("--sender-id", edit(("--sender-id", "0102030405060708"))),
    ("AEAD 12", [*edit(("--sender-id", "0102")), "--aead", "12"]),
    ("AEAD 32", [*edit(("--recipient-id", "0102")), "--aead", "32"]),
    ("--aead", [*KNOWN, "--aead", "1"]),
    ("--hmac", [*KNOWN, "--hmac", "6"]),
    ("--master-secret", edit(("--master-secret", SECRET.hex() + "zz"))),
    ("--master-secret", edit(("--master-secret", SECRET.hex()[:-2]))),
    ("--master-secret", edit(("--master-secret", SECRET.hex() * 5))),
    ("--master-secret", edit(("--master-secret", ""))),
    ("--master-secret", edit(("--master-secret", "-"))),
    ("--master-salt", edit(("--master-salt", "zz"))),
    ("--id-context", [*KNOWN, "--id-context", "00" * 65]),
    ("--lifetime", [*KNOWN, "--lifetime", "0"]),
    ("--short-id", [*KNOWN, "--short-id", "65535"]),
    ("--secret-out", [*KNOWN, "--secret-out", "secret"]),
    ("--hold-off", [*KNOWN, "--hold-off", "5"]),
    ("--bootstrap", [*KNOWN, "--bootstrap", "--lifetime", "60"]),
    ("--plain", [*KNOWN, "--plain"]),
]  # fmt: skip


@pytest.mark.parametrize("want, args", USAGE)
def test_usage_is_one_line_without_the_secret(image, want, args):
    line = fails(2, "provision", "file:%s" % image, *args)
    assert want in line
    for secret in (SECRET, PSK):
        assert secret.hex()[:-2] not in line
    assert not image.exists()


@pytest.mark.parametrize("text", ["", "list", "file:", "file:/tmp/"])
def test_targets_that_are_none(text):
    assert "TARGET" in fails(2, "show", text) or "file:" in fails(2, "show", text)


def test_a_forgotten_file_prefix_is_pointed_out(image):
    ok("provision", "file:%s" % image, *KNOWN)
    assert "say file:%s" % image in fails(2, "show", image)


# --- images ----------------------------------------------------------------------


def test_provision_writes_the_whole_record(image, record):
    out = ok("provision", "file:%s" % image, *KNOWN)
    assert SECRET.hex() not in out
    assert "sender ID is 02, its recipient ID 01" in out
    assert cbor2.loads(record("config")) == RECORD
    assert len(record("seed")) == 32
    assert stat.S_IMODE(image.stat().st_mode) == 0o600
    assert [p.name for p in image.parent.iterdir()] == ["device.img"]


def test_every_option_reaches_the_record(image, record):
    ok(
        "provision", "file:%s" % image, "--endpoint", "urn:dev:\u00e9", "--server", "coap://[2001:db8::1]/",
        "--sender-id", "", "--recipient-id", "0x05", "--master-secret", "A0:A1 " * 8 + SECRET.hex(),
        "--aead", "12", "--hmac", "-10", "--id-context", "37cbf3210017a2d3", "--lifetime", "60",
        "--short-id", "7", "--no-storing",
    )  # fmt: skip
    assert cbor2.loads(record("config")) == {
        "ep": "urn:dev:\u00e9",
        "objects": {
            0: {0: {0: "coap://[2001:db8::1]", 1: False, 2: 3, 10: 7, 17: [21, 0]}},
            1: {0: {0: 7, 1: 60, 6: False, 7: "U"}},
            21: {
                0: {
                    0: b"\xa0\xa1" * 8 + SECRET, 1: b"", 2: b"\x05", 3: 12, 4: -10,
                    6: bytes.fromhex("37cbf3210017a2d3"),
                }
            },
        },
        "opts": {},
    }  # fmt: skip


def test_plain_and_bootstrap_accounts(image, record):
    boot = ["--server", "coap://192.0.2.9", "--plain", "--bootstrap", "--hold-off", "3"]
    ok("provision", "file:%s" % image, "--endpoint", "b", *boot)
    assert cbor2.loads(record("config")) == {
        "ep": "b",
        "objects": {0: {0: {0: "coap://192.0.2.9", 1: True, 2: 3, 11: 3}}},
        "opts": {},
    }


def test_dtls_with_oscore_inside(image, record):
    args = [*DTLS, "--psk-identity", "me", "--psk", PSK.hex()]
    out = ok("provision", "file:%s" % image, *args)
    assert "sealed with OSCORE, in DTLS" in out and PSK.hex() not in out
    want = dict(RECORD["objects"][0][0])
    want.update({0: "coaps://192.0.2.1:5684", 2: 0, 3: b"me", 5: PSK})
    objects = cbor2.loads(record("config"))["objects"]
    assert objects == {**RECORD["objects"], 0: {0: want}}
    lines = ok("show", "file:%s" % image).splitlines()
    assert lines[1:4] == [
        "coaps://192.0.2.1:5684, server 123, lifetime 86400 s",
        "  DTLS with a pre-shared key, identity me, key: set",
        "  OSCORE with AEAD 10, HKDF SHA-256",
    ]
    # Its DTLS stays as it is where OSCORE's keys change.
    ok("rotate", "file:%s" % image)
    assert cbor2.loads(record("config"))["objects"][0] == {0: want}


def test_dtls_alone(image, record):
    server = ["--endpoint", "b", "--server", "coaps://192.0.2.9", "--plain"]
    out = ok("provision", "file:%s" % image, *server, "--psk-identity", "0x00ff", "--psk", PSK.hex() * 2)
    assert "in DTLS, no OSCORE" in out
    security = cbor2.loads(record("config"))["objects"][0][0]
    assert security == {0: "coaps://192.0.2.9", 1: False, 2: 0, 3: b"\x00\xff", 5: PSK * 2, 10: 123}
    assert ok("show", "file:%s" % image).splitlines()[2:] == [
        "  DTLS with a pre-shared key, identity 0x00ff, key: set",
        "  no OSCORE",
    ]


def test_show_has_no_secret(image):
    ok("provision", "file:%s" % image, *KNOWN)
    out = ok("show", "file:%s" % image)
    assert out.splitlines() == [
        "endpoint sensor-1",
        "coap://192.0.2.1:5683, server 123, lifetime 86400 s",
        "  OSCORE with AEAD 10, HKDF SHA-256",
        "  sender ID 01, recipient ID 02",
        "  secret: set, salt: set, ID context: none",
    ]


def test_provision_again_replaces_and_gives_a_new_seed(image, record):
    ok("provision", "file:%s" % image, *KNOWN)
    seed = record("seed")
    ok("provision", "file:%s" % image, *edit(("--endpoint", "sensor-2")))
    assert cbor2.loads(record("config"))["ep"] == "sensor-2"
    assert record("seed") != seed


def test_add_keeps_what_is_there(image, record):
    ok("provision", "file:%s" % image, *KNOWN)
    second = ["--server", "coap://192.0.2.2", "--sender-id", "03", "--recipient-id", "04"]
    ok("provision", "file:%s" % image, "--add", "--short-id", "2", *second)
    objects = cbor2.loads(record("config"))["objects"]
    assert objects[0][0] == RECORD["objects"][0][0] and objects[21][0] == RECORD["objects"][21][0]
    assert objects[0][1] == {0: "coap://192.0.2.2", 1: False, 2: 3, 10: 2, 17: [21, 1]}
    assert objects[21][1][1] == b"\x03"
    before = record("config")
    line = fails(1, "provision", "file:%s" % image, "--add", "--short-id", "2", *second)
    assert "short server ID" in line
    line = fails(
        1,
        "provision",
        "file:%s" % image,
        "--add",
        "--endpoint",
        "else",
        "--short-id",
        "3",
        *second,
    )
    assert "sensor-1" in line
    assert record("config") == before
    assert "several" in fails(1, "rotate", "file:%s" % image)


def test_rotate_keeps_the_rest(image, record):
    ok("provision", "file:%s" % image, *KNOWN)
    out = ok("rotate", "file:%s" % image, "--recipient-id", "09")
    objects = cbor2.loads(record("config"))["objects"]
    fresh = bytes.fromhex(out.split()[-1])
    assert objects[21][0] == {**RECORD["objects"][21][0], 0: fresh, 2: b"\x09"}
    assert (objects[0], objects[1]) == (RECORD["objects"][0], RECORD["objects"][1])
    assert "no such account" in fails(1, "rotate", "file:%s" % image, "--short-id", "5")


def test_wipe_leaves_no_key(image, record):
    ok("provision", "file:%s" % image, *KNOWN)
    ok("wipe", "file:%s" % image)
    assert record("config") is None and record("seed") is None
    assert ok("show", "file:%s" % image) == "not provisioned\n"
    ok("wipe", "file:%s" % image)
    assert "not provisioned" in fails(1, "rotate", "file:%s" % image)


def test_what_is_no_image_is_refused_and_left_alone(image):
    for verb in (["show"], ["device"], ["wipe"], ["rotate"]):
        assert "does not exist" in fails(1, verb[0], "file:%s" % image)
    for content in (b"", b"hello\n", bytes(64 * 4096), os.urandom(64 * 4096), bytes(1 << 21)):
        image.write_bytes(content)
        for verb in (["show"], ["provision", *KNOWN], ["device"]):
            line = fails(1, verb[0], "file:%s" % image, *verb[1:])
            assert "not a flash image" in line
        assert image.read_bytes() == content
    assert fails(1, "show", "file:%s" % image.parent)
    assert "No such file" in fails(1, "provision", "file:%s/none/x.img" % image.parent, *KNOWN)


def test_an_image_with_a_broken_file_system_is_refused(image):
    ok("provision", "file:%s" % image, *KNOWN)
    with image.open("r+b") as f:
        for block in (0, 1):
            f.seek(block * 4096 + 20)
            f.write(b"\x55" * 64)
    assert "file system" in fails(1, "show", "file:%s" % image)


def test_a_run_that_was_killed_does_not_block_the_next(image):
    left = image.with_name(image.name + ".new")
    left.write_bytes(b"half")
    ok("provision", "file:%s" % image, *KNOWN)
    assert not left.exists() and "sensor-1" in ok("show", "file:%s" % image)


# --- the secret ------------------------------------------------------------------


def test_a_fresh_secret_is_shown_once_and_is_the_one_stored(image, record):
    out = ok("provision", "file:%s" % image, *ACCOUNT)
    fresh = cbor2.loads(record("config"))["objects"][21][0][0]
    assert len(fresh) == 16
    assert out.count(fresh.hex()) == 1 and out.splitlines()[-1].endswith(fresh.hex())
    assert ok("rotate", "file:%s" % image) != out
    assert cbor2.loads(record("config"))["objects"][21][0][0] != fresh


def test_a_refused_run_shows_no_secret(image):
    image.write_bytes(b"hello")
    done = cli("provision", "file:%s" % image, *ACCOUNT)
    assert done.returncode == 1 and not re.search("[0-9a-f]{32}", done.stdout + done.stderr)


def test_secret_out_is_for_its_owner_alone(image, record, tmp_path):
    kept = tmp_path / "secret"
    out = ok("provision", "file:%s" % image, *ACCOUNT, "--secret-out", kept)
    fresh = cbor2.loads(record("config"))["objects"][21][0][0]
    assert kept.read_text() == fresh.hex() + "\n"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert fresh.hex() not in out
    before = record("config")
    assert "exists" in fails(1, "rotate", "file:%s" % image, "--secret-out", kept)
    assert record("config") == before
    other = tmp_path / "other"
    fails(1, "rotate", "file:%s" % image, "--secret-out", other, "--short-id", "9")
    assert not other.exists()


def test_a_secret_from_standard_input(image, record):
    args = edit(("--master-secret", "-"))
    out = ok("provision", "file:%s" % image, *args, input=SECRET.hex() + "\n")
    assert cbor2.loads(record("config")) == RECORD
    assert SECRET.hex() not in out


def test_two_secrets_from_standard_input(image, record):
    args = [*edit(("--master-secret", "-"), ("--server", "coaps://192.0.2.1"))]
    both = "%s\n%s\n" % (SECRET.hex(), PSK.hex())
    out = ok("provision", "file:%s" % image, *args, "--psk-identity", "me", "--psk", "-", input=both)
    objects = cbor2.loads(record("config"))["objects"]
    assert (objects[21][0][0], objects[0][0][5]) == (SECRET, PSK)
    assert SECRET.hex() not in out and PSK.hex() not in out


def test_a_fresh_pre_shared_key(image, record, tmp_path):
    out = ok("provision", "file:%s" % image, *DTLS, "--psk-identity", "me")
    fresh = cbor2.loads(record("config"))["objects"][0][0][5]
    assert len(fresh) == 16 and out.count(fresh.hex()) == 1
    assert "pre-shared key for the server, shown this once: " + fresh.hex() in out
    kept = tmp_path / "key"
    out = ok("provision", "file:%s" % image, *DTLS, "--psk-identity", "me", "--psk-out", kept)
    again = cbor2.loads(record("config"))["objects"][0][0][5]
    assert again != fresh and kept.read_text() == again.hex() + "\n" and again.hex() not in out
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    before = record("config")
    line = fails(1, "provision", "file:%s" % image, *DTLS, "--psk-identity", "me", "--psk-out", kept)
    assert "--psk-out" in line and "exists" in line
    assert record("config") == before


def test_a_secret_typed_at_a_terminal_is_not_echoed(image, record):
    pid, fd = pty.fork()
    if pid == 0:
        args = command("provision", "file:%s" % image, *edit(("--master-secret", "-")))
        os.execve(args[0], args, environment())
    seen = b""
    with contextlib.suppress(OSError):  # Linux says EIO when the other end has closed
        while piece := os.read(fd, 1024):
            seen += piece
            if seen.endswith(b"(hex): "):
                os.write(fd, SECRET.hex().encode() + b"\n")
    os.close(fd)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, seen
    assert b"sealed" in seen and SECRET.hex().encode() not in seen
    assert cbor2.loads(record("config")) == RECORD


def test_no_child_has_the_secret_on_its_command_line(image, tmp_path):
    spy = tmp_path / "micropython"
    spy.write_text(
        '#!/bin/sh\nprintf \'%%s\\n\' "$@" >> %s.args\nenv >> %s.args\nexec %s "$@"\n'
        % (spy, spy, unixport.interpreter())
    )
    spy.chmod(0o755)
    args = edit(("--master-secret", "-"))
    ok("provision", "file:%s" % image, *args, input=SECRET.hex(), env={"MICROPYTHON": str(spy)})
    seen = Path("%s.args" % spy).read_bytes()
    assert b"setup.py" in seen
    for form in (SECRET.hex().encode(), SECRET, repr(SECRET).encode()):
        assert form not in seen


# --- the interpreter -------------------------------------------------------------


def test_a_missing_interpreter_is_named(image, monkeypatch, tmp_path):
    line = fails(1, "provision", "file:%s" % image, *KNOWN, env={"MICROPYTHON": "/nowhere/mp"})
    assert "/nowhere/mp" in line
    assert list(image.parent.iterdir()) == []
    monkeypatch.delenv("MICROPYTHON", raising=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Refused, match="pip install.*MICROPYTHON"):
        unixport.interpreter()


# --- the device ------------------------------------------------------------------

# A program of its own in the image's root, where a file wins over a frozen
# module: these tests are about what runs it.
PROGRAM = """
import time
def main(reboot):
    import gc, os, state
    state.n += 1
    print("up", state.n, os.listdir("/"), gc.mem_free() + gc.mem_alloc())
    %s
    while True:
        time.sleep(1)
"""


@pytest.fixture
def device(image, flash):
    """Start `microlwm2m device` with PROGRAM; gives the process. Killed at the end."""
    started = []

    def start(*args, extra="pass"):
        if not image.exists():
            ok("provision", "file:%s" % image, *KNOWN)
        flash(
            "for n, t in (('lwm2m_app.py', %r), ('state.py', 'n = 0')):\n"
            " with open(n, 'w') as f: f.write(t)" % (PROGRAM % extra)
        )
        process = subprocess.Popen(
            command("device", "file:%s" % image, *args),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_device_sees_its_flash_and_ends_well_on_ctrl_c(device):
    process = device()
    line = process.stdout.readline()
    # The host's files are within reach at /host and nowhere else.
    assert line.startswith("up 1 [") and "'host'" in line and "'tmp'" not in line
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    assert process.stderr.read() == ""


def test_device_heap(device):
    for size, low, high in (("64K", 50_000, 65_536), ("1M", 900_000, 1_048_576)):
        process = device("--heap", size)
        assert low < int(process.stdout.readline().split()[-1]) <= high
        process.kill()
        process.wait()
    assert "--heap" in fails(2, "device", "file:x.img", "--heap", "lots")


def test_device_log_is_appended_to(device, tmp_path):
    log = tmp_path / "log"
    log.write_text("before\n")
    process = device("--log", log)
    deadline = time.monotonic() + 20
    while "up 1" not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    assert process.stdout.read() == ""
    assert re.fullmatch(r"before\nup 1 .*\n", log.read_text())


def test_device_reboots_into_a_fresh_program(device):
    process = device(
        extra="if 'again' not in os.listdir('/'): open('again', 'w').close(); reboot()"
    )
    lines = [process.stdout.readline() for _ in range(3)]
    assert lines.pop(1).split() == ["reboot"]
    # state.n starts anew: nothing in RAM outlives a reset. The flash does.
    assert [line.startswith("up 1 ") for line in lines] == [True, True]
    assert ["again" in line for line in lines] == [False, True]


def test_device_reports_what_its_program_returns(device):
    process = device(extra="return 1")
    assert process.wait(20) == 1


def test_one_process_at_a_time_on_an_image(device, image):
    process = device()
    process.stdout.readline()
    before = image.read_bytes()
    for verb in (["show"], ["device"], ["wipe"], ["rotate"], ["provision", *KNOWN]):
        assert "in use" in fails(1, verb[0], "file:%s" % image, *verb[1:])
    assert image.read_bytes() == before
    process.kill()
    process.wait()
    ok("show", "file:%s" % image)


def test_a_board_is_no_device():
    assert "file:PATH" in fails(2, "device", "/dev/ttyUSB0")


# Killed at any moment, an image has the old configuration or the new one.
def test_kill_in_the_middle_of_provisioning(image):
    seed = random.randrange(1 << 30)
    print("seed", seed)
    rng = random.Random(seed)
    ok("provision", "file:%s" % image, *KNOWN)
    last = 0
    for n in range(1, 26):
        process = subprocess.Popen(
            unixport.command("setup.py", str(image)),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=unixport.environment(),
        )  # fmt: skip
        change = {"ssid": None, "keys": {1: bytes([n])}}
        text = "rotate %s %s\n" % (cbor2.dumps(change).hex(), os.urandom(32).hex())
        process.stdin.write(text.encode())
        process.stdin.close()
        if n % 5:
            time.sleep(rng.random() * 0.12)
            process.kill()
        process.stdout.read()
        process.stdout.close()
        finished = process.wait() == 0
        shown = re.search("sender ID ([0-9a-f]+), recipient ID 02", ok("show", "file:%s" % image))
        now = int(shown.group(1), 16)
        assert now == n if finished and n != 2 else now in (last, n)
        last = now


# --- a board's REPL ----------------------------------------------------------------


class Board:
    """The unix port's REPL at a pseudo-terminal, with a flash image as its root.

    A board has a wire between it and the host; here two pseudo-terminals and a
    thread are the wire, and keep what went over it towards the host.
    """

    def __init__(self, image, path=None):
        ours, theirs = pty.openpty()
        self._wire, self._line = pty.openpty()
        self._ends = (ours, self._wire)
        for fd in (theirs, self._line):
            tty.setraw(fd)  # or the banner's \r\n comes as \r\r\n
        # A board's Ctrl-C reaches a running program; here the terminal has to help.
        mode = termios.tcgetattr(theirs)
        mode[3] |= termios.ISIG
        termios.tcsetattr(theirs, termios.TCSANOW, mode)
        self.port = os.ttyname(self._line)
        self.said = b""
        env = unixport.environment()
        if path is not None:
            env["MICROPYPATH"] = path
        boot = ["-c", "import flashfile; flashfile.mount(%r)" % str(image)] if image else []
        self.process = subprocess.Popen(
            [unixport.interpreter(), "-X", "heapsize=256K", "-i", *boot],
            stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(theirs)
        self._stop, self._stopped = os.pipe()
        self._pump = threading.Thread(target=self._run)
        self._pump.start()

    def _run(self):
        device, host = self._ends
        while True:
            ready = select.select([device, host, self._stop], [], [])[0]
            if self._stop in ready:
                return
            for fd in ready:
                try:
                    data = os.read(fd, 4096)
                except OSError:
                    return
                if fd == device:
                    self.said += data
                os.write(host if fd == device else device, data)

    def close(self):
        self.process.kill()
        self.process.wait()
        os.write(self._stopped, b"x")
        self._pump.join()
        for fd in (*self._ends, self._line, self._stop, self._stopped):
            os.close(fd)


@pytest.fixture
def board(image):
    boards = []

    def start(*args, **kw):
        boards.append(Board(*args, **kw))
        return boards[-1]

    yield start
    for b in boards:
        b.close()


def test_a_board_is_provisioned_over_its_repl(image, flash, record, board):
    ok("provision", "file:%s" % image, *ACCOUNT)
    repl = board(image)
    out = ok("provision", repl.port, *KNOWN)
    assert "sensor-1 -> coap://192.0.2.1:5683" in out
    assert cbor2.loads(record("config")) == RECORD
    assert "sender ID 01" in ok("show", repl.port)
    assert "short server ID" in fails(1, "provision", repl.port, *ACCOUNT, "--add")
    out = ok("rotate", repl.port)
    fresh = cbor2.loads(record("config"))["objects"][21][0][0]
    assert out.split()[-1] == fresh.hex()
    # What the board said back, echo included, has neither secret in any form.
    for secret in (SECRET, fresh):
        for form in (secret, secret.hex().encode(), repr(secret)[2:-1].encode()):
            assert form not in repl.said
    assert b"raw REPL" in repl.said
    ok("wipe", repl.port)
    assert record("config") is None


def test_a_board_without_the_software_is_told_apart(tmp_path, board):
    repl = board(None, path=".frozen")
    assert "no microlwm2m" in fails(1, "show", repl.port)
    assert fails(1, "provision", repl.port, *KNOWN)


def test_a_program_that_runs_on_the_board_is_interrupted(image, board):
    ok("provision", "file:%s" % image, *KNOWN)
    repl = board(image)
    os.write(repl._ends[0], b"while True: pass\r\n\r\n")
    assert "sensor-1" in ok("show", repl.port)


def test_a_silent_line_ends_in_one_line():
    wire, line = pty.openpty()
    tty.setraw(line)
    try:
        assert "REPL" in fails(1, "show", os.ttyname(line))
    finally:
        os.close(wire)
        os.close(line)


@pytest.mark.parametrize(
    "name", ["/dev/no-such-port", "id:no-such-serial", "socket://127.0.0.1:1", "port:/dev/none"]
)
def test_a_board_that_is_not_there(name):
    line = fails(1, "show", name)
    assert "opened" in line or "no board" in line


# --- the package -----------------------------------------------------------------


def test_checks_of_host_and_board_agree():
    from microlwm2m import account

    limits = (ROOT / "lib" / "oscore" / "oscore" / "limits.py").read_text()
    rows = re.findall(r"^ +\((\d+), 16, (\d+), \d+\)", limits, re.M)
    assert {int(n): int(nonce) - 6 for n, nonce in rows} == account.AEADS
    bounds = dict(re.findall(r"^    (\w+) = (\d+)$", limits, re.M))
    assert int(bounds["master_secret"]) == account.SECRET_MAX
    assert int(bounds["master_salt"]) == account.SALT_MAX
    assert int(bounds["id_context"]) == account.ID_CONTEXT_MAX
    setup = (ROOT / "firmware" / "modules" / "lwm2m_setup.py").read_text()
    flash = (ROOT / "firmware" / "unix" / "flashfile.py").read_text()
    numbers = dict(re.findall(r"^_?([A-Z_]+) = const\((\d+)\)", setup + flash, re.M))
    assert int(numbers["SECRET_MIN"]) == account.SECRET_MIN
    assert int(numbers["EP_MAX"]) == account.ENDPOINT_MAX
    assert int(numbers["BLOCK"]) == target.BLOCK
    assert (int(numbers["BLOCKS_MIN"]), int(numbers["BLOCKS_MAX"]) + 1) == (
        target.BLOCKS.start, target.BLOCKS.stop,
    )  # fmt: skip


def test_an_installed_package_brings_the_boards_code(tmp_path):
    import shutil

    # A copy, since a build leaves its traces beside the sources.
    for name in ("lib", "firmware", "tools"):
        shutil.copytree(
            ROOT / name, tmp_path / "src" / name,
            ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"),
        )  # fmt: skip
    home = tmp_path / "home"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps",
         "--target", home, tmp_path / "src" / "tools"],
        check=True, timeout=100,
    )  # fmt: skip
    shutil.rmtree(tmp_path / "src")
    env = environment()
    env["PYTHONPATH"] = str(home)
    image = "file:%s" % (tmp_path / "device.img")
    for args in (["provision", image, *KNOWN], ["show", image]):
        done = subprocess.run(
            command(*args), env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, ""), done
    assert "sensor-1" in done.stdout
