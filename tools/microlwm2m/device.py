# The verb device: the firmware, on MicroPython's unix port, on a flash image.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import os
import sys

from . import target, unixport
from .errors import Refused, UsageError


def add_parser(subparsers):
    p = subparsers.add_parser(
        "device",
        help="run the firmware on this machine",
        description="Run the firmware, as a board would, on the unix port of MicroPython and the"
        " flash image that `microlwm2m provision file:PATH` made. It prints one line per event and"
        " goes on until Ctrl-C.",
        allow_abbrev=False,
    )
    p.add_argument("target", metavar="file:PATH", help="the device's flash image")
    p.add_argument(
        "--heap",
        metavar="SIZE",
        default=unixport.HEAP,
        help="of the interpreter, as 64K (default %(default)s); a 32-bit board needs about half",
    )
    p.add_argument(
        "--log", metavar="FILE", help="append the lines to FILE, in place of printing them"
    )
    p.set_defaults(run=run)


def run(args):
    """microlwm2m device: becomes the interpreter, and returns only to refuse.

    One process, and not a child: whoever kills it kills the device, and the lock
    on the image ends with the device and not before.
    """
    image = target.parse(args.target)
    if not isinstance(image, target.Image):
        raise UsageError("a device runs on file:PATH; a board runs by itself")
    command = unixport.command(
        "device.py", os.path.abspath(image.path), heap=unixport.heap_size(args.heap)
    )
    environment = unixport.environment()
    with image.locked() as fd:
        os.set_inheritable(fd, True)
        if args.log:
            try:
                log = os.open(args.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            except OSError as e:
                raise Refused("--log %s: %s" % (args.log, e.strerror)) from None
            sys.stdout.flush()
            os.dup2(log, 1)
            os.dup2(log, 2)
        os.execve(command[0], command, environment)
