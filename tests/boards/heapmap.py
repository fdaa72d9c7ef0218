# What the heap of a registered M3 holds at rest: by type of block, and by who holds it.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
#   python tests/boards/heapmap.py [BOARD [HEAP]] [--blocks]     M3_CRYPTOLIB, 65536 by default
#
# The emulator writes the board's memory to a file, which is read here with the layouts of
# MicroPython 1.25 on 32 bits, object representation A. A block counts for what is on the shortest
# way to it from a module, or else from the port's roots; the rest is on the C stack, or garbage of
# the moment since the last collection.

import argparse
import collections
import re
import struct
import subprocess
import tempfile
from pathlib import Path

import heap  # first: it says where peer is
from emulator import images
from peer import Peer

MEMORY = 4 << 20  # of the M3, from address 0: the image, then its RAM
BLOCK = 16
TAIL = 2  # of the 2 bits that a block has in the allocation table; 0: free
# Where the port's state has what is looked for. (In brackets: whose blocks count for it.)
STATE = {
    "table": "mem.area.gc_alloc_table_start",
    "table_len": "mem.area.gc_alloc_table_byte_len",
    "pool": "mem.area.gc_pool_start",
    "(sys.modules)": "vm.mp_loaded_modules_dict",
    "(main)": "vm.dict_main",
    "(names)": "vm.last_pool",
    "(mounted)": "vm.vfs_mount_table",
}


def offsets(board):
    """{name in STATE: offset in the port's state, "end": its size}, by the compiler."""
    fields = ["offsetof(mp_state_ctx_t, %s)" % field for field in STATE.values()]
    source = '#include <stddef.h>\n#include "py/mpstate.h"\nconst unsigned at[] = {%s};\n'
    source %= ", ".join([*fields, "sizeof(mp_state_ctx_t)"])
    gcc = [*images.compiler(board), "-S", "-x", "c", "-", "-o", "-"]
    out = subprocess.run(gcc, input=source, capture_output=True, text=True, check=True).stdout
    return dict(zip([*STATE, "end"], map(int, re.findall(r"\.word\s+(\d+)", out))))


