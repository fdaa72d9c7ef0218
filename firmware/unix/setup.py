# Provisioning of a flash image on MicroPython's unix port: setup.py IMAGE
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# What the REPL is to a board, standard input is here: one line with the verb and
# its arguments in hex. Keys come this way and never as an argument, which every
# process on the host can read.

import sys
from binascii import unhexlify

import flashfile


def main():
    verb, *args = sys.stdin.readline().split()
    if verb == "create":
        flashfile.create(sys.argv[1])
        verb, *args = sys.stdin.readline().split()
    try:
        flashfile.mount(sys.argv[1])
    except ValueError as e:
        print("lwm2m_setup: refused: " + str(e))
        return
    import lwm2m_setup

    lwm2m_setup.run(verb, *[unhexlify(a) for a in args])


main()
