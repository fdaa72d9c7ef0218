# AES-CCM, HMAC and HKDF agree with `cryptography` on random cases; forgeries are refused.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import ast
import hmac
import random
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SCRIPT = Path(__file__).with_name("agree_crypto.py")
AES = ("default", "native", "viper", "own")
SHA = ("default", "viper")


def seeded():
    seed = random.SystemRandom().getrandbits(32)
    print("seed", seed)  # pytest shows it when the test fails
    return random.Random(seed)


def hexed(data):
    return data.hex() or "-"


def ask(micropython, lines, *args, heap="256K"):
    done = micropython.run(SCRIPT, *args, heap=heap, input="\n".join(lines) + "\n", timeout=100)
    assert done.returncode == 0, done.stderr
    answers = done.stdout.split("\n")[:-1]
    assert len(answers) == len(lines)
    return answers


def size(r, most):
    """Lengths with an eye on the edges of blocks."""
    return r.choice((r.randrange(most), r.randrange(70), 16 * r.randrange(most // 16) + r.choice((-1, 0, 1)) % most))


def ccm_case(r, n, alen, nlen=None):
    tag_length = r.choice((4, 6, 8, 10, 12, 14, 16))
    key, nonce = r.randbytes(16), r.randbytes(nlen or r.randrange(7, 14))
    text, aad = r.randbytes(n), r.randbytes(alen)
    want = AESCCM(key, tag_length).encrypt(nonce, text, aad).hex()
    fields = [hexed(f) for f in (key, nonce, aad, text)]
    fields += [str(i) for i in (tag_length, r.randrange(1 << 30), r.randrange(8))]
    return "ccm " + " ".join(fields), want


@pytest.mark.parametrize("aes", AES)
def test_aesccm_agrees(micropython, aes):
    r = seeded()
    # A forgery of a 4-byte tag passes once in 2 ** 32: not in the lifetime of this test.
    cases = [ccm_case(r, size(r, 800), size(r, 400)) for _ in range(1000)]
    answers = ask(micropython, [c[0] for c in cases], aes, "default")
    for (line, want), got in zip(cases, answers):
        assert got == want, line


@pytest.mark.parametrize("aes", AES)
def test_aesccm_agrees_on_large_messages(micropython, aes):
    """The long form of the associated data's length, and counters beyond 16 bits."""
    r = seeded()
    cases = [
        ccm_case(r, 100, 0xFEFF), ccm_case(r, 0, 0xFF00), ccm_case(r, 65535, 70000, 13),
        ccm_case(r, 65536, 3, 12), ccm_case(r, 70001, 0, 7),
    ]
    answers = ask(micropython, [c[0] for c in cases], aes, "default", heap="4M")
    for (line, want), got in zip(cases, answers):
        assert got == want, line[:80]


@pytest.mark.parametrize("sha256", SHA)
def test_hkdf_and_hmac_agree(micropython, sha256):
    r = seeded()
    cases = []
    for _ in range(600):
        ikm, salt, info = (r.randbytes(size(r, 200)) for _ in range(3))
        n = r.randrange(1, 300)
        want = HKDF(SHA256(), n, salt, info).derive(ikm).hex()
        cases.append(("hkdf %s %s %s %d" % (hexed(ikm), hexed(salt), hexed(info), n), want))
        cases.append(("hmac %s %s" % (hexed(salt), hexed(ikm)), hmac.digest(salt, ikm, "sha256").hex()))
    answers = ask(micropython, [c[0] for c in cases], "default", sha256)
    for (line, want), got in zip(cases, answers):
        assert got == want, line


def test_tags_are_compared_to_their_end():
    """No time tells how much of a tag was right: the loops over it have no way out and no branch."""
    source = Path(__file__).resolve().parents[2] / "lib/aesccm/aesccm/__init__.py"
    compared = 0
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.While) and re.search(r"\b[xc] \|= ", ast.unparse(node)):
            inside = [n for statement in node.body for n in ast.walk(statement)]
            if any(isinstance(n, ast.While) for n in inside):
                continue  # it is in a loop inside
            compared += 1
            branches = (ast.If, ast.IfExp, ast.BoolOp, ast.Compare, ast.Break, ast.Continue, ast.Return)
            assert not [n for n in inside if isinstance(n, branches)], ast.unparse(node)
            assert ast.unparse(node.test) in ("i < n", "tag_len")  # lengths, which are no secret
    assert compared == 2
