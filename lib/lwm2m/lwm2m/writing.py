# All that is asked of the model and is no Read: Write, Create, Delete, Execute, Discover,
# Observe, composite operations; and what the start fills the model with.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2 sections 6.2 and 6.3; Transport 1.2.2 section 6.4.4
#
# The classes here hold methods of those of the same name in model.py and server.py, and
# have no instances. Their modules stay loaded, this one is brought by the first call
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
_CREATED = const(0x41)
_DELETED = const(0x42)
_CHANGED = const(0x44)
_CONTENT = const(0x45)
_BAD_REQUEST = const(0x80)
_UNAUTHORIZED = const(0x81)
_NOT_FOUND = const(0x84)
_METHOD_NOT_ALLOWED = const(0x85)
_UNSUPPORTED_FORMAT = const(0x8F)
_INTERNAL = const(0xA0)

_OBSERVE = const(6)
_LOCATION_PATH = const(8)
_CONTENT_FORMAT = const(12)
_URI_QUERY = const(15)
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
# Arguments of one Execute.
_MAX_ARGUMENTS = const(10)


def is_id(value, most=_MAX_ID):
    """Whether a value can be the ID of an instance."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def _version(cls, lwm2m):
    # The link attributes that say an object's version; a new list, since more may follow.
    version = lwm2m == "1.1" and cls.VERSION_1_1 or cls.VERSION
    return [("ver", version)] if version else []


def queries_of(msg):
    """Uri-Query options as text. Error 4.00 when one is not UTF-8."""
    try:
        return [bytes(q).decode() for q in msg.opts(_URI_QUERY)]
    except UnicodeError:
        raise Error(_BAD_REQUEST)


def arguments_of(payload):
    """Arguments of Execute: list of (digit, text or None).

    Error 4.00 when malformed (Core 1.2.2 section 6.3.5).
    """
    try:
        text = bytes(payload).decode()
    except UnicodeError:
        raise Error(_BAD_REQUEST)
    out = []
    at = 0
    while at < len(text):
        if out:
            if text[at] != ",":
                raise Error(_BAD_REQUEST)
            at += 1
        digit = text[at : at + 1]
        if not digit or digit not in "0123456789" or len(out) >= _MAX_ARGUMENTS:
            raise Error(_BAD_REQUEST)
        at += 1
        value = None
        if text[at : at + 1] == "=":
            end = text.find("'", at + 2)
            if text[at + 1 : at + 2] != "'" or end < 0:
                raise Error(_BAD_REQUEST)
            value = text[at + 2 : end]
            at = end + 1
        out.append((int(digit), value))
    return out


class Model:
    # Of model.Model.

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
        if len(instances) >= MAX_INSTANCES or (iid and not instance.MULTIPLE):
            raise ValueError("too many instances of object %d" % instance.OID)
        instance.iid = iid
        instance.model = self
        instances[iid] = instance
        if self.structure:
            self.structure()
        return instance

    def fill(self, oid, iid, values):
        """A new instance with these values, not yet added. values: of the types that the
        table says. ValueError says what makes no sense."""
        if oid not in self.classes:
            raise ValueError("no such object in this firmware")
        instance = self.classes[oid]()
        instance.iid = iid
        for row in instance.TABLE:
            if row[0] in values and not row[1] & _E:
                setattr(instance, row[3], values[row[0]])
        instance.validate()
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
        if self.structure:
            self.structure()
        return instance

    def row(self, path):
        """Row of a resource of a path of 3 or 4 IDs. Error 4.04 when the object has none."""
        self.object(path[0])
        row = find(self.classes[path[0]].TABLE, path[2])
        if row is None:
            raise Error(_NOT_FOUND)
        return row

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
                    if value is None or (
                        len(path) == 4 and not (row[1] & _MULTI and path[3] in value)
                    ):
                        raise Error(_NOT_FOUND)

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
            elif (
                replace
                and level == 2
                and not row[1] & (_E | _MANDATORY)
                and (row[1] & _W or anyway)
            ):
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

    def create(self, oid, iid, records, origin=None, anyway=False):
        """Create an instance with the values of records; its ID is the return value.

        iid: None lets the device choose. Errors: 4.04 unknown object, 4.05 not to
        be created, 4.00 taken ID or bad values, 5.00 full.
        """
        instances = self.object(oid)
        cls = self.classes[oid]
        if not (cls.CREATE or (anyway and (cls.MULTIPLE or not instances))):
            raise Error(_METHOD_NOT_ALLOWED)
        if len(instances) >= MAX_INSTANCES:
            raise Error(_INTERNAL)
        if iid is None:
            iid = self.free_iid(instances)
        elif iid in instances or not 0 <= iid <= _MAX_ID:
            raise Error(_BAD_REQUEST)
        instance = cls()
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
        if not (self.classes[path[0]].CREATE or anyway):
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
                    version = _version(self.classes[oid], lwm2m)
                    if version or not self.objects[oid]:
                        out.append(((oid,), version))
                    for iid in sorted(self.objects[oid]):
                        out.append(((oid, iid), []))
            return out
        self.present(path)
        if len(path) == 1:
            out.append((path, _version(self.classes[path[0]], lwm2m)))
            if depth is None or depth > 0:
                for instance in self.instances(path[0]):
                    self._links_instance(out, instance, 1 if depth is None else depth - 1)
        elif len(path) == 2:
            self._links_instance(
                out, self.instance(path[0], path[1]), 1 if depth is None else depth
            )
        elif len(path) == 3:
            instance = self.instance(path[0], path[1])
            self._links_resource(
                out, instance, find(instance.TABLE, path[2]), 1 if depth is None else depth
            )
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


class Dispatcher:
    # Of server.Dispatcher.

    def _operate(self, request, account, responder, now):
        path = path_of(request)
        code = request.code
        if not path:
            if code == _FETCH:
                return self._fetch(request, account, responder, now)
            if code == _IPATCH:
                return self._write_composite(request, account)
        elif path[0] in HIDDEN:
            raise Error(_UNAUTHORIZED)
        if code == _GET:
            return self._get(request, path, account, responder, now)
        if code == _PUT:
            if request.opt(_CONTENT_FORMAT) is None and not len(request.payload):
                account.reporting.write_attributes(path, queries_of(request))
                return Message(_CHANGED)
            return self._write(request, path, account, True)
        if code == _POST:
            return self._post(request, path, account, responder)
        if code == _DELETE:
            if len(path) != 2:
                raise Error(_METHOD_NOT_ALLOWED)
            self.model.delete(path, account)
            return Message(_DELETED)
        raise Error(_METHOD_NOT_ALLOWED)

    def _get(self, request, path, account, responder, now):
        if not path:
            raise Error(_METHOD_NOT_ALLOWED)
        accept = request.uint(_ACCEPT)
        if accept == _LINK_FORMAT:
            return self._discover(request, path, account)
        response = self.content(path, accept)
        if request.uint(_OBSERVE) == 0:
            handle = responder.observe()
            if handle is not None:  # None: no room, so it is answered as a Read
                account.observe(path, None, accept, handle, now)
        return response

    def composite(self, paths, accept):
        """2.05 with what a Read-Composite of paths gives: what is not there, or not to be
        read, is left out (Core 1.2.2 section 6.3.9)."""
        nodes = []
        for path in paths:
            if path and path[0] in HIDDEN:
                continue
            for oid in (path[0],) if path else sorted(self.model.objects):
                if oid not in HIDDEN:
                    try:
                        nodes += self.model.read(path or (oid,))
                    except Error:
                        pass
        return self._encoded((), nodes, accept)

    def _fetch(self, request, account, responder, now):
        fmt = get(request.uint(_CONTENT_FORMAT, _TEXT))
        if fmt is None or not hasattr(fmt, "decode_paths"):
            raise Error(_UNSUPPORTED_FORMAT)
        paths = fmt.decode_paths(request.payload)
        accept = request.uint(_ACCEPT)
        response = self.composite(paths, accept)
        if request.uint(_OBSERVE) == 0:
            handle = responder.observe()
            if handle is not None:
                account.observe((), paths, accept, handle, now)
        return response

    def _write_composite(self, request, account):
        # Atomic over all objects that it names (Core 1.2.2 section 6.3.10).
        fmt = get(request.uint(_CONTENT_FORMAT, _TEXT))
        if fmt is None or not hasattr(fmt, "decode_paths"):
            raise Error(_UNSUPPORTED_FORMAT)
        records = fmt.decode((), request.payload, self.model.typeof)
        targets = {}
        for path, value in records:
            if path[0] in HIDDEN:
                raise Error(_UNAUTHORIZED)
            self.model.row(path)
            targets.setdefault(path[:2], []).append((path, value))
        changes = []
        for path in targets:
            instance = self.model.instance(path[0], path[1])
            changes += self.model.plan(instance, path, targets[path], False)
        if not changes:
            raise Error(_BAD_REQUEST)
        self.model.apply(changes, account)
        return Message(_CHANGED)

    def _discover(self, request, path, account):
        depth = None
        for query in queries_of(request):
            if query.startswith("depth="):
                try:
                    depth = int(query[6:])
                except ValueError:
                    raise Error(_BAD_REQUEST)
                if not 0 <= depth <= 3:
                    raise Error(_BAD_REQUEST)
        links = self.model.links(path, depth, lwm2m=account.registration.version)
        for where, attributes in links:
            if account.reports:
                attributes.extend(account.reports.attributes_of(where))
        msg = Message(_CONTENT)
        msg.add(_CONTENT_FORMAT, _LINK_FORMAT)
        msg.payload = self.links_payload(links)
        return msg

    def links_payload(self, links):
        """Link-format text of a list of (path, attributes). Error 5.00 when it does not fit."""
        from .formats.link import encode_links

        while True:
            try:
                return bytes(self._view[: encode_links(links, self.buf)])
            except ValueError:
                self._grow()

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

    def _post(self, request, path, account, responder):
        if len(path) == 1:
            return self._create(request, path, account)
        if len(path) == 3:
            row = self.model.row(path)
            if row[2] is None:
                if request.uint(_CONTENT_FORMAT, _TEXT) != _TEXT:
                    raise Error(_UNSUPPORTED_FORMAT)
                after = self.model.execute(path, arguments_of(request.payload))
                if callable(after):
                    account.after_answer(after)
                return Message(_CHANGED)
        return self._write(request, path, account, False)

    def _create(self, request, path, account):
        self.model.object(path[0])
        records = []
        if request.opt(_CONTENT_FORMAT) is not None and len(request.payload):
            records = self.decode(request, path)
        iid = None
        for where, _ in records:
            if where[1] is not None:
                if iid is not None and iid != where[1]:
                    raise Error(_BAD_REQUEST)
                iid = where[1]
        chosen = iid is None
        iid = self.model.create(path[0], iid, records, account)
        msg = Message(_CREATED)
        if chosen:  # Location-Path only where the server did not choose the ID
            msg.add(_LOCATION_PATH, str(path[0]))
            msg.add(_LOCATION_PATH, str(iid))
        return msg
