# Registration with one server: Register, Update, De-register and their retries.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2 sections 6.2 and 6.2.1.1 (retries); Transport 1.2.2 section 6.4.3
#
# A state machine without a clock or a socket: next(now) gives the message that is
# due, answered(now, ...) takes what became of it, wake says when to call again.

from coap.codec import Message
from . import late

_POST = const(2)
_DELETE = const(4)
_CHANGED = const(0x44)
_URI_PATH = const(11)
_URI_QUERY = const(15)
_CONTENT_FORMAT = const(12)

_LINK_FORMAT = const(40)

# An Update leaves at the latest this long before the lifetime ends: one exchange
# with all its retransmissions (MAX_TRANSMIT_WAIT of RFC 7252 section 4.8.2).
_MARGIN = const(93)


class Registration:
    """One server's registration.

    endpoint: the endpoint client name. server: the instance of /1. links: a
    function that gives the link-format payload. say(text): one line for the log.
    """

    _late = ("seldom", "Registration")
    __getattr__ = late

    def __init__(self, endpoint, server, links, say):
        self.endpoint = endpoint
        self.server = server
        self.links = links
        self.say = say
        self.version = "1.2"
        self.location = None  # segments, while registered
        self.asked = None  # what the message under way is: "register", "update", "deregister"
        self.wake = 1000 * (server.initial_delay or 0)  # /1/x/14
        self.tries = 0
        self.lifetime = None  # as the server was last told
        self.stale_links = False
        self.update_now = False
        self.disabled_until = None
        self.leaving = False  # De-register as soon as may be
        self.on_exhausted = None  # called when a whole sequence of tries has failed

    @property
    def registered(self):
        return self.location is not None

    def next(self, now):
        """The message that is due, or None."""
        if self.asked or self.wake is None or now < self.wake:
            return None
        if self.leaving:
            if self.location is None:
                self.wake = self.disabled_until
                self.leaving = False
                return None
            self.asked = "deregister"
            return self._to_location(_DELETE)
        self.disabled_until = None
        if self.location is None:
            return self._register()
        return self._update()

    def _update(self):
        self.asked = "update"
        self.update_now = False
        msg = self._to_location(_POST)
        if self.server.lifetime != self.lifetime:
            self.lifetime = self.server.lifetime
            msg.add(_URI_QUERY, "lt=%d" % self.lifetime)
        if self.stale_links:
            self.stale_links = False
            msg.add(_CONTENT_FORMAT, _LINK_FORMAT)
            msg.payload = self.links()
        return msg

    def _to_location(self, code):
        msg = Message(code)
        for segment in self.location:
            msg.add(_URI_PATH, segment)
        return msg

    def answered(self, now, response, error=None):
        """What became of the message of next(): response, or None and why."""
        asked, self.asked = self.asked, None
        if asked == "update" and response and response.code == _CHANGED:
            self.say("updated lifetime=%d" % self.lifetime)
            self._schedule(now)
        else:
            self._ended(now, asked, response, error)

    def _schedule(self, now):
        lt = self.lifetime
        self.wake = now + max(lt >> 1, lt - _MARGIN) * 1000 if lt else None
        if self.stale_links or self.update_now or self.server.lifetime != lt:
            self.wake = now
