# The modules that `microlwm2m codegen` makes of definitions, and what it refuses.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2 appendix D

import subprocess
import sys

import pytest

COMMAND = (sys.executable, "-m", "microlwm2m", "codegen")

PUMP = """<?xml version="1.0" encoding="UTF-8"?>
<LWM2M><Object ObjectType="MODefinition">
 <Name>Water  Pump &amp; Valve</Name><ObjectID>26250</ObjectID><ObjectVersion>1.1</ObjectVersion>
 <MultipleInstances>Multiple</MultipleInstances><Mandatory>Optional</Mandatory>
 <Resources>
  %s
 </Resources></Object></LWM2M>
"""
ITEM = """<Item ID="%s"><Name>%s</Name><Operations>%s</Operations>
 <MultipleInstances>%s</MultipleInstances><Mandatory>%s</Mandatory><Type>%s</Type>
 <RangeEnumeration>%s</RangeEnumeration><Units>%s</Units><Description>d</Description></Item>"""


def item(rid, name, operations="R", typ="Integer", several="Single", mandatory="Optional", span="", units=""):
    return ITEM % (rid, name, operations, several, mandatory, typ, span, units)


ITEMS = (
    item(9, "Run", "E", ""),
    item(0, "Flow Rate", "R", "Float", mandatory="Mandatory", units="l/s"),
    item(1, "On/Off", "RW", "Boolean", mandatory="Mandatory"),
    item(2, "Class", "RW", "String", span="0..20"),
    item(3, "Alarm", "R", "Unsigned Integer", "Multiple", "Mandatory"),
    item(4, "Alarm", "RW", "Time"),
    item(5, "2nd Key", "W", "Opaque"),
    item(6, "Link", "R", "Objlnk", mandatory="Mandatory"),
    item(7, "Validate", "", "Corelnk"),
)


def codegen(tmp_path, xml, *args, name="pump.xml"):
    (tmp_path / name).write_text(xml, encoding="utf-8")
    return subprocess.run([*COMMAND, str(tmp_path / name), *args], capture_output=True, text=True)


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    done = codegen(tmp_path_factory.mktemp("pump"), PUMP % "\n".join(ITEMS))
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


USE = """
from coap.message import Error
from lwm2m import Model
assert (WaterPumpValve.OID, WaterPumpValve.VERSION, WaterPumpValve.MULTIPLE) == (26250, "1.1", True)
assert WaterPumpValve.TABLE == (
    (0, 17, 3, "flow_rate", 0.0), (1, 19, 4, "on_off", False), (2, 3, 0, "class_2"), (3, 25, 2, "alarm_3", ()),
    (4, 3, 6, "alarm_4"), (5, 2, 5, "r_2nd_key"), (6, 17, 7, "link", (65535, 65535)), (7, 0, 8, "validate_7"),
    (9, 4, None, "run"),
), WaterPumpValve.TABLE
class Pump(WaterPumpValve):
    ran = None
    def run(self, arguments):
        self.ran = arguments
model = Model()
pump = model.add(Pump(), 3)
assert (pump.on_off, pump.class_2, pump.alarm_3) == (False, None, ())
read = [(path[2:], value) for path, _, value in model.read((26250, 3))]
assert read == [((0,), 0.0), ((1,), False), ((6,), (65535, 65535))], read
model.write((26250, 3), [((26250, 3, 1), True), ((26250, 3, 2), "a")], False)
assert (pump.on_off, pump.class_2, pump.alarm_4) == (True, "a", None)
model.execute((26250, 3, 9), [(0, None)])
assert pump.ran == [(0, None)]
plain = model.add(WaterPumpValve(), 4)
try:
    model.execute((26250, 4, 9), [])
except Error as e:
    assert e.code == 0x84
else:
    raise SystemExit("a method that is not there ran")
"""


