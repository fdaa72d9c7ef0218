# `make demo`: the command line, and the end of everything that was started.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from urllib.parse import urlsplit

from ..cli import SIGINT_STATUS, Parser

SECRET_LEN = 16
LOG_LINES = 20  # of a server that failed


def parse(argv):
    """The arguments, checked; wrong usage exits with 2."""
    parser = Parser(
        prog="demo",
        description="A device on this machine against a server: provisioning, registration, read,"
        " write, execute, observe and a power cut, all sealed with OSCORE, all shown and checked.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--server",
        default="embedded",
        metavar="embedded|leshan|http://HOST:PORT",
        help="embedded (the default); leshan: Eclipse Leshan, started here, which needs a JDK and"
        " Maven; or the address of a Leshan demo server that runs already",
    )
    parser.add_argument(
        "--coap",
        metavar="coap://HOST[:PORT]",
        help="where the server at http:// listens for devices; absent: it is asked",
    )
    args = parser.parse_args(argv)
    if args.server not in ("embedded", "leshan") and not _is_address(args.server, "http"):
        parser.error("--server %s: not embedded, leshan or http://HOST:PORT" % args.server)
    if args.coap is not None:
        if args.server in ("embedded", "leshan"):
            parser.error("--coap is for --server http://HOST:PORT")
        if not _is_address(args.coap, "coap"):
            parser.error("--coap %s: not coap://HOST[:PORT]" % args.coap)
    return args


def _is_address(text, scheme):
    try:
        parts = urlsplit(text)
        return parts.scheme == scheme and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def main(argv=None, secret=None):
    """Run the demo; the exit status. secret: of the account, 16 random bytes if absent."""
    args = parse(argv)
    try:
        from .servers import Embedded, LeshanDemo, LeshanPeer
    except ModuleNotFoundError as e:
        print("demo: %s is not installed: pip install ./tools" % e.name, file=sys.stderr)
        return 1
    if args.server == "embedded":
        server = Embedded()
    elif args.server == "leshan":
        server = LeshanPeer()
    else:
        server = LeshanDemo(args.server, args.coap)
    return asyncio.run(_run(server, secret or os.urandom(SECRET_LEN)))


async def _run(server, secret):
    from . import Failed
    from .device import Device
    from .steps import Demo
    from .timeline import Timeline
    from .wire import Wire
    from .words import tell

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    timeline = Timeline(on_closed=stop.set)
    wire = Wire(server.account(secret), lambda seen: timeline.datagram(seen, tell(seen)))
    failed = None
    with tempfile.TemporaryDirectory(prefix="microlwm2m-demo-") as folder:

        def heard(line):
            # A device that is interrupted while it starts says so with a traceback.
            if not stop.is_set():
                timeline.says("device says", line)

        device = Device(folder, heard)
        demo = Demo(timeline, server, device, wire)
        try:
            await _unless(stop, demo.run())
        except Failed as e:
            failed = e
        finally:
            with contextlib.suppress(Failed):
                await device.stop()
            try:
                await server.stop()
            except Failed as e:
                failed = failed or e
    if failed:
        _complain(failed, demo, device)
        return 1
    if stop.is_set():
        return SIGINT_STATUS
    timeline.line("Done in %.1f s." % timeline.now())
    return 0


async def _unless(stop, what):
    """Await `what`, but give it up when stop is set."""
    running, stopped = asyncio.create_task(what), asyncio.create_task(stop.wait())
    await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    # Before Python 3.12 a wait_for whose result is just there swallows a cancellation.
    while not running.done():
        running.cancel()
        await asyncio.wait({running}, timeout=1)
    if not running.cancelled():
        running.result()


def _complain(failed, demo, device):
    print("\ndemo: %s%s" % (demo.step, " ".join(str(failed).split())), file=sys.stderr)
    log = failed.log.splitlines()[-LOG_LINES:]
    for title, lines in (("the device's log", device.log), ("more", log)):
        if lines:
            print("  %s:" % title, *lines, sep="\n    ", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
