# The device under fuzzing is the one of the tests with faults.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import pytest

pytest.register_assert_rewrite("faults.rig")

from faults.rig import bench, rig, seed, shared_bench, template  # noqa: E402, F401
