# The bench's figures as a page and a picture.
# MIT license; Copyright (c) 2026 the microlwm2m authors

from cases import READ
from emulated import BOARDS, CYCLES

SEAL, OPEN, BARE = "CCM seal 64 B, ", "CCM open 64 B, ", "bare calls for 64 B"
CORE = {"M3_CRYPTOLIB": "M3", "M3": "M3", "M0": "M0", "RV32": "RV32"}


def _cell(now, old):
    # A count, and how it differs from the run before.
    if now is None:
        return ""
    text = format(now, ",")
    if old and old != now:
        text += " (%+.1f %%)" % (100 * (now / old - 1))
    return text


def _ratios(new):
    """[(what, value, goal, whether it is reached)]; a value of None was not measured."""
    rows = []

    def row(what, value, goal, most):
        ok = value is not None and (value <= goal if most else value >= goal)
        rows.append((what, value, ("at most %s" if most else "at least %s") % goal, ok))

    def of(board, name):
        found = new["boards"].get(board, new["cycles"].get(board, {})).get(name)
        return found and found[0]

    def ratio(a, b):
        return a / b if a and b else None

    for board, viper, native in (("M3_CRYPTOLIB", 3.4, 2.1), ("M0", 2.1, 1.8), ("RV32", 2.5, 1.8)):
        core = CORE[board]
        c = new["mbedtls"].get(core, {}).get("CCM seal 64 B")
        seal = of(board, SEAL + "viper")
        row("seal of 64 B in viper / mbed TLS -Os, %s" % core, ratio(seal, c), viper, True)
        row("open / seal, viper, %s" % core, ratio(of(board, OPEN + "viper"), seal), 1.15, True)
        seal = ratio(of(board, SEAL + "native"), of(board, BARE))
        row("seal of 64 B over cryptolib / bare calls, %s" % core, seal, native, True)
    row("open / seal, viper, Pico", ratio(of("PICO", OPEN + "viper"), of("PICO", SEAL + "viper")), 1.15, True)
    seal = ratio(of("PICO", SEAL + "native"), of("PICO", BARE))
    row("seal of 64 B over cryptolib / bare calls, Pico", seal, 1.8, True)
    unix = {name: values[0] for name, values in new["unix"].items()}
    row("the same, unix port", ratio(unix.get(SEAL + "native"), unix.get(BARE)), 1.85, True)
    row("aiocoap's bare path / our sealed Read, in process", ratio(unix["aiocoap"], unix[READ]), 2.5, False)
    ours, theirs = new["loopback"]
    row("aiocoap's server / our device, CPU over the loopback", ratio(theirs, ours), 6, False)
    return rows


