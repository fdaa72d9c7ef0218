# No test seals two messages with the same key and nonce, in whatever process it does it.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 section 7.2.1: AEAD nonces are never reused with the same key
#
# Every process of a test, MicroPython's and Python's, also the ones that are killed in it, appends
# to a file in the folder of the test; what they wrote is compared when the test is over. The same
# keys may come again in another test. A repetition that is the same byte for byte is none: it tells
# nobody anything. tests/unit/oscorepair.py and cutworld.py look closer still, while a test runs.

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent

interpreter = None  # set by tests/conftest.py: a function, the path of MicroPython

totals = {"pairs": 0, "processes": 0, "tests": 0}
_folder = pytest.StashKey()


def entries(data):
    """(key, nonce, what was sealed) of a record; None where another world begins."""
    at = 0
    while at + 2 <= len(data):
        key_len, nonce_len = data[at], data[at + 1]
        at += 2
        if not key_len:
            yield None
            continue
        end = at + key_len + nonce_len + 10
        if end > len(data):
            return  # its process was killed while it wrote
        key, nonce = data[at : at + key_len], data[at + key_len : end - 10]
        yield key, nonce, data[end - 10 : end]
        at = end


def check(folder):
    """(pairs, processes) in a folder, or AssertionError when a pair was used twice."""
    shared = {}
    pairs = processes = 0
    for path in sorted(Path(folder).iterdir()):
        world = shared
        data = path.read_bytes()
        processes += bool(data)
        for entry in entries(data):
            if entry is None:
                world = {}
                continue
            key, nonce, sealed = entry
            if world.setdefault((key, nonce), sealed) != sealed:
                raise AssertionError(
                    "process %s sealed another message with a key and nonce that were used:"
                    " nonce %s" % (path.name, nonce.hex())
                )
            pairs += 1
    return pairs, processes


def pytest_configure(config):
    config.addinivalue_line("markers", "nonces(why): it repeats a nonce, and that is its purpose")
    if "NONCES_MICROPYTHON" not in os.environ:
        os.environ["NONCES_MICROPYTHON"] = interpreter()
        os.environ["MICROPYTHON"] = str(HERE / "micropython")
        path = [str(HERE), os.environ.get("PYTHONPATH", "")]
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, path))
        sys.path.append(str(HERE))
        import sitecustomize  # noqa: F401

        if Path(sitecustomize.__file__).parent != HERE:  # the system has one of its own
            sys.modules.pop("sitecustomize")
            sys.path.insert(0, str(HERE))
            import sitecustomize  # noqa: F401


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    folder = tempfile.mkdtemp(prefix="nonces-")
    item.stash[_folder] = folder
    os.environ["NONCES"] = folder


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item):
    try:
        return (yield)
    finally:
        folder = item.stash.get(_folder, None)
        if folder:
            _over(item, folder)


def _over(item, folder):
    os.environ.pop("NONCES", None)
    try:
        if item.get_closest_marker("nonces"):
            return
        pairs, processes = check(folder)
        totals["pairs"] += pairs
        totals["processes"] += processes
        totals["tests"] += pairs > 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def pytest_terminal_summary(terminalreporter):
    if totals["pairs"]:
        terminalreporter.write_line(
            "nonces: %(pairs)d messages sealed by %(processes)d processes in %(tests)d tests,"
            " none with a nonce that was used" % totals
        )
