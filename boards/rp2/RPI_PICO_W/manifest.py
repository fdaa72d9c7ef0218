# Frozen into the Pico W: what the port freezes, and the firmware.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# ruff: noqa: F821

include("$(PORT_DIR)/boards/manifest.py")
include("../../../firmware/manifest.py")
