# UDP, the clock, the asyncio driver and the package's front.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import asyncio
import os
import socket

from check import Skip, equal, raises
from coap import transport
from coap.aio import Driver, ResponseError
from coap.endpoint import Endpoint
from coap.message import *
from coap.params import Params
from coap.transport import UDP, Clock, resolve
from coap_net import exchanges


# This port has no getsockname() to ask which port it was given.
PORT = 20000 + int.from_bytes(os.urandom(2), "big") % 12000


class Ticks:
    """Stands in for the module time."""

    def __init__(self, now):
        self.now = now

    def ticks_ms(self):
        return self.now & 0x3FFFFFFF


def test_clock_does_not_wrap():
    real = transport.time
    ticks = transport.time = Ticks(0x3FFFFF00)
    try:
        clock = Clock()
        equal(clock.now(), 0)
        start = ticks.now
        for step in (0x80, 0x100, 0x20000000, 0x3FFFFFFE, 1, 0, 0x3FFFFFFF):
            ticks.now += step
            equal(clock.now(), ticks.now - start)
        # 100 years, asked each day.
        for _ in range(36525):
            ticks.now += 86400000
            now = clock.now()
        equal(now, ticks.now - start)
    finally:
        transport.time = real


def local(port):
    return resolve("127.0.0.1", port)


def test_udp():
    a = UDP(local(0))
    b = UDP()
    equal(a.recvfrom(100), None)
    equal((a.unread, b.unread), (1, 0))

    async def main():
        # b says its port by sending.
        receiver = UDP(local(PORT))
        b.sendto(b"hello", local(PORT))
        await transport.readable(receiver.sock)
        data, peer = receiver.recvfrom(100)
        equal(data, b"hello")
        # What is longer is cut off.
        receiver.sendto(b"0123456789", peer)
        await transport.readable(b.sock)
        data, again = b.recvfrom(5)
        equal((data, again), (b"01234", local(PORT)))
        receiver.close()

    asyncio.run(asyncio.wait_for(main(), 10))
    a.close()
    b.close()


def test_a_datagram_that_cannot_be_sent():
    udp = UDP()
    # To the broadcast address, which a socket has to ask for.
    broadcast = resolve("255.255.255.255", 5683)
    raises(OSError, udp.sendto, b"x", broadcast)
    # An endpoint takes it for lost.
    me = Endpoint(udp.sendto, os.urandom, None, None, Params())
    me.request(Message(GET), broadcast, 0, None)
    equal((me.counters.unsent, me.counters.errors), (1, 0))
    udp.close()
    raises(OSError, resolve, "no such host.invalid", 5683)


def serving(handler):
    server = Driver(UDP(local(PORT + 1)), lambda send: Endpoint(send, os.urandom, handler))
    client = Driver(UDP(), lambda send: Endpoint(send, os.urandom, None, None, Params(ack_timeout_ms=50)))
    return server, client


def run(main, *drivers):
    async def all():
        tasks = [asyncio.create_task(driver.run()) for driver in drivers]
        await main
        for task in tasks:
            task.cancel()

    asyncio.run(asyncio.wait_for(all(), 20))
    for driver in drivers:
        driver.transport.close()


def test_driver():
    server, client = serving(lambda request, peer, responder: Message(CHANGED, payload=bytes(request.payload)))

    async def main():
        for n in (0, 5, 3000):
            response = await client.request(Message(POST, payload=bytes(n)), local(PORT + 1))
            equal((response.code, len(response.payload)), (CHANGED, n))

    run(main(), server, client)


def test_driver_times_out_while_idle():
    # The timer sleeps without a deadline until a request brings one.
    server, client = serving(None)

    async def main():
        await asyncio.sleep_ms(50)
        try:
            await client.request(Message(GET), local(PORT + 2))
        except ResponseError as e:
            equal(e.args, ("timeout",))
        else:
            raise AssertionError
        equal(client.endpoint.counters.retransmitted, 4)
        e = None
        try:
            await client.request(Message(GET), local(PORT + 2), timeout_ms=20)
        except ResponseError as error:
            e = error
        equal(e.args, ("timeout",))

    run(main(), client)
    server.transport.close()


def test_cancelled_request():
    server, client = serving(None)

    async def main():
        first = asyncio.create_task(client.request(Message(GET), local(PORT + 2)))
        await asyncio.sleep_ms(0)
        equal(len(exchanges(client.endpoint)), 1)
        first.cancel()
        await asyncio.sleep_ms(0)
        equal(exchanges(client.endpoint), [])
        # Those behind it go on.
        response = await client.request(Message(GET), local(PORT + 1))
        equal(response.code, NOT_FOUND)

    run(main(), server, client)


def test_ports_of_the_socket_module():
    # The addresses of this port are bytes, those of others tuples: both are compared only.
    assert resolve("127.0.0.1", 5683) == resolve("127.0.0.1", 5683)
    assert resolve("127.0.0.1", 5683) != resolve("127.0.0.1", 5684)


def test_addresses_of_both_families():
    try:
        socket.getaddrinfo("::1", 5683, socket.AF_INET6)
    except (AttributeError, OSError):
        raise Skip("no IPv6 in this port")
    equal(len(resolve("::1", 5683, socket.AF_INET6)) > len(resolve("127.0.0.1", 5683)), True)


def test_front_of_the_package():
    import coap
    from coap import endpoint

    assert coap.Endpoint is Endpoint and endpoint.Endpoint is Endpoint
    assert coap.Message is Message and coap.UDP is UDP and coap.Driver is Driver
    from coap import Clock as C
    from coap import Observation, Params as P, block

    assert C is Clock and P is Params and block.block_value(1, True, 2) == 26 and Observation
    raises(AttributeError, getattr, coap, "nothing")
