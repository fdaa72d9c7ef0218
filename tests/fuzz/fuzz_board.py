# Fuzzes one target under MicroPython: its seeds, what coverage found on the host, and random
# and mutated inputs.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# argv: TARGET COUNT SEED [CORPUS]. CORPUS: a folder of inputs, as fuzz_host.py leaves it. The
# last line says how many inputs were run. A finding ends the run with its input in hex.
# `fuzz_board.py TARGET - HEX` runs one input.

import os
import random
import sys

import fuzz_targets

bits = random.getrandbits


def below(n):
    return bits(24) % n


def noise(n):
    return bytes([bits(8) for _ in range(n)])


def mutated(data, others):
    data = bytearray(data)
    for _ in range(1 + below(4)):
        way = below(8)
        n = len(data)
        at = below(n + 1)
        if way == 0:
            data = data[:at] + noise(1 + below(4)) + data[at:]
        elif way == 1:
            data = data[:at] + data[at + 1 + below(4) :]
        elif way == 2:
            data = data[:at]
        elif way == 3:
            other = others[below(len(others))]
            data = data[:at] + other[below(len(other) + 1) :]
        elif way == 4:
            data = data[:at] + data[at : at + below(16)] + data[at:]
        elif n:
            at %= n
            if way == 5:
                data[at] ^= 1 << bits(3)
            elif way == 6:
                data[at] = (0, 1, 0x7F, 0x80, 0xFF, 0xFE)[below(6)]
            else:
                data[at] = bits(8)
    return bytes(data[:600])


def main(name, count, seed, corpus=None):
    target = fuzz_targets.make(name)
    if count == "-":
        return target(bytes.fromhex(seed))
    random.seed(int(seed))
    inputs = list(target.seeds())
    if corpus is not None:
        for file in sorted(os.listdir(corpus)):
            # A heap of a few hundred KB does not hold all of a long run's.
            if len(inputs) < 1500 and not file.startswith("seed-"):
                with open(corpus + "/" + file, "rb") as f:
                    inputs.append(f.read())
    data = b""
    done = 0
    try:
        for data in inputs:
            if done < int(count):
                target(data)
                done += 1
        while done < int(count):
            data = noise(below(64)) if below(16) == 0 else mutated(inputs[below(len(inputs))], inputs)
            target(data)
            done += 1
    except BaseException:
        print("input", data.hex())
        raise
    print("%s: %d inputs, %d to begin with" % (name, done, len(inputs)))


main(*sys.argv[1:])
