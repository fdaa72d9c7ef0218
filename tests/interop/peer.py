# Starts the Leshan peer and speaks to it: the reference LwM2M server of the tests and of the demo.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# The peer itself is leshan/LeshanPeer.java; leshan/Api.java lists the routes.
#
# By hand:  python tests/interop/peer.py --http 9080 --coap 6683 --bs 6783
#
# Rest speaks to a Leshan demo server that someone else runs as well: Rest("http://host:8080").
# Only the standard library is imported, so that tools may use this file.

import argparse
import http.client
import json
import selectors
import signal
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent.parent / "build" / "leshan-peer"
START_S = 30  # a cold JVM on a busy machine; usual are 1.1 s


class PeerMissing(Exception):
    """The peer cannot be built on this machine; the text says what to install."""


class PeerError(Exception):
    """The peer refused a call, or could not carry it out. `http` is the status code."""

    def __init__(self, http, text):
        super().__init__("HTTP %d: %s" % (http, text))
        self.http = http


class PeerTimeout(PeerError):
    """The device did not answer the peer in time."""


def build():
    """Compile the peer where it is not up to date. Raises PeerMissing without a JDK or Maven."""
    done = subprocess.run([str(HERE / "leshan" / "build.sh")], capture_output=True, text=True)
    if done.returncode == 3:
        raise PeerMissing(done.stderr.strip())
    if done.returncode:
        raise RuntimeError("the Leshan peer does not build:\n" + done.stderr)


# ---- Values: Python's on this side, the REST interface's JSON on the other --------------------


def plain(node):
    """A node of the REST interface as a Python value.

    A resource gives its value: str, int, float, bool, bytes, a time as seconds since 1970 and an
    object link as (oid, iid). What has members gives a dict by their numbers.
    """
    if node is None:
        return None
    if "instances" in node:
        return {n["id"]: plain(n) for n in node["instances"]}
    if "resources" in node:
        return {n["id"]: plain(n) for n in node["resources"]}
    if "values" in node:
        return {int(riid): _plain_value(node["type"], v) for riid, v in node["values"].items()}
    return _plain_value(node["type"], node["value"])


def _plain_value(type, value):
    type = type.upper()
    if type in ("INTEGER", "UNSIGNED_INTEGER"):
        return int(value)
    if type == "FLOAT":
        return float(value)
    if type == "TIME":
        return value // 1000
    if type == "OPAQUE":
        return bytes.fromhex(value)
    if type == "OBJLNK":
        return value["objectId"], value["objectInstanceId"]
    return value


class Typed:
    """A value with its LwM2M type ("float", "unsigned_integer", "time", ...) said outright."""

    def __init__(self, type, value):
        self.type, self.value = type, value


_GUESS = ((bool, "boolean"), (int, "integer"), (float, "float"), (str, "string"),
          (bytes, "opaque"), (tuple, "objlnk"))  # fmt: skip


