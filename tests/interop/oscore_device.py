# A bare device with OSCORE and Appendix B.2, run by test_oscore_leshan.py under MicroPython.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# argv: PORT NAME SENDER_ID RECIPIENT_ID SECRET (hex) [SEED]. One command a line on stdin:
#   PROBE          request 1, or again; prints the state after it
#   LONG           REGISTER with a list of objects that takes four blocks
#   REGISTER, UPDATE, DEREGISTER, SEND path=value   prints code and state
#   NOTIFY         a notification; prints what became of it
#   REKEY, RECOVER what Account.rekey() and recover() do
# It serves GET /3/0/9 (75), PUT /3/0/14, and observation of /3/0/9.

import asyncio
import os
import sys

import coap.message as m
import oscorepair  # noqa: F401  it stops a run that uses a nonce twice
from coap.aio import Driver, ResponseError
from coap.endpoint import Endpoint
from coap.transport import UDP, resolve
from oscore import Account

SENML = 112


class Device:
    def __init__(self, port, name, account):
        self.account = account
        self.peer = resolve("127.0.0.1", port)
        self.name = name
        self.location = None
        self.timezone = "+00"
        self.observation = None
        self.driver = Driver(UDP())
        self.driver.endpoint = Endpoint(
            self.driver.transport.sendto, os.urandom, self.handle, account
        )

    def record(self, value):
        # [{-2: "/3/0/9", 2: value}] in CBOR
        return b"\x81\xa2\x21\x66/3/0/9\x02\x18" + bytes((value,))

    def handle(self, request, peer, responder):
        path = "/".join(request.path())
        if request.code == m.GET and path == "3/0/9":
            if request.uint(m.OBSERVE) == 0:
                self.observation = responder.observe()
            msg = m.Message(m.CONTENT, payload=self.record(75))
            return msg.add(m.CONTENT_FORMAT, SENML)
        if request.code == m.PUT and path == "3/0/14":
            self.timezone = str(request.payload, "utf-8")
            return m.Message(m.CHANGED)
        raise m.Error(m.NOT_FOUND)

    def message(self, command):
        if command == "PROBE":
            return self.account.probe()
        if command in ("REGISTER", "LONG"):
            msg = m.Message(m.POST).add(m.URI_PATH, "rd").add(m.CONTENT_FORMAT, 40)
            for query in ("ep=" + self.name, "lt=60", "lwm2m=1.1", "b=U"):
                msg.add(m.URI_QUERY, query)
            msg.payload = b"</3/0>"
            if command == "LONG":
                msg.payload += b"".join([b",</3442/%d>" % n for n in range(130)])
            return msg
        msg = m.Message(m.DELETE if command == "DEREGISTER" else m.POST)
        for part in self.location:
            msg.add(m.URI_PATH, part)
        return msg

    async def ask(self, command):
        if command == "NOTIFY":
            if self.observation not in self.driver.endpoint.observations:
                return "no observation"
            msg = m.Message(m.CONTENT, payload=self.record(33)).add(m.CONTENT_FORMAT, SENML)
            errors = []
            self.driver.endpoint.notify(
                self.observation,
                msg,
                self.driver.clock.now(),
                on_done=lambda observation, error: errors.append(error),
            )
            return errors[0] or "notified"
        if command == "REKEY":
            self.account.rekey()
            return self.account.state
        if command == "RECOVER":
            return "%s %s" % (self.account.recover(), self.account.state)
        try:
            response = await self.driver.request(
                self.message(command), self.peer, timeout_ms=30000
            )
        except ResponseError as e:
            return "%s %s" % (e.args[0], self.account.state)
        if response.code == m.CREATED:
            self.location = [str(v, "utf-8") for v in response.opts(m.LOCATION_PATH)]
        return "%s %s" % (m.describe(response.code), self.account.state)

    async def run(self):
        asyncio.create_task(self.driver.run())
        reader = asyncio.StreamReader(sys.stdin)
        print("READY")
        while True:
            line = await reader.readline()
            if not line:
                return
            print(await self.ask(line.decode().strip()))


def main():
    port, name = int(sys.argv[1]), sys.argv[2]
    sender, recipient, secret = [bytes.fromhex(a) for a in sys.argv[3:6]]
    account = Account(secret, sender, recipient, random=os.urandom)
    asyncio.run(Device(port, name, account).run())


main()
