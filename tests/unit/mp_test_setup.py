# Provisioning on the board: what is refused, what changes, what is never shown.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import random
import sys

import cbor
import lwm2m_setup
from flashstore import Store
from check import equal, raises

SECRET = bytes(range(16))
SECRET_2 = bytes(range(16, 32))
SALT = b"\x9e\x7c\xa9\x22\x23\x78\x63\x40"
RANDOM = bytes(range(100, 132))


class Slots:
    """The two slots of a store, in RAM; counts what was written."""

    def __init__(self):
        self.data = [None, None]
        self.writes = 0

    def name(self, slot):
        return "slot.%d" % slot

    def read(self, slot, limit):
        return self.data[slot]

    def write(self, slot, data):
        self.data[slot] = bytes(data)
        self.writes += 1


def empty():
    return Store(Slots())


def records(store):
    """What a restart finds."""
    again = Store(store.backend)
    equal(again.problems, [])
    return {name: again.get(name) for name in again.names()}


def oscore(secret=SECRET, **change):
    keys = {0: secret, 1: b"\x01", 2: b"\x02", 3: 10, 4: 0, 5: SALT}
    keys.update({int(k[1:]): v for k, v in change.items()})
    return keys


def config(ssid=123, keys=None, uri="coap://192.0.2.1"):
    return {
        "ep": "sensor-1",
        "objects": {
            0: {0: {0: uri, 1: False, 2: 3, 10: ssid, 17: [21, 0]}},
            1: {0: {0: ssid, 1: 300, 6: True, 7: "U"}},
            21: {0: keys or oscore()},
        },
        "opts": {},
    }


def provisioned():
    store = empty()
    lwm2m_setup.apply(cbor.dumps(config()), RANDOM, store=store)
    return store


def printed(f, *args, **kw):
    lines = []
    lwm2m_setup.print = lambda text: lines.append(text)
    try:
        f(*args, **kw)
    finally:
        del lwm2m_setup.print
    return lines


# Once into each slot: the second write goes over what was there before.
def test_apply_writes_config_and_seed_in_one_commit():
    store = provisioned()
    equal(store.backend.writes, 2)
    equal(sorted(records(store)), ["config", "seed"])
    equal(cbor.loads(store.get("config")), config())
    equal(len(store.get("seed")), 32)


def test_apply_takes_hex():
    store = empty()
    lwm2m_setup.apply(cbor.dumps(config()).hex(), RANDOM.hex(), store=store)
    equal(cbor.loads(store.get("config")), config())


# The board mixes its own randomness in, and what was there before.
def test_same_random_from_the_host_gives_another_seed():
    store = provisioned()
    seed = store.get("seed")
    assert seed != RANDOM
    lwm2m_setup.apply(cbor.dumps(config()), RANDOM, store=store)
    assert store.get("seed") != seed
    assert provisioned().get("seed") != provisioned().get("seed")


def _set(c, value, *path):
    for step in path[:-1]:
        c = c[step]
    if value is None:
        del c[path[-1]]
    else:
        c[path[-1]] = value