def _json_value(value):
    if isinstance(value, Typed):
        if value.type == "time":
            return int(value.value * 1000)
        return _json_value(value.value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return {"objectId": value[0], "objectInstanceId": value[1]}
    if isinstance(value, bool):
        return value
    return str(value)


def _ids(path):
    return [int(n) for n in path.strip("/").split("/")]


class Answer:
    """A device's answer as the peer gives it.

    code is "2.05" as on the wire; ok says whether it is a 2.xx; value is the content as plain()
    has it; json is all that the peer said.
    """

    def __init__(self, answer):
        self.json = answer
        digits = answer["status"].rsplit("(", 1)[-1].rstrip(")")
        self.code = digits[0] + "." + digits[1:]
        self.ok = answer["success"]
        self.error = answer.get("errormessage")
        self.location = answer.get("location")

    @property
    def value(self):
        content = self.json.get("content")
        if content is not None and "kind" not in content and "instances" not in content:
            return {path: plain(node) for path, node in content.items()}  # a composite's
        return plain(content)

    @property
    def links(self):
        """A Discover's answer as {url: {attribute: text}}."""
        return {link["url"]: link["attributes"] for link in self.json.get("objectLinks", ())}

    def __repr__(self):
        return "<Answer %s %s>" % (self.code, self.json)


# ---- Events ----------------------------------------------------------------------------------


class Event:
    """name is REGISTRATION, UPDATED, NOTIFICATION, ...; ep the device; data the event's JSON."""

    def __init__(self, name, data):
        self.name, self.data, self.at = name, data, time.monotonic()
        registration = data.get("registration", data)
        self.ep = data.get("ep") or registration.get("endpoint")

    @property
    def values(self):
        """What a NOTIFICATION or SEND carries, as {path: value}."""
        if "res" in self.data:
            return {self.data["res"]: plain(self.data["val"])}
        return {path: plain(node) for path, node in self.data.get("val", {}).items()}

    def __repr__(self):
        return "<Event %s %s>" % (self.name, self.data)


class Events:
    """The stream of a server's events; a thread reads it from the moment of construction."""

    BOUND = 10_000  # events kept; at the bound the oldest go

    def __init__(self, rest):
        self._kept = deque(maxlen=self.BOUND)
        self._changed = threading.Condition()
        self._rest = rest
        self._socket = None
        self.open = False

    def connect(self):
        """Listen from here on; what happens after the return is not missed."""
        connection = http.client.HTTPConnection(self._rest.host, self._rest.port, timeout=10)
        connection.request("GET", self._rest.prefix + "/event", headers={"Accept": "text/event-stream"})
        self._socket = connection.sock
        stream = connection.getresponse()
        if stream.status != 200:
            raise PeerError(stream.status, stream.read().decode())
        self._socket.settimeout(None)
        self.open = True
        ready = threading.Event()
        threading.Thread(target=self._read, args=(stream, ready), daemon=True).start()
        # The peer says a first comment once it listens; the demo server does so on its answer.
        ready.wait(2)

    def _read(self, stream, ready):
        name, data = None, []
        try:
            for line in iter(stream.readline, b""):
                ready.set()
                line = line.decode().rstrip("\r\n")
                if line.startswith("event:"):
                    name = line[6:].strip()
                elif line.startswith("data:"):
                    data.append(line[5:].strip())
                elif not line and name:
                    with self._changed:
                        self._kept.append(Event(name, json.loads("\n".join(data))))
                        self._changed.notify_all()
                    name, data = None, []
        except (OSError, ValueError, http.client.HTTPException):
            pass  # the server is gone, or close() was called
        with self._changed:
            self.open = False
            self._changed.notify_all()

    def close(self):
        if self._socket:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()

    def wait_for(self, name, ep=None, timeout=10, match=None):
        """The oldest event of that name and endpoint for which match(event) holds, taken out of the
        queue; waits for it. Raises TimeoutError with what came instead."""
        until = time.monotonic() + timeout
        with self._changed:
            while True:
                for event in self._kept:
                    if event.name == name and ep in (None, event.ep) and (not match or match(event)):
                        self._kept.remove(event)
                        return event
                left = until - time.monotonic()
                if left <= 0 or not self.open:
                    why = "no %s of %s in %s s" % (name, ep, timeout)
                    if not self.open:
                        why = "the stream of events ended before a %s of %s" % (name, ep)
                    raise TimeoutError(why + "; there is " + (repr(self.pending(ep=ep)) or "nothing"))
                self._changed.wait(left)

    def wait_value(self, ep, path, timeout=10, match=None):
        """The value that the next NOTIFICATION or initial value of `path` brings.

        By path, not by kind: under OSCORE Leshan books every observation as a composite one.
        """
        event = self.wait_for(
            "NOTIFICATION", ep, timeout,
            lambda e: path in e.values and (not match or match(e.values[path])),
        )  # fmt: skip
        return event.values[path]

    def pending(self, name=None, ep=None):
        """Events that nobody has taken yet, oldest first."""
        with self._changed:
            return [e for e in self._kept if name in (None, e.name) and ep in (None, e.ep)]

    def clear(self, ep=None):
        with self._changed:
            for event in [e for e in self._kept if ep in (None, e.ep)]:
                self._kept.remove(event)


# ---- The REST interface ------------------------------------------------------------------------


class Rest:
    """Operations on devices by a Leshan server's REST interface. url: http://host:port."""

    knows_types = False  # the demo server wants the type of every value that is written

    def __init__(self, url):
        self._at(url)
        self.events = Events(self)

    def _at(self, url):
        parts = urlsplit(url)
        self.url, self.host, self.port = url.rstrip("/"), parts.hostname, parts.port or 80
        self.prefix = parts.path.rstrip("/") + "/api"

    def call(self, method, path, body=None, query="", wait_s=30):
        """One HTTP call: path below /api; query as a mapping (None leaves a name out) or as text;
        body as text or what JSON can say. Gives the parsed JSON or None. Raises PeerError, and
        PeerTimeout for a device that did not answer."""
        if not isinstance(query, str):
            query = urlencode({k: v for k, v in query.items() if v is not None})
        if body is not None and not isinstance(body, str):
            body = json.dumps(body)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        connection = http.client.HTTPConnection(self.host, self.port, timeout=wait_s)
        try:
            url = self.prefix + quote(path) + ("?" + query if query else "")
            connection.request(method, url, body and body.encode(), headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status >= 400:
            raise (PeerTimeout if answer.status == 504 else PeerError)(answer.status, text)
        return json.loads(text) if text else None

    def _device(self, method, ep, path, body=None, **query):
        wait_s = query.get("timeout", 5) + 10
        return Answer(self.call(method, "/clients/" + ep + path, body, query, wait_s))

    # clients

    def clients(self):
        """Registrations as the server shows them, by endpoint name."""
        return {c["endpoint"]: c for c in self.call("GET", "/clients")}

    def registration(self, ep):
        """The registration of one device, or None."""
        return self.clients().get(ep)

    def read(self, ep, path, fmt=None, timeout=5):
        """fmt: TLV, TEXT, OPAQUE, CBOR, SENML_CBOR, SENML_JSON, JSON, or None for no Accept."""
        return self._device("GET", ep, path, format=fmt, timeout=timeout)

    def write(self, ep, path, value, fmt=None, replace=True, timeout=5):
        """Write-Replace (PUT), or with replace=False Write-Update (POST).

        value: a Python value, Typed, or for an instance {rid: value}, for a multiple resource
        {riid: value}. Without fmt Leshan sends TLV.
        """
        replace = None if replace else "false"
        return self._device("PUT", ep, path, self.node(path, value), format=fmt, replace=replace, timeout=timeout)

    def execute(self, ep, path, arguments=None, timeout=5):
        """arguments: text as LwM2M has it, `0='1',1`."""
        return self._device("POST", ep, path, arguments, timeout=timeout)

    def create(self, ep, oid, resources, iid=None, fmt=None, timeout=5):
        """resources: {rid: value}. Without iid the device chooses; its answer's location says which."""
        node = self.node("/%d/%d" % (oid, iid or 0), resources)
        del node["id"]
        if iid is not None:
            node["id"] = iid
        return self._device("POST", ep, "/%d" % oid, node, format=fmt, timeout=timeout)

    def delete(self, ep, path, timeout=5):
        return self._device("DELETE", ep, path, timeout=timeout)

    def discover(self, ep, path, timeout=5):
        return self._device("GET", ep, path + "/discover", timeout=timeout)

    def write_attributes(self, ep, path, **attributes):
        """pmin=1 sets, pmin=None removes."""
        query = "&".join(k if v is None else "%s=%s" % (k, v) for k, v in attributes.items())
        return Answer(self.call("PUT", "/clients/" + ep + path + "/attributes", None, query))

    def observe(self, ep, path, fmt="SENML_CBOR", timeout=5):
        """The answer has the first value; later ones come as events (Events.wait_value).

        Under OSCORE Leshan understands notifications in a SenML format only.
        """
        return self._device("POST", ep, path + "/observe", format=fmt, timeout=timeout)

    def cancel(self, ep, path, active=False):
        """Passive: the server forgets, and resets the next notification. Active: it asks the device."""
        return self.call("DELETE", "/clients/" + ep + path + "/observe", None, "active" if active else "")

    def observations(self, ep):
        """Paths under observation (the peer's own route)."""
        return [o["paths"] for o in self.call("GET", "/clients/" + ep + "/observations")]

    def read_composite(self, ep, paths, fmt="SENML_CBOR", timeout=5):
        return self._device("GET", ep, "/composite", paths=",".join(paths), pathformat=fmt, nodeformat=fmt,
                            timeout=timeout)  # fmt: skip

    def write_composite(self, ep, values, fmt="SENML_CBOR", timeout=5):
        """values: {path of a resource or resource instance: value}."""
        nodes = {path: self.node(path, value) for path, value in values.items()}
        return self._device("PUT", ep, "/composite", nodes, nodeformat=fmt, timeout=timeout)

    def observe_composite(self, ep, paths, fmt="SENML_CBOR", timeout=5):
        return self._device("POST", ep, "/composite/observe", paths=",".join(paths), pathformat=fmt,
                            nodeformat=fmt, timeout=timeout)  # fmt: skip

    def cancel_composite(self, ep, paths, active=False):
        query = urlencode({"paths": ",".join(paths)}) + ("&active" if active else "")
        return self.call("DELETE", "/clients/" + ep + "/composite/observe", None, query)

    # accounts

    def set_account(self, ep, sender_id, recipient_id, master_secret, master_salt="", aead=None, hkdf=None,
                    bootstrap=False):  # fmt: skip
        """An account of the device `ep`, all in hex and as the **server** has it: its sender_id is
        the device's Recipient ID. The demo server takes no salt and no algorithms."""
        oscore = {"sid": sender_id, "rid": recipient_id, "msec": master_secret, "msalt": master_salt}
        if aead is not None:
            oscore["aead"] = aead
        if hkdf is not None:
            oscore["hkdf"] = hkdf
        path = ("/bs" if bootstrap else "") + "/security/clients"
        self.call("PUT", path + ("" if self.knows_types else "/"), {"endpoint": ep, "oscore": oscore})

    def set_psk_account(self, ep, identity, key):
        """An account of the device `ep` for DTLS with a pre-shared key: identity as text, key in
        hex. It takes the place of any other of `ep`."""
        details = {"identity": identity, "key": key}
        body = {"endpoint": ep, "tls": {"mode": "psk", "details": details}}
        self.call("PUT", "/security/clients" + ("" if self.knows_types else "/"), body)

    def delete_account(self, ep, bootstrap=False):
        """The OSCORE context goes with it; the registration stays listed."""
        self.call("DELETE", ("/bs" if bootstrap else "") + "/security/clients/" + ep)

    # nodes

    def node(self, path, value):
        """The JSON of a value at a path of 2, 3 or 4 numbers."""
        ids = _ids(path)
        if len(ids) == 2:
            resources = [self.node("%s/%d" % (path.rstrip("/"), rid), v) for rid, v in value.items()]
            return {"kind": "instance", "id": ids[1], "resources": resources}
        out = {"id": ids[-1]}
        if isinstance(value, dict):
            out.update(kind="multiResource", values={str(i): _json_value(v) for i, v in value.items()})
            sample = next(iter(value.values()), None)
        else:
            out.update(kind=("singleResource", "resourceInstance")[len(ids) == 4], value=_json_value(value))
            sample = value
        if isinstance(sample, Typed):
            out["type"] = sample.type
        elif not self.knows_types:
            out["type"] = next(name for cls, name in _GUESS if isinstance(sample, cls))
        return out


# ---- The peer as a process -----------------------------------------------------------------------


class Peer(Rest):
    """The Leshan peer as a child process on 127.0.0.1, and its REST interface.

    http, coap, bs: ports, 0 for any free one; attributes of the same names have them once it runs,
    and a restart takes the same again. block: bodies above that many bytes go block-wise.
    ack_ms: ACK_TIMEOUT of the server. lwm2m: the newest version it takes ("1.1": a device that
    says 1.2 gets 4.12). awake_ms: when a client in queue mode falls asleep. log: Leshan's own level.
    coaps: a port for DTLS with a pre-shared key, without OSCORE; None for none.
    """

    knows_types = True

    def __init__(self, http=0, coap=0, bs=0, block=None, ack_ms=None, lwm2m=None, awake_ms=None, log="error",
                 coaps=None):  # fmt: skip
        self.ports = {"http": http, "coap": coap, "bs": bs}
        if coaps is not None:
            self.ports["coaps"] = coaps
        self._options = {"block": block, "ack": ack_ms, "lwm2m": lwm2m, "awake": awake_ms}
        self._log = log
        self._process = None
        self._stderr = None
        self._accounts = {}
        self._bootstraps = {}
        super().__init__("http://127.0.0.1:0")

    @property
    def coap(self):
        return self.ports["coap"]

    @property
    def bs(self):
        return self.ports["bs"]

    @property
    def coaps(self):
        return self.ports["coaps"]

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()

    def start(self):
        """Build if needed, start, and wait until all three ports listen. Raises PeerMissing."""
        build()
        java = shutil.which("java")
        if not java:
            raise PeerMissing("the Leshan peer needs Java: apt install default-jdk-headless")
        options = {**self.ports, **{k: v for k, v in self._options.items() if v is not None}}
        self._stderr = tempfile.TemporaryFile("a+b")  # appended to, so that log() may seek
        self._process = subprocess.Popen(
            [java, "-Xmx64m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
             "-Dorg.slf4j.simpleLogger.defaultLogLevel=" + self._log,
             "-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dsun.net.httpserver.nodelay=true",
             "-Dstdin=true", "-Dhold=true", *("-D%s=%s" % o for o in options.items()),
             "-cp", "%s:%s/*" % (BUILD / "cls", BUILD / "lib"), "LeshanPeer"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr,
        )  # fmt: skip
        ready = self._ready_line()
        self.ports = {name: int(port) for name, port in (word.split("=") for word in ready.split()[1:])}
        self._at("http://127.0.0.1:%d" % self.ports["http"])
        self.events.connect()
        # A server that kept its accounts has them before it hears the first datagram.
        for args, kw in self._accounts.values():
            super().set_account(*args, **kw)
        for ep, body in self._bootstraps.items():
            self.call("POST", "/bootstrap/" + ep, body)
        self.call("POST", "/start")
        return self

    def _ready_line(self):
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            line = self._process.stdout.readline().decode() if selector.select(START_S) else ""
        if not line.startswith("READY "):
            self.kill()
            raise RuntimeError("the Leshan peer did not start:\n" + self.log())
        return line

    def log(self):
        """What Leshan logged so far."""
        self._stderr.flush()
        self._stderr.seek(0)
        return self._stderr.read().decode(errors="replace")

    def stop(self):
        """End it; a no-op when it does not run."""
        self._end(lambda: self._process.stdin.close())

    def kill(self):
        """SIGKILL: registrations, contexts, accounts, all lost."""
        self._end(self._process.kill if self._process else None)

    def _end(self, how):
        if self._process is None:
            return
        how()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        if not self._process.stdin.closed:
            self._process.stdin.close()
        self._process = None
        self.events.close()

    def restart(self, accounts=True):
        """kill -9 and a new process on the same ports, which are silent for about a second.

        With accounts the keys and the bootstrap configurations are there again, as a server has
        them that keeps them on disk."""
        self.kill()
        if not accounts:
            self._accounts.clear()
            self._bootstraps.clear()
        self.start()

    def forget(self):
        """All that a restart loses, in the running process: 'restarted, accounts kept' at once."""
        self.call("POST", "/forget")

    def set_account(self, ep, *args, bootstrap=False, **kw):
        super().set_account(ep, *args, bootstrap=bootstrap, **kw)
        self._accounts[ep, bootstrap] = ((ep, *args), dict(kw, bootstrap=bootstrap))

    def delete_account(self, ep, bootstrap=False):
        self._accounts.pop((ep, bootstrap), None)
        super().delete_account(ep, bootstrap)

    def set_bootstrap(self, ep, uri=None, short_id=123, lifetime=300, delete=("/0", "/1", "/21"),
                      auto_id=False, fmt=None, psk=None, **oscore):  # fmt: skip
        """What the bootstrap server gives to `ep`: one LwM2M server (this peer's, if no uri), and
        with sender_id, recipient_id, master_secret (hex, as the **device** has them; master_salt,
        aead, hkdf) its OSCORE keys. psk: identity and key of DTLS, text and hex."""
        body = {"uri": uri or "coap://127.0.0.1:%d" % self.coap, "shortId": short_id, "lifetime": lifetime,
                "delete": list(delete), "autoId": auto_id}  # fmt: skip
        if fmt:
            body["format"] = fmt
        if psk:
            body["psk"] = {"identity": psk[0], "key": psk[1]}
        if oscore:
            names = {"sender_id": "sid", "recipient_id": "rid", "master_secret": "msec", "master_salt": "msalt"}
            body["oscore"] = {names.get(name, name): value for name, value in oscore.items()}
        self.call("POST", "/bootstrap/" + ep, body)
        self._bootstraps[ep] = body

    @contextmanager
    def newest(self, version):
        """Within: a Register that says a newer LwM2M version gets 4.12 (None: none does)."""
        before = self.call("GET", "/lwm2m")["newest"]
        self.call("PUT", "/lwm2m", version or "")
        try:
            yield
        finally:
            self.call("PUT", "/lwm2m", before or "")


def main():
    parser = argparse.ArgumentParser(description="Run the Leshan peer on 127.0.0.1 until Ctrl-C.")
    for name, what in (("http", "REST"), ("coap", "LwM2M server"), ("bs", "bootstrap server")):
        parser.add_argument("--" + name, type=int, default=0, metavar="PORT", help=what + "'s port (any free one)")
    parser.add_argument("--block", type=int, metavar="BYTES", help="bodies above this go block-wise")
    parser.add_argument("--lwm2m", metavar="VERSION", help="refuse a newer LwM2M version with 4.12")
    parser.add_argument("--log", default="warn", help="Leshan's log level (%(default)s)")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Peer(args.http, args.coap, args.bs, block=args.block, lwm2m=args.lwm2m, log=args.log) as peer:
            print("READY http=%(http)d coap=%(coap)d bs=%(bs)d" % peer.ports, flush=True)
            peer._process.wait()
            sys.exit("the peer ended:\n" + peer.log())
    except PeerMissing as e:
        sys.exit(str(e))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
