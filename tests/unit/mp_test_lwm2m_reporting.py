# Observations: when a notification is due, and with what.
# MIT license; Copyright (c) 2026 the microlwm2m authors

from check import equal
from lwm2m import Model
from lwm2m.attributes import write
from lwm2m.objects.accounts import Server
from lwm2m.objects.temperature import Temperature
from lwm2m.reporting import Reporting

VALUE = (3303, 0, 5700)


class Rig:
    def __init__(self, **fields):
        self.model = Model()
        self.sensor = self.model.add(Temperature())
        self.server = Server()
        for name in fields:
            setattr(self.server, name, fields[name])
        self.sent = []
        self.reporting = Reporting(self.model, self.server, self._send)
        self.model.client = self

    def touched(self, path, origin):
        self.reporting.touched(path, origin == "us")

    def _send(self, o, now, confirmable):
        self.sent.append((now, self.sensor.value, confirmable))

    def observe(self, path=VALUE):
        self.reporting.observe(path, None, None, object(), 0)

    def at(self, now, value=None):
        if value is not None:
            self.sensor.measured(value)
        return self.reporting.poll(now)


def test_each_change_is_sent_and_no_repeat():
    r = Rig()
    r.observe()
    equal(r.at(1000, 21.0), None)
    equal(r.at(2000, 21.0), None)
    equal(r.at(3000, 22.0), None)
    equal(r.sent, [(1000, 21.0, False), (3000, 22.0, False)])


def test_other_paths_do_not_wake():
    r = Rig()
    r.observe((3303, 0, 5601))
    r.at(0, 5.0)
    r.sent = []
    r.at(1000, 6.0)  # min stays
    equal(r.sent, [])
    r.at(2000, 4.0)
    equal(len(r.sent), 1)


def test_object_and_instance_level():
    for path in ((3303,), (3303, 0)):
        r = Rig()
        r.observe(path)
        r.at(1000, 21.0)
        equal(len(r.sent), 1)


def test_pmin_delays_and_the_latest_value_is_sent():
    r = Rig()
    r.observe()
    write(r.reporting, VALUE, ["pmin=5"])
    equal(r.at(1000, 21.0), 5000)
    equal(r.at(2000, 22.0), 5000)
    equal(r.at(5000), None)
    equal(r.sent, [(5000, 22.0, False)])
    equal(r.at(6000, 23.0), 10000)


def test_pmax_sends_without_a_change():
    r = Rig()
    r.observe()
    write(r.reporting, VALUE, ["pmax=10"])
    equal(r.at(0), 10000)
    equal(r.at(10000), 20000)
    equal(len(r.sent), 1)


def test_thresholds_and_step():
    r = Rig()
    r.sensor.measured(20.0)
    r.observe()
    write(r.reporting, VALUE, ["gt=25", "lt=15", "st=4"])
    for now, value in enumerate((21.0, 23.0, 24.0, 24.5, 26.0, 27.0, 24.9, 14.0, 15.5)):
        r.at(now * 1000, value)
    #   21 no, 23 no, 24 step, 24.5 no, 26 crosses gt, 27 no, 24.9 crosses gt, 14 crosses lt and step, 15.5 crosses lt
    equal([v for _, v, _ in r.sent], [24.0, 26.0, 24.9, 14.0, 15.5])


def test_levels_and_defaults_of_the_server():
    r = Rig(pmin=2, pmax=60)
    equal(r.reporting.effective(VALUE), {"pmin": 2, "pmax": 60})
    write(r.reporting, (3303,), ["pmin=3"])
    write(r.reporting, (3303, 0), ["pmax=9"])
    write(r.reporting, VALUE, ["pmin=4"])
    equal(r.reporting.effective(VALUE), {"pmin": 4, "pmax": 9})
    write(r.reporting, VALUE, ["pmin"])
    equal(r.reporting.effective(VALUE), {"pmin": 3, "pmax": 9})


def test_values_compare_with_what_was_there_when_the_attributes_came():
    r = Rig()
    r.observe()
    r.at(1000, 30.0)
    for now in (2000, 20000):
        r.at(now, 40.0 + now / 1000)
        write(r.reporting, VALUE, ["st=5"])
        del r.sent[:]
        r.at(now + 1000, 43.0 + now / 1000)
        equal(r.sent, [])
        r.at(now + 2000, 46.0 + now / 1000)
        equal(r.sent, [(now + 2000, 46.0 + now / 1000, False)])
        write(r.reporting, VALUE, ["st"])


def test_what_the_server_wrote_is_not_told_back():
    r = Rig()
    r.observe((3303, 0, 5750))
    r.model.write((3303, 0, 5750), [((3303, 0, 5750), "t")], True, "us")
    r.at(1000)
    equal(r.sent, [])
    r.model.write((3303, 0, 5750), [((3303, 0, 5750), "u")], True, "others")
    r.at(1000)
    equal(len(r.sent), 1)


def test_confirmable_once_a_day_or_always():
    r = Rig()
    r.observe()
    r.at(1000, 21.0)
    r.at(86400000, 22.0)
    r.at(86401000, 23.0)
    equal([c for _, _, c in r.sent], [False, True, False])
    r.server.notification_mode = 1
    r.at(86402000, 24.0)
    equal(r.sent[-1][2], True)


def test_cancel_and_clear():
    r = Rig()
    r.observe()
    r.reporting.cancel(r.reporting.observations[0].handle)
    r.at(1000, 21.0)
    equal(r.sent, [])
    r.observe()
    equal(len(r.reporting.clear()), 1)
    r.at(2000, 22.0)
    equal(r.sent, [])
