# The bounds of OSCORE in one place, and the check of what an account is made from.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 sections 3.2, 3.3, 7.2.1 and 12; RFC 9053 section 4.2

# COSE number, key, nonce and tag length in bytes: the AES-CCM algorithms with AES-128.
_AEADS = const(
    (
        (10, 16, 13, 8),  # AES-CCM-16-64-128, mandatory
        (12, 16, 7, 8),  # AES-CCM-64-64-128
        (30, 16, 13, 16),  # AES-CCM-16-128-128
        (32, 16, 7, 16),  # AES-CCM-64-128-128
    )
)


class Limits:
    """Every bound of an account, settable by keyword: Limits(id_context=96).

    master_secret, master_salt, id_context: most bytes of each; the last one bounds
        each ID Context that Appendix B.2 makes too, 32 to 253.
    sequence: highest Sender Sequence Number. Some peers read 4 bytes of Partial IV.
    rekey: messages sealed in one context after which Account.exhausted() says so,
        failures: the same for messages that did not verify. Both are far below the
        2 ** 23 uses of AES-CCM that RFC 9053 allows a key.
    echoes: the same for requests, one after the other, that do not bring the Echo asked
        for: a peer that knows none is not to be refused for ever.
    reserve: sequence numbers committed to flash at a time (Appendix B.1.1).
    window: size of the replay window, 1 to 64.
    nonce: bytes of R1, R2 and R3. r2: answers to a first request of Appendix B.2
        that are remembered at the same time; the oldest gives way.
    """

    master_secret = 64
    master_salt = 64
    id_context = 64
    sequence = (1 << 32) - 1
    rekey = 1 << 20
    failures = 1 << 20
    echoes = 3
    reserve = 64
    window = 32
    nonce = 8
    r2 = 2

    def __init__(self, **settings):
        from oscore.settings import settle

        settle(self, settings)


def _octets(name, value, most):
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise ValueError(name + ": bytes")
    if len(value) > most:
        raise ValueError("%s: at most %d bytes" % (name, most))
    return bytes(value)


def validate(
    master_secret,
    sender_id,
    recipient_id,
    master_salt=b"",
    aead=10,
    hmac=0,
    id_context=None,
    limits=None,
):
    """Check what an account is made from, and return it as the tuple that Context takes:
    (secret, sender ID, recipient ID, salt, aead, hkdf, ID Context, limits); hkdf and limits
    are None where they are the default, which need not stay loaded then.

    aead: COSE number 10, 12, 30 or 32, 0 for the default (10); or one of your own as
        (number, key length, nonce length 7 to 13, tag length, make) where
        make(key, tag_length) gives an object with encrypt_into(nonce, buf, length, aad)
        and decrypt_into(...) of aesccm.AESCCM. A wrong tag is aesccm.InvalidTag or a
        ValueError there.
    hmac: COSE number -10 (HKDF SHA-256) or 5 (HMAC 256/256, which some mean by it), 0 for
        the default; or a function hkdf(key_material, length, salt, info).
    Raises ValueError that names the argument (RFC 8613 section 3.2 and 3.3).
    """
    bound = limits or Limits
    secret = _octets("master_secret", master_secret, bound.master_secret)
    if not secret:
        raise ValueError("master_secret: empty")
    salt = _octets("master_salt", b"" if master_salt is None else master_salt, bound.master_salt)
    if id_context is not None:
        id_context = _octets("id_context", id_context, bound.id_context)
    if isinstance(aead, tuple):
        if len(aead) != 5 or not 7 <= aead[2] <= 13 or not -0x10000 <= aead[0] <= 0xFFFF:
            raise ValueError("aead: number, key, nonce and tag length, make")
    else:
        for known in _AEADS:
            if known[0] == (aead or 10):
                break
        else:
            raise ValueError("aead: %r is not known" % aead)
        from aesccm import AESCCM

        aead = known + (AESCCM,)
    if not callable(hmac):
        if hmac not in (0, -10, 5, None):
            raise ValueError("hmac: %r is not known" % hmac)
        hmac = None
    sender = _octets("sender_id", sender_id, aead[2] - 6)
    recipient = _octets("recipient_id", recipient_id, aead[2] - 6)
    if sender == recipient:
        raise ValueError("recipient_id: equals sender_id")
    return secret, sender, recipient, salt, aead, hmac, id_context, limits


def bounds(params):
    """The limits in what validate() returned, or in None."""
    return params and params[7] or Limits
