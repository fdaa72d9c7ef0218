# The client: drives every account with one timer and one task a socket.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2

import asyncio
import os
import socket

from coap.params import Params
from coap.transport import UDP, Clock, Sleep, readable, resolve
from .account import Account
from .model import Model
from .registration import GRACE_MS
from .objects.security import Security, PSK
from .objects.server import Server
from .server import Dispatcher

_DEFAULT_PORT = const(5683)
# An Objlnk to nothing (Core 1.2.2 appendix C).
_NO_LINK = const(65535)
# The objects that are configuration: given by the factory or a Bootstrap-Server.
CONFIG = (0, 1, 2, 21)
# How long stop() waits for answers to De-register, in ms.
_LEAVE_MS = const(10000)
# A fault that comes again and again: how often it is said, and how soon what failed
# in the driver is tried again, in ms.
_REPEAT_MS = const(60000)
_FAULT_MS = const(1000)
# Datagrams taken in one go from a session, before the others have their turn.
_BURST = const(8)
# The longest sleep, in ms: ticks tell no more apart. Then it simply looks again.
_LONGEST_MS = const(536870911)
# How long a socket is left alone that is readable and has nothing to read, in ms.
_TROUBLE_MS = const(20)


def printable(text):
    """Whether text is not empty and has no control characters: it may stand in a log."""
    return text != "" and min(text) >= " " and "\x7f" not in text


def parse_uri(uri):
    """(scheme, host, port) of coap://HOST[:PORT]; ValueError for anything else."""
    if not printable(uri):
        raise ValueError("server URI")
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


