# Whether a configuration makes sense: accounts, their keys, the way to each server.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2 section 6.1.3 (factory bootstrap), appendix E.1 and E.2

from coap.codec import Error
from .seldom import oscore_link, parse_uri
from .writing import is_id

# Of a row of a table (model.py), and of its types.
_E = const(4)
_MULTI = const(8)
_OBJLNK = const(7)

# Security modes (resource 2 of /0). OSCORE runs over PSK or over NOSEC.
_PSK = const(0)
_NOSEC = const(3)

_MAX_ID = const(65534)


class Security:
    # Of objects.accounts.Security.

    def validate(self):
        if not self.uri.startswith(("coap://", "coaps://")):
            raise ValueError("uri")
        if self.mode not in (_PSK, _NOSEC):
            raise ValueError("mode")
        if self.ssid is not None and not 1 <= self.ssid <= _MAX_ID and not self.bootstrap:
            raise ValueError("ssid")
        if self.oscore is not None and self.oscore[0] not in (21, 65535):
            raise ValueError("oscore")


class OSCORE:
    # Of objects.accounts.OSCORE.

    def validate(self):
        if self.check:
            self.check()


def checked(model, objects):
    """(instance ID, instance) of all that a configuration has, not yet added."""
    for oid in objects:
        if not is_id(oid) or not isinstance(objects[oid], dict):
            raise ValueError("/%r: no map of instances" % (oid,))
        for iid in objects[oid]:
            try:
                instance = model.fill(oid, iid, values_of(model, oid, iid, objects[oid][iid]))
                instance.validate()
            except ValueError as e:
                raise ValueError("/%d/%r: %s" % (oid, iid, e))
            yield iid, instance


def values_of(model, oid, iid, given):
    """{resource ID: value} of an instance of a configuration, of the types that the table says;
    what the table does not know is left out. given: the same, of any origin. Raises ValueError
    that names what cannot be."""
    if not is_id(iid):
        raise ValueError("no instance ID")
    if not isinstance(given, dict):
        raise ValueError("no map of resources")
    if oid not in model.classes:
        raise ValueError("no such object in this firmware")
    values = {}
    for row in model.classes[oid].TABLE:
        if row[0] in given and not row[1] & _E:
            try:
                values[row[0]] = _value(row, given[row[0]])
            except (Error, TypeError):
                raise ValueError(row[3] + ": a value of the wrong type")
    return values


def _value(row, value):
    if not row[1] & _MULTI:
        return _single(row[2], value)
    values = {}
    for riid in value:
        if not is_id(riid):
            raise TypeError
        values[riid] = _single(row[2], value[riid])
    return values


def _single(kind, value):
    if kind == _OBJLNK and isinstance(value, (list, tuple)):
        if len(value) != 2 or not is_id(value[0], 65535) or not is_id(value[1], 65535):
            raise TypeError
        return tuple(value)
    from .formats.value import coerce

    return coerce(kind, value)


def check_dtls(security):
    """ValueError says why DTLS as an instance of /0 wants it is not to be had here."""
    if security.mode == _PSK or security.uri.startswith("coaps:"):
        try:
            from .dtls import check
        except ImportError:
            raise ValueError("this firmware has no DTLS")
        check(security)


def _valid(where, check, *args):
    try:
        check(*args)
    except ValueError as e:
        raise ValueError("%s: %s" % (where, e))


def pairs(client):
    """Client.check()."""
    servers = {}
    for server in client.model.instances(1):
        where = "/1/%d" % server.iid
        _valid(where, server.validate)
        if server.ssid in servers:
            raise ValueError(
                "%s: the short server ID of /1/%d" % (where, servers[server.ssid].iid)
            )
        servers[server.ssid] = server
    linked = {}
    found = []
    bootstrap = None
    for security in client.model.instances(0):
        where = "/0/%d" % security.iid
        _valid(where, security.validate)
        _valid(where, parse_uri, security.uri)
        if client.transport is None:
            _valid(where, check_dtls, security)
        link = oscore_link(security)
        if link is not None:
            if link in linked:
                raise ValueError(
                    "%s and /0/%d link to the same /21/%d" % (where, linked[link], link)
                )
            linked[link] = security.iid
            keys = client.model.objects.get(21, ())
            if link not in keys:
                raise ValueError("%s/17: no /21/%d" % (where, link))
            _valid("/21/%d" % link, keys[link].validate)
            if client.secure is None:
                raise ValueError(where + "/17: this firmware has no OSCORE")
        if security.bootstrap:
            if bootstrap:
                raise ValueError(where + ": a second Bootstrap-Server")
            bootstrap = security
        elif security.ssid not in servers:
            raise ValueError("%s: no /1 of short server ID %s" % (where, security.ssid))
        else:
            found.append((security, servers.pop(security.ssid)))
    for ssid in servers:
        raise ValueError("/1/%d: no /0 of short server ID %s" % (servers[ssid].iid, ssid))
    return found
