# The data model: reading, writing as a transaction, creating, link lists.
# MIT license; Copyright (c) 2026 the microlwm2m authors

from check import raises, equal
from coap.message import Error, BAD_REQUEST, NOT_FOUND, METHOD_NOT_ALLOWED, INTERNAL
from lwm2m import Instance, Model, R, W, RW, E, MULTI, MANDATORY, STRING, INTEGER, OPAQUE
from lwm2m.creating import create, delete
from lwm2m.discover import links


class Thing(Instance):
    OID = 30000
    VERSION = "2.1"
    MULTIPLE = CREATE = True
    TABLE = (
        (0, RW | MANDATORY, STRING, "name"),
        (1, R, INTEGER, "level"),
        (2, W, OPAQUE, "key"),
        (3, RW | MULTI, STRING, "tags"),
        (4, E, None, "kick"),
        (5, RW, INTEGER, "limit"),
        (6, R | MULTI, INTEGER, "errors"),
        (7, R, STRING, "absent"),
    )
    name = "x"
    level = 7
    key = b"secret"
    tags = None
    limit = 10
    errors = (3, 4)
    absent = None

    def __init__(self):
        self.kicks = []

    def kick(self, arguments):
        if not arguments:
            raise ValueError("arguments")
        self.kicks.append(arguments)

    def validate(self):
        if self.limit is not None and self.limit > 100:
            raise ValueError("limit")


class Single(Instance):
    OID = 30001
    TABLE = ((0, R, STRING, "name"),)
    name = "s"


def make():
    model = Model()
    model.add(Thing())
    model.add(Single())
    return model


def code(exc, fn, *args):
    equal(raises(Error, fn, *args).code, exc)


class Told:
    """Stands where the client would."""

    def __init__(self, touched):
        self.touched = touched

    def structure(self):
        pass



def test_read_levels():
    m = make()
    equal(m.read((30000, 0, 1)), [((30000, 0, 1), INTEGER, 7)])
    equal(m.read((30000, 0, 6)), [((30000, 0, 6, 0), INTEGER, 3), ((30000, 0, 6, 1), INTEGER, 4)])
    equal(m.read((30000, 0, 6, 1)), [((30000, 0, 6, 1), INTEGER, 4)])
    # At a higher level what cannot be read, or is not there, is skipped.
    equal([n[0][2] for n in m.read((30000, 0))], [0, 1, 5, 6, 6])
    m.add(Thing(), 4)
    equal([n[0][1] for n in m.read((30000,))], [0] * 5 + [4] * 5)


def test_read_errors():
    m = make()
    code(NOT_FOUND, m.read, (1,))
    code(NOT_FOUND, m.read, (30000, 1))
    code(NOT_FOUND, m.read, (30000, 0, 99))
    code(NOT_FOUND, m.read, (30000, 0, 7))
    code(NOT_FOUND, m.read, (30000, 0, 6, 2))
    code(NOT_FOUND, m.read, (30000, 0, 1, 0))
    code(METHOD_NOT_ALLOWED, m.read, (30000, 0, 2))
    code(METHOD_NOT_ALLOWED, m.read, (30000, 0, 4))


def test_write_replace_and_partial():
    m = make()
    thing = m.instance(30000, 0)
    thing.tags = {0: "a", 1: "b"}
    m.write((30000, 0), [((30000, 0, 0), "new"), ((30000, 0, 3, 5), "c")], False)
    equal((thing.name, thing.tags, thing.limit), ("new", {0: "a", 1: "b", 5: "c"}, 10))
    # Replace makes the optional writable resources that it does not name what the object
    # says they are without a value.
    thing.limit = 50
    thing.key = b"other"
    m.write((30000, 0), [((30000, 0, 3, 2), "d")], True)
    equal((thing.name, thing.tags, thing.limit, thing.level), ("new", {2: "d"}, 10, 7))
    equal(thing.key, b"secret")
    m.write((30000, 0), [], True)
    equal((thing.tags, thing.limit), (None, 10))
    equal([n[0][2] for n in m.read((30000, 0))], [0, 1, 5, 6, 6])
    m.write((30000, 0, 3), [((30000, 0, 3, 9), "e")], True)
    equal(thing.tags, {9: "e"})
    m.write((30000, 0, 3), [((30000, 0, 3), {})], True)
    equal(thing.tags, {})
    thing.tags = {9: "e"}
    m.write((30000, 0, 3, 9), [((30000, 0, 3, 9), "f")], True)
    equal(thing.tags, {9: "f"})


