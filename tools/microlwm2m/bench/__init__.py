# The bench server: an LwM2M server in one process, sealed with OSCORE, to try a device with.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# from microlwm2m.bench import Account, BenchServer

from .accounts import Account
from .events import Event
from .operations import OperationFailed, Result
from .server import BenchServer

__all__ = ["Account", "BenchServer", "Event", "OperationFailed", "Result"]
