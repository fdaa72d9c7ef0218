# RV32IMC, the instructions of the ESP32-C3 (QEMU's virt).
# MIT license; Copyright (c) 2026 the microlwm2m authors
# Debian's gcc has no libraries for rv32imac_zicsr; this pair it has, with the same code.
RV32_ARCH = rv32imac
AFLAGS += -misa-spec=2.2
include boards/VIRT_RV32/mpconfigboard.mk
CFLAGS += -DQPORT_MORE=0x80c00000 -DQPORT_MORE_LEN=0xc00000
CFLAGS += -DQPORT_ARGS=0x80700000 -DQPORT_DISK=0x80710000 -DQPORT_DISK_LEN=0x40000
include $(BOARD_DIR)/../common/board.mk
include $(BOARD_DIR)/../common/align.mk
