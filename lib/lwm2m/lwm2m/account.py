# One server's account: the way to it, one request at a time, the registration, observations.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2 section 6.2; RFC 8613 appendix B.2; RFC 9175 section 2 (Echo)

from coap.codec import Error
from . import late
from .registration import Registration
from .server import HIDDEN, DEFAULT_FORMAT

_UNAUTHORIZED = const(0x81)

# The hook's counters that tell of messages that were not what they should be, and
# how often the log speaks of them.
REFUSALS = ("undecodable", "unknown", "replayed", "failed")
_REPORT_MS = const(60000)


def earlier(a, b):
    """The earlier of two times, None meaning never."""
    if a is None:
        return b
    return a if b is None or a < b else b


def before(a, b):
    """Whether time a is earlier than b, None meaning never."""
    return a is not None and (b is None or a < b)


class Session:
    """Base of Account and of BootstrapAccount.

    client: gives now(), say(session, text), connect(session), disconnect(session).
    security: the instance of /0. hook: the security hook (RFC 8613), or None for a
    plain account. Beside what an endpoint asks of it, it has ready(), state, rekey(),
    probe(), recover(), again(), exhausted(), housekeep(), save(), wipe(), generation.

    machine, set by the subclass, knows which request is due: next(now), wake,
    asked, leaving, answered(now, response, error), failed(now, what, why). The subclass
    has reachable() too: whether the server counts on reaching us; and _serve(request, peer,
    responder), the endpoint's handler.
    """

    machine = None
    reports = None  # a Reporting, once the server observes something or writes attributes
    _generation = 0  # of the hook's contexts, as poll() knows it
    # receive(data, peer, now): a datagram came in. It never raises. True where nothing came of
    # it but its answer. Set by attach().
    _late = ("seldom", "Session")
    __getattr__ = late

    def __init__(self, client, security, hook):
        self.client = client
        self.security = security
        self.hook = hook
        self.endpoint = None
        self.transport = None
        self.task = None
        self.peer = None
        self.pending = None
        self.keys_wanted = hook is not None and not hook.ready()
        self._message = None
        self._then = None
        self._after = []
        self._crossed = 0
        self._hint_ms = 0
        self._hinted = None
        self._refused = [0] * len(REFUSALS)
        self._reported = None
        self._tend = None  # the transport's poll(), where it has a session of its own
        self._unanswered = False
        self._heard = 0  # responses, and refused messages, that poll() has seen

    def say(self, text):
        self.client.say(self, text)

    # --- what the driver calls

    def stirred(self, until, over):
        """Whether poll() is needed before until, after what was received. over: what receive()
        returned, since a server's request is over with its answer; most are."""
        endpoint = self.endpoint
        if (
            endpoint is None
            or self._after
            or self._tend
            or (self.hook is not None and self.hook.generation != self._generation)
            or (self.reports is not None and before(self.reports.wake, until))
        ):
            return True
        if not over:
            heard = endpoint.counters.responses + endpoint.counters.refused
            if heard != self._heard:
                self._heard = heard
                return True
        if self.pending is None and self.machine.asked is None:
            if before(self.machine.wake, until):
                return True
        return not over and before(endpoint.next_wakeup(), until)

    def poll(self, now):
        """Do what is due; the time of the next wake-up, or None."""
        while self._after:
            self.client.guarded(self._after.pop(0))
        m = self.machine
        if self.pending is None and m.asked is None:
            if (m.wake is not None and m.wake <= now) or (self.reachable() and self._worn()):
                self._advance(now)
        wake = None
        if self.endpoint:
            wake = self.endpoint.poll(now)
        if self._tend:
            wake = earlier(wake, self._keep(now))
        # Only now: what timed out in it may have set the machine's time anew.
        if self.pending is None and m.asked is None:
            wake = earlier(wake, m.wake)
        if self.hook:
            self._report(now)
            try:
                self.hook.housekeep()
            except OSError as e:
                self.say("flash: " + str(e))
        return now if self._after else wake

    def _report(self, now):
        # What did not verify, in one line and at most once a minute. Why is for the
        # operator: the peer learns a code at most.
        counters = self.hook.counters
        bad = [counters[name] for name in REFUSALS]
        if bad != self._refused and (self._reported is None or now - self._reported >= _REPORT_MS):
            words = []
            for i, name in enumerate(REFUSALS):
                if bad[i] != self._refused[i]:
                    words.append("%d %s" % (bad[i] - self._refused[i], name))
            self._refused = bad
            self._reported = now
            self.say("oscore: messages not verified: " + ", ".join(words))

    def _worn(self):
        return self.hook is not None and self.hook.exhausted()

    def _advance(self, now):
        m = self.machine
        if self._worn() and not m.leaving:
            self.say("oscore: time for fresh keys")
            self.want_keys()
        if m.leaving and (self.endpoint is None or self.keys_wanted):
            m.forget(now)  # nothing that could be taken back under these keys
        if self.keys_wanted and not m.leaving:
            return self._agree(now)
        if self.endpoint is None and not m.leaving and not self.client.connect(self):
            return m.failed(now, "connect", "no way to " + self.security.uri)
        try:
            msg = m.next(now)
        except Exception as e:
            why = "longer than max_payload"  # the list of objects
            if not isinstance(e, Error):
                self.client.on_error(e)
                why = "fault"
            what, m.asked = m.asked, None
            return m.failed(now, what or "request", why)
        if msg:
            self._request(msg, now, self._machine_answered)

    def _request(self, msg, now, then):
        self._message = msg
        self._then = then
        self.pending = True  # a refusal is told before request() returns
        exchange = self.endpoint.request(msg, self.peer, now, self._answered)
        if self.pending:
            self.pending = exchange

    def _answered(self, exchange, response, error):
        self.pending = None
        self._unanswered = error == "timeout"
        now = self.client.now()
        msg, self._message = self._message, None
        if error is None and self.hook and msg is not None and self.hook.again(response) == ():
            # The server lost the context and began appendix B.2 with its answer: the
            # same request is request 3, once.
            self._request(msg, now, self._then)
            self._message = None
            return
        self._then(now, response, error)

    def _machine_answered(self, now, response, error):
        if error == "plain":
            return self._hint(now, response)
        first = not self.reachable()
        self.machine.answered(now, response, error)
        if self.hook and (not self.hook.ready() or (first and error)):
            # Request 3 failed: R3 is not used twice. Or keys of an earlier run (appendix
            # B.1) found no answer: the server may have others. The machine's own wait holds.
            self.keys_wanted = True