def markdown(new, old):
    boards = [board for board in BOARDS if board in new["boards"]]
    ticking = [board for board in CYCLES if board in new["cycles"]]
    out = [
        "# Performance",
        "",
        "Made by `make bench`; do not edit. Instructions on the emulated cores, and cycles on the",
        "emulated Pico, are the same in every run of the same images; `make bench CHECK=1` fails where",
        "one is 2 % above what is recorded. In brackets: the change since the run before. Times on the",
        "unix port are the least of many rounds, in turn with aiocoap's, so that what counts is their",
        "ratio.",
        "",
        "![What a sealed Read takes](performance.svg)",
        "",
        "## Ratios",
        "",
        "| | now | goal | |",
        "|---|---|---|---|",
    ]
    for what, value, goal, ok in _ratios(new):
        number = "not measured" if value is None else "%.2f" % value
        out.append("| %s | %s | %s | %s |" % (what, number, goal, "" if ok else "**missed**"))
    out += [
        "",
        "aiocoap's bare path is decode, unprotect, protect and encode; it has no data model and no",
        "message layer. Ours is from datagram in to datagram out: duplicates, options, OSCORE, path and",
        "rights, data model, content format. Over the loopback both are whole servers, on one core with",
        "who asks them; medians of 60 batches. These two set an interpreter of MicroPython's against one of",
        "CPython's, and so depend on the processor: one and the same revision gave 2.8 in process on one",
        "machine, and 2.2 on another that is twice as fast.",
        "",
        "## Instructions, and cycles on the Pico",
        "",
        "Instructions are no cycles. The Pico's cycles are SysTick's, read on the board with interrupts",
        "off: each instruction takes what the manual of the Cortex-M0+ says, and accesses to the",
        "RP2040's peripherals 3 or 4 cycles more. What the emulator does not model is waiting: flash is",
        "as quick as RAM there, as if the cache before it always hit, and the buses are never busy. A",
        "Pico in hand takes more, the more code a step runs through; these are the least it takes, at",
        "125 MHz 8 ns each. Sealing and opening are in place; with an opening is counted that what was",
        "sealed is copied there, as it can be opened once. Reads of /3/0 walk the whole heap for its",
        "free bytes: some 200 KB on the Pico, 140 KB on the other boards.",
        "",
        "| | " + " | ".join([*(BOARDS[b] for b in boards), *(CYCLES[b] for b in ticking)]) + " |",
        "|---" * (len(boards) + len(ticking) + 1) + "|",
    ]
    names = []
    for cases in [*(new["boards"][b] for b in boards), *(new["cycles"][b] for b in ticking)]:
        names += [name for name in cases if name not in names]
    for name in names:
        cells = []
        for unit, columns in (("boards", boards), ("cycles", ticking)):
            before = old.get(unit, {})
            for board in columns:
                now = new[unit][board].get(name, [None])[0]
                cells.append(_cell(now, before.get(board, {}).get(name, [None])[0]))
        out.append("| %s | %s |" % (name, " | ".join(cells)))
    cores = new["mbedtls"]
    if cores:
        out += ["", "mbed TLS -Os on the same cores:", "", "| | " + " | ".join(cores) + " |"]
        out.append("|---" * (len(cores) + 1) + "|")
        for name in next(iter(cores.values())):
            cells = [format(cores[core].get(name, 0), ",") for core in cores]
            out.append("| %s | %s |" % (name, " | ".join(cells)))
    out += [
        "",
        "## Heap and time",
        "",
        "Bytes that one call leaves to the collector, and bytes still there after 20 calls: a few blocks",
        "either way are words on the stack that the collector takes for pointers.",
        "",
        "| | left, %s | kept | left, unix | kept | us, unix |" % (BOARDS[boards[0]] if boards else "-"),
        "|---|---|---|---|---|---|",
    ]
    first = new["boards"].get(boards[0], {}) if boards else {}
    was = old.get("unix", {})
    for name, (ns, left, kept) in new["unix"].items():
        _, a, b = first.get(name, (None, "", ""))
        time = "%.1f" % (ns / 1000)
        if name in was:
            time += " (%.1f)" % (was[name][0] / 1000)
        out.append("| %s | %s | %s | %s | %s | %s |" % (name, a, b, left, kept, time))
    ours, theirs = new["loopback"]
    out += [
        "",
        "CPU time of one exchange over UDP on the loopback: %.0f us for the device, %.0f us for"
        % (ours / 1000, theirs / 1000),
        "aiocoap's server (`simplesocketserver`).",
        "",
    ]
    return "\n".join(out)


def svg(new):
    """A bar for each board: the instructions of the sealed Read, and what of it is crypto."""
    bars = []
    for board, label in BOARDS.items():
        cases = new["boards"].get(board, {})
        if READ in cases:
            kind = "viper" if board == "M3" else "native"
            crypto = sum(cases.get(c + "16 B, " + kind, [0])[0] for c in ("CCM open ", "CCM seal "))
            bars.append((label, cases[READ][0], crypto))
    most = max([total for _, total, _ in bars] or [1])
    height = 40 + 34 * len(bars)
    out = [
        '<svg xmlns="http://www.w3.org/2000/svg" width="720" height="%d" font-family="sans-serif" font-size="13">'
        % height,
        '<rect width="100%" height="100%" fill="white"/>',
        '<text x="8" y="20">Instructions of a sealed Read, datagram to datagram; dark: AES-CCM, about</text>',
    ]
    for i, (label, total, crypto) in enumerate(bars):
        y = 36 + 34 * i
        out.append('<text x="8" y="%d">%s</text>' % (y + 16, label))
        for width, colour in ((total, "#9ec5e8"), (crypto, "#1f5f99")):
            out.append(
                '<rect x="150" y="%d" width="%d" height="22" fill="%s"/>' % (y, width * 460 // most, colour)
            )
        out.append('<text x="%d" y="%d">%s</text>' % (158 + total * 460 // most, y + 16, format(total, ",")))
    out.append("</svg>\n")
    return "\n".join(out)
