# A security context: the keys of both directions, sequence numbers, replay window.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 section 3 (derivation), 5.2 (nonce), 5.4 (additional authenticated data)

from .window import Window

# Found at once, and not after a search in vain among the names of this module.
len = len
bytearray = bytearray

# Tests put a function (key, nonce, sealed) here to see each use of a sender key.
on_seal = None


# CBOR head of a byte string, text string or unsigned integer (RFC 8949 section 3).
def _head(major, n):
    if n < 24:
        return bytes((major << 5 | n,))
    if n < 0x100:
        return bytes((major << 5 | 24, n))
    return bytes((major << 5 | 25, n >> 8, n & 0xFF))


def bstr(value):
    """A CBOR byte string (RFC 8949 section 3.1), as info, AAD and kid context hold it."""
    return _head(2, len(value)) + value


def unbstr(data):
    """The value of a CBOR byte string that takes all of data, or None where it is no such
    thing. Lengths up to 255, which a kid context cannot exceed."""
    n = len(data)
    if n and 0x40 <= data[0] < 0x58 and data[0] - 0x3F == n:
        return data[1:]
    if n > 1 and data[0] == 0x58 and data[1] + 2 == n:
        return data[2:]
    return None


def piv_bytes(n):
    """A sequence number as Partial IV: no leading zeros, and 0 is one byte (section 5.1)."""
    if n < 0x100:
        return bytes((n,))
    size = 2
    while n >> 8 * size:
        size += 1
    return n.to_bytes(size, "big")


