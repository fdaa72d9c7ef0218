# Write-Attributes: what a server writes to govern the reports of a path, and how values compare.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2 sections 6.3.5 and 7.3
#
# A firmware that leaves this out answers it 4.05: observed is by the periods of /1.

from coap.codec import Error

_BAD_REQUEST = const(0x80)
_NOT_FOUND = const(0x84)
_INTERNAL = const(0xA0)
_URI_QUERY = const(15)

# Of a row of a table (model.py).
_E = const(4)
_MULTI = const(8)

# Bound: paths that have attributes, of one server.
MAX_ATTRIBUTES = 16

_WHOLE = ("pmin", "pmax")
_NUMERIC = ("gt", "lt", "st")


def queries_of(msg):
    """Uri-Query options as text. Error 4.00 when one is not UTF-8."""
    try:
        return [bytes(q).decode() for q in msg.opts(_URI_QUERY)]
    except UnicodeError:
        raise Error(_BAD_REQUEST)


def present(model, path):
    """Error 4.04 when nothing of that path is there (an object without instances is)."""
    if len(path) == 1:
        model.object(path[0])
    else:
        instance = model.instance(path[0], path[1])
        row = model.row(path) if len(path) > 2 else None
        if row and not row[1] & _E:
            value = model.value(instance, row)
            there = len(path) == 3 or (row[1] & _MULTI and path[3] in (value or ()))
            if value is None or not there:
                raise Error(_NOT_FOUND)


def serve(request, path, reporting):
    """Do what a PUT says that has no payload."""
    write(reporting, path, queries_of(request))


def write(reporting, path, queries):
    """Write-Attributes: queries like "pmin=5", "gt" (removes). Error 4.00 changes nothing."""
    present(reporting.model, path)
    written = reporting.attributes
    new = dict(written.get(path, {}))
    for query in queries:
        name, _, text = query.partition("=")
        if name not in _WHOLE and not (name in _NUMERIC and len(path) > 2):
            raise Error(_BAD_REQUEST)
        if not text:
            new.pop(name, None)
            continue
        try:
            value = int(text) if name in _WHOLE else _decimal(text)
        except ValueError:
            raise Error(_BAD_REQUEST)
        if value < 0 and name not in ("gt", "lt"):
            raise Error(_BAD_REQUEST)
        new[name] = value
    pmax = new.get("pmax", 0)
    step = new.get("st")
    if (
        (pmax and new.get("pmin", 0) > pmax)
        or step == 0
        or ("lt" in new and "gt" in new and new["lt"] + 2 * (step or 0) >= new["gt"])
    ):
        raise Error(_BAD_REQUEST)
    if new:
        if path not in written and len(written) >= MAX_ATTRIBUTES:
            raise Error(_INTERNAL)
        written[path] = new
    else:
        written.pop(path, None)
    for o in reporting.observations:
        if o.value is None:
            sample(reporting.model, o)
    reporting.wake = 0


def _decimal(text):
    # Attribute numbers are plain decimals: no "inf", "nan", exponents or spaces.
    for c in text.encode():
        if c not in b"0123456789.+-":
            raise ValueError(text)
    return float(text)


def attached(reporting, path):
    """Attributes of that very path, for Discover: list of (name, value)."""
    a = reporting.attributes.get(path, ())
    return [(name, a[name]) for name in _WHOLE + _NUMERIC if name in a]


def _number(model, path):
    if len(path) < 3:
        return None
    try:
        nodes = model.read(path)
    except Exception:  # of the application's too: the notification tells
        return None
    value = nodes[0][2] if len(nodes) == 1 else None
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def sample(model, o):
    """What the values of an observation are compared with from now on."""
    o.value = o.reported = _number(model, o.path)


def crossed(model, o, a):
    """Whether a changed value is to be told, as the attributes gt, lt and st in a say."""
    before, o.value = o.value, _number(model, o.path)
    value = o.value
    if value is None or o.dirty:
        return True
    if before is None:
        before = value
    for name in ("gt", "lt"):
        if name in a and (before > a[name]) != (value > a[name]):
            return True
    return "st" in a and (o.reported is None or abs(value - o.reported) >= a["st"])
