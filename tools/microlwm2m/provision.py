# The verbs provision, show, rotate and wipe: what is set on a device at the factory.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import contextlib
import os
import sys

from . import account, target
from .errors import Refused, UsageError

SEED_LEN = 32  # bytes of randomness that the board mixes into its own

_SECRET_TEXT = """
The master secret. It has to be in two places, the device and its server, and no third.
  --master-secret -     reads it in hex from standard input; at a terminal it asks, without
                        echo. This is the way when the server's operator gave it to you.
  (absent)              makes a fresh one of 16 random bytes and, once the device has it,
                        prints it: the last line of standard output, and the only time that it
                        is shown. Give it to the server, then forget it. --secret-out FILE puts
                        it into a new file that only you can read, and prints nothing: use it
                        where the output is kept, as in a CI job.
  --master-secret HEX   takes it from the command line, where every user of this machine sees it
                        in `ps` while this runs, and where your shell remembers it. For a bench.
It is never in a message, a log, or a child's command line, and no verb reads it back from a
device: if it is lost, `microlwm2m rotate` makes a new one.
"""

_RESTART_TEXT = """
What is kept of OSCORE over a restart of the device (docs/security.md says more):
  --restart b2          nothing: fresh keys by appendix B.2 of RFC 8613 at each start. It is LwM2M's
                        rule, and the one that stands a flash image restored from a backup.
  --restart b1          the keys of the last run, with numbers reserved in flash (appendix B.1): one
                        round trip less at a start, one flash commit in 64 messages. The server has
                        to answer Echo (RFC 9175). Never restore a backup of such a device's flash,
                        nor copy it to another one: provision it instead.
  --restart b1-static   the same, for a server that has no appendix B.2. It makes the master secret
                        itself, here and at each `rotate`: a secret that was used before would be
                        used again from its first number on.
"""

_PROVISION_TEXT = (
    """
Sets everything that a device has from its factory, in one step: it is done whole or not at all.
What was there before is replaced; with --add it is kept, and one more server joins it.
A flash image that does not exist is made.

  microlwm2m provision file:device.img --endpoint sensor-1 \\
      --server coap://192.0.2.1:5683 --sender-id 01 --recipient-id 02
"""
    + _SECRET_TEXT
    + _RESTART_TEXT
    + """
DTLS. A server at coaps:// has a pre-shared key as well: with OSCORE inside it, or --plain.
  --psk-identity NAME   what the server knows the key by; hex after 0x
  --psk, --psk-out      as --master-secret and --secret-out for the master secret. Of two that are
                        read from standard input, the master secret is the first line.
"""
)


def _add_target(parser):
    parser.add_argument("target", metavar="TARGET", help=target.HELP)


def _add_secret(parser):
    parser.add_argument(
        "--master-secret",
        metavar="HEX|-",
        help="- reads it from standard input; absent: a fresh one",
    )
    parser.add_argument(
        "--secret-out", metavar="FILE", help="write a fresh secret to this new file, not to stdout"
    )
    parser.add_argument("--master-salt", metavar="HEX", help="absent: none")


def _number(low, high):
    def number(text):
        value = int(text, 0)
        if not low <= value <= high:
            raise ValueError
        return value

    number.__name__ = "number (%d to %d)" % (low, high)  # argparse: invalid NAME value
    return number


