# Client-initiated bootstrap: asking, what the Bootstrap-Server may do, one commit.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2 sections 6.1.3 to 6.1.7; Transport 1.2.2 section 6.4.2
#
# All that a Bootstrap-Server writes is one transaction. It starts with a copy of
# the configuration; a Finish that makes sense makes the new one permanent in one
# commit, anything else puts the copy back.

from coap.codec import Message, Error
from .account import Account as _Seldom
from .client import Account
from .creating import create, delete
from .registration import describe
from .server import path_of, DEFAULT_FORMAT

_GET = const(1)
_POST = const(2)
_PUT = const(3)
_DELETE = const(4)
_CHANGED = const(0x44)
_CONTENT = const(0x45)
_DELETED = const(0x42)
_BAD_REQUEST = const(0x80)
_UNAUTHORIZED = const(0x81)
_METHOD_NOT_ALLOWED = const(0x85)
_NOT_ACCEPTABLE = const(0x86)
_INTERNAL = const(0xA0)
_URI_PATH = const(11)
_URI_QUERY = const(15)
_CONTENT_FORMAT = const(12)
_ACCEPT = const(17)

_STRING = const(0)  # types
_OPAQUE = const(5)

_LINK_FORMAT = const(40)

# The objects that a Bootstrap-Server sets: what is copied, rolled back, committed.
OBJECTS = (0, 1, 2, 21)
_KEYS = const(21)
# Those that it may read (Core 1.2.2 section 6.1.7.5).
_READABLE = (1, 2)

# Finish has to come within this after the last operation, in ms (EXCHANGE_LIFETIME).
FINISH_MS = const(247000)
# Failed tries double this delay (s); after so many the longest stays.
_RETRY_FIRST = const(10)
_MAX_DOUBLED = const(7)


# Between the answer to /1/x/9 and the De-register that follows from it (ms).
_GRACE_MS = const(500)


class Bootstrap:
    """The state machine: when to ask, how long to wait for Finish.

    name(): the endpoint client name. say(text): one line for the log. ended(why): called when
    an open transaction must go back. begin() comes first.
    """

    asked = None
    leaving = False
    tries = 0
    waiting = False  # for Finish

    def begin(self, hold_off):
        self.wake = 1000 * (hold_off or 0)  # only before the first try

    def next(self, now):
        """The Bootstrap-Request when it is due, or None."""
        if self.asked or self.wake is None or now < self.wake:
            return None
        if self.leaving:
            self.wake = None
            return None
        if self.waiting:
            self.failed(now, "bootstrap", "no Finish")
            return None
        self.asked = "bootstrap"
        msg = Message(_POST)
        msg.add(_URI_PATH, "bs")
        msg.add(_URI_QUERY, "ep=" + self.name())
        msg.add(_URI_QUERY, "pct=%d" % DEFAULT_FORMAT)
        return msg

    def answered(self, now, response, error=None):
        """What became of the request."""
        self.asked = None
        if response is None or response.code != _CHANGED:
            return self.failed(now, "bootstrap", error or describe(response.code))
        self.say("bootstrap: accepted, waiting for the configuration")
        self.waiting = True
        self.wake = now + FINISH_MS

    def operation(self, now):
        """The server did something: the wait for Finish counts anew."""
        if self.waiting:
            self.wake = now + FINISH_MS

    def exhausted(self):
        pass

    def failed(self, now, what, why):
        self.ended(why)
        self.waiting = False
        self.asked = None
        delay = _RETRY_FIRST << min(self.tries, _MAX_DOUBLED)
        self.tries += 1
        self.wake = now + delay * 1000
        self.say("%s failed: %s, next try in %d s" % (what, why, delay))

    def forget(self, now):
        if self.waiting or self.asked:
            self.ended("new keys")
        self.waiting = False
        self.asked = None
        self.wake = now

    def repeat(self, at):
        self.forget(at)

    def finished(self):
        self.waiting = False
        self.wake = None

    def leave(self, now):
        self.leaving = True
        self.wake = now