class Account(Session):
    """What the client keeps of one LwM2M server. server: the instance of /1."""

    _late = ("seldom", "Account")

    def __init__(self, client, security, server, hook):
        Session.__init__(self, client, security, hook)
        self.server = server
        self.name = "server %d" % server.ssid
        self.machine = self.registration = Registration(
            client.endpoint, server, self._links, self.say
        )
        self.registration.on_exhausted = self.exhausted
        server.on_trigger = self.trigger

    def reachable(self):
        return self.registration.registered

    def poll(self, now):
        r = self.registration
        if self.hook and r.registered and self.hook.generation != self._generation:
            # The server agreed on another context meanwhile: what it observed is gone, at
            # once, also where the answer to our own request is still to come.
            self._clear()
            if not r.asked:
                self.say("oscore: fresh context, registering again")
                r.forget(now)
        wake = Session.poll(self, now)
        if self.endpoint and self.registration.registered:
            if self.reports:
                wake = earlier(wake, self.reports.poll(now))
            wake = earlier(wake, self.endpoint.next_wakeup())
        return wake

    def _machine_answered(self, now, response, error):
        registering = self.registration.asked == "register"
        Session._machine_answered(self, now, response, error)
        if registering and self.hook:
            self._generation = self.hook.generation
        if not self.registration.registered:
            self._clear()
        else:
            self.client.settled()

    def _links(self):
        links = [((), [("rt", "oma.lwm2m"), ("ct", DEFAULT_FORMAT)])]
        links += self.client.model.links(hidden=HIDDEN, lwm2m=self.registration.version)
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
            self.client.bootstrap()

    def exhausted(self):
        """Registration keeps failing: /1/x/16, true where it is not there, goes to bootstrap."""
        if self.server.bootstrap_on_failure is not False and self.client.bootstrap_server():
            self.client.bootstrap()

    def _serve(self, request, peer, responder):
        if peer != self.peer:
            raise Error(_UNAUTHORIZED)
        return self.client.dispatcher.handle(request, self, responder, self.endpoint.now)

    # --- observations

    @property
    def reporting(self):
        """Its Reporting, made when it is first needed."""
        if self.reports is None:
            from .reporting import begin

            self.reports = begin(self)
        return self.reports

    def observe(self, *what):
        """The server observes: the arguments of Reporting.observe()."""
        self.reporting.observed(self, *what)
