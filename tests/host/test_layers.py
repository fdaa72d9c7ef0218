# Imports point one way.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# What each package of lib/ may import of the others. Lower knows nothing of upper.
ALLOWED = {
    "cbor": set(),
    "aesccm": set(),
    "hkdf": set(),
    "coap": set(),
    "flashstore": set(),
    "oscore": {"coap", "aesccm", "hkdf"},
    "lwm2m": {"coap", "cbor"},
}
# Inside packages: (module, what it may import of its package or of others).
NARROW = {
    "coap/codec.py": {"coap.late"},
    "coap/message.py": {"coap.codec", "coap.errors"},
    "coap/params.py": set(),
    "coap/endpoint.py": {
        "coap.codec", "coap.params", "coap.rare", "coap.seldom", "coap.sending",
    },
    "oscore/context.py": {"oscore.derive"},
    "lwm2m/model.py": {"coap.codec", "lwm2m.late"},
    "lwm2m/registration.py": {"coap.codec"},
    "lwm2m/reporting.py": {"coap.codec", "lwm2m.attributes", "lwm2m.composite"},
}
# No core may sleep, open a socket or know a board.
FORBIDDEN_IN_CORE = {"asyncio", "socket", "select", "machine", "network", "esp", "esp32"}
SHELLS = {
    "coap/transport.py", "coap/dtls.py", "coap/aio.py", "lwm2m/client.py",
    "lwm2m/seldom.py", "flashstore/nvs.py",
}


def modules():
    return sorted((ROOT / "lib").glob("*/*/**/*.py"))


def imports(path):
    """Absolute names of what a module imports, wherever in the module it does."""
    package = path.relative_to(ROOT / "lib").parts[1:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield name.name
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = package[: len(package) - node.level + 1]
                if node.module:
                    yield ".".join((*base, node.module))
                else:
                    for name in node.names:
                        yield ".".join((*base, name.name))
            elif node.module in ALLOWED:  # `from coap import message`
                for name in node.names:
                    yield node.module + "." + name.name
            else:
                yield node.module


def test_all_packages_are_known():
    assert {p.name for p in (ROOT / "lib").iterdir()} == set(ALLOWED)


@pytest.mark.parametrize("path", modules(), ids=lambda p: "/".join(p.parts[-2:]))
def test_imports_point_down(path):
    own = path.relative_to(ROOT / "lib").parts[1]
    short = "/".join(path.relative_to(ROOT / "lib").parts[1:])
    for name in imports(path):
        top = name.split(".")[0]
        if top in ALLOWED and top != own:
            assert top in ALLOWED[own], "%s imports %s" % (short, name)
        if short not in SHELLS:
            assert top not in FORBIDDEN_IN_CORE, "%s imports %s" % (short, name)
        if short in NARROW and top in ALLOWED:
            module = ".".join(name.split(".")[:2])
            assert module in NARROW[short] or top in NARROW[short], "%s imports %s" % (short, name)


def test_an_upward_import_is_found(tmp_path, monkeypatch):
    bad = tmp_path / "lib" / "coap" / "coap" / "bad.py"
    bad.parent.mkdir(parents=True)
    bad.write_text("def f():\n    from oscore import Account\n")
    monkeypatch.setattr("test_layers.ROOT", tmp_path)
    with pytest.raises(AssertionError, match="coap/bad.py imports oscore"):
        test_imports_point_down(bad)


def test_each_trap_of_b2_has_its_test():
    """The list in mp_test_oscore_b2.py, and tests that carry the number of each."""
    listed = re.findall(r"^# +(\d+)\. ", (ROOT / "tests/unit/mp_test_oscore_b2.py").read_text(), re.M)
    named = set()
    for folder in ("unit", "interop", "faults"):
        for path in (ROOT / "tests" / folder).glob("*test_*.py"):
            named |= set(re.findall(r"^def test_trap_(\d+)_", path.read_text(), re.M))
    assert listed == [str(n) for n in range(1, 21)]
    assert named == set(listed)
