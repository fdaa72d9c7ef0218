# The device's heap: free after 1,000 sealed exchanges what was free after 10.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import pytest
from faults.rig import BLOB, COUNT, COUNTED, ENDPOINT, MANY, TEXT

# Bytes in which two readings of the same heap differ: the collector is conservative and a
# stale word on the stack may keep a few blocks of 32; and what sequence numbers of two bytes need
# is made once. One block lost in 100 exchanges would be 320.
NOISE = 192
# Such a word may stay for long, and what it keeps may hold more, but it does not become more with
# the exchanges, as what is lost does: in doubt there are ten times as many.
KEPT = 800
MORE = 10


def read(rig, n):
    assert len(rig.bench.read(ENDPOINT, "/3/0").nodes) > 4


def write(rig, n):
    rig.write(TEXT, "text %4d" % n)


def observe_and_cancel(rig, n):
    rig.bench.observe(ENDPOINT, "/3/0/0")
    rig.bench.cancel(ENDPOINT, "/3/0/0")


def notification(rig, n):
    # Each execution changes what is observed.
    if n == 0:
        rig.observation = rig.bench.observe(ENDPOINT, COUNTED)
    rig.execute(COUNT)
    rig.bench.next_of(rig.observation)


def refusal(rig, n):
    assert rig.bench.read(ENDPOINT, "/3/0/99").code == "4.04"
    assert rig.bench.write(ENDPOINT, MANY, {i: i for i in range(40)}).code == "5.00"


def long_body(rig, n):
    rig.write(BLOB, bytes(980))
    assert len(rig.read(BLOB)) == 980
    rig.write(BLOB, b"")


@pytest.mark.parametrize(
    "what, times",
    [(read, 1000), (write, 1000), (notification, 1000), (observe_and_cancel, 500), (refusal, 300), (long_body, 60)],
    ids=lambda p: getattr(p, "__name__", None),
)
def test_heap(rig, what, times):
    rig.start()
    for n in range(10):
        what(rig, n)
    before = rig.free()
    for n in range(10, times):
        what(rig, n)
    after = rig.free()
    print("free after 10: %d, after %d: %d" % (before, times, after))
    if before - after > NOISE:
        for n in range(times, MORE * times):
            what(rig, n)
        after = rig.free()
        print("free after %d: %d" % (MORE * times, after))
        assert before - after <= KEPT
