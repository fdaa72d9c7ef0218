# `make bench`: what each step costs, in instructions on emulated cores and on the unix port.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# bench.py           measures, prints, and writes figures.json, docs/performance.md and .svg
# bench.py --check   measures instructions alone and writes nothing; exit 1 where a count has
#                    grown by more than 2 % over figures.json

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

import emulated
import reference
import report
from modules import ROOT

RECORD = Path(__file__).with_name("figures.json")
ROUNDS = 60
BATCHES = 8  # of 500 exchanges over the loopback
GROWTH = 1.02
# Counts this small move with the order of names in memory.
SMALL = 400


def instructions():
    """{board: {case: [instructions, allocated, kept]}}, {core: mbed TLS' figures}, [why not]"""
    boards, cores, missing = {}, {}, []
    for board in emulated.BOARDS:
        why = emulated.why_not(board)
        if why:
            missing.append("%s: %s" % (board, why))
            continue
        print("counting on " + board, file=sys.stderr)
        boards[board] = emulated.count(board)
    for core in reference.CORES:
        try:
            cores[core] = reference.count(core)
        except FileNotFoundError as e:
            missing.append("mbed TLS on %s: no %s" % (core, e.filename or e))
    return boards, cores, missing


def grown(boards, old):
    """Lines about counts that are more than 2 % above those recorded."""
    lines = []
    for board, cases in boards.items():
        for name, (now, _, _) in cases.items():
            was = old.get("boards", {}).get(board, {}).get(name)
            if was and now > max(was[0] * GROWTH, was[0] + SMALL):
                percent = 100 * (now / was[0] - 1)
                lines.append("%s, %s: %d, %d are recorded (+%.1f %%)" % (board, name, now, was[0], percent))
    return lines


def main():
    parser = argparse.ArgumentParser(description="Measures what each step costs.")
    parser.add_argument("--check", action="store_true", help="fail where a count has grown by more than 2 %%")
    args = parser.parse_args()
    old = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    boards, cores, missing = instructions()
    for line in missing:
        print("not measured: " + line)
    required = os.environ.get("MICROLWM2M_REQUIRE") == "1"
    if args.check:
        lines = grown(boards, old)
        for line in lines:
            print("grown: " + line)
        if not boards or (missing and required):
            return 1
        print("%d counts, %d grown" % (sum(map(len, boards.values())), len(lines)))
        return 1 if lines else 0
    import loopback
    import unixport

    print("timing on the unix port", file=sys.stderr)
    best, heap = unixport.time(ROUNDS)
    ours, theirs = asyncio.run(loopback.compare(BATCHES))
    new = {
        # What was not measured this time stays as it was recorded.
        "boards": dict(old.get("boards", {}), **boards),
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
