// mbed TLS' AES-CCM and SHA-256 on the emulated cores, without anything around them.
// MIT license; Copyright (c) 2026 the microlwm2m authors
// Prints one line for each: name, tab, instructions. Under -icount shift=10 one instruction is
// 1,024 ns of the emulator's time.

#include <stdint.h>
#include <string.h>

#include "mbedtls/aes.h"
#include "mbedtls/ccm.h"
#include "mbedtls/sha256.h"

#define REG(a) (*(volatile uint32_t *)(a))

#if defined(CORE_M3)
#define HZ 25000000ull
static void timer_init(void) {
    REG(0x40002000) = 0xffffffff;
    REG(0x40002008) = 0x82;
}
static uint32_t ticks(void) {
    return ~REG(0x40002004);
}
#elif defined(CORE_M0)
#define HZ 16000000ull
static void timer_init(void) {
    REG(0x40008508) = 3;
    REG(0x40008510) = 0;
    REG(0x40008000) = 1;
}
static uint32_t ticks(void) {
    REG(0x40008040) = 1;
    return REG(0x40008540);
}
#else
#define HZ 10000000ull
static void timer_init(void) {
}
static uint32_t ticks(void) {
    return REG(0x0200bff8);
}
#endif

static int semihost(int op, const void *arg) {
    #if defined(__riscv)
    register int a0 __asm__("a0") = op;
    register const void *a1 __asm__("a1") = arg;
    __asm__ volatile (
        ".option push\n.option norvc\n.balign 16\n"
        "slli x0, x0, 0x1f\nebreak\nsrai x0, x0, 7\n.option pop\n"
        : "+r" (a0) : "r" (a1) : "memory");
    return a0;
    #else
    register int r0 __asm__("r0") = op;
    register const void *r1 __asm__("r1") = arg;
    __asm__ volatile ("bkpt 0xab" : "+r" (r0) : "r" (r1) : "memory");
    return r0;
    #endif
}

static void print(const char *name, uint32_t n) {
    char line[80], digits[12];
    char *p = digits + sizeof(digits) - 1;
    *p = 0;
    do {
        *--p = '0' + n % 10;
        n /= 10;
    } while (n);
    size_t a = strlen(name), b = strlen(p);
    memcpy(line, name, a);
    line[a] = '\t';
    memcpy(line + a + 1, p, b);
    line[a + 1 + b] = '\n';
    line[a + 2 + b] = 0;
    semihost(4, line); // SYS_WRITE0
}

static uint32_t instructions(uint32_t from, uint32_t to) {
    return ((uint64_t)(to - from) * 1000000000 + HZ * 512) / (HZ * 1024);
}

static uint32_t nothing;

// Twice, since the first may build tables; less what the two readings of the timer take.
#define COUNT(name, call) do { \
        for (int turn = 0; turn < 2; turn++) { \
            uint32_t start = ticks(); \
            call; \
            uint32_t end = ticks(); \
            if (turn) { \
                print(name, instructions(start, end) - nothing); \
            } \
        } \
} while (0)

static mbedtls_ccm_context ccm;
static mbedtls_aes_context aes;
static unsigned char key[16], nonce[13], aad[25], text[1024], out[1024], tag[8];
static unsigned char digest[32];

int main(void) {
    timer_init();
    for (int i = 0; i < 2; i++) {
        uint32_t start = ticks();
        nothing = instructions(start, ticks());
    }
    for (int i = 0; i < 16; i++) {
        key[i] = i;
    }
    mbedtls_aes_init(&aes);
    mbedtls_ccm_init(&ccm);
    COUNT("AES key", mbedtls_aes_setkey_enc(&aes, key, 128));
    COUNT("AES block", mbedtls_aes_crypt_ecb(&aes, MBEDTLS_AES_ENCRYPT, text, out));
    mbedtls_ccm_setkey(&ccm, MBEDTLS_CIPHER_ID_AES, key, 128);
    static const struct { const char *seal, *open; size_t n; } sizes[] = {
        {"CCM seal 16 B", "CCM open 16 B", 16},
        {"CCM seal 64 B", "CCM open 64 B", 64},
        {"CCM seal 256 B", "CCM open 256 B", 256},
        {"CCM seal 1024 B", "CCM open 1024 B", 1024},
    };
    int bad = 0;
    for (int i = 0; i < 4; i++) {
        size_t n = sizes[i].n;
        COUNT(sizes[i].seal, mbedtls_ccm_encrypt_and_tag(&ccm, n, nonce, 13, aad, 25, text, out, tag, 8));
        COUNT(sizes[i].open, bad |= mbedtls_ccm_auth_decrypt(&ccm, n, nonce, 13, aad, 25, out, text, tag, 8));
    }
    COUNT("SHA-256 of 55 B", mbedtls_sha256(text, 55, digest, 0));
    if (bad) {
        print("bad", bad);
    }
    #if defined(__riscv)
    static const uint32_t end[2] = {0x20026, 0};
    semihost(0x18, end);
    #else
    semihost(0x18, (const void *)0x20026);
    #endif
    for (;;) {
    }
}

void mbedtls_platform_zeroize(void *buf, size_t len) {
    volatile unsigned char *p = buf;
    while (len--) {
        *p++ = 0;
    }
}

extern char stack_top, data_load, data_start, data_end, bss_start, bss_end;

void start(void) {
    memcpy(&data_start, &data_load, &data_end - &data_start);
    memset(&bss_start, 0, &bss_end - &bss_start);
    main();
}

#if defined(__riscv)
__asm__(".section .start,\"ax\"\n.globl entry\nentry: la sp, stack_top\ncall start\n");
#else
__attribute__((section(".start"), used)) static const void *const vectors[16] = {&stack_top, start};
#endif
