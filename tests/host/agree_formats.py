# Encodes and decodes for test_formats_agree.py; runs under MicroPython.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# A line in, a line out:
#   E CT BASE NODE...   HEX, the payload that encode() writes, and decode() reads back
#   D CT BASE HEX       NODE..., what decode() makes of a payload
#   P CT / HEX          PATH..., what decode_paths() makes of it
# "! CODE" for an Error. NODE is PATH=VALUE: str and bytes in hex, float as the hex of its
# 8 bytes, the others in decimal; "empty" and "unknown" for what has no value or no type. The
# type of resource N of object 9 is N modulo 100.

import struct
import sys

import lwm2m.formats as formats
from coap.message import Error


def typeof(oid, rid):
    return rid % 100 if oid == 9 and rid % 100 < 9 else None


def path_of(text):
    return tuple([int(s) for s in text.split("/") if s])


def value_of(typ, text):
    if typ in (0, 8):
        return bytes.fromhex(text).decode()
    if typ == 5:
        return bytes.fromhex(text)
    if typ == 3:
        return struct.unpack(">d", bytes.fromhex(text))[0]
    if typ == 7:
        return tuple([int(s) for s in text.split(":")])
    return bool(int(text)) if typ == 4 else int(text)


def text_of(value):
    if isinstance(value, str):
        return value.encode().hex()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float):
        return struct.pack(">d", value).hex()
    if isinstance(value, tuple):
        return "%d:%d" % value
    return "%d" % value


def node(text):
    path, _, value = text.partition("=")
    path = path_of(path)
    typ = typeof(path[0], path[2])
    return path, typ, value_of(typ, value)


def answer(what, ct, base, rest):
    fmt = formats.get(int(ct))
    base = path_of(base)
    if what == "E":
        nodes = [node(s) for s in rest]
        buf = bytearray(4000)
        n = fmt.encode(base, nodes, buf)
        exact = bytearray(n)
        if fmt.encode(base, nodes, exact) != n or exact != buf[:n]:
            return "the size of the buffer matters"
        got = fmt.decode(base, memoryview(exact), typeof)
        if [(p, text_of(v)) for p, v in got] != [(p, text_of(v)) for p, _, v in nodes]:
            return "read back as " + repr(got)
        return bytes(exact).hex() or "-"
    payload = memoryview(bytes.fromhex("" if rest[0] == "-" else rest[0]))
    if what == "P":
        return " ".join(["/".join([str(n) for n in path]) or "/" for path in fmt.decode_paths(payload)])
    out = []
    for path, value in fmt.decode(base, payload, typeof):
        if value is None or value == {}:
            value = "empty"
        elif typeof(path[0], path[2]) is None:
            value = "unknown"  # whatever the format makes of it
        else:
            value = text_of(value)
        out.append("/".join([str(n) for n in path]) + "=" + value)
    return " ".join(out)


while True:
    line = sys.stdin.readline()
    if not line:
        break
    parts = line.split()
    try:
        print(answer(parts[0], parts[1], parts[2], parts[3:]))
    except Error as e:
        print("! %d" % e.code)
    except Exception as e:
        print("escaped", repr(e))
