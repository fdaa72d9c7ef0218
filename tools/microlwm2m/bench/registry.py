# Who is registered at the bench server: Register, Update, De-register and their links.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# LwM2M Core 1.2 section 6.2, Transport 1.2 section 6.4.3; RFC 6690 (link format).

import secrets
from dataclasses import dataclass, field

from aiocoap import Message
from aiocoap.numbers import codes

DEFAULT_LIFETIME = 86400
VERSIONS = ("1.0", "1.1", "1.2")
LINK_FORMAT = 40
MAX_REGISTRATIONS = 1000
EXPIRY_GRACE = 2.0  # seconds after the end of a lifetime in which an Update may still arrive


class LinkError(ValueError):
    """Text that is not link-format."""


def parse_links(text):
    """[(target, {attribute: value or None})] of link-format text; values are strings,
    without their quotes. Raises LinkError."""
    links, position = [], 0

    def expect(character):
        nonlocal position
        if text[position : position + 1] != character:
            raise LinkError("%r expected at %d" % (character, position))
        position += 1

    def until(stops):
        nonlocal position
        start = position
        while position < len(text) and text[position] not in stops:
            position += 1
        return text[start:position]

    while True:
        expect("<")
        target = until(">")
        expect(">")
        attributes = {}
        while text[position : position + 1] == ";":
            position += 1
            name = until("=;,")
            if not name:
                raise LinkError("attribute without a name at %d" % position)
            value = None
            if text[position : position + 1] == "=":
                position += 1
                if text[position : position + 1] == '"':
                    position += 1
                    value = until('"')
                    expect('"')
                else:
                    value = until(";,")
            attributes[name] = value
        links.append((target, attributes))
        if position == len(text):
            return links
        expect(",")


def parse_path(text):
    """(oid, iid, ...) of "/3/0/9"; "/" is (). Raises ValueError."""
    if not text.startswith("/"):
        raise ValueError("%s: a path begins with /" % text)
    parts = [p for p in text.strip("/").split("/") if p]
    if len(parts) > 4:
        raise ValueError("%s: a path has at most four numbers" % text)
    try:
        path = tuple(int(p) for p in parts)
    except ValueError:
        raise ValueError("%s: a path is made of numbers" % text) from None
    if any(not 0 <= n < 65536 for n in path):
        raise ValueError("%s: numbers are below 65536" % text)
    return path


def format_path(path):
    """The text of a path."""
    return "/" + "/".join(map(str, path))


@dataclass
class Registration:
    """A registered device. objects: {oid: sorted list of iids}. versions: {oid: text}.
    formats: content formats that it listed with `ct`. links: as it sent them."""

    endpoint: str
    location: str
    peer: tuple
    sealed: bool
    lwm2m: str
    lifetime: int = DEFAULT_LIFETIME
    binding: str = "U"
    queue: bool = False
    links: list = field(default_factory=list)
    registered: float = 0.0
    updated: float = 0.0
    timer: object = field(default=None, repr=False)

    @property
    def objects(self):
        found = {}
        root = self.root
        for target, _ in self.links:
            try:
                path = parse_path(target[len(root) :] if target.startswith(root) else target)
            except ValueError:
                continue
            if path:
                found.setdefault(path[0], set()).update(path[1:2])
        return {oid: sorted(iids) for oid, iids in sorted(found.items())}

    @property
    def root(self):
        """The path before the objects, "" when it is "/"."""
        for target, attributes in self.links:
            if "oma.lwm2m" in (attributes.get("rt") or "").split():
                return target.rstrip("/")
        return ""

    @property
    def versions(self):
        return {
            parse_path(target[len(self.root) :])[0]: attributes["ver"]
            for target, attributes in self.links
            if attributes.get("ver") and target[len(self.root) :].strip("/").isdigit()
        }

    @property
    def formats(self):
        for _, attributes in self.links:
            if attributes.get("ct"):
                return [int(n) for n in attributes["ct"].split() if n.isdigit()]
        return []

    def listing(self):
        """Its object instances in one word: /1/0,/3/0."""
        return ",".join(
            format_path((oid, iid)) for oid, iids in self.objects.items() for iid in iids
        ) or ",".join(format_path((oid,)) for oid in self.objects)


class Refusal(Exception):
    """code: what a registration request is answered with."""

    def __init__(self, code, why):
        super().__init__(why)
        self.code = code


