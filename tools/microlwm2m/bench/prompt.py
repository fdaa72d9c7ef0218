# The commands of the bench server's prompt and of its scripts.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import asyncio
import os
import shlex
import sys

from ..errors import Refused, UsageError
from . import formats
from .formats import SENML_CBOR
from .models import BOOLEAN, CORELNK, FLOAT, INTEGER, OBJLNK, OPAQUE, STRING, TIME, UNSIGNED
from .observe import observed_name
from .operations import OperationFailed
from .registry import format_path, parse_path

WAIT_TIMEOUT = 60.0  # seconds of `wait` without --timeout

HELP = """\
EP is an endpoint name; it may be left out while one device is registered.
list                                  the registered devices
info [EP]                             one device in full
read [EP] PATH [PATH...]              several paths make a Read-Composite
write [EP] PATH VALUE                 replace a resource; --partial updates it
write [EP] PATH N=VALUE [N=VALUE...]  an instance (N is a resource, or resource/instance)
                                      or a resource with instances
write-composite [EP] PATH=VALUE...    several paths, applied whole or not at all
exec [EP] PATH [ARGUMENTS]            ARGUMENTS such as "0='hello',1"
create [EP] /OBJECT[/N] [RID=VALUE...] without N the device chooses
delete [EP] PATH
discover [EP] PATH [--depth N]
attrs [EP] PATH NAME[=VALUE]...       write attributes; a NAME alone removes one
observe [EP] PATH [PATH...]           several paths make an Observe-Composite
cancel [EP] PATH [PATH...]            --passive: forget it and reject the next notification
observations                          what is observed
wait EVENT [EP] [TEXT]                an event since the last one waited for, or since mark
mark                                  wait only for what happens from here on
sleep SECONDS
expect CODE COMMAND...                fail unless the answer has this code (4.04)
rekey [EP]                            answer the next request with message 2 of appendix B.2
forget [EP]                           drop the security context, as a restart of the server does
accounts                              the endpoints that have an account
counters                              datagrams and what was dropped
quit
Everywhere --format F (text opaque cbor senml-json senml-cbor tlv lwm2m-cbor, or a number;
none for no Accept) and --timeout SECONDS. VALUE: by the type of the resource; where that is
not known 5, 1.5, true, hex:0102, 3:1 (a link to an instance) and anything else as text."""


class Quit(Exception):
    """The command quit."""


def split(text):
    """The commands in text: one a line, or separated by ; outside quotes. # begins a comment."""
    commands, current, quote = [], "", None
    for c in text:
        if quote == "#":
            if c != "\n":
                continue
            quote = None
        if quote is None and c in ";\n":
            commands.append(current)
            current = ""
            continue
        if quote is None and c == "#" and (not current or current[-1].isspace()):
            quote = "#"
            continue
        if c in "\"'":
            quote = c if quote is None else None if quote == c else quote
        current += c
    commands.append(current)
    return [c.strip() for c in commands if c.strip()]


def parse_value(text, kind):
    """A value from its text. kind: a type of models, or None to go by its looks. ValueError."""
    if kind is None:
        if text in ("true", "false"):
            return text == "true"
        for attempt in (int, float):
            try:
                return attempt(text)
            except ValueError:
                pass
        if text.startswith("hex:"):
            return bytes.fromhex(text[4:])
        oid, colon, iid = text.partition(":")
        if colon and oid.isdigit() and iid.isdigit():
            return int(oid), int(iid)
        return text
    if kind in (INTEGER, UNSIGNED, TIME):
        return int(text, 0)
    if kind == FLOAT:
        return float(text)
    if kind == BOOLEAN:
        if text not in ("true", "false", "0", "1"):
            raise ValueError("%s: want true or false" % text)
        return text in ("true", "1")
    if kind == OPAQUE:
        return bytes.fromhex(text[4:]) if text.startswith("hex:") else text.encode()
    if kind == OBJLNK:
        return formats.objlnk(text)
    assert kind in (STRING, CORELNK)
    return text


