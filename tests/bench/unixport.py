# Times the bench's cases on the unix port, in turn with aiocoap: ratios of one run.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import os
import subprocess
import sys
from pathlib import Path

from cases import READ
from modules import OUT, ROOT, compile_to, compiled

HERE = Path(__file__).parent
# Group: heap. Objects of 64 bits are twice as large as on a board and modules are not frozen:
# what does not fit 64 KB has as much as it needs and about that free.
HEAPS = {
    "ccm": "64K", "hkdf": "96K", "coap": "64K", "oscore": "128K", "formats": "160K",
    "device": "384K", "plain": "384K",
}  # fmt: skip


class Side:
    """A process that runs one round for each line that it is sent."""

    def __init__(self, command, env=None):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env, cwd=ROOT
        )
        self.names, self.heap, self.best = [], {}, {}

    def line(self):
        line = self.process.stdout.readline().rstrip("\n")
        if not line or line.startswith("Traceback"):
            raise SystemExit("bench: a process ended:\n" + line + self.process.stdout.read())
        return line

    def round(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        for name in self.names:
            ns = int(self.line())
            self.best[name] = min(ns, self.best.get(name, ns))

    def close(self):
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


def ours(group):
    compile_to(HERE / "cases.py", OUT / "cases.mpy", "x64")
    interpreter = os.environ.get("MICROPYTHON") or str(Path(sys.executable).with_name("micropython"))
    path = ".frozen:%s:%s" % (OUT, compiled("x64"))
    side = Side(
        [interpreter, "-X", "heapsize=" + HEAPS[group], "-c", "import cases; cases.rounds(%r)" % group],
        dict(os.environ, MICROPYPATH=path),
    )
    while (line := side.line()) != ".":
        _, name, allocated, kept = line.split("\t")
        side.names.append(name)
        side.heap[name] = [int(allocated), int(kept)]
    return side


def theirs():
    side = Side([sys.executable, str(HERE / "aiocoap_side.py"), "rounds"])
    if side.line() != "READY":
        raise SystemExit("bench: aiocoap does not start")
    side.names = ["aiocoap"]
    return side


def time(rounds):
    """({case: ns}, {case: [bytes allocated, kept]}): the least of so many rounds, all sides in
    turn. The case "aiocoap" is aiocoap's bare path for the Read that cases.READ names."""
    sides = [theirs(), *map(ours, HEAPS)]
    try:
        for _ in range(rounds):
            for side in sides:
                side.round()
    finally:
        for side in sides:
            side.close()
    best, heap = {}, {}
    for side in sides:
        best.update(side.best)
        heap.update(side.heap)
    return best, heap


if __name__ == "__main__":
    best, _ = time(int(sys.argv[1]))
    for name, ns in best.items():
        print("%-42s %9.2f us" % (name, ns / 1000))
    print("aiocoap / ours: %.2f" % (best["aiocoap"] / best[READ]))
