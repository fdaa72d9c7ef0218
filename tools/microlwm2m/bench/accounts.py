# The OSCORE accounts that the bench server knows: given on the command line or in a file.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA object 21 (OSCORE) version 2.0; RFC 8613 section 3.2 and 3.3.

import json
from dataclasses import dataclass, field, fields

from ..errors import UsageError

# COSE numbers. What a device may use is what the account may say.
AEADS = {10: "AES-CCM-16-64-128", 30: "AES-CCM-16-128-128",
         12: "AES-CCM-64-64-128", 32: "AES-CCM-64-128-128"}
NONCE_LENS = {10: 13, 30: 13, 12: 7, 32: 7}
HKDF_SHA256 = -10

# On the command line the fields are told apart by their lengths, since an
# endpoint name may hold colons: an ID is short, a Master Secret is not.
MIN_SECRET_LEN = 8
MAX_ID_LEN = 7

B2_REQUIRED = "required"
B2_OPTIONAL = "optional"


@dataclass
class Account:
    """One device's account, its IDs as the device has them.

    endpoint: the Endpoint Client Name that may register with it.
    sender_id, recipient_id: bytes, /21/x/1 and /21/x/2 of the device; our own
        Recipient ID and Sender ID are these two exchanged.
    master_secret, master_salt: bytes.
    aead: COSE number, 10, 30, 12 or 32. hmac: 0 or -10 (HKDF SHA-256).
    b2: "required", or "optional" when requests without an ID Context are taken
        too, their freshness proved by Echo (RFC 8613 appendix B.1.2).

    Raises ValueError naming the argument that cannot be.
    """

    endpoint: str
    sender_id: bytes
    recipient_id: bytes
    master_secret: bytes = field(repr=False)
    master_salt: bytes = field(default=b"", repr=False)
    aead: int = 10
    hmac: int = 0
    b2: str = B2_REQUIRED

    def __post_init__(self):
        if not self.endpoint:
            raise ValueError("endpoint: must not be empty")
        self.aead = self.aead or 10
        if self.aead not in AEADS:
            raise ValueError("aead: %r is none of 10, 30, 12, 32" % self.aead)
        if self.hmac not in (0, HKDF_SHA256):
            raise ValueError("hmac: %r is not 0 or -10 (HKDF SHA-256)" % self.hmac)
        limit = NONCE_LENS[self.aead] - 6
        for name in ("sender_id", "recipient_id"):
            if len(getattr(self, name)) > limit:
                raise ValueError("%s: longer than %d bytes, the limit of AEAD %d" % (name, limit, self.aead))
        if self.sender_id == self.recipient_id:
            raise ValueError("recipient_id: must differ from sender_id")
        if not self.master_secret:
            raise ValueError("master_secret: must not be empty")
        if self.b2 not in (B2_REQUIRED, B2_OPTIONAL):
            raise ValueError('b2: must be "required" or "optional"')


def _hex(name, text):
    try:
        return bytes.fromhex(text)
    except (ValueError, TypeError):
        raise ValueError("%s: not hexadecimal" % name) from None


def parse(text):
    """The account in EP:SENDER:RECIPIENT:SECRET[:SALT], the last four in hex. UsageError."""
    parts = text.split(":")
    faults = []
    for count in (3, 4):
        if len(parts) <= count:
            continue
        endpoint, tail = ":".join(parts[:-count]), parts[-count:]
        try:
            sender, recipient, secret, *salt = (
                _hex(name, value) for name, value in
                zip(("sender ID", "recipient ID", "master secret", "master salt"), tail)
            )
            if max(len(sender), len(recipient)) > MAX_ID_LEN:
                raise ValueError("an ID has at most %d bytes" % MAX_ID_LEN)
            if len(secret) < MIN_SECRET_LEN:
                raise ValueError("the master secret has at least %d bytes" % MIN_SECRET_LEN)
            return Account(endpoint, sender, recipient, secret, *salt)
        except ValueError as e:
            faults.append(str(e))
    # Never the text itself: it holds the secret.
    raise UsageError("account: %s" % (faults[0] if faults else "want EP:SENDER:RECIPIENT:SECRET[:SALT]"))


def load(path):
    """The accounts in a JSON file: a list, or {"accounts": [...]}, of Account's fields,
    byte strings in hex. Raises UsageError; OSError when there is no such file."""
    with open(path, encoding="utf-8") as f:
        try:
            data = json.load(f)
        except ValueError as e:
            raise UsageError("%s: not JSON (%s)" % (path, e)) from None
    if isinstance(data, dict):
        data = data.get("accounts")
    if not isinstance(data, list):
        raise UsageError('%s: want a list of accounts, or {"accounts": [...]}' % path)
    known = {f.name: f.type for f in fields(Account)}
    accounts = []
    for number, entry in enumerate(data):
        try:
            if not isinstance(entry, dict):
                raise ValueError("not an object")
            unknown = sorted(set(entry) - set(known))
            if unknown:
                raise ValueError("%s: unknown field" % unknown[0])
            accounts.append(Account(**{
                k: _hex(k, v) if known[k] in (bytes, "bytes") else v for k, v in entry.items()
            }))
        except (ValueError, TypeError) as e:
            raise UsageError("%s: account %d: %s" % (path, number, e)) from None
    return accounts
