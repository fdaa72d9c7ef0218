# What of an account goes on after a restart of the device, and for which keys it does.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 Appendix B.1 and B.2
# heapsize: 1M

import sys

import cbor
import lwm2m_app
import lwm2m_begin
import lwm2m_flash
import lwm2m_restart
import lwm2m_setup
import coap.message as m
import oscorepair
from check import equal, raises
from flashstore import Store
from mp_test_lwm2m_session import make as clocked
from oscore import Context, Limits
from oscore.derive import unbstr
from oscore.message import decode_option
from oscorepair import exchange, get, ready, serve, wire

K = Limits.reserve
SECRET = bytes(range(16))
OTHER = bytes(range(16, 32))
RANDOM = bytes(range(100, 132))


class Slots:
    """The two slots of a store, in RAM."""

    def __init__(self):
        self.data = [None, None]
        self.writes = 0

    def name(self, slot):
        return "slot.%d" % slot

    def read(self, slot, limit):
        return self.data[slot]

    def write(self, slot, data):
        self.data[slot] = bytes(data)
        self.writes += 1

    def erase(self, slot):
        self.data[slot] = None


class Board:
    """A board's flash, and what runs on it. lines: what its console shows."""

    def __init__(self):
        self.config = Slots()
        self.counters = Slots()
        self.slots = {}
        self.lines = []
        self.client = None
        # What reads flash is told where it is.
        lwm2m_restart.open_record = lwm2m_flash.open_record = self.record
        lwm2m_app.log = self.lines.append
        lwm2m_setup.print = self.lines.append

    def record(self, iid):
        return Store(self.slots.setdefault(iid, Slots()))

    def apply(self, config, **kw):
        lwm2m_setup.apply(cbor.dumps(config), RANDOM, store=Store(self.config), **kw)

    def rotate(self, change):
        lwm2m_setup.rotate(cbor.dumps(change), RANDOM, store=Store(self.config))

    def opts(self):
        return cbor.loads(Store(self.config).get("config"))["opts"]

    def start(self, at=0):
        """A restart: the OSCORE account of the server with that place in the order."""
        del self.lines[:]
        self.client, _ = lwm2m_begin.make_client(
            None, Store(self.config), Store(self.counters)
        )
        return self.client.accounts[at].hook


def oscore(secret=SECRET, **change):
    keys = {0: secret, 1: b"\x01", 2: b"\x02", 3: 10, 4: 0, 5: b"salt"}
    keys.update({int(k[1:]): v for k, v in change.items()})
    return keys


def config(policy=None, ssid=123, secret=SECRET, **keys):
    return {
        "ep": "sensor-1",
        "objects": {
            0: {0: {0: "coap://192.0.2.1", 1: False, 2: 3, 10: ssid, 17: [21, 0]}},
            1: {0: {0: ssid, 1: 300, 6: True, 7: "U"}},
            21: {0: oscore(secret, **keys)},
        },
        "opts": {"restart": {0: policy}} if policy else {},
    }


def server(secret=SECRET):
    return oscorepair.account(
        b"\x02", b"\x01", master_secret=secret, master_salt=b"salt", policy="b2"
    )


def provisioned(policy="b1", **kw):
    board = Board()
    board.apply(config(policy, **kw))
    return board


def agreed(board, peer):
    """Run Appendix B.2, as the device does at its first start, and let it keep what it must."""
    account = board.start()
    equal((account.state, account.ctx), ("new", None))
    ready(account, peer)
    account.housekeep()
    return account


def numbers(account):
    return account.ctx.id_context, account.ctx.seq


# ---- the name of a record


def test_a_name_belongs_to_one_set_of_keys():
    base = dict(
        master_secret=SECRET, sender_id=b"\x01", recipient_id=b"\x02", master_salt=b"salt", aead=10
    )
    names = {lwm2m_restart.record_name(**base)}
    for name, other in (
        ("master_secret", OTHER),
        ("sender_id", b"\x03"),
        ("sender_id", b""),
        ("sender_id", b"\x01\x01"),
        ("recipient_id", b"\x03"),
        ("master_salt", b""),
        ("aead", 30),
    ):
        names.add(lwm2m_restart.record_name(**dict(base, **{name: other})))
    # the same bytes, cut elsewhere
    names.add(lwm2m_restart.record_name(**dict(base, sender_id=b"\x01\x01\x02", recipient_id=b"")))
    names.add(lwm2m_restart.record_name(**dict(base, sender_id=b"", recipient_id=b"\x01\x01\x02")))
    equal(len(names), 10)
    for name in names:
        equal(len(name), 16)
    # the default has two ways to be said
    equal(lwm2m_restart._name(oscore(_3=0)), lwm2m_restart._name(oscore()))
    equal(lwm2m_restart._name(oscore()), lwm2m_restart.record_name(**base))


