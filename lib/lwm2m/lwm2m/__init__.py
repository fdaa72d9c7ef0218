# LwM2M client for MicroPython.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core and Transport 1.2.2

__version__ = "0.1.0"


def late(self, name):
    """The __getattr__ of classes whose methods do not all stay loaded: _late names the module,
    and the class in it, where the others are. It is imported when one is called."""
    module, cls = self._late
    method = getattr(getattr(__import__(module, globals(), None, (cls,), 1), cls), name)
    return lambda *args, **options: method(self, *args, **options)


# Importing the package costs nothing: a name brings its module when it is used.
def __getattr__(name):
    module = (
        "client" if name == "Client" else "model" if name in ("Instance", "Model") else "types"
    )
    value = getattr(__import__(module, globals(), None, (name,), 1), name)
    globals()[name] = value
    return value
