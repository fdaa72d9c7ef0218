# A CoAP peer sealed with OSCORE, run by test_oscore_aiocoap.py under MicroPython.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# argv: server PORT RECORD [AEAD [lossy]], or client alike. RECORD: the file that stands for
# flash; lossy: for a network that wants many retransmissions, soon.
# The server serves /hello, /echo, /counter (observable); the client takes one request a line
# on stdin ("GET hello", "POST echo TEXT", FETCH and IPATCH alike, "OBSERVE counter N", "SAVE")
# and prints one line.

import asyncio
import os
import sys

import coap.message as m
import oscorepair  # noqa: F401  it stops a run that uses a nonce twice
from coap.aio import Driver, ResponseError
from coap.endpoint import Endpoint
from coap.params import Params
from coap.transport import UDP, resolve
from oscore import Account, Record

SECRET = bytes(range(16))
SALT = b"salt"
METHODS = {"GET": m.GET, "POST": m.POST, "FETCH": m.FETCH, "IPATCH": m.IPATCH, "OBSERVE": m.GET}
ECHOED = {m.POST: m.CHANGED, m.FETCH: m.CONTENT, m.IPATCH: m.CHANGED}


def params():
    if len(sys.argv) > 5:
        return Params(max_body=70000, block_szx=6, ack_timeout_ms=40, max_retransmit=9)
    return Params(max_body=70000)


def record(path):
    def read():
        try:
            with open(path, "rb") as f:
                return f.read()
        except OSError:
            return None

    def write(data):
        with open(path + ".new", "wb") as f:
            f.write(data)
        os.rename(path + ".new", path)

    return Record(read, write)


def account(own, other, path, aead=10):
    return Account(
        SECRET, own, other, SALT, aead=aead, random=os.urandom, persist=record(path), policy="b1"
    )


class Server:
    def __init__(self, port, hook):
        self.driver = Driver(UDP(resolve("127.0.0.1", port)))
        self.driver.endpoint = Endpoint(
            self.driver.transport.sendto, os.urandom, self.handle, hook, params()
        )
        self.observation = None

    def handle(self, request, peer, responder):
        path = request.path()
        if path == ["hello"] and request.code == m.GET:
            return m.Message(m.CONTENT, payload=b"hello, sealed").add(m.CONTENT_FORMAT, 0)
        if path == ["echo"] and request.code in ECHOED:
            return m.Message(ECHOED[request.code], payload=bytes(request.payload))
        if path == ["counter"] and request.code == m.GET:
            if request.uint(m.OBSERVE) == 0:
                self.observation = responder.observe()
            return m.Message(m.CONTENT, payload=b"0")
        raise m.Error(m.NOT_FOUND)

    async def count(self):
        n = 0
        while True:
            await asyncio.sleep_ms(20)
            if self.observation in self.driver.endpoint.observations:
                n += 1
                now = self.driver.clock.now()
                msg = m.Message(m.CONTENT, payload=b"%d" % n)
                self.driver.endpoint.notify(self.observation, msg, now, n % 3 == 0)
                self.driver.kick()

    async def run(self):
        print("READY")
        asyncio.create_task(self.count())
        await self.driver.run()


async def lines():
    reader = asyncio.StreamReader(sys.stdin)
    while True:
        line = await reader.readline()
        if not line:
            return
        yield_to.append(line.decode().strip())
        arrived.set()


yield_to = []
arrived = asyncio.Event()


async def next_line():
    while not yield_to:
        arrived.clear()
        await arrived.wait()
    return yield_to.pop(0)


async def observe(driver, peer, msg, wanted):
    values = []
    done = asyncio.Event()

    def on_response(exchange, response, error):
        if error is None:
            values.append(bytes(response.payload).decode())
        else:
            values.append(error)
        if error is not None or len(values) == wanted:
            done.set()

    exchange = driver.endpoint.request(msg, peer, driver.clock.now(), on_response, observe=True)
    driver.kick()
    await done.wait()
    driver.endpoint.cancel(exchange)
    return values[:wanted]


async def client(port, hook):
    driver = Driver(UDP())
    driver.endpoint = Endpoint(
        driver.transport.sendto, os.urandom, None, hook, params()
    )
    asyncio.create_task(driver.run())
    asyncio.create_task(lines())
    peer = resolve("127.0.0.1", port)
    print("READY")
    while True:
        words = (await next_line()).split(" ")
        if words[0] == "SAVE":
            hook.save()
            print("saved")
            return
        msg = m.Message(METHODS[words[0]])
        msg.add(m.URI_PATH, words[1])
        if words[0] == "OBSERVE":
            print(" ".join(await observe(driver, peer, msg, int(words[2]))))
            continue
        msg.payload = words[2].encode() if len(words) > 2 else b""
        try:
            response = await driver.request(msg, peer, timeout_ms=90000)
            print(m.describe(response.code), str(response.payload, "utf-8"))
        except ResponseError as e:
            print("error", e.args[0])


def main():
    role, port, path = sys.argv[1:4]
    aead = int(sys.argv[4]) if len(sys.argv) > 4 else 10
    if role == "server":
        asyncio.run(Server(int(port), account(b"S", b"C", path, aead)).run())
    else:
        asyncio.run(client(int(port), account(b"C", b"S", path, aead)))


main()
