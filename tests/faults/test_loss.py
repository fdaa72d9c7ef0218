# A fifth of all datagrams lost, both ways: everything is answered, nothing is done twice.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import random

from faults.rig import COUNT, COUNTED, TEXT, Quick

LOSS = 0.2


class Stubborn(Quick):
    """An exchange fails with 0.36 ** (MAX_RETRANSMIT + 1): not in our time."""

    ACK_TIMEOUT = 0.02
    MAX_RETRANSMIT = 14


def test_everything_is_answered_and_nothing_done_twice(rig, seed):
    rig.start()
    rig.bench.server.endpoint.tuning = Stubborn()
    dice = random.Random(seed)
    rig.line.use(lambda n, datagram: dice.random() >= LOSS)
    began = len(rig.line.seen)
    for n in range(50):
        rig.write(TEXT, "text %d" % n, timeout=80)
        assert rig.read(TEXT, timeout=80) == "text %d" % n
        rig.execute(COUNT, timeout=80)
    passed = len(rig.line.seen) - began
    rig.line.use(None)
    assert rig.read(COUNTED) == 50
    print("150 exchanges in %d datagrams" % passed)
    assert passed > 350  # 300, and what the losses cost: they were there


def test_registers_and_observes(rig, seed):
    dice = random.Random(seed)
    rig.bench.server.endpoint.tuning = Stubborn()
    rig.line.use(lambda n, datagram: dice.random() >= LOSS)
    rig.start()
    observation = rig.bench.observe("dev", "/3303/0/5700")
    values = [rig.bench.next_of(observation).value for _ in range(20)]
    assert len(set(values)) == 20
