# The one front of all tests: CPython's and those that run under MicroPython.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# Files named mp_test_*.py hold plain functions test_*(). Each becomes an item
# of its own; it runs in an interpreter of its own, so a crash or an exhausted
# heap is that item's failure and nobody else's.

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nonces.plugin
import pytest

# No nonce twice, in whatever a test starts: hooks of the whole run.
from nonces.plugin import (  # noqa: F401
    pytest_configure, pytest_runtest_setup, pytest_runtest_teardown, pytest_terminal_summary,
)  # fmt: skip

ROOT = Path(__file__).resolve().parent.parent
LIBS = ("cbor", "aesccm", "hkdf", "coap", "oscore", "flashstore", "lwm2m")
RUNNER = Path(__file__).with_name("mp_runner.py")
HEAP = "256K"


def interpreter():
    """The MicroPython to test with: $MICROPYTHON, else the checkout's own."""
    named = os.environ.get("MICROPYTHON")
    for candidate in (named, Path(sys.executable).with_name("micropython"), "micropython"):
        found = candidate and shutil.which(str(candidate))
        if found:
            return found
    raise pytest.UsageError(
        "no MicroPython interpreter: `make venv` installs one, or MICROPYTHON=/path/to/micropython names yours"
    )


nonces.plugin.interpreter = interpreter


def micropath():
    """MICROPYPATH that holds every package of lib/ and the firmware's modules."""
    folders = [ROOT / "lib" / name for name in LIBS]
    folders += [ROOT / "firmware" / "modules", ROOT / "firmware" / "unix", ROOT / "tests" / "unit"]
    return ":".join([".frozen", *map(str, folders)])


class Micropython:
    """Runs scripts under MicroPython with lib/ on its path."""

    def command(self, what, *args, heap=HEAP):
        what = ["-c", what] if "\n" in str(what) or not str(what).endswith(".py") else [str(what)]
        return [interpreter(), "-X", "heapsize=" + heap, *what, *map(str, args)]

    def environment(self, extra=None):
        env = dict(os.environ, MICROPYPATH=micropath(), PYTHONUNBUFFERED="1")
        env.update(extra or {})
        return env

    def run(self, what, *args, heap=HEAP, input=None, timeout=60, env=None, cwd=ROOT):
        """Run a script (path ending in .py, or source) to its end; text in, text out."""
        return subprocess.run(
            self.command(what, *args, heap=heap),
            input=input, capture_output=True, text=True, timeout=timeout,
            env=self.environment(env), cwd=cwd,
        )

    def popen(self, what, *args, heap=HEAP, env=None, cwd=ROOT, **kw):
        """Start a script and leave it running; the caller ends it."""
        kw.setdefault("stdin", subprocess.PIPE)
        kw.setdefault("stdout", subprocess.PIPE)
        kw.setdefault("stderr", subprocess.STDOUT)
        return subprocess.Popen(
            self.command(what, *args, heap=heap), env=self.environment(env), cwd=cwd, text=True, **kw
        )


@pytest.fixture(scope="session")
def micropython():
    return Micropython()


class BoardFailure(Exception):
    pass


class BoardItem(pytest.Item):
    def __init__(self, *, heap, line, **kw):
        super().__init__(**kw)
        self.heap, self.line = heap, line

    def runtest(self):
        done = Micropython().run(RUNNER, self.path, self.name, heap=self.heap, timeout=290)
        sys.stdout.write(done.stdout)
        if done.returncode == 77:
            from needs import skip

            skip(done.stdout.strip().rsplit("\n", 1)[-1])
        if done.returncode:
            raise BoardFailure(done.stderr.strip() or "exit %d" % done.returncode)

    def repr_failure(self, excinfo):
        if isinstance(excinfo.value, BoardFailure):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self):
        return self.path, self.line, self.name


class BoardFile(pytest.File):
    def collect(self):
        source = self.path.read_text()
        heap = re.search(r"^# heapsize: (\w+)$", source, re.M)
        for node in ast.parse(source).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield BoardItem.from_parent(
                    self, name=node.name, heap=heap.group(1) if heap else HEAP, line=node.lineno - 1
                )


def pytest_collect_file(parent, file_path):
    named = parent.session.isinitpath(file_path)  # then pytest makes a module of it, below
    if file_path.suffix == ".py" and file_path.name.startswith("mp_test_") and not named:
        return BoardFile.from_parent(parent, path=file_path)


def pytest_pycollect_makemodule(module_path, parent):
    if module_path.name.startswith("mp_test_"):
        return BoardFile.from_parent(parent, path=module_path)


def pytest_report_header():
    version = Micropython().run("import sys; print(sys.version)").stdout.strip()
    return "micropython: %s (%s)" % (os.environ["NONCES_MICROPYTHON"], version)
