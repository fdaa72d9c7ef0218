# The verb `server`: the bench server with its prompt.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import argparse
import contextlib
import os
import sys

from .errors import Refused, UsageError

DEFAULT_PORT = 5683

EPILOG = """\
examples:
  microlwm2m server --account demo:01:02:000102030405060708090a0b0c0d0e0f
  microlwm2m server --accounts accounts.json -c 'wait registered; read /3/0; quit'
accounts:
  IDs are given as the device has them: its Sender ID, then its Recipient ID; the server
  takes them the other way round. On the command line others on this machine can see the
  secret; a file holds [{"endpoint": "demo", "sender_id": "01", "recipient_id": "02",
  "master_secret": "0001..", "master_salt": "", "aead": 10, "hmac": 0, "b2": "required"}].
quirks, to try a device against what other servers do:
  own-piv      message 2 of RFC 8613 appendix B.2 carries a Partial IV of its own
  echo         the first request in a new context is answered 4.01 with Echo
  kid-context  later requests need the raw ID Context, or get a plain 4.00
At the prompt, `help` lists the commands. Exit status of -c and --script: 0, or 1 at the
first command that fails."""


def add_parser(subparsers):
    """Add the verb to the command line."""
    parser = subparsers.add_parser(
        "server", help="an LwM2M server with OSCORE to try a device with",
        description="An LwM2M server for the bench: takes registrations sealed with OSCORE, its "
        "contexts derived by RFC 8613 appendix B.2, and reads, writes, executes and observes "
        "from a prompt or a script. It keeps nothing: a restart knows no context.",
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bind", default="127.0.0.1:%d" % DEFAULT_PORT, metavar="HOST[:PORT]",
                        help="address to bind to (default %(default)s; port 0 takes a free one)")
    parser.add_argument("--account", action="append", default=[],
                        metavar="EP:SENDER:RECIPIENT:SECRET[:SALT]",
                        help="an account, IDs as the device has them, in hex; may be repeated")
    parser.add_argument("--accounts", action="append", default=[], metavar="FILE",
                        help="accounts in a JSON file; may be repeated")
    parser.add_argument("--plain", action="store_true",
                        help="let devices without an account register without protection")
    script = parser.add_mutually_exclusive_group()
    script.add_argument("-c", dest="commands", metavar="COMMANDS", help="run commands, separated by ;")
    script.add_argument("--script", metavar="FILE", help="run the commands in a file, one a line")
    parser.add_argument("-i", "--interactive", action="store_true",
                        help="go on with the prompt after -c or --script")
    parser.add_argument("--format", default="senml-cbor", metavar="F",
                        help="content format of reads and writes (default %(default)s)")
    parser.add_argument("--models", metavar="DIR", help="OMA XML files of further objects")
    parser.add_argument("--serve", action="append", default=[], metavar="FILE",
                        help="offer a file to devices as coap://HOST:PORT/NAME; may be repeated")
    parser.add_argument("--lwm2m", default="1.0,1.1,1.2", metavar="V,V",
                        help="versions that may register (default %(default)s)")
    parser.add_argument("--block-size", type=int, default=512, metavar="N",
                        help="bytes of a block: 16 to 1024 (default %(default)s)")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="S",
                        help="seconds for one operation (default %(default)g)")
    parser.add_argument("--quirk", action="append", default=[], metavar="Q",
                        help="own-piv, echo or kid-context; may be repeated")
    parser.add_argument("--trace", action="store_true", help="print every datagram and what is in it")
    parser.add_argument("--quiet", action="store_true", help="print no events")
    parser.set_defaults(run=run)


def parse_address(text):
    """(host, port) of HOST, HOST:PORT, [HOST]:PORT or :PORT. Raises UsageError."""
    host, port = text, ""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.lstrip(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if port and (not port.isdigit() or int(port) > 65535):
        raise UsageError("--bind %s: not HOST[:PORT]" % text)
    return host or "127.0.0.1", int(port) if port else DEFAULT_PORT


def run(args):
    """Run the verb; the exit status."""
    try:
        import asyncio

        from .bench import BenchServer, accounts, formats, prompt
        from .bench.models import Models
    except ModuleNotFoundError as e:
        raise Refused("%s is not installed: pip install ./tools" % e.name) from None

    known = [accounts.parse(text) for text in args.account]
    for path in args.accounts:
        known += accounts.load(path)
    names = [account.endpoint for account in known]
    for name in names:
        if names.count(name) > 1:
            raise UsageError("two accounts for endpoint %s" % name)
    if not known and not args.plain:
        raise UsageError("no --account or --accounts, and not --plain: nobody could register")
    commands = None
    if args.script is not None:
        with open(args.script, encoding="utf-8") as f:
            commands = prompt.split(f.read())
    elif args.commands is not None:
        commands = prompt.split(args.commands)
    resources = {}
    for path in args.serve:
        with open(path, "rb") as f:
            resources[os.path.basename(path)] = f.read()
    host, port = parse_address(args.bind)
    try:
        ct = None if args.format == "none" else formats.number(args.format)
        server = BenchServer(
            known, host, port, models=Models(args.models), plain=args.plain, quirks=args.quirk,
            versions=tuple(args.lwm2m.split(",")), block_size=args.block_size,
            timeout=args.timeout, resources=resources,
            tap=_print_datagram if args.trace else None, trace=_print_inside if args.trace else None,
        )
    except ValueError as e:
        raise UsageError(str(e)) from None
    try:
        return asyncio.run(_serve(server, ct, commands, args))
    except KeyboardInterrupt:
        if commands is None or args.interactive:
            return 0  # the way to stop it
        raise


async def _serve(server, ct, commands, args):
    from .bench import prompt as prompts

    console = Console(commands is None or args.interactive)
    prompt = prompts.Prompt(server, console.out, ct)
    if not args.quiet:
        server.log.listen(lambda event: console.out(str(event), aside=True))
    try:
        await server.start()
    except OSError as e:
        raise Refused("cannot bind to %s: %s" % (args.bind, e.strerror or e)) from None
    try:
        with contextlib.suppress(prompts.Quit):
            for command in commands or ():
                await prompt.run(command)
            if commands is None or args.interactive:
                count = await prompts.interact(prompt, console.terminal)
                if not console.terminal and not count:
                    await server.forever()  # started in the background: no one to talk to
    finally:
        await server.stop()


class Console:
    """stdout, one line at a time. On a terminal an event does not run into the prompt."""

    def __init__(self, interactive):
        self.terminal = interactive and sys.stdin.isatty() and sys.stdout.isatty()

    def out(self, text, aside=False):
        if aside and self.terminal:
            print("\r%s\n> " % text, end="", flush=True)
        else:
            print(text, flush=True)


def _print_datagram(datagram):
    kind = {True: "sealed", False: "plain", None: "empty"}[datagram.sealed]
    arrow = "<-" if datagram.direction == "in" else "->"
    print("%9.3f %s %s %s %d bytes %s" % (
        datagram.time, arrow, datagram.peer, kind, len(datagram.data), datagram.data.hex()
    ), flush=True)


def _print_inside(inside):
    arrow = "<-" if inside.direction == "in" else "->"
    print("%9.3f %s   %s%s" % (
        inside.time, arrow, inside, " (%s)" % inside.note if inside.note else ""
    ), flush=True)
