# The whole device with its servers, over a time of ours: keys that wear out, flash that does.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# heapsize: 4M

import coap.message as m
from check import equal
from coap.params import Params
from cutworld import flash, nonces
from mp_test_powercut import FAT, LFS, Proof
from oscore import Limits


def device(policy, kind=LFS):
    """A device that was provisioned with policy, and its servers; nothing is cut."""
    life = Proof(kind, policy)
    life.device.watch = None
    life.n = 1
    life.serve(1)
    life.provision(1)
    life.world.start()
    return life


def said(life, text):
    return len([line for line in life.world.board.lines if text in line])


def test_worn_keys_are_replaced_once():
    for policy in ("b2", "b1"):
        life = device(policy)
        hook = life.world.board.account.hook
        hook._worn = 40
        for _ in range(100):
            life.update()
        assert hook.ready() and not nonces.bad
        equal((said(life, "time for fresh keys"), hook.counters["rederived"]), (1, 2))
        restart(life)


def restart(life):
    """Leave the file system for the next one."""
    life.world.board.off()
    life.unmount()
    nonces.main.clear()


def test_a_server_that_knows_no_echo_reaches_the_device_after_a_restart():
    life = device("b1")
    life.world.board.off()
    life.server.endpoint.params = Params(max_echo=0)
    life.world.start()
    equal(said(life, "goes on from the last run"), 1)
    for _ in range(Limits.echoes):
        equal(life.server.ask(m.GET, (3, 0, 0)), m.UNAUTHORIZED)
    life.world.until(life.world.board.registered)
    equal(said(life, "time for fresh keys"), 1)
    for _ in range(5):
        equal(life.server.ask(m.GET, (3, 0, 0)), m.CONTENT)
    # A clean stop keeps the window: no Echo is needed then.
    life.world.board.stop()
    life.world.start()
    equal(life.server.ask(m.GET, (3, 0, 0)), m.CONTENT)
    equal(nonces.bad, [])


def test_a_start_costs_fewer_datagrams_and_more_commits_under_b1():
    seen = {}
    for policy in ("b2", "b1"):
        life = device(policy)
        world = life.world
        for clean in (False, True):
            if clean:
                world.board.stop()
            else:
                world.board.off()
            commits, sealed = flash.commits, len(nonces.main)
            world.start()
            seen[policy, clean] = len(nonces.main) - sealed, flash.commits - commits
            life.server.ask(m.GET, (3, 0, 0))
        restart(life)
    print(seen)
    # requests until it is registered, flash commits: the boot counter, and under b1 the
    # record twice
    equal(seen["b2", False], (2, 1))
    equal(seen["b2", True], (2, 1))
    equal(seen["b1", False], (1, 3))
    equal(seen["b1", True], (1, 3))


def test_flash_wear():
    for kind in (LFS, FAT):
        for policy in ("b2", "b1"):
            life = device(policy, kind)
            before = flash.commits, life.exchanges
            while life.exchanges < before[1] + 1000:
                life.update()
            commits = flash.commits - before[0]
            print("%s: %d flash commits in 1,000 sealed exchanges" % (policy, commits))
            assert commits <= (16 if policy == "b1" else 0)
            keep = life.world.board.account.hook._keep
            # Under b2 there is nothing to keep.
            equal(keep.late if policy == "b1" else keep, 0 if policy == "b1" else None)
            equal(nonces.bad, [])
            restart(life)
