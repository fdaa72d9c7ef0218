# What a table of resources is written in: flags of a resource, types of its value.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2, appendix C
#
# A table that takes these from here is built on the heap when its module is imported, 32
# bytes a row. Where it has copies of them (_R = const(1)), as the objects that ship have,
# it stays in flash.

# Operations of a server; more than one instance; there in every instance (see model.py).
R = const(1)
W = const(2)
RW = const(3)
E = const(4)
MULTI = const(8)
MANDATORY = const(16)

# In Python: str, int, int, float, bool, bytes, int (seconds since 1970-01-01 UTC),
# (object ID, instance ID) and str (link format).
STRING = const(0)
INTEGER = const(1)
UNSIGNED = const(2)
FLOAT = const(3)
BOOLEAN = const(4)
OPAQUE = const(5)
TIME = const(6)
OBJLNK = const(7)
CORELNK = const(8)
