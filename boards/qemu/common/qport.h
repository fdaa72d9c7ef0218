// What the emulated boards have beyond the stock QEMU port: a clock, poll, asyncio, a disk.
// MIT license; Copyright (c) 2026 the microlwm2m authors

#include "mpconfigport.h"

#undef MICROPY_PY_TIME
#define MICROPY_PY_TIME (1)
#define MICROPY_PY_TIME_TIME_TIME_NS (1)
#define MICROPY_PY_TIME_GMTIME_LOCALTIME_MKTIME (1)
#define MICROPY_PY_TIME_INCLUDEFILE "qport_time.h"

// The name of its file in each module: 8 bytes of heap each, and the name.
#undef MICROPY_PY___FILE__
#define MICROPY_PY___FILE__ (0)

#undef MICROPY_PY_SELECT
#define MICROPY_PY_SELECT (1)
#undef MICROPY_PY_ASYNCIO
#define MICROPY_PY_ASYNCIO (1)
// mpremote's mount reads sys.stdin.buffer and polls it.
#undef MICROPY_PY_SYS_STDIO_BUFFER
#define MICROPY_PY_SYS_STDIO_BUFFER (1)

#define MICROPY_PY_OS_INCLUDEFILE "qport_os.h"
#define MICROPY_PY_OS_URANDOM (1)

// After every start and every soft reset, so that the disk is always mounted.
void qport_boot(void);
#define MICROPY_PORT_INIT_FUNC qport_boot()

// Where select.poll waits: nothing sleeps here, but what the heap holds is said.
void qport_wait(void);
#define MICROPY_INTERNAL_WFE(timeout_ms) qport_wait()

#if defined(QEMU_SOC_NRF51)
// The stock port has no emitter for the Cortex-M0.
#define MICROPY_EMIT_THUMB (1)
#define MICROPY_EMIT_THUMB_ARMV7M (0)
#define MICROPY_EMIT_INLINE_THUMB (1)
#define MICROPY_EMIT_INLINE_THUMB_FLOAT (0)
#endif

// FAT as the ports set it.
#define MICROPY_FATFS_ENABLE_LFN (1)
#define MICROPY_FATFS_LFN_CODE_PAGE 437
#define MICROPY_FATFS_RPATH (2)
#define MICROPY_FATFS_MAX_SS (4096)
