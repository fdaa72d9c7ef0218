# AES-128 in viper, for boards whose firmware has no cryptolib.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# FIPS 197 section 5.1, by tables of SubBytes and MixColumns together (the AES proposal,
# section 5.2.1). The tables take 4 KB of RAM from the first key on. Look-ups depend on
# the key: fit for a microcontroller without a data cache, where each takes as long.

# The tables: four of 256 words, of which the first has the S-box in its second byte; two states of 16
# bytes.
_STATE = const(4096)
_LEN = const(4128)
_KEY_LEN = const(176)  # 44 words of round keys

# FIPS 197 appendix C.1
_TRY = b"\x69\xc4\xe0\xd8\x6a\x7b\x04\x30\xd8\xcd\xb7\x80\x70\xb4\xc5\x5a"

_tables = None


# Encrypts n blocks in place. s: the blocks; t: the tables; d: a key as _expand makes it.
# Returns 0; or 1, with nothing done, when s is not aligned to words.
# The first three arguments live in registers, and these become the current state, as bytes,
# and the next one, as words.
@micropython.viper
def encrypt_blocks(s: ptr8, t: ptr32, d: ptr32, n: int) -> int:
    if int(s) & 3:
        return 1
    p = ptr32(s)
    key = int(d)
    s = ptr8(int(t) + _STATE)
    d = ptr32(int(t) + _STATE + 16)
    sbox = ptr8(int(t) + 1)
    while n:
        k = ptr32(key)
        x = ptr32(s)
        x[0] = p[0] ^ k[0]
        x[1] = p[1] ^ k[1]
        x[2] = p[2] ^ k[2]
        x[3] = p[3] ^ k[3]
        rounds = 9
        while rounds:
            k = ptr32(int(k) + 16)
            d[0] = t[s[0]] ^ t[s[5] + 256] ^ t[s[10] + 512] ^ t[s[15] + 768] ^ k[0]
            d[1] = t[s[4]] ^ t[s[9] + 256] ^ t[s[14] + 512] ^ t[s[3] + 768] ^ k[1]
            d[2] = t[s[8]] ^ t[s[13] + 256] ^ t[s[2] + 512] ^ t[s[7] + 768] ^ k[2]
            d[3] = t[s[12]] ^ t[s[1] + 256] ^ t[s[6] + 512] ^ t[s[11] + 768] ^ k[3]
            x = ptr32(d)
            d = ptr32(s)
            s = ptr8(x)
            rounds -= 1
        # The last round has no MixColumns.
        x8 = ptr8(d)
        x8[0] = sbox[s[0] << 2]
        x8[1] = sbox[s[5] << 2]
        x8[2] = sbox[s[10] << 2]
        x8[3] = sbox[s[15] << 2]
        x8[4] = sbox[s[4] << 2]
        x8[5] = sbox[s[9] << 2]
        x8[6] = sbox[s[14] << 2]
        x8[7] = sbox[s[3] << 2]
        x8[8] = sbox[s[8] << 2]
        x8[9] = sbox[s[13] << 2]
        x8[10] = sbox[s[2] << 2]
        x8[11] = sbox[s[7] << 2]
        x8[12] = sbox[s[12] << 2]
        x8[13] = sbox[s[1] << 2]
        x8[14] = sbox[s[6] << 2]
        x8[15] = sbox[s[11] << 2]
        p[0] = d[0] ^ k[4]
        p[1] = d[1] ^ k[5]
        p[2] = d[2] ^ k[6]
        p[3] = d[3] ^ k[7]
        p = ptr32(int(p) + 16)
        n -= 1
    return 0


# The tables, made and tried out when first needed.
def tables():
    global _tables
    if _tables is None:
        t = bytearray(_LEN)
        # All powers of the generator 3, each with its inverse.
        p = q = 1
        while True:
            p ^= p << 1 & 0xFF ^ (0x1B if p & 0x80 else 0)
            q ^= q << 1
            q ^= q << 2
            q ^= q << 4
            q &= 0xFF
            if q & 0x80:
                q ^= 0x09
            x = q | q << 8
            _fill(t, p, (x ^ x >> 7 ^ x >> 6 ^ x >> 5 ^ x >> 4) & 0xFF ^ 0x63)
            if p == 1:
                break
        _fill(t, 0, 0x63)
        # An example: a wrong compiler, or frozen code that the linker put at an address where
        # it reads wrong constants, must not go unseen.
        buf = bytearray(bytes(range(0, 256, 17)) * 2)
        encrypt_blocks(buf, t, _expand(t, bytes(range(16))), 2)
        if buf != _TRY * 2:
            raise RuntimeError("aesccm.viper: AES is wrong; how was it compiled?")
        _tables = t
    return _tables


# The entries of x, whose S-box value is v.
def _fill(t, x, v):
    v2 = v << 1 & 0xFF ^ (0x1B if v & 0x80 else 0)
    row = bytes((v2, v, v, v2 ^ v)) * 2
    for i in range(4):
        at = i << 10 | x << 2
        t[at : at + 4] = row[-i & 3 : (-i & 3) + 4]


# Round keys (FIPS 197 section 5.2), as a bytearray.
def _expand(t, key):
    w = bytearray(_KEY_LEN)
    w[:16] = key
    rcon = 1
    for i in range(16, _KEY_LEN, 4):
        if i & 15:
            w[i : i + 4] = w[i - 4 : i]
        else:
            for j in range(4):
                w[i + j] = t[(w[i - 4 + (j + 1 & 3)] << 2) + 1]
            w[i] ^= rcon
            rcon = rcon << 1 ^ (0x11B if rcon & 0x80 else 0)
        for j in range(4):
            w[i + j] ^= w[i + j - 16]
    return w


class aes:
    """As cryptolib.aes: AES-128 for encryption in the mode ECB (1).

    key: 16 bytes. Raises ValueError, and RuntimeError when AES does not give what FIPS 197
    says.
    """

    def __init__(self, key, mode):
        if len(key) != 16:
            raise ValueError("key")
        if mode != 1:
            raise ValueError("mode")
        self._tables = tables()
        self.key = _expand(self._tables, key)

    def encrypt(self, data, out=None):
        """Encrypt data, whole blocks, into out, which may be data itself; returns out,
        or new bytes without it."""
        n = len(data)
        if n & 15:
            raise ValueError("data: whole blocks")
        if out is not data or encrypt_blocks(data, self._tables, self.key, n >> 4):
            # The kernel writes words, in place.
            buf = bytearray(data)
            encrypt_blocks(buf, self._tables, self.key, n >> 4)
            if out is None:
                return bytes(buf)
            if len(out) < n:
                raise ValueError("out: too short")
            out[:n] = buf
        return out