class Prompt:
    """Runs commands against a BenchServer.

    out(text): prints. format: the content format where none is said.
    `run` raises Refused when a command failed, UsageError when it makes no sense, Quit.
    """

    def __init__(self, server, out=print, format=SENML_CBOR):
        self.server, self.out, self.format = server, out, format
        self.waited = 0  # number of the event that the last `wait` found

    async def run(self, line, expected=None):
        """Run one command. expected: the code that its answer must have, or None for a success."""
        try:
            words = shlex.split(line)
        except ValueError as e:
            raise UsageError("%s: %s" % (line, e)) from None
        if words[0] == "expect":
            if len(words) < 3:
                raise UsageError("%s: want a code and a command" % line)
            return await self.run(shlex.join(words[2:]), expected=words[1])
        name, options = words[0], self._options(words[1:])
        command = getattr(self, "do_" + name.replace("-", "_"), None)
        if command is None:
            raise UsageError("%s: no such command (see help)" % name)
        try:
            result = await command(options.pop("words"), options)
        except (OperationFailed, TimeoutError) as e:
            raise Refused("%s: %s" % (line, e)) from None
        except (ValueError, IndexError, LookupError) as e:
            text = "want more arguments" if isinstance(e, IndexError) else str(e).strip("'")
            raise UsageError("%s: %s" % (line, text)) from None
        if result is not None:
            self._show(result)
            if not result.ok if expected is None else result.code != expected:
                wanted = "" if expected is None else " instead of %s" % expected
                raise Refused("%s: %s%s" % (line, result.code, wanted))
        elif expected is not None:
            raise UsageError("%s: has no answer to expect a code of" % line)

    def _options(self, words):
        options = {"words": [], "format": self.format, "timeout": None}
        words = list(words)
        while words:
            word = words.pop(0)
            if word in ("--partial", "--passive"):
                options[word[2:]] = True
            elif word in ("--format", "--timeout", "--depth"):
                if not words:
                    raise UsageError("%s: wants a value" % word)
                value = words.pop(0)
                try:
                    options[word[2:]] = {
                        "--format": lambda v: None if v == "none" else formats.number(v),
                        "--timeout": float, "--depth": int,
                    }[word](value)
                except ValueError as e:
                    raise UsageError("%s: %s" % (word, e)) from None
            elif word.startswith("--"):
                raise UsageError("%s: no such option" % word)
            else:
                options["words"].append(word)
        return options

    def _show(self, result):
        lines = list(result.lines())
        if len(lines) == 1:
            self.out("%s %s" % (result.code, lines[0]))
            return
        self.out(result.code)
        for line in lines:
            self.out("  " + line)

    # Takes the endpoint off the front of the words.
    def _endpoint(self, words, paths_follow=True):
        if words and not (paths_follow and words[0].startswith("/")):
            return words.pop(0)
        devices = self.server.devices
        if len(devices) != 1:
            raise OperationFailed(
                "no device is registered" if not devices else "say which of %d devices" % len(devices)
            )
        return devices[0].endpoint

    def _pairs(self, base, words):
        values = {}
        for word in words:
            key, equals, text = word.partition("=")
            steps = key.split("/")
            if not equals or not all(s.isdigit() for s in steps):
                raise ValueError("%s: want NUMBER=VALUE" % word)
            steps = [int(s) for s in steps]
            at = values
            for step in steps[:-1]:
                at = at.setdefault(step, {})
            at[steps[-1]] = parse_value(text, self.server.models.type(base + tuple(steps)))
        return values

    # Commands: a coroutine of (words, options) that returns a Result or None.

    async def do_help(self, words, options):
        self.out(HELP)

    async def do_list(self, words, options):
        for device in self.server.devices:
            left = device.lifetime - (self.server.log.now() - device.updated)
            self.out("%s %s lwm2m=%s b=%s lt=%d (%d s left) %s peer=%s" % (
                device.endpoint, "sealed" if device.sealed else "plain", device.lwm2m,
                device.binding, device.lifetime, left, device.listing(), device.peer,
            ))

    async def do_info(self, words, options):
        device = self.server.device(self._endpoint(words, paths_follow=False))
        for name in ("endpoint", "location", "peer", "sealed", "lwm2m", "lifetime", "binding",
                     "queue", "formats"):
            self.out("%-9s %s" % (name, getattr(device, name)))
        for oid, iids in device.objects.items():
            version = device.versions.get(oid)
            self.out("  %-14s %s%s" % (
                format_path((oid,)) + ("/" + ",".join(map(str, iids)) if iids else ""),
                self.server.models.name((oid,)), " ver=" + version if version else "",
            ))

    async def do_read(self, words, options):
        endpoint = self._endpoint(words)
        read = self.server.read if len(words) == 1 else self.server.read_composite
        return await read(endpoint, self._targets(words), options["format"], options["timeout"])

    async def do_write(self, words, options):
        endpoint = self._endpoint(words)
        path, words = parse_path(words[0]), words[1:]
        known = self.server.models.resource(path[0], path[2]) if len(path) == 3 else None
        if len(path) < 3 or (known is not None and known.multiple):
            value = self._pairs(path, words)
        else:
            if len(words) != 1:
                raise ValueError("want one value")
            value = parse_value(words[0], self.server.models.type(path))
        return await self.server.write(
            endpoint, path, value, options["format"], options.get("partial", False),
            options["timeout"],
        )

    async def do_write_composite(self, words, options):
        endpoint, values = self._endpoint(words), {}
        for word in words:
            text, equals, value = word.partition("=")
            path = parse_path(text)
            if not equals or len(path) < 3:
                raise ValueError("%s: want PATH=VALUE" % word)
            values[path] = parse_value(value, self.server.models.type(path))
        return await self.server.write_composite(
            endpoint, values, options["format"], options["timeout"]
        )

    async def do_exec(self, words, options):
        endpoint = self._endpoint(words)
        return await self.server.execute(
            endpoint, parse_path(words[0]), "".join(words[1:2]), options["timeout"]
        )

    async def do_create(self, words, options):
        endpoint = self._endpoint(words)
        path, words = parse_path(words[0]), words[1:]
        if not 1 <= len(path) <= 2:
            raise ValueError("want /OBJECT or /OBJECT/INSTANCE")
        iid = path[1] if len(path) > 1 else None
        values = self._pairs((path[0], iid or 0), words)
        return await self.server.create(
            endpoint, path[0], iid, values, options["format"], options["timeout"]
        )

    async def do_delete(self, words, options):
        endpoint = self._endpoint(words)
        return await self.server.delete(endpoint, parse_path(words[0]), options["timeout"])

    async def do_discover(self, words, options):
        endpoint = self._endpoint(words)
        return await self.server.discover(
            endpoint, parse_path(words[0]), options.get("depth"), options["timeout"]
        )

    async def do_attrs(self, words, options):
        endpoint = self._endpoint(words)
        path, attributes = parse_path(words[0]), {}
        for word in words[1:]:
            name, equals, value = word.partition("=")
            attributes[name] = value if equals else None
        return await self.server.write_attributes(endpoint, path, attributes, options["timeout"])

    def _targets(self, words):
        return parse_path(words[0]) if len(words) < 2 else [parse_path(w) for w in words]

    async def do_observe(self, words, options):
        endpoint = self._endpoint(words)
        observation = await self.server.observe(
            endpoint, self._targets(words), options["format"], options["timeout"]
        )
        if observation.first.ok and not observation.active:
            self._show(observation.first)
            raise OperationFailed("the device does not observe it")
        return observation.first

    async def do_cancel(self, words, options):
        endpoint = self._endpoint(words)
        return await self.server.cancel(
            endpoint, self._targets(words), options.get("passive", False), options["timeout"]
        )

    async def do_observations(self, words, options):
        for (endpoint, what), observation in self.server.observations.items():
            self.out("%s %s %d notifications" % (endpoint, observed_name(what), observation.count))

    async def do_wait(self, words, options):
        name, *rest = words
        known = {d.endpoint for d in self.server.devices} | set(self.server.security.states)
        endpoint = rest.pop(0) if rest and rest[0] in known else None
        text = " ".join(rest)
        event = await self.server.wait(
            name, endpoint, options["timeout"] or WAIT_TIMEOUT, after=self.waited,
            match=lambda e: text in str(e),
        )
        self.waited = event.number

    async def do_mark(self, words, options):
        self.waited = self.server.log.count

    async def do_sleep(self, words, options):
        await asyncio.sleep(float(words[0]))

    async def do_rekey(self, words, options):
        self.server.rekey(self._endpoint(words, paths_follow=False))

    async def do_forget(self, words, options):
        self.server.forget(words[0] if words else None)

    async def do_accounts(self, words, options):
        for endpoint in self.server.security.states:
            ready = self.server.security.ready(endpoint)
            self.out("%s %s" % (endpoint, "has a context" if ready else "no context yet"))

    async def do_counters(self, words, options):
        for name, value in sorted(self.server.counters.items()):
            self.out("%s %d" % (name, value))

    async def do_quit(self, words, options):
        raise Quit


