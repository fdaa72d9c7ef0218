# The disk of the emulated boards: a block device that stays within its memory.
# MIT license; Copyright (c) 2026 the microlwm2m authors

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
