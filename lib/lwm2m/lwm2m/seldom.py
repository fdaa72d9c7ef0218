# What runs while an account is not registered, and what seldom runs: the configuration and
# its check, the way to a server, the agreement on keys, Register and its failures, triggers.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2 sections 6.1.3 (factory bootstrap), 6.2 and 6.2.1.1 (retries);
# RFC 8613 appendix B.2 as the client sees it
#
# The classes here hold methods of those of the same name in client.py,
# account.py and registration.py, and have no instances. Those modules stay loaded, this one is
# brought by the first call (lwm2m.late) and may be let go of at any time: nothing here is
# kept in an attribute, a hook or a callback that outlives an exchange.

import asyncio
import os
import socket

from coap.codec import Message, Error
from coap.endpoint import Endpoint
from coap.params import Params
from coap.transport import UDP, Clock, resolve
from .account import REFUSALS, Account as _Account
from .model import Model
from .server import Dispatcher
from .writing import is_id

_POST = const(2)
_CREATED = const(0x41)
_DELETED = const(0x42)
_PRECONDITION_FAILED = const(0x8C)
_LOCATION_PATH = const(8)
_URI_PATH = const(11)
_CONTENT_FORMAT = const(12)
_URI_QUERY = const(15)
_LINK_FORMAT = const(40)

# Of a row of a table (model.py), and of its types.
_E = const(4)
_MULTI = const(8)
_OBJLNK = const(7)

_DEFAULT_PORT = const(5683)
_PSK = const(0)  # security mode
# An Objlnk to nothing (Core 1.2.2 appendix C).
_NO_LINK = const(65535)
# The objects that are configuration: given by the factory or a Bootstrap-Server.
CONFIG = (0, 1, 2, 21)

# Fresh keys after a hint that nobody signed: not at once again, but after 1 s,
# 2 s ... so that a forger of plain errors cannot keep the device busy.
_HINT_FIRST_MS = const(1000)
_HINT_LAST_MS = const(60000)
# After the end of a transport's own session, before the next one begins.
_AGAIN_MS = const(1000)
# Answers to request 1 that bring no R2 (a server that took it for request 3)
# before it counts as a failed try.
_MAX_CROSSED = const(3)

# What holds when /1/x/17 to 20 are not there.
_RETRY_COUNT = const(5)
_RETRY_TIMER = const(60)
_SEQUENCE_DELAY = const(86400)
_DISABLE_TIMEOUT = const(86400)
# Between the answer to a trigger and the De-register that follows from it (ms):
# servers that handle the two side by side would take the second first.
_GRACE_MS = const(500)
# Location segments that are kept, and bytes in all of them.
_MAX_LOCATION = const(8)
_MAX_LOCATION_LEN = const(128)


def describe(code):
    """A code as it is written: 0x45 is "2.05"."""
    return "%d.%02d" % (code >> 5, code & 31)


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
    if secure != (security.mode == _PSK):
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


def instances(model, objects):
    """(object ID, instance ID, {resource ID: value}) of all instances of a configuration,
    the values of the types that the model's tables say; what a table does not know is left out.

    objects: {object ID: {instance ID: {resource ID: value}}}, of any origin. Raises
    ValueError that names what cannot be.
    """
    for oid in objects:
        if not is_id(oid) or not isinstance(objects[oid], dict):
            raise ValueError("/%r: no map of instances" % (oid,))
        for iid in objects[oid]:
            where = "/%d/%r: " % (oid, iid)
            if not is_id(iid):
                raise ValueError(where + "no instance ID")
            if not isinstance(objects[oid][iid], dict):
                raise ValueError(where + "no map of resources")
            if oid not in model.objects:
                raise ValueError(where + "no such object in this firmware")
            values = {}
            for row in model.classes[oid].TABLE:
                if row[0] in objects[oid][iid] and not row[1] & _E:
                    try:
                        values[row[0]] = _value(row, objects[oid][iid][row[0]])
                    except (Error, TypeError):
                        raise ValueError(where + row[3] + ": a value of the wrong type")
            yield oid, iid, values


