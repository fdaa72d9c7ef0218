# The demo: all of it against three servers, and what it says when something is not right.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import asyncio
import contextlib
import io
import json
import os
import re
import shutil
import signal
import socket
import socketserver
import stat
import subprocess
import sys
import threading
from pathlib import Path
from urllib.request import urlopen

import pytest
from needs import require

from microlwm2m import unixport
from microlwm2m.bench import Account
from microlwm2m.demo import Failed
from microlwm2m.demo.__main__ import parse
from microlwm2m.demo.servers import coap_uri
from microlwm2m.demo.steps import Demo
from microlwm2m.demo.timeline import WIDTH, Timeline
from microlwm2m.demo.wire import B2_ANSWERS, B2_ASKS, B2_CONFIRMS, Wire
from microlwm2m.demo.words import tell

ROOT = Path(__file__).resolve().parents[2]
SECRET = bytes(range(0xB0, 0xC0))

# What a person sees of a whole run, in this order.
STORY = [
    r"\$ microlwm2m provision file:device\.img",
    r"it prints +file:device\.img: demo\S* -> coap://127\.0\.0\.1:\d+, sealed",
    r"device says +server 123: oscore: agreeing on fresh keys",
    r"-> +\d+ bytes sealed  B\.2 message 1, asks for fresh keys with R1 = [0-9a-f]{16}$",
    r"<- +\d+ bytes sealed  B\.2 message 2, 4\.01 with R2 = [0-9a-f]{16,32}$",
    r"-> +\d+ bytes sealed  B\.2 message 3, Register demo",
    r"<- +\d+ bytes sealed  Created as /rd/\w+$",
    r"device says +server 123: registered location=/rd/\w+",
    r"ok +the server has it: LwM2M 1\.[12], objects /1/0 /3/0 /3303/0$",
    r"<- +\d+ bytes sealed  Read /3/0/0 \(Manufacturer\)$",
    r'-> +\d+ bytes sealed  Content: "microlwm2m"$',
    r"<- +\d+ bytes sealed  Write /3/0/14 \(UTC Offset\): \"\+02:00\"$",
    r"-> +\d+ bytes sealed  Changed$",
    r'-> +\d+ bytes sealed  Content: "\+02:00"$',
    r"<- +\d+ bytes sealed  Execute /1/0/8 \(Registration Update Trigger\)$",
    r"-> +\d+ bytes sealed  Update$",
    r"device says +server 123: updated",
    r"<- +\d+ bytes sealed  Observe /3303/0/5700 \(Sensor Value\)$",
    *[r"-> +\d+ bytes sealed  Notification of /3303/0/5700 \(Sensor Value\): 2\d\.\d$"] * 3,
    r"ok +the server saw the temperature go 2\d",
    r"power off +SIGKILL",
    r"-> +\d+ bytes sealed  B\.2 message 1",
    r"-> +\d+ bytes sealed  B\.2 message 3, Register demo",
    r"ok +back \d+\.\d\d s after power on; keys and registration are new$",
    r"-> +\d+ bytes sealed  De-register$",
    r"device says +server 123: deregistered$",
    r"datagrams, \d+ bytes: \d+ sealed, 0 plain",
    r"In the clear: nothing\.",
    r"key ID [0-9a-f]+$",
    r"with the keys: Write /3/0/14 \(UTC Offset\): \"\+02:00\"$",
    r"^Done in \d+\.\d s\.$",
]


def command(*args, secret=SECRET, before="pass"):
    """The demo with a secret that a test can look for. before: what else to do in its process."""
    code = "import sys; %s; from microlwm2m.demo.__main__ import main; sys.exit(main(sys.argv[1:], %r))"
    return [sys.executable, "-c", code % (before, secret), *args]


def environment(**more):
    return dict(os.environ, PYTHONPATH=str(ROOT / "tools"), **more)


def demo(*args, before="pass", **env):
    return subprocess.run(
        command(*args, before=before), capture_output=True, text=True, timeout=100,
        cwd=ROOT, env=environment(**env),
    )  # fmt: skip


def check_whole(done):
    """A run that went through, and all that holds of any such run."""
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    rest = iter(lines)
    for pattern in STORY:
        assert any(re.search(pattern, line) for line in rest), "not there, or not in its place: " + pattern
    wire = [line for line in lines if re.match(r" *\d+\.\d{3}  (->|<-) ", line)]
    assert len(wire) >= 27
    # An acknowledgement or a reset of four bytes has nothing that could be sealed.
    assert not [line for line in wire if not re.search(r"bytes sealed | 4 bytes empty ", line)]
    assert "%d datagrams" % len(wire) in done.stdout
    assert max(map(len, lines)) <= WIDTH
    assert "\033" not in done.stdout
    for form in (SECRET.hex(), SECRET.hex().upper(), str(list(SECRET))[1:-1], repr(SECRET)[2:-1]):
        assert form not in done.stdout


