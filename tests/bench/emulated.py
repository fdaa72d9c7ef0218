# Counts the bench's cases on the emulated boards: in instructions, on the Pico in cycles.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import sys

from modules import OUT, ROOT, compile_to

sys.path[:0] = [str(ROOT / "tests" / "boards"), str(ROOT / "tests")]
from emulator import Pico, Qemu, Repl, images  # noqa: E402

# Board, and whether it has AES in C.
BOARDS = {"M3_CRYPTOLIB": "M3", "M3": "M3, no cryptolib", "M0": "M0", "RV32": "RV32"}
# In cycles, as the Pico's emulator takes them for each instruction.
CYCLES = {"PICO": "Pico, cycles"}
# What says the same with and without cryptolib is counted once on the M3.
GROUPS = {"M3": ("ccm", "oscore", "device")}
EVERY = ("ccm", "hkdf", "coap", "oscore", "formats", "device", "plain")
_GROUP_S = 300
why_not = images.why_not


def repl(machine):
    """A board's REPL, with cases.py on its disk. Not on a mounted folder: instructions are time
    here, and by the board's clock the host is never quick enough."""
    target = OUT / "boards" / machine.arch / "cases.mpy"
    compile_to(ROOT / "tests" / "bench" / "cases.py", target, machine.arch)
    data = target.read_bytes()
    on = Repl(machine)
    on.run("f = open('/cases.mpy', 'wb')")
    for i in range(0, len(data), 1024):
        on.run("n = f.write(%r)" % data[i : i + 1024])
    on.run("f.close()\ndel f, n\nimport cases")
    return on


def count(board, groups=None):
    """{case: [instructions, bytes allocated, bytes kept]} on a board; of CYCLES {case: [cycles]}."""
    in_cycles = board in CYCLES
    machine = Pico(jump=True) if in_cycles else Qemu(board, icount=True)
    figures = {}
    for group in groups or GROUPS.get(board, EVERY):
        with machine:
            on = repl(machine)
            code = "cases.%s(%r)" % ("cycles" if in_cycles else "count", group)
            out = on.run(code, timeout=_GROUP_S)
            on.close()
        for line in out.splitlines():
            if line.startswith("=\t"):
                _, name, *values = line.split("\t")
                figures[name] = [int(value) for value in values]
    return figures
