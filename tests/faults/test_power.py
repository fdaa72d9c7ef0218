# Power cuts at random moments: SIGKILL while it is provisioned, starts or registers.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import os
import random
import signal
import subprocess
import sys
import time

from faults.rig import ENDPOINT, RECIPIENT, SALT, SECRET, SENDER, account

OTHER = b"also-not-in-logs"


def cut(command, after, input=None, env=None):
    """Start a command in a group of its own and kill the whole of it `after` seconds later,
    wherever it then is. Returns whether it had ended before."""
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, env=env, start_new_session=True,
    )
    try:
        process.communicate(input, timeout=after)
        return True
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return False


def provisioning(rig, secret):
    command = [
        sys.executable, "-m", "microlwm2m", "provision", "file:%s" % rig.device.image,
        "--endpoint", ENDPOINT, "--server", rig.bench.server.uri, "--sender-id", SENDER.hex(),
        "--recipient-id", RECIPIENT.hex(), "--master-secret", "-", "--master-salt", SALT.hex(),
        "--retry-timer", "1",
    ]
    return command, secret.hex() + "\n"


def test_while_it_is_provisioned(rig, seed):
    """The image has the old keys or the new ones, and the device comes up with them."""
    dice = random.Random(seed)
    command, secret = provisioning(rig, SECRET)
    began = time.monotonic()
    assert cut(command, 30, secret, rig.environment)
    whole = time.monotonic() - began
    new = SECRET
    outcomes = []
    for n in range(7):
        old, new = new, (OTHER, SECRET)[n % 2]
        command, secret = provisioning(rig, new)
        ended = cut(command, dice.uniform(0.4, 1.0) * whole, secret, rig.environment)
        found = None
        for candidate in (new, old):
            rig.bench.add_account(account(master_secret=candidate))
            after = rig.bench.mark
            rig.device.start()
            ready = rig.device.wait_for("registered location|answers plain 4.00").group(0)
            if ready.startswith("registered"):
                found = candidate
                rig.registered(after)
                assert rig.read("/3/0/0")
            rig.device.kill()
            if found:
                break
        assert found, rig.device.log
        assert found == new or not ended
        outcomes.append(("whole" if ended else "cut", "new" if found is new else "old"))
        new = found
    print(outcomes)


def test_while_it_is_first_provisioned(rig, seed):
    dice = random.Random(seed)
    rig.device.image.unlink()
    command, secret = provisioning(rig, SECRET)
    began = time.monotonic()
    assert cut(command, 30, secret, rig.environment)
    whole = time.monotonic() - began
    for _ in range(5):
        rig.device.image.unlink(missing_ok=True)
        ended = cut(command, dice.uniform(0.4, 1.0) * whole, secret, rig.environment)
        if not rig.device.image.exists():
            assert not ended
            # Nothing is in the way of the next attempt.
            assert cut(command, 30, secret, rig.environment)
        # What bears the image's name is provisioned.
        mark = rig.bench.mark
        rig.device.start()
        rig.device.wait_for("registered location")
        rig.registered(mark)
        rig.device.kill()


def test_while_it_starts_and_registers(rig, seed):
    dice = random.Random(seed)
    began = time.monotonic()
    rig.start()
    whole = time.monotonic() - began
    rig.device.kill()
    for _ in range(12):
        rig.device.start()
        try:
            rig.device.process.wait(dice.uniform(0.1, 1.2) * whole)
            raise AssertionError("it ended by itself:\n" + rig.device.log)
        except subprocess.TimeoutExpired:
            rig.device.kill()
    rig.start()
    assert rig.read("/3/0/0") == "microlwm2m"
    assert "flash:" not in rig.device.log