def test_algorithms_and_ids_of_the_instance_are_those_that_are_used():
    for aead, tag_len in ((10, 8), (30, 16), (12, 8), (32, 16), (0, 8)):
        board = provisioned(None, _3=aead)
        account = board.start()
        peer = oscorepair.account(
            b"\x02", b"\x01", master_secret=SECRET, master_salt=b"salt", policy="b2", aead=aead
        )
        ready(account, peer)
        equal(account.ctx.tag_len, tag_len)
        oscorepair.recorder.forget()


# ---- b2, the default


def test_nothing_is_kept_by_default():
    board = provisioned(None)
    peer = server()
    for _ in range(3):
        account = board.start()
        equal(account.state, "new")
        ready(account, peer)
        equal(account.housekeep(), False)
        account.save()
    equal((board.slots[0].data, board.slots[0].writes), ([None, None], 0))


def needs_kid_context(account, peer):
    """Whether account begins without one with a server that answers nothing without."""
    ready(account, peer)
    outer, binding = account.seal_request(get("a"))
    begins = kid(outer) is None
    if begins:
        raises(m.PlainError, account.open_response, m.Message(m.BAD_REQUEST), binding)
        equal(account.recover(), False)
        outer, binding = account.seal_request(get("a"))
    equal(kid(outer), account.ctx.id_context)
    account.open_response(serve(peer, wire(outer))[1], binding)
    account.housekeep()
    return begins


def kid(outer):
    return decode_option(outer.opt(m.OSCORE))[2]


def test_trap_14_a_server_that_needs_the_kid_context_is_remembered():
    # Over restarts, under each policy; written once. New keys are another matter.
    for policy in (None, "b1"):
        board = provisioned(policy)
        equal(needs_kid_context(board.start(), server()), True)
        for _ in range(3):
            writes = board.slots[0].writes
            account = board.start()
            account.rekey()
            equal(needs_kid_context(account, server()), False)
            if policy is None:
                equal(board.slots[0].writes, writes)
        # another account that joins leaves it alone
        board.apply(config(None, 2, OTHER), add=True)
        account = board.start()
        account.rekey()
        equal(needs_kid_context(account, server()), False)
        equal(board.slots[1].data, [None, None])
        board.rotate({"ssid": 123, "keys": {0: bytes(16)}})
        equal(needs_kid_context(board.start(), server(bytes(16))), True)
        lwm2m_setup.wipe(store=Store(board.config))
        equal(board.slots[0].data, [None, None])
    # Nothing of keys that are gone stays beside it.
    board = with_bootstrap("b1")
    agreed(board, server())

    def secret(objects):
        objects[21][0][0] = OTHER

    bootstrapped(board, secret)
    needs_kid_context(board.start(), server(OTHER))
    equal(board.record(0).names(), [lwm2m_restart._name(oscore(OTHER))])
    # What "b2" writes leaves "b1" no number of the context that the secret alone makes.
    board = provisioned(None)
    needs_kid_context(board.start(), server())
    board.apply(config("b1"))
    account = board.start()
    equal((account.state, account.ctx), ("new", None))


class Frozen:
    """A port's os, whose generator starts alike at each boot and stays there."""

    @staticmethod
    def urandom(n):
        return bytes(n)


def kid_context(outer):
    return unbstr(decode_option(outer.opt(m.OSCORE))[2])


def test_trap_20_200_restarts_with_a_frozen_generator():
    board = provisioned(None)
    peer = server()
    lwm2m_begin.os = Frozen
    r1, r3 = set(), set()
    for boot in range(200):
        account = board.start()
        outer, binding = account.seal_request(account.probe())
        r1.add(kid_context(outer))
        account.open_response(serve(peer, wire(outer))[1], binding)
        outer, binding = account.seal_request(get("rd"))
        r3.add(kid_context(outer)[8:])
        # Every other run ends before its answer.
        if boot & 1:
            account.open_response(serve(peer, wire(outer))[1], binding)
    print("%d R1, %d R3" % (len(r1), len(r3)))
    equal((len(r1), len(r3), len(r1 | r3)), (200, 200, 400))
    equal(Store(board.counters).get("boot"), b"\0\0\0\1\0\0\0\xc8")
    # The counter is in flash before anything is drawn: without it there is no start.
    board.counters.write = None
    raises(TypeError, board.start)
    # A seed that is drawn anew, as provisioning does, makes the same counter harmless.
    drawn = []
    for _ in range(2):
        board = provisioned(None)
        outer, _ = board.start().seal_request(get("rd"))
        drawn.append(kid_context(outer))
    assert drawn[0] != drawn[1]


