# Small named records in flash that survive a power cut at any moment.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# A store is two slots. Each holds all records of the store, a generation and a CRC-32;
# the good slot with the higher generation counts. A commit writes the next generation
# into the other slot and leaves the one that counts alone, so at any moment of the
# write that one is whole: after a cut the store has the records before or after the
# commit, never a mix. No rename, and no order of two writes, is relied on.
#
# What changes at another rate belongs into another store: a commit writes them all.

import errno
import os
import struct
from binascii import crc32

# A file that is longer is not believed to be a slot, but replaced.
MAX_FILE = 65536

# A slot: magic and version; generation; bytes of records; then the CRC of these and of
# the records; then the records: name's length (1), data's length (2), name, data.
# What follows is of no meaning. Numbers are little-endian.
_HEAD = const("<4sII")
_HEAD_LEN = const(12)
_CRC_AT = const(12)
_BODY_AT = const(16)
_MAGIC = const(b"mfs")
_VERSION = const(b"1")
_ZEROS = bytes(64)


class Files:
    """Two files as the slots of a store: path + ".0" and path + ".1".

    A file is overwritten in place and never shortened, so that on FAT no directory
    or cluster chain changes in most commits, and what was there before is
    overwritten with zeros. How far that reaches is the medium's: FAT on flash
    without a translation layer really loses it; littlefs writes elsewhere and keeps
    the old bytes until it reuses their block; SD cards keep them as they please.
    """

    def __init__(self, path):
        self.path = path

    def name(self, slot):
        """What problems call a slot."""
        return "%s.%d" % (self.path, slot)

    def read(self, slot, limit):
        """The slot's bytes, limit at most; None when it was never written."""
        try:
            with open(self.name(slot), "rb") as f:
                # FAT may hold any length after a cut: never trust it with the heap.
                return f.read(min(os.stat(self.name(slot))[6], limit))
        except OSError as e:
            if e.errno == errno.ENOENT:
                return None
            raise

    def write(self, slot, data):
        """Write data, and zeros over what a longer former content leaves."""
        name = self.name(slot)
        try:
            size = os.stat(name)[6]
            if size > MAX_FILE:
                raise OSError(errno.EIO)
            mode = "r+b"
        except OSError as e:
            if e.errno != errno.ENOENT:
                self._remove(name)
            size = 0
            mode = "wb"
        try:
            self._write(name, mode, data, size)
        except OSError:
            # A file that a cut left inconsistent: a new one may do.
            self._remove(name)
            self._write(name, "wb", data, 0)

    def _write(self, name, mode, data, size):
        with open(name, mode) as f:
            f.write(data)
            size -= len(data)
            while size > 0:
                f.write(_ZEROS if size >= len(_ZEROS) else _ZEROS[:size])
                size -= len(_ZEROS)
            f.flush()
        if hasattr(os, "sync"):
            os.sync()

    def _remove(self, name):
        try:
            os.remove(name)
        except OSError:
            pass

    def erase(self, slot):
        """Overwrite the slot with zeros and remove it."""
        try:
            self._write(self.name(slot), "r+b", b"", os.stat(self.name(slot))[6])
        except OSError as e:
            if e.errno == errno.ENOENT:
                return
        os.remove(self.name(slot))


