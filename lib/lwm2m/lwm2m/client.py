# The client and its accounts: what stays loaded while all is well. One timer drives them all,
# with one task a socket.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2

from coap.codec import Error
from coap.transport import doze, readable, wake
from . import late

_UNAUTHORIZED = const(0x81)

# A fault that comes again and again: how often it is said, and how soon what failed
# in the driver is tried again, in ms.
_REPEAT_MS = const(60000)
_FAULT_MS = const(1000)
# Datagrams taken in one go from a session, before the others have their turn.
_BURST = const(8)
# The longest sleep, in ms: ticks tell no more apart. Then it simply looks again.
_LONGEST_MS = const(536870911)
# How long a socket is left alone that is readable and has nothing to read, in ms.
_TROUBLE_MS = const(20)


def earlier(a, b):
    """The earlier of two times, None meaning never."""
    if a is None:
        return b
    return a if b is None or a < b else b


class Account:
    """What the client keeps of one LwM2M server: the way to it, one request at a time, its
    registration, its observations.

    It is made by begin(), and has no arguments of its own. client: gives now(), log(text),
    connect(account), disconnect(account). server: the instance of /1. security: the instance
    of /0. hook: the security hook (RFC 8613), or None for a plain account. Beside what an
    endpoint asks of it, it has ready(), state, rekey(), probe(), recover(), again(),
    exhausted(), housekeep(), save(), wipe(), generation.

    pending: the exchange of our request that is under way. wake: when the next one is due.
    location: not None while the server counts on reaching us.

    All that has to do with requests of ours stands in account.py, and in registration.py
    which of them is due: a registered client has one a lifetime.
    """

    _late = ("lwm2m.account", "Account")
    __getattr__ = late

    reports = None  # a Reporting, once the server observes something or writes attributes
    _after = ()  # functions to be called once the present answer is sent
    _tend = None  # what looks after a session of the transport's own, where it has one
    _told = (0, 0)  # refused messages that the log knows of, and when it may hear of more

    def say(self, text):
        self.client.log("server %d: %s" % (self.server.ssid, text))

    def stirred(self, until, over):
        """Whether poll() is needed before until, after what was received. over: what the
        endpoint's receive() returned, since a server's request is over with its answer; most
        are."""
        endpoint = self.endpoint
        hook = self.hook
        if (
            endpoint is None
            or self._after
            or self._tend
            or (hook is not None and hook.generation != self._generation)
        ):
            return True
        wake = self.wake if self.pending is None else None
        if self.reports is not None:
            wake = earlier(wake, self.reports.wake)
        if not over:
            # Responses, and refused messages, that poll() has not seen.
            heard = endpoint.counters.responses + endpoint.counters.refused
            if heard != self._heard:
                self._heard = heard
                return True
            wake = earlier(wake, endpoint.next_wakeup())
        return wake is not None and (until is None or wake < until)

    def poll(self, now):
        """Do what is due; the time of the next wake-up, or None."""
        hook = self.hook
        if hook is not None and self.location is not None:
            if hook.generation != self._generation:
                self.renewed(now)
        if self._after:
            self.answer_sent()
        if self.pending is None and (
            (self.wake is not None and self.wake <= now)
            or (hook is not None and self.location is not None and hook.exhausted())
        ):
            self.advance(now)
        wake = None
        if self.endpoint is not None:
            wake = self.endpoint.poll(now)
        if self._tend is not None:
            wake = earlier(wake, self._tend(self, now))
        if self.reports is not None and self.endpoint is not None and self.location is not None:
            wake = earlier(wake, self.reports.poll(now))
            wake = earlier(wake, self.endpoint.next_wakeup())
        # Only now: what timed out in it may have set the time of the next request anew.
        if self.pending is None:
            wake = earlier(wake, self.wake)
        if hook is not None:
            refused = hook.counters
            refused = (
                refused["undecodable"]
                + refused["unknown"]
                + refused["replayed"]
                + refused["failed"]
            )
            if refused != self._told[0] and now >= self._told[1]:
                self.tell(now, refused)
            try:
                hook.housekeep()
            except OSError as e:
                self.say("flash: " + str(e))
        return now if self._after else wake

    def serve(self, request, peer, responder):
        """The endpoint's handler."""
        if peer != self.peer:
            raise Error(_UNAUTHORIZED)
        return self.client.dispatcher.handle(request, self, responder, self.endpoint.now)


