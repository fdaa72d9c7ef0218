# The two ways in which a verb fails, with the exit status of each.
# MIT license; Copyright (c) 2026 the microlwm2m authors


class Refused(Exception):
    """What was asked for was understood and could not be done. Exit status 1.

    The text is one line for stderr, without key material.
    """

    status = 1


class UsageError(Refused):
    """What was asked for makes no sense as it was written. Exit status 2."""

    status = 2
