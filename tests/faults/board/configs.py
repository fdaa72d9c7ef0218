# What the device makes of configurations, without a network: configs.py [SEED COUNT]
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# Each line of standard input is a configuration in hex; for each a line comes out: what it was
# refused with, or "accepted". With SEED and COUNT, COUNT random changes of the first line
# are tried after it and only what went wrong is printed. One that is accepted is run through a
# few days, first without a network, then with a server that does not answer.

import asyncio
import random
import sys
from binascii import unhexlify

import cbor
import lwm2m_app
import lwm2m_begin

DAYS_MS = 3 * 86400000
STEPS = 40


class Ram:
    """A store with one configuration."""

    problems = ()

    def __init__(self, **records):
        self.records = records

    def get(self, name, default=None):
        return self.records.get(name, default)

    def put(self, name, data):
        self.records[name] = data

    def commit(self, changes, wipe=False):
        self.records.update(changes)

    def mend(self):
        pass


class Clock:
    time = 0

    def now(self):
        return self.time


class Silence:
    """A way to a server that says nothing."""

    sock = None

    def sendto(self, data, peer):
        pass

    def recvfrom(self, n):
        return None

    def close(self):
        pass


def live(client, network):
    """Let the accounts do what is due, through some days."""
    clock = Clock()
    client.now = clock.now

    def transport(security, host, port):
        if not network:
            raise OSError(101)
        return Silence(), (host, port)

    client.transport = transport
    for _ in range(STEPS):
        wake = None
        for session in client.sessions:
            at = session.poll(clock.time)
            if at is not None and (wake is None or at < wake):
                wake = at
        if wake is None or wake > DAYS_MS:
            return
        clock.time = max(clock.time + 1, wake)


def tried(data):
    """"accepted", or the reason of the refusal. Raises whatever else goes wrong."""
    asyncio.new_event_loop()
    said = []
    lwm2m_app.log = said.append
    store = Ram(config=data, seed=bytes(32))
    try:
        client, _ = lwm2m_begin.make_client(None, store, Ram())
    except ValueError as e:
        text = str(e)
        if said or "\n" in text or not text:
            raise RuntimeError("more or less than one line: %r %r" % (said, text))
        return text
    for network in (False, True):
        live(client, network)
    for text in said:
        if "fault" in text or "\n" in text:
            raise RuntimeError(text)
    return "accepted"


ODD = (
    None, True, False, 0, 1, -1, 2, 3, 7, 123, 65534, 65535, 65536, 1 << 31, 1 << 40, -(1 << 63), (1 << 64) - 1,
    0.0, 1.5, float("inf"), float("nan"), "", "x", "U", "UQ", "coap://", "coap://h:0", "coap://[", "coaps://h",
    "coap://h\n", b"", b"x", bytes(7), bytes(8), bytes(16), bytes(64), bytes(65), [], [21], [21, 0], [21, 65535],
    [21, 1], [0, 0], [65535, 65535], [21, 0, 0], {}, {0: 0}, {0: {}}, {"x": 1},
)


def odd():
    value = random.choice(ODD)
    return cbor.loads(cbor.dumps(value)) if isinstance(value, (list, dict)) else value


def maps_of(value, found):
    if isinstance(value, dict):
        found.append(value)
        for key in value:
            maps_of(value[key], found)
    return found


def change(config):
    """One random change somewhere in a configuration."""
    maps = maps_of(config, [])
    at = random.choice(maps)
    keys = list(at)
    kind = random.getrandbits(3)
    if not keys or kind == 0:
        at[random.choice((0, 1, 2, 5, 11, 17, 21, 65535, -1, "x", 1.5))] = odd()
    elif kind == 1:
        del at[random.choice(keys)]
    elif kind == 2:
        # A copy under another number: two of something.
        at[random.choice((0, 1, 2, 3, 21, 65534))] = cbor.loads(cbor.dumps(at[random.choice(keys)]))
    else:
        at[random.choice(keys)] = odd()


def main():
    lines = [unhexlify(line.strip()) for line in sys.stdin]
    for data in lines:
        print(tried(data))
    if len(sys.argv) > 2:
        random.seed(int(sys.argv[1]) & 0x3FFFFFFF)
        accepted = 0
        count = int(sys.argv[2])
        for _ in range(count):
            config = cbor.loads(lines[0])
            for _ in range(1 + random.getrandbits(1)):
                change(config)
            data = cbor.dumps(config)
            if random.getrandbits(3) == 0:
                # Bytes that somebody else wrote.
                data = bytearray(data)
                data[random.randrange(len(data))] ^= 1 << random.getrandbits(3)
                data = bytes(data)
            try:
                accepted += tried(data) == "accepted"
            except Exception as e:
                print("WRONG", data)
                sys.print_exception(e, sys.stdout)
        print("%d accepted of %d" % (accepted, count))


main()
