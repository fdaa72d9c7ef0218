# Appendix B.2 and all that can come between: loss, doubles, delays, restarts, other servers' ways.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 appendix B.2
#
# Whatever happens, the device comes back by itself, and (Rig.check) the server's referee has
# seen no nonce twice and nothing that a strict server would not take.

import contextlib
import itertools

import pytest
from aiocoap import Message
from aiocoap.numbers import codes
from faults.rig import COUNT, COUNTED, ENDPOINT, RECIPIENT, SALT, SENDER, TEXT, Bench, account

# The four messages: request 1, its answer with R2, request 3 (the Register), its answer.
MESSAGES = range(4)
QUIRKS = ("own-piv", "echo", "kid-context")
SUBSETS = [s for n in range(len(QUIRKS) + 1) for s in itertools.combinations(QUIRKS, n)]
UPDATE = "/1/0/8"
LIFETIME = "/1/0/1"


def serves(rig):
    """The device is read, written, executed and observed."""
    assert rig.read("/3/0/0") == "microlwm2m"
    rig.write(TEXT, "after")
    assert rig.read(TEXT) == "after"
    observation = rig.bench.observe(ENDPOINT, "/3303/0/5700")
    assert observation.active and rig.bench.next_of(observation).code == "2.05"
    before = rig.read(COUNTED)
    rig.execute(COUNT)
    assert rig.read(COUNTED) == before + 1


@pytest.mark.parametrize("number", MESSAGES)
@pytest.mark.parametrize("fate", [False, "twice", "late"], ids=["lost", "twice", "late"])
def test_one_message(rig, number, fate):
    rig.line.use(lambda n, datagram: fate if n == number else True)
    rig.start()
    serves(rig)


@pytest.mark.parametrize("number", MESSAGES)
def test_one_message_several_times(rig, number):
    """A message and its repetitions are lost; a lost answer makes the request come again."""
    answers = []
    left = [3]

    def plan(n, datagram):
        kind = 2 * bool(answers) + (datagram.direction == "out")
        if kind == number and left[0]:
            left[0] -= 1
            return False
        if datagram.direction == "out":
            answers.append(datagram)
        return True

    rig.line.use(plan)
    rig.start()
    serves(rig)


@pytest.mark.parametrize("quirks", SUBSETS, ids=lambda s: "+".join(s) or "none")
def test_quirks(rig, quirks):
    rig.bench.server.security.quirks.update(quirks)
    rig.start()
    serves(rig)
    # An Update and a De-register under the same context.
    mark = rig.bench.mark
    rig.execute(UPDATE)
    rig.bench.wait("updated", ENDPOINT, 10, after=mark)
    # The server begins B.2.
    rig.bench.rekey(ENDPOINT)
    mark = rig.bench.mark
    rig.execute(UPDATE)
    rig.registered(mark)
    serves(rig)
    assert rig.leave() == 0
    rig.bench.wait("deregistered", ENDPOINT, 10, after=mark)


def test_trap_14_a_server_that_needs_the_kid_context_is_remembered(rig):
    """The first request without one is refused; the next start has it from flash."""
    rig.bench.server.security.quirks.add("kid-context")
    for refused in (1, 1):
        rig.start()
        for _ in range(2):  # what the first one taught is in flash before the second
            rig.execute(UPDATE)
            rig.device.wait_for("updated lifetime=")
        rig.device.kill()
        # The log goes on over the starts.
        assert rig.device.log.count("server answers plain 4.00, trying again in 0 s") == refused


@pytest.mark.parametrize("number", range(6))
def test_quirks_together_with_a_loss(rig, number):
    rig.bench.server.security.quirks.update(QUIRKS)
    rig.line.use(lambda n, datagram: n != number)
    rig.start()
    serves(rig)


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("fate", [False, "late"], ids=["lost", "late"])
def test_server_begins(rig, number, fate):
    """The Update is answered with R2: it, and its follow-up under fresh keys."""
    rig.start()
    observation = rig.bench.observe(ENDPOINT, "/3303/0/5700")
    rig.bench.next_of(observation)
    rig.bench.rekey(ENDPOINT)
    mark = rig.bench.mark
    rig.execute(UPDATE)
    # Notifications are on their way all the time, and are spoilt like everything else.
    rig.line.use(lambda n, datagram: fate if n == number else True)
    rig.registered(mark)
    rig.line.use(None)
    serves(rig)