class Clock(Instance):
    OID = 30002
    TABLE = ((0, RW, INTEGER, "time"), (1, RW, STRING, "zone"), (2, RW, STRING, "place"))
    zone = "UTC"
    now = 5

    @property
    def time(self):
        return self.now

    @time.setter
    def time(self, value):
        self.now = value + 0

    def place(self):
        return "here"


class Sparse(Instance):
    OID = 30003
    TABLE = (
        (0, RW, STRING, "name", "none"),
        (1, RW, INTEGER, "level"),
        (2, R | MULTI, INTEGER, "errors", (0,)),
        (3, E, None, "kick"),
        (4, RW, INTEGER, "limit", 1),
    )
    limit = 10


def test_a_field_that_nobody_has_set_is_as_its_row_says():
    m = make()
    sparse = m.add(Sparse())
    equal((sparse.name, sparse.level, sparse.errors, sparse.limit), ("none", None, (0,), 10))
    nodes = [((30003, 0, 0), STRING, "none"), ((30003, 0, 2, 0), INTEGER, 0), ((30003, 0, 4), INTEGER, 10)]
    equal(m.read((30003, 0)), nodes)
    equal(m.read((30003, 0, 0)), nodes[:1])
    equal(m.read((30003, 0, 2)), nodes[1:2])
    code(NOT_FOUND, m.read, (30003, 0, 1))
    code(NOT_FOUND, m.execute, (30003, 0, 3), [])
    equal([path for path, _ in links(m, (30003, 0))], [(30003, 0)] + [(30003, 0, rid) for rid in (0, 2, 4)])
    seen = []
    m.client = Told(lambda path, origin: seen.append(path))
    sparse.set("level", None)
    sparse.set("name", "none")
    equal(seen, [])
    sparse.set("level", 3)
    equal(seen, [(30003, 0, 1)])
    # What a Write-Replace does not name is as if nobody had set it.
    m.write((30003, 0), [((30003, 0, 0), "new"), ((30003, 0, 4), 5)], True)
    equal((sparse.name, sparse.level, sparse.limit), ("new", None, 5))
    m.write((30003, 0), [], True)
    equal(m.read((30003, 0)), nodes)


def test_other_names_are_no_fields():
    sparse = make().add(Sparse())
    for name in ("levels", "kick", "_name"):
        assert not hasattr(sparse, name), name
        raises(AttributeError, getattr, sparse, name)
    sparse.validate()


def test_replace_leaves_to_the_application_what_is_its_own():
    m = make()
    clock = m.add(Clock())
    clock.zone = "CET"
    m.write((30002, 0), [], True)
    equal(m.read((30002, 0)), [((30002, 0, 0), INTEGER, 5), ((30002, 0, 1), STRING, "UTC"), ((30002, 0, 2), STRING, "here")])
    m.write((30002, 0), [((30002, 0, 0), 9)], True)
    equal(clock.now, 9)


def test_write_errors_change_nothing():
    m = make()
    thing = m.instance(30000, 0)
    thing.tags = {0: "a"}
    before = (thing.name, dict(thing.tags), thing.limit, thing.key)
    w = m.write
    code(METHOD_NOT_ALLOWED, w, (30000, 0), [((30000, 0, 0), "n"), ((30000, 0, 1), 1)], False)
    code(NOT_FOUND, w, (30000, 0, 99), [((30000, 0, 99), "n")], True)
    code(NOT_FOUND, w, (30000, 3), [], True)
    code(NOT_FOUND, w, (30000, 0, 3, 8), [((30000, 0, 3, 8), "n")], True)
    code(METHOD_NOT_ALLOWED, w, (30000, 0, 4), [((30000, 0, 4), "n")], True)
    code(METHOD_NOT_ALLOWED, w, (30000,), [], True)
    code(BAD_REQUEST, w, (30000, 0), [((30000, 1, 0), "n")], True)
    code(BAD_REQUEST, w, (30000, 0, 0), [], True)
    code(BAD_REQUEST, w, (30000, 0), [((30000, 0, 0, 1), "n")], True)
    # validate() refuses the limit: the name written with it goes back.
    code(BAD_REQUEST, w, (30000, 0), [((30000, 0, 0), "n"), ((30000, 0, 5), 101)], False)
    code(INTERNAL, w, (30000, 0, 3), [((30000, 0, 3, i), "x") for i in range(33)], True)
    equal((thing.name, dict(thing.tags), thing.limit, thing.key), before)


