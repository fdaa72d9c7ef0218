# A device's configuration as the host writes it: every check, then the record.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M 1.2 Core section 6.1.3 (factory bootstrap), OMA object 21 version 2.0;
# the record is what firmware/modules/lwm2m_setup.py reads.

import re
import urllib.parse

from .errors import UsageError

ENDPOINT_MAX = 64  # bytes
SECRET_MIN, SECRET_MAX = 16, 64  # bytes; 16 is AES-128's own strength
SALT_MAX = 64
ID_CONTEXT_MAX = 64
FRESH_SECRET = 16
PSK_MIN, PSK_MAX = 16, 32  # bytes; MicroPython's mbed TLS takes no more
IDENTITY_MAX = 128  # bytes, RFC 4279 section 5.3
DEFAULT_AEAD = 10
DEFAULT_SHORT_ID = 123
DEFAULT_LIFETIME = 86400  # seconds

# COSE algorithm number: longest Sender or Recipient ID, which is the nonce less 6
AEADS = {10: 7, 12: 1, 30: 7, 32: 1}
# HMAC 256/256 and direct+HKDF-SHA-256 name the same; 0 is the default, the same again
HMACS = (0, 5, -10)
# What goes on after a restart, as firmware/modules/lwm2m_restart.py reads it
RESTART = ("b2", "b1", "b1-static")
STATIC = "b1-static"

# Object and resource numbers of OMA's registry
SECURITY, SERVER, OSCORE = 0, 1, 21
PSK, NOSEC = 0, 3


def unhex(text, option, low, high):
    """The bytes of `text`. The text itself stays out of the complaint: it may be a key."""
    digits = re.sub(r"[\s:]", "", text)
    if digits[:2].lower() == "0x":
        digits = digits[2:]
    if len(digits) % 2 or not re.fullmatch(r"[0-9a-fA-F]*", digits):
        raise UsageError("%s must be hex, two digits a byte" % option)
    data = bytes.fromhex(digits)
    if not low <= len(data) <= high:
        raise UsageError("%s has %d bytes, %d to %d are allowed" % (option, len(data), low, high))
    return data


def endpoint(name):
    """Check an endpoint name."""
    if not name or not name.isprintable() or name != name.strip():
        raise UsageError("--endpoint must be a name of printable characters")
    if len(name.encode()) > ENDPOINT_MAX:
        raise UsageError(
            "--endpoint has %d bytes, %d are allowed" % (len(name.encode()), ENDPOINT_MAX)
        )
    return name


def psk_identity(text):
    """The bytes of the identity of a pre-shared key: text, or hex after 0x."""
    if text[:2].lower() == "0x":
        return unhex(text, "--psk-identity", 1, IDENTITY_MAX)
    data = text.encode()
    if not text.isprintable() or not 1 <= len(data) <= IDENTITY_MAX:
        raise UsageError(
            "--psk-identity must be 1 to %d bytes of printable text, or hex after 0x"
            % IDENTITY_MAX
        )
    return data


def server_uri(uri, psk=False):
    """Check a server's URI; returns it as the device keeps it. psk: there is a pre-shared key."""
    try:
        parts = urllib.parse.urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError as e:
        # "Port out of range 0-65535", "Invalid IPv6 URL", ...
        raise UsageError("--server %s: %s" % (uri, e)) from None
    if parts.scheme == "coaps" and not psk:
        raise UsageError(
            "--server: coaps:// is DTLS and needs --psk-identity; OSCORE does with coap://"
        )
    if parts.scheme == "coap" and psk:
        raise UsageError("--psk-identity goes with coaps://, which is DTLS")
    if parts.scheme not in ("coap", "coaps"):
        raise UsageError("--server must begin with coap://, as in coap://192.0.2.1:5683")
    if not host or not uri.isascii() or not uri.isprintable() or " " in uri:
        raise UsageError("--server needs a host, as in coap://192.0.2.1:5683")
    if port == 0:
        raise UsageError("--server: port 0 cannot be reached")
    if "@" in parts.netloc or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise UsageError("--server takes a host and a port and nothing more")
    uri = parts.scheme + "://" + parts.netloc
    if len(uri) > 255:
        raise UsageError("--server is longer than 255 characters")
    return uri


def check_ids(sender_id, recipient_id, aead):
    """Check the two IDs against the algorithm's nonce and against each other."""
    longest = AEADS[aead or DEFAULT_AEAD]
    for option, value in (("--sender-id", sender_id), ("--recipient-id", recipient_id)):
        if value is not None and len(value) > longest:
            raise UsageError(
                "%s has %d bytes, AEAD %d allows %d" % (option, len(value), aead, longest)
            )
    if sender_id is not None and sender_id == recipient_id:
        raise UsageError("--sender-id and --recipient-id must differ")


def keys(secret, sender_id, recipient_id, aead=DEFAULT_AEAD, hmac=0, salt=b"", id_context=b""):
    """An instance of /21."""
    check_ids(sender_id, recipient_id, aead)
    instance = {0: secret, 1: sender_id, 2: recipient_id, 3: aead, 4: hmac}
    if salt:
        instance[5] = salt
    if id_context:
        instance[6] = id_context
    return instance


def config(
    name, uri, ssid, lifetime, oscore, storing=True, bootstrap=False, hold_off=None,
    retry_timer=None, restart=None, psk=None,
):  # fmt: skip
    """The record of one account; `oscore` an instance of /21, or None for one without OSCORE.

    psk: identity and key of DTLS, bytes. name may be None where the device has one already.
    """
    security = {0: uri, 1: bootstrap, 2: NOSEC}
    if psk is not None:
        security[2], security[3], security[5] = PSK, *psk
    objects = {SECURITY: {0: security}}
    if hold_off is not None:
        security[11] = hold_off
    if not bootstrap:
        security[10] = ssid
        server = {0: ssid, 1: lifetime, 6: storing, 7: "U"}
        if retry_timer is not None:
            server[18] = retry_timer
        objects[SERVER] = {0: server}
    if oscore is not None:
        security[17] = [OSCORE, 0]
        objects[OSCORE] = {0: oscore}
    record = {"objects": objects, "opts": {}}
    if oscore is not None and restart not in (None, "b2"):
        record["opts"]["restart"] = {0: restart}
    if name is not None:
        record["ep"] = name
    return record
