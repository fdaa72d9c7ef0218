# Any module with an ESP32 and 4 MB of flash: Wi-Fi and the firmware of this package.
# MIT license; Copyright (c) 2026 the microlwm2m authors
set(SDKCONFIG_DEFAULTS
    boards/sdkconfig.base
    ${MICROPY_BOARD_DIR}/sdkconfig.board
)

if(NOT MICROPY_FROZEN_MANIFEST)
    set(MICROPY_FROZEN_MANIFEST ${MICROPY_BOARD_DIR}/manifest.py)
endif()
