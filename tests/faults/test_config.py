# Configurations that make no sense, and flash that lost its content: one clear line, exit 1.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import copy

import cbor2
import pytest
from faults.rig import ENDPOINT, RECIPIENT, SALT, SECRET, SENDER, board


@pytest.fixture
def config(bench):
    """A configuration that is right, to be spoilt."""
    return {
        "ep": ENDPOINT,
        "objects": {
            0: {0: {0: bench.server.uri, 1: False, 2: 3, 10: 123, 17: [21, 0]}},
            1: {0: {0: 123, 1: 300, 6: True, 7: "U", 18: 1}},
            21: {0: {0: SECRET, 1: SENDER, 2: RECIPIENT, 3: 10, 5: SALT}},
        },
        "opts": {},
    }


def records(rig, *actions):
    board("records.py", rig.device.image, input="".join(a + "\n" for a in actions))


def refused(rig):
    """What the device says, its only line, before it ends with 1."""
    rig.device.start()
    assert rig.ended() == 1
    *said, last = rig.device.log.split("\n")
    assert not said, rig.device.log
    return last.split(None, 1)[1]


def write(rig, config):
    records(rig, "record config %s" % (config if isinstance(config, bytes) else cbor2.dumps(config)).hex())


NO_PARSE = "configuration does not parse: run `microlwm2m provision` again"


@pytest.mark.parametrize(
    "data",
    [b"\xff", cbor2.dumps([]), cbor2.dumps({"ep": 5, "objects": {}}), cbor2.dumps({"ep": "x"}),
     cbor2.dumps({"ep": "", "objects": {}}), cbor2.dumps({"ep": "x", "objects": {}, "opts": 7}),
     b"\xa1" * 200, b"\x5b" + b"\xff" * 8, b"\xbf"],
    ids=["ff", "array", "ep", "no objects", "ep empty", "opts", "deep", "huge", "endless"],
)
def test_does_not_parse(rig, data):
    write(rig, data)
    assert refused(rig) == NO_PARSE


# What is changed in the right configuration (a path and a value, None removes), and what is said.
WRONG = [
    ("unknown AEAD", [(21, 0, 3, 1)], "/21/0: aead: 1 is not known"),
    ("unknown HKDF", [(21, 0, 4, 99)], "/21/0: hmac: 99 is not known"),
    ("no secret", [(21, 0, 0, None)], "/21/0: master_secret: bytes"),
    ("long secret", [(21, 0, 0, bytes(65))], "/21/0: master_secret: at most 64 bytes"),
    ("long salt", [(21, 0, 5, bytes(65))], "/21/0: master_salt: at most 64 bytes"),
    ("long ID Context", [(21, 0, 6, bytes(65))], "/21/0: id_context: at most 64 bytes"),
    ("long ID", [(21, 0, 1, bytes(8))], "/21/0: sender_id: at most 7 bytes"),
    ("equal IDs", [(21, 0, 1, RECIPIENT)], "/21/0: recipient_id: equals sender_id"),
    ("secret as text", [(21, 0, 0, "never-in-any-log")], "/21/0: master_secret: a value of the wrong type"),
    ("two for one", [(0, 1, {0: "coap://[::1]", 1: False, 2: 3, 10: 7, 17: [21, 0]}), (1, 1, {0: 7, 1: 60, 6: True, 7: "U"})],
     "/0/1 and /0/0 link to the same /21/0"),
    ("link to nothing", [(0, 0, 17, [21, 5])], "/0/0/17: no /21/5"),
    ("link elsewhere", [(0, 0, 17, [3, 0])], "/0/0: oscore"),
    ("link of one", [(0, 0, 17, [21])], "/0/0: oscore: a value of the wrong type"),
    ("link of text", [(0, 0, 17, [21, "x"])], "/0/0: oscore: a value of the wrong type"),
    ("coaps", [(0, 0, 0, "coaps://127.0.0.1")],
     "/0/0: coaps:// goes with security mode 0 (PSK), coap:// with 3 (NoSec)"),
    ("http", [(0, 0, 0, "http://127.0.0.1")], "/0/0: uri"),
    ("no host", [(0, 0, 0, "coap://")], "/0/0: server URI coap://"),
    ("bad port", [(0, 0, 0, "coap://127.0.0.1:99999")], "/0/0: server URI coap://127.0.0.1:99999"),
    ("uri as bytes", [(0, 0, 0, b"coap://127.0.0.1")], "/0/0: uri: a value of the wrong type"),
    ("certificate", [(0, 0, 2, 2)], "/0/0: mode"),
    ("no /1", [(1, None)], "/0/0: no /1 of short server ID 123"),
    ("another /1", [(1, 0, 0, 7)], "/0/0: no /1 of short server ID 123"),
    ("two /1", [(1, 1, {0: 123, 1: 300, 6: True, 7: "U"})], "/1/1: the short server ID of /1/0"),
    ("no /0", [(0, None)], "/1/0: no /0 of short server ID 123"),
    ("no account", [(0, None), (1, None)], "no server: /0 has no instance"),
    ("lifetime", [(1, 0, 1, -1)], "/1/0: lifetime"),
    ("lifetime as text", [(1, 0, 1, "300")], "/1/0: lifetime: a value of the wrong type"),
    ("retry timer", [(1, 0, 18, "1")], "/1/0: retry_timer: a value of the wrong type"),
    ("negative timer", [(1, 0, 19, -5)], "/1/0: sequence_delay: a value of the wrong type"),
    ("hold off", [(0, 0, 11, 1.5)], "/0/0: hold_off: a value of the wrong type"),
    ("unknown object", [(9999, {0: {}})], "/9999/0: no such object in this firmware"),
    ("object as text", [("x", {0: {}})], "/'x': no map of instances"),
    ("object as list", [(5, [])], "/5: no map of instances"),
    ("instance as text", [(1, "0", {})], "/1/'0': no instance ID"),
    ("instance beyond", [(1, 65535, {})], "/1/65535: no instance ID"),
    ("instance as number", [(1, 0, 7)], "/1/0: no map of resources"),
    ("too many", [(1, n, {0: n + 1, 1: 60, 6: True, 7: "U"}) for n in range(1, 18)], "/1/16: too many instances of object 1"),
]