def test_fresh_is_told_the_counter_that_flash_has():
    # Power goes at the write of the counter, before or after it is in flash.
    board = provisioned(None)
    lwm2m_begin.os = Frozen
    seen = set()
    write = board.counters.write
    for late in (False, True, False, True):

        def cut(slot, data):
            if late:
                write(slot, data)
            raise OSError(5)

        board.counters.write = cut
        raises(OSError, board.start)
        board.counters.write = write
        seen.add(kid_context(board.start().seal_request(get("rd"))[0]))
    equal(len(seen), 4)


def test_a_counter_that_flash_has_lost_does_not_begin_anew():
    board = provisioned(None)
    lwm2m_begin.os = Frozen
    seen = set()
    starts = 0

    def start():
        seen.add(kid_context(board.start().seal_request(get("rd"))[0]))
        return starts + 1

    slots = board.counters
    for _ in range(3):
        for _ in range(3):
            starts = start()
            # The newest slot rots, again and again, while it runs.
            slots.data[Store(slots)._slot] = b"rotten"
        for _ in range(3):
            starts = start()
            # Or a power cut at the next start's write leaves it torn: that was not used.
            slots.data[1 - Store(slots)._slot] = b"torn"
        starts = start()
        slots.data = [b"rotten", b"rotten"]
        starts = start()
        slots.data = [None, None]  # and without a trace
    equal((starts, len(seen)), (24, 24))


# ---- b1


def test_b1_agrees_on_keys_once_and_goes_on_with_them():
    board = provisioned()
    peer = server()
    context, used = numbers(agreed(board, peer))
    assert len(context) == 16
    for run in range(4):
        account = board.start()
        equal(board.lines, ["oscore: /21/0 goes on from the last run (appendix B.1)"])
        again, first = numbers(account)
        equal(again, context)
        assert first > used
        for _ in range(100):
            exchange(account, peer)
            account.housekeep()
        used = account.ctx.seq
        if run & 1:
            account.save()


def test_the_first_context_never_comes_from_the_secret_alone():
    # Whatever is done to a device that had these keys, they begin with an ID Context that
    # never was, and not with number 0 of the one that was.
    seen = set()

    def again(board):
        return board.apply(config("b1"))

    def wiped(board):
        lwm2m_setup.wipe(store=Store(board.config))
        equal(board.slots[0].data, [None, None])
        again(board)

    def by_way_of_b2(board):
        board.apply(config())
        equal(board.slots[0].data, [None, None])
        again(board)

    def other_keys_between(board):
        board.apply(config("b1", secret=OTHER))
        again(board)

    def files_lost(board):
        board.slots.clear()

    def flash_rotten(board):
        board.slots[0].data = [b"\0" * 50, board.slots[0].data[0][:-1]]

    def record_unknown(board):
        store = board.record(0)
        store.commit({name: b"\x07" for name in store.names()}, wipe=True)

    board = provisioned()
    for change in (again, wiped, by_way_of_b2, other_keys_between, files_lost, flash_rotten, record_unknown):
        account = agreed(board, server())
        assert account.ctx.id_context not in seen
        seen.add(account.ctx.id_context)
        for _ in range(10):
            exchange(account, server_of(account))
        change(board)
    agreed(board, server())


class _Any:
    """A window that takes every number."""

    highest = bits = 0

    def fresh(self, piv):
        return True

    def accept(self, piv):
        pass


def server_of(account):
    """A server that knows the context in use."""
    peer = server()
    peer.ctx = Context(peer._params, account.ctx.id_context)
    peer.ctx.window = _Any()
    return peer


def test_a_record_of_a_flash_that_lost_its_newest_slot():
    board = provisioned()
    account = agreed(board, server())
    for _ in range(3):
        peer = server_of(account)
        for _ in range(150):
            exchange(account, peer)
            account.housekeep()
        context, used = numbers(account)
        slots = board.slots[0]
        slots.data[board.record(0)._slot] = b"rotten"
        account = board.start()
        assert board.lines[0].startswith("flash: slot."), board.lines
        equal(account.ctx.id_context, context)
        assert account.ctx.seq >= used


