# AES-CCM, the AEAD of OSCORE and DTLS on small devices, over a board's AES.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 3610, and RFC 5116 section 5.3; names and order as in `cryptography`'s AESCCM.
#
# A message costs one CBC call (the MAC), one ECB call (the key stream) and two viper calls
# (layout, and all the rest); what exceeds the work area is done in pieces, as much for
# each. Nothing is allocated but, in encrypt() and decrypt(), what they return: no function
# on the way has more than 11 words of locals and stack, for which a frame would be taken
# from the heap. The work area is shared by all keys: do not seal or open from two
# threads, or from a hard interrupt, at the same time.

# Found at once, and not after a search in vain among the names of this module.
len = len
bytes = bytes

_ECB = const(1)
_CBC = const(2)
_BYTES = (bytes, bytearray, memoryview)
_TRY_NONCE = b"\x00\x00\x00\x03\x02\x01\x00\xa0\xa1\xa2\xa3\xa4\xa5"
_TRY_SEALED = (
    b"X\x8c\x97\x9aa\xc6c\xd2\xf0f\xd0\xc2\xc0\xf9\x89\x80m_ka\xda\xc3\x84\x17\xe8\xd1,\xfd\xf9&\xe0"
)

# Bytes of a message's MAC input (B_0, associated data and payload, each padded to
# blocks) that are worked on at once: 48 to 4080, a multiple of 16. Longer messages
# go through in pieces of this size, at one more CBC and ECB call a piece. Set it
# before the first AESCCM is made: twice this and 64 bytes are kept from then on.
CHUNK = 128

# The work area:
#    0  words: CHUNK; of this piece: where the MAC's last block is, bytes of payload, tag length
#       if it is the last piece, else 0; of the message: bytes of payload, of these done with this
#       piece, bytes of associated data done
#   32  A_0
#   48  CHUNK bytes: the MAC's input, then its output, as CBC runs in place
#    .  16 + CHUNK bytes: counter blocks A_0 ..., then the key stream, as ECB does too
# What belongs to a key, `last`: the last block that came out of its CBC object; then two words: tag
# length, and whether AES is viper itself
_MAC = const(48)
_LAST = const(16)
_SEAL = const(0)
_OPEN = const(1)
_PUT_BACK = const(2)
_WHY = ("data: too long for the nonce", "nonce: 7 to 13 bytes")

_work = None
_views = None  # of i blocks of the MAC; then, from CHUNK / 16 + 1 on, of the key stream


class InvalidTag(Exception):
    """The tag does not fit key, nonce, associated data and cipher text."""


