# AES over the board's own cryptolib (mbed TLS, or the AES unit of an ESP32).
# MIT license; Copyright (c) 2026 the microlwm2m authors
# The block cipher that aesccm takes by default: any object with such an `aes` does.

from cryptolib import aes as aes
