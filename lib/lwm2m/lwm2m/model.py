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

# A row of a table: (resource ID, flags, type, name). Rows ascend by resource
# ID. The name is an attribute of the instance: a field, a property, or, for E,
# a method. A field that is None is a resource that is not there. A MULTI field
# is a dict {resource instance ID: value}; a list or tuple stands for one that
# counts from 0 and is not written by servers. The numbers are those of types.py.
_R = const(1)
_E = const(4)
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

    OID: object ID. VERSION: text, None for the default 1.0; VERSION_1_1: what to say
    to a server of LwM2M 1.1, where that differs. MULTIPLE: more than
    one instance may exist. CREATE: servers may create and delete instances, by a
    call without arguments. TABLE: the rows.
    """

    OID = None
    VERSION = VERSION_1_1 = None
    MULTIPLE = False
    CREATE = False
    TABLE = ()

    iid = 0
    model = None

    def changed(self, name):
        """Tell whoever observes it that the value behind name has changed."""
        if self.model:
            for row in self.TABLE:
                if row[3] == name:
                    self.model.touched((self.OID, self.iid, row[0]), None)

    def set(self, name, value):
        """Set a field and tell whoever observes it, if it is another value."""
        if getattr(self, name, None) != value:
            setattr(self, name, value)
            self.changed(name)

    def validate(self):
        """Called after a server's write, before it counts. ValueError undoes it: 4.00."""


class Model:
    """All objects of a device.

    objects: {object ID: {instance ID: instance}}. classes: {object ID: class}.
    touched: called with (path, origin) for each resource that changes; origin is
    the account that wrote it, or None for the application. structure: called when
    an instance came or went, so that the servers are told.

    All but reading stands in writing.py: define, add, remove, fill, dump; write, plan,
    apply, create, delete, execute; row, present, links.
    """

    _late = ("writing", "Model")
    __getattr__ = late

    def __init__(self):
        self.objects = {}
        self.classes = {}
        self.listeners = []
        self.structure = None

    # --- look-up

    def object(self, oid):
        """Instances of an object by ID. Error 4.04 when there is no such object."""
        instances = self.objects.get(oid)
        if instances is None:
            raise Error(_NOT_FOUND)
        return instances

    def instance(self, oid, iid):
        """An instance. Error 4.04 when it is not there."""
        instance = self.object(oid).get(iid)
        if instance is None:
            raise Error(_NOT_FOUND)
        return instance

    def instances(self, oid):
        """Instances of an object by ascending ID; none is an empty list."""
        instances = self.objects.get(oid)
        return [instances[i] for i in sorted(instances)] if instances else []

    def typeof(self, oid, rid):
        """Type of a resource, None when unknown: what decoders ask for."""
        row = find(self.classes[oid].TABLE, rid) if oid in self.classes else None
        return row[2] if row else None

    def touched(self, path, origin):
        for listener in self.listeners:
            listener(path, origin)

    # --- Read

    def read(self, path, anyway=False):
        """Nodes below a path of 1 to 4 IDs: list of (path, type, value), ascending.

        anyway: without regard to what servers may read. Error 4.04 when the path
        is not there, 4.05 when it is one resource that cannot be read.
        """
        if len(path) < 3:
            return self._read_below(path, anyway)
        instance = self.objects.get(path[0])
        if instance is None:
            raise Error(_NOT_FOUND)
        instance = instance.get(path[1])
        if instance is None:
            raise Error(_NOT_FOUND)
        row = find(instance.TABLE, path[2])
        if row is None:
            raise Error(_NOT_FOUND)
        if not (row[1] & _R or anyway):
            raise Error(_METHOD_NOT_ALLOWED)
        value = self.value(instance, row)
        if value is None:
            raise Error(_NOT_FOUND)
        if not row[1] & _MULTI:
            if len(path) == 4:
                raise Error(_NOT_FOUND)
            return [(path, row[2], value)]
        if len(path) == 4:
            if path[3] not in value:
                raise Error(_NOT_FOUND)
            return [(path, row[2], value[path[3]])]
        instance = []
        _put(instance, path, row, value)
        return instance

    def _read_below(self, path, anyway):
        nodes = []
        if len(path) == 2:
            self._read_instance(nodes, self.instance(path[0], path[1]), anyway)
        else:
            self.object(path[0])
            for instance in self.instances(path[0]):
                self._read_instance(nodes, instance, anyway)
        return nodes

    def _read_instance(self, nodes, instance, anyway):
        for row in instance.TABLE:
            if row[1] & _R or (anyway and not row[1] & _E):
                value = self.value(instance, row)
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