def test_embedded():
    check_whole(demo("--server", "embedded"))


@pytest.fixture
def java():
    require("java", "default-jdk-headless")
    require("javac", "default-jdk-headless")
    require("mvn", "maven")


def test_leshan(java):
    check_whole(demo("--server", "leshan"))


# A Leshan demo server that someone else runs


class _Front(socketserver.BaseRequestHandler):
    """In front of the peer: answers the one route that it lacks, as the demo server does,
    and hands everything else on, byte by byte."""

    def handle(self):
        head = self.request.recv(65536)
        if head.startswith(b"GET /api/server/endpoint "):
            body = json.dumps(self.server.endpoints).encode()
            self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            return
        with contextlib.closing(self.server.connect()) as up:
            up.sendall(head)
            threading.Thread(target=self._pass, args=(self.request, up), daemon=True).start()
            self._pass(up, self.request)

    @staticmethod
    def _pass(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)


def endpoint(scheme, host, port, description):
    uri = {"full": "%s://%s:%d" % (scheme, host, port), "scheme": scheme, "host": host, "port": port}
    return {"uri": uri, "description": description}


@pytest.fixture
def demo_server(java):
    """(URL, coap URI, ports of the peer) of a Leshan server in a process of its own. It refuses
    LwM2M 1.2, as the demo server does."""
    script = ROOT / "tests" / "interop" / "peer.py"
    process = subprocess.Popen(
        [sys.executable, str(script), "--lwm2m", "1.1"], stdout=subprocess.PIPE, text=True
    )
    front = None
    try:
        ready = process.stdout.readline()
        ports = {name: int(port) for name, port in re.findall(r"(\w+)=(\d+)", ready)}
        front = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Front)
        front.daemon_threads = True
        front.connect = lambda: socket.create_connection(("127.0.0.1", ports["http"]))
        front.endpoints = [
            endpoint("coap", "0.0.0.0", 5685, "CoAP over UDP endpoint based on java-coap library"),
            endpoint("coaps", "0.0.0.0", 5684, "CoAP over DTLS endpoint based on Californium/Scandium library"),
            endpoint("coap", "0.0.0.0", ports["coap"], "CoAP over UDP endpoint based on Californium library"),
        ]
        threading.Thread(target=front.serve_forever, daemon=True).start()
        yield "http://127.0.0.1:%d" % front.server_address[1], ports
    finally:
        if front:
            front.shutdown()
            front.server_close()
        process.terminate()
        process.wait(20)


def listed(ports, path):
    with urlopen("http://127.0.0.1:%d/api%s" % (ports["http"], path)) as answer:
        return json.load(answer)


def test_leshan_of_the_user(demo_server):
    url, ports = demo_server
    done = demo("--server", url)
    check_whole(done)
    assert "4.12 Precondition Failed" in done.stdout  # and went on with 1.1
    assert listed(ports, "/security/clients") == [] and listed(ports, "/clients") == []


def test_leshan_of_the_user_is_left_as_it_was(demo_server):
    _, ports = demo_server
    coap = "coap://127.0.0.1:%d" % ports["coap"]
    url = "http://127.0.0.1:%d" % ports["http"]
    with running("--server", url, "--coap", coap) as process:
        wait_line(process, "Notification of")
        assert listed(ports, "/security/clients") and listed(ports, "/clients")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    assert listed(ports, "/security/clients") == [] and listed(ports, "/clients") == []


M18 = [
    endpoint("coap+tcp", "0.0.0.0", 5683, "CoAP over TCP experimental endpoint based on java-coap"),
    endpoint("coap", "0.0.0.0", 5685, "CoAP over UDP endpoint based on java-coap library"),
    endpoint("coap", "0.0.0.0", 5683, "CoAP over UDP endpoint based on Californium library"),
]


@pytest.mark.parametrize("bound, reached", [
    ("0.0.0.0", "192.0.2.7"), ("[::]", "192.0.2.7"), ("0:0:0:0:0:0:0:0", "192.0.2.7"),
    ("192.0.2.9", "192.0.2.9"), ("2001:db8::1", "[2001:db8::1]"), ("[2001:db8::1]", "[2001:db8::1]"),
])  # fmt: skip
def test_where_leshan_listens(bound, reached):
    endpoints = [*M18[:2], endpoint("coap", bound, 5783, "endpoint based on Californium library")]
    assert coap_uri(endpoints, "192.0.2.7") == "coap://%s:5783" % reached


