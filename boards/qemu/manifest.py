# Frozen into the emulated boards: the start, a probe, asyncio, the firmware.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# ruff: noqa: F821

module("_boot.py", base_path="common/modules")
module("wide.py", base_path="common/modules", opt=3)
include("$(MPY_DIR)/extmod/asyncio")
include("../../firmware/manifest.py")