@pytest.mark.parametrize("step", [1, 3])
def test_trap_13_server_begins_in_the_middle_of_its_body(rig, step):
    """A body that it writes in blocks, and one that it reads in blocks, go on in the new context."""
    rig.start()
    text = "".join(chr(97 + n % 26) for n in range(900))

    def rekey():
        rig.bench.rekey(ENDPOINT)
        mark = rig.bench.mark
        rig.execute(UPDATE)
        rig.registered(mark)

    def block(number, payload=None):
        message = Message(code=codes.GET, uri_path=TEXT[1:].split("/"), accept=0)
        if payload is None:
            message.opt.block2 = (number, False, 4)
        else:
            message = Message(
                code=codes.PUT, uri_path=TEXT[1:].split("/"), content_format=0, payload=payload.encode()
            )
            message.opt.block1 = (number, number < 3, 4)
        return rig.exchange(message)

    for number in range(4):
        if number == step:
            rekey()
        answer = block(number, text[number * 256 : number * 256 + 256])
        assert answer.code == (codes.CHANGED if number == 3 else codes.CONTINUE)
    assert rig.read(TEXT) == text
    got = ""
    for number in range(4):
        if number == step:
            rekey()
        got += block(number).payload.decode()
    assert got == text


def test_notifications_between_two_contexts(rig):
    """The new context stands, the Update that led to it is unanswered still: what was observed
    under the old one can no longer be sealed, and nothing is made of it."""
    rig.bench.server.security.quirks.add("echo")
    rig.start()
    rig.bench.next_of(rig.bench.observe(ENDPOINT, "/3303/0/5700"))
    rig.bench.rekey(ENDPOINT)
    mark = rig.bench.mark
    lost = []

    def plan(n, datagram):
        # The Update with its Echo, and its repetition: time for a few measurements.
        request = datagram.direction == "in" and datagram.data[0] & 0x30 == 0 and datagram.data[1] < 32
        if request and rig.bench.events("context", mark) and len(lost) < 2:
            lost.append(datagram)
            return False
        return True

    rig.line.use(plan)
    rig.execute(UPDATE)
    rig.registered(mark)
    assert len(lost) == 2
    serves(rig)


def test_requests_meanwhile(rig):
    """What the server asks while B.2 is under way is answered, or refused and asked again."""
    rig.start()
    rig.bench.rekey(ENDPOINT)
    futures = []

    def plan(n, datagram):
        if n < 6:
            futures.append(rig.bench.loop.create_task(rig.bench.server.read(ENDPOINT, "/3/0/0")))
        return True

    mark = rig.bench.mark
    rig.execute(UPDATE)
    rig.line.use(plan)
    rig.registered(mark)
    outcomes = rig.bench.outcomes(futures)
    print(outcomes)
    assert len(futures) == 6
    for outcome in outcomes:
        # An old key in a new context is all that may go wrong.
        assert outcome in ("2.05", "4.01 without protection", "4.00 without protection"), outcomes
    assert "2.05" in outcomes
    serves(rig)


def test_others_meanwhile(rig):
    """Replays of an earlier run, and plain requests, while the device agrees on keys."""
    rig.start()
    rig.write(TEXT, "first run")
    rig.execute(COUNT)
    old = [d.data for d in rig.line.seen if d.direction == "out"]
    rig.device.kill()
    plain = b"\x41\x01%b\x07\xb1\x33\x01\x30\x01\x30"  # GET /3/0/0
    sent = []

    def plan(n, datagram):
        if datagram.direction == "in" and n < 4:
            for data in old + [plain % n.to_bytes(2, "big")] * 3:
                sent.append(data)
                rig.bench.send_now(data, datagram.peer)
        return True

    rig.line.use(plan)
    rig.start()
    assert len(sent) >= 10
    assert "answers plain" not in rig.device.log
    serves(rig)
    assert rig.read(COUNTED) == 1


@pytest.mark.parametrize("number", MESSAGES)
def test_device_is_killed(rig, number):
    """A power cut at each of the four messages."""
    reached = []

    def plan(n, datagram):
        reached.append(n)
        return n < number

    rig.line.use(plan)
    rig.device.start()
    rig.wait_until(lambda: len(reached) > number)
    rig.device.kill()
    rig.line.use(None)
    rig.start()
    serves(rig)


