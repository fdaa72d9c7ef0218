# CBOR: whole objects by dumps and loads, items over buffers by Writer and Reader.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8949. dumps, loads and the errors are named as in micropython-lib's cbor2.

# Bounds of what loads() and Reader.value() build and of what dumps() takes. They may
# be set at any time; a Reader counts from when it is made.
MAX_DEPTH = 16  # arrays, maps and tags within one another
MAX_ITEMS = 1024  # items of one Reader, each element, key, value, tag and piece of a string


# A name brings its module when it is used: who only writes needs no Reader.
def __getattr__(name):
    module = "errors" if name.endswith("Error") else name.lower()
    if module not in ("errors", "reader", "writer"):
        module = "items"
    value = __import__(module, globals(), None, (name,), 1)
    if name != module:
        value = getattr(value, name)
        globals()[name] = value
    return value


def dumps(obj, half=False):
    """The encoding of obj, as bytes.

    obj: None, bool, int of any size, float, str, bytes, bytearray, memoryview, list,
    tuple, dict, CBORTag or CBORSimpleValue. half: as for Writer.
    Raises CBOREncodeError.
    """
    from .writer import Writer

    w = Writer(bytearray(32), half=half, grow=True)
    w.value(obj)
    return bytes(w.view())


def loads(payload):
    """The object that payload, all of it, encodes; see Reader.value() for the types.

    payload: bytes, bytearray or memoryview. Raises CBORDecodeError, and nothing else,
    whatever payload holds; also for bytes that follow the object.
    """
    from .reader import Reader

    r = Reader(payload)
    obj = r.value()
    r.finish()
    return obj
