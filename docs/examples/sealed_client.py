# Reads a value from a CoAP server, sealed end to end with OSCORE.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
#     micropython -X heapsize=256K sealed_client.py 127.0.0.1 5683 SECRET-IN-HEX sealed-client
#
# The last argument names the two files that keep the sequence numbers over a restart.

import asyncio
import os
import sys
from binascii import unhexlify

from coap.aio import Driver, ResponseError
from coap.endpoint import Endpoint
from coap.message import GET, URI_PATH, Message, describe
from coap.transport import UDP, resolve
from flashstore import Store
from oscore import Account, Record


async def main(host, port, secret, path):
    secret = unhexlify(secret)
    store = Store(path)

    def read():
        if store.problems and store.get("oscore") is None:
            raise ValueError("which numbers were used is not known")
        return store.get("oscore")

    record = Record(read, lambda data: store.put("oscore", data))
    # On a board whose os.urandom starts alike at each boot, oscore.Fresh takes its place.
    account = Account(secret, b"C", b"S", random=os.urandom, persist=record, policy="b1")
    driver = Driver(UDP(), lambda send: Endpoint(send, os.urandom, None, account))
    running = asyncio.create_task(driver.run())
    try:
        get = Message(GET).add(URI_PATH, "value")
        response = await driver.request(get, resolve(host, int(port)), timeout_ms=10000)
        print("GET", describe(response.code), str(response.payload, "utf-8"))
    except ResponseError as e:
        print("no response:", e.args[0])
    running.cancel()
    account.save()


asyncio.run(main(*sys.argv[1:5]))