BAD = (
    # what the line must name, then the change: new value (None removes), path
    ("endpoint", "", "ep"),
    ("endpoint", "x" * 65, "ep"),
    ("endpoint", 5, "ep"),
    ("endpoint", None, "ep"),
    ("opts", [], "opts"),
    ("objects", None, "objects"),
    ("objects", 3, "objects"),
    ("no server account", None, "objects", 0),
    ("no server account", {}, "objects", 0),
    ("object ID", {}, "objects", -1),
    ("instance ID", {}, "objects", 1, 65535),
    ("instance is no map", 7, "objects", 0, 0),
    ("server URI", "http://192.0.2.1", "objects", 0, 0, 0),
    ("coaps:// goes with", "coaps://192.0.2.1", "objects", 0, 0, 0),
    ("server URI", 1, "objects", 0, 0, 0),
    ("coap:// goes with", 0, "objects", 0, 0, 2),
    ("short server ID", 0, "objects", 0, 0, 10),
    ("short server ID", 65535, "objects", 0, 0, 10),
    ("one server object", 124, "objects", 0, 0, 10),
    ("lifetime", "300", "objects", 1, 0, 1),
    ("lifetime", -1, "objects", 1, 0, 1),
    ("bad link", [20, 0], "objects", 0, 0, 17),
    ("bad link", [21], "objects", 0, 0, 17),
    ("wrong type", 21, "objects", 0, 0, 17),
    ("wrong type", [21, []], "objects", 0, 0, 17),
    ("keys are missing", [21, 1], "objects", 0, 0, 17),
    ("keys are missing", None, "objects", 21),
    ("master_secret", None, "objects", 21, 0, 0),
    ("master_secret", b"", "objects", 21, 0, 0),
    ("master_secret", bytes(15), "objects", 21, 0, 0),
    ("master_secret", bytes(65), "objects", 21, 0, 0),
    ("master_secret", "0123456789abcdef", "objects", 21, 0, 0),
    ("sender_id", None, "objects", 21, 0, 1),
    ("sender_id", bytes(8), "objects", 21, 0, 1),
    ("recipient_id", None, "objects", 21, 0, 2),
    ("recipient_id", b"\x01", "objects", 21, 0, 2),
    ("aead", 1, "objects", 21, 0, 3),
    ("algorithm", SECRET_2, "objects", 21, 0, 3),
    ("hmac", 6, "objects", 21, 0, 4),
    ("master_salt", bytes(65), "objects", 21, 0, 5),
    ("id_context", bytes(65), "objects", 21, 0, 6),
)


def test_bad_configurations_are_refused_and_change_nothing():
    store = provisioned()
    before = records(store)
    for want, value, *path in BAD:
        bad = config(keys=oscore(SECRET_2))
        _set(bad, value, *path)
        text = str(raises(ValueError, lwm2m_setup.apply, cbor.dumps(bad), RANDOM, store=store))
        assert want in text, (want, text)
        assert "\n" not in text and SECRET_2.hex() not in text
        equal(records(store), before)


def dtls(key=SECRET_2, **change):
    """config() with DTLS under OSCORE."""
    made = config(uri="coaps://192.0.2.1")
    account = made["objects"][0][0]
    account.update({2: 0, 3: b"me", 5: key})
    account.update({int(k[1:]): v for k, v in change.items()})
    return made


class Tls:
    """Stands in for the module tls of a port that has all of it."""

    PROTOCOL_DTLS_CLIENT = 2
    CERT_NONE = 0

    class SSLContext:
        psk_identity = psk_key = None

        def __init__(self, protocol):
            pass

        def get_ciphers(self):
            return ["TLS-PSK-WITH-AES-128-GCM-SHA256"]

        def set_ciphers(self, names):
            pass


def with_tls(module, function):
    kept = sys.modules.get("tls")
    sys.modules["tls"] = module
    try:
        function()
    finally:
        sys.modules.pop("tls")
        if kept:
            sys.modules["tls"] = kept


def test_dtls_is_refused_where_the_port_has_none():
    def tries():
        store = empty()
        text = str(raises(ValueError, lwm2m_setup.apply, cbor.dumps(dtls()), RANDOM, store=store))
        equal(text, "account 0: this firmware has no DTLS")
        equal(records(store), {})

    with_tls(object(), tries)


def test_identity_and_key_of_dtls():
    def tries():
        store = empty()
        lwm2m_setup.apply(cbor.dumps(dtls()), RANDOM, store=store)
        equal(cbor.loads(store.get("config")), dtls())
        before = records(store)
        for want, bad in (
            ("identity", dtls(_3=None)),
            ("identity", dtls(_3=b"")),
            ("identity", dtls(_3="me")),
            ("identity", dtls(_3=bytes(129))),
            ("pre-shared key", dtls(None)),
            ("pre-shared key", dtls(SECRET_2[:15])),
            ("pre-shared key", dtls("0123456789abcdef")),
            ("coaps://", dtls(_2=3)),
        ):
            text = str(raises(ValueError, lwm2m_setup.apply, cbor.dumps(bad), RANDOM, store=store))
            assert want in text and "\n" not in text, (want, text)
            assert "0123456789abcdef" not in text
            equal(records(store), before)

    with_tls(Tls, tries)


def test_ids_are_bounded_by_the_nonce_of_the_algorithm():
    for aead, longest in ((10, 7), (30, 7), (12, 1), (32, 1)):
        fits = oscore(_3=aead, _1=bytes(longest))
        lwm2m_setup.apply(cbor.dumps(config(keys=fits)), RANDOM, store=empty())
        long = oscore(_3=aead, _1=bytes(longest + 1))
        raises(ValueError, lwm2m_setup.apply, cbor.dumps(config(keys=long)), RANDOM, store=empty())


