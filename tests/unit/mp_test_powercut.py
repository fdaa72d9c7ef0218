# The power is cut at each write and each erase of a long life of the whole device.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# heapsize: 4M
#
# One device lives through some 500 sealed exchanges: starts and stops, fresh keys that it or the
# server wants, a server that forgets all, bootstraps that change the keys or are refused, new
# provisioning. Before each write and each erase of its flash the power goes, once without a trace
# of that write and again with a part of it, and a second device begins with what is then there:
# - each store holds what it held, or what the commit under way would have made of it;
# - the device comes up: it registers, is read, and tells the server of a change;
# - no key meets a nonce that was used before the cut, in this life or in the second device's.
#   The generator of random numbers gives the same bytes for ever, so that only what is in flash
#   makes a difference, and the last requests of the server come again as replays.
# In every seventh of them the power goes once more, while it comes up.

import os
import time

import cbor
import coap.message as m
import cutworld
import flashstore
import lwm2m_begin
import lwm2m_setup
from check import raises
from cutworld import CONFIG, Clock, Server, World, flash, nonces, server_objects
from flashstore import Store
import oscore.keep as keep
from oscore import Window
from powercut import Device

SERVER, BOOTSTRAP = "10.0.0.1", "10.0.0.2"
SEED = bytes(32)


def keys(n):
    """The n-th set of keys of the server's account."""
    return {0: bytes((n,)) * 16, 1: b"\x01", 2: b"\x02", 3: 10, 4: 0}


BOOT_KEYS = {0: b"bootstrap-secret", 1: b"\x03", 2: b"\x04", 3: 10, 4: 0}


def configuration(n, policy, server=True):
    """What provisioning gives: a Bootstrap-Server, and a server with the n-th keys."""
    objects = {
        0: {0: {0: "coap://" + BOOTSTRAP, 1: True, 2: 3, 17: [21, 0]}},
        21: {0: BOOT_KEYS},
    }
    opts = {}
    if server:
        objects[0][1] = {0: "coap://" + SERVER, 1: False, 2: 3, 10: 123, 17: [21, 1]}
        objects[1] = {0: {0: 123, 1: 300, 6: False, 7: "U"}}
        objects[21][1] = keys(n)
        if policy != "b2":
            opts["restart"] = {0: "b1", 1: policy} if policy == "b1" else {1: policy}
    return {"ep": "device", "objects": objects, "opts": opts}


class Flat:
    """A kind of flash: how it is shaped, formatted and mounted; how often each write is torn."""

    def __init__(self, count, size, lfs, tears):
        self.shape = (count, size)
        self.lfs = lfs
        self.tears = tears

    def fresh(self):
        device = Device(*self.shape, flash=self.lfs)
        if self.lfs:
            os.VfsLfs2.mkfs(device, readsize=16, progsize=16, lookahead=16)
        else:
            os.VfsFat.mkfs(device)
        return device.data

    def mount(self, device, at):
        if self.lfs:
            fs = os.VfsLfs2(device, readsize=16, progsize=16, lookahead=16)
        else:
            fs = os.VfsFat(device)
        os.mount(fs, at)


