# Records survive a power cut at any write or erase; corrupt slots are passed over.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# heapsize: 1M

import errno
import gc
import os
import sys

from check import equal, raises
from flashstore import Files, Store
from powercut import Fat, Lfs, umount

# A run of commits: each changes several records, some grow, shrink or go, one wipes.
_CYCLE = (
    {"seed": b"\x11" * 32, "config": b"first", "boot": b"\x01"},
    {"boot": b"\x02", "config": b"second" * 10},
    {"boot": b"\x03", "seed": b"\x22" * 32},
    {"boot": None, "config": b"c" * 700, "new": b""},
    {"config": b"small again", "boot": b"\x05"},
    {"seed": None},  # by delete()
    {"new": b"n" * 100, "boot": b"\x06", "last": b"!"},
)
# Often enough that littlefs compacts its metadata on the way.
_COMMITS = []
for i in range(4):
    _COMMITS.append({"cycle": bytes((i,))})
    _COMMITS.extend(_CYCLE)


def _states():
    state = {}
    states = [state]
    for changes in _COMMITS:
        state = state.copy()
        state.update(changes)
        for name in changes:
            if state[name] is None:
                del state[name]
        states.append(state)
    return states


_STATES = _states()


def _content(store):
    return {name: store.get(name) for name in store.names()}


# Mounts, opens the store and makes the commits that are not in it yet, up to `until`,
# until the power is cut. Returns the device and the index of the state that is certain.
def _run(fs, image, cut, keep, done, until):
    device = fs.mount(image, cut, keep)
    try:
        store = Store("/pc/store")
        if not device.dead():
            done = _STATES.index(_content(store), done)
        for changes in _COMMITS[done:until]:
            if changes == {"seed": None}:
                store.delete("seed")
            else:
                store.commit(changes)
            done += 1
    except OSError:
        assert device.dead()
    umount()
    return device, done


def _restart(fs, image, want):
    """Mount and open what a cut has left: one of the wanted states, and it works on."""
    device = fs.mount(image)
    try:
        store = Store("/pc/store")
        content = _content(store)
        assert content in want, "found %r, want one of %r" % (content, want)
        assert len(store.problems) <= 1, store.problems
        # The next commit heals the torn slot and is found by the next restart.
        store.put("after", b"cut")
        problems = Store("/pc/store").problems
        equal(problems, [])
        content["after"] = b"cut"
        equal(_content(Store("/pc/store")), content)
    finally:
        umount()
    return device


# Cuts everywhere in `ahead` commits, then makes one of them, and so on.
def _cut_everywhere(fs, ahead):
    image = fs.empty
    cuts = 0
    for done in range(len(_COMMITS)):
        until = min(done + ahead, len(_COMMITS))
        cut = 0
        while True:
            for keep in (0, 1, 4, 7):
                device, end = _run(fs, image, cut, keep, done, until)
                if not device.dead():
                    break
                _restart(fs, device.data, _STATES[end : end + 2])
            if not device.dead():
                equal(end, until)
                break
            cut += 1
            gc.collect()
        cuts += cut
        image, end = _run(fs, image, None, 0, done, done + 1)
        image = bytes(image.data)
        equal(end, done + 1)
    print("cut at each of %d writes and erases" % cuts)
    assert cuts > 100


def test_power_cut_at_every_write_of_littlefs():
    _cut_everywhere(Lfs(), 1)


def test_power_cut_at_every_write_of_fat():
    _cut_everywhere(Fat(), 3)


def test_power_cut_during_the_recovery_too():
    """A second cut while the commits after the first one are written."""
    for fs in (Lfs(), Fat()):
        for first in range(5, 60, 9):
            device, done = _run(fs, fs.empty, first, 4, 0, 10)
            second = 0
            while True:
                again, end = _run(fs, device.data, second, 4, done, 10)
                if not again.dead():
                    equal(end, 10)
                    break
                _restart(fs, again.data, _STATES[end : end + 2])
                second += 3
            gc.collect()


