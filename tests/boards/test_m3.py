# The whole product on a Cortex-M3 with a heap of 64 KB, against Leshan, over a serial line.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import pytest
from emulator import need_board
from heap import Measured
from needs import skip
from peer import Peer, PeerMissing

pytestmark = pytest.mark.timeout(400)

HEAP = 65536
# The collector takes a number on the stack for a pointer now and then; a leak of one block an
# exchange would be 16 KB.
BLURRED = 160


@pytest.fixture(scope="module")
def leshan():
    try:
        peer = Peer().start()
    except PeerMissing as e:
        skip(str(e))
    yield peer
    peer.stop()


# M3 has no cryptolib: AES in viper, whose tables take 4.4 KB.
@pytest.mark.parametrize("board", ["M3", "M3_CRYPTOLIB"])
def test_1000_exchanges_leave_the_heap_as_it_was(leshan, board):
    need_board(board)
    measured = Measured(leshan, board, HEAP, name=board.lower())
    name = measured.name
    try:
        leshan.events.wait_for("REGISTRATION", name, timeout=30)
        assert leshan.read(name, "/3/0/1", timeout=20).value == "qemu"
        assert leshan.write(name, "/3/0/15", "Europe/Warsaw", timeout=20).code == "2.04"
        used = []
        for exchanges in (10, 990):
            for i in range(exchanges):
                path = ("/3/0", "/3303/0/5700", "/1/0/1", "/3/0/99")[i % 4]
                answer = leshan.read(name, path, timeout=20)
                assert answer.code == ("4.04" if path.endswith("99") else "2.05"), answer
            used.append(measured.rest())
        print("%s: heap used after 10 and 1,000 exchanges: %s" % (board, used))
        assert abs(used[0] - used[1]) <= BLURRED
    finally:
        print("\n".join(measured.console.lines[-20:]))
        measured.close()
