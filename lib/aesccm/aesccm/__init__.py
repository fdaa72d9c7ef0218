# AES-CCM, the AEAD of OSCORE and DTLS on small devices, over a board's AES.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 3610, and RFC 5116 section 5.3; names and order as in `cryptography`'s AESCCM.
#
# A message is one call of _ccm, in which AES encrypts a block of the MAC and one of the key stream at
# a time. An object that makes a whole MAC in one call (CBC) would be quicker and takes 300 bytes a
# key, and areas for long calls. encrypt_into() and decrypt_into() allocate nothing: none has more
# than 11 words of locals and stack, for which a frame would be taken from the heap. The work area is
# shared by all keys: do not seal or open from two threads, or from a hard interrupt, at the same time.

# Found at once, and not after a search in vain among the names of this module.
len = len
bytes = bytes

_ECB = const(1)
_BYTES = (bytes, bytearray, memoryview)
_TRY_NONCE = const(b"\x00\x00\x00\x03\x02\x01\x00\xa0\xa1\xa2\xa3\xa4\xa5")
_TRY_SEALED = const(
    b"X\x8c\x97\x9aa\xc6c\xd2\xf0f\xd0\xc2\xc0\xf9\x89\x80m_ka\xda\xc3\x84\x17\xe8\xd1,\xfd\xf9&\xe0"
)

# In a key's state, beside the tag's length: AES is viper itself.
_OWN = const(32)

# The work area, 48 bytes: a block of the MAC, one of the key stream, A_0.
_work = None
_views = None  # of the first two, and of the first


class InvalidTag(Exception):
    """The tag does not fit key, nonce, associated data and cipher text."""


# Seals n >> 1 bytes at d in place, or opens them where n is odd. Returns 0; 1 to 255 for a wrong tag,
# in a time that does not depend on the bytes. state: of a key, see AESCCM. Raises ValueError for a
# wrong nonce, or one that leaves too few bytes for so many.
# Each turn uses up a block of the key stream and has the next made with the MAC's block: what is
# opened enters the MAC as it comes. S_0, for the tag, is made last. Between the first block of the
# MAC, B_0, and the first turn come the associated data.
# Words are used where the data is aligned (a Cortex-M0+ faults on others). The loops ask for
# a difference, which costs half of what a comparison does.
@micropython.viper
def _ccm(d: ptr8, n: int, nonce, aad, state) -> int:
    encrypt, key, a, b, kind, area = state
    x = ptr8(area)
    w = ptr32(area)
    size_of = len
    opening = 0 - (n & 1)  # a mask: the key stream is part of what enters the MAC
    n >>= 1
    own = int(kind) & _OWN
    tag_len = int(kind) - own
    s = ptr8(nonce)
    i = int(size_of(nonce))
    if i < 7 or i > 13:
        raise ValueError("nonce: 7 to 13 bytes")
    w[8] = 14 - i
    w[9] = 0
    w[10] = 0
    w[11] = 0
    while i:
        i -= 1
        x[33 + i] = s[i]
    # B_0 has the flags more than A_0, and n.
    w[0] = w[8]
    w[1] = w[9]
    w[2] = w[10]
    w[3] = w[11]
    v = (tag_len - 2) << 2
    left = 0
    if aad:
        left = int(size_of(aad))
        v |= 0x40
    x[0] = x[0] | v
    i = 15
    c = n
    while c:
        x[i] = c
        c >>= 8
        i -= 1
    if i < 14 - x[32]:
        raise ValueError("data: too long for the nonce")
    work = int(x)
    turn = 0
    blocks = 2
    block = a
    while True:
        if blocks == 2:
            # The next of A_1, A_2 ..., and last A_0.
            w[4] = w[8]
            w[5] = w[9]
            w[6] = w[10]
            w[7] = w[11]
            turn += 1
            v = 0
            if n:
                v = turn
            i = 31
            while v:  # no more bytes than it has: the nonce may end at the third
                x[i] = v
                v >>= 8
                i -= 1
        if own:
            encrypt(a, b, key, blocks)
        else:
            encrypt(block, block)
        if left:
            i = 0
            if blocks == 2:
                # The first time only: the MAC's block alone, which begins with the length.
                blocks = 1
                block = b
                i = 2
                if left >= 0xFF00:
                    x[0] = x[0] ^ 0xFF
                    x[1] = x[1] ^ 0xFE
                    i = 6
                v = left
                last = i
                while last:
                    last -= 1
                    x[last] = x[last] ^ v
                    v >>= 8
                s = ptr8(aad)
            while i - 16:
                x[i] = x[i] ^ s[0]
                s = ptr8(int(s) + 1)
                i += 1
                left -= 1
                if left == 0:
                    break
            continue
        if n == 0:
            break
        blocks = 2
        block = a
        i = 16
        if n < 16:
            i = n
        n -= i
        i += work
        if int(d) & 3 == 0:
            last = i - 3
            while int(x) < last:
                v = ptr32(d)[0]
                k = ptr32(x)[4]
                ptr32(d)[0] = v ^ k
                ptr32(x)[0] = ptr32(x)[0] ^ v ^ k & opening
                d = ptr8(int(d) + 4)
                x = ptr8(int(x) + 4)
        while i - int(x):
            v = d[0]
            k = x[16]
            d[0] = v ^ k
            x[0] = x[0] ^ v ^ k & opening
            d = ptr8(int(d) + 1)
            x = ptr8(int(x) + 1)
        x = ptr8(work)
    c = 0
    while tag_len:
        # What is sealed is not compared, and what is opened stays as it is.
        v = x[0] ^ x[16]
        k = (v ^ d[0]) & opening
        c |= k
        d[0] = v ^ k
        d = ptr8(int(d) + 1)
        x = ptr8(int(x) + 1)
        tag_len -= 1
    return c


