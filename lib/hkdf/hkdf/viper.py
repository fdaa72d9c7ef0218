# SHA-256 in viper, for boards whose firmware has none: small, not fast.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# FIPS 180-4 section 6.2.

# The constants of section 4.2.2 and the first hash value of section 5.3.3. As bytes they take half of
# what their digits would in flash.
_K = (
    b"\x42\x8a\x2f\x98\x71\x37\x44\x91\xb5\xc0\xfb\xcf\xe9\xb5\xdb\xa5"
    b"\x39\x56\xc2\x5b\x59\xf1\x11\xf1\x92\x3f\x82\xa4\xab\x1c\x5e\xd5"
    b"\xd8\x07\xaa\x98\x12\x83\x5b\x01\x24\x31\x85\xbe\x55\x0c\x7d\xc3"
    b"\x72\xbe\x5d\x74\x80\xde\xb1\xfe\x9b\xdc\x06\xa7\xc1\x9b\xf1\x74"
    b"\xe4\x9b\x69\xc1\xef\xbe\x47\x86\x0f\xc1\x9d\xc6\x24\x0c\xa1\xcc"
    b"\x2d\xe9\x2c\x6f\x4a\x74\x84\xaa\x5c\xb0\xa9\xdc\x76\xf9\x88\xda"
    b"\x98\x3e\x51\x52\xa8\x31\xc6\x6d\xb0\x03\x27\xc8\xbf\x59\x7f\xc7"
    b"\xc6\xe0\x0b\xf3\xd5\xa7\x91\x47\x06\xca\x63\x51\x14\x29\x29\x67"
    b"\x27\xb7\x0a\x85\x2e\x1b\x21\x38\x4d\x2c\x6d\xfc\x53\x38\x0d\x13"
    b"\x65\x0a\x73\x54\x76\x6a\x0a\xbb\x81\xc2\xc9\x2e\x92\x72\x2c\x85"
    b"\xa2\xbf\xe8\xa1\xa8\x1a\x66\x4b\xc2\x4b\x8b\x70\xc7\x6c\x51\xa3"
    b"\xd1\x92\xe8\x19\xd6\x99\x06\x24\xf4\x0e\x35\x85\x10\x6a\xa0\x70"
    b"\x19\xa4\xc1\x16\x1e\x37\x6c\x08\x27\x48\x77\x4c\x34\xb0\xbc\xb5"
    b"\x39\x1c\x0c\xb3\x4e\xd8\xaa\x4a\x5b\x9c\xca\x4f\x68\x2e\x6f\xf3"
    b"\x74\x8f\x82\xee\x78\xa5\x63\x6f\x84\xc8\x78\x14\x8c\xc7\x02\x08"
    b"\x90\xbe\xff\xfa\xa4\x50\x6c\xeb\xbe\xf9\xa3\xf7\xc6\x71\x78\xf2"
)
_H = (
    b"\x6a\x09\xe6\x67\xbb\x67\xae\x85\x3c\x6e\xf3\x72\xa5\x4f\xf5\x3a"
    b"\x51\x0e\x52\x7f\x9b\x05\x68\x8c\x1f\x83\xd9\xab\x5b\xe0\xcd\x19"
)

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
    area = _swap(_K)
    area.extend(bytes(_LEN - len(area)))
    _area = area
    # FIPS 180-4's first example. A wrong compiler, or frozen code that the linker put at
    # an address where it reads wrong constants, must not go unseen.
    want = (
        b"\xba\x78\x16\xbf\x8f\x01\xcf\xea\x41\x41\x40\xde\x5d\xae\x22\x23"
        b"\xb0\x03\x61\xa3\x96\x17\x7a\x9c\xb4\x10\xff\x61\xf2\x00\x15\xad"
    )
    if sha256(b"abc").digest() != want:
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
        self._h = _swap(_H)
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
