# Frozen into the emulated boards: the disk, asyncio, the firmware, a network for those without.
# MIT license; Copyright (c) 2026 the microlwm2m authors

freeze("common/modules")
include("$(MPY_DIR)/extmod/asyncio")
include("../../firmware/manifest.py")
