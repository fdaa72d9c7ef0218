# The recorder of nonces sees every process of a test, and finds what it is there for.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import os
import subprocess
import sys

import pytest
from aiocoap import oscore
from device import Device
from nonces.plugin import HERE, check

SEAL = """
import sys
from oscore import Context, validate
ctx = Context(validate(bytes(16), b"c", b"s"))
def seal(number, text):
    buf = bytearray(text + bytes(8))
    piv = bytes((number,))
    ctx.seal(ctx.nonce(True, piv), buf, len(text), ctx.request(True, piv)[2])
"""

pytestmark = pytest.mark.nonces("each of them looks at its own record")


def folder():
    return os.environ["NONCES"]


def seal(micropython, *calls, **kw):
    done = micropython.run(SEAL + "\n".join(calls) + "\n", **kw)
    assert done.returncode == 0, done.stderr


def test_a_nonce_used_twice_is_found(micropython):
    seal(micropython, "seal(1, b'a')", "seal(2, b'a')")
    assert check(folder()) == (2, 1)
    seal(micropython, "seal(3, b'a')")
    assert check(folder()) == (3, 2)
    # what is the same byte for byte tells nothing new
    seal(micropython, "seal(1, b'a')")
    assert check(folder()) == (4, 3)
    seal(micropython, "seal(1, b'b')")
    with pytest.raises(AssertionError, match="nonce"):
        check(folder())


def test_in_one_process(micropython):
    seal(micropython, "seal(1, b'a')", "seal(1, b'b')")
    with pytest.raises(AssertionError, match="nonce"):
        check(folder())


def test_another_world(micropython):
    again = "from oscore import context", "context.on_seal.forget()"
    seal(micropython, "seal(1, b'a')", *again, "seal(1, b'b')")
    assert check(folder()) == (2, 1)
    seal(micropython, *again, "seal(1, b'c')", "seal(1, b'd')")
    with pytest.raises(AssertionError, match="nonce"):
        check(folder())


def test_a_script_is_run_as_without_it(micropython, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "print(sys.argv[1:], sys.path[0], __name__, __file__)\n"
        "print(sys.stdin.read())\n"
        "sys.exit(7)\n"
    )
    done = micropython.run(script, "a b", "-c", input="in")
    assert done.returncode == 7
    assert done.stdout == "['a b', '-c'] %s __main__ %s\nin\n" % (tmp_path, script)
    done = micropython.run("import sys\nprint(sys.argv, sys.path[0])\n", "x y", "")
    assert done.stdout == "['-c', 'x y', ''] \n"
    done = micropython.run("def f():\n    raise ValueError\nf()\n")
    assert done.returncode == 1 and 'File "<stdin>", line 2, in f\nValueError' in done.stdout


def test_aiocoap_is_seen_in_every_process():
    source = (
        "from aiocoap import oscore\n"
        "oscore.AES_CCM_16_64_128 and oscore.algorithms['AES-CCM-16-64-128'].encrypt(b'%s', b'', bytes(16), bytes(13))"
    )
    for text, processes in ("a", 1), ("a", 2):
        subprocess.run([sys.executable, "-c", source % text], check=True)
        assert check(folder()) == (processes, processes)
    oscore.algorithms["AES-CCM-16-64-128"].encrypt(b"b", b"", bytes(16), bytes(13))
    with pytest.raises(AssertionError, match="nonce"):
        check(folder())


def test_a_device_is_seen_and_so_it_is_after_a_kill(tmp_path):
    with Device(tmp_path / "device.img") as device:
        device.provision("d", "coap://127.0.0.1:9", "01", "02", "000102030405060708090a0b0c0d0e0f")
        for run in (1, 2):
            device.start()
            device.wait_for("appendix B.2")
            while check(folder()) != (run, run):
                assert device.process.poll() is None
            device.kill()


def test_the_suite_runs_under_it():
    assert os.environ["MICROPYTHON"] == str(HERE / "micropython")
