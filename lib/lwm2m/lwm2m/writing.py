# All that is asked of the model and is no Read: Write, Execute, Discover, Observe; and what the
# start fills the model with. Create and Delete are in creating.py, composite operations in
# composite.py.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2 sections 6.2 and 6.3; Transport 1.2.2 section 6.4.4
#
# The classes here hold methods of those of the same name in model.py, server.py and objects/,
# and have no instances. Their modules stay loaded, this one is brought by the first call
# (lwm2m.late): a server that only reads does not pay for it.

from coap.codec import Message, Error
from .formats import get
from .model import find
from .server import HIDDEN, path_of

_GET = const(1)
_POST = const(2)
_PUT = const(3)
_DELETE = const(4)
_FETCH = const(5)
_IPATCH = const(7)
_CHANGED = const(0x44)
_BAD_REQUEST = const(0x80)
_UNAUTHORIZED = const(0x81)
_NOT_FOUND = const(0x84)
_METHOD_NOT_ALLOWED = const(0x85)
_UNSUPPORTED_FORMAT = const(0x8F)
_INTERNAL = const(0xA0)

_OBSERVE = const(6)
_CONTENT_FORMAT = const(12)
_ACCEPT = const(17)
_LINK_FORMAT = const(40)
_TEXT = const(0)

# Of a row of a table (model.py).
_W = const(2)
_E = const(4)
_MULTI = const(8)
_MANDATORY = const(16)

# Bounds: instances of one object, and instances of one resource.
MAX_INSTANCES = 16
MAX_RESOURCE_INSTANCES = 32

_MAX_ID = const(65534)


def is_id(value, most=_MAX_ID):
    """Whether a value can be the ID of an instance."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def reporting(account):
    """The Reporting of an account, brought with the first observation or attribute."""
    from .reporting import of

    return of(account)


def version_of(cls, lwm2m):
    """The link attribute that says an object's version to a server that speaks lwm2m."""
    version = getattr(cls, "VERSION", None)
    if lwm2m == "1.1":
        version = getattr(cls, "VERSION_1_1", version)
    return ";ver=" + version if version else ""


def part(name, code=_METHOD_NOT_ALLOWED):
    """A module of this package that a firmware may leave out: Error(code) where it did."""
    try:
        return __import__(name, globals(), None, ("serve",), 1)
    except ImportError:
        raise Error(code)


class Instance:
    # Of model.Instance.

    def validate(self):
        pass


class Server:
    # Of objects.accounts.Server; what validates the others is in checking.py.

    def validate(self):
        if self.ssid is None or not 1 <= self.ssid <= _MAX_ID:
            raise ValueError("ssid")
        if self.lifetime < 0:
            raise ValueError("lifetime")
        if "U" not in self.binding:
            raise ValueError("binding")
        if self.notification_mode not in (None, 0, 1):
            raise ValueError("notification_mode")
        for name in ("pmin", "pmax", "disable_timeout"):
            if (getattr(self, name) or 0) < 0:
                raise ValueError(name)

    # What a trigger does begins after its 2.04 has been sent.
    def disable(self, arguments):
        return self._trigger("disable")

    def update(self, arguments):
        return self._trigger("update")

    def bootstrap(self, arguments):
        return self._trigger("bootstrap")

    account = None

    def _trigger(self, what):
        if self.account:
            return lambda: self.account.trigger(what)


