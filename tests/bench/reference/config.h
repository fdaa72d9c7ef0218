// What of mbed TLS is compiled, with the settings that MicroPython has for it.
// MIT license; Copyright (c) 2026 the microlwm2m authors
#define MBEDTLS_AES_C
#define MBEDTLS_AES_ROM_TABLES
#define MBEDTLS_CCM_C
#define MBEDTLS_SHA256_C
#define MBEDTLS_PLATFORM_C
#define MBEDTLS_PLATFORM_ZEROIZE_ALT
