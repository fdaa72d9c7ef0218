# What is fuzzed: under CPython by fuzz_host.py, under MicroPython by fuzz_board.py.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# A target is a class. seeds() gives inputs to begin with (bytes, each good for something);
# the instance is called with one input after the other and raises when there is a finding:
# an exception that escaped, or a state that a refused input changed. It catches what it may.

# Name, module, and how many of a million inputs it gets: on the host, led by coverage, and
# under MicroPython.
TARGETS = (
    ("message", "fuzz_codec", 60000, 30000),
    ("option", "fuzz_codec", 40000, 20000),
    ("record", "fuzz_codec", 40000, 20000),
    ("cbor", "fuzz_codec", 80000, 40000),
    ("formats", "fuzz_codec", 100000, 60000),
    ("request", "fuzz_oscore", 90000, 40000),
    ("response", "fuzz_oscore", 50000, 30000),
    ("inside", "fuzz_oscore", 70000, 15000),
    ("life", "fuzz_oscore", 40000, 8000),
    ("endpoint", "fuzz_endpoint", 60000, 15000),
    ("server", "fuzz_server", 50000, 15000),
    ("bootstrap", "fuzz_server", 20000, 7000),
)


def make(name):
    """The target of that name."""
    for target, module, _, _ in TARGETS:
        if target == name:
            return getattr(__import__(module), name[0].upper() + name[1:])()
    raise ValueError("no target " + name)


class Input:
    """Takes an input apart: what is missing at its end is 0, or empty."""

    def __init__(self, data):
        self.data = data
        self.pos = 0

    def left(self):
        return len(self.data) - self.pos

    def byte(self):
        pos = self.pos
        if pos >= len(self.data):
            return 0
        self.pos = pos + 1
        return self.data[pos]

    def below(self, n):
        return self.byte() % n

    def take(self, n):
        pos = self.pos
        self.pos = min(pos + n, len(self.data))
        return bytes(self.data[pos : self.pos])

    def some(self):
        """As many bytes as the next one says."""
        return self.take(self.byte())

    def rest(self):
        return self.take(self.left())


def some(*values):
    """Values as Input.some() reads them."""
    return b"".join([bytes((len(value),)) + value for value in values])