class Model:
    # Of model.Model.

    def object(self, oid):
        """Instances of an object by ID. Error 4.04 when there is no such object."""
        instances = self.objects.get(oid)
        if instances is None:
            raise Error(_NOT_FOUND)
        return instances

    def instances(self, oid):
        """Instances of an object by ascending ID; none is an empty list."""
        instances = self.objects.get(oid, ())
        return [instances[iid] for iid in sorted(instances)]

    def typeof(self, oid, rid):
        """Type of a resource, None when unknown: what decoders ask for."""
        row = find(self.classes[oid].TABLE, rid) if oid in self.classes else None
        return row[2] if row else None

    def define(self, cls):
        """Know an object that has no instance yet. ValueError when its table does not ascend."""
        if cls.OID not in self.objects:
            last = -1
            for row in cls.TABLE:
                if row[0] <= last:
                    raise ValueError("table of object %d: rows must ascend" % cls.OID)
                last = row[0]
            self.classes[cls.OID] = cls
            self.objects[cls.OID] = {}
        return self.objects[cls.OID]

    def add(self, instance, iid=None):
        """Add an instance. iid: its ID, the lowest free one when None.

        Raises ValueError when the ID is taken or out of range, or the object full.
        """
        instances = self.define(type(instance))
        if iid is None:
            iid = self.free_iid(instances)
        if not 0 <= iid <= _MAX_ID or iid in instances:
            raise ValueError("iid")
        if len(instances) >= MAX_INSTANCES or (iid and not getattr(instance, "MULTIPLE", False)):
            raise ValueError("too many instances of object %d" % instance.OID)
        instance.iid = iid
        instance.model = self
        instances[iid] = instance
        if self.client:
            self.client.structure()
        return instance

    def fill(self, oid, iid, values):
        """A new instance with these values, not yet added nor validated. values: of the types
        that the table says."""
        instance = self.classes[oid]()
        instance.iid = iid
        for row in instance.TABLE:
            if row[0] in values and not row[1] & _E:
                setattr(instance, row[3], values[row[0]])
        return instance

    def free_iid(self, instances):
        iid = 0
        while iid in instances:
            iid += 1
        return iid

    def remove(self, oid, iid):
        """Remove an instance. Error 4.04 when it is not there."""
        instance = self.instance(oid, iid)
        del self.objects[oid][iid]
        instance.model = None
        if self.client:
            self.client.structure()
        return instance

    def row(self, path):
        """Row of a resource of a path of 3 or 4 IDs. Error 4.04 when the object has none."""
        self.object(path[0])
        row = find(self.classes[path[0]].TABLE, path[2])
        if row is None:
            raise Error(_NOT_FOUND)
        return row

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
            row = self.row(path)
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
            elif (
                replace
                and level == 2
                and not row[1] & (_E | _MANDATORY)
                and (row[1] & _W or anyway)
            ):
                # As in an instance that nobody has written to; what a function or a property
                # gives is the application's.
                value = getattr(type(instance), row[3], row[4] if len(row) > 4 else None)
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
            self.tell((instance.OID, instance.iid, row[0]), origin)

    def tell(self, path, origin):
        """A resource, or an instance, has changed by the hand of a server."""
        if self.client:
            self.client.touched(path, origin)

    def execute(self, path, arguments):
        """Execute a resource. arguments: list of (digit, text or None).

        Returns what the method returned: a function is to be called once the
        answer has been sent. Errors: 4.04, 4.05; a ValueError of the method: 4.00.
        """
        instance = self.instance(path[0], path[1])
        row = self.row(path)
        if not row[1] & _E:
            raise Error(_METHOD_NOT_ALLOWED)
        method = getattr(instance, row[3], None)
        if method is None:
            raise Error(_NOT_FOUND)
        try:
            return method(arguments)
        except ValueError:
            raise Error(_BAD_REQUEST)

    def links(self, hidden=(), lwm2m="1.2"):
        """What is told to a server when it is registered with: a list of (path, text of link
        attributes) of all objects and instances, in order. hidden: object IDs left out. lwm2m:
        the version that the server speaks."""
        out = []
        for oid in sorted(self.objects):
            if oid not in hidden:
                version = version_of(self.classes[oid], lwm2m)
                if version or not self.objects[oid]:
                    out.append(((oid,), version))
                for iid in sorted(self.objects[oid]):
                    out.append(((oid, iid), ""))
        return out


class Dispatcher:
    # Of server.Dispatcher.

    def _operate(self, request, account, responder, now):
        path = path_of(request)
        code = request.code
        if not path:
            if code == _FETCH or code == _IPATCH:
                return part("composite").serve(self, request, account, responder, now)
        elif path[0] in HIDDEN:
            raise Error(_UNAUTHORIZED)
        elif code == _GET:
            accept = request.uint(_ACCEPT)
            if accept == _LINK_FORMAT:
                return part("discover").serve(self, request, path, account)
            response = self.content(path, accept)
            self.observed(request, path, None, account, responder, now)
            return response
        elif code == _PUT:
            if request.opt(_CONTENT_FORMAT) is None and not len(request.payload):
                part("attributes").serve(request, path, reporting(account))
                return Message(_CHANGED)
            return self._write(request, path, account, True)
        elif code == _DELETE or (code == _POST and len(path) == 1):
            return part("creating").serve(self, request, path, account)
        elif code == _POST:
            return self._post(request, path, account)
        raise Error(_METHOD_NOT_ALLOWED)

    def observed(self, request, path, paths, account, responder, now):
        """Begin to observe what was read, where the request asks for that."""
        if request.uint(_OBSERVE) == 0:
            handle = responder.observe()
            if handle is not None:  # None: no room, so it is answered as a Read
                accept = request.uint(_ACCEPT)
                reporting(account).observed(account, path, paths, accept, handle, now)

    def links_payload(self, links):
        """Link format (RFC 6690) of a list of (path, text of attributes). Error 5.00 when it is
        longer than max_payload."""
        links = ["<%s>%s" % ("".join(["/%d" % n for n in path]) or "/", text) for path, text in links]
        payload = ",".join(links).encode()
        if len(payload) > self.max_payload:
            raise Error(_INTERNAL)
        return payload

    def decode(self, request, path, typeof=None):
        """Records of a payload. typeof: other types than the model's. Error 4.15 unknown
        format, 4.00 bad payload."""
        ct = request.uint(_CONTENT_FORMAT)
        fmt = get(_TEXT if ct is None else ct)
        if fmt is None:
            raise Error(_UNSUPPORTED_FORMAT)
        return fmt.decode(path, request.payload, typeof or self.model.typeof)

    def _write(self, request, path, account, replace):
        if len(path) < 2:
            raise Error(_METHOD_NOT_ALLOWED)
        self.model.instance(path[0], path[1])
        if len(path) > 2:
            self.model.row(path)
        self.model.write(path, self.decode(request, path), replace, account)
        return Message(_CHANGED)

    def _post(self, request, path, account):
        if len(path) == 3 and self.model.row(path)[1] & _E:
            if request.uint(_CONTENT_FORMAT, _TEXT) != _TEXT:
                raise Error(_UNSUPPORTED_FORMAT)
            arguments = []
            if len(request.payload):
                arguments = part("arguments", _BAD_REQUEST).arguments_of(request.payload)
            after = self.model.execute(path, arguments)
            if callable(after):
                account.after_answer(after)
            return Message(_CHANGED)
        return self._write(request, path, account, False)
