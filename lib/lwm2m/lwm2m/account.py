# One server's account: the way to it, the registration, the observations.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2 section 6.2

from coap.codec import Message, Error
from .registration import Registration
from .server import HIDDEN, DEFAULT_FORMAT
from .session import Session, earlier

_UNAUTHORIZED = const(0x81)
_INTERNAL = const(0xA0)


class Account(Session):
    """What the client keeps of one LwM2M server. server: the instance of /1."""

    def __init__(self, client, security, server, hook):
        super().__init__(client, security, hook)
        self.server = server
        self.name = "server %d" % server.ssid
        self.machine = self.registration = Registration(
            client.endpoint, server, self._links, self.say
        )
        self.registration.on_exhausted = self.exhausted
        server.on_trigger = self.trigger

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

    def reachable(self):
        return self.registration.registered

    def leave(self, now):
        """De-register and stay away."""
        self.registration.leave(now)

    def detach(self):
        super().detach()
        if self.reports:
            self.reports.clear()

    def poll(self, now):
        r = self.registration
        if self.hook and r.registered and self.hook.generation != self._generation:
            # The server agreed on another context meanwhile: what it observed is gone, at
            # once, also where the answer to our own request is still to come.
            self._clear()
            if not r.asked:
                self.say("oscore: fresh context, registering again")
                r.forget(now)
        wake = super().poll(now)
        if self.endpoint and self.registration.registered:
            if self.reports:
                wake = earlier(wake, self.reports.poll(now))
            wake = earlier(wake, self.endpoint.next_wakeup())
        return wake

    def _machine_answered(self, now, response, error):
        registering = self.registration.asked == "register"
        super()._machine_answered(now, response, error)
        if registering and self.hook:
            self._generation = self.hook.generation
        if not self.registration.registered:
            self._clear()

    def _clear(self):
        # Observations belong to a registration: the server asks again.
        for handle in self.reports.clear() if self.reports else ():
            if self.endpoint:
                self.endpoint.forget(handle)

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
        # As Session's, and handle() in one.
        if peer != self.peer:
            raise Error(_UNAUTHORIZED)
        return self.client.dispatcher.handle(request, self, responder, self.endpoint.now)

    # --- observations

    @property
    def reporting(self):
        """Its Reporting, made when it is first needed."""
        if self.reports is None:
            from .reporting import Reporting

            self.reports = Reporting(self.client.model, self.server, self._notify)
        return self.reports

    def observe(self, path, paths, accept, handle, now):
        """The server observes a path, or paths together; handle is the endpoint's observation."""
        what = " ".join(["/" + "/".join([str(i) for i in p]) for p in paths or (path,)])
        handle.on_cancel = lambda reason: self._unobserved(handle, what)
        self.reporting.observe(path, paths, accept, handle, now)
        self.say("observed " + what)

    def _unobserved(self, handle, what):
        self.reporting.cancel(handle)
        self.say("no longer observed " + what)

    def _notify(self, observation, now, confirmable):
        try:
            if observation.paths:
                msg = self.client.dispatcher.composite(observation.paths, observation.accept)
            else:
                msg = self.client.dispatcher.content(observation.path, observation.accept)
            # It may have to wait.
            msg = Message(msg.code, payload=bytes(msg.payload), options=msg.options)
        except Error as e:
            msg = Message(e.code)
        except Exception as e:  # of what the application reads
            self.client.on_error(e)
            msg = Message(_INTERNAL)
        self.endpoint.notify(observation.handle, msg, now, confirmable)
        if msg.code >> 5 != 2:  # a last word: what was observed is gone
            self.endpoint.forget(observation.handle)
            self.reporting.cancel(observation.handle)
