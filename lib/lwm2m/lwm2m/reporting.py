# Observations of one server, and when it is notified.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2 section 6.4 (Information Reporting)
#
# What a server writes to govern it, and what of that compares values, is in attributes.py.

from coap.codec import Message, Error

_INTERNAL = const(0xA0)

# A confirmable notification at least this often (RFC 7641 section 4.5), in ms.
_CON_EVERY_MS = const(86400000)


class _Observation:
    def __init__(self, path, paths, accept, handle, now):
        self.path = path
        self.paths = paths  # of a composite one, else None
        self.accept = accept
        self.handle = handle  # the endpoint's
        self.sent = now
        self.confirmed = now
        self.dirty = False
        self.value = None  # numeric value as last sampled, where attributes compare
        self.reported = None  # numeric value as last sent


class Reporting:
    """Observations of one server.

    model: the data model. server: the instance of /1, for default periods.
    send(observation, now, confirmable): makes and sends one notification.
    """

    def __init__(self, model, server, send):
        self.model = model
        self.server = server
        self.send = send
        self.observations = []
        self.attributes = {}  # {path: {name: value}}, written by attributes.py
        self.wake = None

    def effective(self, path):
        """Attributes that govern a path: the lowest level wins, then the server's defaults."""
        a = {}
        if self.server.pmin:
            a["pmin"] = self.server.pmin
        if self.server.pmax:
            a["pmax"] = self.server.pmax
        for level in range(1, len(path) + 1):
            a.update(self.attributes.get(path[:level], {}))
        return a

    def observe(self, path, paths, accept, handle, now):
        """Begin to observe a path, or paths where it is a composite observation; handle is
        the endpoint's observation."""
        o = _Observation(path, paths, accept, handle, now)
        if self.attributes:
            from .attributes import sample

            sample(self.model, o)
        self.observations.append(o)
        self.wake = 0
        return o

    def observed(self, account, path, paths, accept, handle, now):
        """As observe(), with a line in the account's log for its beginning and its end."""

        def ended(reason):
            self.cancel(handle)
            account.say("no longer observed " + what)

        what = " ".join(["/" + "/".join(map(str, p)) for p in paths or (path,)])
        handle.on_cancel = ended
        self.observe(path, paths, accept, handle, now)
        account.say("observed " + what)

    def cancel(self, handle):
        """The endpoint's observation has ended."""
        self.observations = [o for o in self.observations if o.handle is not handle]

    def clear(self):
        """Drop all: a new security context, a new registration."""
        handles = [o.handle for o in self.observations]
        self.observations = []
        return handles

    def touched(self, path, origin_is_ours):
        """A resource changed; what this server wrote itself is not told back to it."""
        if origin_is_ours:
            return
        for o in self.observations:
            for observed in o.paths or (o.path,):
                n = min(len(observed), len(path))
                if observed[:n] == path[:n]:
                    self._sample(o)
                    break

    def _sample(self, o):
        a = self.effective(o.path)
        if "gt" in a or "lt" in a or "st" in a:
            from .attributes import crossed

            o.dirty = crossed(self.model, o, a)
        else:
            o.dirty = True
            o.value = None
        if o.dirty:
            self.wake = 0

    def poll(self, now):
        """Send what is due; the time of the next notification, or None."""
        self.wake = None
        for o in list(self.observations):
            a = self.effective(o.path)
            pmin = a.get("pmin", 0) * 1000
            pmax = a.get("pmax", 0) * 1000
            due = o.sent + pmin if o.dirty else None
            if pmax > 0:
                pmax = max(pmax, pmin)
                if due is None or due > o.sent + pmax:
                    due = o.sent + pmax
            if due is not None and due <= now:
                confirmable = (
                    self.server.notification_mode == 1 or now - o.confirmed >= _CON_EVERY_MS
                )
                o.sent = now
                o.dirty = False
                if confirmable:
                    o.confirmed = now
                self.send(o, now, confirmable)
                o.reported = o.value
                due = now + pmax if pmax > 0 else None
            if due is not None and (self.wake is None or due < self.wake):
                self.wake = due
        return self.wake


def of(account):
    """The Reporting of an account, made when it is first needed."""
    if account.reports is not None:
        return account.reports

    def notify(observation, now, confirmable):
        try:
            if observation.paths:
                from .composite import read

                msg = read(client.dispatcher, observation.paths, observation.accept)
            else:
                msg = client.dispatcher.content(observation.path, observation.accept)
            # It may have to wait.
            msg = Message(msg.code, payload=bytes(msg.payload), options=msg.options)
        except Error as e:
            msg = Message(e.code)
        except Exception as e:  # of what the application reads
            client.on_error(e)
            msg = Message(_INTERNAL)
        observation.handle.notify(account.endpoint, msg, now, confirmable)
        if msg.code >> 5 != 2:  # a last word: what was observed is gone
            account.endpoint.forget(observation.handle)
            account.reports.cancel(observation.handle)

    client = account.client
    account.reports = Reporting(client.model, account.server, notify)
    return account.reports
