# tools/mpy-tool.py (up to 1.29) puts frozen native code at multiples of 2. The RP2040's core loads
# its constants relative to a PC rounded down to 4: code at 2 mod 4 reads them two bytes off and
# computes wrong numbers without a crash. Runs at the end of the port's CMakeLists.
# MIT license; Copyright (c) 2026 the microlwm2m authors
cmake_language(DEFER CALL add_custom_command TARGET BUILD_FROZEN_CONTENT POST_BUILD
    COMMAND sed -i "s/__attribute__ ((aligned (2)))/__attribute__ ((aligned (4)))/" frozen_content.c
    WORKING_DIRECTORY ${CMAKE_BINARY_DIR} VERBATIM)
