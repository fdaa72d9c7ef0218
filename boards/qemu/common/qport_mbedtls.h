// Of mbed TLS: AES with its tables in flash, as MicroPython's ports set it, and SHA-256.
// MIT license; Copyright (c) 2026 the microlwm2m authors

#define MBEDTLS_AES_C
#define MBEDTLS_AES_ROM_TABLES
#define MBEDTLS_CIPHER_MODE_CBC
#define MBEDTLS_CIPHER_MODE_CTR
#define MBEDTLS_SHA256_C
#define MBEDTLS_SHA256_SMALLER
