# What the emulated boards have in C: the disk, and what says how much of the heap is used.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import re

import pytest
from emulator import Qemu, Repl, need_board

MOVE = """
from qport import disk
count, size = disk.ioctl(4, 0), disk.ioctl(5, 0)
disk.writeblocks(count - 2, bytes(2 * size))
disk.writeblocks(count - 2, b"end to start", size - 6)
disk.writeblocks(count - 1, b"last", size - 4)
disk.writeblocks(count - 1, b"", size)
whole = bytearray(2 * size)
disk.readblocks(count - 2, whole)
part = bytearray(6)
disk.readblocks(count - 1, part)
right = bytes(size - 6) + b"end to start" + bytes(size - 10) + b"last"
print(count * size, whole == right, part)
"""
MOVED = "262144 True bytearray(b' start')"

# Block, bytes, offset: one more than there are, and what would wrap.
REFUSE = """
from qport import disk
count, size = disk.ioctl(4, 0), disk.ioctl(5, 0)
for n, length, offset in (
    (-1, 1, 0), (-1, 1, size), (count, 0, 0), (count - 1, size + 1, 0), (count - 1, 1, size),
    (0, 1, count * size), (0, 1, -1), (1, 1, -1), (1 << 20, 1, 0), (1, 1, (1 << 30) - 1),
    (1 << 60, 1, 0), (0, 1, 1 << 60),
):
    for move in (disk.readblocks, disk.writeblocks):
        try:
            move(n, bytearray(length), offset)
            print(n, length, offset, "was moved")
        except (OSError, OverflowError):
            pass
try:
    disk.readblocks(0, b"constant")
    print("was written to")
except TypeError:
    pass
with open("/still", "w") as f:
    f.write("there")
print(open("/still").read())
"""


@pytest.mark.parametrize("board", ["M3", "M0", "RV32"])
def test_disk_moves_bytes_and_refuses_what_is_not_all_on_it(board):
    need_board(board)
    with Qemu(board) as on:
        assert Repl(on).run(MOVE).strip() == MOVED
    with Qemu(board) as on:
        assert Repl(on).run(REFUSE).strip() == "there"


WAIT = """
import gc, micropython, select
poll = select.poll()
keep = [bytes([i]) * 40 for i in range(100)]
poll.ipoll(3000)
gc.collect()
print("gc", gc.mem_alloc(), gc.mem_free())
micropython.heap_lock()
poll.ipoll(3000)
micropython.heap_unlock()
print("unlocked")
poll.ipoll(3000)
print(keep == [bytes([i]) * 40 for i in range(100)])
"""
SAID = r"heap used=(\d+) free=(\d+)\r\n"


# By a clock of instructions, so that no wait ends before it has begun.
@pytest.mark.parametrize("board", ["M3", "M0", "RV32"])
def test_heap_is_said_while_the_program_waits_and_not_where_it_is_locked(board):
    need_board(board)
    with Qemu(board, icount=True, watch=200) as on:
        out = Repl(on).run(WAIT)
    before, _, rest = out.partition("gc ")
    figures, rest = rest.split("\r\n", 1)
    locked, _, after = rest.partition("unlocked\r\n")
    used, free = map(int, figures.split())
    said = [tuple(map(int, pair)) for pair in re.findall(SAID, before)]
    assert 1 < len(said) <= 15 and re.sub(SAID, "", before) == ""
    assert all(sum(pair) == used + free and abs(pair[0] - used) < 200 for pair in said)
    assert locked == ""
    assert 1 < len(re.findall(SAID, after)) <= 15 and re.sub(SAID, "", after) == "True\r\n"


def test_a_board_that_is_not_asked_says_nothing():
    need_board("M3")
    with Qemu("M3", icount=True) as on:
        assert Repl(on).run("import select\nselect.poll().poll(3000)") == ""
