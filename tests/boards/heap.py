# What the product takes of a board's heap: at the prompt, imported, registered and at rest.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
#   python tests/boards/heap.py [BOARD [HEAP]]     M3, 65536 by default; after `make boards`

import ast
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent / folder) for folder in ("", "interop")]
from console import Console, install_main, provision  # noqa: E402
from emulator import ROOT, BoardFault, Qemu, Repl  # noqa: E402
from link import ME, Link  # noqa: E402
from peer import Peer  # noqa: E402

SECRET = "0102030405060708090a0b0c0d0e0f10"


class Measured:
    """A provisioned M3 that says its heap, at a Leshan peer. more: goes on to Qemu."""

    def __init__(self, peer, board="M3", heap=65536, name="m3", **more):
        self.peer, self.name = peer, name
        self.link = Link()
        self.board = Qemu(board, heap=heap, link=self.link.board, watch=2000, **more)
        self.board.start()
        peer.set_account(name, "bb", "aa", SECRET)
        install_main(self.board)
        provision(self.board, name, "coap://%s:%d" % (ME, peer.coap), "aa", "bb", SECRET)
        self.console = Console(self.board)

    def heap(self):
        """Bytes used, said from now on: of all that a board of one's own would hold, main.py too."""
        self.console.skip()
        return int(self.console.wait_for("heap used=").split("used=")[1].split()[0])

    def rest(self):
        """Bytes used once two sayings in a row agree."""
        used = [self.heap(), self.heap()]
        while used[-1] != used[-2] and len(used) < 15:
            used.append(self.heap())
        return used[-1]

    def close(self):
        self.console.close()
        self.board.stop()
        self.link.close()
        self.peer.delete_account(self.name)


def modules(roots):
    """These modules of ours, those that others of them import first."""
    folders = [*(ROOT / "lib").iterdir(), ROOT / "firmware" / "modules"]
    order = []

    def visit(name):
        for folder in folders:
            path = folder / name.replace(".", "/")
            path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
            if path.exists() and name not in order:
                break
        else:
            return
        seen.add(name)
        for node in ast.parse(path.read_text()).body:
            names = [alias.name for alias in getattr(node, "names", ())]
            if isinstance(node, ast.Import):
                inner = names
            elif isinstance(node, ast.ImportFrom):
                package = name if path.name == "__init__.py" else name.rpartition(".")[0]
                base = (package + "." if node.level else "") + (node.module or "")
                inner = [base, *(base.rstrip(".") + "." + n for n in names)]
            else:
                continue
            for one in inner:
                if one.rstrip(".") not in seen:
                    visit(one.rstrip("."))
        order.append(name)

    seen = set()
    for root in sorted(roots, key=lambda name: (-name.count("."), name)):
        if root not in seen:
            visit(root)
    return [name for name in order if name in roots]


def imports(board, heap):
    """Print what each module takes that the product imports."""
    used = "import gc\ngc.collect()\nprint(gc.mem_alloc())"
    with Qemu(board) as on:
        names = Repl(on).run("import sys, lwm2m_begin, lwm2m_product\nprint(*sys.modules)").split()
    with Qemu(board, heap=heap) as on:
        repl = Repl(on)
        before = int(repl.run(used))
        print("%6d bytes used at the prompt" % before)
        for name in ["asyncio", "socket", *modules(names)]:
            try:
                after = int(repl.run("import %s\n%s" % (name, used)))
            except BoardFault as e:
                print("   %s" % str(e).strip().split("\n")[-1])
                continue
            if after != before:
                print("%6d  %s" % (after - before, name))
            before = after
        print("%6d bytes used with all imported" % before)


def main():
    board = sys.argv[1] if len(sys.argv) > 1 else "M3"
    heap = int(sys.argv[2]) if len(sys.argv) > 2 else 65536
    print("%s, heap %d" % (board, heap))
    imports(board, heap)
    if not board.startswith("M3"):
        return  # one serial line, no network
    with Peer() as peer:
        measured = Measured(peer, board, heap)
        try:
            peer.events.wait_for("REGISTRATION", "m3", timeout=60)
            print("registered, at rest: %d" % measured.rest())
            for _ in range(10):
                assert peer.read("m3", "/3/0", timeout=20).ok
            ten = measured.rest()
            for _ in range(100):
                assert peer.read("m3", "/3/0", timeout=20).ok
            print("after 10 reads of an instance: %d, after 110: %d" % (ten, measured.rest()))
        finally:
            print("\n".join(line for line in measured.console.lines if "heap used=" not in line))
            measured.close()


if __name__ == "__main__":
    main()
