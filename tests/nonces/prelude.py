# Records each (key, nonce) that oscore seals with in this process, then runs the script.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# argv: SCRIPT ARGS..., or -c ARGS... with the code in $NONCES_CODE.

import os
import sys


class Record:
    """What oscore.context.on_seal is. $NONCES_FILE is opened now: a device hides the host's
    files below another root. Each entry is written at once, since a device may be killed."""

    def __init__(self, path):
        self.file = open(path, "ab")

    def __call__(self, key, nonce, sealed):
        head = bytes((len(key), len(nonce)))
        self.file.write(head + key + nonce + len(sealed).to_bytes(2, "big") + sealed[-8:])

    def forget(self):
        """What follows is another world, where the same keys are new."""
        self.file.write(b"\0\0")


def watch(record):
    # It is imported before anything else, so that a device which forgets its modules at a
    # reboot keeps this one. __import__ cannot be replaced: who calls it without globals
    # means his own.
    try:
        import oscore.context
    except ImportError:
        return  # a package is tried alone
    oscore.context.on_seal = record


def run(argv):
    names = {"__name__": "__main__"}
    path = argv[0]
    if path == "-c":
        sys.path[0] = ""
        source, path = os.getenv("NONCES_CODE"), "<stdin>"
    else:
        sys.path[0] = path.rpartition("/")[0]
        names["__file__"] = path
        with open(path) as f:
            source = f.read()
    if "flashfile" in source:
        # A device moves the host's files to another place: there it finds the package.
        sys.modules.pop("oscore", None)
    exec(compile(source, path, "exec"), names)


watch(Record(os.getenv("NONCES_FILE")))
sys.argv[:] = sys.argv[1:]
run(sys.argv)
