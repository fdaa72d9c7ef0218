# `make bench`: what each step costs, in instructions on emulated cores, in cycles on the emulated
# Pico, in time on the unix port.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# bench.py           measures, prints, and writes figures.json, docs/performance.md and .svg
# bench.py --check   only counts, instructions and cycles, and writes nothing; exit 1 where a count
#                    has grown by more than 2 % over figures.json

import argparse
import asyncio
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import emulated
import reference
import report
from modules import ROOT

RECORD = Path(__file__).with_name("figures.json")
ROUNDS = 60
BATCHES = 60  # of 500 exchanges over the loopback
GROWTH = 1.02
# Counts this small move with the order of names in memory.
SMALL = 400


def counts():
    """{board: {case: [instructions, allocated, kept]}}, {board: {case: [cycles]}}, {core: mbed TLS'
    figures}, [why not]"""
    # No count depends on what else the machine does, so there is one board for each of its cores;
    # the Pico, which takes longest, first.
    wanted, missing = [], []
    for board in (*emulated.CYCLES, *emulated.BOARDS):
        why = emulated.why_not(board)
        if why:
            missing.append("%s: %s" % (board, why))
        else:
            wanted.append(board)

    def count(board):
        print("counting on " + board, file=sys.stderr)
        return emulated.count(board)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        figures = dict(zip(wanted, pool.map(count, wanted)))
    boards = {board: figures[board] for board in emulated.BOARDS if board in figures}
    cycles = {board: figures[board] for board in emulated.CYCLES if board in figures}
    cores = {}
    for core in reference.CORES:
        try:
            cores[core] = reference.count(core)
        except FileNotFoundError as e:
            missing.append("mbed TLS on %s: no %s" % (core, e.filename or e))
    return boards, cycles, cores, missing


def grown(now, old):
    """Lines about counts that are more than 2 % above those recorded."""
    lines = []
    for board, cases in now.items():
        for name, (count, *_) in cases.items():
            was = old.get(board, {}).get(name)
            if was and count > max(was[0] * GROWTH, was[0] + SMALL):
                percent = 100 * (count / was[0] - 1)
                what = board, name, count, was[0], percent
                lines.append("%s, %s: %d, %d are recorded (+%.1f %%)" % what)
    return lines


def main():
    parser = argparse.ArgumentParser(description="Measures what each step costs.")
    parser.add_argument("--check", action="store_true", help="fail where a count has grown by more than 2 %%")
    args = parser.parse_args()
    old = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    boards, cycles, cores, missing = counts()
    for line in missing:
        print("not measured: " + line)
    required = os.environ.get("MICROLWM2M_REQUIRE") == "1"
    if args.check:
        lines = grown(boards, old.get("boards", {})) + grown(cycles, old.get("cycles", {}))
        for line in lines:
            print("grown: " + line)
        if not boards or (missing and required):
            return 1
        for board in {**boards, **cycles}:
            if board not in old.get("boards", {}) and board not in old.get("cycles", {}):
                print("nothing is recorded for " + board)
        counted = [*boards.values(), *cycles.values()]
        print("%d counts, %d grown" % (sum(map(len, counted)), len(lines)))
        return 1 if lines else 0
    import loopback
    import unixport

    print("timing on the unix port", file=sys.stderr)
    best, heap = unixport.time(ROUNDS)
    ours, theirs = asyncio.run(loopback.compare(BATCHES))
    new = {
        # What was not measured this time stays as it was recorded.
        "boards": dict(old.get("boards", {}), **boards),
        "cycles": dict(old.get("cycles", {}), **cycles),
        "mbedtls": dict(old.get("mbedtls", {}), **cores),
        "unix": {name: [ns, *heap.get(name, (0, 0))] for name, ns in best.items()},
        "loopback": [round(ours), round(theirs)],
    }
    RECORD.write_text(json.dumps(new, indent=1, sort_keys=True) + "\n")
    text = report.markdown(new, old)
    (ROOT / "docs" / "performance.md").write_text(text)
    (ROOT / "docs" / "performance.svg").write_text(report.svg(new))
    print(text)
    return 1 if missing and required else 0


if __name__ == "__main__":
    sys.exit(main())
