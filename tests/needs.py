# Skips aloud, or fails where nothing may be skipped.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import os
import shutil

import pytest


def skip(reason):
    """Skip with a reason, or fail when MICROLWM2M_REQUIRE=1 (as .ci/run sets it)."""
    if os.environ.get("MICROLWM2M_REQUIRE") == "1":
        pytest.fail("must not be skipped here: " + reason, pytrace=False)
    pytest.skip(reason)


def require(program, apt):
    """Path of a program, or a skip that names the apt package that brings it."""
    found = shutil.which(program)
    if not found:
        skip("needs %s (apt install %s)" % (program, apt))
    return found