def test_rotate_gives_other_keys_and_leaves_nothing_of_the_old():
    board = provisioned()
    agreed(board, server())
    (old,) = board.record(0).names()
    board.rotate({"keys": {0: OTHER}})
    equal(board.opts(), {"restart": {0: "b1"}})
    agreed(board, server(OTHER))
    (new,) = board.record(0).names()
    assert new != old
    for data in board.slots[0].data:
        assert old.encode() not in data


def test_add_numbers_anew_and_leaves_the_others_alone():
    board = provisioned()
    context, used = numbers(agreed(board, server()))
    for ssid, secret in ((2, OTHER), (3, bytes(16))):
        board.apply(config("b1" if ssid == 2 else None, ssid, secret), add=True)
    equal(board.opts(), {"restart": {0: "b1", 1: "b1"}})
    account = board.start()
    equal(numbers(account), (context, account.ctx.seq))
    assert account.ctx.seq > used
    states = [a.hook.state for a in board.client.accounts]
    equal(states, ["ready", "new", "new"])
    equal([a.hook._keep is not None and a.hook._keep.b1 for a in board.client.accounts], [True, True, False])
    # one that had none joins one that has
    board = provisioned(None)
    board.apply(config("b1", 2, OTHER), add=True)
    equal(board.opts(), {"restart": {1: "b1"}})
    board.start()
    equal([a.hook._keep is not None and a.hook._keep.b1 for a in board.client.accounts], [False, True])


def test_keys_of_the_last_run_that_find_no_answer_give_way_to_fresh_ones():
    # Timeout, or a Reset, as Leshan sends it when it was left in the middle of Appendix B.2.
    for lost in (True, False):
        board = provisioned()
        agreed(board, server())
        hook = board.start()
        client, session = clocked()
        session.hook = hook
        session.keys_wanted = not hook.ready()
        session.poll(0)
        sealed = m.decode(client.sockets[-1].sent[-1])
        equal(decode_option(sealed.opt(m.OSCORE))[2], None)
        if lost:
            while session.pending:
                client.clock = session.poll(client.clock)
        else:
            session.endpoint.receive(m.encode(m.Message(0, m.RST, sealed.mid)), "peer", 0)
        assert "register failed" in client.said[-1], client.said
        client.clock = session.wake
        session.poll(client.clock)
        equal((hook.state, hook.ctx.live()), ("b2-1", True))
        assert "agreeing on fresh keys" in client.said[-1]


# ---- b1-static


def test_static_begins_with_the_record_that_provisioning_made():
    board = provisioned("b1-static")
    used = -1
    for _ in range(3):
        account = board.start()
        equal((account.state, account.ctx.id_context), ("ready", None))
        assert account.ctx.seq > used
        peer = server_of(account)
        for _ in range(70):
            exchange(account, peer)
        used = account.ctx.seq


def test_static_keys_are_given_once():
    board = provisioned("b1-static")
    board.start()
    for again in (config("b1-static"), config("b1-static", _6=b"x")):
        text = str(raises(ValueError, board.apply, again))
        assert "used before" in text, text
    raises(ValueError, board.rotate, {"keys": {0: OTHER}})
    raises(ValueError, board.rotate, {"keys": {0: OTHER}, "fresh": False})
    equal(board.start().state, "ready")
    board.rotate({"keys": {0: OTHER}, "fresh": True})
    equal(board.opts(), {"restart": {0: "b1-static"}})
    account = board.start()
    equal((account.state, account.ctx.seq), ("ready", K))
    equal(board.record(0).names(), [lwm2m_restart._name(oscore(OTHER))])


def test_static_without_its_record_does_not_begin_anew():
    board = provisioned("b1-static")
    board.slots.clear()
    account = board.start()
    equal((account.state, account.ctx), ("new", None))


# ---- a Bootstrap-Server


def with_bootstrap(policy="b1", **more):
    made = config(policy)
    made["objects"][0][9] = {0: "coap://192.0.2.9", 1: True, 2: 3}
    made.update(more)
    board = Board()
    board.apply(made)
    return board


def bootstrapped(board, change):
    """What a Finish commits after a change of the objects."""
    board.start()
    objects = board.client.dump()
    change(objects)
    board.client.on_config(objects)
    return board.opts()


