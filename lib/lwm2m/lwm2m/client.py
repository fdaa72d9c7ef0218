# The client: drives every account with one timer and one task a socket.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2

import asyncio

from coap.transport import Sleep, readable
from . import late

# How long stop() waits for answers to De-register, in ms.
_LEAVE_MS = const(10000)
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

    What is not needed while all is well stands in seldom.py: __init__'s body, add, load,
    dump, restore, commit, check, connect, disconnect, bootstrap, network_up, status, stop.

        client = Client("urn:dev:ops:1", secure=secure)
        client.add(Device(manufacturer="Acme"))
        client.load(objects)
        asyncio.run(client.run())
    """

    _late = ("seldom", "Client")
    __getattr__ = late

    def __init__(self, *args, **options):
        self._begin(*args, **options)

    # --- what accounts call

    def now(self):
        """Milliseconds since the start, never wrapping."""
        return self._clock.now()

    def say(self, account, text):
        self.log("%s: %s" % (account.name, text) if account else text)

    def on_error(self, exc):
        """A fault in a handler or an object of the application: said, answered 5.00. The
        same again is not said for a minute."""
        text = "fault: %s: %s" % (type(exc).__name__, exc)
        now = self.now()
        if text != self._fault or now - self._fault_at >= _REPEAT_MS:
            self._fault = text
            self._fault_at = now
            self.say(None, text)

    def guarded(self, function, *args):
        """Call what belongs to the application: a fault of it stops nothing."""
        try:
            return function(*args)
        except Exception as e:
            self.on_error(e)

    def _touched(self, path, origin):
        for account in self.accounts:
            if account.reports:
                account.reports.touched(path, account is origin)
            if path[0] == 1 and path[1] == account.server.iid and account.registration.registered:
                if account.server.lifetime != account.registration.lifetime:
                    account.registration.update(self.now())
        self.kick()

    def _structure(self):
        for account in self.accounts:
            account.registration.structure_changed(self.now())
        self.kick()

    def _sessions(self):
        return [self._booting] if self._booting else self.accounts

    # --- the driver

    async def run(self):
        """Serve until stop(). Returns when every account has left. After KeyboardInterrupt
        it may be run once more, to leave."""
        self._asleep = Sleep()
        interrupted = False
        left = None
        for session in self._sessions():
            if session.transport:  # run() was interrupted before
                session.task = asyncio.create_task(self._receive(session, session.transport))
        try:
            while True:
                now = self.now()
                if self._stop and left is None:
                    left = now + _LEAVE_MS
                    for session in self._sessions():
                        session.leave(now)
                until = left
                for session in self._sessions():
                    try:
                        wake = session.poll(now)
                    except Exception as e:
                        self.on_error(e)
                        wake = now + _FAULT_MS
                    if wake is not None and (until is None or wake < until):
                        until = wake
                if left is not None and (now >= left or not self._registered()):
                    return
                if self._leaving and not self._registered():
                    self._leaving = False
                    for account in self.accounts:
                        self.disconnect(account)
                    self._start_bootstrap()
                    continue
                self._until = until
                await self._sleep(until)
        except KeyboardInterrupt:
            interrupted = True
            raise
        finally:
            for session in () if interrupted else self._sessions():
                self._drop(session)

    def _registered(self):
        return [a for a in self.accounts if a.registration.registered]

    def _sleep(self, until):
        # Until that time or kick(), whichever is first.
        wait = _LONGEST_MS if until is None else until - self.now()
        return self._asleep.until_woken(max(0, min(wait, _LONGEST_MS)))

    def kick(self):
        """Something is due earlier than was thought."""
        if self._asleep:
            self._asleep.wake()

    async def _receive(self, account, transport):
        # The one task that reads this socket.
        n = self.params.max_datagram + 1  # so that a longer one is seen as such
        # A transport with a session of its own may hold more than it is readable for.
        burst = _BURST if hasattr(transport, "poll") else 1
        sock = transport.sock
        while account.transport is transport:
            await readable(sock)
            over = True
            for _ in range(burst):
                got = transport.recvfrom(n)
                if got is None:
                    break
                over = account.receive(got[0], got[1], self._clock.now()) and over
                if account.transport is not transport:
                    return
            if got is None and burst == 1:
                # A socket in trouble is readable all the time.
                await asyncio.sleep_ms(_TROUBLE_MS)
            elif self._stop or self._leaving or account.stirred(self._until, over):
                self.kick()
