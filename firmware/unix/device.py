# The device program on MicroPython's unix port: device.py IMAGE
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# What a board's boot does, then what its main.py does. Nothing here keeps two
# processes off one image: that is `microlwm2m device`'s work, which holds a lock
# on the file for as long as this process lives.

import gc
import sys

import flashfile

_REBOOT = "reboot"


# SystemExit passes through asyncio and through every `except Exception`.
def reboot():
    raise SystemExit(_REBOOT)


# What a reset is to a board: modules and all that they hold start anew. The
# process stays, and with it the lock on the image.
def run_once(kept):
    import lwm2m_app

    try:
        return lwm2m_app.main(reboot=reboot)
    except SystemExit as e:
        if e.args != (_REBOOT,):
            raise
        print("%9s reboot" % "")
    for name in list(sys.modules):
        if name not in kept:
            del sys.modules[name]
    return None


def main():
    if len(sys.argv) != 2:
        print("usage: device.py IMAGE", file=sys.stderr)
        return 2
    try:
        flashfile.mount(sys.argv[1])
    except ValueError as e:
        print("microlwm2m device: " + str(e), file=sys.stderr)
        return 1
    # Here modules come from source, and compiling leaves a lot behind: the sooner it is
    # collected, the closer together lies what stays (see lwm2m_app.main).
    gc.threshold(32768)
    kept = set(sys.modules)
    try:
        status = None
        while status is None:
            gc.collect()
            status = run_once(kept)
        return status
    except KeyboardInterrupt:
        return 0


sys.exit(main())