# One process tries them all.
def spoilt(config, changes):
    config = copy.deepcopy(config)
    for *path, name, value in changes:
        at = config["objects"]
        for step in path:
            at = at[step]
        if value is None:
            del at[name]
        else:
            at[name] = value
    return cbor2.dumps(config)


def test_makes_no_sense(config):
    lines = [spoilt(config, changes).hex() for _, changes, _ in WRONG]
    got = board("configs.py", input="\n".join(lines)).splitlines()
    assert got == [said for _, _, said in WRONG]


@pytest.mark.parametrize("name", ["unknown AEAD", "two for one", "coaps", "no /1", "unknown object"])
def test_makes_no_sense_to_the_device(rig, config, name):
    changes, said = [w[1:] for w in WRONG if w[0] == name][0]
    write(rig, spoilt(config, changes))
    assert refused(rig) == said


def test_random_changes(config, seed):
    """Whatever stands in it, it is refused in one line or served; nothing else is raised."""
    out = board("configs.py", seed, 3000, input=cbor2.dumps(config).hex() + "\n").splitlines()
    print(out[-1])
    assert out[0] == "accepted" and "WRONG" not in "\n".join(out), "\n".join(out)
    assert 100 < int(out[-1].split()[0]) < 2900


def test_not_provisioned(rig):
    records(rig, "record config -")
    assert refused(rig) == "not provisioned: run `microlwm2m provision`"


def test_no_seed(rig):
    records(rig, "record seed -")
    assert refused(rig) == "no seed: run `microlwm2m provision` again"


# The configuration's store writes slot 1 and slot 0 in turn; provisioning leaves it in both.
@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize("spoil", ["flip %s 100", "cut %s 40", "cut %s 0", "file %s " + "a5" * 300])
def test_one_slot_is_torn(rig, slot, spoil):
    """The other one serves: one line tells, and the device goes on."""
    records(rig, spoil % ("/lwm2m.%d" % slot))
    rig.start()
    assert rig.read("/3/0/0") == "microlwm2m"
    (told,) = [line for line in rig.device.log.split("\n") if "flash: " in line]
    assert "/lwm2m.%d: torn" % slot in told


@pytest.mark.parametrize("slot", [0, 1])
def test_a_torn_slot_is_told_once(rig, slot):
    """Then it is good again, and serves where the other one goes."""
    rig.start()  # the first start writes to this store, and would mend it anyway
    rig.device.kill()
    records(rig, "flip /lwm2m.%d 100" % slot)
    for told in (1, 1):
        rig.start()
        assert rig.device.log.count("flash: ") == told
        rig.device.kill()
    records(rig, "cut /lwm2m.%d 0" % (1 - slot))
    rig.start()
    assert rig.device.log.count("flash: ") == 2


def test_both_slots_are_torn(rig):
    records(rig, "flip /lwm2m.0 100", "cut /lwm2m.1 60")
    rig.device.start()
    assert rig.ended() == 1
    lines = [line.split(None, 1)[1] for line in rig.device.log.split("\n")]
    assert [line.split(":")[:2] for line in lines[:2]] == [["flash", " /lwm2m.0"], ["flash", " /lwm2m.1"]]
    assert lines[2:] == ["not provisioned: run `microlwm2m provision`"]


def test_counters_are_torn(rig):
    """Only the number of starts was in it: it begins anew, and the seed and the port's
    generator keep R1 and R3 from coming again."""
    rig.start()
    rig.device.kill()
    records(rig, "file /lwm2m-n.0 ffff")
    rig.start()
    assert "flash: /lwm2m-n.0: torn" in rig.device.log


def test_file_system_is_gone(rig):
    with open(rig.device.image, "r+b") as f:
        f.write(b"\xff" * 8192)
    rig.device.start()
    assert rig.ended() == 1
    assert rig.device.log == "microlwm2m device: %s is not a flash image of a device" % rig.device.image