class Store:
    """Named records of bytes, kept in RAM and in two slots.

    where: the path that the two files' names begin with, or a backend: an object
    with `read(slot, limit)`, `write(slot, data)`, `erase(slot)` and `name(slot)` as
    Files has them (flashstore.nvs has another). limit: bytes that all records may
    take with their names, 3 bytes each and 16 in all.

    Opening never fails on what is in the slots. A slot that is torn, corrupt or of
    another version is passed over, and `problems` gets a line for it; mend() or the
    next commit overwrites it, so that it is reported once. A line in `problems` means that the commit before the
    restart may be lost, if it was not finished, or (bit rot) although it was.
    """

    def __init__(self, where, limit=4096):
        self.backend = Files(where) if isinstance(where, str) else where
        self.limit = limit
        self.problems = []
        self.generation = 0
        self._slot = 1  # the slot that counts; with none, the first commit goes to slot 0
        self._records = {}
        for slot in (0, 1):
            try:
                data = self.backend.read(slot, limit)
                if data is None:
                    continue
                generation, records = _parse(data)
            except (OSError, ValueError) as e:
                self.problems.append("%s: %s" % (self.backend.name(slot), e))
                continue
            if generation > self.generation:
                self.generation = generation
                self._slot = slot
                self._records = records

    def get(self, name, default=None):
        """The record's bytes, or default when there is none."""
        return self._records.get(name, default)

    def names(self):
        """The names of all records, sorted."""
        return sorted(self._records)

    def put(self, name, data):
        """Write one record; as commit() with one change."""
        return self.commit({name: data})

    def delete(self, name):
        """Remove a record, and overwrite it in both slots.

        How far overwriting reaches is the medium's (see the backend).
        """
        return self.commit({name: None}, wipe=True)

    def commit(self, changes, wipe=False):
        """Write several records at once, or none of them.

        changes: names with bytes-like data, or None to remove the record. wipe:
        afterwards write the other slot as well, so that no former data of any record
        is left in it. Returns whether anything had to be written: records that are
        the same already cost nothing, unless wiped.

        Raises ValueError when the records exceed the limit, OSError when writing
        fails; the store then goes on with the records from before (a restart may find
        the new ones).
        """
        records = self._records.copy()
        for name in changes:
            data = changes[name]
            if data is None:
                records.pop(name, None)
            else:
                records[name] = bytes(data)
        if records == self._records and not wipe:
            return False
        self._write(records)
        if wipe:
            self._write(records)
        return True

    def mend(self):
        """Make both slots good again after one was passed over. Where no good one is left
        nothing is written. Raises OSError when that fails; the good one stays as it is."""
        if self.problems and self.generation:
            self._write(self._records)

    def _write(self, records):
        data = _build(self.generation + 1, records)
        if len(data) > self.limit:
            raise ValueError("data: records exceed the limit of %d bytes" % self.limit)
        slot = 1 - self._slot
        self.backend.write(slot, data)
        self._slot = slot
        self.generation += 1
        self._records = records

    def erase(self):
        """Remove all records, overwritten as far as the medium allows, and both slots."""
        # The slot that counts goes last: a cut leaves all records or none.
        self.backend.erase(1 - self._slot)
        self.backend.erase(self._slot)
        self.generation = 0
        self._slot = 1
        self._records = {}


def _build(generation, records):
    size = _BODY_AT
    names = sorted(records)
    for name in names:
        n = len(name.encode())
        if not 0 < n < 256:
            raise ValueError("name: 1 to 255 bytes")
        if len(records[name]) > 0xFFFF:
            raise ValueError("data: more than 65535 bytes")
        size += 3 + n + len(records[name])
    out = bytearray(size)
    pos = _BODY_AT
    for name in names:
        data = records[name]
        name = name.encode()
        struct.pack_into("<BH", out, pos, len(name), len(data))
        pos += 3
        out[pos : pos + len(name)] = name
        pos += len(name)
        out[pos : pos + len(data)] = data
        pos += len(data)
    struct.pack_into(_HEAD, out, 0, _MAGIC + _VERSION, generation, size - _BODY_AT)
    struct.pack_into("<I", out, _CRC_AT, _crc(out, size))
    return out


def _crc(data, size):
    view = memoryview(data)
    return crc32(view[_BODY_AT:size], crc32(view[:_HEAD_LEN]))


# The generation and the records of a slot. Raises ValueError with what is wrong.
def _parse(data):
    if len(data) < _BODY_AT:
        raise ValueError("torn, %d bytes" % len(data))
    magic, generation, size = struct.unpack(_HEAD, data)
    if magic[:3] != _MAGIC:
        raise ValueError("torn or not a slot")
    if magic[3:] != _VERSION:
        raise ValueError("version %r" % magic[3:])
    size += _BODY_AT
    if size > len(data):
        raise ValueError("torn, %d of %d bytes" % (len(data), size))
    if _crc(data, size) != struct.unpack_from("<I", data, _CRC_AT)[0]:
        raise ValueError("torn or corrupt, CRC is wrong")
    records = {}
    pos = _BODY_AT
    while pos < size:
        n, length = struct.unpack_from("<BH", data, pos)
        pos += 3 + n
        records[str(data[pos - n : pos], "utf-8")] = bytes(data[pos : pos + length])
        pos += length
    return generation, records
