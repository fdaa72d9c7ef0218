# Cortex-M3, the core of many small controllers (QEMU's mps2-an385).
# MIT license; Copyright (c) 2026 the microlwm2m authors
include boards/MPS2_AN385/mpconfigboard.mk
LDSCRIPT = $(BOARD_DIR)/../common/m3.ld
LDFLAGS += -L$(BOARD_DIR)/../common
# The disk and the parameters lie in the 16 MB of PSRAM, which -machine memory-backend= puts into
# a file on the host.
CFLAGS += -DQPORT_MORE=0x21400000 -DQPORT_MORE_LEN=0xc00000
CFLAGS += -DQPORT_ARGS=0x21000000 -DQPORT_DISK=0x21100000 -DQPORT_DISK_LEN=0x40000
include $(BOARD_DIR)/../common/board.mk