def add_parser(subparsers):
    import argparse

    def verb(name, text, epilog=None):
        parser = subparsers.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        _add_target(parser)
        return parser

    p = verb("provision", "give a device its servers and keys", _PROVISION_TEXT)
    p.add_argument("--endpoint", metavar="NAME", help="endpoint client name, 1 to 64 bytes")
    p.add_argument(
        "--server", metavar="URI", required=True, help="coap://HOST[:PORT], or coaps:// for DTLS"
    )
    p.add_argument(
        "--sender-id", metavar="HEX", help="OSCORE Sender ID: the server's Recipient ID"
    )
    p.add_argument(
        "--recipient-id", metavar="HEX", help="OSCORE Recipient ID: the server's Sender ID"
    )
    _add_secret(p)
    p.add_argument(
        "--aead",
        metavar="N",
        type=int,
        choices=sorted(account.AEADS),
        default=account.DEFAULT_AEAD,
        help="COSE number: 10 (the default), 30, 12, 32",
    )
    p.add_argument(
        "--hmac",
        metavar="N",
        type=int,
        choices=account.HMACS,
        default=0,
        help="COSE number: 5 or -10, both HKDF with SHA-256, which is the default",
    )
    p.add_argument(
        "--id-context",
        metavar="HEX",
        help="stored only: appendix B.2 of RFC 8613 agrees on its own",
    )
    p.add_argument(
        "--restart",
        choices=account.RESTART,
        help="what goes on after a restart of the device (default b2: nothing)",
    )
    p.add_argument(
        "--psk-identity", metavar="NAME", help="for coaps://: identity of the pre-shared key"
    )
    p.add_argument(
        "--psk", metavar="HEX|-", help="- reads it from standard input; absent: a fresh one"
    )
    p.add_argument(
        "--psk-out", metavar="FILE", help="write a fresh key to this new file, not to stdout"
    )
    p.add_argument("--add", action="store_true", help="keep the servers that the device has")
    p.add_argument("--bootstrap", action="store_true", help="it is a Bootstrap-Server")
    p.add_argument(
        "--short-id", metavar="N", type=_number(1, 65534), help="short server ID (default 123)"
    )
    p.add_argument(
        "--lifetime",
        metavar="S",
        type=_number(1, 2**31 - 1),
        help="of the registration, in seconds (default 86400)",
    )
    p.add_argument(
        "--retry-timer",
        metavar="S",
        type=_number(1, 2**31 - 1),
        help="wait before the second try to register, doubled for each further one (default 60)",
    )
    p.add_argument(
        "--no-storing", action="store_true", help="do not keep notifications while offline"
    )
    p.add_argument(
        "--hold-off",
        metavar="S",
        type=_number(0, 2**31 - 1),
        help="wait before the first bootstrap",
    )
    p.add_argument(
        "--plain",
        action="store_true",
        help="no OSCORE; without coaps:// nothing is sealed: for the bench only",
    )
    p.set_defaults(run=provision)

    p = verb(
        "rotate",
        "give one server's account a new master secret",
        "Everything else stays as it is, unless it is named here.\n" + _SECRET_TEXT,
    )
    which = p.add_mutually_exclusive_group()
    which.add_argument(
        "--short-id",
        metavar="N",
        type=_number(1, 65534),
        help="whose; needed if there are several",
    )
    which.add_argument("--bootstrap", action="store_true", help="the Bootstrap-Server's")
    p.add_argument("--sender-id", metavar="HEX", help="absent: as it was")
    p.add_argument("--recipient-id", metavar="HEX", help="absent: as it was")
    _add_secret(p)
    p.set_defaults(run=rotate)

    p = verb("show", "print what a device is set to, without its keys")
    p.set_defaults(run=show)

    p = verb("wipe", "remove a device's configuration and keys")
    p.set_defaults(run=wipe)


