# aiocoap's part of the comparison: the same sealed Read in process, and as a server.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# aiocoap_side.py rounds               for each line of input one round; prints ns for each Read
# aiocoap_side.py server PORT PAYLOAD  serves on the loopback until its input ends; PAYLOAD in hex

import asyncio
import sys
import time

import aiocoap
from aiocoap import oscore, resource
from aiocoap.oscore_sitewrapper import OscoreSiteWrapper
from aiocoap.credentials import CredentialsMap
from cases import PAYLOAD, SECRET

CALLS = 50
DEVICE, SERVER = b"\x01", b"\x02"


class Context(oscore.CanProtect, oscore.CanUnprotect, oscore.SecurityContextUtils):
    """A security context that lives in memory alone."""

    def __init__(self, own, other, first=0):
        self.alg_aead = oscore.algorithms[oscore.DEFAULT_ALGORITHM]
        self.hashfun = oscore.hashfunctions[oscore.DEFAULT_HASHFUNCTION]
        self.sender_id, self.recipient_id, self.id_context = own, other, None
        self.derive_keys(b"", SECRET)
        self.sender_sequence_number = first
        self.recipient_replay_window = oscore.ReplayWindow(32, lambda: None)
        self.recipient_replay_window.initialize_empty()

    def post_seqnoincrease(self):
        pass


def sealed_read(context, number):
    """(datagram, what opens its answer) of the next sealed Read of a server."""
    msg = aiocoap.Message(code=aiocoap.GET, uri_path=["3", "0", "0"])
    msg.opt.accept = 112
    # As a server of LwM2M does, and aiocoap would not by itself: without kid context.
    outer, binding = context.protect(msg, kid_context=False)
    number &= 0xFFFF
    outer.mid, outer.token, outer.mtype = number, number.to_bytes(2, "big"), 0
    return outer.encode(), binding


def answer(context, data):
    """aiocoap's bare path: decode, unprotect, protect, encode; no site, no socket."""
    msg = aiocoap.Message.decode(data)
    inner, binding = context.unprotect(msg)
    response = aiocoap.Message(code=aiocoap.CONTENT, payload=PAYLOAD)
    response.opt.content_format = 112
    outer, _ = context.protect(response, binding)
    outer.mid, outer.token, outer.mtype = msg.mid, msg.token, 2
    return outer.encode()


def rounds():
    device, server = Context(DEVICE, SERVER), Context(SERVER, DEVICE)
    number = 0
    print("READY", flush=True)
    while sys.stdin.readline():
        data = []
        for _ in range(CALLS):
            number += 1
            data.append(sealed_read(server, number)[0])
        start = time.perf_counter_ns()
        for datagram in data:
            answer(device, datagram)
        print((time.perf_counter_ns() - start) // CALLS, flush=True)


class Value(resource.Resource):
    """What stands in for the data model."""

    def __init__(self, payload):
        super().__init__()
        self.payload = payload

    async def render_get(self, request):
        response = aiocoap.Message(code=aiocoap.CONTENT, payload=self.payload)
        response.opt.content_format = 112
        return response


async def serve(port, payload):
    site = resource.Site()
    site.add_resource(["3", "0", "0"], Value(payload))
    credentials = CredentialsMap()
    credentials[":server"] = Context(DEVICE, SERVER)
    # Of its transports for servers the one that takes the least.
    await aiocoap.Context.create_server_context(
        OscoreSiteWrapper(site, credentials), ("127.0.0.1", port), transports=["simplesocketserver"]
    )
    print("READY", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    if sys.argv[1] == "rounds":
        rounds()
    else:
        asyncio.run(serve(int(sys.argv[2]), bytes.fromhex(sys.argv[3])))
