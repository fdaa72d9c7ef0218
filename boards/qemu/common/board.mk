# What the emulated boards share; each board's mpconfigboard.mk includes it last.
COMMON_DIR := $(BOARD_DIR)/../common
CFLAGS += -DMP_CONFIGFILE='"qport.h"' -I$(COMMON_DIR)
USER_C_MODULES := $(COMMON_DIR)/..
QSTR_GLOBAL_DEPENDENCIES += $(COMMON_DIR)/qport.h
MICROPY_VFS_LFS2 = 1
MICROPY_VFS_FAT = 1
LDFLAGS += -Wl,--wrap=mp_hal_stdio_poll -Wl,--wrap=gc_init -Wl,--wrap=mp_stack_set_limit
FROZEN_MANIFEST ?= $(BOARD_DIR)/../manifest.py
SRC_BOARD_O += shared/timeutils/timeutils.o
