# AES-CCM, the AEAD of OSCORE and DTLS on small devices, over a board's AES.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 3610, and RFC 5116 section 5.3; names and order as in `cryptography`'s AESCCM.
#
# One message costs one CBC call (the MAC), one ECB call (the key stream) and four or
# five viper calls (layout and XOR). Nothing is allocated but, in encrypt() and
# decrypt(), what they return. The work area is shared by all keys: do
# not seal or open from two threads, or from a hard interrupt, at the same time.

# Found at once, and not after a search in vain among the names of this module.
len = len
bytes = bytes

_ECB = const(1)
_CBC = const(2)
_ZERO = bytes(16)
_BYTES = (bytes, bytearray, memoryview)
_TRY_NONCE = b"\x00\x00\x00\x03\x02\x01\x00\xa0\xa1\xa2\xa3\xa4\xa5"
_TRY_SEALED = (
    b"X\x8c\x97\x9aa\xc6c\xd2\xf0f\xd0\xc2\xc0\xf9\x89\x80m_ka\xda\xc3\x84\x17\xe8\xd1,\xfd\xf9&\xe0"
)

# Bytes of a message's MAC input (B_0, associated data and payload, each padded to
# blocks) that are worked on at once: 48 to 4080, a multiple of 16. Longer messages
# go through in pieces of this size, at one more CBC and ECB call a piece. Set it
# before the first AESCCM is made: twice this and 32 bytes are kept from then on.
CHUNK = 256

# The work area:
#    0  four words: CHUNK; offset of the MAC's last block; bytes of payload; tag length
#   16  CHUNK bytes: the MAC's input, then its output, as CBC runs in place
#    .  16 + CHUNK bytes: counter blocks A_0 ..., then the key stream, as ECB does too
_MAC = const(16)

_work = None
_size = 0  # CHUNK as it was when the area was made
_views = None  # _views[0][i], [1][i]: the first i blocks of MAC and key stream, made when needed


class InvalidTag(Exception):
    """The tag does not fit key, nonce, associated data and cipher text."""


# Lays out B_0, the associated data and n bytes of payload for the MAC, and the counter
# blocks. form: tag length, B_0's flags and the nonce's length, 8 bits each. Returns the
# MAC's blocks; 0 when they exceed the work area; -1 when the nonce's length is wrong.
# Words are copied where both sides are aligned (a Cortex-M0+ faults on others).
@micropython.viper
def _layout(work: ptr8, data: ptr8, aad: ptr8, nonce: ptr8, n: int, alen: int, form: int) -> int:
    i = 0
    nlen = form & 0xFF
    if nlen < 7 or nlen > 13:
        return 0 - 1
    head = ptr32(work)
    size = head[0]
    if alen > size or n > size:
        return 0
    p = 16
    if alen:
        p = (alen + 33) & 0x7FF0
    end = (p + n + 15) & 0x7FF0
    if end > size:
        return 0
    head[1] = end  # of the MAC's last block, from the work area's start: 16 more, 16 less
    head[2] = n
    head[3] = form >> 16
    mac = ptr8(int(work) + 16)
    ctr = ptr8(int(mac) + size)
    # B_0 and A_0 differ in the flags and in the last bytes.
    while i < nlen:
        c = nonce[i]
        i += 1
        mac[i] = c
        ctr[i] = c
    while i < 15:
        i += 1
        mac[i] = 0
        ctr[i] = 0
    ctr[0] = 14 - nlen
    mac[0] = ((form >> 8) & 0x38) | (14 - nlen)
    mac[14] = mac[14] | (n >> 8)
    mac[15] = n
    if alen:
        mac[0] = mac[0] | 0x40
        mac[16] = alen >> 8
        mac[17] = alen
        to = ptr8(int(mac) + 18)
        i = 0
        while i < alen:
            to[i] = aad[i]
            i += 1
        i += 18
        while i < p:
            mac[i] = 0
            i += 1
    i = 0
    mac = ptr8(int(mac) + p)
    if int(data) & 3 == 0:
        d = ptr32(mac)
        s = ptr32(data)
        stop = int(s) + (n & 0x7FFC)
        while int(s) < stop:
            d[0] = s[0]
            d = ptr32(int(d) + 4)
            s = ptr32(int(s) + 4)
        i = n & 0x7FFC
    while i < n:
        mac[i] = data[i]
        i += 1
    while i & 15:
        mac[i] = 0
        i += 1
    # i is now n in whole blocks
    c32 = ptr32(ctr)
    d = ptr32(int(ctr) + i)
    i = i >> 4
    while i:
        d[0] = c32[0]
        d[1] = c32[1]
        d[2] = c32[2]
        d[3] = c32[3]
        to = ptr8(d)
        to[14] = to[14] | (i >> 8)
        to[15] = i
        d = ptr32(int(d) - 16)
        i -= 1
    return end >> 4