def _value(row, value):
    if not row[1] & _MULTI:
        return _single(row[2], value)
    values = {}
    for riid in value:
        if not is_id(riid):
            raise TypeError
        values[riid] = _single(row[2], value[riid])
    return values


def _single(kind, value):
    if kind == _OBJLNK and isinstance(value, (list, tuple)):
        if len(value) != 2 or not is_id(value[0], 65535) or not is_id(value[1], 65535):
            raise TypeError
        return tuple(value)
    from .formats.value import coerce

    return coerce(kind, value)


class Client:
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
        self.transport = transport
        from .objects.security import Security
        from .objects.server import Server

        self.model = Model()
        self.model.define(Security)
        self.model.define(Server)
        self.model.touched = self._touched
        self.model.structure = self._structure
        self.dispatcher = Dispatcher(self.model, max_payload)
        self.accounts = []
        self.on_config = None  # function that makes a dump() permanent
        self.on_settled = None  # function, called when an account has registered or updated
        self._booting = None  # the Bootstrap-Server's session, while there is one
        self._leaving = False  # accounts de-register, then the bootstrap begins
        self._clock = Clock()
        self._asleep = None
        self._until = None
        self._stop = False
        self._fault = None
        self._fault_at = 0

    def settled(self):
        """An account has registered, or updated its registration."""
        if self.on_settled:
            self.on_settled()

    def load(self, objects):
        """Factory bootstrap: {object ID: {instance ID: {resource ID: value}}}.

        Raises ValueError that names what cannot be used.
        """
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
                self.model.objects[oid] = {}
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
                raise ValueError(
                    "%s: the short server ID of /1/%d" % (where, servers[server.ssid].iid)
                )
            servers[server.ssid] = server
        linked = {}
        pairs = []
        bootstrap = None
        for security in self.model.instances(0):
            where = "/0/%d" % security.iid
            _valid(where, security.validate)
            _valid(where, parse_uri, security.uri)
            if self.transport is None:
                _valid(where, check_dtls, security)
            link = oscore_link(security)
            if link is not None:
                if link in linked:
                    raise ValueError(
                        "%s and /0/%d link to the same /21/%d" % (where, linked[link], link)
                    )
                linked[link] = security.iid
                keys = self.model.objects.get(21, ())
                if link not in keys:
                    raise ValueError("%s/17: no /21/%d" % (where, link))
                _valid("/21/%d" % link, keys[link].validate)
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
        self.accounts = [_Account(self, s, server, self._hook(s)) for s, server in pairs]
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
            return self.say(None, "bootstrap asked for, but no Bootstrap-Server is known")
        self._leaving = True
        for account in self.accounts:
            account.registration.leave(self.now() + _GRACE_MS)
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

    def network_up(self):
        """The network is back: do not wait for retry timers."""
        for account in self.accounts:
            account.registration.retry_now(self.now())
        self.kick()

    def status(self):
        """What the client is doing, in words, one line an account."""
        return "\n".join([s.status() for s in self._sessions()]) or "no server"

    def stop(self):
        """De-register everywhere and let run() return."""
        self._stop = True
        self.kick()


