# What `make boards` needs is named, and the board definitions that nothing here can build are
# at least read.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import ast
import os
import re
import subprocess
import sys

import pytest
import viper_rules
from emulator import ROOT, images, need_board
from needs import skip

ESP32 = ROOT / "boards" / "esp32" / "ESP32_GENERIC"
PACKAGES = ("cbor", "aesccm", "hkdf", "coap", "oscore", "flashstore", "lwm2m")


def test_what_is_missing_is_named_with_its_package(tmp_path):
    script = ROOT / "boards" / "images.py"
    done = subprocess.run(
        [sys.executable, script, "--need"], capture_output=True, text=True,
        env=dict(os.environ, PATH=str(tmp_path)),
    )  # fmt: skip
    assert done.returncode == images.MISSING
    for package in (
        "gcc-arm-none-eabi", "gcc-riscv64-unknown-elf", "qemu-system-arm", "qemu-system-misc",
        "cmake", "nodejs", "npm", "make", "libnewlib-arm-none-eabi",
        "picolibc-riscv64-unknown-elf", "libstdc++-arm-none-eabi-newlib",
    ):  # fmt: skip
        assert " %s " % package in done.stderr.split("apt install")[1].replace("\n", " "), package
    assert "Traceback" not in done.stderr
    # The same for a script.
    named = subprocess.run(
        [sys.executable, script, "--packages"], capture_output=True, text=True,
        env=dict(os.environ, PATH=str(tmp_path)),
    )  # fmt: skip
    assert named.returncode == 0 and not named.stderr
    assert done.stderr.endswith(" " + " ".join(named.stdout.split()) + "\n")


def test_a_compiler_without_its_library_is_named(tmp_path):
    # As after `apt install gcc-arm-none-eabi --no-install-recommends`.
    for name in ("arm-none-eabi-gcc", "riscv64-unknown-elf-gcc"):
        compiler = tmp_path / name
        compiler.write_text("#!/bin/sh\necho libc.a\n")
        compiler.chmod(0o755)
    done = subprocess.run(
        [sys.executable, ROOT / "boards" / "images.py", "--need"], capture_output=True, text=True,
        env=dict(os.environ, PATH="%s:%s" % (tmp_path, os.environ["PATH"])),
    )  # fmt: skip
    assert done.returncode == images.MISSING
    for package in (
        "libnewlib-arm-none-eabi", "picolibc-riscv64-unknown-elf", "libstdc++-arm-none-eabi-newlib",
    ):  # fmt: skip
        assert package in done.stderr


def test_unknown_board():
    done = subprocess.run(
        [sys.executable, ROOT / "boards" / "images.py", "M4"], capture_output=True, text=True
    )
    assert done.returncode == 2 and "no board M4; there are M3" in done.stderr


def partitions():
    for line in (ESP32 / "partitions.csv").read_text().splitlines():
        if line and not line.startswith("#"):
            name, kind, subtype, offset, size, _ = (field.strip() for field in line.split(","))
            yield name, kind, subtype, int(offset, 0), int(size, 0)


def test_esp32_partitions():
    end = 0x9000  # the bootloader and this table lie below
    for name, kind, _, offset, size in partitions():
        assert offset == end, name
        assert offset % (0x10000 if kind == "app" else 0x1000) == 0, name
        end = offset + size
    assert end == 4 << 20
    slots = [p for p in partitions() if p[1] == "app"]
    assert [p[2] for p in slots] == ["ota_0", "ota_1"] and slots[0][4] == slots[1][4]
    assert dict((p[0], p[2]) for p in partitions())["otadata"] == "ota"


def frozen_by(manifest, tmp_path):
    """Paths in the firmware of what a manifest freezes, by MicroPython's own reader of it."""
    tree = images.OUT / "src" / images.MICROPYTHON
    if not (tree / "tools" / "manifestfile.py").exists():
        skip("no MicroPython sources: make boards")
    # Of the port, what its manifest freezes is not ours to test, and Debian's tree has not all.
    (tmp_path / "boards").mkdir()
    (tmp_path / "boards" / "manifest.py").write_text("")
    (tmp_path / "modules").mkdir()
    script = (
        "import sys; sys.path.insert(0, %r); import manifestfile as m\n"
        "f = m.ManifestFile(m.MODE_FREEZE, {'MPY_DIR': %r, 'MPY_LIB_DIR': %r, 'PORT_DIR': %r,"
        " 'BOARD_DIR': %r})\n"
        "f.execute(%r)\n"
        "print(*(file.target_path for file in f.files()))"
    )
    paths = (tree / "tools", tree, tree / "lib" / "micropython-lib", tmp_path, manifest.parent)
    done = subprocess.run(
        [sys.executable, "-c", script % (*map(str, paths), str(manifest))],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def firmware():
    """Paths in the firmware of all that there is to freeze."""
    found = {file.name for file in (ROOT / "firmware" / "modules").glob("*.py")}
    for package in PACKAGES:
        source = ROOT / "lib" / package / package
        found.update(file.relative_to(source.parent).as_posix() for file in source.rglob("*.py"))
    return found


@pytest.mark.parametrize("board", ["rp2/RPI_PICO_W", "rp2/RPI_PICO_PPP", "esp32/ESP32_GENERIC"])
def test_manifest_freezes_all_of_the_firmware(board, tmp_path):
    frozen = frozen_by(ROOT / "boards" / board / "manifest.py", tmp_path)
    assert firmware() <= set(frozen)


def test_minimal_manifest_freezes_all_but_what_it_names(tmp_path):
    manifest = ROOT / "firmware" / "manifest_minimal.py"
    text = manifest.read_text()
    named = ast.literal_eval(re.search(r"LEFT_OUT = (\(.*?\n\))", text, re.S).group(1))
    assert set(named) < firmware()
    frozen = frozen_by(manifest, tmp_path)
    assert sorted(frozen) == sorted(firmware() - set(named))


# For the ESP32 there is no toolchain and no emulator here: what can be seen is that all of its frozen
# modules compile for its cores (xtensawin; rv32imc as the ESP32-C3).
@pytest.mark.parametrize("arch", ["xtensawin", "rv32imc"])
def test_all_frozen_modules_compile_for_the_esp32(arch):
    modules = [*(ROOT / "lib").rglob("*.py"), *(ROOT / "firmware" / "modules").glob("*.py")]
    modules = [path for path in modules if path.name != "manifest.py"]
    assert len(modules) > 50
    for path in modules:
        mpy, said = viper_rules.compiled(path, arch)
        assert mpy and not said, (path, said)


@pytest.mark.parametrize("board", ["M0", "RV32", "PICO"])
def test_frozen_native_code_is_at_multiples_of_4(board):
    need_board(board)
    assert images.check_alignment(board, images.OUT / board / "work") > 0