def _with(fs):
    fs.mount(fs.empty)
    return Store("/pc/store")


def test_records():
    for fs in (Lfs(), Fat()):
        s = _with(fs)
        equal(s.names(), [])
        equal(s.get("a"), None)
        equal(s.get("a", b"default"), b"default")
        assert s.put("a", bytearray(b"1"))
        assert s.commit({"b": memoryview(b"22"), "\u00e9": b""})
        assert not s.put("a", b"1")  # no write for nothing
        equal(s.generation, 2)
        for _ in range(2):
            equal((s.names(), s.get("a"), s.get("b"), s.get("\u00e9")), (["a", "b", "\u00e9"], b"1", b"22", b""))
            s = Store("/pc/store")
            equal((s.problems, s.generation), ([], 2))
        s.delete("b")
        equal(Store("/pc/store").names(), ["a", "\u00e9"])
        s.erase()
        equal((s.names(), os.listdir("/pc")), ([], []))
        s.put("a", b"2")
        equal(_content(Store("/pc/store")), {"a": b"2"})
        umount()


def test_stores_do_not_touch_each_other():
    s = _with(Lfs())
    t = Store("/pc/counters")
    s.put("a", b"s")
    t.put("a", b"t")
    s.put("a", b"s2")
    s.erase()
    equal(Store("/pc/counters").get("a"), b"t")
    umount()


def _slots():
    return [open("/pc/store.%d" % slot, "rb").read() for slot in (0, 1)]


def test_a_deleted_secret_is_in_no_slot():
    for fs in (Lfs(), Fat()):
        device = fs.mount(fs.empty)
        s = Store("/pc/store")
        secret = b"\x5e\xc2\xe7" * 8
        s.commit({"key": secret, "other": bytes(300)})
        s.put("other", b"x")
        equal([secret in data for data in _slots()], [True, True])
        s.delete("key")
        equal([secret in data for data in _slots()], [False, False])
        s.put("key", secret)
        s.commit({"key": b"changed"}, wipe=True)
        equal([secret in data for data in _slots()], [False, False])
        s.put("key", secret)
        s.erase()
        umount()
        if not device.flash:  # FAT: nor anywhere else on the medium
            assert secret not in bytes(device.data)


def test_corrupt_slots_are_reported_and_passed_over():
    s = _with(Lfs())
    s.commit({"a": b"old"})
    s.commit({"a": b"new"})
    good = _slots()
    for i in range(len(good[1])):
        bad = bytearray(good[1])
        bad[i] ^= 0x10
        for data in (bad, bad[: i + 1], good[1][:i]):
            with open("/pc/store.1", "wb") as f:
                f.write(data)
            t = Store("/pc/store")
            equal(t.get("a"), b"old")
            equal(len(t.problems), 1)
            assert t.problems[0].startswith("/pc/store.1: "), t.problems
    t.put("a", b"newer")  # goes over the corrupt one
    equal(t._slot, 1)
    equal(_slots()[0], good[0])
    equal((Store("/pc/store").get("a"), Store("/pc/store").problems), (b"newer", []))
    umount()


def test_a_problem_is_reported_once():
    for spoilt in (0, 1):
        for wrong in (b"", b"torn", b"mfs2 of another version"):
            s = _with(Lfs())
            s.commit({"a": b"1"})
            s.commit({"a": b"2"})
            with open("/pc/store.%d" % spoilt, "wb") as f:
                f.write(wrong)
            s = Store("/pc/store")
            equal(len(s.problems), 1)
            good = _slots()[1 - spoilt]
            s.mend()
            equal(_slots()[1 - spoilt], good)  # the good one is left alone
            t = Store("/pc/store")
            equal((t.problems, _content(t)), ([], {"a": b"1" if spoilt else b"2"}))
            slots = _slots()
            t.mend()  # nothing to do
            equal(_slots(), slots)
            umount()
    # Nothing good, nothing written.
    _with(Lfs())
    for slot in (0, 1):
        with open("/pc/store.%d" % slot, "wb") as f:
            f.write(b"torn")
    Store("/pc/store").mend()
    equal(_slots(), [b"torn", b"torn"])
    umount()