def test_a_policy_stays_with_the_keys_that_it_was_set_for():
    def lifetime(objects):
        objects[1][0][1] = 99

    def secret(objects):
        objects[21][0][0] = OTHER

    def recipient(objects):
        objects[21][0][2] = b"\x09"

    def gone(objects):
        objects[21][5] = objects[21].pop(0)
        objects[0][0][17] = (21, 5)

    def id_context(objects):
        objects[21][0][6] = b"unused"

    for change, stays in (
        (lifetime, True),
        (id_context, True),
        (secret, False),
        (recipient, False),
        (gone, False),
    ):
        for policy in ("b1", "b1-static"):
            board = with_bootstrap(policy, opts={"restart": {0: policy}, "other": 7})
            opts = bootstrapped(board, change)
            want = {"other": 7}
            if stays:
                want["restart"] = {0: policy}
            equal(opts, want)
            keep = board.start()._keep
            equal(keep is not None and keep.b1, stays)


def test_keys_that_a_bootstrap_replaced_are_in_neither_slot():
    def secret(objects):
        objects[21][0][0] = OTHER

    board = with_bootstrap(None)
    assert SECRET in board.config.data[0] and SECRET in board.config.data[1]
    bootstrapped(board, secret)
    for data in board.config.data:
        assert SECRET not in data and OTHER in data


def test_a_commit_that_fails_changes_nothing():
    board = with_bootstrap()
    board.start()
    before = Store(board.config).get("config")
    write = board.config.write

    def broken(slot, data):
        raise OSError(28)

    objects = board.client.dump()
    objects[21][0][0] = OTHER
    board.config.write = broken
    raises(OSError, board.client.on_config, objects)
    board.config.write = write
    equal(Store(board.config).get("config"), before)
    # a later one starts from what is in flash
    objects = board.client.dump()
    objects[1][0][1] = 77
    board.client.on_config(objects)
    equal(board.opts(), {"restart": {0: "b1"}})


def test_without_a_bootstrap_server_nothing_is_kept_for_one():
    board = provisioned()
    board.start()
    client = board.client
    equal((client.secure, client.on_config, "lwm2m_hooks" in sys.modules), (None, None, False))
    with_bootstrap().start()
    assert "lwm2m_hooks" in sys.modules


# ---- provisioning


def test_policies_that_make_no_sense_are_refused():
    for want, opts in (
        ("not known", {"restart": {0: "b3"}}),
        ("not known", {"restart": {0: 1}}),
        ("missing", {"restart": {1: "b1"}}),
        ("no map", {"restart": "b1"}),
        ("no map", {"restart": ["b1"]}),
    ):
        board = Board()
        text = str(raises(ValueError, board.apply, dict(config(), opts=opts)))
        assert want in text, text
        equal((board.config.data, board.slots), ([None, None], {}))


def test_show_says_it():
    board = provisioned()
    lwm2m_setup.show(store=Store(board.config))
    equal(board.lines[-2:], ["  secret: set, salt: set, ID context: none", "  goes on after a restart: b1"])


# ---- flash


def test_flash_is_written_at_most_16_times_in_1000_sealed_exchanges():
    board = provisioned()
    account = agreed(board, server())
    peer = server_of(account)
    slots = board.slots[0]
    for _ in range(3):
        before = slots.writes
        for _ in range(1000):
            exchange(account, peer)
            account.housekeep()
        print("commits in 1,000 sealed exchanges: %d" % (slots.writes - before))
        assert slots.writes - before <= 16
    equal(account._keep.late, 0)
    # What the server asks is sealed with its own numbers: no commit at all.
    before = slots.writes
    asking = server_of(account)
    account.ctx.window = _Any()
    for _ in range(1000):
        exchange(asking, account)
        account.housekeep()
    equal(slots.writes, before)
    before = slots.writes, board.counters.writes
    board.start()
    equal((slots.writes - before[0], board.counters.writes - before[1]), (2, 1))


def test_a_message_does_not_wait_for_flash():
    board = provisioned()
    account = agreed(board, server())
    slots = board.slots[0]
    for _ in range(5 * K):
        before = slots.writes
        account.seal_request(get("a"))
        equal(slots.writes, before)
        account.housekeep()


def test_a_flash_that_fails_is_no_licence():
    board = provisioned()
    account = agreed(board, server())

    def broken(slot, data):
        raise OSError(28)

    board.slots[0].write = broken
    for _ in range(K):
        account.seal_request(get("a"))
    raises(m.Error, account.seal_request, get("a"))
    raises(OSError, account.housekeep)
