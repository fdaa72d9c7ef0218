# What the demo does, step by step; each step checks what it shows.
# MIT license; Copyright (c) 2026 the microlwm2m authors

from . import Failed
from .device import IMAGE
from .timeline import LEGEND
from .wire import B2_ANSWERS, B2_ASKS, B2_CONFIRMS
from .words import target, tell

STEP_S = 15  # seconds that anything may take
LIFETIME_S = 300
NOTIFICATIONS = 3

MANUFACTURER, UTC_OFFSET, TEMPERATURE = "/3/0/0", "/3/0/14", "/3303/0/5700"
UPDATE_TRIGGER = "/1/0/8"
EXPECTED_MANUFACTURER = "microlwm2m"  # firmware/modules/lwm2m_product.py
WRITTEN = "+02:00"

# Options that OSCORE leaves outside (class U, and the outer Observe; RFC 8613 section 4.1).
OUTSIDE = {"OSCORE", "Observe", "Uri-Host", "Uri-Port", "Max-Age"}


class Demo:
    """One run. server: servers.Server. device: device.Device. wire: wire.Wire.

    step: the one under way, to begin a complaint with.
    """

    def __init__(self, timeline, server, device, wire):
        self.timeline, self.server, self.device, self.wire = timeline, server, device, wire
        self.account = wire.account
        self.step = ""

    async def run(self):
        """Start the server, then all steps. Raises Failed."""
        self.timeline.heading(
            "A device on MicroPython and %s: UDP, sealed with OSCORE" % self.server.title
        )
        self.timeline.line(LEGEND)
        self.uri = await self.server.start(self.account, self.wire.feed)
        for number, step in enumerate((
            self.provision, self.switch_on, self.read, self.write, self.execute, self.observe,
            self.power_cut, self.switch_off, self.summary,
        ), 1):
            self.step = "step %d, %s: " % (number, step.__name__.replace("_", " "))
            self.timeline.heading("%d. %s" % (number, step.__doc__.rstrip(".")))
            await step()

    def _check(self, holds, otherwise):
        if not holds:
            raise Failed(otherwise)

    def _good(self, text, *values):
        self.timeline.good(text % values)

    def _coded(self, answer, code):
        self._check(answer.code == code, "%s was expected, the device answers %s" % (code, answer.code))

    async def provision(self):
        """Provision the device, as a factory does: its server and its keys."""
        options = (
            ("--endpoint", self.account.endpoint), ("--server", self.uri),
            ("--sender-id", self.account.sender_id.hex()),
            ("--recipient-id", self.account.recipient_id.hex()),
            ("--lifetime", str(LIFETIME_S)), ("--master-secret", "-"),
        )  # fmt: skip
        self.timeline.command("microlwm2m provision file:" + IMAGE, *map(" ".join, options))
        for line in await self.device.provision(*sum(options, ()), secret=self.account.master_secret):
            self.timeline.says("it prints", line)
        self._check(not self.wire.datagrams, "the device sent something before it was switched on")
        self._good("all it needs is in its flash; nothing was sent")

    async def switch_on(self):
        """Switch it on: fresh keys by RFC 8613 appendix B.2, then the registration."""
        registered = await self._comes_up(self.timeline.now())
        self._good(
            "the server has it: LwM2M %s, objects %s", registered.lwm2m, registered.objects
        )
        self.location = registered.location

    async def _comes_up(self, began):
        first = len(self.wire.datagrams)
        known = len(self.wire.established)
        await self.device.start()
        said = (await self.device.says("registered location=/", STEP_S)).split(" ")[0]
        self.took = self.timeline.now() - began
        registered = await self.server.registered(STEP_S)
        self._check(
            registered.location == said,
            "the device says %s, the server %s" % (said, registered.location),
        )
        # A notification of before the power cut may still come; B.2 is what is asked for here.
        b2 = [seen.b2 for seen in self.wire.datagrams[first:] if seen.b2 and not seen.again]
        self._check(b2[:3] == [B2_ASKS, B2_ANSWERS, B2_CONFIRMS], "appendix B.2 ran as %s" % b2)
        self._check(len(self.wire.established) > known, "no fresh keys")
        return registered

    async def read(self):
        """Read: who made it?"""
        answer = await self.server.read(MANUFACTURER, STEP_S)
        self._coded(answer, "2.05")
        self._check(
            answer.value == EXPECTED_MANUFACTURER,
            "%s is %r, not %r" % (MANUFACTURER, answer.value, EXPECTED_MANUFACTURER),
        )
        self._good("the server reads %s = %s", target((3, 0, 0)), answer.value)

    async def write(self):
        """Write, and read back: which time zone is it in?"""
        self.wrote = len(self.wire.datagrams)
        self._coded(await self.server.write(UTC_OFFSET, WRITTEN, STEP_S), "2.04")
        answer = await self.server.read(UTC_OFFSET, STEP_S)
        self._coded(answer, "2.05")
        self._check(answer.value == WRITTEN, "%r was written, %r is read" % (WRITTEN, answer.value))
        self._good("the server reads back what it wrote: %s", answer.value)

    async def execute(self):
        """Execute: tell the device to update its registration."""
        self._coded(await self.server.execute(UPDATE_TRIGGER, STEP_S), "2.04")
        await self.device.says("updated", STEP_S)
        await self.server.updated(STEP_S)
        self._good("the server got the Update that it asked for")

    async def observe(self):
        """Observe the temperature: three notifications, as it is measured."""
        answer = await self.server.observe(TEMPERATURE, STEP_S)
        self._coded(answer, "2.05")
        values = [answer.value]
        for _ in range(NOTIFICATIONS):
            values.append(await self.server.notified(STEP_S))
        seen = [s for s in self.wire.datagrams if s.notification and not s.again]
        self._check(len(seen) >= NOTIFICATIONS, "%d notifications on the wire" % len(seen))
        self._check(
            all(isinstance(value, float) for value in values) and len(set(values)) > 1,
            "the temperatures are %s" % values,
        )
        self._good("the server saw the temperature go %s", " ".join("%g" % value for value in values))

    async def power_cut(self):
        """Cut its power (SIGKILL) and give it back: it returns by itself, with fresh keys."""
        await self.device.kill()
        self.timeline.says("power off", "SIGKILL, no good-bye")
        began = self.timeline.now()
        self.timeline.says("power on", "the same flash, nothing set anew")
        old = set().union(*(keys.secrets for keys in self.wire.established))
        registered = await self._comes_up(began)
        self._check(not old & self.wire.established[-1].secrets, "it uses keys of before")
        self._check(registered.location != self.location, "it has its old registration")
        answer = await self.server.read(MANUFACTURER, STEP_S)
        self._check(answer.value == EXPECTED_MANUFACTURER, "it cannot be read any more")
        self._good("back %.2f s after power on; keys and registration are new", self.took)

    async def switch_off(self):
        """Switch it off (Ctrl-C): it says good-bye."""
        status = await self.device.stop()
        self._check(status == 0, "the device ended with %s" % status)
        await self.server.deregistered(STEP_S)
        self._good("the server has it no longer")

    async def summary(self):
        """What went over the wire, and what an eavesdropper has of it."""
        wire, line = self.wire, self.timeline
        total = sum(len(seen.data) for seen in wire.datagrams)
        sealed, plain, empty = (wire.count(mark) for mark in ("sealed", "plain", "empty"))
        line.paragraph("%d datagrams, %d bytes: %d sealed, %d plain%s." % (
            len(wire.datagrams), total, sealed, plain,
            ", %d empty (a bare acknowledgement or reset)" % empty if empty else "",
        ))
        self._check(plain == 0, "%d datagrams were not sealed" % plain)
        opened = sum(seen.inner is not None for seen in wire.datagrams)
        self._check(opened == sealed, "%d sealed datagrams do not open" % (sealed - opened))
        codes, options = wire.visible()
        self._check(set(options) <= OUTSIDE, "in the clear: the options %s" % ", ".join(options))
        words = [self.account.endpoint, EXPECTED_MANUFACTURER, WRITTEN]
        contents = wire.contents()
        self._check(not wire.leaks([*contents, *[w.encode() for w in words]]), "something is in the clear")
        line.paragraph(
            "Outside the seal, for everyone: lengths, times, addresses; the codes %s; the options %s"
            " with key IDs and sequence numbers." % (", ".join(codes), ", ".join(options))
        )
        line.paragraph(
            "In the clear: nothing. Not one of the %d different contents inside is found in any"
            " datagram, nor is %s." % (len(contents), " or ".join('"%s"' % word for word in words))
        )
        line.line()
        example = next(s for s in wire.datagrams[self.wrote :] if not s.up and s.mark == "sealed")
        line.paragraph("One of them, as it went by, %d bytes:" % len(example.data))
        line.table([*wire.dissect(example), ("", "with the keys: " + tell(example))])
        line.line()

