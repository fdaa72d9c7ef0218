# The command microlwm2m: finds the verbs, runs one, turns failures into one line.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import argparse
import importlib
import os
import signal
import sys

from . import __version__
from .errors import Refused

# Each module has add_parser(subparsers), which adds its verbs and gives each a
# default `run`: a function of the parsed arguments that returns an exit status
# or None. What a verb needs beyond argparse is imported inside `run`, so that
# `microlwm2m --help` stays quick.
VERBS = ("provision", "device", "server", "codegen")

SIGINT_STATUS = 130


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose complaint is a single line, as every other error here."""

    def error(self, message):
        self.exit(2, "%s: %s (see --help)\n" % (self.prog, message))


def _load(name):
    full = "%s.%s" % (__package__, name)
    try:
        return importlib.import_module(full)
    except ModuleNotFoundError as e:
        if e.name != full:
            raise
        return None


def build_parser():
    """The parser of the whole command line."""
    parser = Parser(
        prog="microlwm2m",
        description="Everything about a microlwm2m device that happens on the host.",
    )
    parser.add_argument("--version", action="version", version="microlwm2m " + __version__)
    subparsers = parser.add_subparsers(
        dest="verb", metavar="VERB", required=True, parser_class=Parser
    )
    for name in VERBS:
        module = _load(name)
        if module is not None:
            module.add_parser(subparsers)
    return parser


def main(argv=None):
    """Run one verb. Returns the exit status: 0, 1 (refused) or 2 (usage)."""
    args = build_parser().parse_args(argv)
    try:
        return args.run(args) or 0
    except Refused as e:
        return _fail(args, " ".join(str(e).split()), e.status)
    except BrokenPipeError:
        # The reader of our output left, as `head` does. Python would complain
        # again when it flushes stdout at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return SIGINT_STATUS
    except OSError as e:
        where = ": %s" % e.filename if e.filename else ""
        return _fail(args, "%s%s" % (e.strerror or e, where), 1)


def _fail(args, message, status):
    print("microlwm2m %s: %s" % (args.verb, message), file=sys.stderr)
    return status