def test_no_endpoint_with_oscore():
    with pytest.raises(Failed, match="--coap"):
        coap_uri(M18[:2], "192.0.2.7")


# What is not right gives one line


@pytest.mark.parametrize("args", [
    ["--server", "other"], ["--server", "https://127.0.0.1:1"], ["--server", "http://"],
    ["--server", "http://127.0.0.1:x"], ["--server"], ["more"], ["--coap", "coap://127.0.0.1"],
    ["--server", "leshan", "--coap", "coap://127.0.0.1"],
    ["--server", "http://127.0.0.1:1", "--coap", "http://127.0.0.1"],
])  # fmt: skip
def test_wrong_usage(args, capsys):
    with pytest.raises(SystemExit) as e:
        parse(args)
    assert e.value.code == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("demo: ")


def test_wrong_usage_ends_with_2():
    done = demo("--server", "other")
    assert done.returncode == 2 and done.stdout == ""


def complaint(done):
    """The line on stderr that says why, and what follows it."""
    print(done.stdout, done.stderr)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and SECRET.hex() not in done.stdout + done.stderr
    first, *more = done.stderr.strip().splitlines()
    return first, more


def test_nobody_at_the_address():
    first, more = complaint(demo("--server", "http://127.0.0.1:1"))
    assert "http://127.0.0.1:1" in first and "refused" in first and not more


def test_leshan_without_java(tmp_path):
    for name in ("sh", "dirname", "mkdir", "find", "head", "rm", "touch"):
        (tmp_path / name).symlink_to(shutil.which(name))
    first, more = complaint(demo("--server", "leshan", PATH=str(tmp_path)))
    assert "apt install default-jdk-headless maven" in first and not more