def way(security, host, port):
    """The way to a server: UDP, for coaps:// with DTLS over it. OSError when its name does
    not resolve, or there is no memory for a session."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    peer = resolve(host, port, family)
    if security.uri.startswith("coaps:"):
        from coap.dtls import DTLS

        return DTLS(peer, security.identity, security.secret_key, family), peer
    return UDP(family=family), peer


def check_dtls(security):
    """ValueError says why DTLS as an instance of /0 wants it is not to be had here."""
    secure = security.uri.startswith("coaps:")
    if secure != (security.mode == PSK):
        raise ValueError("coaps:// goes with security mode 0 (PSK), coap:// with 3 (NoSec)")
    if secure:
        try:
            from coap.dtls import context
        except ImportError:
            raise ValueError("this firmware has no DTLS")
        context(security.identity, security.secret_key)


def _valid(where, check, *args):
    try:
        check(*args)
    except ValueError as e:
        raise ValueError("%s: %s" % (where, e))


def oscore_link(security):
    """Instance ID of /21 that an instance of /0 links to, or None."""
    link = security.oscore
    return None if link is None or link[1] == _NO_LINK else link[1]


class Client:
    """An LwM2M client.

    endpoint: its name, text; ValueError when it cannot be one. secure: function
    (security, oscore) -> security hook, with the instances of /0 and /21 of an account;
    without it an account that links to /21 is refused, never served plain. log:
    function that takes one line.
    random: function n -> n random bytes. params: coap.params.Params.
    max_payload: bytes of the longest answer. transport: function (security, host,
    port) -> (object with sendto, recvfrom, close and a sock to poll; peer). It may have
    poll(now) as coap.dtls.DTLS has it.

        client = Client("urn:dev:ops:1", secure=secure)
        client.add(Device(manufacturer="Acme"))
        client.load(objects)
        asyncio.run(client.run())
    """

    def __init__(self, endpoint, secure=None, log=print, random=os.urandom, params=None, max_payload=1024, transport=way):
        if not printable(endpoint):
            raise ValueError("endpoint")
        self.endpoint = endpoint
        self.secure = secure
        self.log = log
        self.random = random
        self.params = params or Params()
        self.transport = transport
        self.model = Model()
        self.model.define(Security)
        self.model.define(Server)
        self.model.listeners.append(self._touched)
        self.model.structure = self._structure
        self.dispatcher = Dispatcher(self.model, max_payload)
        self.accounts = []
        self.on_config = None  # function that makes a dump() permanent
        self._booting = None  # the Bootstrap-Server's session, while there is one
        self._leaving = False  # accounts de-register, then the bootstrap begins
        self._clock = Clock()
        self._asleep = None
        self._until = None
        self._stop = False
        self._fault = None
        self._fault_at = 0

    # --- set-up

    def add(self, instance, iid=None):
        """Add an object instance; iid None takes the lowest free one. Returns the instance."""
        return self.model.add(instance, iid)

    def load(self, objects):
        """Factory bootstrap: {object ID: {instance ID: {resource ID: value}}}.

        Raises ValueError that names what cannot be used.
        """
        from .factory import instances

        for oid, iid, values in instances(self.model, objects):
            try:
                self.model.add(self.model.fill(oid, iid, values), iid)
            except ValueError as e:
                raise ValueError("/%d/%d: %s" % (oid, iid, e))
        self._make_sessions()
        if not self._sessions():
            raise ValueError("no server: /0 has no instance")

    def dump(self):
        """The configuration as load() takes it."""
        return self.model.dump(CONFIG)

    def restore(self, objects):
        """Put back what dump() gave."""
        for oid in CONFIG:
            if oid in self.model.objects:
                self.model.objects[oid].instances = {}
        for oid in objects:
            for iid in objects[oid]:
                self.model.add(self.model.fill(oid, iid, objects[oid][iid]), iid)

    def commit(self):
        """Make the configuration permanent; OSError when the flash refuses."""
        if self.on_config:
            self.on_config(self.dump())

    def check(self):
        """Pairs of /0 and /1 that make an account. ValueError names what makes no sense."""
        servers = {}
        for server in self.model.instances(1):
            where = "/1/%d" % server.iid
            _valid(where, server.validate)
            if server.ssid in servers:
                raise ValueError("%s: the short server ID of /1/%d" % (where, servers[server.ssid].iid))
            servers[server.ssid] = server
        linked = {}
        pairs = []
        bootstrap = None
        for security in self.model.instances(0):
            where = "/0/%d" % security.iid
            _valid(where, security.validate)
            _valid(where, parse_uri, security.uri)
            if self.transport is way:
                _valid(where, check_dtls, security)
            link = oscore_link(security)
            if link is not None:
                if link in linked:
                    raise ValueError("%s and /0/%d link to the same /21/%d" % (where, linked[link], link))
                linked[link] = security.iid
                entry = self.model.objects.get(21)
                if entry is None or link not in entry.instances:
                    raise ValueError("%s/17: no /21/%d" % (where, link))
                _valid("/21/%d" % link, entry.instances[link].validate)
                if self.secure is None:
                    raise ValueError(where + "/17: this firmware has no OSCORE")
            if security.bootstrap:
                if bootstrap:
                    raise ValueError(where + ": a second Bootstrap-Server")
                bootstrap = security
            elif security.ssid not in servers:
                raise ValueError("%s: no /1 of short server ID %s" % (where, security.ssid))
            else:
                pairs.append((security, servers.pop(security.ssid)))
        for ssid in servers:
            raise ValueError("/1/%d: no /0 of short server ID %s" % (servers[ssid].iid, ssid))
        return pairs

    def _make_sessions(self):
        pairs = self.check()
        self.accounts = [Account(self, s, server, self._hook(s)) for s, server in pairs]
        self._booting = None
        if not pairs:
            self._start_bootstrap()

    def _start_bootstrap(self):
        security = self.bootstrap_server()
        if security:
            from .bootstrap import BootstrapAccount

            self._booting = BootstrapAccount(self, security, self._hook(security))
            self._booting.machine.wake += self.now()

    def _hook(self, security):
        link = oscore_link(security)
        return None if link is None else self.secure(security, self.model.instance(21, link))

    # --- what accounts call

    def now(self):
        """Milliseconds since the start, never wrapping."""
        return self._clock.now()

    def say(self, account, text):
        self.log("%s: %s" % (account.name, text) if account else text)

    def on_error(self, exc):
        """A fault in a handler or an object of the application: said, answered 5.00. The
        same again is not said for a minute."""
        text = "fault: %s: %s" % (type(exc).__name__, exc)
        now = self.now()
        if text != self._fault or now - self._fault_at >= _REPEAT_MS:
            self._fault = text
            self._fault_at = now
            self.say(None, text)

    def guarded(self, function, *args):
        """Call what belongs to the application: a fault of it stops nothing."""
        try:
            return function(*args)
        except Exception as e:
            self.on_error(e)

    def connect(self, account):
        """Open the account's socket; False when its host cannot be found."""
        _, host, port = parse_uri(account.security.uri)
        try:
            transport, peer = self.transport(account.security, host, port)
        except OSError as e:
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
            if account.reports:
                account.reports.touched(path, account is origin)
            if path[0] == 1 and path[1] == account.server.iid and account.registration.registered:
                if account.server.lifetime != account.registration.lifetime:
                    account.registration.update(self.now())
        self.kick()

    def _structure(self):
        for account in self.accounts:
            account.registration.structure_changed(self.now())
        self.kick()

    # --- bootstrap

    def bootstrap(self):
        """Leave all servers and ask the Bootstrap-Server (/1/x/9)."""
        if not self.bootstrap_server():
            return self.say(None, "bootstrap asked for, but no Bootstrap-Server is known")
        self._leaving = True
        for account in self.accounts:
            account.registration.leave(self.now() + GRACE_MS)
        self.kick()

    def bootstrap_server(self):
        """The /0 instance of the Bootstrap-Server, or None."""
        for security in self.model.instances(0):
            if security.bootstrap:
                return security
        return None

    def bootstrapped(self):
        """A bootstrap has finished: every account begins anew, with fresh keys."""
        if self._booting:
            self._drop(self._booting)
        for account in self.accounts:
            self._drop(account)
        self._make_sessions()
        self.kick()

    # Nothing of the session is used any more: what has to outlive it is kept, its keys go.
    def _drop(self, session):
        self.disconnect(session)
        if session.hook:
            try:
                session.hook.save()
            except OSError as e:
                self.say(session, "flash: " + str(e))

    def _sessions(self):
        return [self._booting] if self._booting else self.accounts

    def network_up(self):
        """The network is back: do not wait for retry timers."""
        for account in self.accounts:
            account.registration.retry_now(self.now())
        self.kick()

    def status(self):
        """What the client is doing, in words, one line an account."""
        return "\n".join([s.status() for s in self._sessions()]) or "no server"

    # --- the driver

    async def run(self):
        """Serve until stop(). Returns when every account has left. After KeyboardInterrupt
        it may be run once more, to leave."""
        self._asleep = Sleep()
        interrupted = False
        left = None
        for session in self._sessions():
            if session.transport:  # run() was interrupted before
                session.task = asyncio.create_task(self._receive(session, session.transport))
        try:
            while True:
                now = self.now()
                if self._stop and left is None:
                    left = now + _LEAVE_MS
                    for session in self._sessions():
                        session.leave(now)
                until = left
                for session in self._sessions():
                    try:
                        wake = session.poll(now)
                    except Exception as e:
                        self.on_error(e)
                        wake = now + _FAULT_MS
                    if wake is not None and (until is None or wake < until):
                        until = wake
                if left is not None and (now >= left or not self._registered()):
                    return
                if self._leaving and not self._registered():
                    self._leaving = False
                    for account in self.accounts:
                        self.disconnect(account)
                    self._start_bootstrap()
                    continue
                self._until = until
                await self._sleep(until)
        except KeyboardInterrupt:
            interrupted = True
            raise
        finally:
            for session in () if interrupted else self._sessions():
                self._drop(session)

    def _registered(self):
        return [a for a in self.accounts if a.registration.registered]

    def _sleep(self, until):
        # Until that time or kick(), whichever is first.
        wait = _LONGEST_MS if until is None else until - self.now()
        return self._asleep.until_woken(max(0, min(wait, _LONGEST_MS)))

    def kick(self):
        """Something is due earlier than was thought."""
        if self._asleep:
            self._asleep.wake()

    async def _receive(self, account, transport):
        # The one task that reads this socket.
        n = self.params.max_datagram + 1  # so that a longer one is seen as such
        # A transport with a session of its own may hold more than it is readable for.
        burst = _BURST if hasattr(transport, "poll") else 1
        sock = transport.sock
        while account.transport is transport:
            await readable(sock)
            over = True
            for _ in range(burst):
                got = transport.recvfrom(n)
                if got is None:
                    break
                over = account.receive(got[0], got[1], self._clock.now()) and over
                if account.transport is not transport:
                    return
            if got is None and burst == 1:
                # A socket in trouble is readable all the time.
                await asyncio.sleep_ms(_TROUBLE_MS)
            elif self._stop or self._leaving or account.stirred(self._until, over):
                self.kick()

    def stop(self):
        """De-register everywhere and let run() return."""
        self._stop = True
        self.kick()
