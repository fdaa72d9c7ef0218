# HMAC and HKDF: the vectors of RFC 4231 and RFC 5869, and misuse.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import sys
from binascii import unhexlify

import hkdf
from check import equal, raises

# RFC 5869 appendix A.1 to A.3: IKM, salt, info, L, PRK, OKM.
_RFC5869 = (
    (
        b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)), 42,
        "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ),
    (
        bytes(range(0x50)), bytes(range(0x60, 0xB0)), bytes(range(0xB0, 0x100)), 82,
        "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
        "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
        "cc30c58179ec3e87c14c01d5c1f3434f1d87",
    ),
    (
        b"\x0b" * 22, b"", b"", 42,
        "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    ),
)

# RFC 4231 sections 4.2 to 4.8 without 4.6, whose output is truncated: key, data, HMAC-SHA-256.
_RFC4231 = (
    (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    (
        b"Jefe", b"what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    (b"\xaa" * 20, b"\xdd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
    (
        bytes(range(1, 26)), b"\xcd" * 50,
        "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
    ),
    (
        b"\xaa" * 131, b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ),
    (
        b"\xaa" * 131,
        b"This is a test using a larger than block-size key and a larger than block-size data. "
        b"The key needs to be hashed before being used by the HMAC algorithm.",
        "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
    ),
)


def test_rfc5869_appendix_a(sha256=None):
    for ikm, salt, info, length, prk, okm in _RFC5869:
        equal(hkdf.extract(salt, ikm, sha256), unhexlify(prk))
        equal(hkdf.expand(unhexlify(prk), info, length, sha256), unhexlify(okm))
        equal(hkdf.hkdf(ikm, length, salt=salt, info=info, sha256=sha256), unhexlify(okm))


def test_rfc4231(sha256=None):
    for key, data, mac in _RFC4231:
        equal(hkdf.hmac(key, data, sha256), unhexlify(mac))


def test_buffers_of_any_kind():
    for kind in (bytes, bytearray, memoryview):
        key, data, mac = _RFC4231[4]
        equal(hkdf.hmac(kind(key), kind(data)), unhexlify(mac))
        ikm, salt, info, length, _, okm = _RFC5869[0]
        equal(hkdf.hkdf(kind(ikm), length, kind(salt), kind(info)), unhexlify(okm))


def test_the_users_own_sha256():
    import hashlib

    calls = []

    def own(data):
        calls.append(len(data))
        return hashlib.sha256(data)

    test_rfc5869_appendix_a(own)  # a constructor
    assert calls
    test_rfc4231(hashlib)  # a module that has it


def test_vectors_in_viper():
    from hkdf import viper

    test_rfc5869_appendix_a(viper)
    test_rfc4231(viper)


def test_viper_is_taken_where_hashlib_lacks_sha256():
    sys.modules["hashlib"] = sys
    test_rfc5869_appendix_a()
    assert "hkdf.viper" in sys.modules


def test_viper_sha256_as_hashlib_has_it():
    import hashlib

    from hkdf import viper

    data = bytes(i * 7 & 0xFF for i in range(300))
    for n in range(300):
        want = hashlib.sha256(data[:n]).digest()
        equal(viper.sha256(data[:n]).digest(), want)
        h = viper.sha256()
        h.update(data[: n // 3])
        h.update(memoryview(data)[n // 3 : n - n // 4])
        h.update(bytearray(data[n - n // 4 : n]))
        equal(h.digest(), want)


def test_a_wrong_sha256_is_not_used():
    from hkdf import viper

    first = viper._H
    viper._H = b"\x00" + first[1:]
    for _ in range(2):
        assert "viper" in str(raises(RuntimeError, hkdf.hkdf, b"key", 32, sha256=viper))
    viper._H = first
    hkdf.hkdf(b"key", 32, sha256=viper)


def test_lengths():
    equal(hkdf.hkdf(b"key", 0), b"")
    whole = hkdf.hkdf(b"key", 8160)
    equal(len(whole), 8160)
    for n in (1, 31, 32, 33, 64, 8159):
        equal(hkdf.hkdf(b"key", n), whole[:n])
    for n in (-1, 8161):
        assert "length" in str(raises(ValueError, hkdf.hkdf, b"key", n))
