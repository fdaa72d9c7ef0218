# Seals, opens, forges and derives what stdin asks for; runs under MicroPython.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# argv: AES SHA256. A line in: `ccm KEY NONCE AAD TEXT TAGLEN WHERE BIT` or
# `hkdf IKM SALT INFO LENGTH` or `hmac KEY MSG`, in hex ("-" for empty). A line out:
# the result in hex, or what went wrong.

import sys
from binascii import hexlify, unhexlify

import aesccm
import hkdf


class Own:  # a user's own AES, over what the board has
    from cryptolib import aes


def provider(module, name):
    if name == "default":
        return None
    return Own if name == "own" else __import__(module + "." + name, None, None, (name,))


def field(text):
    return b"" if text == "-" else unhexlify(text)


def ccm(key, nonce, aad, text, tag_length, where, bit, aes):
    a = aesccm.AESCCM(key, tag_length, aes)
    sealed = a.encrypt(nonce, text, aad)
    n = len(text)
    # In place, at an address that is no multiple of four, with guards around.
    room = bytearray(b"\xa5" * (n + tag_length + 8))
    buf = memoryview(room)[3 : n + tag_length + 3]
    buf[:n] = text
    if a.encrypt_into(nonce, buf, n, aad) != len(sealed) or buf != sealed:
        return "encrypt_into differs"
    if a.decrypt(nonce, sealed, memoryview(aad)) != text:
        return "decrypt differs"
    if a.decrypt_into(nonce, buf, len(sealed), aad) != n or buf[:n] != text:
        return "decrypt_into differs"
    if room[:3] != b"\xa5" * 3 or room[-5:] != b"\xa5" * 5:
        return "wrote outside of the buffer"
    # One bit anywhere in nonce, associated data, cipher text or tag.
    forged = bytearray(nonce + aad + sealed)
    where %= len(forged)
    forged[where] ^= 1 << bit
    end = len(nonce) + len(aad)
    nonce, aad, bad = forged[: len(nonce)], forged[len(nonce) : end], forged[end:]
    try:
        a.decrypt(nonce, bad, aad)
        return "forgery accepted"
    except aesccm.InvalidTag:
        pass
    was = bytes(bad)
    try:
        a.decrypt_into(nonce, bad, len(bad), aad)
        return "forgery accepted in place"
    except aesccm.InvalidTag:
        if bad != was:
            return "a refused buffer was changed"
    return hexlify(sealed).decode()


def main(aes, sha256):
    aes = provider("aesccm", aes)
    sha256 = provider("hkdf", sha256)
    while True:
        words = sys.stdin.readline().split()
        if not words:
            return
        if words[0] == "ccm":
            fields = [field(w) for w in words[1:5]]
            print(ccm(*fields, *[int(w) for w in words[5:8]], aes))
        elif words[0] == "hkdf":
            ikm, salt, info = [field(w) for w in words[1:4]]
            okm = hkdf.hkdf(ikm, int(words[4]), salt=salt, info=info, sha256=sha256)
            print(hexlify(okm).decode())
        else:
            print(hexlify(hkdf.hmac(field(words[1]), field(words[2]), sha256)).decode())


main(*sys.argv[1:])
