# The data model: objects as tables, and one interpreter over them.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2, sections 6.2 (resource model) and 6.3 (operations)

from coap.codec import Error
from . import late

# Found at once, and not after a search in vain among the names of this module.
len = len
getattr = getattr
callable = callable

_NOT_FOUND = const(0x84)
_METHOD_NOT_ALLOWED = const(0x85)

# A row of a table: (resource ID, flags, type, name[, value]). Rows ascend by resource
# ID. The name is an attribute of the instance: a field, a property, or, for E,
# a method. A field that is None is a resource that is not there. Where nobody has set
# it, neither in the instance nor in the class, it has the value of the row, and is
# None without one: that costs no heap. A MULTI field
# is a dict {resource instance ID: value}; a list or tuple stands for one that
# counts from 0 and is not written by servers. The numbers are those of types.py.
_R = const(1)
_MULTI = const(8)


def find(table, rid):
    """Row of a resource, or None. table: rows that ascend by rid."""
    lo, hi = 0, len(table)
    if rid < hi:
        # Most tables have no gap at the beginning; a row is never behind its number.
        row = table[rid]
        if row[0] == rid:
            return row
        hi = rid
    while lo < hi:
        mid = (lo + hi) >> 1
        row = table[mid]
        if row[0] == rid:
            return row
        if row[0] < rid:
            lo = mid + 1
        else:
            hi = mid
    return None


class Instance:
    """One object instance. A user's object derives from it.

    OID: object ID. TABLE: the rows. Where it has them, VERSION: text, 1.0 without;
    VERSION_1_1: what to say to a server of LwM2M 1.1, where that differs; MULTIPLE = True:
    more than one instance may exist; CREATE = True: servers may create and delete
    instances, by a call without arguments; validate(): called after a server's write,
    before it counts, a ValueError undoes it: 4.00.
    """

    TABLE = ()

    iid = 0
    model = None

    # Where methods of the objects that ship are which seldom run.
    _late = ("lwm2m.writing", "Instance")

    # What is neither in the instance nor in its class.
    def __getattr__(self, name):
        for row in self.TABLE:
            if row[3] == name and row[2] is not None:
                return row[4] if len(row) > 4 else None
        return late(self, name)

    def changed(self, name):
        """Tell whoever observes it that the value behind name has changed."""
        model = self.model
        if model and model.client:
            for row in self.TABLE:
                if row[3] == name:
                    model.client.touched((self.OID, self.iid, row[0]), None)

    def set(self, name, value):
        """Set a field and tell whoever observes it, if it is another value."""
        if getattr(self, name, None) != value:
            setattr(self, name, value)
            self.changed(name)


class Model:
    """All objects of a device.

    objects: {object ID: {instance ID: instance}}. classes: {object ID: class}.
    client: who is told, or None. touched(path, origin) is called for each resource that
    changes; origin is the account that wrote it, or None for the application. structure() is
    called when an instance came or went.

    All but reading stands in writing.py: object, instances, define, add, remove, fill;
    write, plan, apply, create, delete, execute; row, typeof, links.
    """

    _late = ("lwm2m.writing", "Model")
    __getattr__ = late

    def __init__(self):
        self.objects = {}
        self.classes = {}
        self.client = None

    def instance(self, oid, iid):
        """An instance. Error 4.04 when it is not there."""
        instance = self.objects.get(oid, ())
        if iid not in instance:
            raise Error(_NOT_FOUND)
        return instance[iid]

    def read(self, path):
        """Nodes below a path of 1 to 4 IDs: list of (path, type, value), ascending.

        Error 4.04 when the path is not there, 4.05 when it is one resource that cannot
        be read.
        """
        if len(path) < 3:
            return self._read_below(path)
        instance = self.objects.get(path[0])
        if instance is None:
            raise Error(_NOT_FOUND)
        instance = instance.get(path[1])
        if instance is None:
            raise Error(_NOT_FOUND)
        row = instance.TABLE
        # As find(), for most, by one call less.
        row = row[path[2]] if path[2] < len(row) else None
        if row is None or row[0] != path[2]:
            row = find(instance.TABLE, path[2])
            if row is None:
                raise Error(_NOT_FOUND)
        if not row[1] & _R:
            raise Error(_METHOD_NOT_ALLOWED)
        if not row[1] & _MULTI:
            # As value(), by one call less.
            value = getattr(instance, row[3], None)
            if callable(value):
                value = value()
            if value is None or len(path) == 4:
                raise Error(_NOT_FOUND)
            return [(path, row[2], value)]
        value = self.value(instance, row)
        if value is None:
            raise Error(_NOT_FOUND)
        if len(path) == 4:
            if path[3] not in value:
                raise Error(_NOT_FOUND)
            return [(path, row[2], value[path[3]])]
        instance = []
        _put(instance, path, row, value)
        return instance

    def _read_below(self, path):
        instances = self.objects.get(path[0])
        if instances is None or (len(path) == 2 and path[1] not in instances):
            raise Error(_NOT_FOUND)
        nodes = []
        for iid in path[1:] or sorted(instances):
            self._read_instance(nodes, instances[iid])
        return nodes

    def _read_instance(self, nodes, instance):
        fields = instance.__dict__
        for row in instance.TABLE:
            flags = row[1]
            if flags & _R:
                # As value(), without __getattr__() for what most instances have not.
                value = row[3]
                if flags & _MULTI or value in fields or hasattr(type(instance), value):
                    value = self.value(instance, row)
                else:
                    value = row[4] if len(row) > 4 else None
                if value is not None:
                    _put(nodes, (instance.OID, instance.iid, row[0]), row, value)

    def value(self, instance, row):
        """Value of a resource, None when it is not there; a MULTI one is a dict."""
        value = getattr(instance, row[3], None)
        if callable(value):
            value = value()
        if row[1] & _MULTI and value is not None and not isinstance(value, dict):
            value = dict(enumerate(value))
        return value


def _put(nodes, path, row, value):
    if row[1] & _MULTI:
        for riid in sorted(value):
            nodes.append((path + (riid,), row[2], value[riid]))
    else:
        nodes.append((path, row[2], value))
