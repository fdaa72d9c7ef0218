# What the interoperability tests share: the Leshan peer, started once.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import itertools

import pytest
from needs import require
from peer import Peer

_numbers = itertools.count(1)


def _needs_java():
    require("javac", "default-jdk-headless")
    require("mvn", "maven")


@pytest.fixture(scope="session")
def leshan():
    """The Leshan peer for the whole run. Take a new endpoint name and new IDs per test instead of
    restarting it (fixture `name`)."""
    _needs_java()
    with Peer() as peer:
        yield peer


@pytest.fixture
def own_leshan():
    """A maker of peers of one's own: own_leshan(block=64); they end with the test."""
    _needs_java()
    made = []

    def make(**options):
        made.append(Peer(**options))
        return made[-1].start()

    yield make
    for peer in made:
        peer.stop()


@pytest.fixture
def name(request):
    """An endpoint name that no other test has."""
    return "%s-%d" % (request.node.name.split("[")[0].replace("test_", "")[:32], next(_numbers))
