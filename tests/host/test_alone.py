# The packages that others may want by themselves: one folder is all that they need.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import json
from pathlib import Path

import pytest

LIB = Path(__file__).resolve().parents[2] / "lib"
ALONE = {
    "aesccm": "aesccm.AESCCM(bytes(16), 8).encrypt(bytes(13), b'x', b'')",
    "cbor": "cbor.loads(cbor.dumps([1]))",
    "flashstore": "flashstore.Store('/nowhere').names()",
    "hkdf": "hkdf.hkdf(b'key', 16)",
}


@pytest.mark.parametrize("name", ALONE)
def test_imports_alone(micropython, name):
    code = "import %s\n%s\n" % (name, ALONE[name])
    done = micropython.run(code, env={"MICROPYPATH": ".frozen:%s" % (LIB / name)})
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", sorted(p.name for p in LIB.iterdir()))
def test_package_json_names_every_file(name):
    folder = LIB / name
    package = json.loads((folder / "package.json").read_text())
    files = sorted(p.relative_to(folder).as_posix() for p in (folder / name).rglob("*.py"))
    assert sorted(source for _, source in package["urls"]) == files
    assert all(target == source for target, source in package["urls"])
    assert package["deps"] == []
