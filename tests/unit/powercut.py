# A block device in RAM whose power fails in the middle of its n-th write or erase.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import os


class Device:
    """RAM as flash (a block is erased to 0xff, then programmed in parts) or as a disk of
    sectors, for any of MicroPython's file systems.

    image: the bytes to begin with, else erased. cut: which write or erase, counted from
    0, is cut; None for none. keep: how much of it is done, as keep / 8. From then on
    nothing is read or written, only errors come: data is what a restart finds.
    """

    def __init__(self, count, size, image=None, cut=None, keep=0, flash=True):
        self.count = count
        self.size = size
        self.data = bytearray(image) if image else bytearray(b"\xff" * (count * size))
        self.cut = 1 << 29 if cut is None else cut
        self.keep = keep
        self.flash = flash
        self.done = 0

    def dead(self):
        return self.done > self.cut

    # How many of the next operation's n bytes reach the medium.
    def _reach(self, n):
        if self.done == self.cut:
            n = n * self.keep // 8
        self.done += 1
        return n

    # A garbage collection closes files that a cut has left open, with the heap locked:
    # nothing here may allocate when dead.
    def readblocks(self, block, buf, offset=0):
        if self.done > self.cut:
            return -5
        at = block * self.size + offset
        buf[:] = memoryview(self.data)[at : at + len(buf)]

    def writeblocks(self, block, buf, offset=0):
        if self.done > self.cut:
            return -5
        at = block * self.size + offset
        step = len(buf) if self.flash else self.size  # each sector of several may be the last
        for pos in range(0, len(buf), step):
            n = self._reach(step)
            self.data[at + pos : at + pos + n] = buf[pos : pos + n]
            if self.done > self.cut:
                break
        return -5 if self.done > self.cut else 0

    def ioctl(self, op, arg):
        if op == 4:
            return self.count
        if op == 5:
            return self.size
        if self.done > self.cut:
            return -5
        if op == 6 and self.flash:
            at = arg * self.size
            n = self._reach(self.size)
            self.data[at : at + n] = b"\xff" * n
            return -5 if self.done > self.cut else 0
        return 0


class Lfs:
    """littlefs on small flash blocks."""

    def __init__(self, count=24, size=512):
        self.shape = (count, size)
        device = Device(count, size)
        os.VfsLfs2.mkfs(device, readsize=16, progsize=16, lookahead=16)
        self.empty = bytes(device.data)

    def mount(self, image, cut=None, keep=0):
        device = Device(*self.shape, image, cut, keep)
        os.mount(os.VfsLfs2(device, readsize=16, progsize=16, lookahead=16), "/pc")
        return device


class Fat:
    """FAT on sectors of 512 bytes."""

    def __init__(self, count=64):
        self.shape = (count, 512)
        device = Device(*self.shape, flash=False)
        os.VfsFat.mkfs(device)
        self.empty = bytes(device.data)

    def mount(self, image, cut=None, keep=0):
        device = Device(*self.shape, image, cut, keep, flash=False)
        os.mount(os.VfsFat(device), "/pc")
        return device


def umount():
    try:
        os.umount("/pc")
    except OSError:
        pass