class Registry:
    """Registrations by endpoint name.

    emit(name, endpoint, **data): is told what happened. loop: for the lifetimes.
    versions: values of `lwm2m` that are taken, others get 4.12.
    on_gone(registration): is called when one ended or was replaced. has_account(endpoint):
    whether that endpoint may only register with protection.
    """

    def __init__(self, emit, loop, now, versions=VERSIONS, on_gone=lambda r: None,
                 has_account=lambda endpoint: False):
        self.emit, self.loop, self.now = emit, loop, now
        self.accepted, self.on_gone, self.has_account = versions, on_gone, has_account
        self.by_endpoint = {}
        self.by_location = {}

    def __iter__(self):
        return iter(self.by_endpoint.values())

    def get(self, endpoint):
        """The registration of an endpoint; KeyError."""
        return self.by_endpoint[endpoint]

    def clear(self):
        """Forget everything without a word."""
        for registration in self:
            if registration.timer is not None:
                registration.timer.cancel()
        self.by_endpoint.clear()
        self.by_location.clear()

    def handle(self, request, peer, account_endpoint):
        """Answer a request to /rd or below it. account_endpoint: whose account sealed it,
        None for a plain one. Raises Refusal."""
        path = request.opt.uri_path
        sealed = account_endpoint is not None
        if len(path) == 1:
            if request.code != codes.POST:
                raise Refusal(codes.METHOD_NOT_ALLOWED, "%s /rd" % request.code)
            return self._register(request, peer, account_endpoint)
        registration = self.by_location.get("/".join(path))
        # Whoever is not its owner learns nothing about a location.
        if registration is None or registration.sealed != sealed or (
            sealed and registration.endpoint != account_endpoint
        ):
            raise Refusal(codes.NOT_FOUND, "no such registration")
        if request.code == codes.POST:
            return self._update(registration, request, peer)
        if request.code == codes.DELETE:
            self._end(registration)
            self.emit("deregistered", registration.endpoint, location=registration.location)
            return Message(code=codes.DELETED)
        raise Refusal(codes.METHOD_NOT_ALLOWED, "%s on a registration" % request.code)

    def _register(self, request, peer, account_endpoint):
        query = _query(request)
        endpoint = query.get("ep") or account_endpoint
        if not endpoint:
            raise Refusal(codes.BAD_REQUEST, "no endpoint name")
        if account_endpoint is not None and endpoint != account_endpoint:
            raise Refusal(codes.FORBIDDEN, "endpoint name of another account")
        if account_endpoint is None and self.has_account(endpoint):
            raise Refusal(codes.FORBIDDEN, "an endpoint with an account, without protection")
        version = query.get("lwm2m")
        if not version:
            raise Refusal(codes.BAD_REQUEST, "no lwm2m version")
        if version not in self.accepted:
            raise Refusal(codes.PRECONDITION_FAILED, "lwm2m=%s" % version)
        if request.opt.content_format not in (None, LINK_FORMAT):
            raise Refusal(codes.UNSUPPORTED_CONTENT_FORMAT, "not link-format")
        old = self.by_endpoint.get(endpoint)
        if old is None and len(self.by_endpoint) >= MAX_REGISTRATIONS:
            raise Refusal(codes.SERVICE_UNAVAILABLE, "too many registrations")
        registration = Registration(
            endpoint, "rd/" + secrets.token_hex(4), peer, account_endpoint is not None, version,
            registered=self.now(),
        )
        self._take(registration, query, request, register=True)
        if old is not None:
            self._end(old)
        self.by_endpoint[endpoint] = registration
        self.by_location[registration.location] = registration
        self._watch(registration)
        self.emit(
            "registered", endpoint, location=registration.location, lt=registration.lifetime,
            lwm2m=version, b=registration.binding, queue=registration.queue or None,
            sealed=registration.sealed, peer=peer, objects=registration.listing(),
            replaces=old.location if old else None,
        )
        return Message(code=codes.CREATED, location_path=registration.location.split("/"))

    def _update(self, registration, request, peer):
        query = _query(request)
        moved = peer != registration.peer
        self._take(registration, query, request, register=False)
        registration.peer = peer
        self._watch(registration)
        self.emit(
            "updated", registration.endpoint, location=registration.location,
            lt=query.get("lt"), b=query.get("b"), peer=peer if moved else None,
            objects=registration.listing() if request.payload else None,
        )
        return Message(code=codes.CHANGED)

    # Checks everything before it changes anything.
    def _take(self, registration, query, request, register):
        lifetime = query.get("lt")
        if lifetime is not None:
            if not lifetime.isdigit() or not 0 < int(lifetime) < 1 << 32:
                raise Refusal(codes.BAD_REQUEST, "lt=%s" % lifetime)
            lifetime = int(lifetime)
        binding = query.get("b")
        if binding is not None and (not binding or set(binding) - set("UTSNMHQ")):
            raise Refusal(codes.BAD_REQUEST, "b=%s" % binding)
        links = None
        if request.payload or register:
            try:
                links = parse_links(request.payload.decode())
            except ValueError as e:
                raise Refusal(codes.BAD_REQUEST, "links: %s" % e)
        if register:
            registration.queue = "Q" in query or "Q" in (binding or "")
        registration.lifetime = lifetime or registration.lifetime
        registration.binding = binding or registration.binding
        registration.links = links if links is not None else registration.links
        registration.updated = self.now()

    def _watch(self, registration):
        if registration.timer is not None:
            registration.timer.cancel()
        # asyncio's timers hold about 49 days; longer lifetimes outlast any bench.
        wait = min(registration.lifetime + EXPIRY_GRACE, 4_000_000)
        registration.timer = self.loop.call_later(wait, self._expire, registration)

    def _expire(self, registration):
        self._end(registration)
        self.emit("expired", registration.endpoint, location=registration.location)

    def _end(self, registration):
        if registration.timer is not None:
            registration.timer.cancel()
        self.by_location.pop(registration.location, None)
        if self.by_endpoint.get(registration.endpoint) is registration:
            del self.by_endpoint[registration.endpoint]
        self.on_gone(registration)


def _query(request):
    query = {}
    for part in request.opt.uri_query:
        name, _, value = part.partition("=")
        query[name] = value
    return query
