# A flash chip in a host file, for devices on MicroPython's unix port.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# MicroPython's extended block device interface (class vfs.AbstractBlockDev).

import os
import vfs
from micropython import const

BLOCK = const(4096)  # bytes in one erase block
BLOCKS_MIN = const(64)
BLOCKS_MAX = const(256)

_ERASED = b"\xff" * 512
_MAGIC = b"littlefs"  # at _MAGIC_AT of the superblock, which stands twice: in block 0 and 1
_MAGIC_AT = const(8)

_IOCTL_SYNC = const(3)
_IOCTL_COUNT = const(4)
_IOCTL_SIZE = const(5)
_IOCTL_ERASE = const(6)


# The file is open unbuffered: what littlefs wrote is in the kernel when write()
# returns, so a killed process leaves what a board leaves that lost its power.
# sync passes on as fsync, which covers a power cut of the host as well.
class FlashFile:
    """A block device over the open file `f`, `blocks` blocks of BLOCK bytes."""

    def __init__(self, f, blocks):
        self._f = f
        self._blocks = blocks

    def readblocks(self, block, buf, offset=0):
        self._f.seek(block * BLOCK + offset)
        if self._f.readinto(buf) != len(buf):
            raise OSError(5)  # EIO: somebody cut the file short

    def writeblocks(self, block, buf, offset=None):
        self._f.seek(block * BLOCK + (offset or 0))
        self._f.write(buf)

    def ioctl(self, op, arg):
        if op == _IOCTL_SYNC:
            self._f.flush()
            return 0
        if op == _IOCTL_COUNT:
            return self._blocks
        if op == _IOCTL_SIZE:
            return BLOCK
        if op == _IOCTL_ERASE:
            self._f.seek(arg * BLOCK)
            for _ in range(BLOCK // len(_ERASED)):
                self._f.write(_ERASED)
            return 0

    def close(self):
        self._f.close()


def create(path, blocks=BLOCKS_MAX):
    """Make `path` an erased flash of `blocks` blocks with an empty littlefs; overwrites."""
    if not BLOCKS_MIN <= blocks <= BLOCKS_MAX:
        raise ValueError("blocks")
    with open(path, "wb") as f:
        for _ in range(blocks * (BLOCK // len(_ERASED))):
            f.write(_ERASED)
    with open(path, "r+b") as f:
        vfs.VfsLfs2.mkfs(FlashFile(f, blocks))
        f.flush()


def attach(path):
    """Open the image `path`; a FlashFile. ValueError says why it is not one."""
    try:
        f = open(path, "r+b")
    except OSError as e:
        raise ValueError("%s cannot be opened (errno %d)" % (path, e.errno))
    size = f.seek(0, 2)
    blocks = size // BLOCK
    if size % BLOCK or not BLOCKS_MIN <= blocks <= BLOCKS_MAX:
        f.close()
        raise ValueError("%s is not a flash image (%d bytes)" % (path, size))
    magic = bytearray(len(_MAGIC))
    for block in (0, 1):
        f.seek(block * BLOCK + _MAGIC_AT)
        f.readinto(magic)
        if magic == _MAGIC:
            return FlashFile(f, blocks)
    f.close()
    raise ValueError("%s is not a flash image (no littlefs in it)" % path)


# The device must see what it sees on a board: its flash at "/", and only that.
# The host's files stay within reach of `import` alone, below _HOST.
_HOST = const("/host")


def mount(path):
    """Make the image `path` this interpreter's root file system, as on a board.

    The host's files move to /host, and sys.path with them. ValueError when the
    image is not one.
    """
    import sys

    flash = attach(path)
    try:
        lfs = vfs.VfsLfs2(flash)
    except OSError as e:
        flash.close()
        raise ValueError("%s has a broken file system (errno %d)" % (path, e.errno))
    here = os.getcwd()
    vfs.umount("/")
    vfs.mount(lfs, "/")
    vfs.mount(vfs.VfsPosix("/"), _HOST)
    os.chdir("/")
    hosted = []
    for p in sys.path:
        if p.startswith("/"):
            hosted.append(_HOST + p)
        elif p and not p.startswith("."):
            hosted.append(_HOST + here + "/" + p)
    sys.path[:] = ["", ".frozen", "/lib"] + hosted
    return flash