class Client:
    """An LwM2M client.

    endpoint: its name, text; ValueError when it cannot be one. secure: function
    (security, oscore) -> security hook, with the instances of /0 and /21 of an account;
    without it an account that links to /21 is refused, never served plain. log:
    function that takes one line.
    random: function n -> n random bytes. params: coap.params.Params.
    max_payload: bytes of the longest answer. transport: function (security, host,
    port) -> (object with sendto, recvfrom, close and a sock to poll; peer). It may have
    poll(now) as coap.dtls.DTLS has it.

    now(): milliseconds since the start, never wrapping.

    What is not needed while all is well stands in seldom.py: __init__'s body, add, load,
    dump, check, connect, disconnect, bootstrap, network_up, status, stop.

        client = Client("urn:dev:ops:1", secure=secure)
        client.add(Device(manufacturer="Acme"))
        client.load(objects)
        asyncio.run(client.run())
    """

    _late = ("lwm2m.seldom", "Client")
    __getattr__ = late

    def __init__(self, *args, **options):
        self._begin(*args, **options)

    def on_error(self, exc):
        """A fault in a handler or an object of the application: said, answered 5.00. The
        same again is not said for a minute."""
        text = "fault: %s: %s" % (type(exc).__name__, exc)
        now = self.now()
        if text != self._fault[0] or now - self._fault[1] >= _REPEAT_MS:
            self._fault = (text, now)
            self.log(text)

    def touched(self, path, origin):
        """What the model calls when a resource has changed."""
        for account in self.accounts:
            if account.reports is not None:
                account.reports.touched(path, account is origin)
                self.kick()
            if path[0] == 1 and path[1] == account.server.iid and account.location is not None:
                if account.server.lifetime != account.lifetime:
                    account.update(self.now())
                    self.kick()

    # --- the driver

    async def run(self):
        """Serve until stop(). Returns when every account has left. After KeyboardInterrupt
        it may be run once more, to leave."""
        self._resume()
        try:
            while self._turn():
                await (None,)
        except KeyboardInterrupt:
            raise
        except BaseException:
            self._ended()
            raise
        self._ended()

    def _turn(self):
        # Do what is due, and doze() until more is. False when all is over.
        self._dozing = None
        now = self.now()
        until = None
        for session in self.sessions:
            try:
                wake = session.poll(now)
            except Exception as e:
                self.on_error(e)
                wake = now + _FAULT_MS
            until = earlier(until, wake)
        if self._leaving is not None:
            until = self._leave(now, until)
            if until is False:
                return False
        self._until = until
        if self._dozing is not None:
            until = 0
        elif until is None:
            until = _LONGEST_MS
        else:
            until = max(0, min(until - self.now(), _LONGEST_MS))
        self._dozing = doze(until)
        return True

    def kick(self):
        """Something is due earlier than was thought."""
        dozing = self._dozing
        # Once, and where the task is awake it does not doze off.
        self._dozing = ()
        if dozing:
            wake(dozing)

    async def _receive(self, account, transport):
        # The one task that reads this socket.
        while account.transport is transport:
            await readable(transport.sock)
            over = True
            # A transport with a session of its own may hold more than it is readable for.
            burst = _BURST if account._tend else 1
            while burst:
                burst -= 1
                # One byte more, so that a datagram which is too long is seen as such.
                got = transport.recvfrom(self.params.max_datagram + 1)
                if got is None:
                    break
                over = account.endpoint.receive(got[0], got[1], self.now()) and over
                if account.transport is not transport:
                    return
            if got is None and not account._tend:
                # A socket in trouble is readable all the time.
                import asyncio

                await asyncio.sleep_ms(_TROUBLE_MS)
            elif self._leaving is not None or account.stirred(self._until, over):
                self.kick()