async def lines(fd):
    """The lines that arrive on a file descriptor, without ever blocking the loop; the
    descriptor's own flags stay as they are, since a terminal shares them with stdout."""
    loop, ready, rest = asyncio.get_running_loop(), asyncio.Event(), b""
    try:
        loop.add_reader(fd, ready.set)
        watched = True
    except (OSError, ValueError):
        watched = False  # a regular file: always readable
    try:
        while True:
            if watched:
                await ready.wait()
                ready.clear()
            data = os.read(fd, 65536)
            rest += data
            while b"\n" in rest:
                line, _, rest = rest.partition(b"\n")
                yield line.decode(errors="replace")
            if not data:
                if rest:
                    yield rest.decode(errors="replace")
                return
    finally:
        if watched:
            loop.remove_reader(fd)


async def interact(prompt, terminal, fd=None):
    """Run the commands of a person, or of a pipe. Failures are shown and it goes on.
    Returns how many commands there were; raises Quit."""
    count = 0
    mark = (lambda: print("> ", end="", flush=True)) if terminal else (lambda: None)
    mark()
    async for line in lines(sys.stdin.fileno() if fd is None else fd):
        for command in split(line):
            count += 1
            try:
                await prompt.run(command)
            except Refused as e:
                print("microlwm2m server: %s" % e, file=sys.stderr, flush=True)
        mark()
    if terminal:
        print()
    return count