def test_the_module_works(micropython, module):
    done = micropython.run(module + USE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_the_module_says(module):
    assert '(0, _R | _MANDATORY, _FLOAT, "flow_rate", 0.0),  # l/s' in module
    assert '(2, _RW, _STRING, "class_2"),  # 0..20' in module
    assert "run(self, arguments)" in module
    assert max(map(len, module.splitlines())) < 100


def test_its_table_stays_in_flash(micropython, module):
    # It is made of nothing but constants, so it is one itself: nothing is put together when the
    # module is imported.
    start = module.index("    TABLE = ") + len("    TABLE = ")
    table = module[start : module.index("\n    )\n", start) + 6]
    constants = "\n".join(line for line in module.splitlines() if " = const(" in line)
    code = "from micropython import const\n%s\ndef table():\n    return %s\nprint(table() is table())\n"
    assert micropython.run(code % (constants, table)).stdout == "True\n"
    loose = constants.replace("_", "").replace("const(", "int(")  # what is looked up when it runs
    assert micropython.run(code % (loose, table.replace("_", ""))).stdout == "False\n"


def test_optional_resources_may_be_left_out(tmp_path):
    done = codegen(tmp_path, PUMP % "\n".join(ITEMS), "--resources", "4, 9", "--name", "Small")
    rows = [line.split(",")[0].strip() for line in done.stdout.splitlines() if line.startswith("        (")]
    assert rows == ["(0", "(1", "(3", "(4", "(6", "(9"]
    assert "class Small(Instance):" in done.stdout
    assert "alarm_4" in done.stdout  # named as without --resources


def test_a_file_is_not_overwritten_unasked(tmp_path):
    xml, out = PUMP % ITEMS[1], tmp_path / "pump.py"
    assert codegen(tmp_path, xml, "-o", str(out)).returncode == 0
    text = out.read_text()
    out.write_text("mine")
    done = codegen(tmp_path, xml, "-o", str(out))
    assert (done.returncode, out.read_text()) == (1, "mine")
    assert done.stderr.count("\n") == 1 and "--force" in done.stderr
    assert codegen(tmp_path, xml, "-o", str(out), "--force").returncode == 0
    assert out.read_text() == text


def test_stdin(tmp_path):
    done = subprocess.run([*COMMAND, "-"], input=PUMP % ITEMS[1], capture_output=True, text=True)
    assert done.returncode == 0 and "class WaterPumpValve(Instance):" in done.stdout


BAD = {
    "no XML": ("<LWM2M><Object>", "not XML: "),
    "no object": ("<LWM2M/>", "0 elements <Object>"),
    "two objects": ("<LWM2M><Object/><Object/></LWM2M>", "2 elements <Object>"),
    "no object ID": (PUMP.replace("26250", "x") % ITEMS[1], "ObjectID: 'x'"),
    "an object ID too large": (PUMP.replace("26250", "42769") % ITEMS[1], "ObjectID: '42769'"),
    "no version": (PUMP.replace("1.1", "v1") % ITEMS[1], "ObjectVersion: 'v1'"),
    "no resources": (PUMP % "", "object 26250 has no resources"),
    "a resource twice": (PUMP % (ITEMS[1] + ITEMS[1]), "resource 0 is there twice"),
    "a type": (PUMP % item(1, "n", typ="Int"), "resource 1: unknown type 'Int'"),
    "no type": (PUMP % item(1, "n", typ=""), "resource 1: unknown type ''"),
    "operations": (PUMP % item(1, "n", "RX"), "resource 1: unknown operations 'RX'"),
    "instances": (PUMP % item(1, "n", several="Many"), "resource 1: MultipleInstances is 'Many'"),
    "a resource ID": (PUMP % item("65536", "n"), "a resource's ID: '65536'"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_definition_is_refused(tmp_path, what):
    xml, text = BAD[what]
    done = codegen(tmp_path, xml, "-o", str(tmp_path / "out.py"))
    assert done.returncode == 1 and text in done.stderr, done.stderr
    assert done.stderr.startswith("microlwm2m codegen: ") and done.stderr.count("\n") == 1
    assert not (tmp_path / "out.py").exists()


@pytest.mark.parametrize(
    "args, text",
    [
        (("--resources", "1,x"), "'x' is no resource's ID"),
        (("--resources", "44"), "object 26250 has no 44"),
        (("--name", "2x"), "'2x' cannot be the name of a class"),
        (("--name", "class"), "'class' cannot be"),
    ],
)
def test_bad_usage(tmp_path, args, text):
    done = codegen(tmp_path, PUMP % ITEMS[1], *args)
    assert done.returncode == 2 and text in done.stderr and done.stderr.count("\n") == 1


def test_a_file_that_is_not_there():
    done = subprocess.run([*COMMAND, "/nowhere.xml"], capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1) and "/nowhere.xml" in done.stderr
