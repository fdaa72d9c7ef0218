# Mounts the disk of an emulated board at every start, with littlefs.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import vfs
from qport import disk

try:
    fs = vfs.VfsLfs2(disk)
except OSError:
    vfs.VfsLfs2.mkfs(disk)
    fs = vfs.VfsLfs2(disk)
vfs.mount(fs, "/")

# The globals here are those of main.py and of the REPL.
del vfs, disk, fs
