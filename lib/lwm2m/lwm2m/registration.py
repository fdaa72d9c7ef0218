# Registration with one server: Register, Update, De-register and their retries.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2 sections 6.2 and 6.2.1.1 (retries); Transport 1.2.2 section 6.4.3
#
# A state machine without a clock or a socket: next(now) gives the message that is
# due, answered(now, ...) takes what became of it, wake says when to call again.

from coap.codec import Message

_POST = const(2)
_DELETE = const(4)
_CREATED = const(0x41)
_DELETED = const(0x42)
_CHANGED = const(0x44)
_PRECONDITION_FAILED = const(0x8C)
_LOCATION_PATH = const(8)
_URI_PATH = const(11)
_URI_QUERY = const(15)
_CONTENT_FORMAT = const(12)

_LINK_FORMAT = const(40)

# An Update leaves at the latest this long before the lifetime ends: one exchange
# with all its retransmissions (MAX_TRANSMIT_WAIT of RFC 7252 section 4.8.2).
_MARGIN = const(93)

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

# What the server has to be told, in Registration.news: that we are there, the objects.
_HERE = const(1)
_LINKS = const(2)


def describe(code):
    """A code as it is written: 0x45 is "2.05"."""
    return "%d.%02d" % (code >> 5, code & 31)


class Registration:
    """One server's registration: what an Account is beside its way to the server.

    server: the instance of /1. name(): the endpoint client name. links(): the link-format
    payload. say(text): one line for the log. begin() comes first.
    """

    # Attributes that most never need are here, and the instance has them while they differ:
    # client.Account stays in RAM, this does not.
    version = "1.2"
    location = None  # segments, while registered
    asked = None  # what the message under way is: "register", "update", "deregister"
    tries = 0
    lifetime = None  # as the server was last told
    news = 0
    disabled_until = None
    leaving = False  # De-register as soon as may be

    def begin(self, server):
        """Register after /1/x/14."""
        self.server = server
        self.location = None
        self.wake = 1000 * (server.initial_delay or 0)

    def exhausted(self):
        """Called when a whole sequence of tries has failed."""

    def next(self, now):
        """The message that is due, or None."""
        if self.asked or self.wake is None or now < self.wake:
            return None
        if self.leaving:
            if self.location is None:
                self._left()
                return None
            self.asked = "deregister"
            return self._to_location(_DELETE)
        self._drop("disabled_until")
        if self.location is None:
            return self._register()
        return self._update()

    def _drop(self, name):
        # What is not the instance's own is the class's.
        try:
            delattr(self, name)
        except AttributeError:
            pass

    def _left(self):
        self.location = None
        self.wake = self.disabled_until
        self._drop("leaving")

    def _register(self):
        self.asked = "register"
        msg = Message(_POST)
        msg.add(_URI_PATH, "rd")
        msg.add(_CONTENT_FORMAT, _LINK_FORMAT)
        self.lifetime = self.server.lifetime
        if self.news:
            self.news &= _HERE
        msg.add(_URI_QUERY, "ep=" + self.name())
        msg.add(_URI_QUERY, "lt=%d" % self.lifetime)
        msg.add(_URI_QUERY, "lwm2m=" + self.version)
        msg.add(_URI_QUERY, "b=U")
        msg.payload = self.links()
        return msg

    def _update(self):
        self.asked = "update"
        msg = self._to_location(_POST)
        if self.server.lifetime != self.lifetime:
            self.lifetime = self.server.lifetime
            msg.add(_URI_QUERY, "lt=%d" % self.lifetime)
        news = self.news
        self._drop("news")
        if news & _LINKS:
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
            if code == _CHANGED:
                self.say("updated lifetime=%d" % self.lifetime)
                return self._schedule(now)
            self.say("update failed: %s, registering again" % why)
            self.forget(now)
        elif asked == "deregister":
            self.say("deregistered" if code == _DELETED else "deregistered, unanswered")
            self._left()

    def _registered(self, now, response):
        location = []
        length = 0
        for value in response.opts(_LOCATION_PATH)[:_MAX_LOCATION]:
            location.append(bytes(value))
            length += len(value)
        if not location or length > _MAX_LOCATION_LEN:
            return self.failed(now, "register", "no usable Location-Path")
        self.location = location
        self._drop("tries")
        self.say(
            "registered location=%s lifetime=%d lwm2m=%s"
            % (self.place(), self.lifetime, self.version)
        )
        self._schedule(now)

    def place(self):
        """The location as text, of printable characters whatever the server chose."""
        text = bytearray()
        for segment in self.location:
            text += b"/"
            for c in segment:
                text += bytes((c,)) if 32 < c < 127 and c != 37 else b"%%%02X" % c
        return text.decode()

    def _schedule(self, now):
        lt = self.lifetime
        self.wake = now + max(lt >> 1, lt - _MARGIN) * 1000 if lt else None
        if self.news or self.server.lifetime != lt:
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
        if not self.tries % count:
            self.exhausted()

    def forget(self, now):
        """The registration is gone at the server: register again."""
        self.location = self.asked = None
        self.wake = now

    def repeat(self, at):
        """Nothing is known of the message under way: send it again at that time."""
        if self.asked == "update":
            self.lifetime = None  # whether the server took it is unknown: say it again
            self.news |= _LINKS
        self.asked = None
        self.wake = at

    def structure_changed(self, now):
        """Instances came or went: tell the server with an Update."""
        self.update(now, _HERE | _LINKS)

    def update(self, now, news=_HERE):
        """Update at once (/1/x/8, a changed lifetime)."""
        self.news |= news
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
        self._drop("disabled_until")
        self.wake = now

    def retry_now(self, now):
        """The network is back: do not wait for the retry timer."""
        if self.location is None and not self.asked and self.disabled_until is None:
            self.wake = now