def test_a_seed_of_the_wrong_length_is_refused():
    for bad in (b"", bytes(31), bytes(33), "zz", None, 7):
        store = empty()
        raises(ValueError, lwm2m_setup.apply, cbor.dumps(config()), bad, store=store)
        equal(records(store), {})


def test_add_renumbers_and_keeps():
    store = provisioned()
    more = config(5, oscore(SECRET_2), "coap://192.0.2.2")
    del more["ep"]
    lwm2m_setup.apply(cbor.dumps(more), RANDOM, add=True, store=store)
    want = config()
    want["objects"][0][1] = {0: "coap://192.0.2.2", 1: False, 2: 3, 10: 5, 17: [21, 1]}
    want["objects"][1][1] = {0: 5, 1: 300, 6: True, 7: "U"}
    want["objects"][21][1] = oscore(SECRET_2)
    equal(cbor.loads(store.get("config")), want)


def test_add_to_an_empty_board_provisions_it():
    store = empty()
    lwm2m_setup.apply(cbor.dumps(config()), RANDOM, add=True, store=store)
    equal(cbor.loads(store.get("config")), config())


def test_add_refuses_a_clash():
    store = provisioned()
    before = records(store)
    other = config(5, oscore(SECRET_2))
    other["ep"] = "sensor-2"
    for want, new in (
        ("short server ID", config(123, oscore(SECRET_2))),
        ("same master secret", config(5, oscore(SECRET))),
        ("endpoint name is sensor-1", other),
        ("objects", {"ep": "sensor-1"}),
        ("wrong type", {"objects": {0: [1]}}),
        ("wrong type", {"objects": {0: {0: {17: 5}}}}),
    ):
        e = raises(ValueError, lwm2m_setup.apply, cbor.dumps(new), RANDOM, add=True, store=store)
        assert want in str(e), str(e)
        equal(records(store), before)


def test_two_bootstrap_accounts_are_refused():
    store = provisioned()
    for n, secret in ((0, SECRET_2), (1, bytes(16))):
        boot = {0: "coap://192.0.2.3", 1: True, 2: 3, 17: [21, 0]}
        new = cbor.dumps({"objects": {0: {0: boot}, 21: {0: oscore(secret)}}})
        if n == 0:
            lwm2m_setup.apply(new, RANDOM, add=True, store=store)
        else:
            raises(ValueError, lwm2m_setup.apply, new, RANDOM, add=True, store=store)
    equal(len(cbor.loads(store.get("config"))["objects"][0]), 2)


def test_rotate_changes_the_named_keys_and_nothing_else():
    store = provisioned()
    seed = store.get("seed")
    change = cbor.dumps({"ssid": None, "keys": {0: SECRET_2, 2: b"\x07", 5: None}})
    lwm2m_setup.rotate(change, RANDOM, store=store)
    want = config()
    want["objects"][21][0] = {0: SECRET_2, 1: b"\x01", 2: b"\x07", 3: 10, 4: 0}
    equal(cbor.loads(store.get("config")), want)
    assert store.get("seed") != seed


def test_rotate_refuses_and_changes_nothing():
    store = provisioned()
    before = records(store)
    for want, change in (
        ("no such account", {"ssid": 5, "keys": {0: SECRET_2}}),
        ("no such account", {"ssid": 0, "keys": {0: SECRET_2}}),
        ("keys missing", {"ssid": 123}),
        ("master_secret", {"keys": {0: b"short"}}),
        ("recipient_id", {"keys": {2: b"\x01"}}),
        ("no map", 7),
    ):
        e = raises(ValueError, lwm2m_setup.rotate, cbor.dumps(change), RANDOM, store=store)
        assert want in str(e), str(e)
        equal(records(store), before)
    more = config(5, oscore(SECRET_2))
    lwm2m_setup.apply(cbor.dumps(more), RANDOM, add=True, store=store)
    change = cbor.dumps({"ssid": None, "keys": {0: bytes(16)}})
    assert "several" in str(raises(ValueError, lwm2m_setup.rotate, change, RANDOM, store=store))
    raises(ValueError, lwm2m_setup.rotate, change, RANDOM, store=empty())


