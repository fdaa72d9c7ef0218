# SenML JSON.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8259 (JSON), RFC 8428 section 5 (SenML); OMA LwM2M Core 1.2.2, section 7.4.4

import json
from . import texts as v

CT = 110
NAME = "SENML_JSON"

_INTEGER = const(1)
_UNSIGNED = const(2)
_FLOAT = const(3)
_BOOLEAN = const(4)
_OPAQUE = const(5)
_TIME = const(6)
_OBJLNK = const(7)

_VD = const(8)


def encode(base, nodes, buf):
    """Write nodes; see formats/__init__.py."""
    out = v.Out(buf)
    out.put("[")
    write(out, base, nodes, v.name(base), text)
    out.put("]")
    return out.pos


def write(out, base, nodes, bn, text):
    """Write the objects of an array, the first one with the base name bn if there is one."""
    sep = "{"
    for path, typ, value in nodes:
        out.put(sep)
        if bn:
            out.put('"bn":"%s",' % bn)
            bn = ""
        if path != base:
            out.put('"n":"%s",' % v.name(path[len(base) :]))
        label, value = text(typ, value)
        out.put('"%s":' % label)
        out.put(value)
        out.put("}")
        sep = ",{"


def text(typ, value):
    """(label, JSON text) of a value."""
    if typ == _FLOAT:
        return "v", v.decimal(value)
    if typ in (_INTEGER, _UNSIGNED, _TIME):
        return "v", str(value)
    if typ == _BOOLEAN:
        return "vb", "true" if value else "false"
    if typ == _OPAQUE:
        s = v.base64(value).rstrip("=").replace("+", "-").replace("/", "_")
        return "vd", '"%s"' % s
    if typ == _OBJLNK:
        return "vlo", '"%d:%d"' % value
    return "vs", json.dumps(value)


def decode(base, payload, typeof):
    """See formats/__init__.py."""
    return v.decode_records(base, Reader(payload).records(), typeof)


def decode_paths(payload):
    """The paths that a Read- or Observe-Composite asks for."""
    from .paths import paths_of

    return paths_of(Reader(payload).records())


class Reader:
    """JSON as far as SenML has it: an array of objects that hold no further ones.

    MicroPython's own json module takes commas and colons for white space, rounds integers
    that are written with an exponent, and builds whatever depth it is sent.
    """

    # Those that mean something here; the others are read and dropped.
    LABELS = (
        ("bn", -2),
        ("n", 0),
        ("v", 2),
        ("vs", 3),
        ("vb", 4),
        ("vd", 8),
        ("vlo", 100),
        ("bv", -5),
        ("bs", -6),
        ("s", 5),
    )

    def __init__(self, data):
        self.data = data
        self.pos = 0

    def token(self):
        """The next byte that is not white space, -1 at the end."""
        data = self.data
        pos = self.pos
        while pos < len(data):
            c = data[pos]
            pos += 1
            if c not in b" \t\n\r":
                self.pos = pos
                return c
        self.pos = pos
        return -1

    def expect(self, c):
        """Step over the byte c. Raises Error(BAD_REQUEST) where it is another one."""
        if self.token() != c:
            raise v.bad()

    def members(self, close):
        """Iterate over the first bytes of what stands between commas, up to the byte close."""
        c = self.token()
        while c != close:
            yield c
            c = self.token()
            if c == 44:  # ,
                c = self.token()
                if c != close:
                    continue
            elif c == close:
                return
            raise v.bad()

    def records(self):
        """Iterate over the whole payload, as value.decode_records() wants it."""
        self.expect(91)  # [
        for c in self.members(93):
            yield self.record(c)
        self.expect(-1)

    def record(self, c):
        """One object as a dict by label; c is its first byte."""
        if c != 123:  # {
            raise v.bad()
        record = {}
        for c in self.members(125):
            if c != 34:
                raise v.bad()
            key = self.string()
            self.expect(58)  # :
            value = self.value(self.token())
            if key.endswith("_"):  # must be understood (RFC 8428 section 4.4)
                raise v.bad()
            for name, label in self.LABELS:
                if name == key:
                    if label in record:
                        raise v.bad()
                    if label == _VD and type(value) is str:
                        value = v.unbase64(value)
                    record[label] = value
        return record

    def value(self, c):
        """One value that is neither array nor object; c is its first byte."""
        if c == 34:
            return self.string()
        data = self.data
        pos = self.pos - 1
        for word, value in ((b"true", True), (b"false", False), (b"null", None)):
            if bytes(data[pos : pos + len(word)]) == word:
                self.pos = pos + len(word)
                return value
        self.pos = v.scan(data, pos)
        s = str(data[pos : self.pos], "utf-8")
        try:
            return int(s)
        except ValueError:
            return (s,)

    def string(self):
        """The string whose first quotation mark has been read."""
        data = self.data
        pos = start = self.pos
        out = b""
        try:
            while True:
                c = data[pos]
                pos += 1
                if c == 34:
                    break
                if c < 32:
                    raise v.bad()
                if c == 92:  # \
                    out += bytes(data[start : pos - 1])
                    c = b'"\\/bfnrt'.find(bytes((data[pos],)))
                    pos += 1
                    if c >= 0:
                        out += b'"\\/\b\f\n\r\t'[c : c + 1]
                    else:
                        c = self.unit(pos - 1)
                        pos += 4
                        if c >> 10 == 54:  # the first half of a pair
                            if data[pos] != 92:
                                raise v.bad()
                            low = self.unit(pos + 1)
                            if low >> 10 != 55:
                                raise v.bad()
                            c = 0x10000 + ((c & 0x3FF) << 10 | low & 0x3FF)
                            pos += 6
                        out += chr(c).encode()
                    start = pos
        except (IndexError, ValueError):
            raise v.bad()
        self.pos = pos
        return v.text(out + bytes(data[start : pos - 1]))

    def unit(self, pos):
        """The UTF-16 unit of an escape whose "u" is at pos."""
        s = bytes(self.data[pos : pos + 5])
        if len(s) < 5 or s[0] != 117:
            raise v.bad()
        for c in s[1:]:
            if c not in b"0123456789abcdefABCDEF":
                raise v.bad()
        return int(str(s[1:], "utf-8"), 16)