def test_unknown_optional_resource_in_an_instance_write_is_ignored():
    m = make()
    m.write((30000, 0), [((30000, 0, 99), b"?"), ((30000, 0, 0), "n")], False)
    equal(m.instance(30000, 0).name, "n")


def test_several_instances_are_one_transaction():
    m = make()
    a, b = m.instance(30000, 0), m.add(Thing())
    changes = m.plan(a, (30000, 0, 5), [((30000, 0, 5), 50)], True)
    changes += m.plan(b, (30000, 1, 5), [((30000, 1, 5), 500)], True)
    code(BAD_REQUEST, m.apply, changes)
    equal((a.limit, b.limit), (10, 10))


def test_touched_names_who_wrote():
    m = make()
    seen = []
    m.client = Told(lambda path, origin: seen.append((path, origin)))
    m.write((30000, 0, 0), [((30000, 0, 0), "n")], True, "server")
    m.instance(30000, 0).set("level", 8)
    m.instance(30000, 0).set("level", 8)
    equal(seen, [((30000, 0, 0), "server"), ((30000, 0, 1), None)])


def test_create_and_delete():
    m = make()
    equal(create(m, 30000, None, [((30000, None, 0), "two")]), 1)
    equal(create(m, 30000, 7, [((30000, 7, 0), "seven")]), 7)
    code(BAD_REQUEST, create, m, 30000, 7, [])
    code(BAD_REQUEST, create, m, 30000, 8, [((30000, 8, 5), 101)])
    code(METHOD_NOT_ALLOWED, create, m, 30001, 1, [])
    code(NOT_FOUND, create, m, 30002, 1, [])
    equal(sorted(m.objects[30000]), [0, 1, 7])
    delete(m, (30000, 1))
    code(NOT_FOUND, delete, m, (30000, 1))
    code(METHOD_NOT_ALLOWED, delete, m, (30001, 0))
    for _ in range(14):
        create(m, 30000, None, [])
    code(INTERNAL, create, m, 30000, None, [])


def test_execute():
    m = make()
    m.execute((30000, 0, 4), [(0, "on"), (1, None)])
    equal(m.instance(30000, 0).kicks, [[(0, "on"), (1, None)]])
    code(BAD_REQUEST, m.execute, (30000, 0, 4), [])
    code(METHOD_NOT_ALLOWED, m.execute, (30000, 0, 0), [])
    code(NOT_FOUND, m.execute, (30000, 0, 9), [])


def test_links():
    m = make()
    m.instance(30000, 0).tags = {3: "a"}
    equal(m.links(), [((30000,), ";ver=2.1"), ((30000, 0), ""), ((30001, 0), "")])
    equal(m.links(hidden=(30000,)), [((30001, 0), "")])
    instance = [
        ((30000, 0), ""),
        ((30000, 0, 0), ""),
        ((30000, 0, 1), ""),
        ((30000, 0, 2), ""),
        ((30000, 0, 3), ";dim=1"),
        ((30000, 0, 4), ""),
        ((30000, 0, 5), ""),
        ((30000, 0, 6), ";dim=2"),
    ]
    equal(links(m, (30000, 0)), instance)
    equal(links(m, (30000,)), [((30000,), ";ver=2.1")] + instance)
    equal(links(m, (30000, 0), 0), instance[:1])
    equal(links(m, (30000, 0, 3)), [instance[4], ((30000, 0, 3, 3), "")])
    code(NOT_FOUND, links, m, (30000, 0, 7))


def test_a_table_that_does_not_ascend_is_refused():
    class Wrong(Instance):
        OID = 30002
        TABLE = ((1, R, STRING, "a"), (0, R, STRING, "b"))

    assert "ascend" in str(raises(ValueError, Model().add, Wrong()))
