// Clock, console and boot of the emulated boards.
// MIT license; Copyright (c) 2026 the microlwm2m authors

#include <string.h>

#include "py/gc.h"
#include "py/mphal.h"
#include "py/objstr.h"
#include "py/runtime.h"
#include "py/stream.h"
#include "qport_disk.h"
#include "qport_socket.h"
#include "shared/runtime/pyexec.h"

// Parameters that the emulator's command line leaves in memory before the start
// (-device loader,addr=QPORT_ARGS,...): bytes of heap, the seed of os.urandom, bytes of stack, ms
// between two sayings of what the heap holds. Zero, as memory is without them, means all of the
// heap, seed 0, the port's own limit, and silence.
#define ARGS ((volatile uint32_t *)QPORT_ARGS)

#define REG(a) (*(volatile uint32_t *)(a))

/******************************************************************************/
// A counter of 32 bits, widened: whoever reads the time or sleeps does so more
// often than it wraps (171 s on the M3, 268 s on the M0).

#if defined(QEMU_SOC_MPS2)

#define TIMER 0x40002000 // CMSDK dual timer, counts down
#define HZ 25000000

static void counter_init(void) {
    if (!(REG(TIMER + 8) & 0x80)) {
        REG(TIMER + 0) = 0xffffffff; // load
        REG(TIMER + 8) = 0x82; // enabled, free running, 32 bits
    }
}

static inline uint32_t counter(void) {
    return ~REG(TIMER + 4);
}

#elif defined(QEMU_SOC_NRF51)

#define TIMER 0x40008000 // TIMER0
#define HZ 16000000

static void counter_init(void) {
    REG(TIMER + 0x508) = 3; // 32 bits
    REG(TIMER + 0x510) = 0; // no prescaler
    REG(TIMER + 0x000) = 1; // start
}

static inline uint32_t counter(void) {
    REG(TIMER + 0x040) = 1; // capture into CC[0]
    return REG(TIMER + 0x540);
}

#elif defined(QEMU_SOC_VIRT)

#define HZ 10000000

static void counter_init(void) {
}

static inline uint32_t counter(void) {
    return REG(0x0200bff8); // mtime
}

#endif

static uint32_t counter_high, counter_last;

static uint64_t ticks(void) {
    uint32_t now = counter();
    if (now < counter_last) {
        counter_high++;
    }
    counter_last = now;
    return (uint64_t)counter_high << 32 | now;
}

mp_uint_t mp_hal_ticks_ms(void) {
    return ticks() / (HZ / 1000);
}

mp_uint_t mp_hal_ticks_us(void) {
    return ticks() * 10 / (HZ / 100000);
}

mp_uint_t mp_hal_ticks_cpu(void) {
    return counter();
}

uint64_t mp_hal_time_ns(void) {
    return ticks() * 10 / (HZ / 100000) * 1000;
}

void mp_hal_delay_us(mp_uint_t us) {
    uint64_t end = ticks() + (uint64_t)us * (HZ / 100000) / 10;
    while (ticks() < end) {
    }
}

void mp_hal_delay_ms(mp_uint_t ms) {
    uint64_t end = ticks() + (uint64_t)ms * (HZ / 1000);
    do {
        mp_event_handle_nowait();
    } while (ticks() < end);
}

// FAT's date: there is no calendar.
uint32_t get_fattime(void) {
    return (2000 - 1980) << 25 | 1 << 21 | 1 << 16;
}

/******************************************************************************/
// Is there a character for the REPL? The stock port answers no.

#if defined(QEMU_SOC_MPS2)
#define RX_READY (REG(0x40004004) & 2)
#elif defined(QEMU_SOC_NRF51)
#define RX_READY (REG(0x40002108))
#elif defined(QEMU_SOC_VIRT)
#define RX_READY (*(volatile uint8_t *)0x10000005 & 1)
#endif

uintptr_t __wrap_mp_hal_stdio_poll(uintptr_t flags) {
    uintptr_t ready = flags & MP_STREAM_POLL_WR;
    if ((flags & MP_STREAM_POLL_RD) && RX_READY) {
        ready |= MP_STREAM_POLL_RD;
    }
    return ready;
}

/******************************************************************************/
// Less heap than the image was built for, by parameter: one image serves all sizes. Or more, for
// tests that keep whole worlds: then it lies in memory that no such board has.

void __real_gc_init(void *start, void *end);

void __wrap_gc_init(void *start, void *end) {
    uint32_t heap = ARGS[0];
    if (heap && heap < (uint32_t)((char *)end - (char *)start)) {
        end = (char *)start + (heap & ~15);
    } else if (heap > (uint32_t)((char *)end - (char *)start)) {
        start = (char *)QPORT_MORE;
        end = (char *)start + ((heap < QPORT_MORE_LEN ? heap : QPORT_MORE_LEN) & ~15);
    }
    __real_gc_init(start, end);
}

// More stack than the port allows (10 KB; the RAM above the heap is free), by parameter: for
// tests that are both ends of a network and the wire in one.

void __real_mp_stack_set_limit(mp_uint_t limit);

void __wrap_mp_stack_set_limit(mp_uint_t limit) {
    __real_mp_stack_set_limit(ARGS[2] ? ARGS[2] : limit);
}

// While the program waits in poll, by parameter: what it holds of the heap, said from outside of it.
// That is from C called by Python, never from an interrupt: gc_collect finds all in the registers and
// on the stack, as gc.collect() does. Not where micropython.heap_lock() holds.

void qport_wait(void) {
    static mp_uint_t said;
    if (ARGS[3] && mp_hal_ticks_ms() - said >= ARGS[3] && !gc_is_locked()) {
        gc_collect();
        gc_info_t info;
        gc_info(&info);
        mp_printf(&mp_plat_print, "heap used=%u free=%u\n", (unsigned)info.used, (unsigned)info.free);
        said = mp_hal_ticks_ms();
    }
}

// xorshift32
static uint32_t random_state;

uint32_t qport_random(void) {
    uint32_t x = random_state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return random_state = x;
}

/******************************************************************************/
// The module qport.

// ticks(): the counter itself, for instruction counts; 24 bits of it are exact in any
// difference that fits, and a small int costs no heap.
static mp_obj_t qport_ticks(void) {
    return MP_OBJ_NEW_SMALL_INT(counter() & 0x3fffffff);
}
static MP_DEFINE_CONST_FUN_OBJ_0(qport_ticks_obj, qport_ticks);

static const mp_rom_map_elem_t qport_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_qport) },
    { MP_ROM_QSTR(MP_QSTR_disk), MP_ROM_PTR(&qport_disk_obj) },
    { MP_ROM_QSTR(MP_QSTR_ticks), MP_ROM_PTR(&qport_ticks_obj) },
    { MP_ROM_QSTR(MP_QSTR_HZ), MP_ROM_INT(HZ) },
};
static MP_DEFINE_CONST_DICT(qport_dict, qport_table);

const mp_obj_module_t qport_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&qport_dict,
};
MP_REGISTER_MODULE(MP_QSTR_qport, qport_module);

void qport_boot(void) {
    counter_init();
    qport_socket_init();
    if (!random_state) {
        random_state = ARGS[1] * 2654435761u ^ 0x6d2b79f5;
        random_state += !random_state;
    }
    pyexec_frozen_module("_boot.py", false);
    // As on real boards: not after a soft reset out of the raw REPL.
    if (pyexec_mode_kind == PYEXEC_MODE_FRIENDLY_REPL) {
        pyexec_file_if_exists("main.py");
    }
}
