# The demo's output: one line an event, at most 100 columns, colour on a terminal only.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import os
import sys
import textwrap
import time

WIDTH = 100
_LEFT = 32  # columns before the words of a line
_HEX = 32  # columns of hex in the table

_COLOURS = {"bold": "1", "dim": "2", "red": "1;31", "green": "32", "blue": "36"}
LEGEND = "-> from the device   <- from the server   seconds since the start, bytes on the wire"


class Timeline:
    """Prints what happens, each line when it does.

    out: a text stream. on_closed: called once when nobody reads it any more.
    """

    def __init__(self, out=None, on_closed=lambda: None):
        self._out = out or sys.stdout
        self._colour = self._out.isatty() and not os.environ.get("NO_COLOR")
        self._on_closed = on_closed
        self._closed = False
        self._began = time.monotonic()

    def now(self):
        """Seconds since the start."""
        return time.monotonic() - self._began

    def line(self, text=""):
        """A line as it is."""
        try:
            if not self._closed:
                print(text, file=self._out, flush=True)
        except BrokenPipeError:
            # As after `| head`. What Python still holds for it would fail again at the end.
            self._closed = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._out.fileno())
            self._on_closed()

    def heading(self, text):
        """The beginning of a step."""
        self.line()
        self.line(self._in("bold", text))

    def command(self, *parts):
        """A command line, in parts that stay together; broken between them where it is too long."""
        lines = ["%8.3f  $ %s" % (self.now(), parts[0])]
        for part in parts[1:]:
            if len(lines[-1]) + len(part) > WIDTH - 3:
                lines[-1] += " \\"
                lines.append(" " * 13)
            lines[-1] += " " + part
        for line in lines:
            self.line(line)

    def says(self, who, text):
        """A line of someone's own words."""
        self._entry("dim", "    %s" % who, text)

    def good(self, text):
        """What a step has found to be so."""
        self._entry("green", "    ok", text)

    def datagram(self, seen, words):
        """A wire.Seen, with what it is in words."""
        colour = {"sealed": "green", "plain": "red", "empty": "blue"}[seen.mark]
        arrow = "->" if seen.up else "<-"
        self._entry(colour, "%s %4d bytes %s" % (arrow, len(seen.data), seen.mark), words)

    def _entry(self, colour, left, text):
        words = textwrap.wrap(text, WIDTH - _LEFT, break_on_hyphens=False) or [""]
        left = "%-*s" % (_LEFT - 10, left)
        self.line("%8.3f  %s%s" % (self.now(), self._in(colour, left), words[0]))
        for more in words[1:]:
            self.line(" " * _LEFT + more)

    def paragraph(self, text):
        """Text over the whole width."""
        for line in textwrap.wrap(text, WIDTH - 2, initial_indent="  ", subsequent_indent="  "):
            self.line(line)

    def table(self, rows):
        """Rows of (hex, meaning), wrapped side by side."""
        for left, right in rows:
            lefts, rights = textwrap.wrap(left, _HEX), textwrap.wrap(right, WIDTH - _HEX - 6)
            for n in range(max(len(lefts), len(rights))):
                a, b = (part[n] if n < len(part) else "" for part in (lefts, rights))
                self.line(("    %s  %s" % (self._in("green", a.ljust(_HEX)), b)).rstrip())

    def _in(self, colour, text):
        return "\033[%sm%s\033[0m" % (_COLOURS[colour], text) if self._colour else text
