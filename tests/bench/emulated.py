# Counts the bench's cases in instructions on the emulated boards.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import sys

from modules import OUT, ROOT, compile_to

sys.path[:0] = [str(ROOT / "tests" / "boards"), str(ROOT / "tests")]
from emulator import Qemu, Repl, images  # noqa: E402

# Board, and whether it has AES in C.
BOARDS = {"M3_CRYPTOLIB": "M3", "M3": "M3, no cryptolib", "M0": "M0", "RV32": "RV32"}
# What says the same with and without cryptolib is counted once on the M3.
GROUPS = {"M3": ("ccm", "oscore", "device")}
EVERY = ("ccm", "hkdf", "coap", "oscore", "formats", "device", "plain")
_GROUP_S = 300


def _repl(machine):
    """A board's REPL, with cases.py on its disk. Not on a mounted folder: instructions are time
    here, and by the board's clock the host is never quick enough."""
    target = OUT / "boards" / machine.arch / "cases.mpy"
    compile_to(ROOT / "tests" / "bench" / "cases.py", target, machine.arch)
    data = target.read_bytes()
    repl = Repl(machine)
    repl.run("f = open('/cases.mpy', 'wb')")
    for i in range(0, len(data), 1024):
        repl.run("n = f.write(%r)" % data[i : i + 1024])
    repl.run("f.close()\ndel f, n\nimport cases")
    return repl


def why_not(board):
    """None, or why the board cannot be run: what is missing, or an image that is older."""
    need = images.missing([board])
    if need:
        return images.missing_text(need).split("\n")[0]
    if not images.up_to_date(board):
        return "not built from what is here now (make boards)"
    return None


def count(board):
    """{case: [instructions, bytes allocated, bytes kept]} on a board."""
    machine = Qemu(board, icount=True)
    figures = {}
    for group in GROUPS.get(board, EVERY):
        with machine:
            repl = _repl(machine)
            out = repl.run("cases.count(%r)" % group, timeout=_GROUP_S)
            repl.close()
        for line in out.splitlines():
            if line.startswith("=\t"):
                _, name, *values = line.split("\t")
                figures[name] = [int(value) for value in values]
    return figures


def heap_at_rest(board="M3", heap=65536):
    """Bytes of heap that a registered device uses at rest, and what is free, on a board."""
    machine = Qemu(board, heap=heap)
    with machine:
        repl = _repl(machine)
        out = repl.run(
            "import gc\nx = cases.registered()\ngc.collect()\nprint(gc.mem_alloc(), gc.mem_free())",
            timeout=60,
        )
        repl.close()
    return [int(word) for word in out.split()]