def test_killed_and_started_many_times(rig):
    for _ in range(6):
        rig.start()
        assert rig.read("/3/0/0") == "microlwm2m"
        rig.device.kill()
    assert "plain 4.0" not in rig.device.log


@pytest.mark.parametrize("number", MESSAGES)
def test_server_is_restarted_meanwhile(rig, number):
    """The server forgets everything as it has taken, or is about to send, each message."""

    def plan(n, datagram):
        if n == number:
            rig.bench.server.security.forget()
            rig.bench.server.registry.clear()
        return True

    rig.line.use(plan)
    rig.device.start()
    rig.device.wait_for("registered location")
    # Where it forgot after the Register the next Update tells.
    if number == 3:
        rig.bench.wait("registered", ENDPOINT, 20)
        return
    serves(rig)


def test_trap_9_two_servers_with_the_same_ids(rig):
    """A context is found by the server that it is shared with, not by a kid alone."""
    with contextlib.closing(Bench()) as other:
        secret = b"of-the-other-one"
        other.add_account(account(master_secret=secret))
        done = rig.device.command(
            "provision", "--add", "--server", other.server.uri, "--short-id", "7",
            "--sender-id", SENDER.hex(), "--recipient-id", RECIPIENT.hex(), "--master-secret", "-",
            "--master-salt", SALT.hex(), "--retry-timer", "1", input=secret.hex() + "\n",
        )
        assert done.returncode == 0, done.stderr
        rig.start()
        other.wait("registered", ENDPOINT, 20)
        both = (rig.bench, other)
        for round in range(2):
            for n, bench in enumerate(both):
                text = "from %d in %d" % (n, round)
                assert bench.write(ENDPOINT, TEXT, text).code == "2.04"
                assert [b.read(ENDPOINT, TEXT).value for b in both] == [text, text]
            # One of them forgets: the other one's context stays as it was.
            mark, kept = other.mark, rig.bench.mark
            other.restart()
            rig.execute("/1/1/8")
            other.wait("registered", ENDPOINT, 20, after=mark)
            assert not rig.bench.events("context", kept)
        assert not other.events("nonce-reuse")


@pytest.mark.parametrize("kept", [True, False], ids=["account kept", "account lost"])
def test_server_is_restarted(rig, kept):
    rig.start()
    rig.bench.observe(ENDPOINT, "/3303/0/5700")
    rig.write(LIFETIME, 2)
    mark = rig.bench.mark
    rig.bench.restart()
    if not kept:
        rig.bench.remove_account(ENDPOINT)
        for _ in range(2):
            rig.device.wait_for("server answers plain 4.01")
        rig.bench.add_account(account())
    rig.registered(mark)
    serves(rig)


@pytest.mark.parametrize("policy", ["b1", "b1-static"])
def test_keys_that_outlive_a_restart(rig, tmp_path, policy):
    """Appendix B.1: no agreement at a start, numbers that go on, and Echo at the server's first
    request after a kill. Where the server lost its context a "b1" device agrees on another."""
    kept = tmp_path / "secret"
    done = rig.device.command(
        "provision", "--endpoint", ENDPOINT, "--server", rig.bench.server.uri,
        "--sender-id", SENDER.hex(), "--recipient-id", RECIPIENT.hex(), "--master-salt", SALT.hex(),
        "--retry-timer", "1", "--restart", policy, "--secret-out", kept,
    )
    assert done.returncode == 0, done.stderr
    secret = bytes.fromhex(kept.read_text())
    static = policy == "b1-static"
    rig.bench.add_account(account(master_secret=secret, b2="optional" if static else "required"))
    mark = rig.bench.mark
    for start in range(3):
        rig.start()
        assert rig.read("/3/0/0") == "microlwm2m"
        rig.write(TEXT, "start %d" % start)
        assert rig.read(TEXT) == "start %d" % start
        rig.device.kill()
    assert len(rig.bench.events("context", mark)) == 1
    assert rig.device.log.count("goes on from the last run") == (3 if static else 2)
    assert rig.device.log.count("appendix B.2)") == (0 if static else 1)
    if static:
        return
    rig.bench.restart()
    for _ in range(2):
        rig.start()
        assert rig.read("/3/0/0") == "microlwm2m"
        rig.device.kill()
    assert len(rig.bench.events("context", mark)) == 2
    assert rig.device.log.count("appendix B.2)") == 2
