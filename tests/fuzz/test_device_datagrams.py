# 10,000 random and spoilt datagrams at the device's port: it serves on, and its heap is as before.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import random
import socket

from aiocoap import CON, NON, Message
from aiocoap.numbers import codes
from faults.rig import BLOB, COUNT, COUNTED, ENDPOINT, RECIPIENT, TEXT, secrets_in

COUNT_OF_DATAGRAMS = 10_000
BATCH = 50  # datagrams between two pings: what surely fits the socket's buffer
MAX_DATAGRAM = 1152
GROWTH = 512  # bytes that the heap may differ by: blocks that a stale pointer keeps
MAX_OUTER = 2  # messages that a proxy cut and whose first blocks wait for the others


def recorded(rig):
    """Real datagrams of all kinds, of both directions."""
    bench = rig.bench
    for n in range(3):
        rig.write(TEXT, "recorded %d" % n)
        rig.read("/3/0/0")
        rig.execute(COUNT)
        bench.discover(ENDPOINT, "/3")
        bench.read(ENDPOINT, "/3/0", format=11542)
        bench.write_attributes(ENDPOINT, TEXT, {"pmin": 1, "pmax": 100})
        rig.write(BLOB, bytes(900))
        assert len(rig.read(BLOB)) == 900
        observation = bench.observe(ENDPOINT, "/3303/0/5700")
        bench.next_of(observation)
        bench.cancel(ENDPOINT, "/3303/0/5700")
        bench.read_composite(ENDPOINT, ["/3/0/0", TEXT])
    mark = bench.mark
    rig.execute("/1/0/8")
    bench.wait("updated", ENDPOINT, 10, after=mark)
    return [d.data for d in rig.line.seen]


def plain(dice):
    """A request without protection."""
    path = dice.choice(["/3/0/0", "/3", "/", "/21/0/0", "/0/0", COUNT, TEXT, "/1/0/4", "/.well-known/core", "/rd"])
    message = Message(
        code=dice.choice([codes.GET, codes.PUT, codes.POST, codes.DELETE, codes.FETCH, codes.iPATCH]),
        uri_path=[p for p in path.split("/") if p], payload=dice.randbytes(dice.randrange(40)),
        _mtype=dice.choice([CON, NON]), _mid=dice.randrange(1 << 16), _token=dice.randbytes(dice.randrange(9)),
    )
    if dice.random() < 0.3:
        message.opt.observe = dice.choice([0, 1])
    return message.encode()


def rederivation(dice):
    """What looks like request 1 or 3 of appendix B.2, from somebody without the keys."""
    kid_context = bytes([0x48]) + dice.randbytes(8)
    option = b"\x19" + dice.randbytes(1) + bytes([len(kid_context)]) + kid_context + RECIPIENT
    message = Message(
        code=codes.POST, payload=dice.randbytes(dice.randrange(1, 40)), _mtype=dice.choice([CON, NON]),
        _mid=dice.randrange(1 << 16), _token=dice.randbytes(4), oscore=option,
    )
    return message.encode()


def cut_outside(dice, number=None, size1=1000):
    """A block of a message that a proxy cut, from somebody without the keys."""
    if number is None:
        number, size1 = dice.choice([0, 0, 1, 7]), dice.choice([None, 1000, 100000])
    message = Message(
        code=codes.POST, payload=bytes(512), _mtype=CON, _mid=dice.randrange(1 << 16), _token=dice.randbytes(4),
        oscore=b"\x09" + dice.randbytes(1) + RECIPIENT, size1=size1,
    )
    message.opt.block1 = (number, True, 5)
    return message.encode()


def framed(dice):
    """A header that is right, and what follows at random."""
    token = dice.randbytes(dice.randrange(9))
    head = bytes([
        0x40 | dice.randrange(4) << 4 | len(token), dice.choice([0, 1, 2, 3, 4, 5, 0x44, 0x45, 0x81, dice.randrange(256)]),
    ])
    return head + dice.randbytes(2) + token + dice.randbytes(dice.choice([0, 1, 5, 20, 100]))


def spoilt(dice, data):
    data = bytearray(data)
    for _ in range(dice.choice([1, 1, 2, 5])):
        at = dice.randrange(len(data)) if data else 0
        kind = dice.randrange(5)
        if kind == 0:
            del data[at:]
        elif kind == 1:
            data[at:at] = dice.randbytes(dice.randrange(1, 9))
        elif kind == 2:
            del data[at : at + dice.randrange(1, 9)]
        elif data:
            data[at] ^= 1 << dice.randrange(8)
    return bytes(data)


def renumbered(dice, data):
    """A repetition that the message layer does not know for one: another message ID."""
    return data[:2] + dice.randbytes(2) + data[4:]


def datagram(dice, real):
    kind = dice.randrange(20)
    if kind < 1:
        return dice.randbytes(dice.choice([0, 1, 3, 4, 5, 12, 60, 400, MAX_DATAGRAM, MAX_DATAGRAM + 1, 3000]))
    if kind < 4:
        return framed(dice)
    if kind < 6:
        return plain(dice)
    if kind < 7:
        return dice.choice([rederivation, cut_outside])(dice)
    if kind < 9:
        return dice.choice(real)
    if kind < 12:
        return renumbered(dice, dice.choice(real))
    return spoilt(dice, dice.choice(real))


def bombard(rig, dice, real, strangers, count):
    port = rig.line.device()
    for start in range(0, count, BATCH):
        ours = []
        for _ in range(min(BATCH, count - start)):
            data = datagram(dice, real)
            if dice.random() < 0.6:
                ours.append(data)
            else:
                dice.choice(strangers).sendto(data, tuple(port))
        rig.bench.call(lambda batch: [rig.bench.send_now(data, port) for data in batch], ours)
        rig.ping()


def settle(rig, dice):
    """Fill the places for what proxies cut: then they hold the same at each reading."""
    for _ in range(2 * MAX_OUTER):
        rig.bench.send(cut_outside(dice, 0), rig.line.device())
    rig.ping()


def test_serves_on(rig, seed):
    rig.start()
    real = recorded(rig)
    dice = random.Random(seed)
    counted, said = rig.read(COUNTED), len(rig.device.log.split("\n"))
    strangers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    try:
        for stranger in strangers:
            stranger.bind(("127.0.0.1", 0))
        # What is loaded when it is first needed is there afterwards.
        bombard(rig, dice, real, strangers, 500)
        settle(rig, dice)
        before = rig.free()
        bombard(rig, dice, real, strangers, COUNT_OF_DATAGRAMS)
        answers = []
        for stranger in strangers:
            stranger.setblocking(False)
            try:
                while True:
                    answers.append(stranger.recv(4096))
            except BlockingIOError:
                pass
    finally:
        for stranger in strangers:
            stranger.close()
    settle(rig, dice)
    after = rig.free()
    print("free before: %d, after: %d" % (before, after))
    assert before - after <= GROWTH
    # Nothing of it was done, and all is as it was.
    assert rig.read(COUNTED) == counted
    assert rig.read(TEXT) == "recorded 2"
    rig.execute(COUNT)
    assert rig.bench.next_of(rig.bench.observe(ENDPOINT, "/3303/0/5700")).code == "2.05"
    assert rig.bench.device(ENDPOINT)
    # The log tells of it, and not each time.
    news = rig.device.log.split("\n")[said:]
    assert [line for line in news if "messages not verified" in line] and len(news) <= 4, news
    # Strangers got codes at most: resets and empty 4.xx, nothing sealed and nothing said.
    assert answers and max(len(a) for a in answers) <= 4 + 8 + 2
    assert not secrets_in(repr(answers))
