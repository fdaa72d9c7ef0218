# The client: drives every account with one timer and one task a socket.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2

import asyncio
import os
from micropython import const

from coap.params import Params
from coap.transport import UDP, Clock, readable
from .account import Account
from .model import Model
from .objects.security import Security
from .objects.server import Server
from .server import Dispatcher

_DEFAULT_PORT = const(5683)
# How long stop() waits for answers to De-register, in ms.
_LEAVE_MS = const(5000)


def parse_uri(uri):
    """(scheme, host, port) of coap://HOST[:PORT]; ValueError for anything else."""
    scheme, sep, rest = uri.partition("://")
    rest = rest.split("/")[0]
    if scheme not in ("coap", "coaps") or not sep or not rest:
        raise ValueError("server URI " + uri)
    if rest[0] == "[":
        host, _, port = rest[1:].partition("]")
        port = port[1:]
    else:
        host, _, port = rest.partition(":")
    try:
        port = int(port) if port else _DEFAULT_PORT + (scheme == "coaps")
    except ValueError:
        port = 0
    if not host or not 0 < port < 65536:
        raise ValueError("server URI " + uri)
    return scheme, host, port


class Client:
    """An LwM2M client.

    endpoint: its name, text. secure: function (security, oscore) -> security hook,
    with the instances of /0 and /21 of an account; without it an account that links
    to /21 is refused, never served plain. log: function that takes one line.
    random: function n -> n random bytes. params: coap.params.Params.
    max_payload: bytes of the longest answer.

        client = Client("urn:dev:ops:1", secure=secure)
        client.add(Device(manufacturer="Acme"))
        client.load(objects)
        asyncio.run(client.run())
    """

    def __init__(self, endpoint, secure=None, log=print, random=os.urandom, params=None, max_payload=1024, transport=UDP):
        self.endpoint = endpoint
        self.secure = secure
        self.log = log
        self.random = random
        self.params = params or Params()
        self.new_transport = transport
        self.model = Model()
        self.model.define(Security)
        self.model.define(Server)
        self.model.listeners.append(self._touched)
        self.model.structure = self._structure
        self.dispatcher = Dispatcher(self.model, max_payload)
        self.accounts = []
        self.on_config = None
        self._clock = Clock()
        self._event = None
        self._until = None
        self._stop = False
        self._running = False

    # --- set-up

    def add(self, instance, iid=None):
        """Add an object instance; iid None takes the lowest free one. Returns the instance."""
        return self.model.add(instance, iid)

    def load(self, objects):
        """Factory bootstrap: {object ID: {instance ID: {resource ID: value}}}.

        Raises ValueError that names what cannot be used.
        """
        for oid in sorted(objects):
            for iid in sorted(objects[oid]):
                where = "/%d/%d" % (oid, iid)
                entry = self.model.objects.get(oid)
                if entry is None:
                    raise ValueError(where + ": no such object in this firmware")
                instance = entry.cls()
                values = objects[oid][iid]
                for row in instance.TABLE:
                    if row[0] in values:
                        value = values[row[0]]
                        setattr(instance, row[3], tuple(value) if isinstance(value, list) else value)
                try:
                    instance.iid = iid
                    instance.validate()
                except (ValueError, TypeError, AttributeError) as e:
                    raise ValueError("%s: %s" % (where, e))
                self.model.add(instance, iid)
        self._make_accounts()

    def _make_accounts(self):
        servers = {s.ssid: s for s in self.model.instances(1)}
        links = {}
        for security in self.model.instances(0):
            if security.oscore is not None and security.oscore[1] != 65535:
                link = security.oscore[1]
                if link in links:
                    raise ValueError("/0/%d and /0/%d link to the same /21/%d" % (links[link], security.iid, link))
                links[link] = security.iid
            if security.bootstrap:
                continue
            server = servers.get(security.ssid)
            if server is None:
                raise ValueError("/0/%d: no /1 of short server ID %s" % (security.iid, security.ssid))
            parse_uri(security.uri)
            self.accounts.append(Account(self, security, server, self._hook(security)))

    def _hook(self, security):
        if security.oscore is None or security.oscore[1] == 65535:
            return None
        iid = security.oscore[1]
        entry = self.model.objects.get(21)
        if entry is None or iid not in entry.instances:
            raise ValueError("/0/%d/17: no /21/%d" % (security.iid, iid))
        if self.secure is None:
            raise ValueError("/0/%d/17: this firmware has no OSCORE" % security.iid)
        return self.secure(security, entry.instances[iid])

    # --- what accounts call

    def now(self):
        """Milliseconds since the start, never wrapping."""
        return self._clock.now()

    def say(self, account, text):
        self.log("server %d: %s" % (account.server.ssid, text) if account else text)

    def on_error(self, exc):
        """A fault in a handler or an object of the application: said, answered 5.00."""
        self.say(None, "fault: %s: %s" % (type(exc).__name__, exc))

    def connect(self, account):
        """Open the account's socket; False when its host cannot be found."""
        _, host, port = parse_uri(account.security.uri)
        transport = None
        try:
            transport = self.new_transport()
            peer = transport.resolve(host, port)
        except OSError as e:
            if transport:
                transport.close()
            account.say("cannot reach %s: %s" % (account.security.uri, e))
            return False
        account.attach(transport, peer)
        account.task = asyncio.create_task(self._receive(account, transport))
        return True

    def disconnect(self, account):
        """Close the account's socket."""
        if account.transport:
            account.task.cancel()
            account.transport.close()
            account.detach()

    def _touched(self, path, origin):
        for account in self.accounts:
            account.reporting.touched(path, account is origin)
            if path[0] == 1 and path[1] == account.server.iid and account.registration.registered:
                if account.server.lifetime != account.registration.lifetime:
                    account.registration.update(self.now())
        if path[0] in (0, 1, 21) and self.on_config:
            self.on_config()
        self.kick()

    def _structure(self):
        for account in self.accounts:
            account.registration.structure_changed(self.now())
        self.kick()

    def network_up(self):
        """The network is back: do not wait for retry timers."""
        for account in self.accounts:
            account.registration.retry_now(self.now())
        self.kick()

    def status(self):
        """What the client is doing, in words, one line an account."""
        return "\n".join([a.status() for a in self.accounts]) or "no server"

    # --- the driver

    async def run(self):
        """Serve until stop(). Returns when every account has left."""
        self._event = asyncio.Event()
        self._running = True
        left = None
        try:
            while True:
                now = self.now()
                if self._stop:
                    if left is None:
                        left = now + _LEAVE_MS
                        for account in self.accounts:
                            account.registration.leave(now)
                until = left
                for account in self.accounts:
                    wake = account.poll(now)
                    if wake is not None and (until is None or wake < until):
                        until = wake
                if left is not None:
                    if now >= left or not [a for a in self.accounts if a.registration.registered]:
                        return
                self._until = until
                await self._sleep(until)
        finally:
            self._running = False
            for account in self.accounts:
                self.disconnect(account)

    async def _sleep(self, until):
        # Until that time or kick(), whichever is first.
        if until is None:
            await self._event.wait()
        else:
            delay = until - self.now()
            if delay > 0:
                try:
                    # 2^29 ms is what ticks can tell apart; then simply look again.
                    await asyncio.wait_for_ms(self._event.wait(), min(delay, 536870911))
                except asyncio.TimeoutError:
                    pass
            else:
                await asyncio.sleep_ms(0)
        self._event.clear()

    def kick(self):
        """Something is due earlier than was thought."""
        if self._event:
            self._event.set()

    async def _receive(self, account, transport):
        # The one task that reads this socket.
        while account.transport is transport:
            await readable(transport.sock)
            while True:
                got = transport.recvfrom(self.params.max_datagram)
                if got is None:
                    break
                account.receive(got[0], got[1], self.now())
                if account.transport is not transport:
                    return
            self.kick()

    def stop(self):
        """De-register everywhere and let run() return."""
        self._stop = True
        self.kick()
