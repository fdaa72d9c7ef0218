// Raspberry Pi Pico with PPP: half of the 2 MB flash is the file system.
// MIT license; Copyright (c) 2026 the microlwm2m authors

#define MICROPY_HW_BOARD_NAME "Raspberry Pi Pico with PPP"
#define MICROPY_HW_FLASH_STORAGE_BYTES (1024 * 1024)

#define MICROPY_PY_NETWORK (1)
#define MICROPY_PY_NETWORK_PPP_LWIP (1)

// The name of its file in each module: 8 bytes of heap each, and the name.
#define MICROPY_PY___FILE__ (0)
