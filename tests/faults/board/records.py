# Writes into an image what no command would: records.py IMAGE, one action a line on stdin.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
#   record NAME HEX    a record of the configuration's store (HEX "-" removes it)
#   file PATH HEX      a whole file
#   flip PATH AT       one bit of a file
#   cut PATH LENGTH    a file that ends early

import os
import sys
from binascii import unhexlify

import flashfile

actions = [line.split() for line in sys.stdin]
flashfile.mount(sys.argv[1])

from lwm2m_flash import open_store  # noqa: E402

for verb, *args in actions:
    if verb == "record":
        open_store().commit({args[0]: None if args[1] == "-" else unhexlify(args[1])})
        continue
    with open(args[0], "rb") as f:
        data = bytearray(f.read())
    if verb == "file":
        data = unhexlify(args[1]) if len(args) > 1 else b""
    elif verb == "flip":
        data[int(args[1])] ^= 1
    elif verb == "cut":
        data = data[: int(args[1])]
    os.remove(args[0])
    with open(args[0], "wb") as f:
        f.write(data)
