# Counts mbed TLS -Os on the emulated cores: the C that our figures are held against.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import subprocess
import sys
from pathlib import Path

from modules import OUT, ROOT

sys.path.insert(0, str(ROOT / "boards"))
import images  # noqa: E402

HERE = Path(__file__).with_name("reference")
LIBRARY = ("aes", "ccm", "sha256", "block_cipher", "constant_time")
ARM = ["-specs=nosys.specs"]
# Core: compiler prefix, flags, where code and data lie, how to run it
CORES = {
    "M3": ("arm-none-eabi-", ["-mcpu=cortex-m3", "-mthumb", "-DCORE_M3", *ARM], 0, 0x20000000,
           ["qemu-system-arm", "-machine", "mps2-an385"]),
    "M0": ("arm-none-eabi-", ["-mcpu=cortex-m0", "-mthumb", "-DCORE_M0", *ARM], 0, 0x20000000,
           ["qemu-system-arm", "-machine", "microbit"]),
    "RV32": ("riscv64-unknown-elf-",
             ["-march=rv32imc", "-mabi=ilp32", "-misa-spec=2.2", "-specs=picolibc.specs",
              "-nostartfiles"], 0x80000000, 0x80100000,
             ["qemu-system-riscv32", "-machine", "virt", "-bios", "none"]),
}  # fmt: skip


def count(core):
    """{what: instructions}. Raises FileNotFoundError where compiler, emulator or mbed TLS lack."""
    prefix, flags, flash, ram, machine = CORES[core]
    mbedtls = images.OUT / "src" / images.MICROPYTHON / "lib" / "mbedtls"
    if not (mbedtls / "library" / "ccm.c").exists():
        raise FileNotFoundError("%s (make boards)" % mbedtls)
    elf = OUT / ("reference-%s.elf" % core)
    elf.parent.mkdir(parents=True, exist_ok=True)
    command = [prefix + "gcc", *flags, "-Os", "-ffunction-sections", "-Wl,--gc-sections"]
    command += ["-nostartfiles", "-T", str(HERE / "ref.ld"), "-I", str(HERE)]
    command += ["-Wl,--defsym=FLASH=%#x,--defsym=RAM=%#x" % (flash, ram)]
    command += ["-DMBEDTLS_CONFIG_FILE=\"config.h\"", "-I", str(mbedtls / "include")]
    command += [str(HERE / "ref.c"), *(str(mbedtls / "library" / (n + ".c")) for n in LIBRARY)]
    done = subprocess.run([*command, "-o", str(elf)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit("reference for %s:\n%s" % (core, done.stderr))
    run = [*machine, "-nographic", "-monitor", "none", "-serial", "none", "-icount", "shift=10"]
    run += ["-semihosting-config", "enable=on,target=native", "-kernel", str(elf)]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60)
    figures = {}
    for line in (done.stdout + done.stderr).splitlines():
        name, tab, value = line.partition("\t")
        if tab:
            figures[name] = int(value)
    if "CCM open 1024 B" not in figures or "bad" in figures:
        raise SystemExit("reference for %s printed:\n%s%s" % (core, done.stdout, done.stderr))
    return figures


if __name__ == "__main__":
    for core in sys.argv[1:] or CORES:
        print(core, count(core))
