# Frozen native code computes what it should, and where the build misplaces it, it is noticed.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# M0_UNMENDED is the M0 with every frozen native function at 2 mod 4, as mpy-tool allows it. There a
# constant of 32 bits is read two bytes off (ARMv6-M loads it relative to a PC rounded down to 4).
# Our own primitives hold none and are right all the same; copies of them that do are refused by
# the known answers that each module tries before it is used.

import subprocess

import pytest
import viper_rules
from emulator import ROOT, BoardFault, Qemu, Repl, images, make, need_board

# The whole way of a sealed message in viper: AES, CCM, SHA-256, HKDF, against RFC 8613 C.1.1.
KNOWN = """
import aesccm, hkdf
import aesccm.viper as viper
import hkdf.viper as sha
from binascii import hexlify, unhexlify
secret = unhexlify("0102030405060708090a0b0c0d0e0f10")
salt = unhexlify("9e7ca92223786340")
info = unhexlify("8540f60a634b657910")
key = hkdf.hkdf(secret, 16, salt, info, sha256=sha)
sealed = aesccm.AESCCM(key, 8, aes=viper).encrypt(bytes(13), b"plain", b"aad")
print(hexlify(key).decode(), aesccm.AESCCM(key, 8).decrypt(bytes(13), sealed, b"aad"))
"""
RIGHT = "f0910ed7295e6ad4b54fc793154302ff b'plain'"

# A copy, its first use, and what that says.
COPIES = {
    "wide_begin": ("AESCCM(bytes(16), 8, cryptolib)", "aesccm: results are wrong"),
    "wide_finish": ("AESCCM(bytes(16), 8, cryptolib)", "aesccm: results are wrong"),
    "wide_reveal": ("AESCCM(bytes(16), 8, cryptolib)", "aesccm: results are wrong"),
    "wide_blocks": ("aes(bytes(16), 1)", "aesccm.viper: AES is wrong"),
    "wide_sha": ("sha256(b'abc')", "hkdf.viper: SHA-256 is wrong"),
}
USE = """
import cryptolib
try:
    import {0}
    {0}.{1}
    print("right")
except RuntimeError as e:
    print("refused:", e)
"""


@pytest.mark.parametrize("board", ["M3", "M3_CRYPTOLIB", "M0", "M0_UNMENDED", "RV32"])
def test_known_answers_in_frozen_viper(board):
    need_board(board)
    with Qemu(board) as on:
        assert Repl(on).run(KNOWN).strip() == RIGHT


@pytest.mark.parametrize("board", ["M3", "M0", "RV32"])
def test_constants_in_frozen_code(board):
    need_board(board)
    with Qemu(board) as on:
        assert Repl(on).run("import wide\nprint(wide.right())").strip() == str([True] * 4)


def test_constants_are_misread_without_the_mend():
    need_board("M0_UNMENDED")
    with Qemu("M0_UNMENDED") as on:
        assert Repl(on).run("import wide\nprint(wide.right())").strip() == str([False] * 4)


@pytest.mark.parametrize("copy", COPIES)
def test_a_primitive_that_is_misplaced_refuses(copy):
    need_board("M0_UNMENDED")
    use, message = COPIES[copy]
    with Qemu("M0_UNMENDED") as on:
        repl = Repl(on)
        for _ in range(2):  # and it stays so
            out = repl.run(USE.format(copy, use))
            assert out.startswith("refused: " + message), out
            assert "how was it compiled?" in out


@pytest.mark.parametrize("copy", COPIES)
def test_the_same_primitive_in_its_place_is_right(copy):
    # Frozen with the mend, and from a file on the board that has no mend.
    need_board("M0")
    need_board("M0_UNMENDED")
    use, _ = COPIES[copy]
    with Qemu("M0") as on:
        assert Repl(on).run(USE.format(copy, use)).strip() == "right"
    source, mpy = images.OUT / "wide" / (copy + ".py"), images.OUT / "wide" / (copy + ".mpy")
    subprocess.run(
        [images.mpy_cross(), "-march=armv6m", "-O3", "-o", mpy, source], check=True, timeout=60
    )
    with Qemu("M0_UNMENDED", rom={copy + ".mpy": mpy.read_bytes()}) as on:
        repl = Repl(on, rom=True)
        repl.run("import sys\nsys.path[:] = ['/rom']")  # and not what is frozen
        assert repl.run(USE.format(copy, use)).strip() == "right"


UNALIGNED = """
@micropython.viper
def read(p: ptr32) -> int:
    return p[0]
buf = bytearray(8)
print(read(memoryview(buf)[{0}:]))
"""


@pytest.mark.parametrize(
    "board, said", [("M0", "HardFault exception caught:"), ("PICO", "unaligned ")]
)
def test_an_unaligned_access_is_a_fault(board, said):
    need_board(board)
    with make(board) as on:
        repl = Repl(on)
        assert repl.run(UNALIGNED.format(4)).strip() == "0"
        with pytest.raises(BoardFault, match=said):
            repl.run(UNALIGNED.format(1))


def test_our_primitives_hold_no_constant_that_could_be_misread():
    # Of the code in the image: what is loaded relative to PC is how many arguments a function takes,
    # on the way to the TypeError for another number.
    need_board("M0_UNMENDED")
    found = {}
    for name, code in images.native_code("M0_UNMENDED").items():
        found[name] = viper_rules.constants(code)
    ours = {n: c for n, c in found.items() if n.startswith(("fun_data_aesccm", "fun_data_hkdf"))}
    assert len(ours) == len(viper_rules.functions(ROOT / "lib"))
    assert not any(ours.values()), ours
    # And the check sees those that are there.
    assert all(c == [0x1234ABCD] for n, c in found.items() if n.startswith("fun_data_wide_wide"))
    for copy in COPIES:
        values = [c for n, c in found.items() if n.startswith("fun_data_%s_" % copy) and c]
        assert values == [[0x12345678, 0x12345600]], copy
