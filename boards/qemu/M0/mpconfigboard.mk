# Cortex-M0 (QEMU's microbit), the instructions of the RP2040: faults on unaligned access.
# MIT license; Copyright (c) 2026 the microlwm2m authors
include boards/MICROBIT/mpconfigboard.mk
LDSCRIPT = $(BOARD_DIR)/../common/m0.ld
LDFLAGS += -L$(BOARD_DIR)/../common
MPY_CROSS_FLAGS := -march=armv6m
# Needs -global nrf51-soc.sram-size=1048576: the upper half holds the parameters and the disk.
CFLAGS += -DQPORT_MORE=0x20040000 -DQPORT_MORE_LEN=0x40000
CFLAGS += -DQPORT_ARGS=0x20080000 -DQPORT_DISK=0x20090000 -DQPORT_DISK_LEN=0x40000
FROZEN_MANIFEST ?= $(BOARD_DIR)/manifest.py
include $(BOARD_DIR)/../common/board.mk
include $(BOARD_DIR)/../common/align.mk