def test_other_versions_and_strangers():
    s = _with(Lfs())
    s.put("a", b"1")
    s.put("a", b"2")
    data = _slots()[1]
    for other, reason in (
        (b"mfs2" + data[4:], "version b'2'"),
        (b"{'json': 'of somebody else'}", "torn or not a slot"),
        (b"\xff" * 5000, "torn or not a slot"),
        (b"", "torn, 0 bytes"),
    ):
        with open("/pc/store.1", "wb") as f:
            f.write(other)
        s = Store("/pc/store")
        equal((s.get("a"), s.problems), (b"1", ["/pc/store.1: " + reason]))
    with open("/pc/store.0", "wb") as f:
        f.write(b"neither")
    s = Store("/pc/store")
    equal((s.names(), len(s.problems)), ([], 2))
    s.put("a", b"3")
    equal((Store("/pc/store").get("a"), len(Store("/pc/store").problems)), (b"3", 1))
    umount()


def test_a_huge_file_does_not_take_the_heap():
    _with(Lfs(count=400))
    for slot in (0, 1):
        with open("/pc/store.%d" % slot, "wb") as f:
            for _ in range(70):
                f.write(bytes(1000))
    equal(len(Files("/pc/store").read(0, 4096)), 4096)
    gc.collect()
    before = gc.mem_free()
    s = Store("/pc/store")
    gc.collect()
    assert before - gc.mem_free() < 3000
    equal(len(s.problems), 2)
    s.put("a", b"1")
    s.put("a", b"2")
    equal([len(data) for data in _slots()], [len(_slots()[0])] * 2)
    umount()


def test_limits():
    s = _with(Lfs())
    raises(ValueError, s.put, "", b"")
    raises(ValueError, s.put, "n" * 256, b"")
    assert "limit" in str(raises(ValueError, s.put, "a", bytes(4096)))
    equal((s.names(), os.listdir("/pc")), ([], []))
    s = Store("/pc/store", limit=16 + 3 + 1 + 10)
    s.put("a", bytes(10))
    raises(ValueError, s.put, "a", bytes(11))
    raises(ValueError, s.put, "b", b"")
    equal(_content(s), {"a": bytes(10)})
    umount()


class _Failing(Files):
    """A medium that fails at the n-th write, before or after it has written."""

    left = 10
    late = False

    def write(self, slot, data):
        self.left -= 1
        if self.left == 0 and not self.late:
            raise OSError(28)
        super().write(slot, data)
        if self.left == 0:
            raise OSError(errno.EIO)


def test_a_failed_write_leaves_the_old_records():
    for late in (False, True):
        _with(Lfs())
        backend = _Failing("/pc/store")
        s = Store(backend)
        s.put("a", b"1")
        s.put("a", b"2")
        backend.left = 1
        backend.late = late
        raises(OSError, s.put, "a", b"3")
        equal(s.get("a"), b"2")
        equal(Store("/pc/store").get("a"), b"3" if late else b"2")
        s.put("a", b"4")
        equal((s.get("a"), Store("/pc/store").get("a"), Store("/pc/store").problems), (b"4", b"4", []))
        umount()


def test_a_full_file_system_leaves_the_old_records():
    s = _with(Lfs())
    s.put("a", b"1")
    s.put("a", b"2")
    with open("/pc/other", "wb") as f:
        f.write(bytes(18 * 512))
    raises(OSError, s.put, "b", bytes(3000))
    equal(_content(Store("/pc/store")), {"a": b"2"})
    s.put("a", b"3")
    equal((_content(Store("/pc/store")), Store("/pc/store").problems), ({"a": b"3"}, []))
    umount()


