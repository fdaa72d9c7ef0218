# What the interoperability tests share: the Leshan peer, started once.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import itertools

import pytest
from needs import skip
from peer import Peer, PeerMissing

_numbers = itertools.count(1)


def _start(**options):
    try:
        return Peer(**options).start()
    except PeerMissing as e:
        skip(str(e))


@pytest.fixture(scope="session")
def leshan():
    """The Leshan peer for the whole run. A test takes an endpoint name and IDs of its own instead
    of restarting it (fixture `name`)."""
    peer = _start()
    yield peer
    peer.stop()


@pytest.fixture
def own_leshan():
    """A maker of peers of one's own: own_leshan(block=64); they end with the test."""
    made = []

    def make(**options):
        made.append(_start(**options))
        return made[-1]

    yield make
    for peer in made:
        peer.stop()


@pytest.fixture
def name(request):
    """An endpoint name that no other test has."""
    return "%s-%d" % (request.node.name.split("[")[0].replace("test_", "")[:32], next(_numbers))
