# The bench's counts: the Pico's cycles are those of the instructions, whatever interrupts there
# are, and every count is the same in another run.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import sys

import pytest
from emulator import ROOT, Pico, images, need_board

sys.path.insert(0, str(ROOT / "tests" / "bench"))
import bench  # noqa: E402
import emulated  # noqa: E402

pytestmark = pytest.mark.timeout(300)

# Of the Cortex-M0+: subs 1, a branch that is taken 2, ldr 2, push of two registers 3, pop 3.
LOOPS = """
import machine
from array import array
@micropython.asm_thumb
def bare(r0):
    mov(r1, r0)
    ldr(r0, [r1, 0])
    label(again)
    sub(r0, r0, 1)
    bne(again)
@micropython.asm_thumb
def loads(r0):
    mov(r1, r0)
    ldr(r0, [r1, 0])
    label(again)
    ldr(r2, [r1, 0])
    push({r2, r3})
    pop({r2, r3})
    sub(r0, r0, 1)
    bne(again)
measure = cases.Cycles()
n = array("I", (0,))
args = (n,)
get = lambda i: args
out = [0] * 4
def cost(loop, turns):
    n[0] = turns
    return cases.cost(measure, loop, get)
def costs(loop):
    # Twice: by then the heap has found its room for what a call allocates, which costs cycles too.
    for _ in range(2):
        for i, turns in enumerate((1000, 1001, 2000, 300000)):
            out[i] = cost(loop, turns)
    print(*out)
ticked = bytearray(1)
def tick(timer):
    ticked[0] = min(ticked[0] + 1, 255)
timer = machine.Timer()
def beside():
    for _ in range(2):
        ticked[0] = 0
        out[0] = cost(bare, 300000)
        timer.init(freq=2000, callback=tick)
        out[1] = cost(bare, 300000)
        timer.deinit()
    print(out[0], out[1], ticked[0])
"""


@pytest.fixture(scope="module")
def repl():
    need_board("PICO")
    with Pico(jump=True) as board:
        repl = emulated.repl(board)
        repl.run(LOOPS)
        yield repl
        repl.close()


@pytest.mark.parametrize("loop, cycles", [("bare", 3), ("loads", 2 + 3 + 3 + 3)])
def test_cycles_are_those_of_the_instructions(repl, loop, cycles):
    first, *others = map(int, repl.run("costs(%s)" % loop).split())
    assert abs(first - 1000 * cycles) < 2000  # an empty function of the interpreter is not quicker
    assert others == [first + cycles, first + 1000 * cycles, first + 299000 * cycles]


def test_interrupts_do_not_count(repl):
    # 7 ms, with a timer of 2 kHz and without
    quiet, beside, ticked = map(int, repl.run("beside()").split())
    assert beside == quiet
    assert ticked >= 2  # before and after


def test_more_than_the_counter_holds_is_no_count(repl):
    out = repl.run("try:\n cost(bare, 6000000)\nexcept ValueError as e:\n print(e)")
    assert out.strip() == "more cycles than the counter holds"


@pytest.mark.parametrize("board", ["PICO", "M0"])
def test_another_run_counts_the_same(board):
    need_board(board)
    first = emulated.count(board, ["coap"])
    assert len(first) == 4
    assert emulated.count(board, ["coap"]) == first


DEVICE = """
import sys
sys.path.append("tests/bench")
import cases
import lwm2m.objects.device as device
class Now:
    def time():
        return %d
device.time = Now
room = bytearray(%d)
print(cases.registered()[0].model.read((3, 0)))
"""


def test_what_the_bench_reads_depends_on_neither_clock_nor_memory(micropython):
    read = set()
    for code in (DEVICE % (7, 100), DEVICE % (2000000000, 150000)):
        done = micropython.run(code, heap="512K")
        assert done.returncode == 0, done.stdout + done.stderr
        read.add(done.stdout)
    assert len(read) == 1 and "(3, 0, 10)" in read.pop()


def test_growth_is_found():
    old = {"PICO": {"a": [100000], "b": [1000], "c": [50000]}}
    new = {"PICO": {"a": [102100], "b": [1390], "c": [50900], "d": [7]}, "M3": {"a": [1, 0, 0]}}
    lines = bench.grown(new, old)
    assert lines == ["PICO, a: 102100, 100000 are recorded (+2.1 %)"]


def test_the_pico_cannot_be_counted_without_its_emulator(monkeypatch):
    monkeypatch.setattr(images, "missing", lambda boards: [])
    monkeypatch.setattr(images, "emulator_is_there", lambda: False)
    assert images.why_not("PICO") == "rp2040js is not there: make boards"
