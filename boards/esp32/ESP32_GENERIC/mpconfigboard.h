// Any module with an ESP32 and 4 MB of flash.
// MIT license; Copyright (c) 2026 the microlwm2m authors

#define MICROPY_HW_BOARD_NAME "ESP32 with microlwm2m"
#define MICROPY_HW_MCU_NAME "ESP32"
#define MICROPY_PY_BLUETOOTH (0)

// The name of its file in each module: 8 bytes of heap each, and the name.
#define MICROPY_PY___FILE__ (0)
