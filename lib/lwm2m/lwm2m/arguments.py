# Arguments of Execute.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2 section 6.3.5
#
# A firmware that leaves this out answers an Execute that has some 4.00.

from coap.codec import Error

_BAD_REQUEST = const(0x80)

# Of one Execute.
_MAX_ARGUMENTS = const(10)


def arguments_of(payload):
    """List of (digit, text or None). Error 4.00 when malformed."""
    try:
        text = bytes(payload).decode()
    except UnicodeError:
        raise Error(_BAD_REQUEST)
    out = []
    at = 0
    while at < len(text):
        if out:
            if text[at] != ",":
                raise Error(_BAD_REQUEST)
            at += 1
        digit = text[at : at + 1]
        if not digit or digit not in "0123456789" or len(out) >= _MAX_ARGUMENTS:
            raise Error(_BAD_REQUEST)
        at += 1
        value = None
        if text[at : at + 1] == "=":
            end = text.find("'", at + 2)
            if text[at + 1 : at + 2] != "'" or end < 0:
                raise Error(_BAD_REQUEST)
            value = text[at + 2 : end]
            at = end + 1
        out.append((int(digit), value))
    return out
