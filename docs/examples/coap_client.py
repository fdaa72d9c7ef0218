# Writes a value to a CoAP server, reads it back, and says what it was told.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
#     micropython -X heapsize=256K coap_client.py 127.0.0.1 5683 "new value"

import asyncio
import os
import sys

from coap.aio import Driver, ResponseError
from coap.endpoint import Endpoint
from coap.message import GET, PUT, URI_PATH, Message, describe
from coap.transport import UDP, resolve


async def main(host, port, value):
    peer = resolve(host, int(port))
    driver = Driver(UDP(), lambda send: Endpoint(send, os.urandom))
    running = asyncio.create_task(driver.run())
    try:
        put = Message(PUT, payload=value.encode()).add(URI_PATH, "value")
        response = await driver.request(put, peer)
        print("PUT", describe(response.code))
        response = await driver.request(Message(GET).add(URI_PATH, "value"), peer)
        print("GET", describe(response.code), str(response.payload, "utf-8"))
    except ResponseError as e:
        print("no response:", e.args[0])
    running.cancel()


asyncio.run(main(*sys.argv[1:4]))
