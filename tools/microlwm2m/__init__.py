# microlwm2m on the host: provisioning, a device on the unix port, a bench server.
# MIT license; Copyright (c) 2026 the microlwm2m authors

__version__ = "0.1.0"
