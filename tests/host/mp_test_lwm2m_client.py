# The client's driver on the host's sockets: what it does where nobody answers.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import asyncio
import os

from check import equal
from coap.params import Params
from coap.transport import resolve, UDP
from lwm2m import Client

PORT = 20000 + int.from_bytes(os.urandom(2), "big") % 12000


def make(said, uri="coap://127.0.0.1:%d" % PORT, security=None, **kw):
    client = Client("ep", log=said.append, params=Params(ack_timeout_ms=20, max_retransmit=1), **kw)
    account = {0: uri, 1: False, 2: 3, 10: 1}
    account.update(security or {})
    client.load({0: {0: account}, 1: {0: {0: 1, 1: 60, 18: 1}}})
    return client


def run(client, until, limit_s=20):
    async def all():
        task = asyncio.create_task(client.run())
        while not until():
            await asyncio.sleep_ms(5)
        task.cancel()

    asyncio.run(asyncio.wait_for(all(), limit_s))


def test_a_server_that_does_not_answer_is_tried_again():
    said = []
    server = UDP(resolve("127.0.0.1", PORT))
    run(make(said), lambda: len(said) == 2)
    server.close()
    equal(said[0], "server 1: register failed: timeout, next try in 1 s")
    equal(said[1], "server 1: register failed: timeout, next try in 2 s")
