# Frozen into the Pico with PPP: the port's own modules, asyncio, the firmware and the modem.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# ruff: noqa: F821

freeze("$(PORT_DIR)/modules")
include("$(MPY_DIR)/extmod/asyncio")
include("../../../firmware/manifest.py")
module("modem.py", base_path="modules", opt=3)