# Lays out what the next piece needs: for the MAC B_0, associated data and payload, and the
# counter blocks. i: bytes of payload, for the first piece; -1 for one that goes on. s: last.
# to: the payload. Returns the numbers of two views, key stream << 8 | MAC; -1 when the nonce's
# length is wrong, -2 when the payload is too long for it.
# A CBC object begins with a given block once, when it is made; then each call goes on from
# the last block of the one before. So that block is kept, and taken off B_0 here: the MAC is as
# if from a new object, which would cost an allocation of 300 bytes.
# Words are copied where both sides are aligned (a Cortex-M0+ faults on others). The loops ask for
# a difference, which costs half of what a comparison does.
@micropython.viper
def _layout(i: int, s: ptr8, to: ptr8, nonce, aad) -> int:
    data = int(to)
    head = ptr32(_work)
    size = head[0]
    mac = int(head) + _MAC
    last = ptr32(s)
    to = ptr8(mac)
    alen = 0
    size_of = len
    if aad:
        alen = int(size_of(aad))
    if i >= 0:
        s = ptr8(nonce)
        nlen = int(size_of(nonce))
        if nlen < 7 or nlen > 13:
            return -1
        n = i
        head[4] = n
        head[5] = 0
        head[6] = 0
        head[8] = 14 - nlen
        head[9] = 0
        head[10] = 0
        head[11] = 0
        to = ptr8(int(head) + 33)
        i = 0
        while nlen - i:
            to[i] = s[i]
            i += 1
        # B_0 differs from A_0 in the flags and in the last bytes.
        to = ptr8(mac)
        ptr32(to)[0] = head[8] ^ last[0] ^ (last[4] - 2) << 2
        ptr32(to)[1] = head[9] ^ last[1]
        ptr32(to)[2] = head[10] ^ last[2]
        ptr32(to)[3] = head[11] ^ last[3]
        i = 16
        while n:
            i -= 1
            to[i] = to[i] ^ n
            n >>= 8
        if i <= nlen:
            return -2
        if alen:
            to[0] = to[0] ^ 0x40
            if alen >= 0xFF00:
                to[16] = 0xFF
                to[17] = 0xFE
                to[18] = alen >> 24
                to[19] = alen >> 16
                to = ptr8(int(to) + 4)
            to[16] = alen >> 8
            to[17] = alen
            to = ptr8(int(to) + 2)
        to = ptr8(int(to) + 16)
    # First what is left of the associated data, then of the payload, each padded to blocks
    n = alen - head[6]
    if n:
        s = ptr8(int(ptr8(aad)) + head[6])
    c = -1
    while True:
        i = mac + size - int(to)
        if n > i:
            n = i
        if (int(s) | int(to)) & 3 == 0:
            i = int(to) + (n & 0x7FFC)
            stop = i + (n & 3)
            while i - int(to):
                ptr32(to)[0] = ptr32(s)[0]
                to = ptr8(int(to) + 4)
                s = ptr8(int(s) + 4)
            i = stop
        else:
            i = int(to) + n
        while i - int(to):
            to[0] = s[0]
            to = ptr8(int(to) + 1)
            s = ptr8(int(s) + 1)
        while int(to) & 15:
            to[0] = 0
            to = ptr8(int(to) + 1)
        if c >= 0:
            break
        head[6] = head[6] + n
        c = head[5]
        n = head[4] - c
        s = ptr8(data + c)
    head[1] = int(to) - int(head) - 16
    head[2] = n
    head[5] = c + n
    head[3] = 0
    if c + n == head[4] and alen == head[6]:
        head[3] = last[4]
    n = (n + 15) >> 4
    i = n
    c = (c >> 4) + n
    to = ptr8(mac + size + (n << 4))
    s = ptr8(int(head) + 32)
    while True:
        ptr32(to)[0] = ptr32(s)[0]
        ptr32(to)[1] = ptr32(s)[1]
        ptr32(to)[2] = ptr32(s)[2]
        ptr32(to)[3] = ptr32(s)[3]
        if i == 0:
            return ((size >> 4) + n + 1) << 8 | (head[1] - 32) >> 4
        to[15] = c
        to[14] = c >> 8
        if c > 0xFFFF:  # else these may be the nonce's last bytes
            to[13] = c >> 16
            to[12] = c >> 24
        to = ptr8(int(to) - 16)
        c -= 1
        i -= 1


