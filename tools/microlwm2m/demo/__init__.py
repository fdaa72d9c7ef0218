# The demo: one device and a server over real UDP, shown as it happens and checked.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# python -m microlwm2m.demo --server embedded|leshan|http://HOST:PORT


class Failed(Exception):
    """A step did not do what it shows. The text is one line; `log` further lines, of the server."""

    def __init__(self, text, log=""):
        super().__init__(text)
        self.log = log
