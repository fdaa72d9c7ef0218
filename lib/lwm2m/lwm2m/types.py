# The types of a resource's value.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2, appendix C

from micropython import const

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
