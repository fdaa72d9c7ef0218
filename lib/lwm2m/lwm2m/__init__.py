# LwM2M client for MicroPython.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core and Transport 1.2.2

__version__ = "0.1.0"


def late(self, name):
    """The __getattr__ of classes whose methods do not all stay loaded: _late names the module,
    and the class in it, where the others are, and what attributes are before they are set. It is
    imported when one is asked for."""
    module, cls = self._late
    value = getattr(getattr(__import__(module, None, None, (cls,)), cls), name)
    return (lambda *args, **options: value(self, *args, **options)) if callable(value) else value


# Importing the package costs nothing: a name brings its module when it is used.
def __getattr__(name):
    if name == "Client":
        module = "lwm2m.client"
    else:
        module = "lwm2m.model" if name in ("Instance", "Model") else "lwm2m.types"
    value = getattr(__import__(module, None, None, (name,)), name)
    globals()[name] = value
    return value
