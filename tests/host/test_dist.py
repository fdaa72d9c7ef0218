# `make dist`: what is in a release works where nothing of the checkout is.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from test_provision import Board

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import dist  # noqa: E402

SEAL = "import aesccm; print(aesccm.AESCCM(bytes(range(16)), 8).encrypt(bytes(13), b'text', b'aad').hex())"


def test_the_program_is_what_a_firmware_freezes():
    text = (ROOT / "firmware" / "manifest.py").read_text()
    assert sorted(dist.PROGRAM) == sorted(re.findall(r'^module\("(.+)\.py"', text, re.M))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("release") / "dist"
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "dist.py", folder], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1 + len(dist.ARCHS)
    return folder


def test_the_wheel_has_the_command_and_the_boards_code(made, tmp_path):
    (wheel,) = made.glob("*.whl")
    assert wheel.name == "microlwm2m-%s-py3-none-any.whl" % dist.version()
    with zipfile.ZipFile(wheel) as z:
        z.extractall(tmp_path)
    for path, source in dist.sources().items():
        inside = tmp_path / "microlwm2m" / "_board" / source.relative_to(ROOT)
        assert inside.read_bytes() == source.read_bytes(), path

    def command(*args, input=""):
        return subprocess.run(
            [sys.executable, "-c", "import microlwm2m.cli as c, sys; sys.exit(c.main())", *args],
            input=input, capture_output=True, text=True, cwd=tmp_path,
            env=dict(os.environ, PYTHONPATH=str(tmp_path)),
        )  # fmt: skip

    made_one = command(
        "provision", "file:x.img", "--endpoint", "x", "--server", "coap://127.0.0.1",
        "--sender-id", "01", "--recipient-id", "02", "--master-secret", "-", input="00" * 15 + "ff\n",
    )  # fmt: skip
    assert made_one.returncode == 0, made_one.stderr
    assert "endpoint x\ncoap://127.0.0.1," in command("show", "file:x.img").stdout


@pytest.mark.parametrize("arch", dist.ARCHS)
def test_package_json_names_every_file(made, arch):
    folder = made / "mip" / arch
    package = json.loads((folder / "package.json").read_text())
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.mpy"))
    assert sorted(source for _, source in package["urls"]) == files
    assert sorted(path[:-3] + ".mpy" for path in dist.sources()) == files
    assert package["version"] == dist.version()


def test_mip_installs_it_over_a_repl(made, tmp_path):
    lib = tmp_path / "lib"
    lib.mkdir()
    board = Board(None, path=".frozen:%s" % lib)
    mpremote = [sys.executable, "-m", "mpremote", "connect", board.port, "resume"]

    def run(*args):
        done = subprocess.run([*mpremote, *args], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    try:
        run("mip", "--target", str(lib), "install", str(made / "mip" / "x64" / "package.json"))
        for source in (made / "mip" / "x64").rglob("*.mpy"):
            arrived = lib / source.relative_to(made / "mip" / "x64")
            assert arrived.read_bytes() == source.read_bytes(), arrived
        seal = AESCCM(bytes(range(16)), 8).encrypt(bytes(13), b"text", b"aad").hex()
        assert run("exec", SEAL) == seal
        where = run("exec", "import lwm2m_app; print(lwm2m_app.__file__)")
        assert where == str(lib / "lwm2m_app.mpy")
    finally:
        board.close()


@pytest.mark.parametrize(
    "file, old, new",
    [
        ("tools/pyproject.toml", 'version = "', 'version = "9'),
        ("lib/coap/package.json", '"version": "', '"version": "9'),
        ("lib/lwm2m/lwm2m/__init__.py", '__version__ = "', '__version__ = "9'),
        ("CHANGELOG.md", "## ", "## 9"),
    ],
)
def test_no_release_of_two_versions(tmp_path, file, old, new):
    for name in dist.versions():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    assert dist.version(tmp_path) == dist.version()
    text = (tmp_path / file).read_text()
    (tmp_path / file).write_text(text.replace(old, new, 1))
    with pytest.raises(dist.Refused, match=file):
        dist.version(tmp_path)


def test_what_cannot_be_compiled_is_refused(monkeypatch, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("def f(:\n")
    monkeypatch.setattr(dist, "sources", lambda: {"broken.py": broken})
    with pytest.raises(dist.Refused, match="mpy-cross -march=x64 broken.py: .*SyntaxError"):
        dist.compile_for("x64", tmp_path / "out", "1")
