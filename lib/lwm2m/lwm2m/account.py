# One server's account: its socket, security, registration and observations together.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2 section 6.2; RFC 8613 appendix B.2 as the client sees it

from micropython import const
from coap.endpoint import Endpoint
from coap.message import Message, Error, GET, UNAUTHORIZED, URI_PATH, ECHO, describe
from .registration import Registration
from .reporting import Reporting
from .server import HIDDEN, DEFAULT_FORMAT

# Fresh keys after a hint that nobody signed: not at once again, but after 1 s,
# 2 s ... so that a forger of plain errors cannot keep the device busy.
_HINT_FIRST_MS = const(1000)
_HINT_LAST_MS = const(60000)
# Answers to request 1 that bring no R2 (a server that took it for request 3)
# before it counts as a failed try.
_MAX_CROSSED = const(3)


class Account:
    """What the client keeps of one server.

    client: gives now(), say(account, text), connect(account) and disconnect(account).
    security, server: the instances of /0 and /1. hook: the security hook of the
    account (RFC 8613), or None for a plain one.
    """

    def __init__(self, client, security, server, hook):
        self.client = client
        self.security = security
        self.server = server
        self.hook = hook
        self.endpoint = None
        self.transport = None
        self.peer = None
        self.pending = None
        self.keys_wanted = hook is not None and not hook.ready()
        self._message = None
        self._then = None
        self._after = []
        self._crossed = 0
        self._hint_ms = 0
        self._hinted = None
        self.registration = Registration(client.endpoint, server, self._links, self.say)
        self.reporting = Reporting(client.model, server, self._notify)
        server.on_trigger = self.trigger

    def say(self, text):
        self.client.say(self, text)

    def status(self):
        """In words, for a person at the REPL."""
        r = self.registration
        if r.registered:
            words = "registered as /" + "/".join([s.decode() for s in r.location])
        elif self.keys_wanted and r.asked is None and self.pending:
            words = "agreeing on keys"
        elif r.asked:
            words = "registering"
        elif r.disabled_until is not None:
            words = "disabled"
        elif r.wake is None:
            words = "stopped"
        else:
            words = "waiting %d s" % max(0, (r.wake - self.client.now() + 999) // 1000)
        return "server %d at %s: %s, %s, %d observed" % (
            self.server.ssid,
            self.security.uri,
            words,
            "sealed" if self.hook else "plain",
            len(self.reporting.observations),
        )

    # --- what the driver calls

    def attach(self, transport, peer):
        """A socket is there: from now on datagrams go to peer through it."""
        self.transport = transport
        self.peer = peer
        self.endpoint = Endpoint(
            transport.sendto,
            self.client.random,
            handler=self._handle,
            hook=self.hook,
            params=self.client.params,
        )
        self.endpoint.on_error = self.client.on_error

    def detach(self):
        """The socket is gone, and with it all that hung on it."""
        self.endpoint = self.transport = None
        self.pending = None
        self.reporting.clear()

    def receive(self, data, peer, now):
        """A datagram came in; never raises."""
        if self.endpoint:
            self.endpoint.receive(data, peer, now)

    def poll(self, now):
        """Do what is due; the time of the next wake-up, or None."""
        while self._after:
            self._after.pop(0)()
        r = self.registration
        if self.pending is None and r.asked is None and r.wake is not None and r.wake <= now:
            self._advance(now)
        wake = r.wake if self.pending is None and r.asked is None else None
        if self.endpoint:
            if r.registered:
                wake = _earlier(wake, self.reporting.poll(now))
            wake = _earlier(wake, self.endpoint.poll(now))
        if self._after:
            wake = now
        return wake

    def _advance(self, now):
        r = self.registration
        if self.hook and self.hook.exhausted() and not r.leaving:
            self.say("oscore: keys are worn, agreeing on fresh ones")
            self._want_keys()
        if r.leaving and (self.endpoint is None or self.keys_wanted):
            r.location = None  # nothing that could be taken back under these keys
        if self.keys_wanted and not r.leaving:
            return self._agree(now)
        if self.endpoint is None and not r.leaving and not self.client.connect(self):
            return r.failed(now, "connect", "no way to " + self.security.uri)
        msg = r.next(now)
        if msg:
            self._request(msg, now, self._registration_answered)

    def _request(self, msg, now, then):
        self._message = msg
        self._then = then
        self.pending = self.endpoint.request(msg, self.peer, now, self._answered)

    def _answered(self, exchange, response, error):
        self.pending = None
        now = self.client.now()
        msg, self._message = self._message, None
        if error is None and response.code == UNAUTHORIZED and msg.opt(ECHO) is None:
            echo = response.opt(ECHO)
            if echo is not None and self.hook:
                # The server wants to know that this is no replay (RFC 9175 section 2).
                msg.add(ECHO, bytes(echo))
                return self._request(msg, now, self._then)
        self._then(now, response, error)

    # --- keys

    def _want_keys(self):
        self.keys_wanted = True
        self._crossed = 0
        r = self.registration
        r.location = r.asked = None

    def _agree(self, now):
        # Request 1 is harmless, since some servers carry it out. Each run has a
        # socket of its own: libcoap ties a run to address and port.
        self.client.disconnect(self)
        if not self.client.connect(self):
            return self.registration.failed(now, "connect", "no way to " + self.security.uri)
        try:
            self.hook.rekey()
        except OSError as e:
            return self.registration.failed(now, "key agreement", "flash: " + str(e))
        msg = Message(GET)
        msg.add(URI_PATH, "rederivation")
        msg.add(URI_PATH, "blackhole")
        self.say("oscore: agreeing on fresh keys (appendix B.2)")
        self._request(msg, now, self._agreed)

    def _agreed(self, now, response, error):
        r = self.registration
        if self.hook.state == "b2-2":
            self._crossed = 0
            self.keys_wanted = False
            # Request 3 is the Register.
            r.wake = now
        elif error == "plain":
            self._hint(now, response)
        elif error is None and self._crossed < _MAX_CROSSED:
            self._crossed += 1
            self.say("oscore: answer without R2, starting again")
            r.wake = now
        else:
            r.failed(now, "key agreement", error or "no R2 in answer " + describe(response.code))

    def _hint(self, now, response):
        # A plain 4.00, 4.01 or 4.02: the server may have lost the context, or
        # somebody forged it. The old context stays until a new one is verified.
        if self._hinted is None or now - self._hinted > 2 * _HINT_LAST_MS:
            self._hint_ms = 0
        self._hinted = now
        self._want_keys()
        self.registration.wake = now + self._hint_ms
        self.say(
            "oscore: server answers plain %s, fresh keys in %d s"
            % (describe(response.code), self._hint_ms // 1000)
        )
        self._hint_ms = min(2 * self._hint_ms or _HINT_FIRST_MS, _HINT_LAST_MS)

    # --- registration

    def _registration_answered(self, now, response, error):
        if error == "plain":
            return self._hint(now, response)
        r = self.registration
        if not r.registered:
            self.reporting.clear()
        r.answered(now, response, error)
        if not r.registered and self.hook and not self.hook.ready():
            self._want_keys()  # request 3 failed: R3 is not used twice

    def _links(self):
        links = [((), [("rt", "oma.lwm2m"), ("ct", DEFAULT_FORMAT)])]
        links += self.client.model.links(hidden=HIDDEN)
        return self.client.dispatcher.links_payload(links)

    def trigger(self, what):
        """/1/x/4, 8, 9 were executed."""
        now = self.client.now()
        if what == "update":
            self.registration.update(now)
        elif what == "disable":
            self.say("disabled by the server")
            self.registration.disable(now)
        else:
            self.say("bootstrap asked for, but no Bootstrap-Server is known")

    # --- the server's requests

    def _handle(self, request, peer, responder):
        if peer != self.peer:
            raise Error(UNAUTHORIZED)
        return self.client.dispatcher.handle(request, self, responder, self.client.now())

    def after_answer(self, function):
        """Have a function called once the answer to the present request is sent."""
        self._after.append(function)

    def observe(self, path, accept, handle, now):
        """The server observes a path; handle is the endpoint's observation."""
        handle.on_cancel = lambda reason: self._unobserved(handle, path)
        self.reporting.observe(path, accept, handle, now)
        self.say("observed /%s" % "/".join([str(i) for i in path]))

    def _unobserved(self, handle, path):
        self.reporting.cancel(handle)
        self.say("no longer observed /%s" % "/".join([str(i) for i in path]))

    def _notify(self, observation, now, confirmable):
        try:
            msg = self.client.dispatcher.content(observation.path, observation.accept)
        except Error as e:
            msg = Message(e.code)
        self.endpoint.notify(observation.handle, msg, now, confirmable)
        if msg.code >> 5 != 2:  # a last word: what was observed is gone
            self.endpoint.forget(observation.handle)
            self.reporting.cancel(observation.handle)


def _earlier(a, b):
    if a is None:
        return b
    return a if b is None or a < b else b