class Heap:
    """blocks {address: bytes}, kind {address: type}, holder {address: path}, free: bytes of slots."""

    def __init__(self, memory, board):
        self.memory = memory
        nm = [images.cross(board) + "nm", "--defined-only", images.image(board)]
        nm = subprocess.run(nm, capture_output=True, text=True, check=True).stdout
        symbols = {name: int(at, 16) for at, _, name in map(str.split, nm.splitlines())}
        self.types = {
            address: name.removeprefix("mp_type_") for name, address in symbols.items()
            if name.startswith("mp_type_") or name.endswith("_type")
        }  # fmt: skip
        state = symbols["mp_state_ctx"]
        self.at = {name: state + offset for name, offset in offsets(board).items()}
        self.blocks, self.kind, self.holder, self.free = {}, {}, {}, 0
        self._queue = collections.deque()
        self._find()
        self._walk(range(state, self.at["end"], 4))

    def word(self, address):
        return struct.unpack_from("<I", self.memory, address)[0]

    def _find(self):
        start, pool = self.word(self.at["table"]), self.word(self.at["pool"])
        for i in range(self.word(self.at["table_len"]) * 4):
            kind = self.memory[start + (i >> 2)] >> (i & 3) * 2 & 3
            if kind != TAIL:
                last = pool + i * BLOCK
            if kind:
                self.blocks[last] = self.blocks.get(last, 0) + BLOCK

    def _string(self, start, length):
        return self.memory[start : start + length].decode("utf-8", "replace")

    def qstr(self, n):
        pool = self.word(self.at["(names)"])
        while True:
            before, total, _, _, _, lengths = struct.unpack_from("<6I", self.memory, pool)
            n_here = n - (total & 0x7FFFFFFF)
            if n_here >= 0:
                return self._string(self.word(pool + 24 + 4 * n_here), self.memory[lengths + n_here])
            pool = before

    def text(self, address):
        """What a str says; of all else, which may be a key, nothing."""
        if self.type_of(address) != "str":
            return ""
        return self._string(self.word(address + 12), self.word(address + 8))

    def name(self, key):
        """A key of a table, in words."""
        if key & 7 == 2:
            return self.qstr(key >> 3)
        if key & 1:
            return str(((key ^ 1 << 31) - (1 << 31)) >> 1)
        return self.text(key) or self.type_of(key) or "%#x" % key

    def type_of(self, address):
        """What the object at an address is; None where there is none."""
        if address & 3 or address + 4 > MEMORY:
            return None
        of = self.word(address)
        if of in self.blocks and self.types.get(self.word(of)) == "type":
            return self.qstr(self.word(of + 4) >> 16) + "()"
        return self.types.get(of)

    def _walk(self, roots):
        modules = self._table(self.at["(sys.modules)"], "(sys.modules)")
        for name, module in sorted([(self.name(key), module) for key, module in modules]):
            self._claim(module, name)
        self._run()
        self._expand(self.at["(main)"], "(main)", "dict")
        for name in ("(names)", "(mounted)"):
            self._claim(self.word(self.at[name]), name)
            self._run()
        rest = {"(roots)": map(self.word, roots), "(C stack, garbage)": self.blocks}
        for name, addresses in rest.items():
            for address in addresses:
                self._claim(address, name)
            self._run()

    def _claim(self, address, path, parent="", kind=None):
        if address in self.blocks and address not in self.holder:
            kind = kind or self.type_of(address)
            kind = kind or "data of " + (parent.removeprefix("data of ") or "the port")
            self.holder[address], self.kind[address] = path, kind
            self._queue.append((address, path, kind))

    def _run(self):
        while self._queue:
            address, path, kind = self._queue.popleft()
            if not kind.startswith("table of"):
                self._expand(address, path, kind)

    def _table(self, address, path, kind="dict"):
        # Claims the table of a dict or an instance, and returns its pairs.
        _, slots, table = struct.unpack_from("<3I", self.memory, address + 4)
        pairs = struct.iter_unpack("<2I", self.memory[table : table + 8 * slots])
        pairs = [pair for pair in pairs if pair[0] not in (0, 4)]
        if table in self.blocks and table not in self.holder:
            self.free += self.blocks[table] - 8 * len(pairs)
        self._claim(table, path, kind="table of " + ("dict" if kind == "dict" else "instance"))
        return pairs

    def _expand(self, address, path, kind):
        start, end = address, address + self.blocks.get(address, BLOCK)
        if kind == "dict" or kind.endswith("()"):
            for key, value in self._table(address, path, kind):
                self._claim(key, path, kind)
                self._claim(value, path + ("." if ":" in path else ":") + self.name(key), kind)
            start += 16  # an instance has more where its class is of a type in C
        for at in range(start, end, 4):
            self._claim(self.word(at), path, kind)


def sums(blocks, by):
    """Lines of bytes, blocks and name, the largest first."""
    sizes = collections.defaultdict(list)
    for address, size in blocks.items():
        sizes[by[address]].append(size)
    rows = sorted((-sum(some), len(some), name) for name, some in sizes.items())
    return ["%7d %5d  %s" % (-total, count, name) for total, count, name in rows]


def main():
    parser = argparse.ArgumentParser(description="What the heap of a registered M3 holds at rest.")
    parser.add_argument("board", nargs="?", default="M3_CRYPTOLIB", choices=("M3", "M3_CRYPTOLIB"))
    parser.add_argument("heap", nargs="?", type=int, default=65536)
    parser.add_argument("--blocks", action="store_true", help="name each block too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Peer() as peer:
        folder = Path(folder)
        measured = heap.Measured(peer, args.board, args.heap, qmp=folder / "qmp")
        try:
            peer.events.wait_for("REGISTRATION", "m3", timeout=60)
            print("at rest: %d bytes" % measured.rest())
            measured.board.save(folder / "memory", 0, MEMORY)
        finally:
            measured.close()
        found = Heap((folder / "memory").read_bytes(), args.board)
    print("in blocks: %d, %d of them in free slots" % (sum(found.blocks.values()), found.free))
    roots = {address: path.partition(":")[0] for address, path in found.holder.items()}
    print("\n  bytes blocks type", *sums(found.blocks, found.kind), sep="\n")
    print("\n  bytes blocks held by", *sums(found.blocks, roots), sep="\n")
    if args.blocks:
        print("\n  bytes type                 held by")
        for address in sorted(found.blocks, key=lambda address: (found.holder[address], address)):
            what = found.kind[address], found.holder[address], found.text(address)
            print(("%7d %-20s %s %s" % (found.blocks[address], *what)).rstrip())


if __name__ == "__main__":
    main()
