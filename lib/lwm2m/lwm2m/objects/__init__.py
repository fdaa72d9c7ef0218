# The objects that ship. Each is a module of its own: import what the product has.
# MIT license; Copyright (c) 2026 the microlwm2m authors
