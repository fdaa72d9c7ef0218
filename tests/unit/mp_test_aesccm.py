# AES-CCM: the packet vectors of RFC 3610, and misuse.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# heapsize: 1M

import gc
import sys
from binascii import unhexlify

import micropython

import aesccm
from check import Skip, equal, raises

# RFC 3610 section 8, packet vectors 1 to 24: nonce, associated data, payload, and the
# cipher text with its tag, whose length is the difference. Vectors 1 to 12 share
# _KEY_1, the others _KEY_2.
_KEY_1 = unhexlify("c0c1c2c3c4c5c6c7c8c9cacbcccdcecf")
_KEY_2 = unhexlify("d7828d13b2b0bdc325a76236df93cc6b")
_RFC3610 = (
    (
        "00000003020100a0a1a2a3a4a5", "0001020304050607",
        "08090a0b0c0d0e0f101112131415161718191a1b1c1d1e",
        "588c979a61c663d2f066d0c2c0f989806d5f6b61dac38417e8d12cfdf926e0",
    ),
    (
        "00000004030201a0a1a2a3a4a5", "0001020304050607",
        "08090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "72c91a36e135f8cf291ca894085c87e3cc15c439c9e43a3ba091d56e10400916",
    ),
    (
        "00000005040302a0a1a2a3a4a5", "0001020304050607",
        "08090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20",
        "51b1e5f44a197d1da46b0f8e2d282ae871e838bb64da8596574adaa76fbd9fb0c5",
    ),
    (
        "00000006050403a0a1a2a3a4a5", "000102030405060708090a0b",
        "0c0d0e0f101112131415161718191a1b1c1d1e",
        "a28c6865939a9a79faaa5c4c2a9d4a91cdac8c96c861b9c9e61ef1",
    ),
    (
        "00000007060504a0a1a2a3a4a5", "000102030405060708090a0b",
        "0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "dcf1fb7b5d9e23fb9d4e131253658ad86ebdca3e51e83f077d9c2d93",
    ),
    (
        "00000008070605a0a1a2a3a4a5", "000102030405060708090a0b",
        "0c0d0e0f101112131415161718191a1b1c1d1e1f20",
        "6fc1b011f006568b5171a42d953d469b2570a4bd87405a0443ac91cb94",
    ),
    (
        "00000009080706a0a1a2a3a4a5", "0001020304050607",
        "08090a0b0c0d0e0f101112131415161718191a1b1c1d1e",
        "0135d1b2c95f41d5d1d4fec185d166b8094e999dfed96c048c56602c97acbb7490",
    ),
    (
        "0000000a090807a0a1a2a3a4a5", "0001020304050607",
        "08090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "7b75399ac0831dd2f0bbd75879a2fd8f6cae6b6cd9b7db24c17b4433f434963f34b4",
    ),
    (
        "0000000b0a0908a0a1a2a3a4a5", "0001020304050607",
        "08090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20",
        "82531a60cc24945a4b8279181ab5c84df21ce7f9b73f42e197ea9c07e56b5eb17e5f4e",
    ),
    (
        "0000000c0b0a09a0a1a2a3a4a5", "000102030405060708090a0b",
        "0c0d0e0f101112131415161718191a1b1c1d1e",
        "07342594157785152b074098330abb141b947b566aa9406b4d999988dd",
    ),
    (
        "0000000d0c0b0aa0a1a2a3a4a5", "000102030405060708090a0b",
        "0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "676bb20380b0e301e8ab79590a396da78b834934f53aa2e9107a8b6c022c",
    ),
    (
        "0000000e0d0c0ba0a1a2a3a4a5", "000102030405060708090a0b",
        "0c0d0e0f101112131415161718191a1b1c1d1e1f20",
        "c0ffa0d6f05bdb67f24d43a4338d2aa4bed7b20e43cd1aa31662e7ad65d6db",
    ),
    (
        "00412b4ea9cdbe3c9696766cfa", "0be1a88bace018b1",
        "08e8cf97d820ea258460e96ad9cf5289054d895ceac47c",
        "4cb97f86a2a4689a877947ab8091ef5386a6ffbdd080f8e78cf7cb0cddd7b3",
    ),
    (
        "0033568ef7b2633c9696766cfa", "63018f76dc8a1bcb",
        "9020ea6f91bdd85afa0039ba4baff9bfb79c7028949cd0ec",
        "4ccb1e7ca981befaa0726c55d378061298c85c92814abc33c52ee81d7d77c08a",
    ),
    (
        "00103fe41336713c9696766cfa", "aa6cfa36cae86b40",
        "b916e0eacc1c00d7dcec68ec0b3bbb1a02de8a2d1aa346132e",
        "b1d23a2220ddc0ac900d9aa03c61fcf4a559a4417767089708a776796edb723506",
    ),
    (
        "00764c63b8058e3c9696766cfa", "d0d0735c531e1becf049c244",
        "12daac5630efa5396f770ce1a66b21f7b2101c",
        "14d253c3967b70609b7cbb7c499160283245269a6f49975bcadeaf",
    ),
    (
        "00f8b678094e3b3c9696766cfa", "77b60f011c03e1525899bcae",
        "e88b6a46c78d63e52eb8c546efb5de6f75e9cc0d",
        "5545ff1a085ee2efbf52b2e04bee1e2336c73e3f762c0c7744fe7e3c",
    ),
    (
        "00d560912d3f703c9696766cfa", "cd9044d2b71fdb8120ea60c0",
        "6435acbafb11a82e2f071d7ca4a5ebd93a803ba87f",
        "009769ecabdf48625594c59251e6035722675e04c847099e5ae0704551",
    ),
    (
        "0042fff8f1951c3c9696766cfa", "d85bc7e69f944fb8",
        "8a19b950bcf71a018e5e6701c91787659809d67dbedd18",
        "bc218daa947427b6db386a99ac1aef23ade0b52939cb6a637cf9bec2408897c6ba",
    ),
    (
        "00920f40e56cdc3c9696766cfa", "74a0ebc9069f5b37",
        "1761433c37c5a35fc1f39f406302eb907c6163be38c98437",
        "5810e6fd25874022e80361a478e3e9cf484ab04f447efff6f0a477cc2fc9bf548944",
    ),
    (
        "0027ca0c7120bc3c9696766cfa", "44a3aa3aae6475ca",
        "a434a8e58500c6e41530538862d686ea9e81301b5ae4226bfa",
        "f2beed7bc5098e83feb5b31608f8e29c38819a89c8e776f1544d4151a4ed3a8b87b9ce",
    ),
    (
        "005b8ccbcd9af83c9696766cfa", "ec46bb63b02520c33c49fd70",
        "b96b49e21d621741632875db7f6c9243d2d7c2",
        "31d750a09da3ed7fddd49a2032aabf17ec8ebf7d22c8088c666be5c197",
    ),
    (
        "003ebe94044b9a3c9696766cfa", "47a65ac78b3d594227e85e71",
        "e2fcfbb880442c731bf95167c8ffd7895e337076",
        "e882f1dbd38ce3eda7c23f04dd65071eb41342acdf7e00dccec7ae52987d",
    ),
    (
        "008d493b30ae8b3c9696766cfa", "6e37a6ef546d955d34ab6059",
        "abf21c0b02feb88f856df4a37381bce3cc128517d4",
        "f32905b88a641b04b9c9ffb58cc390900f3da12ab16dce9e82efa16da62059",
    ),
)
_NONCE = bytes(13)