def test_show_prints_no_key():
    store = provisioned()
    lines = printed(lwm2m_setup.show, store=store)
    equal(
        lines,
        [
            "endpoint sensor-1",
            "coap://192.0.2.1, server 123, lifetime 300 s",
            "  OSCORE with AEAD 10, HKDF SHA-256",
            "  sender ID 01, recipient ID 02",
            "  secret: set, salt: set, ID context: none",
        ],
    )


def test_show_reports_what_the_flash_lost():
    store = empty()
    store.problems.append("config.0: CRC")
    equal(printed(lwm2m_setup.show, store=store), ["flash: config.0: CRC", "not provisioned"])


def test_wipe_and_provisioning_forget_what_was_learned():
    for f in (
        lambda store: lwm2m_setup.wipe(store=store),
        lambda store: lwm2m_setup.apply(cbor.dumps(config()), RANDOM, store=store),
        lambda store: lwm2m_setup.rotate(cbor.dumps({"keys": {0: SECRET_2}}), RANDOM, store=store),
    ):
        store = provisioned()
        store.put("locations", b"rd/5")
        f(store)
        assert "locations" not in records(store)


def test_old_keys_are_in_neither_slot():
    store = provisioned()
    assert SECRET in store.backend.data[0] and SECRET in store.backend.data[1]
    lwm2m_setup.rotate(cbor.dumps({"keys": {0: SECRET_2}}), RANDOM, store=store)
    for slot in store.backend.data:
        assert SECRET_2 in slot and SECRET not in slot
    lwm2m_setup.wipe(store=store)
    equal(records(store), {})
    for slot in store.backend.data:
        assert SECRET_2 not in slot
    lwm2m_setup.wipe(store=store)


def test_a_corrupt_configuration_can_be_replaced_only():
    store = provisioned()
    store.put("config", b"\xff\xff")
    change = cbor.dumps({"keys": {0: SECRET_2}})
    raises(ValueError, lwm2m_setup.show, store=store)
    raises(ValueError, lwm2m_setup.rotate, change, RANDOM, store=store)
    good = cbor.dumps(config())
    raises(ValueError, lwm2m_setup.apply, good, RANDOM, add=True, store=store)
    lwm2m_setup.apply(good, RANDOM, store=store)
    equal(cbor.loads(store.get("config")), cbor.loads(good))  # the order of a dict is the port's


# run() serves a program: whatever happens is one last line, and no traceback.
def test_run_answers_in_one_line():
    class Broken(Slots):
        def write(self, slot, data):
            raise OSError(28)

    made = lwm2m_setup._store
    good = cbor.dumps(config())
    try:
        lwm2m_setup._store = lambda store: empty()
        equal(printed(lwm2m_setup.run, "apply", good, RANDOM), ["lwm2m_setup: ok"])
        big = config()
        big["opts"] = {"x": bytes(5000)}
        lines = printed(lwm2m_setup.run, "apply", cbor.dumps(big), RANDOM)
        assert lines[0].startswith("lwm2m_setup: refused: data: "), lines
        lines = printed(lwm2m_setup.run, "apply", b"\x01", RANDOM)
        equal(lines, ["lwm2m_setup: refused: the configuration is no map"])
        lwm2m_setup._store = lambda store: Store(Broken())
        lines = printed(lwm2m_setup.run, "apply", good, RANDOM)
        equal(lines, ["lwm2m_setup: refused: the flash failed (errno 28)"])
    finally:
        lwm2m_setup._store = made


def test_mutated_configurations_raise_nothing_but_valueerror():
    seed = random.getrandbits(30)
    print("seed", seed)
    random.seed(seed)
    good = cbor.dumps(config())
    store = provisioned()
    change = cbor.dumps({"ssid": 123, "keys": {0: SECRET_2, 5: None}})
    refused = 0
    for _ in range(400):
        for what, f in ((good, lwm2m_setup.apply), (change, lwm2m_setup.rotate)):
            bad = bytearray(what)
            for _ in range(random.randrange(1, 4)):
                bad[random.randrange(len(bad))] = random.getrandbits(8)
            try:
                f(bytes(bad[: random.randrange(len(bad) + 40)]), RANDOM, store=store)
            except ValueError:
                refused += 1
            printed(lwm2m_setup.show, store=store)
    assert refused > 200, refused