# Works on the piece that is laid out: encrypts the counter blocks and the MAC's input, takes or
# puts the key stream after S_0 from or on the payload, d, into o, and appends the tag to the last
# piece: the MAC's last block under S_0. Opening, it takes the key stream off the cipher text that
# is laid out for the MAC before, so that the MAC is known before any plain text leaves the work
# area, and compares the tag first, in a time that does not depend on the bytes; where it differs,
# that piece is left untouched, and the pieces before become what there is to put back.
# k: _SEAL, _OPEN or _PUT_BACK. i: what _layout said. Returns 0; 1 to 255 for a wrong tag; -1
# (sealing) or -2 when this was not the last piece.
@micropython.viper
def _crypt(o: ptr8, d: ptr8, k: int, i: int, state) -> int:
    work, last, views, lacking, chain, cipher, blocks, tables, key = state
    head = ptr32(work)
    if i < 0:
        lacking(i)
    own = ptr32(last)[5]
    how = k
    out = int(o)
    data = int(d)
    v = i >> 8
    ecb = (v - (head[0] >> 4)) << 13 | head[0] + _MAC
    cbc = 0
    if own > how:  # sealing all at once; else the MAC's input is to be revealed between
        cbc = (i & 0xFF) << 13 | _MAC
    while True:
        if own:
            blocks(work, tables, key, cbc, ecb)
            ecb = 0
        else:
            view = views[v]
            if not view:
                view = lacking(v)
            cipher.encrypt(view, view)
        n = head[2]
        mac = ptr8(int(head) + head[1])
        s0 = ptr8(int(head) + _MAC + head[0])
        if cbc:
            ptr32(last)[0] = ptr32(mac)[0]
            ptr32(last)[1] = ptr32(mac)[1]
            ptr32(last)[2] = ptr32(mac)[2]
            ptr32(last)[3] = ptr32(mac)[3]
            if own == 0:
                chain[0] = cipher
            tag_len = head[3]
            i = head[5] - n
            o = ptr8(out + i)
            d = ptr8(data + i)
            i = 0
            if how == _OPEN:
                x = 0
                tag = ptr8(int(d) + n)
                while i < tag_len:
                    x |= mac[i] ^ s0[i] ^ tag[i]
                    i += 1
                if x:
                    head[4] = head[5] - n
                    head[5] = 0
                    return x
            elif how == _SEAL:
                tag = ptr8(int(o) + n)
                while i < tag_len:
                    tag[i] = mac[i] ^ s0[i]
                    i += 1
        else:
            o = ptr8(int(mac) + 16 - ((n + 15) & 0x7FF0))
            d = o
            if how == _SEAL:
                n = 0
        k = int(s0) + 16
        stop = n + int(o)
        if (int(o) | int(d)) & 3 == 0:
            n = (n & 0x7FFC) + int(o)
            while n - int(o):
                ptr32(o)[0] = ptr32(d)[0] ^ ptr32(k)[0]
                o = ptr8(int(o) + 4)
                d = ptr8(int(d) + 4)
                k += 4
        while stop - int(o):
            o[0] = d[0] ^ ptr8(k)[0]
            o = ptr8(int(o) + 1)
            d = ptr8(int(d) + 1)
            k += 1
        if cbc:
            if tag_len:
                return 0
            return -1 - how
        v = i & 0xFF
        cbc = v << 13 | _MAC
        if own == 0:
            cipher = chain[0]
            # Whatever breaks off what follows, nothing goes on from there.
            chain[0] = None
            if not cipher:
                cipher = lacking(None)


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