def _vectors():
    for i, vector in enumerate(_RFC3610):
        nonce, aad, text, sealed = [unhexlify(field) for field in vector]
        yield aesccm.AESCCM(_KEY_1 if i < 12 else _KEY_2, len(sealed) - len(text)), nonce, aad, text, sealed


def test_rfc3610_vectors():
    done = 0
    for a, nonce, aad, text, sealed in _vectors():
        equal(a.encrypt(nonce, text, aad), sealed)
        equal(a.decrypt(nonce, sealed, aad), text)
        done += 1
    equal(done, 24)


def test_rfc3610_vectors_in_place():
    for a, nonce, aad, text, sealed in _vectors():
        buf = bytearray(64)
        buf[: len(text)] = text
        equal(a.encrypt_into(nonce, buf, len(text), aad), len(sealed))
        equal(bytes(buf), sealed + bytes(64 - len(sealed)))
        equal(a.decrypt_into(nonce, buf, len(sealed), aad), len(text))
        equal(bytes(buf[: len(text)]), text)


def _viper():
    from aesccm import viper

    return viper


def _without_cryptolib():
    """A board whose firmware lacks AES: `from cryptolib import aes` fails there."""
    sys.modules["cryptolib"] = sys


def test_viper_is_taken_where_cryptolib_lacks_aes():
    _without_cryptolib()
    test_rfc3610_vectors()
    assert "aesccm.viper" in sys.modules
    assert "aesccm.native" not in sys.modules


