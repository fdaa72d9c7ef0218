# HMAC and HKDF with SHA-256, over hashlib.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 2104 and RFC 5869.

_BLOCK = const(64)  # bytes that SHA-256 takes at once
_HASH = const(32)  # bytes that it gives


def _provider(sha256):
    if sha256 is None:
        try:
            from hashlib import sha256
        except ImportError:
            from .viper import sha256
    return getattr(sha256, "sha256", sha256)


# HMAC of several pieces: a hash object's digest() works only once, and none can be
# copied, so both pads are hashed anew for every message.
def _hmac(key, pieces, sha256):
    if len(key) > _BLOCK:
        key = sha256(key).digest()
    pad = bytearray(_BLOCK)
    pad[: len(key)] = key
    for i in range(_BLOCK):
        pad[i] ^= 0x36
    h = sha256(pad)
    for piece in pieces:
        h.update(piece)
    inner = h.digest()
    for i in range(_BLOCK):
        pad[i] ^= 0x36 ^ 0x5C
    h = sha256(pad)
    h.update(inner)
    return h.digest()


def hmac(key, msg, sha256=None):
    """HMAC-SHA-256 of msg: 32 bytes.

    key, msg: bytes, bytearray or memoryview of any length.
    sha256: None for hashlib's, else `hkdf.viper`, or a constructor (or a module that
    has it as `sha256`) of objects with `update(data)` and `digest()`, as hashlib's.
    """
    return _hmac(key, (msg,), _provider(sha256))


def extract(salt, key_material, sha256=None):
    """HKDF-Extract (RFC 5869 section 2.2): the pseudorandom key, 32 bytes.

    salt: bytes, may be empty. key_material: bytes.
    """
    return _hmac(salt, (key_material,), _provider(sha256))


def expand(prk, info, length, sha256=None):
    """HKDF-Expand (RFC 5869 section 2.3): length bytes, 0 to 8160, from a pseudorandom key.

    prk: at least 32 bytes, as extract() gives. info: bytes, may be empty.
    Raises ValueError with the argument's name.
    """
    if not 0 <= length <= 255 * _HASH:
        raise ValueError("length: 0 to 8160")
    sha256 = _provider(sha256)
    out = bytearray()
    t = b""
    i = 0
    while len(out) < length:
        i += 1
        t = _hmac(prk, (t, info, bytes((i,))), sha256)
        out.extend(t)
    return bytes(out[:length])


def hkdf(key_material, length, salt=b"", info=b"", sha256=None):
    """HKDF-SHA-256 (RFC 5869): length bytes, 0 to 8160, from key_material.

    salt, info: bytes, may be empty. sha256: as for hmac().
    Raises ValueError with the argument's name.
    """
    sha256 = _provider(sha256)
    return expand(_hmac(salt, (key_material,), sha256), info, length, sha256)
