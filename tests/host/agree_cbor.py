# Decodes and encodes again what stdin holds; runs under MicroPython.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# A line in: CBOR in hex. A line out: `= HEX`, what dumps() makes of the object, or
# `! REASON` when loads() refuses it; `skip` before it when skip() has another opinion.

import sys
from binascii import hexlify, unhexlify

import cbor

cbor.MAX_DEPTH = int(sys.argv[1])
cbor.MAX_ITEMS = int(sys.argv[2])

while True:
    line = sys.stdin.readline().strip()
    if not line:
        break
    data = unhexlify("" if line == "-" else line)
    try:
        cbor.Reader(data).skip()
        skipped = True
    except cbor.CBORDecodeError:
        skipped = False
    try:
        r = cbor.Reader(data)
        obj = r.value()
        answer = "= " if r.pos == r.end else "+ "
        again = cbor.dumps(obj)
        # A buffer of just that size takes it as well, and one byte less does not.
        w = cbor.Writer(memoryview(bytearray(len(again))))
        w.value(obj)
        if w.view() != again:
            answer = "writer "
        try:
            cbor.Writer(bytearray(len(again) - 1)).value(obj)
            answer = "writer "
        except ValueError:
            pass
        answer += hexlify(again).decode()
    except cbor.CBORDecodeError as e:
        answer = "! " + str(e)
    if skipped != (answer[0] != "!"):
        answer = "skip " + answer
    print(answer)
