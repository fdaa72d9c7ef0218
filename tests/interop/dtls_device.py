# The device program with a hasty CoAP and DTLS, run by test_dtls.py under MicroPython.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# argv: IMAGE ACK_MS HANDSHAKE_MS. A server that is gone shows by silence; this is how long.

import gc
import sys

import flashfile


def main(image, ack_ms, handshake_ms):
    # First, since it moves the folders that packages are imported from.
    flashfile.mount(image)
    gc.threshold(32768)
    from coap.dtls import DTLS
    from coap.params import Params

    Params.ack_timeout_ms = int(ack_ms)
    DTLS.handshake_ms = int(handshake_ms)
    import lwm2m_app

    return lwm2m_app.main(reboot=sys.exit)


sys.exit(main(*sys.argv[1:]))
