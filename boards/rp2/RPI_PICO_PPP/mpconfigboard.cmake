# Raspberry Pi Pico with a network over PPP on UART 0: a cellular modem, or another computer.
# MIT license; Copyright (c) 2026 the microlwm2m authors
set(PICO_BOARD "pico")
set(PICO_PLATFORM "rp2040")
set(MICROPY_PY_LWIP ON)

if(NOT MICROPY_FROZEN_MANIFEST)
    set(MICROPY_FROZEN_MANIFEST ${MICROPY_BOARD_DIR}/manifest.py)
endif()

include(${CMAKE_CURRENT_LIST_DIR}/../align.cmake)
