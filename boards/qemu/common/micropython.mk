# The user C modules of the emulated boards.
QPORT_DIR := $(USERMOD_DIR)
SRC_USERMOD_C += $(addprefix $(QPORT_DIR)/,qport.c qport_disk.c qport_socket.c)

# CRYPTOLIB=1: AES in C from mbed TLS, as ports with TLS have it.
ifeq ($(CRYPTOLIB),1)
CFLAGS_USERMOD += -DMICROPY_PY_CRYPTOLIB=1 -DMICROPY_PY_CRYPTOLIB_CTR=1 -DMICROPY_SSL_MBEDTLS=1
CFLAGS_USERMOD += -I$(MBEDTLS)/include -DMBEDTLS_CONFIG_FILE='"qport_mbedtls.h"'
SRC_USERMOD_LIB_C += $(MBEDTLS)/library/aes.c $(MBEDTLS)/library/sha256.c $(MBEDTLS)/library/platform_util.c
endif
