# tests/unit on the emulated boards: the same functions, against the modules frozen in the image.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# A board is started for each file. It gets the compiled tests on its own disk and sees the checkout
# as /remote, for the data that they read. Each function has freshly imported modules, frozen ones
# too, as if it were alone. A fault, an unaligned access or silence fails it; the next one then
# gets a fresh board.

import ast
import os
import re
import subprocess
import time

import pytest
from emulator import ROOT, BoardFault, Repl, images, make, need_board

UNIT = ROOT / "tests" / "unit"
OUT = images.OUT / "tests"
BOARDS = ("M3", "M0", "RV32", "PICO")
FUNCTION_S = 100
# The Pico's emulator takes 3 s for a busy one and the M0 runs the same instructions: here go the
# files that meet what only its image has, the port's cryptolib and hashlib. (Its sockets have no
# 127.0.0.1.)
PICO_FILES = (
    "mp_test_aesccm", "mp_test_coap_message", "mp_test_hkdf",
    "mp_test_oscore_vectors", "mp_test_runner", "mp_test_setup",
)  # fmt: skip

TOO_BIG = ("mp_test_formats_leshan",)  # reads 150 KB of JSON

RUNNER = """
import gc, os, sys
def _copy(names):
    for name in names:
        with open("/remote/%(from)s/" + name, "rb") as f, open("/" + name, "wb") as to:
            to.write(f.read())
def _run(module, name):
    sys.path[:] = [".frozen", "/"]
    for loaded in list(sys.modules):
        it = sys.modules[loaded]  # frozen, a test's, or a stand-in that a test has put there
        if loaded != "rp2" and (hasattr(it, "__file__") or it.__name__ != loaded):
            del sys.modules[loaded]
    loaded = it = None
    gc.collect()
    try:
        getattr(__import__(module), name)()
        print("\\x1fpassed")
    except BaseException as e:
        if type(e).__name__ == "Skip":
            print("\\x1fskipped", e)
        else:
            sys.print_exception(e)
            print("\\x1fmemory" if isinstance(e, MemoryError) else "\\x1ffailed")
os.chdir("/remote")
_copy(%(names)r)
gc.collect()
print(gc.mem_free())
"""


def _cases():
    cases = []
    for board in BOARDS:
        for path in sorted(UNIT.glob("mp_test_*.py")):
            if board == "PICO" and path.stem not in PICO_FILES:
                continue
            source = path.read_text()
            for node in ast.parse(source).body:
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                    case = board, path.stem, node.name
                    cases.append(pytest.param(*case, id="-".join(case)))
    return cases


def compiled(arch):
    """Folder with tests/unit compiled for the instructions, relative to the checkout."""
    folder = OUT / arch
    folder.mkdir(parents=True, exist_ok=True)
    for source in UNIT.glob("*.py"):
        target = folder / (source.stem + ".mpy")
        if target.exists() and target.stat().st_mtime >= source.stat().st_mtime:
            continue
        fresh = target.with_suffix(".new")
        done = subprocess.run(
            [images.mpy_cross(), "-march=" + arch, "-s", source.name, "-o", fresh, source],
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0 and "ERROR:" not in done.stdout, done.stdout + done.stderr
        os.replace(fresh, target)
    return folder.relative_to(ROOT)


def files(module):
    """The compiled files of a test file: itself and the helpers that it imports."""
    found, todo = set(), [module]
    while todo:
        name = todo.pop()
        if name in found or not (UNIT / (name + ".py")).exists():
            continue
        found.add(name)
        for node in ast.walk(ast.parse((UNIT / (name + ".py")).read_text())):
            if isinstance(node, ast.Import):
                todo += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                todo.append(node.module)
    return [name + ".mpy" for name in sorted(found)]


class Session:
    """A board with one test file on its disk."""

    def __init__(self, board, module):
        self.key = board, module
        self.board = make(board)
        self.board.start()
        try:
            self.repl = Repl(self.board, root=ROOT)
            folder = compiled(self.board.arch).as_posix()
            self.repl.run(RUNNER % {"from": folder, "names": files(module)})
        except BaseException:
            self.board.stop()
            raise

    def call(self, name):
        return self.repl.run("_run(%r, %r)" % (self.key[1], name), timeout=FUNCTION_S)

    def stop(self):
        self.repl.close()
        self.board.stop()


class Sessions:
    """The one board that is on."""

    def __init__(self):
        self.session = None

    def get(self, board, module):
        if self.session and self.session.key != (board, module):
            self.stop()
        if not self.session:
            self.session = Session(board, module)
        return self.session

    def stop(self):
        if self.session:
            self.session.stop()
            self.session = None


@pytest.fixture(scope="module")
def sessions():
    sessions = Sessions()
    yield sessions
    sessions.stop()


@pytest.mark.parametrize("board, module, name", _cases())
def test_unit(sessions, board, module, name):
    need_board(board)
    # Its comment is for the functions that need it most; which those are shows by trying.
    heap = re.search(r"^# heapsize: (\w+)$", (UNIT / (module + ".py")).read_text(), re.M)
    if module in TOO_BIG:
        pytest.skip("%s wants a heap of %s" % (module, heap.group(1)))
    start = time.monotonic()
    try:
        out = sessions.get(board, module).call(name)
    except BoardFault as e:
        sessions.stop()
        pytest.fail("%s after %.0f s:\n%s" % (board, time.monotonic() - start, e), pytrace=False)
    text, _, verdict = out.rpartition("\x1f")
    print(text, end="")
    if verdict.startswith("skipped"):  # what the port lacks; nothing that could be installed
        pytest.skip(verdict[8:].strip())
    if heap and verdict.startswith("memory"):
        pytest.skip("%s wants a heap of %s" % (module, heap.group(1)))
    if not verdict.startswith("passed"):
        pytest.fail(text or out, pytrace=False)