def test_rfc3610_vectors_in_viper_and_in_place():
    _without_cryptolib()
    test_rfc3610_vectors_in_place()


def _board_aes():
    """A constructor as cryptolib.aes: that, or viper's where the firmware has none."""
    try:
        from cryptolib import aes
    except ImportError:
        aes = _viper().aes
    return aes


def test_viper_aes_as_cryptolib_has_it():
    try:
        from cryptolib import aes
    except ImportError:
        raise Skip("no cryptolib in this firmware")

    key = unhexlify("2b7e151628aed2a6abf7158809cf4f3c")
    data = bytes(range(96))
    mine = _viper().aes(key, 1)
    theirs = aes(key, 1)
    for start, end in ((0, 16), (16, 16), (16, 64), (64, 96)):
        equal(mine.encrypt(data[start:end]), theirs.encrypt(data[start:end]))
    want = theirs.encrypt(data)
    for offset in range(4):  # aligned to words or not, in place or from elsewhere
        buf = bytearray(104)
        view = memoryview(buf)[offset : offset + 96]
        view[:] = data
        equal(mine.encrypt(view, view) is view, True)
        equal(bytes(buf), bytes(offset) + want + bytes(8 - offset))
        view[:] = bytes(96)
        mine.encrypt(data, view)
        equal(bytes(buf), bytes(offset) + want + bytes(8 - offset))
    for args in ((b"", 1), (bytes(32), 1), (key, 2), (key, 6)):
        raises(ValueError, _viper().aes, *args)
    raises(ValueError, _viper().aes(key, 1).encrypt, bytes(15))
    raises(ValueError, _viper().aes(key, 1).encrypt, bytes(16), bytearray(15))


def test_viper_keys_of_fips_197():
    """FIPS 197 appendix A.1 (the last round key) and appendix B."""
    key = unhexlify("2b7e151628aed2a6abf7158809cf4f3c")
    a = _viper().aes(key, 1)
    equal(bytes(a.key[160:176]), unhexlify("d014f9a8c9ee2589e13f0cc8b6630ca6"))
    equal(
        a.encrypt(unhexlify("3243f6a8885a308d313198a2e0370734")),
        unhexlify("3925841d02dc09fbdc118597196a0b32"),
    )


def test_a_wrong_aes_is_not_used():
    viper = _viper()
    fill = viper._fill

    def wrong(t, x, v):
        fill(t, x, v ^ 1)

    viper._fill = wrong
    for _ in range(2):
        assert "viper" in str(raises(RuntimeError, aesccm.AESCCM, _KEY_1, 8, viper))
    viper._fill = fill
    aesccm.AESCCM(_KEY_1, 8, viper)


def test_a_wrong_ccm_is_not_used():
    board_aes = _board_aes()

    class Wrong:  # another key than it is given
        def aes(self, key, mode):
            return board_aes(bytes(16), mode)

    for _ in range(2):
        assert "wrong" in str(raises(RuntimeError, aesccm.AESCCM, _KEY_1, 8, Wrong()))
    aesccm.AESCCM(_KEY_1)


def test_viper_allocates_nothing_in_place():
    a = aesccm.AESCCM(_KEY_1, 8, _viper())
    buf = bytearray(72)
    aad = bytes(25)
    a.encrypt_into(_NONCE, buf, 64, aad)
    micropython.heap_lock()
    try:
        for _ in range(10):
            a.encrypt_into(_NONCE, buf, 64, aad)
            a.decrypt_into(_NONCE, buf, 72, aad)
    finally:
        micropython.heap_unlock()


