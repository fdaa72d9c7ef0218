# A security context: the keys of both directions, sequence numbers, replay window.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 section 3, 5.2 (nonce), 5.4 (additional authenticated data). Its derivation: derive.py.

# Found at once, and not after a search in vain among the names of this module.
len = len
bytearray = bytearray
memoryview = memoryview

# Tests put a function (key, nonce, sealed) here to see each use of a sender key.
on_seal = None


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

    # One more than the highest number there is, where nothing else is said: of its own to each
    # context it would be 32 bytes.
    reserved = 1 << 32

    def __init__(self, params, id_context=None):
        # Once in a while: what it takes does not stay.
        from .derive import keys

        keys(self, params, id_context)

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
        aad = self._bases[ours]
        nonce = bytearray(aad[6])
        aad = aad[len(piv)] or self._make_aad(aad, piv)
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

    def _make_aad(self, aads, piv):
        # Two byte strings (RFC 8949 section 3.1): both are of less than 24 bytes.
        n = len(piv)
        aad = aads[0] + bytes((0x40 + n,)) + piv + b"\x40"
        aads[n] = bytearray(b"\x83\x68Encrypt0\x40" + bytes((0x40 + len(aad),)) + aad)
        return aads[n]

    def seal(self, nonce, buf, length, aad):
        """Seal buf[0:length] in place; returns the new length. buf has room for the tag."""
        self.sealed += 1
        length = self._sender.encrypt_into(nonce, buf, length, aad)
        if on_seal is not None:
            on_seal(bytes(self.sender_key), bytes(nonce), bytes(memoryview(buf)[:length]))
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
        # As seal(), which is one call more.
        self.sealed += 1
        self._sender.encrypt_into(last[1], buf, len(buf) - self.tag_len, last[2])
        if on_seal is not None:
            on_seal(bytes(self.sender_key), bytes(last[1]), bytes(buf))

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
