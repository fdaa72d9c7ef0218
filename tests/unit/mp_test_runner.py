# The runner itself: what a test sees.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import gc
import sys

from check import raises


def test_runs_under_micropython():
    assert sys.implementation.name == "micropython"


def test_heap_is_bounded():
    assert gc.mem_free() + gc.mem_alloc() < 300_000


def test_raises_demands_the_exception():
    raises(AssertionError, raises, ValueError, lambda: 1)
    assert str(raises(ValueError, int, "x"))
