# Mounts the disk of an emulated board at every start: littlefs on memory outside the heap.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import qport
import vfs

_BLOCK = 4096


class Disk:
    """Block device over the disk's memory, extended interface."""

    def __init__(self):
        self.memory = qport.disk()

    def readblocks(self, n, buf, offset=0):
        at = n * _BLOCK + offset
        buf[:] = self.memory[at : at + len(buf)]

    def writeblocks(self, n, buf, offset=None):
        at = n * _BLOCK + (offset or 0)
        self.memory[at : at + len(buf)] = buf

    def ioctl(self, op, arg):
        if op == 4:
            return len(self.memory) // _BLOCK
        if op == 5:
            return _BLOCK
        if op == 6:
            return 0


def _mount():
    disk = Disk()
    try:
        fs = vfs.VfsLfs2(disk)
    except OSError:
        vfs.VfsLfs2.mkfs(disk)
        fs = vfs.VfsLfs2(disk)
    vfs.mount(fs, "/")


_mount()
