# What a client does at its start, and seldom: the configuration and its check, sockets, the end.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2 section 6.1.3 (factory bootstrap)
#
# The class here holds methods of the one of the same name in client.py, and has no instances.
# That stays loaded, this is brought by the first call (lwm2m.late) and may be let go of at any
# time: nothing here is kept in an attribute, a hook or a callback that outlives an exchange.

import asyncio
import os
import socket

from coap.params import Params
from coap.transport import UDP, Clock, resolve
from .client import Account, earlier
from .model import Model
from .server import Dispatcher

_DEFAULT_PORT = const(5683)
# An Objlnk to nothing (Core 1.2.2 appendix C).
_NO_LINK = const(65535)
# The objects that are configuration: given by the factory or a Bootstrap-Server.
CONFIG = (0, 1, 2, 21)

# How long stop() waits for answers to De-register, in ms.
_LEAVE_MS = const(10000)


def printable(text):
    """Whether text is not empty and has no control characters: it may stand in a log."""
    # Of bytes: a str gives characters that would be kept for good, as names are.
    text = text.encode()
    return text != b"" and min(text) >= 32 and b"\x7f" not in text


def parse_uri(uri):
    """(scheme, host, port) of coap://HOST[:PORT]; ValueError for anything else."""
    if not printable(uri):
        raise ValueError("server URI")
    scheme, sep, rest = uri.partition("://")
    rest = rest.split("/")[0]
    if scheme not in ("coap", "coaps") or not sep or not rest:
        raise ValueError("server URI " + uri)
    if rest.startswith("["):
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
        from .dtls import session

        return session(security, peer, family), peer
    return UDP(family=family), peer


def oscore_link(security):
    """Instance ID of /21 that an instance of /0 links to, or None."""
    link = security.oscore
    return None if link is None or link[1] == _NO_LINK else link[1]


def _as_given(model, objects):
    # What provisioning has checked.
    for oid in objects:
        for iid in objects[oid]:
            yield iid, model.fill(oid, iid, objects[oid][iid])


class Client:
    transport = None

    def _begin(
        self,
        endpoint,
        secure=None,
        log=print,
        random=None,
        params=None,
        max_payload=1024,
        transport=None,
    ):
        if not printable(endpoint):
            raise ValueError("endpoint")
        self.endpoint = endpoint
        self.secure = secure
        self.log = log
        self.random = random or os.urandom
        self.params = params or Params()
        if transport:
            self.transport = transport
        from .objects.accounts import Security, Server

        self.model = Model()
        self.model.define(Security)
        self.model.define(Server)
        self.model.client = self
        self.dispatcher = Dispatcher(self.model, max_payload)
        self.accounts = []
        self.sessions = []  # what is driven: the accounts, or the Bootstrap-Server's alone
        self.on_config = None  # function that makes a dump() permanent
        self.on_settled = None  # function, called when an account has registered or updated
        self.now = Clock().now
        # What run() waits by, () once it was kicked; until when it does.
        self._dozing = self._until = None
        self._leaving = None  # when run() returns at the latest; -1: all leave for a bootstrap
        self._fault = ("", 0)  # what was said last, and when

    def load(self, objects):
        """Factory bootstrap: {object ID: {instance ID: {resource ID: value}}}.

        Raises ValueError that names what cannot be used.
        """
        try:
            from .checking import checked
        except ImportError:
            checked = _as_given
        for iid, instance in checked(self.model, objects):
            try:
                self.model.add(instance, iid)
            except ValueError as e:
                raise ValueError("/%d/%d: %s" % (instance.OID, iid, e))
        self.make_sessions()
        if not self.sessions:
            raise ValueError("no server: /0 has no instance")

    def dump(self):
        """The configuration as load() takes it."""
        from .creating import dump

        return dump(self.model, CONFIG)

    def check(self):
        """Pairs of /0 and /1 that make an account. ValueError names what makes no sense, unless
        checking.py is left out: provisioning has looked then."""
        try:
            from .checking import pairs
        except ImportError:
            servers = {server.ssid: server for server in self.model.instances(1)}
            return [
                (security, servers[security.ssid])
                for security in self.model.instances(0)
                if security.ssid in servers and not security.bootstrap
            ]
        return pairs(self)

    def make_sessions(self):
        """Accounts of the configuration, or where it has none the Bootstrap-Server's."""
        accounts = []
        for security, server in self.check():
            accounts.append(Account().begin(self, security, server, self.hook_of(security)))
        self.accounts = self.sessions = accounts
        if not accounts and self.bootstrap_server():
            from .bootstrap import begin

            begin(self)

    def hook_of(self, security):
        """The security hook for an instance of /0, or None."""
        link = oscore_link(security)
        return None if link is None else self.secure(security, self.model.instance(21, link))

    def add(self, instance, iid=None):
        """Add an object instance; iid None takes the lowest free one. Returns the instance."""
        return self.model.add(instance, iid)

    def connect(self, account):
        """Open the account's socket; False when its host cannot be found."""
        _, host, port = parse_uri(account.security.uri)
        try:
            transport, peer = (self.transport or way)(account.security, host, port)
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

    def bootstrap(self):
        """Leave all servers and ask the Bootstrap-Server (/1/x/9)."""
        if not self.bootstrap_server():
            return self.log("bootstrap asked for, but no Bootstrap-Server is known")
        from .bootstrap import leave

        leave(self)

    def bootstrap_server(self):
        """The /0 instance of the Bootstrap-Server, or None."""
        for security in self.model.instances(0):
            if security.bootstrap:
                return security
        return None

    # Nothing of the session is used any more: what has to outlive it is kept, its keys go.
    def drop(self, session):
        self.disconnect(session)
        if session.hook:
            try:
                session.hook.save()
            except OSError as e:
                session.say("flash: " + str(e))

    def structure(self):
        """What the model calls when instances came or went."""
        for account in self.accounts:
            account.structure_changed(self.now())
        self.kick()

    def network_up(self):
        """The network is back: do not wait for retry timers."""
        for account in self.accounts:
            account.retry_now(self.now())
        self.kick()

    def status(self):
        """What the client is doing, in words, one line an account."""
        return "\n".join([s.status() for s in self.sessions]) or "no server"

    def stop(self):
        """De-register everywhere and let run() return."""
        if self._leaving is None or self._leaving < 0:
            now = self.now()
            self._leaving = now + _LEAVE_MS
            for session in self.sessions:
                session.leave(now)
        self.kick()

    # --- what run() calls, seldom

    def _resume(self):
        for session in self.sessions:
            if session.transport:  # run() was interrupted before
                session.task = asyncio.create_task(self._receive(session, session.transport))

    def _leave(self, now, until):
        # Accounts are to leave: when run() has to go on, False when they have and it is over.
        left = self._leaving
        if left < 0 or now < left:
            for account in self.accounts:
                if account.location is not None:
                    return until if left < 0 else earlier(left, until)
            if left < 0:
                from .bootstrap import left

                return left(self, now)
        return False

    def _ended(self):
        self._dozing = None
        for session in self.sessions:
            self.drop(session)
