# `python -m microlwm2m` is the command microlwm2m.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import sys

from .cli import main

sys.exit(main())
