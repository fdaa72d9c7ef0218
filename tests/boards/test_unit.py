# tests/unit on the emulated boards: the same functions, against the modules frozen in the image.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# A board is started for each file, with the compiled tests and the data that they read in its
# memory (the Pico: on its disk). Each function has freshly imported modules, frozen ones too, as
# if it were alone. A fault, an unaligned access or silence fails it; the next one then gets a
# fresh board.
#
# MICROLWM2M_ALL=1 (`make test-boards ALL=1`) runs every function on every board. Without it the
# M3 runs them all, and the others all that may come out another way there.

import ast
import os
import re
import subprocess
import threading
import time

import pytest
from emulator import ROOT, BoardFault, Repl, images, make, need_board, why_not

pytestmark = pytest.mark.timeout(1800)

UNIT = ROOT / "tests" / "unit"
OUT = images.OUT / "tests"
ALL = os.environ.get("MICROLWM2M_ALL") == "1"
BOARDS = ("PICO", "M3", "M0", "RV32", "M3_CRYPTOLIB")
STACK = 32768  # for tests that are both ends of a network, and the wire
FUNCTION_S = 900  # a fault shows at once, this is for silence

# The Pico's emulator takes 3 s for a busy one, and the M0 runs the same instructions: there go the
# files that meet what only its image has, the port's cryptolib and hashlib. The M3 differs from
# the one with cryptolib in AES alone.
ONLY = {
    "PICO": (
        "mp_test_aesccm", "mp_test_coap_message", "mp_test_hkdf", "mp_test_oscore_vectors",
        "mp_test_runner", "mp_test_setup",
    ),
    "M3_CRYPTOLIB": (
        "mp_test_aesccm", "mp_test_hkdf", "mp_test_oscore_message", "mp_test_oscore_vectors",
        "mp_test_runner",
    ),
}  # fmt: skip

ALL_OF_IT = "all of it"
# What looks at the sources alone has no meaning on a board.
OF_SOURCES = ("test_copies_of_constants_agree", "test_copies_of_types_and_flags_agree")

# Files that only ALL=1 runs: worlds of both ends, of which each takes minutes.
LONG = ("mp_test_powercut",)

# What only repeats, thousands of times, what the functions beside it do once, without a view to
# the port: seconds each, and on the M3 alone.
REPEATING = {
    "mp_test_coap_block": ("test_all_sizes_each_way",),
    "mp_test_coap_memory": ("test_long_bodies",),
    "mp_test_flashstore": (
        "test_power_cut_at_every_write_of_fat", "test_power_cut_at_every_write_of_littlefs",
        "test_power_cut_during_the_recovery_too",
    ),
    "mp_test_formats_leshan": ALL_OF_IT,
    "mp_test_formats_random": (
        "test_json_of_lwm2m_1_0", "test_lwm2m_cbor", "test_senml_cbor", "test_senml_json",
    ),
    "mp_test_life": ALL_OF_IT,
    "mp_test_oscore_b1": ("test_a_store_that_falls_back_on_the_record_before",),
    "mp_test_oscore_fuzz": (
        "test_random_options", "test_requests", "test_responses",
        "test_what_was_verified_and_is_no_message",
    ),
    "mp_test_oscore_nonces": (
        "test_trap_20_200_restarts_with_a_frozen_generator", "test_random_run_b1", "test_random_run_b2",
        "test_random_run_mixed",
    ),
    "mp_test_oscore_window": ("test_100000_numbers_in_random_orders",),
    "mp_test_oscore_window_model": ALL_OF_IT,
    "mp_test_restart": (
        "test_flash_is_written_at_most_16_times_in_1000_sealed_exchanges",
        "test_trap_20_200_restarts_with_a_frozen_generator",
    ),
    "mp_test_setup": ("test_mutated_configurations_raise_nothing_but_valueerror",),
}  # fmt: skip

# More heap than a board has, for files whose tests are worlds of their own: bytes. (M0: 256 KB.)
HEAPS = {
    "mp_test_aesccm": 512 << 10, "mp_test_flashstore": 1 << 20, "mp_test_formats_leshan": 2 << 20,
    "mp_test_formats_tlv": 512 << 10, "mp_test_life": 2 << 20, "mp_test_oscore_nonces": 1 << 20,
    "mp_test_powercut": 1 << 20, "mp_test_restart": 512 << 10,
}  # fmt: skip
TOO_BIG = ("mp_test_formats_leshan", "mp_test_life", "mp_test_powercut")  # for the M0

RUNNER = """
import gc, os, sys, vfs
_kept = list(sys.modules)
def _copy(names):
    for name in names:
        at = ""
        for folder in name.split("/")[:-1]:
            at += "/" + folder
            try:
                os.mkdir(at)
            except OSError:
                pass
        with open("/remote/%(from)s/" + name, "rb") as f, open("/" + name, "wb") as to:
            to.write(f.read())
def _run(module, name):
    sys.path[:] = [".frozen", "%(path)s"]
    for loaded in list(sys.modules):
        it = sys.modules[loaded]  # frozen, a test's, or a stand-in that a test has put there
        if loaded not in _kept or it.__name__ != loaded:
            del sys.modules[loaded]
    for _, at in vfs.mount():  # what a test has left
        if at not in ("/", "%(path)s", "/remote"):
            vfs.umount(at)
    loaded = it = at = None
    gc.collect()
    try:
        getattr(__import__(module), name)()
        print("\\x1fpassed")
    except BaseException as e:
        if type(e).__name__ == "Skip":
            print("\\x1fskipped", e)
        else:
            sys.print_exception(e)
            print("\\x1ffailed")
_copy(%(names)r)
os.chdir("%(path)s")
gc.collect()
print(gc.mem_free())
"""


