# A CoAP server with one value that can be read, written and observed.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
#     micropython -X heapsize=256K coap_server.py 127.0.0.1 5683

import asyncio
import os
import sys

from coap.aio import Driver
from coap.endpoint import Endpoint
from coap.message import CHANGED, CONTENT, GET, METHOD_NOT_ALLOWED, NOT_FOUND, OBSERVE, PUT
from coap.message import Error, Message
from coap.transport import UDP, resolve

value = b"hello"


def handle(request, peer, responder):
    global value
    if request.path() != ["value"]:
        raise Error(NOT_FOUND)
    if request.code == GET:
        if request.uint(OBSERVE) == 0:
            responder.observe()
        return Message(CONTENT, payload=value)
    if request.code != PUT:
        raise Error(METHOD_NOT_ALLOWED)
    value = bytes(request.payload)
    for observation in driver.endpoint.observations:
        driver.endpoint.notify(observation, Message(CONTENT, payload=value), driver.clock.now())
    return Message(CHANGED)


address = resolve(sys.argv[1], int(sys.argv[2]))
driver = Driver(UDP(address), lambda send: Endpoint(send, os.urandom, handle))
print("serving")
asyncio.run(driver.run())
