// Raspberry Pi Pico W. The radio's firmware takes 225 KB of flash: the file system has 848 KB.
// MIT license; Copyright (c) 2026 the microlwm2m authors

#define MICROPY_HW_BOARD_NAME "Raspberry Pi Pico W"
#define MICROPY_HW_FLASH_STORAGE_BYTES (848 * 1024)

#define MICROPY_PY_NETWORK (1)
#define MICROPY_PY_NETWORK_HOSTNAME_DEFAULT "PicoW"

// The radio: over PIO's SPI, with lwIP, and its three pins as EXT_GPIO.
#define CYW43_USE_SPI (1)
#define CYW43_LWIP (1)
#define CYW43_GPIO (1)
#define CYW43_SPI_PIO (1)
#define MICROPY_HW_PIN_EXT_COUNT CYW43_WL_GPIO_COUNT

// The radio's interrupt pin keeps its interrupt over a soft reset.
int mp_hal_is_pin_reserved(int n);
#define MICROPY_HW_PIN_RESERVED(i) mp_hal_is_pin_reserved(i)

// The name of its file in each module: 8 bytes of heap each, and the name.
#define MICROPY_PY___FILE__ (0)