class _EspNvs:
    """esp32.NVS as its documentation has it: set_blob is not there before commit()."""

    spaces = {}

    def __init__(self, namespace):
        self._live = self.spaces.setdefault(namespace, {})
        self._new = {}

    def get_blob(self, key, buf):
        if key not in self._live:
            raise OSError(-0x1102, "ESP_ERR_NVS_NOT_FOUND")
        data = self._live[key]
        if len(data) > len(buf):
            raise OSError(-0x110C, "ESP_ERR_NVS_INVALID_LENGTH")
        buf[: len(data)] = data
        return len(data)

    def set_blob(self, key, data):
        self._new[key] = bytes(data)

    def erase_key(self, key):
        if key not in self._live:
            raise OSError(-0x1102, "ESP_ERR_NVS_NOT_FOUND")
        self._new[key] = None

    def commit(self):
        for key in self._new:
            if self._new[key] is None:
                del self._live[key]
            else:
                self._live[key] = self._new[key]
        self._new = {}


def _nvs(cls):
    class esp32:
        NVS = cls

    sys.modules.pop("flashstore.nvs", None)
    sys.modules["esp32"] = esp32
    from flashstore.nvs import NVS

    return NVS


def test_nvs():
    NVS = _nvs(_EspNvs)
    s = Store(NVS("config"))
    equal((s.names(), s.problems), ([], []))
    s.commit({"a": b"1", "b": bytes(100)})
    s.put("a", b"2")
    t = Store(NVS("config"))
    equal((_content(t), t.problems), ({"a": b"2", "b": bytes(100)}, []))
    t.delete("b")
    equal(_content(Store(NVS("config"))), {"a": b"2"})
    blobs = _EspNvs.spaces["config"]
    blobs["0"] = blobs["0"][:-1]
    t = Store(NVS("config"))
    equal((_content(t), len(t.problems)), ({"a": b"2"}, 1))
    assert t.problems[0].startswith("nvs:config/0: ")
    blobs["1"] = bytes(5000)  # beyond the limit: passed over as well
    t = Store(NVS("config"))
    equal(len(t.problems), 2)
    t.put("a", b"3")
    equal(_content(Store(NVS("config"))), {"a": b"3"})
    t.erase()
    t.erase()
    equal(_EspNvs.spaces["config"], {})


class _CutNvs(_EspNvs):
    """Power goes at the n-th call that changes anything: half of them before it is done."""

    left = None

    def _cut(self, do, *args):
        _CutNvs.left -= 1
        if _CutNvs.left != 0:
            return do(self, *args)
        if _CutNvs.late:
            do(self, *args)
        raise KeyboardInterrupt

    def set_blob(self, key, data):
        self._cut(_EspNvs.set_blob, key, data)

    def erase_key(self, key):
        self._cut(_EspNvs.erase_key, key)

    def commit(self):
        self._cut(_EspNvs.commit)


def test_power_cut_at_every_call_of_nvs():
    NVS = _nvs(_CutNvs)
    follows = {None: b"1", b"1": b"22", b"22": b"4", b"4": b"5", b"5": None}
    cuts = 0
    for late in (False, True):
        n = 0
        cut = True
        while cut:
            n += 1
            _CutNvs.spaces.clear()
            _CutNvs.left, _CutNvs.late = n, late
            done = None
            try:
                s = Store(NVS("config"))
                for value in (b"1", b"22"):
                    s.commit({"a": value, "b": value + value})
                    done = value
                s.commit({"b": None, "a": b"4"}, wipe=True)
                done = b"4"
                s.commit({"a": b"5"})
                done = b"5"
                s.erase()
                done = None
                cut = False
            except KeyboardInterrupt:
                cuts += 1
            _CutNvs.left = -1  # no further one
            t = Store(NVS("config"))
            found = t.get("a")
            assert t.problems == [] and found in (done, follows[done]), (n, late, done, found)
            equal(t.get("b"), found + found if found in (b"1", b"22") else None)
            t.commit({"a": b"next", "b": b"next"})
            equal(_content(Store(NVS("config"))), {"a": b"next", "b": b"next"})
    # Two calls for each write and for each slot that is erased.
    equal(cuts, 2 * (3 * 2 + 2 * 2 + 2 * 2))
