# The checker of viper code: each rule planted and found, and what is allowed let through.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import subprocess
import sys
from pathlib import Path

import pytest
import viper_rules

HEAD = "from micropython import const\n_I = const(3)\n_B = b'abcd'\n"


def module(body, arguments="x: int, p: ptr32, q: ptr16, b: ptr8"):
    lines = body if isinstance(body, list) else [body]
    text = HEAD + "@micropython.viper\ndef f(%s) -> int:\n" % arguments
    return text + "".join("    %s\n" % line for line in lines)


@pytest.mark.parametrize(
    "body, fault",
    [
        ("return -x", "unary -"),
        ("return ~x", "unary ~"),
        ("return p[0] + -(x + 1)", "unary -"),
        ("return p[x]", "indexed by the local x"),
        ("return q[x]", "indexed by the local x"),
        ("q[x] = 1", "indexed by the local x"),
        ("return ptr32(b)[x]", "indexed by the local x"),
        (["w = ptr16(b)", "return w[x]"], "indexed by the local x"),
        ("return x ^ 0x80808080", "0x80808080 without uint()"),
        ("return x ^ (0x40000000 | 1)", "0x40000000 without uint()"),
        ("return ptr32(b'abcd')[0]", "ptr32 of bytes"),
        ("return ptr16(_B)[0]", "ptr16 of bytes"),
    ],
)
def test_planted_in_a_source(body, fault):
    text = module(body)
    found = viper_rules.check_source(text, "planted.py")
    assert len(found) == 1 and fault in found[0], found
    line = text[: text.index(body if isinstance(body, str) else body[-1])].count("\n") + 1
    assert found[0].startswith("planted.py:%d: " % line)


def test_native_and_bytes_for_words():
    text = module("return p[0]") + "def g():\n    f(1, b'abcd', _B, _B)\n"
    found = viper_rules.check_source(text)
    assert [line.split(": ")[1] for line in found] == [
        "bytes for an argument of f() that is words"
    ] * 2
    for what in ("def g(x):\n    return x\n", "class G:\n    pass\n"):
        (found,) = viper_rules.check_source("@micropython.native\n" + what)
        assert "@micropython.native" in found


@pytest.mark.parametrize(
    "body",
    [
        "return 0 - x", "return x ^ -1", "return p[0] + p[x + 0] + p[_I] + b[x]",
        "return x ^ int(uint(0x80808080))", "return x & 0x3fffffff", "return ptr8(_B)[0]",
    ],
)  # fmt: skip
def test_allowed(body):
    assert viper_rules.check_source(module(body)) == []


def test_only_viper_is_held_to_them():
    assert viper_rules.check_source("def f(x, p):\n    return -x + p[x] + 0x80808080\n") == []


def compiled(tmp_path, text, **kw):
    path = tmp_path / "planted.py"
    path.write_text(text)
    return viper_rules.check_compiled(text, path, **kw)


def test_a_function_of_2_kb(tmp_path):
    fits, too_long = (module(["x += p[0] ^ x"] * n + ["return x"]) for n in (20, 200))
    assert compiled(tmp_path, fits) == []
    (found,) = compiled(tmp_path, too_long)
    assert ":5: f: " in found and "bytes of armv6m code" in found


def test_a_constant_that_is_loaded_relative_to_pc(tmp_path):
    (found,) = compiled(tmp_path, module("return x ^ 0x1234ABCD"))
    assert "f: 0x1234abcd is loaded relative to PC on armv6m" in found
    # 8 bits, shifted, and 16 bits are made in place.
    assert compiled(tmp_path, module("return x ^ 0x12000000 ^ 0xABCD")) == []


def test_what_does_not_compile(tmp_path):
    found = compiled(tmp_path, module("return x + b''"))
    assert len(found) == len(viper_rules.ARCHES) and all("Error" in line for line in found)


def test_an_error_with_exit_0(tmp_path):
    # As mpy-cross 1.25 for xtensawin, which has written broken code by then.
    compiler = tmp_path / "compiler"
    compiler.write_text(
        "#!/bin/sh\nfor last; do :; done\n: > ${last%.py}.mpy; : > $4\n"
        "[ $1 != -march=xtensawin ] || echo 'ERROR: xtensa bccz out of range'\n"
    )
    compiler.chmod(0o755)
    (found,) = compiled(
        tmp_path, module("return x"), arches=("armv7m", "xtensawin"), compiler=str(compiler)
    )
    assert found.endswith("xtensawin: ERROR: xtensa bccz out of range")


def test_as_lint_calls_it(tmp_path):
    script = viper_rules.__file__
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    ours = len(viper_rules.functions(Path(viper_rules.ROOT) / "lib"))
    assert ours >= 3 and done.stdout.startswith("viper: %d functions" % ours)
    bad = tmp_path / "bad.py"
    bad.write_text(module("return -x"))
    done = subprocess.run([sys.executable, script, bad], capture_output=True, text=True)
    assert done.returncode == 1 and "bad.py:6: unary -" in done.stdout