# Takes or puts the key stream after S_0 from or on the payload, and appends the tag:
# the MAC's last block under S_0. When opening, first compares the tag with the one
# after the payload, in a time that does not depend on the bytes; when they differ,
# returns that with out untouched.
@micropython.viper
def _finish(out: ptr8, data: ptr8, work: ptr8, opening: int) -> int:
    i = 0
    head = ptr32(work)
    n = head[2]
    tag_len = head[3]
    mac = ptr8(int(work) + head[1])
    key = ptr8(int(work) + 16 + head[0])
    if opening:
        x = 0
        tag = ptr8(int(data) + n)
        while i < tag_len:
            x |= mac[i] ^ key[i] ^ tag[i]
            i += 1
        if x:
            return x
    else:
        tag = ptr8(int(out) + n)
        while i < tag_len:
            tag[i] = mac[i] ^ key[i]
            i += 1
    i = 0
    key = ptr8(int(key) + 16)
    if (int(out) | int(data)) & 3 == 0:
        o = ptr32(out)
        d = ptr32(data)
        k = ptr32(key)
        stop = int(o) + (n & 0x7FFC)
        while int(o) < stop:
            o[0] = d[0] ^ k[0]
            o = ptr32(int(o) + 4)
            d = ptr32(int(d) + 4)
            k = ptr32(int(k) + 4)
        i = n & 0x7FFC
    while i < n:
        out[i] = data[i] ^ key[i]
        i += 1
    return 0


# Takes the key stream off the cipher text that _layout put at the end of the MAC's
# input, so that the MAC is known before any plain text leaves the work area.
@micropython.viper
def _reveal(work: ptr8):
    i = 0
    head = ptr32(work)
    n = head[2]
    d = ptr32(int(work) + 16 + head[1] - ((n + 15) & 0x7FF0))
    k = ptr32(int(work) + 32 + head[0])
    stop = int(d) + (n & 0x7FFC)
    while int(d) < stop:
        d[0] = d[0] ^ k[0]
        d = ptr32(int(d) + 4)
        k = ptr32(int(k) + 4)
    d8 = ptr8(d)
    k8 = ptr8(k)
    n = n & 3
    while i < n:
        d8[i] = d8[i] ^ k8[i]
        i += 1


# A CBC object begins with a zero block once, when it is made; then each call goes on from
# the last block of the one before. So that block is kept (after), and taken off B_0 again
# (onto): the MAC is as if from a new object, which would cost an allocation of 300 bytes.
@micropython.viper
def _onto(work: ptr32, last: ptr32):
    work[4] = work[4] ^ last[0]
    work[5] = work[5] ^ last[1]
    work[6] = work[6] ^ last[2]
    work[7] = work[7] ^ last[3]


@micropython.viper
def _after(work: ptr32, last: ptr32):
    mac = ptr32(int(work) + work[1])
    last[0] = mac[0]
    last[1] = mac[1]
    last[2] = mac[2]
    last[3] = mac[3]


# For a piece of a long message: blocks counter blocks from A_first on, after A_0; and
# what _finish reads.
@micropython.viper
def _counters(work: ptr8, a0: ptr8, first: int, n: int, last: int, tag_len: int):
    i = 0
    head = ptr32(work)
    head[1] = last
    head[2] = n
    head[3] = tag_len
    to = ptr8(int(work) + 16 + head[0])
    while i < 16:
        to[i] = a0[i]
        i += 1
    blocks = (n + 15) >> 4
    while blocks:
        to = ptr8(int(to) + 16)
        i = 0
        while i < 14:
            to[i] = a0[i]
            i += 1
        to[15] = first
        to[14] = first >> 8
        if first > 0xFFFF:  # else these may be the nonce's last bytes
            to[13] = first >> 16
            to[12] = first >> 24
        first += 1
        blocks -= 1


@micropython.viper
def _differ(a: ptr8, b: ptr8, n: int) -> int:
    i = 0
    x = 0
    while i < n:
        x |= a[i] ^ b[i]
        i += 1
    return x


def equal(a, b):
    """Whether two byte strings are equal, in a time that depends on their lengths only.

    a, b: bytes, bytearray or memoryview of bytes. Raises TypeError for anything else.
    """
    if not (isinstance(a, _BYTES) and isinstance(b, _BYTES)):
        raise TypeError("bytes")
    return len(a) == len(b) and _differ(a, b, len(a)) == 0


