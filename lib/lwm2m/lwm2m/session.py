# The way to one server: socket, endpoint, key agreement, one request at a time.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 appendix B.2 as the client sees it; RFC 9175 section 2 (Echo)

from coap.endpoint import Endpoint
from coap.codec import Error, describe

_UNAUTHORIZED = const(0x81)

# Fresh keys after a hint that nobody signed: not at once again, but after 1 s,
# 2 s ... so that a forger of plain errors cannot keep the device busy.
_HINT_FIRST_MS = const(1000)
_HINT_LAST_MS = const(60000)
# After the end of a transport's own session, before the next one begins.
_AGAIN_MS = const(1000)
# Answers to request 1 that bring no R2 (a server that took it for request 3)
# before it counts as a failed try.
_MAX_CROSSED = const(3)
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


def _nobody(data, peer, now):
    """A datagram for a session that has no socket any more."""


class Session:
    """Base of Account and of BootstrapAccount.

    client: gives now(), say(session, text), connect(session), disconnect(session).
    security: the instance of /0. hook: the security hook (RFC 8613), or None for a
    plain account. Beside what an endpoint asks of it, it has ready(), state, rekey(),
    probe(), recover(), again(), exhausted(), housekeep(), save(), wipe(), generation.

    machine, set by the subclass, knows which request is due: next(now), wake,
    asked, leaving, answered(now, response, error), failed(now, what, why). The subclass
    has reachable() too: whether the server counts on reaching us; and handle(request,
    responder), which answers a request of that server, or a _serve() of its own.
    """

    machine = None
    reports = None  # a Reporting, once the server observes something or writes attributes
    _generation = 0  # of the hook's contexts, as poll() knows it
    # receive(data, peer, now): a datagram came in. It never raises. True where nothing came of
    # it but its answer. Set by attach().

    def __init__(self, client, security, hook):
        self.client = client
        self.security = security
        self.hook = hook
        self.endpoint = None
        self.receive = _nobody
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
        self.endpoint = self.transport = self.task = self._tend = None
        self.pending = None
        self.receive = _nobody

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

    # --- keys

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

    def _machine_answered(self, now, response, error):
        if error == "plain":
            return self._hint(now, response)
        first = not self.reachable()
        self.machine.answered(now, response, error)
        if self.hook and (not self.hook.ready() or (first and error)):
            # Request 3 failed: R3 is not used twice. Or keys of an earlier run (appendix
            # B.1) found no answer: the server may have others. The machine's own wait holds.
            self.keys_wanted = True

    # --- the server's requests

    def _serve(self, request, peer, responder):
        if peer != self.peer:
            raise Error(_UNAUTHORIZED)
        return self.handle(request, responder)

    def after_answer(self, function):
        """Have a function called once the answer to the present request is sent."""
        self._after.append(function)