def _cases():
    cases = []
    for board in BOARDS:
        for path in sorted(UNIT.glob("mp_test_*.py")):
            if board in ONLY and path.stem not in ONLY[board] or path.stem in LONG and not ALL:
                continue
            for node in ast.parse(path.read_text()).body:
                if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
                    continue
                if node.name in OF_SOURCES:
                    continue
                repeating = REPEATING.get(path.stem, ())
                if not ALL and board != "M3":
                    if repeating is ALL_OF_IT or node.name in repeating:
                        continue
                if board == "M0" and path.stem in TOO_BIG:
                    continue
                case = board, path.stem, node.name
                cases.append(pytest.param(*case, id="-".join(case)))
    return cases


_compiling = threading.Lock()


def compiled(arch):
    """Folder with tests/unit compiled for the instructions."""
    folder = OUT / arch
    with _compiling:
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
    return folder


def files(module, arch):
    """{path on the board: path here}: a compiled test file, the helpers that it imports, and the
    data that they name."""
    folder = compiled(arch)
    found, todo = {}, [module]
    while todo:
        name = todo.pop()
        path = UNIT / (name + ".py")
        if name + ".mpy" in found or not path.exists():
            continue
        found[name + ".mpy"] = folder / (name + ".mpy")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                todo += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                todo.append(node.module)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                if re.match(r"tests/vectors/\w+\.\w+$", node.value):
                    found[node.value] = ROOT / node.value
    return found


class Session:
    """A board with one test file."""

    def __init__(self, name, module):
        self.module = module
        self.repl = None
        if name == "PICO":
            self.board = make(name)
            names = files(module, self.board.arch)
            folder = OUT / "pico" / module  # laid out as the disk is to be
            for path, source in names.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(source.read_bytes())
            settings = {"from": ".", "names": sorted(names), "path": "/"}
        else:
            arch = make(name).arch
            rom = {path: data.read_bytes() for path, data in files(module, arch).items()}
            self.board = make(name, rom=rom, stack=STACK, heap=HEAPS.get(module))
            folder = None
            settings = {"from": "", "names": (), "path": "/rom"}
        self.board.start()
        try:
            self.repl = Repl(self.board, root=folder, rom=folder is None)
            self.repl.run(RUNNER % settings)
        except BaseException:
            self.board.stop()
            raise

    def call(self, name):
        return self.repl.run("_run(%r, %r)" % (self.module, name), timeout=FUNCTION_S)

    def stop(self):
        if self.repl:
            self.repl.close()
        self.board.stop()


def test_what_is_left_out_exists():
    for module, left_out in REPEATING.items():
        tree = ast.parse((UNIT / (module + ".py")).read_text())
        names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert left_out is ALL_OF_IT or names > set(left_out), module
    for module in (*HEAPS, *TOO_BIG, *LONG, *ONLY["PICO"], *ONLY["M3_CRYPTOLIB"]):
        assert (UNIT / (module + ".py")).exists(), module


def add_jobs(farm, items):
    jobs = {}
    for item in items:
        if not hasattr(item, "callspec"):
            continue
        board, module, name = (item.callspec.params[key] for key in ("board", "module", "name"))
        if not why_not(board):
            jobs.setdefault((board, module), []).append(name)

    def job(board, module, names):
        def work(put, stopping):
            session = None
            try:
                for name in names:
                    if stopping.is_set():
                        return
                    start = time.monotonic()
                    try:
                        session = session or Session(board, module)
                        put(name, session.call(name))
                    except BoardFault as e:
                        put(name, "after %.0f s: %s\x1ffault" % (time.monotonic() - start, e))
                        if session:
                            session.stop()
                        session = None
            finally:
                if session:
                    session.stop()

        return work

    for (board, module), names in jobs.items():
        farm.add((board, module), job(board, module, names))


@pytest.mark.parametrize("board, module, name", _cases())
def test_unit(farm, board, module, name):
    need_board(board)
    out = farm.result((board, module), name)
    text, _, verdict = out.rpartition("\x1f")
    print(text, end="")
    if verdict.startswith("skipped"):  # what the port lacks; nothing that could be installed
        pytest.skip(verdict[8:].strip())
    # M3 and RV32 give what a file asks for. Which of its functions need it shows by trying.
    if module in HEAPS and board in ("M0", "PICO") and "MemoryError" in out:
        pytest.skip("%s wants a heap of %d" % (module, HEAPS[module]))
    if not verdict.startswith("passed"):
        pytest.fail("%s:\n%s" % (board, text or out), pytrace=False)
