# The README's example is code that works.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def blocks(name):
    return re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), re.S)


USE = """
from coap.message import Error
from lwm2m import Model
model = Model()
lamp = model.add(Lamp())
seen = []
class Told:
    def touched(self, path, origin):
        seen.append(path)
model.client = Told()
model.write((3311, 0, 5851), [((3311, 0, 5851), 40)], True)
try:
    model.write((3311, 0), [((3311, 0, 5850), True), ((3311, 0, 5851), 101)], False)
except Error as e:
    assert e.code == 0x80
else:
    raise SystemExit("101 was taken")
assert (lamp.on, lamp.dimmer) == (False, 40)
lamp.set("on_time", 9)
model.execute((3311, 0, 5605), [])
assert lamp.on_time == 0
assert seen == [(3311, 0, 5851), (3311, 0, 5852), (3311, 0, 5852)], seen
"""


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_the_lamp_works(micropython, name):
    done = micropython.run(blocks(name)[0] + USE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_product_module_is_whole(micropython):
    # The README's second block, given the imports that it leaves to the reader.
    objects, product = blocks("README.md")[:2]
    code = objects + "import asyncio\nfrom lwm2m.objects.device import Device\n" + product + """
from lwm2m import Client
client = Client("ep", log=lambda text: None)
globals()["objects"](client, None)
assert sorted(client.model.objects) == [0, 1, 3, 3311]
assert client.status() == "no server"
"""
    done = micropython.run(code)
    assert done.returncode == 0, done.stdout + done.stderr