class Proof:
    """The life of one device, cut everywhere."""

    def __init__(self, kind, policy):
        self.kind = kind
        self.policy = policy
        self.seed = time.ticks_us()
        print("seed", self.seed)
        self.dice = cutworld.Rand(self.seed)
        self.cuts = self.torn = self.second = self.lives = 0
        self.exchanges = 0
        lwm2m_begin.os = cutworld.Frozen
        self.device = cutworld.Watched(*kind.shape, kind.fresh(), flash=kind.lfs)
        kind.mount(self.device, "/pc")
        self.shadow = bytearray(self.device.data)
        self.device.watch = []
        self.world = World("/pc", self.seed)
        self.world.after = self.cut
        self.world.board.use()

    # --- the cuts

    def cut(self):
        """Cut at everything that was written since the last call."""
        if nonces.bad:
            raise AssertionError(nonces.bad[0])
        operations = self.device.watch
        if not operations:
            return
        board = self.world.board
        turn, now = nonces.device, Clock.now
        for at, data, state in operations:
            for tear in range(1 + self.kind.tears):
                eighths = tear and 1 + self.dice.below(7)
                part = len(data) * eighths // 8
                image = bytearray(self.shadow)
                image[at : at + part] = data[:part]
                self.cuts += 1
                self.torn += eighths > 0
                self.branch(image, state)
            self.shadow[at : at + len(data)] = data
        operations.clear()
        assert self.shadow == self.device.data
        nonces.branch = None
        nonces.device, Clock.now = turn, now
        board.use()

    def branch(self, image, state):
        may, nonces.limit = state
        nonces.branch = set()
        device = Device(*self.kind.shape, image, flash=self.kind.lfs)
        self.kind.mount(device, "/px")
        try:
            for path in may:
                store = Store("/px" + path)
                content = {name: store.get(name) for name in store.names()}
                assert content in may[path], "%s lost what was committed" % path
                assert len(store.problems) <= 1, store.problems
        finally:
            os.umount("/px")
        if self.cuts % 7 == 0:
            self.second += 1
            device = Device(
                *self.kind.shape, device.data, self.dice.below(40), self.dice.below(8), self.kind.lfs
            )
            self.live(device)
            device = Device(*self.kind.shape, device.data, flash=self.kind.lfs)
        self.live(device)
        if nonces.bad:
            raise AssertionError(nonces.bad[0])

    def live(self, device):
        """A device with this flash comes up, unless the power goes on the way."""
        self.lives += 1
        world = World("/px", self.dice.bits(32))
        try:
            self.kind.mount(device, "/px")
            self.come_up(world)
        except (OSError, AssertionError):
            if not device.dead():
                raise
        finally:
            world.board.off()
            try:
                os.umount("/px")
            except OSError:
                pass

    def come_up(self, world):
        board = world.board
        data = board.store().get("config")
        if data is None:
            return  # it is not provisioned yet
        objects = cbor.loads(data)["objects"]
        for security in objects[0].values():
            host = security[0][7:]
            world.servers[host] = Server(world, host, objects[21][security[17][1]])
            known = self.world.servers.get(host)
            if known is not None and self.dice.below(4):
                # Else it was restarted too. Its own numbers do not come again either.
                world.servers[host].know(known, 1000 * self.lives)
        board.start()
        if len(objects[0]) == 1:
            return world.until(lambda: world.servers[BOOTSTRAP].boots)
        world.until(board.registered)
        server = world.servers[SERVER]
        replays = self.world.servers[SERVER].kept[: self.dice.below(4)]
        for replay in replays:
            board.receive(server.way, replay)
        world.until(board.registered)
        took = server.took
        for path in ((3, 0, 0), (3303, 0, 5700)):
            code = server.ask(m.GET, path)
            if code == "timeout":  # replays made it want fresh keys in between
                world.until(board.registered)
                code = server.ask(m.GET, path)
            assert code == m.CONTENT, (code, board.lines)
        assert server.ask(m.POST, (1, 0, 8)) == m.CHANGED
        world.until(lambda: server.took > took)
        assert not [line for line in board.lines if "fault" in line], board.lines

    # --- the life

    def provision(self, n, server=True):
        self.world.board.use()
        config = cbor.dumps(configuration(n, self.policy, server))
        lwm2m_setup.apply(config, SEED, store=Store("/pc" + CONFIG))
        self.cut()

    def rotate(self, n):
        self.world.board.use()
        change = {"ssid": 123, "keys": {0: keys(n)[0]}, "fresh": True}
        lwm2m_setup.rotate(cbor.dumps(change), SEED, store=Store("/pc" + CONFIG))
        self.cut()
        self.server.use(keys(n))

    def serve(self, n):
        world = self.world
        world.servers = {
            SERVER: Server(world, SERVER, keys(n)),
            BOOTSTRAP: Server(world, BOOTSTRAP, BOOT_KEYS),
        }

    @property
    def server(self):
        return self.world.servers[SERVER]

    def work(self, n):
        """The server reads and writes, the device notifies and updates."""
        world, server = self.world, self.server
        sensor = world.board.client.model.instance(3303, 0)
        if server.ask(m.GET, (3303, 0, 5700), observe=True) != m.CONTENT:
            raise AssertionError("not observed")
        for i in range(n):
            assert server.ask(m.GET, (3, 0, 0)) == m.CONTENT
            notes = len(server.notes)
            sensor.measured(sensor.value + 1)
            world.until(lambda: len(server.notes) > notes)
            self.exchanges += 2
            if i % 4 == 0:
                self.update()

    def update(self):
        took = self.server.took
        assert self.server.ask(m.POST, (1, 0, 8)) == m.CHANGED
        self.world.until(lambda: self.server.took > took)
        self.exchanges += 2

    def rekey(self):
        """The device wants fresh keys."""
        session = self.world.board.account
        context = session.hook.ctx
        session.want_keys()
        self.world.until(lambda: self.world.board.registered() and session.hook.ctx is not context)
        self.exchanges += 2

    def forget(self):
        """The server forgets all but the account."""
        self.server.use(keys(self.n))
        self.world.board.account.update(Clock.now)
        self.world.until(lambda: self.server.hook.ctx is not None and self.world.board.registered())
        self.exchanges += 3

    def bootstrap(self, n, lifetime=200, good=True):
        """A bootstrap that gives the server's account the n-th keys."""
        world, boot = self.world, self.world.servers[BOOTSTRAP]
        boots = len(boot.boots)
        if world.board.registered():
            assert self.server.ask(m.POST, (1, 0, 9)) == m.CHANGED
        world.until(lambda: len(boot.boots) > boots)
        assert boot.ask(m.DELETE, ()) == m.DELETED
        for path, values in server_objects(SERVER, 123, keys(n), lifetime):
            if good or path != (1, 0):
                assert boot.write(path, values) == m.CHANGED
        if good:
            self.server.use(keys(n))
        assert boot.ask(m.POST, ("bs",)) == (m.CHANGED if good else m.NOT_ACCEPTABLE)
        self.exchanges += 8
        world.until(world.board.registered)

    def unmount(self):
        os.umount("/pc")

    def run(self):
        """All of it."""
        world = self.world
        b2 = self.policy == "b2"
        static = self.policy == "b1-static"
        self.n = 1
        self.serve(1)
        # At the factory: with b2 the server's account is left to the first bootstrap.
        self.provision(1, server=not b2)
        world.board.start()
        if b2:
            self.bootstrap(1)
        cycle = 0
        while self.exchanges < 500:
            if cycle:
                world.board.start()
            world.until(world.board.registered)
            self.exchanges += 2
            self.work(8)
            what = cycle % 8
            if static:
                what = {1: 5, 4: 5}.get(what, what if what in (0, 6, 7) else 6)
            if what == 1:
                self.rekey()
                self.work(3)
            elif what == 2:
                self.forget()
                self.work(3)
            elif what == 3 and (b2 or self.n > 1):
                self.n += 1
                self.bootstrap(self.n)
                self.work(2)
            elif what == 4:
                self.bootstrap(self.n, 200 + cycle)
                self.work(2)
            elif what == 5 and not static:
                self.bootstrap(self.n + 1, good=False)
                self.work(2)
            if cycle % 3 == 1:
                world.board.stop()
            else:
                world.board.off()
            if what == 5:
                self.n += 1
                self.rotate(self.n)
            elif what == 7:
                if static:
                    self.n += 1
                self.provision(self.n)
                self.server.use(keys(self.n))
            cycle += 1
        self.unmount()
        print(
            "%s, %s: %d sealed exchanges in %d runs, %d nonces, %d commits; "
            "the power cut %d times (%d of them inside a write), %d times once more"
            % (
                "littlefs" if self.kind.lfs else "FAT",
                self.policy,
                self.exchanges,
                cycle,
                len(nonces.main),
                flash.commits,
                self.cuts,
                self.torn,
                self.second,
            )
        )


