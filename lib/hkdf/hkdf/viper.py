# SHA-256 in viper, for boards whose firmware has none: small, not fast.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# FIPS 180-4 section 6.2.

from binascii import unhexlify

# The constants of section 4.2.2 and the first hash value of section 5.3.3.
_K = (
    "428a2f9871374491b5c0fbcfe9b5dba53956c25b59f111f1923f82a4ab1c5ed5"
    "d807aa9812835b01243185be550c7dc372be5d7480deb1fe9bdc06a7c19bf174"
    "e49b69c1efbe47860fc19dc6240ca1cc2de92c6f4a7484aa5cb0a9dc76f988da"
    "983e5152a831c66db00327c8bf597fc7c6e00bf3d5a7914706ca635114292967"
    "27b70a852e1b21384d2c6dfc53380d13650a7354766a0abb81c2c92e92722c85"
    "a2bfe8a1a81a664bc24b8b70c76c51a3d192e819d6990624f40e3585106aa070"
    "19a4c1161e376c082748774c34b0bcb5391c0cb34ed8aa4a5b9cca4f682e6ff3"
    "748f82ee78a5636f84c878148cc7020890befffaa4506cebbef9a3f7c67178f2"
)

_H = "6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19"

# The work area, in bytes: the 64 constants, the message schedule W, and the working
# variables, which move down by a word each round instead of from one to the next.
_W = const(256)
_V = const(512)
_LEN = const(800)

_area = None


# One block, at p + at, into the hash value h. Sums and shifts to the left may leave bits
# above 32 on a 64-bit port: those never come down, since what is shifted to the right
# has just been loaded from 32 bits.
@micropython.viper
def _block(v: ptr32, w: ptr32, k: ptr32, h: ptr32, p: ptr8, at: int):
    w = ptr32(int(k) + _W)
    p = ptr8(int(p) + at)
    i = 16
    while i:
        w[0] = p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3]
        w = ptr32(int(w) + 4)
        p = ptr8(int(p) + 4)
        i -= 1
    w = ptr32(int(k) + _W)
    i = 48
    while i:
        x = uint(w[1])
        y = uint(w[14])
        x = (x >> 7 | x << 25) ^ (x >> 18 | x << 14) ^ x >> 3
        y = (y >> 17 | y << 15) ^ (y >> 19 | y << 13) ^ y >> 10
        w[16] = int(x) + int(y) + w[0] + w[9]
        w = ptr32(int(w) + 4)
        i -= 1
    w = ptr32(int(k) + _W)
    v = ptr32(int(k) + _V + 256)
    i = 8
    while i:
        v[0] = h[0]
        v = ptr32(int(v) + 4)
        h = ptr32(int(h) + 4)
        i -= 1
    v = ptr32(int(v) - 32)
    h = ptr32(int(h) - 32)
    i = 64
    while i:
        x = uint(v[4])
        y = uint(v[0])
        x = (x >> 6 | x << 26) ^ (x >> 11 | x << 21) ^ (x >> 25 | x << 7)
        y = (y >> 2 | y << 30) ^ (y >> 13 | y << 19) ^ (y >> 22 | y << 10)
        t = v[7] + int(x) + (v[6] ^ v[4] & (v[5] ^ v[6])) + k[0] + w[0]
        u = t + int(y) + (v[0] & v[1] | v[2] & (v[0] | v[1]))
        v[3] = v[3] + t
        v = ptr32(int(v) - 4)
        v[0] = u
        w = ptr32(int(w) + 4)
        k = ptr32(int(k) + 4)
        i -= 1
    i = 8
    while i:
        h[0] = h[0] + v[0]
        v = ptr32(int(v) + 4)
        h = ptr32(int(h) + 4)
        i -= 1


# The other byte order, of whole words.
def _swap(data):
    out = bytearray(len(data))
    for i in range(len(data)):
        out[i ^ 3] = data[i]
    return out


def _prepare():
    global _area
    area = _swap(unhexlify(_K))
    area.extend(bytes(_LEN - len(area)))
    _area = area
    # FIPS 180-4's first example. A wrong compiler, or frozen code that the linker put at
    # an address where it reads wrong constants, must not go unseen.
    want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    if sha256(b"abc").digest() != unhexlify(want):
        _area = None
        raise RuntimeError("hkdf.viper: SHA-256 is wrong; how was it compiled?")


class sha256:
    """As hashlib.sha256: update(data) any number of times, then digest().

    data: bytes, bytearray or memoryview. Raises RuntimeError when the results are not
    those of FIPS 180-4.
    """

    block_size = 64
    digest_size = 32

    def __init__(self, data=b""):
        if _area is None:
            _prepare()
        self._h = _swap(unhexlify(_H))
        self._part = bytearray(64)
        self._n = 0  # bytes so far
        self.update(data)

    def update(self, data):
        """Hash data after what was given before."""
        n = len(data)
        area = _area
        used = self._n & 63
        self._n += n
        at = 0
        if used:
            at = min(64 - used, n)
            self._part[used : used + at] = memoryview(data)[:at]
            if used + at < 64:
                return
            _block(area, area, area, self._h, self._part, 0)
        while n - at >= 64:
            _block(area, area, area, self._h, data, at)
            at += 64
        if at < n:
            self._part[: n - at] = memoryview(data)[at:]

    def digest(self):
        """The hash of all that was given: 32 bytes. Call it once, and then no other."""
        n = self._n
        self.update(b"\x80" + bytes((55 - n) & 63))
        bits = n << 3
        self.update(bytes([bits >> i & 0xFF for i in range(56, -1, -8)]))
        return bytes(_swap(self._h))