def _work_area(aes):
    global _work, _views
    if not 48 <= CHUNK <= 4080 or CHUNK & 15:
        raise ValueError("CHUNK: 48 to 4080, a multiple of 16")
    _work = bytearray(64 + 2 * CHUNK)
    _work[0:2] = bytes((CHUNK & 255, CHUNK >> 8))  # every port is little-endian
    _views = [None] * (CHUNK // 8 + 2)
    # RFC 3610, packet vector 1. A wrong compiler, or frozen code that the linker put at an
    # address where it reads wrong constants, must not go unseen.
    try:
        a = AESCCM(bytes(range(0xC0, 0xD0)), 8, aes)
        sealed = a.encrypt(_TRY_NONCE, bytes(range(8, 31)), bytes(range(8)))
        if sealed == _TRY_SEALED and a.decrypt(_TRY_NONCE, sealed, bytes(range(8))):
            return
    except InvalidTag:
        pass
    _work = None
    raise RuntimeError("aesccm: results are wrong; how was it compiled?")


# What is left after the first piece; how: what _crypt said of that.
def _go_on(self, data, out, aad, how):
    if how > 0:
        raise InvalidTag
    how = -1 - how
    while True:
        i = _layout(-1, self._last, data, b"", aad)
        if not i & 0xFF:
            raise InvalidTag  # and nothing to put back
        x = _crypt(out, data, how, i, self._state)
        if x == 0:
            if how == _PUT_BACK:
                raise InvalidTag
            return
        if x > 0:
            if out is not data:
                raise InvalidTag
            how = _PUT_BACK


class AESCCM:
    """AES-128 in Counter with CBC-MAC mode, for one key.

    key: 16 bytes. tag_length: 4, 6, 8, 10, 12, 14 or 16 bytes.
    aes: where AES comes from: `aesccm.native` (the default where the board has
    cryptolib), `aesccm.viper`, or any object whose attribute `aes` does what
    `cryptolib.aes` does in the modes ECB (1) and CBC (2): `aes(key, mode[, iv])`
    with `encrypt(data, out)`, in place, CBC going on from call to call.
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
                from . import native as aes
            except ImportError:
                from . import viper as aes
        if _work is None:
            _work_area(aes)
        ecb = aes.aes(key, _ECB)
        self._aes = aes.aes
        self._tag_len = tag_length
        self._last = bytearray(_LAST + 8)
        self._last[_LAST] = tag_length
        self._chain = [None]  # or a CBC object
        self._state = (_work, self._last, _views, self._lacking, self._chain, ecb)
        if hasattr(aes, "crypt_blocks"):
            # AES that is viper itself needs no objects.
            self._key = ecb.key
            self._last[_LAST + 4] = 1
            self._state += (aes.crypt_blocks, aes.tables(), ecb.key)
        else:
            self._key = bytearray(key)  # a copy, which wipe() can overwrite
            self._state += (None, None, None)

    # What _crypt has not got: a view of the work area, or (None) a CBC object. Below 0 that is what
    # _layout refused.
    def _lacking(self, i):
        if i is None:
            return self._aes(self._key, _CBC, self._last[:_LAST])
        if i < 0:
            raise ValueError(_WHY[i])
        blocks = len(_views) // 2 - 1
        start = _MAC
        n = i
        if i > blocks:
            start += blocks << 4
            n -= blocks
        _views[i] = v = memoryview(_work)[start : start + (n << 4)]
        return v

    def wipe(self):
        """Overwrite the key; the object is of no use afterwards.

        What cryptolib keeps of it is out of reach until its memory is used again.
        """
        self._chain[0] = None  # made from the key too
        for area in (self._key, self._last):
            for i in range(len(area)):
                area[i] = 0

    # In these `nonce` is reused, for the sake of the frame.

    def encrypt(self, nonce, data, associated_data):
        """Seal data; returns the cipher text followed by the tag, as bytes.

        nonce: 7 to 13 bytes, never used before with this key; the shorter it is,
        the longer data may be: below 2 ** (8 * (15 - len(nonce))) bytes.
        data, associated_data: bytes, bytearray or memoryview; associated_data may
        be None. Raises ValueError with the argument's name.
        """
        out = len(data)
        nonce = _layout(out, self._last, data, nonce, associated_data)
        # Filled by viper, before anyone else sees it: no copy is made.
        out = bytes(out + self._tag_len)
        nonce = _crypt(out, data, _SEAL, nonce, self._state)
        if nonce:
            _go_on(self, data, out, associated_data, nonce)
        return out

    def encrypt_into(self, nonce, buf, length, associated_data):
        """Seal buf[0:length] in place; returns the new length, length + tag_length.

        buf: bytearray or writable memoryview of at least that length; it must not
        overlap associated_data. Otherwise as encrypt().
        """
        if length < 0 or len(buf) < length + self._tag_len:
            raise ValueError("length: buf is too short")
        buf[length] = 0  # TypeError when buf cannot be written: viper would not ask
        nonce = _layout(length, self._last, buf, nonce, associated_data)
        nonce = _crypt(buf, buf, _SEAL, nonce, self._state)
        if nonce:
            _go_on(self, buf, buf, associated_data, nonce)
        return length + self._tag_len

    def decrypt(self, nonce, data, associated_data):
        """Open data, a cipher text followed by its tag; returns the plain text, as bytes.

        Arguments as for encrypt(). Raises InvalidTag when anything was changed or
        data is too short to hold a tag, ValueError with the argument's name.
        """
        out = len(data) - self._tag_len
        if out < 0:
            raise InvalidTag
        nonce = _layout(out, self._last, data, nonce, associated_data)
        out = bytes(out)
        nonce = _crypt(out, data, _OPEN, nonce, self._state)
        if nonce:
            _go_on(self, data, out, associated_data, nonce)
        return out

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
        nonce = _layout(length, self._last, buf, nonce, associated_data)
        nonce = _crypt(buf, buf, _OPEN, nonce, self._state)
        if nonce:
            _go_on(self, buf, buf, associated_data, nonce)
        return length
