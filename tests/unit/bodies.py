# Options and payload without the header, as OSCORE's plaintext has them.
# MIT license; Copyright (c) 2026 the microlwm2m authors

from coap.codec import put_body, read_body

_PAYLOAD = 0x20000000  # in Message.kinds


def decode_body(view, pos=0):
    """(options, payload) from position pos to the end of a memoryview. Raises FormatError."""
    options = []
    kinds = read_body(view, pos, options.append)
    return options, options.pop() if kinds & _PAYLOAD else b""


def encode_body(options, payload, head=b""):
    """head, then options and payload."""
    return put_body(bytearray(head), options, payload)
