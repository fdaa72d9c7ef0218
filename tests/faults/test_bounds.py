# Every table full: what is asked beyond the bound gets the code that the standard names, and
# the client goes on.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 7252, 7641 and 7959; OMA LwM2M Core 1.2.2 section 6.3 and 7.3

import pytest
from aiocoap import Message
from aiocoap.numbers import codes
from faults.rig import BLOB, COUNT, COUNTED, ENDPOINT, FAIL, FAILING, LONG, LONG_LEN, MANY, TEXT

MAX_OBSERVATIONS = 16
MAX_INSTANCES = 16
MAX_RESOURCE_INSTANCES = 32
MAX_ATTRIBUTES = 16
MAX_PAYLOAD = 1024
MAX_BODY = 4096
MAX_ARGUMENTS = 10
DEDUP_SLOTS = 8

RESOURCES = ["/3/0/%d" % n for n in (0, 10, 11, 13, 16, 21)] + [
    "/26300/0/%d" % n for n in (2, 3, 4, 5, 6, 9, 10)
] + ["/3303/0/5700", "/3303/0/5701", "/1/0/0", "/1/0/1", "/1/0/6", "/1/0/7"]


@pytest.fixture
def running(rig):
    rig.start()
    yield rig
    # It goes on: that is part of every test here.
    assert rig.read("/3/0/0") == "microlwm2m"
    rig.write(TEXT, "goes on")
    assert rig.read(TEXT) == "goes on"


def test_observations(running):
    bench = running.bench
    for path in RESOURCES[:MAX_OBSERVATIONS]:
        assert bench.observe(ENDPOINT, path).active, path
    # RFC 7641 section 4.1: who cannot add it answers as to a plain GET.
    for path in RESOURCES[MAX_OBSERVATIONS:]:
        refused = bench.observe(ENDPOINT, path)
        assert refused.first.code == "2.05" and not refused.active
    # A place that is freed can be taken.
    assert bench.cancel(ENDPOINT, RESOURCES[0]).code == "2.05"
    assert bench.observe(ENDPOINT, RESOURCES[MAX_OBSERVATIONS]).active
    # The others are still there.
    bench.next_of(bench.server.observations[ENDPOINT, (3303, 0, 5700)])


def test_instances(running):
    bench = running.bench
    created = [bench.create(ENDPOINT, 26301, n, {0: "x"}).code for n in range(MAX_INSTANCES + 2)]
    assert created == ["2.01"] * MAX_INSTANCES + ["5.00"] * 2
    assert len(bench.read(ENDPOINT, "/26301").nodes) == MAX_INSTANCES
    # The list of objects that the Register and the Update carry has grown with them.
    bench.wait("updated", ENDPOINT, 10, match=lambda e: "/26301/15" in (e.data["objects"] or ""))
    assert bench.delete(ENDPOINT, "/26301/3").code == "2.02"
    assert bench.create(ENDPOINT, 26301, None, {0: "y"}).location == (26301, 3)


def test_resource_instances(running):
    bench = running.bench
    full = {n: n for n in range(MAX_RESOURCE_INSTANCES)}
    assert bench.write(ENDPOINT, MANY, full).code == "2.04"
    assert bench.write(ENDPOINT, MANY, full | {99: 1}).code == "5.00"
    assert running.read(MANY) == full


def test_attributes(running):
    bench = running.bench
    attributed = [
        bench.write_attributes(ENDPOINT, path, {"pmin": 1}).code
        for path in RESOURCES[: MAX_ATTRIBUTES + 2]
    ]
    assert attributed == ["2.04"] * MAX_ATTRIBUTES + ["5.00"] * 2
    # What has some already can still be changed, and freed.
    assert bench.write_attributes(ENDPOINT, RESOURCES[0], {"pmin": 2}).code == "2.04"
    assert bench.write_attributes(ENDPOINT, RESOURCES[0], {"pmin": None}).code == "2.04"
    assert bench.write_attributes(ENDPOINT, RESOURCES[MAX_ATTRIBUTES], {"pmin": 1}).code == "2.04"


