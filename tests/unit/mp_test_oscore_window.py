# The replay window against a model that forgets nothing.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 section 7.4

import time

from check import raises
from oscore import Window
from oscorepair import Rand


class Model:
    """All numbers ever accepted."""

    def __init__(self, size):
        self.size = size
        self.seen = set()
        self.highest = -1

    def fresh(self, piv):
        return piv > self.highest - self.size and piv not in self.seen

    def accept(self, piv):
        self.seen.add(piv)
        self.highest = max(piv, self.highest)
        # only what can still be asked for, so that the test's heap holds
        if len(self.seen) > 4 * self.size:
            self.seen = {n for n in self.seen if n > self.highest - self.size}


def orders(rand, window, n):
    """Ask window and model the same about n numbers that arrive lost, doubled and late."""
    model = Model(window.size)
    sent = 0
    waiting = []
    for _ in range(n):
        dice = rand.below(100)
        if dice < 60:
            sent += 1
        elif dice < 65:
            sent += rand.below(40)  # lost
        elif dice < 66:
            sent += 1 << rand.below(20)
        piv = sent
        if dice > 85 and waiting:
            piv = waiting.pop(rand.below(len(waiting)))  # late
        elif dice > 70:
            waiting.append(sent)
            if len(waiting) > 50:
                waiting.pop(0)
            piv = max(0, sent - rand.below(window.size + 4))
        want = model.fresh(piv)
        assert window.fresh(piv) == want, "piv %d at highest %d" % (piv, model.highest)
        if want:
            window.accept(piv)
            model.accept(piv)
            assert window.highest == model.highest
            assert window.missing < 1 << window.size


def check(make, n=2000, rounds=1):
    seed = time.ticks_us()
    print("seed", seed)
    rand = Rand(seed)
    for _ in range(rounds):
        orders(rand, make(), n)


def test_100000_numbers_in_random_orders():
    check(Window, 1000, 100)


def test_other_sizes():
    for size in (1, 2, 31, 33, 63, 64):
        check(lambda size=size: Window(size), 1000, 3)


def test_begin():
    w = Window()
    w.begin(100)
    for piv in range(0, 101):
        assert not w.fresh(piv)
    assert w.fresh(101)
    w.accept(101)
    assert not w.fresh(101) and not w.fresh(100) and w.fresh(102)


def test_edge():
    w = Window(32)
    w.accept(31)
    assert w.fresh(0)
    w.accept(0)
    assert not w.fresh(0) and w.fresh(1)
    w.accept(32)
    assert not w.fresh(0) and w.fresh(1)
    w.accept(1 << 40)
    assert w.missing == (1 << 32) - 2 and w.highest == 1 << 40


# The known mistakes of others, each of which the comparison has to find.


class OffByOne(Window):
    """Refuses the last valid late number."""

    def fresh(self, piv):
        behind = self.highest - piv
        return behind < 0 or (behind < self.size - 1 and self.missing >> behind & 1)


class Backwards(Window):
    """An older number overwrites the highest one."""

    def accept(self, piv):
        Window.accept(self, piv)
        self.highest = piv


class Forgets(Window):
    """Shifts by one too few."""

    def accept(self, piv):
        ahead = piv - self.highest
        if 0 < ahead < self.size:
            self.missing = (self.missing << ahead - 1 | (1 << ahead) - 2) & ((1 << self.size) - 1)
            self.highest = piv
        else:
            Window.accept(self, piv)


def test_planted_mistakes_are_found():
    for wrong in (OffByOne, Backwards, Forgets):
        raises(AssertionError, check, wrong, 2000, 20)