def test_every_changed_bit_is_refused():
    a, nonce, aad, text, sealed = next(_vectors())
    for i in range(len(sealed)):
        for bit in range(8):
            bad = bytearray(sealed)
            bad[i] ^= 1 << bit
            raises(aesccm.InvalidTag, a.decrypt, nonce, bad, aad)
    for i in range(len(aad)):
        bad = bytearray(aad)
        bad[i] ^= 1
        raises(aesccm.InvalidTag, a.decrypt, nonce, sealed, bad)
    raises(aesccm.InvalidTag, a.decrypt, nonce, sealed, aad[:-1])
    raises(aesccm.InvalidTag, a.decrypt, nonce, sealed, None)
    raises(aesccm.InvalidTag, a.decrypt, nonce, sealed[:-1], aad)
    raises(aesccm.InvalidTag, a.decrypt, nonce[:-1], sealed, aad)
    for n in range(8):
        raises(aesccm.InvalidTag, a.decrypt, nonce, bytes(n), aad)
        raises(aesccm.InvalidTag, a.decrypt_into, nonce, bytearray(8), n, aad)


def test_none_is_no_associated_data():
    a = aesccm.AESCCM(_KEY_1)
    equal(a.encrypt(_NONCE, b"x", None), a.encrypt(_NONCE, b"x", b""))
    equal(a.decrypt(_NONCE, a.encrypt(_NONCE, b"", None), b""), b"")


def test_wiped():
    """The key that was given stays the caller's; our copy, and viper's round keys, go."""
    for source in (_viper(), None):
        key = bytearray(_KEY_1)
        a = aesccm.AESCCM(key, 8, aes=source)
        sealed = a.encrypt(bytes(13), b"text", b"")
        round_keys = a._state[1]
        assert not source or any(round_keys)
        a.wipe()
        equal(bytes(key), bytes(_KEY_1))
        if source:
            assert len(round_keys) == 176 and not any(round_keys)
        raises(TypeError, a.encrypt, bytes(13), b"text", b"")
        raises(TypeError, a.decrypt, bytes(13), sealed, b"")
        assert aesccm.AESCCM(key, 8).encrypt(bytes(13), b"text", b"") == sealed


def test_argument_names():
    a = aesccm.AESCCM(key=_KEY_1, tag_length=8)
    sealed = a.encrypt(nonce=_NONCE, data=b"text", associated_data=b"aad")
    equal(a.decrypt(nonce=_NONCE, data=sealed, associated_data=b"aad"), b"text")


def test_misuse_names_the_argument():
    for key in (b"", bytes(15), bytes(17), bytes(32), "0123456789abcdef", 16):
        assert "key" in str(raises(ValueError, aesccm.AESCCM, key))
    for n in (0, 2, 3, 5, 7, 15, 17, 18, -8):
        assert "tag_length" in str(raises(ValueError, aesccm.AESCCM, _KEY_1, n))
    a = aesccm.AESCCM(_KEY_1, 8)
    for nonce in (b"", bytes(6), bytes(14), bytes(300)):
        assert "nonce" in str(raises(ValueError, a.encrypt, nonce, b"x", b""))
        assert "nonce" in str(raises(ValueError, a.decrypt, nonce, bytes(9), b""))
        assert "nonce" in str(raises(ValueError, a.encrypt, nonce, bytes(1000), b""))
    buf = bytearray(20)
    for n in (13, 20, -1):
        assert "length" in str(raises(ValueError, a.encrypt_into, _NONCE, buf, n, b""))
    for n in (21, -1):
        assert "length" in str(raises(ValueError, a.decrypt_into, _NONCE, buf, n, b""))
    equal(buf, bytearray(20))
    for wrong in (1, 0x20000000, None, [1] * 20):
        raises(TypeError, a.encrypt, _NONCE, wrong, b"")
        raises(TypeError, a.decrypt, _NONCE, wrong, b"")
    for wrong in (1, 0x20000000, [1, 2]):
        raises(TypeError, a.encrypt, _NONCE, b"x", wrong)
        raises(TypeError, a.encrypt, wrong, b"x", b"")


