# A CoAP server with one value, which it gives to who has the OSCORE keys.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
#     micropython -X heapsize=256K sealed_server.py 127.0.0.1 5683 SECRET-IN-HEX sealed-server
#
# The last argument names the two files that keep the sequence numbers over a restart.

import asyncio
import os
import sys
from binascii import unhexlify

from coap.aio import Driver
from coap.endpoint import Endpoint
from coap.message import CHANGED, CONTENT, GET, METHOD_NOT_ALLOWED, NOT_FOUND, PUT, Error, Message
from coap.transport import UDP, resolve
from flashstore import Store
from oscore import Account, Contexts, Record

value = b"hello"
store = Store(sys.argv[4])


def handle(request, peer, responder):
    global value
    if request.path() != ["value"]:
        raise Error(NOT_FOUND)
    if request.code == GET:
        return Message(CONTENT, payload=value)
    if request.code != PUT:
        raise Error(METHOD_NOT_ALLOWED)
    value = bytes(request.payload)
    return Message(CHANGED)


def read():
    if store.problems and store.get("C") is None:
        raise ValueError("which numbers were used is not known")
    return store.get("C")


# One account a client; each has a record of its own.
record = Record(read, lambda data: store.put("C", data))
secret = unhexlify(sys.argv[3])
client = Account(secret, b"S", b"C", random=os.urandom, persist=record, policy="b1")
hook = Contexts((client,))
udp = UDP(resolve(sys.argv[1], int(sys.argv[2])))
driver = Driver(udp, lambda send: Endpoint(send, os.urandom, handle, hook))
print("serving")
asyncio.run(driver.run())