def equal(a, b):
    """Whether two byte strings are equal, in a time that depends on their lengths only.

    a, b: bytes, bytearray or memoryview of bytes. Raises TypeError for anything else.
    """
    if not (isinstance(a, _BYTES) and isinstance(b, _BYTES)):
        raise TypeError("bytes")
    n = len(a)
    if n != len(b):
        return False
    i = x = 0
    while i < n:
        x |= a[i] ^ b[i]
        i += 1
    return x == 0


def _try(aes):
    # RFC 3610, packet vector 1. A wrong compiler, or frozen code that the linker put at an
    # address where it reads wrong constants, must not go unseen.
    global _work, _views
    _work = bytearray(48)
    view = memoryview(_work)
    _views = (view[:32], view[:16])
    try:
        a = AESCCM(bytes(range(0xC0, 0xD0)), 8, aes)
        sealed = a.encrypt(_TRY_NONCE, bytes(range(8, 31)), bytes(range(8)))
        if sealed == _TRY_SEALED and a.decrypt(_TRY_NONCE, sealed, bytes(range(8))):
            return
    except InvalidTag:
        pass
    _work = None
    raise RuntimeError("aesccm: results are wrong; how was it compiled?")


class AESCCM:
    """AES-128 in Counter with CBC-MAC mode, for one key.

    key: 16 bytes. tag_length: 4, 6, 8, 10, 12, 14 or 16 bytes.
    aes: where AES comes from: `aesccm.native` (the default where the board has
    cryptolib), `aesccm.viper`, or any object whose attribute `aes` does what
    `cryptolib.aes` does in the mode ECB (1): `aes(key, mode)` with
    `encrypt(data, out)`, of one or two blocks, in place.
    Raises ValueError with the argument's name, and RuntimeError when what is made
    first does not seal as RFC 3610 says.
    """

    def __init__(self, key, tag_length=16, aes=None):
        if not isinstance(key, _BYTES) or len(key) != 16:
            raise ValueError("key: 16 bytes")
        if tag_length not in (4, 6, 8, 10, 12, 14, 16):
            raise ValueError("tag_length: 4, 6, 8, 10, 12, 14 or 16")
        if aes is None:
            try:
                import aesccm.native as aes
            except ImportError:
                import aesccm.viper as aes
        if _work is None:
            _try(aes)
        self._tag_len = tag_length
        key = aes.aes(key, _ECB)
        # What encrypts; viper's round keys; what it works on: views of two blocks and of one, for
        # viper the work area and its tables; the tag's length; the work area.
        if hasattr(aes, "encrypt_blocks"):
            # AES that is viper itself needs no views.
            self._state = (aes.encrypt_blocks, key.key, _work, aes.tables(), tag_length | _OWN, _work)
        else:
            self._state = (key.encrypt, None, _views[0], _views[1], tag_length, _work)

    def wipe(self):
        """Overwrite the key, where it is not in cryptolib's own memory: what that keeps is out of
        reach until it is used again. The object is of no use afterwards."""
        key = self._state[1]
        self._state = None
        for i in range(len(key or ())):
            key[i] = 0

    def encrypt(self, nonce, data, associated_data):
        """Seal data; returns the cipher text followed by the tag, as bytes.

        nonce: 7 to 13 bytes, never used before with this key; the shorter it is,
        the longer data may be: below 2 ** (8 * (15 - len(nonce))) bytes.
        data, associated_data: bytes, bytearray or memoryview; associated_data may
        be None. Raises ValueError with the argument's name.
        """
        out = len(data)
        data = bytearray(memoryview(data))
        data += bytes(self._tag_len)
        self.encrypt_into(nonce, data, out, associated_data)
        return bytes(data)

    def encrypt_into(self, nonce, buf, length, associated_data):
        """Seal buf[0:length] in place; returns the new length, length + tag_length.

        buf: bytearray or writable memoryview of at least that length; it must not
        overlap associated_data. Otherwise as encrypt().
        """
        if length < 0 or len(buf) < length + self._tag_len:
            raise ValueError("length: buf is too short")
        buf[length] = 0  # TypeError when buf cannot be written: viper would not ask
        _ccm(buf, length << 1, nonce, associated_data, self._state)
        return length + self._tag_len

    def decrypt(self, nonce, data, associated_data):
        """Open data, a cipher text followed by its tag; returns the plain text, as bytes.

        Arguments as for encrypt(). Raises InvalidTag when anything was changed or
        data is too short to hold a tag, ValueError with the argument's name.
        """
        out = len(data)
        data = bytearray(memoryview(data))
        out = self.decrypt_into(nonce, data, out, associated_data)
        return bytes(memoryview(data)[:out])

    def decrypt_into(self, nonce, buf, length, associated_data):
        """Open buf[0:length] in place; returns the length of the plain text in buf.

        length: of cipher text and tag. On InvalidTag buf is as it was before, so
        another key may be tried. Otherwise as decrypt() and encrypt_into().
        """
        if length < 0 or len(buf) < length:
            raise ValueError("length: buf is too short")
        length -= self._tag_len
        if length < 0:
            raise InvalidTag
        buf[0] = buf[0]  # TypeError when buf cannot be written
        if _ccm(buf, length << 1 | 1, nonce, associated_data, self._state):
            # Once more, and the key stream puts back what it was taken from.
            _ccm(buf, length << 1 | 1, nonce, associated_data, self._state)
            raise InvalidTag
        return length