def interpreter(tmp_path, script):
    """Stands for MicroPython: `script` (sh) in place of the device, the real one for the rest."""
    path = tmp_path / "micropython"
    path.write_text(
        "#!/bin/sh\ncase \"$*\" in */unix/device.py*) %s;; esac\nexec %s \"$@\"\n"
        % (script, unixport.interpreter())
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_device_that_ends(tmp_path):
    device = interpreter(tmp_path, "echo '    0.001 out of order'; exit 3")
    first, more = complaint(demo(MICROPYTHON=device))
    assert first == "demo: step 2, switch on: the device has ended with 3"
    assert [line.strip() for line in more] == ["the device's log:", "out of order"]


def test_device_that_cannot_be_provisioned():
    first, more = complaint(demo(MICROPYTHON="/nowhere"))
    assert first.startswith("demo: step 1, provision: microlwm2m provision: MICROPYTHON") and not more


# A device without keys registers, and a server that takes it: the demo does not.
PLAIN = """
from microlwm2m.demo import device, servers
Server = servers.BenchServer
servers.BenchServer = lambda accounts, **options: Server(plain=True, **options)
provision = device.Device.provision
device.Device.provision = lambda self, *o, secret: provision(self, *o[:4], "--plain", secret=secret)
"""


def test_device_that_seals_nothing():
    done = demo(before="exec(%r)" % PLAIN)
    first, more = complaint(done)
    assert re.search(r"bytes plain +POST /rd\?ep=demo", done.stdout)
    assert first.startswith("demo: step 2, switch on: appendix B.2 ran as []") and len(more) > 2


# The end of everything that was started


@contextlib.contextmanager
def running(*args, **env):
    process = subprocess.Popen(
        command(*args), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        cwd=ROOT, env=environment(**env),
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def wait_line(process, text):
    seen = []
    for line in process.stdout:
        seen.append(line)
        if text in line:
            return
    raise AssertionError("no %r in:\n%s" % (text, "".join(seen)))


def users_of(folder):
    """Command lines of the processes that name a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().decode(errors="replace").split("\0")
            if any(str(folder) in word for word in words):
                found.append(words)
    return found


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks into /proc")
@pytest.mark.parametrize("when, how", [
    ("device says", signal.SIGINT), ("Notification of", signal.SIGINT),
    ("Notification of", signal.SIGTERM), ("power on", signal.SIGINT),
])  # fmt: skip
def test_interrupted(tmp_path, when, how):
    with running(TMPDIR=str(tmp_path)) as process:
        wait_line(process, when)
        if when != "power on":
            assert users_of(tmp_path)
        process.send_signal(how)
        assert process.wait(20) == 130
        assert "Traceback" not in process.stdout.read()
    assert not users_of(tmp_path)
    assert not list(tmp_path.iterdir())


def test_reader_that_leaves(tmp_path):
    with running(TMPDIR=str(tmp_path)) as process:
        wait_line(process, "device says")
        process.stdout.close()
        assert process.wait(20) == 130
    assert not list(tmp_path.iterdir())


# What is in a datagram


def captured():
    """The Wire of a capture of Leshan's demo client and server."""
    capture = json.loads((ROOT / "tests" / "vectors" / "leshan_b2.json").read_text())
    client = capture["client"]
    account = Account("os1", *(bytes.fromhex(client[k]) for k in ("sender_id", "recipient_id", "master_secret")))
    wire = Wire(account, lambda seen: None)
    for datagram in capture["datagrams"]:
        wire.feed(datagram["sender"] == "client", bytes.fromhex(datagram["hex"]))
    return wire


def test_opens_what_leshan_seals():
    wire = captured()
    assert wire.count("sealed") == len(wire.datagrams) == sum(s.inner is not None for s in wire.datagrams)
    b2 = [B2_ASKS, B2_ANSWERS, B2_CONFIRMS, ""]
    assert [s.b2 for s in wire.datagrams] == b2 + ["", ""] + b2 + [""] * (len(wire.datagrams) - 10)
    words = [tell(s) for s in wire.datagrams]
    assert words[0] == "B.2 message 1, asks for fresh keys with R1 = 575bd4fa9ff29151"
    assert words[1] == "B.2 message 2, 4.01 with R2 = 051f5a48f6c29d8ea5466e2a55a4b6d1"
    assert words[2].startswith("B.2 message 3, Register os1: LwM2M 1.1, 60 s, /1/0 ")
    assert words[3] == "Created as /rd/gukyzNEsdZ"
    assert words[4] == "Read /3/0 (Device)"
    assert words[5].startswith("Content: /3/0/0=")
    first, second = wire.established
    assert first.id_context.hex() == "051f5a48f6c29d8ea5466e2a55a4b6d124b381acbcc24af1"
    assert not first.secrets & second.secrets


def test_what_stands_outside():
    wire = captured()
    codes, options = wire.visible()
    assert codes == ["2.04", "POST"] and options == ["OSCORE"]
    assert wire.contents() and not wire.leaks(wire.contents())
    assert wire.leaks([bytes.fromhex("436c"), b"Leshan"]) == [bytes.fromhex("436c")]


def test_wrong_keys_open_nothing():
    right = captured()
    wire = Wire(Account("os1", b"Cl", b"Sr", SECRET), lambda seen: None)
    for seen in right.datagrams:
        wire.feed(seen.up, seen.data)
    assert not [s for s in wire.datagrams if s.inner is not None or s.plaintext or s.b2]
    assert tell(wire.datagrams[0]) == "does not open with the keys of this account"


def test_same_datagram_again():
    wire = captured()
    count = len(wire.datagrams)
    wire.feed(False, wire.datagrams[4].data)
    assert len(wire.datagrams) == count + 1
    assert tell(wire.datagrams[-1]) == "the same again: Read /3/0 (Device)"


PLAIN_READ = bytes.fromhex("44017d3412345678b1330130")  # GET /3/0


@pytest.mark.parametrize("up, data, mark, words", [
    (False, PLAIN_READ, "plain", "GET /3/0"),
    (True, bytes.fromhex("60007d34"), "empty", "acknowledgement"),
    (True, bytes.fromhex("70007d34"), "empty", "reset"),
    (True, b"\xff", "plain", "no CoAP"),
])  # fmt: skip
def test_what_is_not_sealed(up, data, mark, words):
    wire = Wire(Account("os1", b"\1", b"\2", SECRET), lambda seen: None)
    wire.feed(up, data)
    assert (wire.datagrams[0].mark, tell(wire.datagrams[0])) == (mark, words)


def summarise(wire):
    demo = Demo(Timeline(io.StringIO()), None, None, wire)
    demo.wrote = 4
    asyncio.run(demo.summary())


def test_summary_refuses_what_is_in_the_clear():
    wire = captured()
    summarise(wire)
    wire.feed(False, PLAIN_READ)
    with pytest.raises(Failed, match="1 datagrams were not sealed"):
        summarise(wire)
    wire = captured()
    wire.datagrams[4].data += max(wire.contents(), key=len)
    with pytest.raises(Failed, match="in the clear"):
        summarise(wire)


def test_colour_on_a_terminal_only(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    def printed(out):
        Timeline(out).heading("Step")
        return out.getvalue()

    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\033[1mStep" in printed(Terminal())
    assert "\033" not in printed(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\033" not in printed(Terminal())
