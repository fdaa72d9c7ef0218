# Frozen viper functions with a constant that is loaded relative to PC, to see that the build puts
# them where the core finds it (boards/qemu/common/align.mk).
# MIT license; Copyright (c) 2026 the microlwm2m authors


@micropython.viper
def f0(x: int) -> int:
    return x ^ 0x1234ABCD


@micropython.viper
def f1(x: int) -> int:
    return (x + 1) ^ 0x1234ABCD


@micropython.viper
def f2(x: int) -> int:
    return (x ^ 0x1234ABCD) + 2


@micropython.viper
def f3(x: int) -> int:
    y = x + 3
    return y ^ 0x1234ABCD


def right():
    """For each function, whether it computes what Python does."""
    n = 0x1234ABCD
    return [f0(5) == 5 ^ n, f1(5) == 6 ^ n, f2(5) == (5 ^ n) + 2, f3(5) == 8 ^ n]