def test_answer_longer_than_the_buffer(running):
    bench = running.bench
    running.write(LONG_LEN, 1000)
    assert len(running.read(LONG)) == 1000
    running.write(LONG_LEN, MAX_PAYLOAD)
    running.write(LONG_LEN, MAX_PAYLOAD + 10)
    assert bench.read(ENDPOINT, LONG).code == "5.00"
    assert bench.read(ENDPOINT, "/26300/0").code == "5.00"
    assert bench.observe(ENDPOINT, LONG).first.code == "5.00"
    running.write(LONG_LEN, 10)
    assert running.read(LONG) == "0123456789"


def test_notification_longer_than_the_buffer(running):
    bench = running.bench
    running.write(LONG_LEN, 10)
    observation = bench.observe(ENDPOINT, "/26300/0")
    assert observation.active
    running.write(LONG_LEN, MAX_PAYLOAD + 10)
    running.execute(COUNT)
    # Its last word: RFC 7641 section 4.2 ends an observation with an error.
    assert bench.next_of(observation).code == "5.00"
    assert not observation.active


@pytest.mark.parametrize("announced", [True, False], ids=["with Size1", "without Size1"])
def test_write_longer_than_max_body(running, announced):
    running.write(BLOB, b"before")
    body = bytes(MAX_BODY + 1)

    def block(number, size1=None):
        part = body[number * 512 : number * 512 + 512]
        message = Message(
            code=codes.PUT, uri_path=BLOB[1:].split("/"), content_format=42, payload=part,
            size1=size1,
        )
        message.opt.block1 = (number, number < MAX_BODY // 512, 5)
        return running.bench.request(ENDPOINT, message)

    answers = []
    for number in range(MAX_BODY // 512 + 1):
        answers.append(block(number, len(body) if announced and number == 0 else None))
        if not answers[-1].code.is_successful():
            break
    assert answers[-1].code == codes.REQUEST_ENTITY_TOO_LARGE
    assert answers[-1].opt.size1 == MAX_BODY
    assert len(answers) == (1 if announced else MAX_BODY // 512 + 1)
    assert running.read(BLOB) == b"before"
    running.write(BLOB, b"after")


def test_block_that_does_not_follow(running):
    message = Message(code=codes.PUT, uri_path=BLOB[1:].split("/"), content_format=42, payload=bytes(512))
    message.opt.block1 = (3, True, 5)
    answer = running.bench.request(ENDPOINT, message)
    assert answer.code == codes.REQUEST_ENTITY_INCOMPLETE


def test_execute_arguments(running):
    bench = running.bench
    running.execute(COUNT, ",".join("%d='x'" % n for n in range(MAX_ARGUMENTS)))
    for wrong in (
        ",".join(["%d" % (n % 10) for n in range(MAX_ARGUMENTS + 1)]), "x", "0='", "0=x", "10", "0,", ",",
        "0='x'1", "0 ,1",
    ):
        assert bench.execute(ENDPOINT, COUNT, wrong).code == "4.00", wrong
    assert running.read(COUNTED) == 1


def test_duplicates_beyond_the_cache(running):
    """A request that comes again is not carried out again, whether its answer is still kept
    (then it is sent again, byte for byte) or not."""
    bench, line = running.bench, running.line
    began = len(line.seen)
    running.execute(COUNT)
    request = next(d for d in line.seen[began:] if d.direction == "out")
    answer = next(d for d in line.seen[began:] if d.direction == "in")

    def again():
        mark = len(line.seen)
        bench.send(request.data, request.peer)
        running.read("/3/0/0")
        return [d.data for d in line.seen[mark:] if d.direction == "in"][:-1]

    assert again() == [answer.data]
    for _ in range(DEDUP_SLOTS):
        running.read("/3/0/0")
    refused = again()
    assert len(refused) == 1 and refused[0][1] == 0x81 and answer.data != refused[0]
    assert running.read(COUNTED) == 1


def test_faults_of_the_application(rig):
    rig.start()
    bench = rig.bench
    rig.faults = 3
    assert bench.execute(ENDPOINT, FAIL).code == "5.00"
    # What it wanted done after the answer fails.
    assert bench.execute(ENDPOINT, FAIL, "1").code == "2.04"
    # What is read for a notification fails: the last word of the observation.
    observation = bench.observe(ENDPOINT, FAILING)
    assert bench.execute(ENDPOINT, FAIL, "2").code == "2.04"
    assert bench.next_of(observation).code == "5.00"
    assert bench.execute(ENDPOINT, FAIL, "3").code == "2.04"
    assert rig.read(FAILING) == 1
