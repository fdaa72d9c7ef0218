# Raspberry Pi Pico W: Wi-Fi and the firmware of this package. Bluetooth stays out.
# MIT license; Copyright (c) 2026 the microlwm2m authors
set(PICO_BOARD "pico_w")
set(PICO_PLATFORM "rp2040")
set(MICROPY_PY_LWIP ON)
set(MICROPY_PY_NETWORK_CYW43 ON)

if(NOT MICROPY_FROZEN_MANIFEST)
    set(MICROPY_FROZEN_MANIFEST ${MICROPY_BOARD_DIR}/manifest.py)
endif()

include(${CMAKE_CURRENT_LIST_DIR}/../align.cmake)
