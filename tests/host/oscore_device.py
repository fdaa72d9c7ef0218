# A device for the tests of the bench server: OSCORE and appendix B.2 by hand, over aiocoap's
# message codec and AEAD, with nothing of the server's own code.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import asyncio
import secrets

import cbor2
from aiocoap import Message, oscore
from aiocoap.numbers import codes, types

TIMEOUT = 10


class Context(oscore.CanProtect, oscore.CanUnprotect, oscore.SecurityContextUtils):
    """The device's side of a derived context."""

    echo_recovery = None

    def __init__(self, device, id_context, literal_iv=None):
        self.alg_aead = oscore.algorithms[device.aead]
        self.hashfun = oscore.hashfunctions["sha256"]
        self.sender_id, self.recipient_id = device.sender_id, device.recipient_id
        self.id_context = id_context
        self.derive_keys(device.salt, device.secret)
        self.sender_sequence_number = 0
        self.recipient_replay_window = oscore.ReplayWindow(32, lambda: None)
        self.recipient_replay_window.initialize_empty()
        self.literal_iv = literal_iv

    def post_seqnoincrease(self):
        pass

    def _extract_encrypted0(self, message):
        parts = super()._extract_encrypted0(message)
        self.kid_context = parts[2].pop(oscore.COSE_KID_CONTEXT, None)
        self.piv = parts[2].get(oscore.COSE_PIV)
        return parts

    # Message 2 of B.2 has the nonce of request 1, made with another Common IV.
    def _construct_nonce(self, piv, generator, alg):
        if self.literal_iv is None or generator != self.sender_id:
            return super()._construct_nonce(piv, generator, alg)
        own, self.common_iv = self.common_iv, self.literal_iv
        try:
            return super()._construct_nonce(piv, generator, alg)
        finally:
            self.common_iv = own


class Device(asyncio.DatagramProtocol):
    """serve(inner request) -> inner response, or None for no answer."""

    aead = "AES-CCM-16-64-128"

    def __init__(self, server, sender_id=b"\1", recipient_id=b"\2", secret=bytes(range(16)), salt=b"",
                 serve=None):
        self.server = server
        self.sender_id, self.recipient_id, self.secret, self.salt = sender_id, recipient_id, secret, salt
        self.serve = serve or (lambda request: Message(code=codes.NOT_FOUND))
        self.context = None
        self.waiting = {}
        self.seen, self.resets = [], []
        self.observers = {}
        self.mid = secrets.randbelow(65536)
        self.location = None

    async def __aenter__(self):
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(
            lambda: self, remote_addr=tuple(self.server.endpoint.address)
        )
        return self

    async def __aexit__(self, *exc):
        self.transport.close()

    # Datagrams

    def next_mid(self):
        self.mid = (self.mid + 1) & 0xFFFF
        return self.mid

    def datagram_received(self, data, address):
        message = Message.decode(data)
        if message.code.is_request():
            self._request(message)
        elif message.code == codes.EMPTY and message.mtype is types.RST:
            self.resets.append(message.mid)
        elif message.code.is_response() and message.token in self.waiting:
            self.waiting.pop(message.token).set_result(message)

    def error_received(self, exc):
        pass

    def send(self, outer, mtype=types.CON, token=None, mid=None):
        outer.mtype, outer.mid = mtype, self.next_mid() if mid is None else mid
        outer.token = secrets.token_bytes(4) if token is None else token
        data = outer.encode()
        self.transport.sendto(data)
        return data

    async def exchange(self, outer):
        """Send a request as it is; the outer response."""
        token = secrets.token_bytes(4)
        answer = self.waiting[token] = asyncio.get_running_loop().create_future()
        self.data = self.send(outer, token=token)
        return await asyncio.wait_for(answer, TIMEOUT)

    async def resend(self, mid=None):
        """Send the last request again, byte for byte but for another message ID."""
        data = bytearray(self.data)
        data[2:4] = (self.next_mid() if mid is None else mid).to_bytes(2, "big")
        token = bytes(data[4 : 4 + (data[0] & 15)])
        answer = self.waiting[token] = asyncio.get_running_loop().create_future()
        self.transport.sendto(bytes(data))
        return await asyncio.wait_for(answer, TIMEOUT)

    # OSCORE

    async def ask(self, message, context=None, kid_context=False):
        """A request in a context; the inner response."""
        context = context or self.context
        outer, request_id = context.protect(message, kid_context=kid_context)
        response = await self.exchange(outer)
        inner, _ = context.unprotect(response, request_id)
        return inner

    async def b2_first(self, r1, message=None):
        """Requests 1 and 2: (R2, the inner 4.01, its outer)."""
        first = Context(self, r1)
        message = message or Message(code=codes.GET, uri_path=["rederivation", "blackhole"])
        outer, request_id = first.protect(message, kid_context=cbor2.dumps(r1))
        response = await self.exchange(outer)
        r2 = self.r2_of(response)
        second = Context(self, r2 + r1, literal_iv=first.common_iv)
        inner, _ = second.unprotect(response, request_id)
        return r2, inner, response

    @staticmethod
    def r2_of(response):
        return cbor2.loads(oscore.verify_start(response)[oscore.COSE_KID_CONTEXT])

    async def b2(self, message):
        """The whole of B.2 with `message` as request 3; its inner response."""
        r1, r3 = secrets.token_bytes(8), secrets.token_bytes(8)
        r2, inner, _ = await self.b2_first(r1)
        assert inner.code == codes.UNAUTHORIZED
        self.context = Context(self, r2 + r3)
        return await self.ask(message, kid_context=cbor2.dumps(r2 + r3))

    def registration(self, endpoint="dev", links=b'</>;rt="oma.lwm2m";ct=112,</1/0>,</3/0>', **query):
        query = dict({"ep": endpoint, "lt": 300, "lwm2m": "1.2", "b": "U"}, **query)
        return Message(
            code=codes.POST, uri_path=["rd"], content_format=40, payload=links,
            uri_query=["%s=%s" % pair for pair in query.items() if pair[1] is not None],
        )

    async def register(self, endpoint="dev", **query):
        """B.2 and Register."""
        response = await self.b2(self.registration(endpoint, **query))
        assert response.code == codes.CREATED, response.code
        self.location = response.opt.location_path
        return response

    async def update(self, **query):
        return await self.ask(Message(
            code=codes.POST, uri_path=self.location, uri_query=["%s=%s" % p for p in query.items()]
        ))

    # The server's requests

    def _request(self, outer):
        inner, request_id = self.context.unprotect(outer)
        self.seen.append(inner)
        response = self.serve(inner)
        if response is None:
            return
        if inner.opt.observe == 0 and response.code.is_successful():
            self.observers[tuple(inner.opt.uri_path)] = outer.token, self.context, request_id
            response.opt.observe = 0
        sealed, _ = self.context.protect(response, request_id)
        if response.opt.observe is not None:
            sealed.opt.observe = 0
        self.send(sealed, types.ACK, outer.token, outer.mid)

    def notify(self, path, response, mtype=types.NON, inner_observe=True, piv=True):
        """Send a notification; its message ID."""
        token, context, request_id = self.observers[path]
        if inner_observe:
            response.opt.observe = 0
        if not piv:
            request_id.can_reuse_nonce = True
        sealed, _ = context.protect(response, request_id)
        sealed.opt.observe = context.sender_sequence_number
        mid = self.next_mid()
        self.send(sealed, mtype, token, mid)
        return mid
