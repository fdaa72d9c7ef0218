# The data model: objects as tables, and one interpreter over them.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2, sections 6.2 (resource model) and 6.3 (operations)

from coap.codec import Error

# Found at once, and not after a search in vain among the names of this module.
len = len
getattr = getattr
callable = callable

_BAD_REQUEST = const(0x80)
_NOT_FOUND = const(0x84)
_METHOD_NOT_ALLOWED = const(0x85)
_INTERNAL = const(0xA0)

# A row of a table: (resource ID, flags, type, name). Rows ascend by resource
# ID. The name is an attribute of the instance: a field, a property, or, for E,
# a method. A field that is None is a resource that is not there. A MULTI field
# is a dict {resource instance ID: value}; a list or tuple stands for one that
# counts from 0 and is not written by servers. The numbers are those of types.py.
_R = const(1)
_W = const(2)
_E = const(4)
_MULTI = const(8)
_MANDATORY = const(16)

# Bounds: instances of one object, and instances of one resource.
MAX_INSTANCES = 16
MAX_RESOURCE_INSTANCES = 32

_MAX_ID = const(65534)


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


def is_id(value, most=_MAX_ID):
    """Whether a value can be the ID of an instance."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


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


class _Class:
    # What the model knows of one object: its class and its instances by iid.
    def __init__(self, cls):
        self.cls = cls
        self.instances = {}


class Model:
    """All objects of a device.

    touched: called with (path, origin) for each resource that changes; origin is
    the account that wrote it, or None for the application. structure: called when
    an instance came or went, so that the servers are told.
    """

    def __init__(self):
        self.objects = {}
        self.listeners = []
        self.structure = None

    # --- set-up by the application

    def define(self, cls):
        """Know an object that has no instance yet. ValueError when its table does not ascend."""
        if cls.OID not in self.objects:
            last = -1
            for row in cls.TABLE:
                if row[0] <= last:
                    raise ValueError("table of object %d: rows must ascend" % cls.OID)
                last = row[0]
            self.objects[cls.OID] = _Class(cls)
        return self.objects[cls.OID]

    def add(self, instance, iid=None):
        """Add an instance. iid: its ID, the lowest free one when None.

        Raises ValueError when the ID is taken or out of range, or the object full.
        """
        entry = self.define(type(instance))
        if iid is None:
            iid = self.free_iid(entry)
        if not 0 <= iid <= _MAX_ID or iid in entry.instances:
            raise ValueError("iid")
        if len(entry.instances) >= MAX_INSTANCES or (iid and not instance.MULTIPLE):
            raise ValueError("too many instances of object %d" % instance.OID)
        instance.iid = iid
        instance.model = self
        entry.instances[iid] = instance
        if self.structure:
            self.structure()
        return instance

    def remove(self, oid, iid):
        """Remove an instance. Error 4.04 when it is not there."""
        instance = self.instance(oid, iid)
        del self.objects[oid].instances[iid]
        instance.model = None
        if self.structure:
            self.structure()
        return instance

    def free_iid(self, entry):
        iid = 0
        while iid in entry.instances:
            iid += 1
        return iid

    # --- look-up

    def object(self, oid):
        """Entry of an object. Error 4.04 when there is none."""
        entry = self.objects.get(oid)
        if entry is None:
            raise Error(_NOT_FOUND)
        return entry

    def instance(self, oid, iid):
        """An instance. Error 4.04 when it is not there."""
        instance = self.object(oid).instances.get(iid)
        if instance is None:
            raise Error(_NOT_FOUND)
        return instance

    def instances(self, oid):
        """Instances of an object by ascending ID; none is an empty list."""
        entry = self.objects.get(oid)
        return [entry.instances[i] for i in sorted(entry.instances)] if entry else []

    def row(self, path):
        """Row of a resource of a path of 3 or 4 IDs. Error 4.04 when the object has none."""
        row = find(self.object(path[0]).cls.TABLE, path[2])
        if row is None:
            raise Error(_NOT_FOUND)
        return row

    def typeof(self, oid, rid):
        """Type of a resource, None when unknown: what decoders ask for."""
        entry = self.objects.get(oid)
        row = find(entry.cls.TABLE, rid) if entry else None
        return row[2] if row else None

    def dump(self, oids):
        """Values of all instances of these objects: {oid: {iid: {rid: value}}}."""
        out = {}
        for oid in oids:
            for instance in self.instances(oid):
                values = {}
                for row in instance.TABLE:
                    if not row[1] & _E:
                        value = getattr(instance, row[3])
                        if value is not None:
                            values[row[0]] = value
                out.setdefault(oid, {})[instance.iid] = values
        return out

    def fill(self, oid, iid, values):
        """A new instance with these values, not yet added. values: of the types that the
        table says. ValueError says what makes no sense."""
        entry = self.objects.get(oid)
        if entry is None:
            raise ValueError("no such object in this firmware")
        instance = entry.cls()
        instance.iid = iid
        for row in instance.TABLE:
            if row[0] in values and not row[1] & _E:
                setattr(instance, row[3], values[row[0]])
        instance.validate()
        return instance

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
        instance = instance.instances.get(path[1])
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

    def present(self, path):
        """Error 4.04 when nothing of that path is there (an object without instances is)."""
        if len(path) == 1:
            self.object(path[0])
        elif path:
            instance = self.instance(path[0], path[1])
            if len(path) > 2:
                row = find(instance.TABLE, path[2])
                if row is None:
                    raise Error(_NOT_FOUND)
                if not row[1] & _E:
                    value = self.value(instance, row)
                    if value is None or (len(path) == 4 and not (row[1] & _MULTI and path[3] in value)):
                        raise Error(_NOT_FOUND)

    # --- Write

    def write(self, path, records, replace, origin=None, anyway=False):
        """Write-Replace or Write-Partial-Update: applied whole or not at all.

        path: of 2 to 4 IDs. records: list of (path, value) as the decoders give
        them. anyway: a bootstrap or the factory writes, for which no resource is
        read-only. Errors: 4.04, 4.05, 4.00.
        """
        if len(path) < 2:
            raise Error(_METHOD_NOT_ALLOWED)
        instance = self.instance(path[0], path[1])
        self.apply(self.plan(instance, path, records, replace, anyway), origin)

    def plan(self, instance, path, records, replace, anyway=False):
        """Check a write to one instance: list of (instance, row, new value) for apply()."""
        table = instance.TABLE
        level = len(path)
        if level > 2:
            row = find(table, path[2])
            if row is None:
                raise Error(_NOT_FOUND)
            if row[1] & _E or not (row[1] & _W or anyway):
                raise Error(_METHOD_NOT_ALLOWED)
            if level == 4:
                if not row[1] & _MULTI or path[3] not in (self.value(instance, row) or {}):
                    raise Error(_NOT_FOUND)
            if not records:
                raise Error(_BAD_REQUEST)
        # Resources that the payload does not know keep their order of the table,
        # so that a write is applied the same way however it was ordered.
        new = {}
        for where, value in records:
            if value is None:
                continue  # an instance named without resources
            if where[0] != instance.OID or where[1] not in (None, instance.iid):
                raise Error(_BAD_REQUEST)
            row = find(table, where[2])
            if row is None:
                if level > 2:
                    raise Error(_NOT_FOUND)
                continue
            if row[1] & _E or not (row[1] & _W or anyway):
                raise Error(_METHOD_NOT_ALLOWED)
            rid = where[2]
            if not row[1] & _MULTI:
                if len(where) == 4 or isinstance(value, dict):
                    raise Error(_BAD_REQUEST)
                new[rid] = value
                continue
            if rid not in new:
                old = None if replace and level < 4 else self.value(instance, row)
                new[rid] = dict(old) if old else {}
            if isinstance(value, dict):
                new[rid].update(value)
            elif len(where) == 4:
                new[rid][where[3]] = value
            else:
                raise Error(_BAD_REQUEST)
            if len(new[rid]) > MAX_RESOURCE_INSTANCES:
                raise Error(_INTERNAL)
        changes = []
        for row in table:
            if row[0] in new:
                changes.append((instance, row, new[row[0]]))
            elif replace and level == 2 and not row[1] & (_E | _MANDATORY) and (row[1] & _W or anyway):
                # As in an instance that nobody has written to; what a function or a property
                # gives is the application's.
                value = getattr(type(instance), row[3], None)
                if not callable(value) and not isinstance(value, property):
                    changes.append((instance, row, value))
        return changes

    def apply(self, changes, origin=None):
        """Apply the changes of plan(), of one or several instances, whole or not at all."""
        done = []
        try:
            for instance, row, value in changes:
                old = getattr(instance, row[3], None)
                if old is None and value is None:
                    continue
                setattr(instance, row[3], value)
                done.append((instance, row, old))
            last = None
            for instance, _, _ in done:
                if instance is not last:
                    instance.validate()
                    last = instance
        except Exception as e:
            for instance, row, old in reversed(done):
                setattr(instance, row[3], old)
            if isinstance(e, (ValueError, AttributeError)):
                raise Error(_BAD_REQUEST)
            raise
        for instance, row, _ in done:
            self.touched((instance.OID, instance.iid, row[0]), origin)

    # --- Create, Delete, Execute

    def create(self, oid, iid, records, origin=None, anyway=False):
        """Create an instance with the values of records; its ID is the return value.

        iid: None lets the device choose. Errors: 4.04 unknown object, 4.05 not to
        be created, 4.00 taken ID or bad values, 5.00 full.
        """
        entry = self.object(oid)
        if not (entry.cls.CREATE or (anyway and (entry.cls.MULTIPLE or not entry.instances))):
            raise Error(_METHOD_NOT_ALLOWED)
        if len(entry.instances) >= MAX_INSTANCES:
            raise Error(_INTERNAL)
        if iid is None:
            iid = self.free_iid(entry)
        elif iid in entry.instances or not 0 <= iid <= _MAX_ID:
            raise Error(_BAD_REQUEST)
        instance = entry.cls()
        instance.iid = iid
        self.apply(self.plan(instance, (oid, iid), records, False, anyway), origin)
        for row in instance.TABLE:
            if row[1] & _MANDATORY and not row[1] & _E and self.value(instance, row) is None:
                raise Error(_BAD_REQUEST)
        self.add(instance, iid)
        self.touched((oid, iid), origin)
        return iid

    def delete(self, path, origin=None, anyway=False):
        """Delete an instance. Errors: 4.04, 4.05 when it must stay."""
        if len(path) != 2:
            raise Error(_METHOD_NOT_ALLOWED)
        self.instance(path[0], path[1])
        if not (self.objects[path[0]].cls.CREATE or anyway):
            raise Error(_METHOD_NOT_ALLOWED)
        self.remove(path[0], path[1])
        self.touched(path, origin)

    def execute(self, path, arguments):
        """Execute a resource. arguments: list of (digit, text or None).

        Returns what the method returned: a function is to be called once the
        answer has been sent. Errors: 4.04, 4.05; a ValueError of the method: 4.00.
        """
        instance = self.instance(path[0], path[1])
        row = find(instance.TABLE, path[2])
        if row is None:
            raise Error(_NOT_FOUND)
        if not row[1] & _E:
            raise Error(_METHOD_NOT_ALLOWED)
        method = getattr(instance, row[3], None)
        if method is None:
            raise Error(_NOT_FOUND)
        try:
            return method(arguments)
        except ValueError:
            raise Error(_BAD_REQUEST)

    # --- link lists

    def links(self, path=(), depth=None, hidden=(), lwm2m="1.2"):
        """Paths and link attributes for Register, Update and Discover, in order.

        path: () for all objects down to instances (Register), otherwise where
        Discover starts. depth: levels below the path. hidden: object IDs left out.
        lwm2m: the version that the server speaks.
        Returns a list of (path, list of (name, value)).
        """
        out = []
        if not path:
            for oid in sorted(self.objects):
                if oid not in hidden:
                    entry = self.objects[oid]
                    version = _version(entry.cls, lwm2m)
                    if version or not entry.instances:
                        out.append(((oid,), version))
                    for iid in sorted(entry.instances):
                        out.append(((oid, iid), []))
            return out
        self.present(path)
        if len(path) == 1:
            out.append((path, _version(self.objects[path[0]].cls, lwm2m)))
            if depth is None or depth > 0:
                for instance in self.instances(path[0]):
                    self._links_instance(out, instance, 1 if depth is None else depth - 1)
        elif len(path) == 2:
            self._links_instance(out, self.instance(path[0], path[1]), 1 if depth is None else depth)
        elif len(path) == 3:
            instance = self.instance(path[0], path[1])
            self._links_resource(out, instance, find(instance.TABLE, path[2]), 1 if depth is None else depth)
        else:
            out.append((path, []))
        return out

    def _links_instance(self, out, instance, depth):
        out.append(((instance.OID, instance.iid), []))
        if depth > 0:
            for row in instance.TABLE:
                self._links_resource(out, instance, row, depth - 1)

    def _links_resource(self, out, instance, row, depth):
        path = (instance.OID, instance.iid, row[0])
        if row[1] & _E:
            if callable(getattr(instance, row[3], None)):
                out.append((path, []))
            return
        value = self.value(instance, row)
        if value is None:
            return
        if not row[1] & _MULTI:
            out.append((path, []))
            return
        out.append((path, [("dim", len(value))]))
        if depth > 0:
            for riid in sorted(value):
                out.append((path + (riid,), []))


def _version(cls, lwm2m):
    # The link attributes that say an object's version; a new list, since more may follow.
    version = lwm2m == "1.1" and cls.VERSION_1_1 or cls.VERSION
    return [("ver", version)] if version else []


def _put(nodes, path, row, value):
    if row[1] & _MULTI:
        for riid in sorted(value):
            nodes.append((path + (riid,), row[2], value[riid]))
    else:
        nodes.append((path, row[2], value))
