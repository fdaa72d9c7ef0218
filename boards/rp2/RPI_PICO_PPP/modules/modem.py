# Brings the network up over PPP on UART 0 (GP0 transmits, GP1 receives).
# MIT license; Copyright (c) 2026 the microlwm2m authors

import time

import network
from machine import UART, Pin


def connect(baudrate=921600, timeout_ms=30000):
    """Bring PPP up and return the interface; OSError(ETIMEDOUT) when nobody answers.

    A cellular modem wants its AT commands before this: `ATD*99#` and the like.
    """
    # Without a buffer of some datagrams the line overruns while Python is busy.
    uart = UART(0, baudrate, tx=Pin(0), rx=Pin(1), rxbuf=4096)
    ppp = network.PPP(uart)
    ppp.connect()
    start = time.ticks_ms()
    while not ppp.isconnected():
        if time.ticks_diff(time.ticks_ms(), start) > timeout_ms:
            ppp.disconnect()
            raise OSError(116)
        time.sleep_ms(20)
    return ppp