class BootstrapAccount(Account, Bootstrap):
    """The account of the Bootstrap-Server, for as long as a bootstrap takes. Beside an
    account it has no registration and no observations."""

    # What Bootstrap-Discover is answered as. With "1.2" an instance of /21 has the ssid= of
    # the server account that links to it, over which servers of 1.1 end the session.
    version = "1.1"

    saved = None  # the configuration before the first operation

    def begin(self, client, security, hook):
        """As Account.begin()."""
        _Seldom._begin(self, client, security, hook)
        Bootstrap.begin(self, security.hold_off)
        self.wake += client.now()
        return self

    @property
    def location(self):
        return True if self.waiting else None

    def say(self, text):
        self.client.log("bootstrap: " + text)

    def status(self):
        """In words, for a person at the REPL."""
        return "bootstrap server at %s: %s, %s" % (
            self.security.uri,
            "waiting for Finish" if self.waiting else "asking",
            self.protection(),
        )

    def leave(self, now):
        """Stay away."""
        self.ended("stopped")
        Bootstrap.leave(self, now)

    def renewed(self, now):
        pass

    def concluded(self, registering):
        pass

    def ended(self, why):
        """Put back what there was."""
        if self.saved is not None:
            restore(self.client, self.saved)
            self.saved = None
            self.say("bootstrap: rolled back (%s)" % why)
        if self.client.accounts and not self.leaving:
            # There were accounts before: back to them, not to the next try.
            self._finally()

    def _finally(self):
        client = self.client
        self.after_answer(lambda: bootstrapped(client))

    # --- operations

    def serve(self, request, peer, responder):
        if peer != self.peer:
            raise Error(_UNAUTHORIZED)
        self.operation(self.client.now())
        segments = request.path()
        code = request.code
        if segments == ["bs"]:
            if code != _POST:
                raise Error(_METHOD_NOT_ALLOWED)
            return self._finish()
        path = path_of(request)
        if code == _GET:
            if request.uint(_ACCEPT) == _LINK_FORMAT:
                return self._discover(path)
            if not path or path[0] not in _READABLE or len(path) > 2:
                raise Error(_METHOD_NOT_ALLOWED)
            return self.client.dispatcher.content(path, request.uint(_ACCEPT))
        if code == _PUT:
            return self._write(request, path)
        if code == _DELETE:
            return self._delete(path)
        raise Error(_METHOD_NOT_ALLOWED)

    def _change(self):
        if self.saved is None:
            self.saved = self.client.dump()

    def _keeps(self):
        # What a Delete leaves: this account and the keys that it links to.
        kept = [(0, self.security.iid)]
        if self.security.oscore is not None:
            kept.append(tuple(self.security.oscore))
        return kept

    def _write(self, request, path):
        if not path:
            raise Error(_METHOD_NOT_ALLOWED)
        model = self.client.model
        if path[0] not in OBJECTS:
            model.object(path[0])
            raise Error(_METHOD_NOT_ALLOWED)
        there = model.object(path[0])
        records = self._decode(request, path)
        if path[:2] in self._keeps():
            raise Error(_BAD_REQUEST)
        self._change()
        if len(path) > 2:
            model.write(path, records, True, self, True)
            return Message(_CHANGED)
        # At object level one Write brings several instances.
        instances = {}
        if len(path) == 2:
            instances[path[1]] = []
        for record in records:
            iid = record[0][1]
            if iid is None:
                raise Error(_BAD_REQUEST)
            instances.setdefault(iid, []).append(record)
        for iid in sorted(instances):
            if (path[0], iid) in self._keeps():
                raise Error(_BAD_REQUEST)
        for iid in sorted(instances):
            # An instance that is there is replaced as a whole: nothing of the old
            # one shows through.
            old = there.pop(iid, None)
            try:
                create(model, path[0], iid, instances[iid], self, True)
            except Error:
                if old:
                    there[iid] = old
                raise
        return Message(_CHANGED)

    def _decode(self, request, path):
        decode = self.client.dispatcher.decode
        try:
            return decode(request, path)
        except Error:
            if path[0] != _KEYS:
                raise

        # Versions 1.0 and 1.1 of the OSCORE object had String where 2.0 has Opaque.
        def typeof(oid, rid):
            typ = self.client.model.typeof(oid, rid)
            return _STRING if typ == _OPAQUE else typ

        records = decode(request, path, typeof)
        return [(p, v.encode() if isinstance(v, str) else v) for p, v in records]

    def _delete(self, path):
        model = self.client.model
        kept = self._keeps()
        if len(path) > 2:
            raise Error(_METHOD_NOT_ALLOWED)
        if len(path) == 2 and path in kept:
            raise Error(_BAD_REQUEST)
        if path and path[0] not in OBJECTS:
            model.object(path[0])
            if len(path) == 2:
                model.instance(path[0], path[1])
            raise Error(_METHOD_NOT_ALLOWED)
        self._change()
        if len(path) == 2:
            delete(model, path, self, True)
            return Message(_DELETED)
        for oid in path or OBJECTS:
            for instance in model.instances(oid):
                if (oid, instance.iid) not in kept:
                    delete(model, (oid, instance.iid), self, True)
        return Message(_DELETED)

    def _discover(self, path):
        # No uri=, which is optional, and over which known servers end the session.
        model = self.client.model
        if len(path) > 1:
            raise Error(_METHOD_NOT_ALLOWED)
        ssids = {}
        for security in model.instances(0):
            if not security.bootstrap and security.ssid is not None:
                ssids[0, security.iid] = security.ssid
                if self.version != "1.1" and security.oscore is not None:
                    ssids[tuple(security.oscore)] = security.ssid
        for server in model.instances(1):
            ssids[1, server.iid] = server.ssid
        links = [((), ";lwm2m=" + self.version)]
        for oid in path or sorted(model.objects):
            model.object(oid)
            version = getattr(model.classes[oid], "VERSION", None)
            instances = model.instances(oid)
            if version or not instances:
                links.append(((oid,), ";ver=" + version if version else ""))
            for instance in instances:
                ssid = ssids.get((oid, instance.iid))
                links.append(((oid, instance.iid), "" if ssid is None else ";ssid=%d" % ssid))
        msg = Message(_CONTENT)
        msg.add(_CONTENT_FORMAT, _LINK_FORMAT)
        msg.payload = self.client.dispatcher.links_payload(links)
        return msg

    def _finish(self):
        if not self.waiting:
            raise Error(_METHOD_NOT_ALLOWED)
        try:
            if not self.client.check():
                raise ValueError("no server account")
        except ValueError as e:
            self._refuse(str(e), _NOT_ACCEPTABLE)
        try:
            if self.client.on_config:
                self.client.on_config(self.client.dump())
        except OSError as e:
            self._refuse("flash: " + str(e), _INTERNAL)
        # Permanent from here on, whatever becomes of the answer.
        self.saved = None
        self.finished()
        self.say("bootstrap: finished")
        self._finally()
        return Message(_CHANGED)

    def _refuse(self, why, code):
        # The answer leaves first, then the configuration goes back.
        now = self.client.now()
        self.after_answer(lambda: self.failed(now, "bootstrap", why))
        raise Error(code)


# --- what the client calls


def begin(client):
    """Ask the Bootstrap-Server, where there is one, and serve nobody else meanwhile."""
    security = client.bootstrap_server()
    if security:
        client.sessions = [BootstrapAccount().begin(client, security, client.hook_of(security))]


def leave(client):
    """Leave all servers, then begin()."""
    if client._leaving is None:
        client._leaving = -1
    for account in client.accounts:
        account.leave(client.now() + _GRACE_MS)
    client.kick()


def left(client, now):
    """All accounts have left after leave(): when to go on."""
    for account in client.accounts:
        client.disconnect(account)
    client._leaving = None
    begin(client)
    return now


def bootstrapped(client):
    """A bootstrap has finished: every account begins anew, with fresh keys."""
    for session in client.sessions + client.accounts:
        client.drop(session)
    client.make_sessions()
    client.kick()


def restore(client, objects):
    """Put back what dump() gave."""
    model = client.model
    for oid in OBJECTS:
        if oid in model.objects:
            model.objects[oid] = {}
    for oid in objects:
        for iid in objects[oid]:
            model.add(model.fill(oid, iid, objects[oid][iid]), iid)
