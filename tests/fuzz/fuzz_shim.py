# Lets CPython import lib/: what MicroPython has beyond it, and AES-CCM by `cryptography`.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# lib/aesccm is viper, so its place is taken; everything else under test is the code itself.

import asyncio
import builtins
import gc
import math
import struct
import sys
import time
import types
from pathlib import Path

from cryptography.exceptions import InvalidTag as _InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM as _AESCCM

ROOT = Path(__file__).resolve().parents[2]


class InvalidTag(Exception):
    pass


class AESCCM:
    """aesccm.AESCCM as far as lib/oscore uses it."""

    def __init__(self, key, tag_length=16, aes=None):
        self._aead = _AESCCM(bytes(key), tag_length)
        self._tag_length = tag_length

    def encrypt_into(self, nonce, buf, length, aad):
        sealed = self._aead.encrypt(bytes(nonce), bytes(memoryview(buf)[:length]), bytes(aad))
        if len(buf) < len(sealed):
            raise ValueError("length: buf is too short")
        buf[: len(sealed)] = sealed
        return len(sealed)

    def decrypt_into(self, nonce, buf, length, aad):
        if length < 0 or len(buf) < length:
            raise ValueError("length: buf is too short")
        try:
            opened = self._aead.decrypt(bytes(nonce), bytes(memoryview(buf)[:length]), bytes(aad))
        except (_InvalidTag, ValueError):
            raise InvalidTag
        buf[: len(opened)] = opened
        return len(opened)


def _pack(fmt, *values):
    # MicroPython's makes an infinity of what is too large for single precision.
    try:
        return struct.pack(fmt, *values)
    except OverflowError:
        return struct.pack(fmt, *[math.copysign(math.inf, v) for v in values])


def install():
    """Make `import coap` and the other packages work. To be called before the first one."""
    micropython = types.ModuleType("micropython")
    micropython.const = builtins.const = lambda value: value
    sys.modules["micropython"] = micropython
    aesccm = types.ModuleType("aesccm")
    aesccm.AESCCM = AESCCM
    aesccm.InvalidTag = InvalidTag
    sys.modules["aesccm"] = aesccm
    floats = types.ModuleType("struct")
    floats.__dict__.update(struct.__dict__)
    floats.pack = _pack
    sys.modules["struct"] = floats
    # coap.transport wants the name; no input here reaches it
    asyncio.core = sys.modules["asyncio.core"] = types.ModuleType("asyncio.core")
    time.ticks_ms = lambda: 0
    gc.threshold = lambda n: None
    gc.mem_free = gc.mem_alloc = lambda: 1 << 16
    folders = [ROOT / "lib" / name for name in ("cbor", "hkdf", "coap", "oscore", "lwm2m")]
    folders += [ROOT / "tests" / "unit", ROOT / "tests" / "fuzz"]
    sys.path[:0] = [str(folder) for folder in folders]
