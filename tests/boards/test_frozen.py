# Frozen native code computes what it should, and where the build misplaces it, it is noticed.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import pytest
from emulator import Qemu, Repl, images, need_board

# The whole way of a sealed message in viper: AES, CCM, SHA-256, HKDF, against RFC 8613 C.1.1.
KNOWN = """
import aesccm, hkdf
from binascii import hexlify, unhexlify
try:
    import aesccm.viper as viper
    secret = unhexlify("0102030405060708090a0b0c0d0e0f10")
    salt = unhexlify("9e7ca92223786340")
    info = unhexlify("8540f60a634b657910")
    key = hkdf.hkdf(secret, 16, salt, info)
    sealed = aesccm.AESCCM(key, 8, aes=viper).encrypt(bytes(13), b"plain", b"aad")
    print(hexlify(key).decode(), aesccm.AESCCM(key, 8).decrypt(bytes(13), sealed, b"aad"))
except RuntimeError as e:
    print("refused:", e)
"""
RIGHT = "f0910ed7295e6ad4b54fc793154302ff b'plain'"


@pytest.mark.parametrize("board", ["M3_CRYPTOLIB", "M0", "RV32"])
def test_frozen_native_code(board):
    need_board(board)
    with Qemu(board) as on:
        repl = Repl(on)
        assert repl.run("import wide\nprint(wide.right())").strip() == str([True] * 4)
        assert repl.run(KNOWN).strip() == RIGHT


def test_without_the_mend():
    # The image that mpy-tool alone makes: constants are read two bytes off.
    if not images.image("M0_UNMENDED").exists():
        pytest.skip("make boards BOARDS=M0_UNMENDED builds an M0 without the mend")
    need_board("M0_UNMENDED")
    with Qemu("M0_UNMENDED") as on:
        repl = Repl(on)
        assert "False" in repl.run("import wide\nprint(wide.right())")
        out = repl.run(KNOWN).strip()
        assert out == RIGHT or out.startswith("refused: "), out
