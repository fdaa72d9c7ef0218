# Seals, opens, forges and derives cases out of a file; runs under MicroPython, on boards as well.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# pool.bin: random bytes. ALGORITHM.bin: cases of 13 bytes: where in the pool three fields begin,
# how long they are, and one byte more; sealed messages begin in the pool with key and nonce.

import struct
from binascii import hexlify
from hashlib import sha256

import aesccm
import hkdf

_CASE = "<HHHHHHB"
_LEN = struct.calcsize(_CASE)
# Tag and nonce of the AEADs 10, 30, 12 and 32 of COSE
_SHAPES = ((8, 13), (16, 13), (8, 7), (16, 7))

pool = memoryview(b"")
cases = bytearray(1000 * _LEN)  # once: a heap in use has no such piece left


def load(folder, algorithm):
    """Read the cases of an algorithm; returns how many there are."""
    global pool
    if not pool:
        with open(folder + "pool.bin", "rb") as f:
            pool = memoryview(f.read())
    with open(folder + algorithm + ".bin", "rb") as f:
        return f.readinto(cases) // _LEN


def _fields(i):
    a, b, c, la, lb, lc, x = struct.unpack_from(_CASE, cases, i * _LEN)
    return pool[a : a + la], pool[b : b + lb], pool[c : c + lc], x, a


def _aesccm(text, aad, key, x, at, aes):
    tag_len, nonce_len = _SHAPES[x & 3]
    nonce = key[16 : 16 + nonce_len]
    a = aesccm.AESCCM(key[:16], tag_len, aes)
    sealed = a.encrypt(nonce, text, aad)
    n = len(text)
    # In place, at an address that is no multiple of 4 three times out of four.
    room = bytearray(b"\xa5" * (n + tag_len + 8))
    start = x >> 2 & 3
    buf = memoryview(room)[start : start + n + tag_len]
    buf[:n] = text
    if a.encrypt_into(nonce, buf, n, aad) != len(sealed) or buf != sealed:
        raise ValueError("encrypt_into")
    where = at % len(sealed)
    buf[where] ^= 1 << (x & 7)
    try:
        a.decrypt_into(nonce, buf, len(buf), aad)
        raise ValueError("a forgery is accepted")
    except aesccm.InvalidTag:
        pass
    buf[where] ^= 1 << (x & 7)
    if a.decrypt_into(nonce, buf, len(buf), aad) != n or buf[:n] != text:
        raise ValueError("decrypt_into")
    around = room[:start] + room[start + n + tag_len :]
    if around != b"\xa5" * 8:
        raise ValueError("written outside of the buffer")
    return sealed


def _sha256(data, more, rest, x, at, sha):
    h = getattr(sha, "sha256", sha)(data)
    h.update(more)
    h.update(rest)
    return h.digest()


def _hmac(key, msg, rest, x, at, sha):
    return hkdf.hmac(key, msg, sha)


def _hkdf(ikm, salt, info, x, at, sha):
    return hkdf.hkdf(ikm, 1 + x, salt, info, sha)


_RUN = {"aesccm": _aesccm, "sha256": _sha256, "hmac": _hmac, "hkdf": _hkdf}


def provider(algorithm, name):
    package = "aesccm" if algorithm == "aesccm" else "hkdf"
    if name == "native" and package == "hkdf":
        return sha256
    return __import__(package + "." + name, None, None, (name,))


def outputs(algorithm, name, first, last):
    """What the cases give. ValueError when one does not come back as it went."""
    by = provider(algorithm, name)
    for i in range(first, last):
        a, b, c, x, at = _fields(i)
        yield _RUN[algorithm](a, b, c, x, at, by)


def digest(algorithm, name, first, last):
    """SHA-256, by the board's hashlib, over all outputs of these cases, in hex."""
    h = sha256()
    for out in outputs(algorithm, name, first, last):
        h.update(out)
    return hexlify(h.digest()).decode()