LFS = Flat(40, 512, True, 1)
FAT = Flat(80, 512, False, 2)

# How many cuts each life has at least, and together: a run that is shorter proves less.
_LEAST = {
    (LFS, "b2"): 350,
    (FAT, "b2"): 250,
    (LFS, "b1"): 850,
    (FAT, "b1"): 600,
    (FAT, "b1-static"): 600,
}


def prove(kind, policy):
    began = time.ticks_ms()
    proof = Proof(kind, policy)
    proof.run()
    print("%d ms" % time.ticks_diff(time.ticks_ms(), began))
    assert proof.exchanges >= 500 and proof.cuts >= _LEAST[kind, policy]
    assert proof.torn >= proof.cuts // 2 and proof.second >= proof.cuts // 8
    assert sum(_LEAST.values()) >= 2000


def test_b2_on_littlefs():
    prove(LFS, "b2")


def test_b2_on_fat():
    prove(FAT, "b2")


def test_b1_on_littlefs():
    prove(LFS, "b1")


def test_b1_on_fat():
    prove(FAT, "b1")


def test_b1_static_on_fat():
    prove(FAT, "b1-static")


# ---- mistakes that are planted, and have to be found


def finds(what, kind, policy):
    text = str(raises(AssertionError, Proof(kind, policy).run))
    assert what in text, text


def test_finds_numbers_that_are_used_before_they_are_reserved():
    def reserve(keeper, ctx):
        ctx.reserved += 64

    keep.Keeper._reserve = reserve
    finds("nonce", LFS, "b1")


def test_finds_a_window_that_begins_empty():
    def start(keeper, params):
        ctx = kept(keeper, params)
        if ctx is not None:
            ctx.window = Window()  # as if nothing had been received yet
        return ctx

    kept = keep.Keeper.start
    keep.Keeper.start = start
    finds("nonce of before the cut", LFS, "b1")


def test_finds_a_boot_counter_that_is_not_committed():
    def fresh(store, counters):
        if counters.get("boot"):
            counters.put = lambda name, data: None
        return made(store, counters)

    made = lwm2m_begin.fresh
    lwm2m_begin.fresh = fresh
    finds("nonce", FAT, "b2")


def test_finds_a_store_that_writes_over_its_last_good_slot():
    def write(files, slot, data):
        return written(files, 0, data)

    written = flashstore.Files.write
    flashstore.Files.write = write
    finds("lost what was committed", FAT, "b2")
