# The minimal profile: a device that has nothing of what firmware/manifest_minimal.py leaves out.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import ast
import asyncio
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from microlwm2m.bench import Account, BenchServer
from microlwm2m.bench.formats import NAMES

ROOT = Path(__file__).resolve().parents[2]
SECRET = bytes(range(16))
ACCOUNT = [
    "--endpoint",
    "dev",
    "--sender-id",
    "01",
    "--recipient-id",
    "02",
    "--master-secret",
    "-",
]


SENSOR = """

import asyncio
from lwm2m.model import Instance

device_alone = objects


class Temperature(Instance):
    OID = 3303
    MULTIPLE = True
    TABLE = ((5700, 1, 3, "value", 0.0),)


def objects(client, reboot):
    device_alone(client, reboot)
    client.add(Temperature())


async def run(client):
    sensor = client.model.instance(3303, 0)
    while True:
        sensor.set("value", sensor.value + 0.5)
        await asyncio.sleep(1)
"""


def left_out():
    text = (ROOT / "firmware" / "manifest_minimal.py").read_text()
    return ast.literal_eval(re.search(r"LEFT_OUT = (\(.*?\n\))", text, re.S).group(1))


class Minimal:
    """The command of a checkout that holds the minimal profile alone."""

    def __init__(self, folder):
        self.folder = folder
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "*.mpy", "build")
        for name in ("lib", "firmware", "tools"):
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        for path in left_out():
            (folder / "lib" / path.partition("/")[0] / path).unlink()
        # What the manifest takes, and a sensor of the product's own for the demo.
        product = folder / "firmware" / "modules" / "lwm2m_product.py"
        product.write_text((folder / "firmware" / "minimal" / product.name).read_text() + SENSOR)

    def environment(self):
        return dict(os.environ, PYTHONPATH=str(self.folder / "tools"))

    def command(self, *args):
        return [sys.executable, "-m", "microlwm2m", *args]

    def run(self, *args, input=""):
        return subprocess.run(
            self.command(*args), input=input, capture_output=True, text=True, timeout=60,
            env=self.environment(), cwd=self.folder,
        )  # fmt: skip

    def demo(self):
        return subprocess.run(
            [sys.executable, "-m", "microlwm2m.demo"], capture_output=True, text=True, timeout=100,
            env=self.environment(), cwd=self.folder,
        )  # fmt: skip


@pytest.fixture(scope="module")
def minimal(tmp_path_factory):
    return Minimal(tmp_path_factory.mktemp("minimal"))


def test_the_demo_runs(minimal):
    done = minimal.demo()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().splitlines()[-1].startswith("Done in ")


def test_what_is_left_out_is_refused(minimal):
    secret = SECRET.hex() + "\n"
    for more, reason in (
        (["--server", "coaps://127.0.0.1", "--psk-identity", "x"], "this firmware has no DTLS"),
        (["--server", "coap://127.0.0.1", "--bootstrap"], "this firmware has no bootstrap"),
        (
            ["--server", "coap://127.0.0.1", "--restart", "b1"],
            "this firmware has no restart policy but b2",
        ),
    ):
        done = minimal.run("provision", "file:refused.img", *ACCOUNT, *more, input=secret)
        assert done.returncode == 1, (more, done.stdout, done.stderr)
        assert reason in done.stderr and done.stderr.count("\n") == 1, done.stderr
        assert SECRET.hex() not in done.stderr


def ask(minimal, image, questions):
    """What a device with a fresh image answers. questions: coroutine function (server, answers)."""

    async def run():
        codes = {}
        async with BenchServer([Account("dev", b"\1", b"\2", SECRET)], port=0) as server:
            done = minimal.run(
                "provision",
                "file:" + image,
                "--server",
                server.uri,
                *ACCOUNT,
                input=SECRET.hex() + "\n",
            )
            assert done.returncode == 0, done.stderr
            process = subprocess.Popen(
                minimal.command("device", "file:" + image), stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                env=minimal.environment(), cwd=minimal.folder,
            )  # fmt: skip
            try:
                await server.registered("dev", 30)
                await questions(server, codes)
            finally:
                process.kill()
                said = process.communicate()[0]
        assert "fault" not in said
        return codes

    return asyncio.run(asyncio.wait_for(run(), 60))


def test_formats_that_are_left_out(minimal):
    async def questions(server, codes):
        for name in ("text", "cbor", "senml-json", "senml-cbor", "tlv", "lwm2m-cbor"):
            read = await server.read("dev", "/3/0/0", format=NAMES[name])
            write = await server.write("dev", "/3/0/14", "+01:00", format=NAMES[name])
            codes[name] = (read.code, write.code)

    codes = ask(minimal, "formats.img", questions)
    for name in ("cbor", "senml-cbor"):
        assert codes.pop(name) == ("2.05", "2.04"), name
    assert set(codes.values()) == {("4.06", "4.15")}, codes


def test_operations_that_are_left_out(minimal):
    async def questions(server, codes):
        for name, operation in (
            ("read composite", server.read_composite("dev", ["/3/0/0", "/1/0/1"])),
            ("write composite", server.write_composite("dev", {"/3/0/14": "+02:00"})),
            ("create", server.create("dev", 3303, 1, {})),
            ("delete", server.delete("dev", "/3303/0")),
            ("execute with arguments", server.execute("dev", "/1/0/8", "0='a'")),
            ("execute", server.execute("dev", "/3/0/12")),
            ("write attributes", server.write_attributes("dev", "/3303/0/5700", {"pmin": 1})),
            ("discover", server.discover("dev", "/3303")),
        ):
            codes[name] = (await operation).code

    assert ask(minimal, "operations.img", questions) == {
        "read composite": "4.05",
        "write composite": "4.05",
        "create": "4.05",
        "delete": "4.05",
        "execute with arguments": "4.00",
        "execute": "2.04",
        "write attributes": "4.05",
        "discover": "4.05",
    }


CBOR = """
import sys
sys.path.insert(0, %r)
import cbor
for data in (b"\\xc1\\x00", b"\\xf7", b"\\xe0", b"\\xf8\\x20", b"\\xc2\\x41\\x01", b"\\xc4\\x82\\x00\\x01"):
    try:
        raise SystemExit(repr(cbor.loads(data)))
    except cbor.CBORDecodeError:
        pass
try:
    cbor.dumps({1: object()})
except cbor.CBOREncodeError:
    print(cbor.loads(cbor.dumps({1: [2.5, None, True, b"x", "y", {}]})))
"""


def test_items_that_are_left_out(minimal, micropython):
    done = micropython.run(CBOR % str(minimal.folder / "lib" / "cbor"))
    assert done.stdout == "{1: [2.5, None, True, b'x', 'y', {}]}\n", done.stdout + done.stderr
