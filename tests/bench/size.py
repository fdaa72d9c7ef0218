# `make size`: what each module of lib/ takes in flash and, imported, of the heap.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# size.py            compares with size.json, and with the numbers below; exit 1 where one is exceeded
# size.py --update   writes size.json anew

import argparse
import ast
import json
import os
import subprocess
import sys
from pathlib import Path

from modules import OUT, ROOT, compiled, sources

RECORD = Path(__file__).with_name("size.json")
ARCHS = ("armv6m", "armv7m", "xtensawin", "rv32imc")

# Bytes of .mpy that a profile may take, on each architecture.
NUMBERS = {"full": 110 * 1024, "minimal": 64 * 1024}
# Bytes that a module may grow by before what is recorded has to be written anew, in the commit
# that makes it grow.
GROWTH = (1.05, 96)


def left_out():
    """What firmware/manifest_minimal.py leaves out of lib/."""
    for node in ast.parse((ROOT / "firmware" / "manifest_minimal.py").read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "LEFT_OUT":
            return ast.literal_eval(node.value)
    raise SystemExit("size: firmware/manifest_minimal.py has no LEFT_OUT")


def minimal():
    return [path for path in sources() if path not in left_out()]


def flash():
    """{module: {arch: bytes}}"""
    sizes = {path: {} for path in sources()}
    for arch in ARCHS:
        folder = compiled(arch)
        for path in sizes:
            sizes[path][arch] = (folder / (path[:-3] + ".mpy")).stat().st_size
    return sizes


def profile(sizes, name, arch):
    paths = sizes if name == "full" else minimal()
    return sum(sizes[path][arch] for path in paths)


# --- flash, frozen


def _freeze(paths, board):
    # Bytes of flash: of the object that MicroPython's tool and the compiler make of the same .mpy.
    # Names that the image has without them are not in it.
    from emulated import images

    tree, work = images.OUT / "src" / images.MICROPYTHON, images.OUT / board / "work"
    tool = [sys.executable, str(tree / "tools" / "mpy-tool.py"), "-f", "-mlongint-impl=mpz"]
    tool += ["-q", str(work / "genhdr" / "qstrdefs.preprocessed.h")]
    files = [path[:-3] + ".mpy" for path in paths]
    code = subprocess.run([*tool, *files], cwd=compiled("armv6m"), check=True, capture_output=True)
    target = OUT / "frozen.o"
    gcc = [*images.compiler(board), "-x", "c", "-c", "-", "-o", target]
    subprocess.run(gcc, input=code.stdout, check=True)
    out = subprocess.run(
        [images.cross(board) + "size", target], check=True, capture_output=True, text=True
    ).stdout
    text, data = out.splitlines()[1].split()[:2]
    return int(text) + int(data)


def frozen(board="M0"):
    """{profile: bytes of flash}; None where the board is not built."""
    from emulated import why_not

    why = why_not(board)
    if why:
        print("flash, frozen: not measured, %s" % why)
        return None
    return {"full": _freeze(sources(), board), "minimal": _freeze(minimal(), board)}


# --- import RAM


def _imports(path, source):
    # Modules of lib/ that the import of this one brings along.
    package = path.split("/")[:-1]
    for node in ast.parse(source.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            yield name
            yield from ("%s.%s" % (name, alias.name) for alias in node.names)


def order():
    """[(path, name to import)], each behind those that it needs: what a module takes is then
    what it takes beyond them."""
    names = {}
    for path in sources():
        names[path[:-3].replace("/", ".").removesuffix(".__init__")] = path
    out = []

    def add(name):
        if name in done or name not in names:
            return
        done.add(name)
        add(name.rpartition(".")[0])
        for needed in _imports(names[name], found[names[name]]):
            add(needed)
        out.append((names[name], name))

    found, done = sources(), set()
    for name in names:
        add(name)
    return out


_MEASURE = """
import gc, sys
import array, asyncio, binascii, errno, io, json, os, socket, struct, time
try:
    import cryptolib, hashlib
except ImportError:
    pass
def measure(name):
    gc.collect()
    before = gc.mem_alloc()
    try:
        __import__(name)
    except ImportError:
        return print("=", name, "none")
    gc.collect()
    print("=", name, gc.mem_alloc() - before)
measure("micropython")
"""


def _parse(out):
    ram = {}
    for line in out.splitlines():
        words = line.split()
        if words[:1] == ["="] and words[2] != "none":
            ram[words[1]] = int(words[2])
    return {path: ram.get(name) for path, name in order()}


def ram_unix():
    """{module: bytes} on the unix port, from .mpy: code and objects of 64 bits."""
    interpreter = os.environ.get("MICROPYTHON") or str(
        Path(sys.executable).with_name("micropython")
    )
    code = _MEASURE + "".join("measure(%r)\n" % name for _, name in order())
    done = subprocess.run(
        [interpreter, "-X", "heapsize=1M", "-c", code], capture_output=True, text=True,
        env=dict(os.environ, MICROPYPATH=".frozen:%s" % compiled("x64")),
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return _parse(done.stdout)


def ram_m3():
    """{module: bytes} frozen on the emulated Cortex-M3; None where it is not built."""
    from emulated import Qemu, Repl, why_not

    why = why_not("M3_CRYPTOLIB")
    if why:
        print("import RAM on the Cortex-M3: not measured, %s" % why)
        return None
    with Qemu("M3_CRYPTOLIB") as board:
        repl = Repl(board)
        out = repl.run(_MEASURE)
        for _, name in order():
            out += repl.run("measure(%r)" % name)
        repl.close()
    return _parse(out)


# --- report


def _change(now, before):
    if before is None or now is None or now == before:
        return ""
    return "%+d" % (now - before)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--update", action="store_true", help="write what is measured to size.json"
    )
    args = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    old = json.loads(RECORD.read_text()) if RECORD.exists() else {"modules": {}}
    sizes, unix, m3, in_flash = flash(), ram_unix(), ram_m3(), frozen()
    failed = []
    print(
        "%-28s" % "bytes of .mpy"
        + "%19s" * len(ARCHS) % ARCHS
        + "%16s%16s" % ("RAM, M3", "RAM, unix")
    )
    record = {}
    for path in sorted(sizes):
        before = old["modules"].get(path, {})
        line = "%-28s" % path
        record[path] = dict(sizes[path])
        if m3 or before.get("ram_m3") is not None:
            record[path]["ram_m3"] = m3[path] if m3 else before["ram_m3"]
        record[path]["ram_unix"] = unix[path]
        for arch in ARCHS:
            now, was = sizes[path][arch], before.get(arch)
            line += "%11d %7s" % (now, _change(now, was))
            if was is not None and now > max(was * GROWTH[0], was + GROWTH[1]):
                failed.append("%s: %d bytes on %s, %d are recorded" % (path, now, arch, was))
        for ram, name in ((m3, "ram_m3"), (unix, "ram_unix")):
            now = ram and ram[path]
            line += "%8s %7s" % ("-" if now is None else now, _change(now, before.get(name)))
        print(line.rstrip())
    for name, number in NUMBERS.items():
        line = "%-28s" % name
        for arch in ARCHS:
            now, was = profile(sizes, name, arch), old.get(name, {}).get(arch)
            line += "%11d %7s" % (now, _change(now, was))
            if now > number:
                failed.append("%s profile: %d bytes on %s, at most %d" % (name, now, arch, number))
        for ram in (m3, unix):
            paths = sizes if name == "full" else minimal()
            line += "%8s %7s" % (sum(ram[path] or 0 for path in paths) if ram else "-", "")
        print(line.rstrip() + "   of %d" % number)
    for name, now in (in_flash or {}).items():
        print("%-28s%11d   of flash on the M0, frozen" % (name, now))
    if args.update:
        out = {name: {arch: profile(sizes, name, arch) for arch in ARCHS} for name in NUMBERS}
        out["modules"] = record
        RECORD.write_text(json.dumps(out, indent=1, sort_keys=True) + "\n")
        failed = [text for text in failed if "profile" in text]
    for text in failed:
        print("too large: " + text)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
