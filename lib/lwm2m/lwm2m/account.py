# What an account does for requests of its own: the way to the server, the agreement on keys,
# the request that is due and what became of it, triggers.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2 section 6.2; RFC 8613 appendix B.2 as the client sees it; RFC 9175
# section 2 (Echo)
#
# The class here holds methods of the one of the same name in client.py, and has no instances.
# That stays loaded, this is brought by the first call (lwm2m.late) and may be let go of at any
# time: nothing here is kept in an attribute, a hook or a callback that outlives an exchange.

from coap.codec import Error
from coap.endpoint import Endpoint
from .registration import Registration, describe
from .server import DEFAULT_FORMAT, HIDDEN

# The hook's counters that tell of messages that were not what they should be, and
# how often the log speaks of them.
REFUSALS = ("undecodable", "unknown", "replayed", "failed")
_REPORT_MS = const(60000)

# Fresh keys after a hint that nobody signed: not at once again, but after 1 s,
# 2 s ... so that a forger of plain errors cannot keep the device busy.
_HINT_FIRST_MS = const(1000)
_HINT_LAST_MS = const(60000)
# Answers to request 1 that bring no R2 (a server that took it for request 3)
# before it counts as a failed try.
_MAX_CROSSED = const(3)


class Account(Registration):
    # As in Registration: what most never need.
    peer = None
    keys_wanted = False
    _generation = 0  # of the hook's contexts, as poll() knows it
    _crossed = 0
    _hint_ms = 0
    _hinted = None
    _refused = {}  # failures() that the log knows of

    def begin(self, client, security, server, hook):
        """It is made: see client.Account. Returns self."""
        self._begin(client, security, hook)
        Registration.begin(self, server)
        server.account = self
        return self

    def _begin(self, client, security, hook):
        self.client = client
        self.security = security
        self.hook = hook
        self.endpoint = self.transport = self.pending = None
        if hook is not None and not hook.ready():
            self.keys_wanted = True

    def name(self):
        return self.client.endpoint

    def links(self):
        links = [((), ';rt="oma.lwm2m";ct=%d' % DEFAULT_FORMAT)]
        links += self.client.model.links(hidden=HIDDEN, lwm2m=self.version)
        return self.client.dispatcher.links_payload(links)

    # --- the way

    def attach(self, transport, peer):
        """A socket is there: from now on datagrams go to peer through it."""
        self.transport = transport
        if hasattr(transport, "poll"):
            from .dtls import keep

            self._tend = keep
            self._unanswered = False
        self._heard = 0
        self.peer = peer
        client = self.client
        endpoint = self.endpoint = Endpoint(
            transport.sendto, client.random, self.serve, self.hook, client.params
        )
        endpoint.on_error = client.on_error

    def detach(self):
        """The socket is gone, and with it all that hung on it."""
        self.endpoint = self.transport = self.task = self.pending = None
        self._drop("_tend")
        if self.reports:
            self.reports.clear()

    def protection(self):
        """What protects this account, in words."""
        if self.security.uri.startswith("coaps:"):
            return "sealed, in DTLS" if self.hook else "in DTLS"
        return "sealed" if self.hook else "plain"

    # --- what poll() calls, seldom

    def answer_sent(self):
        """What had to wait for the answer to a request begins."""
        while self._after:
            try:
                self._after.pop(0)()
            except Exception as e:
                # What belongs to the application stops nothing.
                self.client.on_error(e)
        self._drop("_after")

    def after_answer(self, function):
        """Have a function called once the answer to the present request is sent."""
        if not self._after:
            self._after = []
        self._after.append(function)

    def renewed(self, now):
        """The server agreed on another context meanwhile: what it observed is gone, at once,
        also where the answer to our own request is still to come."""
        self._clear()
        if not self.asked:
            self.say("oscore: fresh context, registering again")
            self.forget(now)

    def tell(self, now, refused):
        """What did not verify, in one line and at most once a minute. Why is for the operator:
        the peer learns a code at most."""
        bad = self.failures()
        words = []
        for name in REFUSALS:
            more = bad[name] - self._refused.get(name, 0)
            if more:
                words.append("%d %s" % (more, name))
        self._refused = bad
        self._told = (refused, now + _REPORT_MS)
        self.say("oscore: messages not verified: " + ", ".join(words))
        if self.pending is None:
            self._settle()  # who sends such things is not to fill the heap

    def failures(self):
        """How many messages of this account did not verify, by name: REFUSALS. {} for a plain
        one."""
        counts = {}
        if self.hook:
            for name in REFUSALS:
                counts[name] = self.hook.counters[name]
        return counts

    def advance(self, now):
        """Begin the request that is due."""
        self.asked = None  # nothing is under way
        leaving = self.leaving
        if not leaving and self.hook is not None and self.hook.exhausted():
            self.say("oscore: time for fresh keys")
            self.want_keys()
        if leaving and (self.endpoint is None or self.keys_wanted):
            self.forget(now)  # nothing that could be taken back under these keys
        if self.keys_wanted and not leaving:
            return self._agree(now)
        if self.endpoint is None and not leaving and not self._connect(now):
            return
        try:
            msg = self.next(now)
        except Exception as e:
            why = "longer than max_payload"  # the list of objects
            if not isinstance(e, Error):
                self.client.on_error(e)
                why = "fault"
            what, self.asked = self.asked, None
            return self.failed(now, what or "request", why)
        if msg:
            self._request(msg, now, self._answered)

    def _connect(self, now):
        if self.client.connect(self):
            return True
        self.failed(now, "connect", "no way to " + self.security.uri)

    # --- requests

    def _request(self, msg, now, answered):
        self.pending = True  # a refusal is told before request() returns
        exchange = self.endpoint.request(msg, self.peer, now, answered)
        if self.pending:
            self.pending = exchange
        return exchange

    def _landed(self, error):
        self.pending = None
        if self._tend:
            self._unanswered = error == "timeout"
        return self.client.now()

    def _answered(self, exchange, response, error):
        now = self._landed(error)
        hook = self.hook
        if error is None and hook and not exchange.context and hook.again(response) == ():
            # The server lost the context and began appendix B.2 with its answer: the
            # same request is request 3, once.
            self._request(exchange.request, now, self._answered).context = True
            return
        registering = self.asked == "register"
        if error == "plain":
            self._hint(now, response)
        else:
            first = self.location is None
            self.answered(now, response, error)
            if hook and (not hook.ready() or (first and error)):
                # Request 3 failed: R3 is not used twice. Or keys of an earlier run (appendix
                # B.1) found no answer: the server may have others. The machine's own wait holds.
                self.keys_wanted = True
        self.concluded(registering)

    def concluded(self, registering):
        """The request is over. What settled() lets go of is not used any more."""
        if registering and self.hook:
            self._generation = self.hook.generation
        if self.location is None:
            self._clear()
        else:
            self._settle()

    def _settle(self):
        if self.client.on_settled:
            self.client.on_settled()

    def _clear(self):
        # Observations belong to a registration: the server asks again.
        if self.reports:
            for handle in self.reports.clear():
                if self.endpoint:
                    self.endpoint.forget(handle)

    # --- keys

    def want_keys(self):
        """Agree on fresh keys before anything else; the registration ends with the old ones."""
        self.keys_wanted = True
        self._drop("_crossed")
        self.forget(self.client.now())

    def _agree(self, now):
        # Request 1 is harmless, since some servers carry it out. Each run has a
        # socket of its own: libcoap ties a run to address and port.
        self.client.disconnect(self)
        if self._connect(now):
            self.hook.rekey()
            self.say("oscore: agreeing on fresh keys (appendix B.2)")
            self._request(self.hook.probe(), now, self._agreed)

    def _agreed(self, exchange, response, error):
        now = self._landed(error)
        if self.hook.state == "b2-2" or self.hook.ready():
            # Ready already: a server that knew R1 went on in its context (with Echo).
            self._drop("_crossed")
            self._drop("keys_wanted")
            self.wake = now  # request 3 is the one that was due
        elif error == "plain":
            self._hint(now, response)
        elif error is None and self._crossed < _MAX_CROSSED:
            self._crossed += 1
            self.say("oscore: answer without R2, starting again")
            self.wake = now
        else:
            self.failed(now, "key agreement", error or "no R2 in answer " + describe(response.code))

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
        self.repeat(now + wait)
        self.say(
            "oscore: server answers plain %s, %s in %d s"
            % (describe(response.code), what, wait // 1000)
        )
        if wait == _HINT_LAST_MS:
            self.exhausted()

    # --- what the server and the user want

    def trigger(self, what):
        """/1/x/4, 8, 9 were executed."""
        now = self.client.now()
        if what == "update":
            self.update(now)
        elif what == "disable":
            self.say("disabled by the server")
            self.disable(now)
        else:
            self.client.bootstrap()

    def exhausted(self):
        """Registration keeps failing: /1/x/16, true where it is not there, goes to bootstrap."""
        if self.server.bootstrap_on_failure is not False and self.client.bootstrap_server():
            self.client.bootstrap()

    def status(self):
        """In words, for a person at the REPL."""
        if self.location is not None:
            words = "registered as " + self.place()
        elif self.pending:
            words = "registering" if self.asked else "agreeing on keys"
        elif self.disabled_until is not None:
            words = "disabled"
        elif self.wake is None:
            words = "stopped"
        else:
            words = "waiting %d s" % max(0, (self.wake - self.client.now() + 999) // 1000)
        return "server %d at %s: %s, %s, %d observed" % (
            self.server.ssid,
            self.security.uri,
            words,
            self.protection(),
            len(self.reports.observations) if self.reports else 0,
        )
