# What a security hook raises. Loaded with the first message that is refused.
# MIT license; Copyright (c) 2026 the microlwm2m authors

from coap.codec import Error


class SecurityError(Error):
    """A message that the security hook refuses. code is what a request is answered with.

    ex: where it is not None, the answer is sealed with it (the request was authentic, but
    has to be repeated, as for a challenge with Echo); else the answer is plain.
    """

    def __init__(self, code, text="", options=(), ex=None):
        super().__init__(code, text, options)
        self.ex = ex


class PlainError(Error):
    """An unprotected error response to a protected request: an unauthenticated hint."""