def test_a_read_only_buffer_stays_as_it_is():
    a = aesccm.AESCCM(_KEY_1, 8)
    fixed = b"0123456789abcdef"
    for buf in (fixed, memoryview(fixed)):
        raises(TypeError, a.encrypt_into, _NONCE, buf, 8, b"")
        raises(TypeError, a.decrypt_into, _NONCE, buf, 16, b"")
    equal(fixed, b"0123456789" + b"abcdef")


def test_too_long_for_the_nonce():
    a = aesccm.AESCCM(_KEY_1, 8)
    assert "data" in str(raises(ValueError, a.encrypt, _NONCE, bytes(65536), b""))
    assert "data" in str(raises(ValueError, a.decrypt, _NONCE, bytes(65544), b""))
    equal(a.decrypt(_NONCE[1:], a.encrypt(_NONCE[1:], bytes(65536), b""), b""), bytes(65536))


def test_in_place_allocates_nothing():
    a = aesccm.AESCCM(_KEY_1, 8)
    buf = bytearray(72)
    aad = bytes(25)
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    for _ in range(10):
        a.encrypt_into(_NONCE, buf, 64, aad)
        a.decrypt_into(_NONCE, buf, 72, aad)
    taken = gc.mem_alloc() - before
    gc.enable()
    equal(taken, 0)


def test_a_message_that_breaks_off_does_not_spoil_the_next():
    class Breaking:
        calls = 0  # until it breaks

        def __init__(self, *args):
            self.cipher = _board_aes()(*args)

        def encrypt(self, data, out):
            Breaking.calls -= 1
            if Breaking.calls == 0:
                raise MemoryError
            self.cipher.encrypt(data, out)

    class Provider:
        aes = Breaking

    a = aesccm.AESCCM(_KEY_1, 8, Provider)
    good = aesccm.AESCCM(_KEY_1, 8)
    lengths = (5, 16, 40)
    want = [good.encrypt(_NONCE, bytes(n), bytes(9)) for n in lengths]
    for calls in range(1, 6):  # B_0, the associated data, three blocks
        Breaking.calls = calls
        raises(MemoryError, a.encrypt, _NONCE, bytes(40), bytes(9))
        Breaking.calls = calls
        raises(MemoryError, a.decrypt, _NONCE, want[2], bytes(9))
        equal([a.encrypt(_NONCE, bytes(n), bytes(9)) for n in lengths], want)
        equal([a.decrypt(_NONCE, sealed, bytes(9)) for sealed in want], [bytes(n) for n in lengths])


def test_what_is_refused_is_put_back():
    """In place, of any length, at any address, in both kinds of AES; and it still opens."""
    for source in (_viper(), None):
        a = aesccm.AESCCM(_KEY_1, 8, source)
        for n in (1, 15, 16, 17, 200):
            for offset in range(4):
                room = bytearray(n + 16)
                buf = memoryview(room)[offset : offset + n + 8]
                a.encrypt_into(_NONCE, buf, n, b"aad")
                for i in (0, n - 1, n, n + 7):
                    buf[i] ^= 0x40
                    was = bytes(room)
                    raises(aesccm.InvalidTag, a.decrypt_into, _NONCE, buf, n + 8, b"aad")
                    equal(bytes(room), was)
                    buf[i] ^= 0x40
                was = bytes(room)
                raises(aesccm.InvalidTag, a.decrypt_into, _NONCE, buf, n + 8, b"aae")
                equal(bytes(room), was)
                equal(a.decrypt_into(_NONCE, buf, n + 8, b"aad"), n)
                equal(bytes(buf[:n]), bytes(n))


def test_equal():
    assert aesccm.equal(b"", b"")
    assert aesccm.equal(b"abc", bytearray(b"abc"))
    assert aesccm.equal(memoryview(b"xabc")[1:], b"abc")
    assert not aesccm.equal(b"abc", b"abcd")
    for i in range(3):
        for bit in range(8):
            other = bytearray(b"abc")
            other[i] ^= 1 << bit
            assert not aesccm.equal(b"abc", other)
    for wrong in ("abc", 3, None, [97, 98, 99]):
        raises(TypeError, aesccm.equal, b"abc", wrong)