class Session:
    def receive(self, data, peer, now):
        """A datagram for a session that has no socket any more."""

    def attach(self, transport, peer):
        """A socket is there: from now on datagrams go to peer through it."""
        self.transport = transport
        self._tend = getattr(transport, "poll", None)
        self._unanswered = False
        self._heard = 0
        self.peer = peer
        self.endpoint = Endpoint(
            transport.sendto,
            self.client.random,
            handler=self._serve,
            hook=self.hook,
            params=self.client.params,
        )
        self.endpoint.on_error = self.client.on_error
        self.receive = self.endpoint.receive

    def detach(self):
        """The socket is gone, and with it all that hung on it."""
        if self.endpoint:
            del self.receive
        self.endpoint = self.transport = self.task = self._tend = None
        self.pending = None

    def _keep(self, now):
        # Look after the transport's session. A server that lost it may be silent, so
        # that an unanswered request ends it too: the next one has a new session.
        if self._unanswered:
            self.client.disconnect(self)
            return None
        try:
            return self._tend(now)
        except OSError as e:
            why = str(e)
        waiting, then = self.pending is not None, self._then
        self.client.disconnect(self)
        if waiting:
            self._message = None
            then(now, None, why)
        elif self.reachable():
            self.say(why)
            self.machine.forget(now + _AGAIN_MS)

    def protection(self):
        """What protects this session, in words."""
        if self.security.uri.startswith("coaps:"):
            return "sealed, in DTLS" if self.hook else "in DTLS"
        return "sealed" if self.hook else "plain"

    def failures(self):
        """How many messages of this account did not verify, by name: REFUSALS. {} for a plain
        one."""
        return {name: self.hook.counters[name] for name in REFUSALS} if self.hook else {}

    def want_keys(self):
        """Agree on fresh keys before anything else; the registration ends with the old ones."""
        self.keys_wanted = True
        self._crossed = 0
        self.machine.forget(self.client.now())

    def _agree(self, now):
        # Request 1 is harmless, since some servers carry it out. Each run has a
        # socket of its own: libcoap ties a run to address and port.
        m = self.machine
        self.client.disconnect(self)
        if not self.client.connect(self):
            return m.failed(now, "connect", "no way to " + self.security.uri)
        self.hook.rekey()
        self.say("oscore: agreeing on fresh keys (appendix B.2)")
        self._request(self.hook.probe(), now, self._agreed)
        self._message = None  # never sent again: it is not request 3

    def _agreed(self, now, response, error):
        m = self.machine
        if self.hook.state == "b2-2" or self.hook.ready():
            # Ready already: a server that knew R1 went on in its context (with Echo).
            self._crossed = 0
            self.keys_wanted = False
            m.wake = now  # request 3 is the one that was due
        elif error == "plain":
            self._hint(now, response)
        elif error is None and self._crossed < _MAX_CROSSED:
            self._crossed += 1
            self.say("oscore: answer without R2, starting again")
            m.wake = now
        else:
            m.failed(now, "key agreement", error or "no R2 in answer " + describe(response.code))

    def _hint(self, now, response):
        # A plain 4.00, 4.01 or 4.02: the server may have lost the context, or
        # somebody forged it. The old context stays until a new one is verified.
        if self._hinted is None or now - self._hinted > 2 * _HINT_LAST_MS:
            self._hint_ms = 0
        self._hinted = now
        wait = self._hint_ms
        if self.hook.recover():
            self.want_keys()
            what = "fresh keys"
            self._hint_ms = min(2 * wait or _HINT_FIRST_MS, _HINT_LAST_MS)
        else:
            self.keys_wanted = not self.hook.ready()
            what = "trying again"
            wait = 0  # twice in a row at most: no bound is needed
        self.machine.repeat(now + wait)
        self.say(
            "oscore: server answers plain %s, %s in %d s"
            % (describe(response.code), what, wait // 1000)
        )
        if wait == _HINT_LAST_MS:
            self.exhausted()

    def exhausted(self):
        """It does not work, and has not for a while: a subclass may know another way."""

    def after_answer(self, function):
        """Have a function called once the answer to the present request is sent."""
        self._after.append(function)


class Account(Session):
    def status(self):
        """In words, for a person at the REPL."""
        r = self.registration
        if r.registered:
            words = "registered as " + r.place()
        elif self.pending:
            words = "registering" if r.asked else "agreeing on keys"
        elif r.disabled_until is not None:
            words = "disabled"
        elif r.wake is None:
            words = "stopped"
        else:
            words = "waiting %d s" % max(0, (r.wake - self.client.now() + 999) // 1000)
        return "%s at %s: %s, %s, %d observed" % (
            self.name,
            self.security.uri,
            words,
            self.protection(),
            len(self.reports.observations) if self.reports else 0,
        )

    def leave(self, now):
        """De-register and stay away."""
        self.registration.leave(now)

    def detach(self):
        Session.detach(self)
        if self.reports:
            self.reports.clear()

    def _clear(self):
        # Observations belong to a registration: the server asks again.
        for handle in self.reports.clear() if self.reports else ():
            if self.endpoint:
                self.endpoint.forget(handle)


class Registration:
    def _ended(self, now, asked, response, error):
        # What became of the message of next(), but for an Update that was taken.
        code = response.code if response else None
        why = error or describe(code)
        if asked == "register":
            if code == _CREATED:
                return self._registered(now, response)
            if code == _PRECONDITION_FAILED and self.version == "1.2":
                # Servers of 1.1 refuse the number; remembered for this server.
                self.version = "1.1"
                self.say("server refuses LwM2M 1.2, going on with 1.1")
                self.wake = now
                return
            self.failed(now, "register", why)
        elif asked == "update":
            self.say("update failed: %s, registering again" % why)
            self.forget(now)
        elif asked == "deregister":
            self.say("deregistered" if code == _DELETED else "deregistered, unanswered")
            self.location = None
            self.leaving = False
            self.wake = self.disabled_until

    def place(self):
        """The location as text, of printable characters whatever the server chose."""
        text = ""
        for segment in self.location:
            text += "/"
            for c in segment:
                text += chr(c) if 32 < c < 127 and c != 37 else "%%%02X" % c
        return text

    def _register(self):
        self.asked = "register"
        msg = Message(_POST)
        msg.add(_URI_PATH, "rd")
        msg.add(_CONTENT_FORMAT, _LINK_FORMAT)
        self.lifetime = self.server.lifetime
        self.stale_links = False
        msg.add(_URI_QUERY, "ep=" + self.endpoint)
        msg.add(_URI_QUERY, "lt=%d" % self.lifetime)
        msg.add(_URI_QUERY, "lwm2m=" + self.version)
        msg.add(_URI_QUERY, "b=U")
        msg.payload = self.links()
        return msg

    def _registered(self, now, response):
        location = []
        length = 0
        for value in response.opts(_LOCATION_PATH)[:_MAX_LOCATION]:
            location.append(bytes(value))
            length += len(value)
        if not location or length > _MAX_LOCATION_LEN:
            return self.failed(now, "register", "no usable Location-Path")
        self.location = location
        self.tries = 0
        self.say(
            "registered location=%s lifetime=%d lwm2m=%s"
            % (self.place(), self.lifetime, self.version)
        )
        self._schedule(now)

    def failed(self, now, what, why):
        """Count a failed try and wait as /1/x/17 to 20 say."""
        s = self.server
        self.location = None
        self.tries += 1
        count = s.retry_count or _RETRY_COUNT
        if self.tries % count:
            delay = (s.retry_timer or _RETRY_TIMER) << (self.tries % count - 1)
        else:
            delay = s.sequence_delay or _SEQUENCE_DELAY
        self.wake = now + delay * 1000
        self.say("%s failed: %s, next try in %d s" % (what, why, delay))
        if not self.tries % count and self.on_exhausted:
            self.on_exhausted()

    def forget(self, now):
        """The registration is gone at the server: register again."""
        self.location = None
        self.asked = None
        self.wake = now

    def repeat(self, at):
        """Nothing is known of the message under way: send it again at that time."""
        if self.asked == "update":
            self.lifetime = None  # whether the server took it is unknown: say it again
            self.stale_links = True
        self.asked = None
        self.wake = at

    def structure_changed(self, now):
        """Instances came or went: tell the server with an Update."""
        self.stale_links = True
        self.update(now)

    def update(self, now):
        """Update at once (/1/x/8, a changed lifetime)."""
        self.update_now = True
        if self.location is not None and not self.asked:
            self.wake = now

    def disable(self, now):
        """/1/x/4: De-register, come back after /1/x/5."""
        delay = self.server.disable_timeout
        self.leave(now + _GRACE_MS)
        self.disabled_until = now + (_DISABLE_TIMEOUT if delay is None else delay) * 1000

    def leave(self, now):
        """De-register and stay away."""
        self.leaving = True
        self.disabled_until = None
        self.wake = now

    def retry_now(self, now):
        """The network is back: do not wait for the retry timer."""
        if self.location is None and not self.asked and self.disabled_until is None:
            self.wake = now