class _Secret:
    """The master secret: where it comes from, and where a fresh one is shown."""

    name, option, out_option = "master secret", "--master-secret", "--secret-out"
    low, high = account.SECRET_MIN, account.SECRET_MAX

    def __init__(self, text, out):
        self._out = out
        self.fresh = text is None
        if out and not self.fresh:
            raise UsageError("%s is for a fresh one, without %s" % (self.out_option, self.option))
        if self.fresh:
            self.value = os.urandom(account.FRESH_SECRET)
            return
        if text == "-":
            text = self._read()
        self.value = account.unhex(text, self.option, self.low, self.high)

    def _read(self):
        if sys.stdin.isatty():
            import getpass

            try:
                return getpass.getpass(self.name + " (hex): ")
            except EOFError:
                return ""
        return sys.stdin.readline()

    @contextlib.contextmanager
    def kept(self):
        """Around the work on the device: a file that cannot be made stops it before."""
        if not self._out:
            yield
            return
        try:
            fd = os.open(self._out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as e:
            raise Refused("%s %s: %s" % (self.out_option, self._out, e.strerror)) from None
        try:
            # Before the device has it: a full disk must not lose the only copy.
            with os.fdopen(fd, "w") as f:
                f.write(self.value.hex() + "\n")
            yield
        except BaseException:
            os.unlink(self._out)
            raise

    def show(self):
        if self._out:
            print("%s for the server: in %s" % (self.name, self._out))
        elif self.fresh:
            print("%s for the server, shown this once: %s" % (self.name, self.value.hex()))


class _Psk(_Secret):
    """The pre-shared key of DTLS."""

    name, option, out_option = "pre-shared key", "--psk", "--psk-out"
    low, high = account.PSK_MIN, account.PSK_MAX


def _id(text, option):
    return None if text is None else account.unhex(text, option, 0, 7)


def _salt(text):
    return b"" if text is None else account.unhex(text, "--master-salt", 0, account.SALT_MAX)


def _dumps(value):
    import cbor2

    return cbor2.dumps(value)


def provision(args):
    """microlwm2m provision."""
    where = target.parse(args.target)
    name = args.endpoint
    if name is not None:
        name = account.endpoint(name)
    elif not args.add:
        raise UsageError("--endpoint is missing")
    identity = args.psk_identity
    if identity is not None:
        identity = account.psk_identity(identity)
    elif args.psk is not None or args.psk_out is not None:
        raise UsageError("--psk and --psk-out go with --psk-identity")
    uri = account.server_uri(args.server, psk=identity is not None)
    if args.bootstrap and (
        args.short_id or args.lifetime or args.no_storing or args.retry_timer
    ):
        raise UsageError(
            "--bootstrap goes without --short-id, --lifetime, --retry-timer, --no-storing"
        )
    if args.hold_off is not None and not args.bootstrap:
        raise UsageError("--hold-off goes with --bootstrap")
    secret = keys = None
    given = (args.sender_id, args.recipient_id, args.master_secret, args.secret_out,
             args.master_salt, args.id_context, args.restart)  # fmt: skip
    if args.plain:
        if any(x is not None for x in given):
            raise UsageError("--plain goes without OSCORE's IDs and keys")
    else:
        if args.restart == account.STATIC and args.master_secret is not None:
            raise UsageError("--restart b1-static makes the master secret itself")
        for option, value in (("sender", args.sender_id), ("recipient", args.recipient_id)):
            if value is None:
                raise UsageError("--%s-id is missing (or --plain, for a bench)" % option)
        sender_id = _id(args.sender_id, "--sender-id")
        recipient_id = _id(args.recipient_id, "--recipient-id")
        # Before the secret is asked for: nobody types it twice for a slip elsewhere.
        account.check_ids(sender_id, recipient_id, args.aead)
        salt = _salt(args.master_salt)
        id_context = account.unhex(
            args.id_context or "", "--id-context", 0, account.ID_CONTEXT_MAX
        )
        secret = _Secret(args.master_secret, args.secret_out)
        keys = account.keys(
            secret.value, sender_id, recipient_id, args.aead, args.hmac, salt, id_context
        )
    psk = None if identity is None else _Psk(args.psk, args.psk_out)
    record = account.config(
        name,
        uri,
        args.short_id or account.DEFAULT_SHORT_ID,
        args.lifetime or account.DEFAULT_LIFETIME,
        keys,
        storing=not args.no_storing,
        bootstrap=args.bootstrap,
        hold_off=args.hold_off,
        retry_timer=args.retry_timer,
        restart=args.restart,
        psk=psk and (identity, psk.value),
    )
    with contextlib.ExitStack() as kept:
        for one in (secret, psk):
            if one:
                kept.enter_context(one.kept())
        where.call("add" if args.add else "apply", _dumps(record), os.urandom(SEED_LEN))
    if args.plain:
        what = "in DTLS, no OSCORE" if psk else "plain, no OSCORE"
    else:
        what = "sealed with OSCORE" + (", in DTLS" if psk else "")
    print("%s: %s%s, %s" % (where, name + " -> " if name else "", uri, what))
    if psk:
        psk.show()
    if secret:
        print("the server's sender ID is %s, its recipient ID %s" % (
            recipient_id.hex() or "(empty)", sender_id.hex() or "(empty)"))  # fmt: skip
        secret.show()


def rotate(args):
    """microlwm2m rotate."""
    where = target.parse(args.target)
    change = {}
    sender_id = _id(args.sender_id, "--sender-id")
    recipient_id = _id(args.recipient_id, "--recipient-id")
    account.check_ids(sender_id, recipient_id, account.DEFAULT_AEAD)
    for rid, value in ((1, sender_id), (2, recipient_id)):
        if value is not None:
            change[rid] = value
    if args.master_salt is not None:
        change[5] = _salt(args.master_salt) or None
    secret = _Secret(args.master_secret, args.secret_out)
    change[0] = secret.value
    ssid = 0 if args.bootstrap else args.short_id
    with secret.kept():
        change = {"ssid": ssid, "keys": change, "fresh": secret.fresh}
        where.call("rotate", _dumps(change), os.urandom(SEED_LEN))
    print("%s: new master secret" % where)
    secret.show()


def show(args):
    """microlwm2m show."""
    for line in target.parse(args.target).call("show"):
        print(line)


def wipe(args):
    """microlwm2m wipe."""
    where = target.parse(args.target)
    where.call("wipe")
    print("%s: wiped" % where)