class Context:
    """One derived context (section 3.1), held by an Account.

    params: what limits.validate() returned. id_context: bytes or None, in place of the
    one in params.

    Why no nonce is ever used twice under sender_key:
    - next() raises seq before it gives the number away, so a seal that fails afterwards
      loses its number; none is given twice.
    - Numbers at or above `reserved` are never given. Where the keys outlive a restart
      (Appendix B.1), the owner raises `reserved` only after flash holds the new bound,
      and begins behind the bound in flash after a restart: what the last run may have
      used lies below it, whenever the power went. Numbers are lost, none comes back.
    - Where the keys do not outlive a restart (Appendix B.2), nothing is in flash: a new
      run has other keys, because the ID Context is made from fresh random bytes.
    - A response may use its request's nonce instead of a number of its own: that is the
      peer's number, which the replay window lets in once, and the holder of the request
      uses it once. Its nonce differs from ours by the ID in it.
    """

    __slots__ = (
        "sender_id",
        "recipient_id",
        "id_context",
        "sender_key",
        "recipient_key",
        "common_iv",
        "tag_len",
        "seq",
        "reserved",
        "window",
        "sealed",
        "failed",
        "_sender",
        "_recipient",
        "_nonces",
        "_aads",
        "_last",
    )

    def __init__(self, params, id_context=None):
        secret, sender_id, recipient_id, salt, aead, hkdf, _, limits = params
        number, key_len, nonce_len, self.tag_len, make = aead
        self.sender_id = sender_id
        self.recipient_id = recipient_id
        self.id_context = id_context
        alg = _head(0, number) if number >= 0 else _head(1, -1 - number)
        # info (section 3.2.1) but for its first and its last element
        middle = (b"\xf6" if id_context is None else bstr(id_context)) + alg
        key = b"\x63Key" + _head(0, key_len)
        self.sender_key = bytearray(
            hkdf(secret, key_len, salt, b"\x85" + bstr(sender_id) + middle + key)
        )
        self.recipient_key = bytearray(
            hkdf(secret, key_len, salt, b"\x85" + bstr(recipient_id) + middle + key)
        )
        iv = hkdf(secret, nonce_len, salt, b"\x85\x40" + middle + b"\x62IV" + _head(0, nonce_len))
        self.common_iv = iv
        self._sender = make(self.sender_key, self.tag_len)
        self._recipient = make(self.recipient_key, self.tag_len)
        # Nonces without their Partial IV, and the external AAD up to the Partial IV: for what
        # the peer numbered (0, False) and for what we numbered (1, True).
        self._nonces = (self._base(recipient_id), self._base(sender_id))
        algs = b"\x85\x01\x81" + alg
        # and the same for each length of Partial IV, made when it first comes
        self._aads = (
            [algs + bstr(recipient_id), None, None, None, None, None],
            [algs + bstr(sender_id), None, None, None, None, None],
        )
        # What request() gave last for one of the peer's, since its answer has the same. Not state:
        # it follows from the Partial IV alone.
        self._last = (None,)
        self.seq = 0
        self.sealed = 0  # uses of sender_key
        self.reserved = limits.sequence + 1
        self.window = Window(limits.window)
        self.failed = 0  # forgeries, for all we know

    def _base(self, id_piv):
        base = bytearray(self.common_iv)
        base[0] ^= len(id_piv)
        i = len(base) - 5
        for octet in reversed(id_piv):
            i -= 1
            base[i] ^= octet
        return base

    def next(self):
        """A Partial IV that was never given before. Raises ValueError at the last one
        that is reserved (see the class)."""
        n = self.seq
        if n >= self.reserved:
            raise ValueError("sequence")
        self.seq = n + 1
        return piv_bytes(n)

    def request(self, ours, piv):
        """(piv, nonce, AAD) of a request that we (True) or the peer made under that Partial IV:
        the AEAD nonce (section 5.2), and the Enc_structure (section 5.4), which all responses
        have too. The AAD lasts until the next call."""
        nonce = bytearray(self._nonces[ours])
        aad = self._aads[ours][len(piv)]
        if aad is None:
            aad = self._make_aad(self._aads[ours], piv)
        # From the end, which they have in common, but for the AAD's last byte.
        n = 0 - len(piv)
        while n:
            nonce[n] ^= piv[n]
            aad[n - 1] = piv[n]
            n += 1
        piv = (piv, nonce, aad)
        if not ours:
            self._last = piv
        return piv

    def nonce(self, ours, piv):
        """The nonce alone, also of a response with a Partial IV of its own."""
        return self.request(ours, piv)[1]

    def aad(self, ours, piv):
        """The AAD alone. It lasts until the next call."""
        return self.request(ours, piv)[2]

    def _make_aad(self, aads, piv):
        external = aads[0] + bstr(piv) + b"\x40"
        aad = aads[len(piv)] = bytearray(b"\x83\x68Encrypt0\x40" + bstr(external))
        return aad

    def seal(self, nonce, buf, length, aad):
        """Seal buf[0:length] in place; returns the new length. buf has room for the tag."""
        self.sealed += 1
        length = self._sender.encrypt_into(nonce, buf, length, aad)
        if on_seal is not None:
            self._seen(nonce, memoryview(buf)[:length])
        return length

    def answer(self, piv):
        """What request() gave for a request of the peer's: its answer has the same."""
        return self._last if piv is self._last[0] else self.request(False, piv)

    def seal_answer(self, buf, piv):
        """Seal all of buf in place but the room for the tag, in answer to the request that
        the peer made under that Partial IV, with that request's nonce."""
        last = self._last
        if piv is not last[0]:
            last = self.request(False, piv)
        return self.seal(last[1], buf, len(buf) - self.tag_len, last[2])

    def _seen(self, nonce, sealed):
        on_seal(bytes(self.sender_key), bytes(nonce), bytes(sealed))

    def open(self, sealed, piv, nonce=None, aad=None):
        """The plain text in sealed, as a view into a buffer of its own. piv: the Partial IV of a
        request of the peer's, which gives nonce and AAD; None where they are given. Raises what
        the AEAD raises for a wrong tag, ValueError where it is too short for one."""
        if len(sealed) <= self.tag_len:
            raise ValueError("too short")
        if piv is not None:
            piv = self.request(False, piv)
            nonce = piv[1]
            aad = piv[2]
        sealed = bytearray(sealed)
        nonce = self._recipient.decrypt_into(nonce, sealed, len(sealed), aad)
        return memoryview(sealed)[:nonce]

    def live(self):
        """False once wipe() was called."""
        return self._sender is not None

    def wipe(self):
        """Overwrite the keys. The context can do nothing afterwards."""
        for key in (self.sender_key, self.recipient_key):
            for i in range(len(key)):
                key[i] = 0
        for aead in (self._sender, self._recipient):
            if hasattr(aead, "wipe"):
                aead.wipe()
        self._sender = self._recipient = None
        self.reserved = 0