def _work_area(aes):
    global _work, _size, _views
    if not 48 <= CHUNK <= 4080 or CHUNK & 15:
        raise ValueError("CHUNK: 48 to 4080, a multiple of 16")
    _size = CHUNK
    _work = bytearray(32 + 2 * CHUNK)
    _work[0:4] = bytes((CHUNK & 255, CHUNK >> 8, 0, 0))  # every port is little-endian
    _views = ([None] * (CHUNK // 16 + 1), [None] * (CHUNK // 16 + 2))
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


def _view(which, blocks):
    start = _MAC + _size if which else _MAC
    v = _views[which][blocks] = memoryview(_work)[start : start + (blocks << 4)]
    return v


# The two below conduct a message. In viper since a bytecode function with that many
# locals would have its frame allocated on the heap, once a message.
# length: of what is in data, worked on in place; -1 for all of data, into new bytes.
@micropython.viper
def _seal(state, nonce, data, aad, length: int):
    work = state[5]
    tag_len = int(state[0])
    out = data
    n = length
    if length < 0:
        # Filled by viper below, before anyone else sees it: no copy is made.
        out = bytes(int(len(data)) + tag_len)
        n = int(len(data))
    if not aad:
        aad = b""
    i = int(_layout(work, data, aad, nonce, n, len(aad), int(state[1]) + int(len(nonce))))
    m = (n + 31) >> 4
    if i > 0:
        t = state[8]
        if t:
            state[9](t, t, t, state[10], work, _MAC, i, state[11], m)
        else:
            v = state[6][i]
            if not v:
                v = _view(0, i)
            chain = state[9]
            cbc = chain[0]
            # Whatever breaks off what follows, nothing goes on from there.
            chain[0] = None
            if cbc:
                _onto(work, state[10])
            else:
                cbc = state[2](state[3], _CBC, _ZERO)
            cbc.encrypt(v, v)
            _after(work, state[10])
            chain[0] = cbc
            v = state[7][m]
            if not v:
                v = _view(1, m)
            state[4].encrypt(v, v)
        _finish(out, data, work, 0)
    else:
        if i:
            raise ValueError("nonce: 7 to 13 bytes")
        _long(state, nonce, data, n, aad, out, 0)
    return out


@micropython.viper
def _open(state, nonce, data, aad, length: int):
    work = state[5]
    out = data
    n = length
    if length < 0:
        n = int(len(data))
    n -= int(state[0])
    if n < 0:
        raise InvalidTag
    if length < 0:
        out = bytes(n)
    if not aad:
        aad = b""
    i = int(_layout(work, data, aad, nonce, n, len(aad), int(state[1]) + int(len(nonce))))
    m = (n + 31) >> 4
    if i > 0:
        t = state[8]
        if t:
            state[9](t, t, t, state[10], work, _MAC, 0, state[11], m)
            _reveal(work)
            state[9](t, t, t, state[10], work, _MAC, i, 0, 0)
        else:
            v = state[7][m]
            if not v:
                v = _view(1, m)
            state[4].encrypt(v, v)
            _reveal(work)
            v = state[6][i]
            if not v:
                v = _view(0, i)
            chain = state[9]
            cbc = chain[0]
            chain[0] = None
            if cbc:
                _onto(work, state[10])
            else:
                cbc = state[2](state[3], _CBC, _ZERO)
            cbc.encrypt(v, v)
            _after(work, state[10])
            chain[0] = cbc
        i = int(_finish(out, data, work, 1))
    else:
        if i:
            raise ValueError("nonce: 7 to 13 bytes")
        i = int(_long(state, nonce, data, n, aad, out, 1))
        if i:
            if out is data:
                _long(state, nonce, data, n, aad, out, 2)
    if i:
        raise InvalidTag
    return out


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
        key = bytearray(key)  # a copy, which wipe() can overwrite
        form = tag_length << 16 | (tag_length - 2) << 10
        ecb = aes.aes(key, _ECB)
        self._state = (tag_length, form, aes.aes, key, ecb, _work) + _views
        # AES that is viper itself takes both areas in one call.
        if hasattr(aes, "crypt_blocks"):
            self._state += (aes.tables(), aes.crypt_blocks, ecb.key, _MAC + _size)
        else:
            # None, or a CBC object and the last block that came out of it
            self._state += (None, [None], bytearray(16))

    def wipe(self):
        """Overwrite the key; the object is of no use afterwards.

        What cryptolib keeps of it is out of reach until its memory is used again.
        """
        for area in (self._state[3], getattr(self._state[4], "key", b"")):
            for i in range(len(area)):
                area[i] = 0
        if not self._state[8]:
            self._state[9][0] = None  # made from the key too
            self._state[10][:] = _ZERO

    def encrypt(self, nonce, data, associated_data):
        """Seal data; returns the cipher text followed by the tag, as bytes.

        nonce: 7 to 13 bytes, never used before with this key; the shorter it is,
        the longer data may be: below 2 ** (8 * (15 - len(nonce))) bytes.
        data, associated_data: bytes, bytearray or memoryview; associated_data may
        be None. Raises ValueError with the argument's name.
        """
        return _seal(self._state, nonce, data, associated_data, -1)

    def encrypt_into(self, nonce, buf, length, associated_data):
        """Seal buf[0:length] in place; returns the new length, length + tag_length.

        buf: bytearray or writable memoryview of at least that length; it must not
        overlap associated_data. Otherwise as encrypt().
        """
        # No further name, or the frame is on the heap.
        if length < 0 or len(buf) < length + self._state[0]:
            raise ValueError("length: buf is too short")
        buf[length] = 0  # TypeError when buf cannot be written: viper would not ask
        _seal(self._state, nonce, buf, associated_data, length)
        return length + self._state[0]

    def decrypt(self, nonce, data, associated_data):
        """Open data, a cipher text followed by its tag; returns the plain text, as bytes.

        Arguments as for encrypt(). Raises InvalidTag when anything was changed or
        data is too short to hold a tag, ValueError with the argument's name.
        """
        return _open(self._state, nonce, data, associated_data, -1)

    def decrypt_into(self, nonce, buf, length, associated_data):
        """Open buf[0:length] in place; returns the length of the plain text in buf.

        length: of cipher text and tag. On InvalidTag buf is as it was before, so
        another key may be tried. Otherwise as decrypt() and encrypt_into().
        """
        if length < 0 or len(buf) < length:
            raise ValueError("length: buf is too short")
        if length:
            buf[0] = buf[0]  # TypeError when buf cannot be written
        _open(self._state, nonce, buf, associated_data, length)
        return length - self._state[0]


# A message larger than the work area, piece by piece: seals it (how 0); opens it (1),
# returning 0 when the tag is right; or puts the key stream back on (2).
def _long(state, nonce, data, n, aad, out, how):
    tag_len, form, aes, key, ecb, work, _, streams = state[:8]
    nlen = len(nonce)
    if n >> 8 * (15 - nlen):
        raise ValueError("data: too long for the nonce")
    _layout(work, b"", b"", nonce, 0, 0, form + nlen)
    a0 = bytes(_view(1, 1))
    i = _MAC + 15
    left = n
    while left:
        work[i] = left & 0xFF
        left >>= 8
        i -= 1
    cbc = aes(key, _CBC, _ZERO)
    last = _feed_aad(cbc, aad)
    data = memoryview(data)
    text = memoryview(out) if how else data
    out = memoryview(out)
    pos = 0
    while True:
        left = min(n - pos, _size)
        if left and not how:
            last = _feed(cbc, 0, text[pos : pos + left])
        _counters(work, a0, (pos >> 4) + 1, left, last, 0)
        i = (left + 31) >> 4
        v = streams[i] or _view(1, i)
        ecb.encrypt(v, v)
        _finish(out[pos:], data[pos:], work, 0)
        if left and how:
            last = _feed(cbc, 0, text[pos : pos + left])
        pos += left
        if pos == n:
            break
    if how == 2:
        return 0
    # Now for the tag alone, under S_0.
    _counters(work, a0, 0, 0, last, tag_len)
    v = streams[1] or _view(1, 1)
    ecb.encrypt(v, v)
    return _finish(out[n:], data[n:], work, how)


def _feed_aad(cbc, aad):
    n = len(aad)
    work = _work
    if not n:
        return _feed(cbc, 16, b"")
    work[_MAC] |= 0x40
    if n < 0xFF00:
        work[_MAC + 16] = n >> 8
        work[_MAC + 17] = n & 0xFF
        p = 18
    else:
        work[_MAC + 16] = 0xFF
        work[_MAC + 17] = 0xFE
        for i in range(4):
            work[_MAC + 18 + i] = n >> 8 * (3 - i) & 0xFF
        p = 22
    aad = memoryview(aad)
    last = _feed(cbc, p, aad[: _size - p])
    for i in range(_size - p, n, _size):
        last = _feed(cbc, 0, aad[i : i + _size])
    return last


# Puts a piece into the MAC, after the first p bytes of its area. Returns the offset
# of the last block.
def _feed(cbc, p, piece):
    work = _work
    end = p + len(piece)
    work[_MAC + p : _MAC + end] = piece
    while end & 15:
        work[_MAC + end] = 0
        end += 1
    v = _views[0][end >> 4] or _view(0, end >> 4)
    cbc.encrypt(v, v)
    return end
