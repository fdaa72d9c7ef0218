# Registration with one server: Register, Update, De-register and their retries.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2 sections 6.2 and 6.2.1.1 (retries); Transport 1.2.2 section 6.4.3
#
# A state machine without a clock or a socket: next(now) gives the message that is
# due, answered(now, ...) takes what became of it, wake says when to call again.

from coap.codec import Message, describe

_POST = const(2)
_DELETE = const(4)
_CREATED = const(0x41)
_CHANGED = const(0x44)
_DELETED = const(0x42)
_PRECONDITION_FAILED = const(0x8C)
_URI_PATH = const(11)
_URI_QUERY = const(15)
_LOCATION_PATH = const(8)
_CONTENT_FORMAT = const(12)

_LINK_FORMAT = const(40)

# What holds when /1/x/17 to 20 are not there.
_RETRY_COUNT = const(5)
_RETRY_TIMER = const(60)
_SEQUENCE_DELAY = const(86400)
_DISABLE_TIMEOUT = const(86400)

# An Update leaves at the latest this long before the lifetime ends: one exchange
# with all its retransmissions (MAX_TRANSMIT_WAIT of RFC 7252 section 4.8.2).
_MARGIN = const(93)

# Between the answer to a trigger and the De-register that follows from it (ms):
# servers that handle the two side by side would take the second first.
GRACE_MS = const(500)

# Location segments that are kept, and bytes in all of them.
_MAX_LOCATION = const(8)
_MAX_LOCATION_LEN = const(128)


class Registration:
    """One server's registration.

    endpoint: the endpoint client name. server: the instance of /1. links: a
    function that gives the link-format payload. say(text): one line for the log.
    """

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

    def place(self):
        """The location as text, of printable characters whatever the server chose."""
        text = ""
        for segment in self.location:
            text += "/"
            for c in segment:
                text += chr(c) if 32 < c < 127 and c != 37 else "%%%02X" % c
        return text

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
        code = response.code if response else None
        if asked == "register":
            if code == _CREATED:
                return self._registered(now, response)
            if code == _PRECONDITION_FAILED and self.version == "1.2":
                # Servers of 1.1 refuse the number; remembered for this server.
                self.version = "1.1"
                self.say("server refuses LwM2M 1.2, going on with 1.1")
                self.wake = now
                return
            self.failed(now, "register", error or describe(code))
        elif asked == "update":
            if code == _CHANGED:
                self.say("updated lifetime=%d" % self.lifetime)
                self._schedule(now)
                return
            self.say("update failed: %s, registering again" % (error or describe(code)))
            self.forget(now)
        elif asked == "deregister":
            self.say("deregistered" if code == _DELETED else "deregistered, unanswered")
            self.location = None
            self.leaving = False
            self.wake = self.disabled_until

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

    def _schedule(self, now):
        lt = self.lifetime
        self.wake = now + max(lt >> 1, lt - _MARGIN) * 1000 if lt else None
        if self.stale_links or self.update_now or self.server.lifetime != lt:
            self.wake = now

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
        self.leave(now + GRACE_MS)
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
