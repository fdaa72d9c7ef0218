# Records each (key, nonce) that aiocoap's OSCORE seals with, in every Python of a test run.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# Python imports this by itself where PYTHONPATH leads here; plugin.py imports it for the process of
# the tests. aiocoap is not imported for it: most processes have no use for it.

import importlib.util
import os
import sys

_TARGET = "aiocoap.oscore"


def note(key, nonce, sealed):
    """Append to the record of the test that runs, as prelude.py does."""
    folder = os.environ.get("NONCES")
    if folder:
        entry = bytes((len(key), len(nonce))) + key + nonce
        entry += (len(sealed) & 0xFFFF).to_bytes(2, "big") + sealed[-8:]
        try:
            with open(os.path.join(folder, str(os.getpid())), "ab", buffering=0) as f:
                f.write(entry)
        except FileNotFoundError:
            pass  # what goes on after its test


def _watch(cls):
    encrypt = cls.__dict__["encrypt"].__func__

    def recorded(cls, plaintext, aad, key, iv):
        sealed = encrypt(cls, plaintext, aad, key, iv)
        note(key, iv, sealed)
        return sealed

    cls.encrypt = classmethod(recorded)


def watch(module):
    """Watch the algorithms of aiocoap.oscore."""
    for cls in (module.AES_CCM, module.AES_GCM, module.ChaCha20Poly1305):
        _watch(cls)


class _Finder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name != _TARGET or cls not in sys.meta_path:
            return None
        sys.meta_path.remove(cls)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            watch(module)

        spec.loader.exec_module = exec_module
        return spec


if _TARGET in sys.modules:
    watch(sys.modules[_TARGET])
else:
    sys.meta_path.insert(0, _Finder)
