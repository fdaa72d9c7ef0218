# The M0 has beside the firmware what boards/qemu/wide_copies.py makes: our viper primitives with
# constants of 32 bits, as the build without the mend would harm them.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# ruff: noqa: F821

include("../manifest.py")
for name in ("wide_begin", "wide_finish", "wide_reveal", "wide_blocks", "wide_sha"):
    module(name + ".py", base_path="../../../build/boards/wide", opt=3)
