# Several accounts behind one endpoint: a server's hook.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 section 8.2, step 2

from coap.codec import Error
from coap.errors import SecurityError

from .message import decode_option, option_of

_UNAUTHORIZED = const(0x81)
_BAD_OPTION = const(0x82)
_UNAVAILABLE = const(0xA3)


class Contexts:
    """The security hook of an endpoint with several peers: Contexts((account, ...)).

    A request goes to the accounts whose Recipient ID is its kid, one after the other until
    one verifies it, since two may share an ID. Requests that we make need an account of
    their own as hook; here they are refused unless there is one account only.
    """

    def __init__(self, accounts=()):
        self.accounts = list(accounts)

    def open_request(self, outer):
        """As Account.open_request()."""
        kid = None
        try:
            option = option_of(outer)
            if option is not None:
                kid = decode_option(option)[1]
        except ValueError:
            raise SecurityError(_BAD_OPTION, "undecodable")
        error = None
        for account in self.accounts:
            if account.recipient_id == kid:
                try:
                    return account.open_request(outer)
                except SecurityError as e:
                    if e.ex is not None:
                        raise  # it was verified
                    error = error or e
        raise error or SecurityError(_UNAUTHORIZED, "unknown")

    def seal_response(self, msg, binding, notification=False):
        """As Account.seal_response()."""
        return binding.account.seal_response(msg, binding, notification)

    def seal_request(self, msg):
        """As Account.seal_request()."""
        if len(self.accounts) != 1:
            raise Error(_UNAVAILABLE, "which account?")
        return self.accounts[0].seal_request(msg)

    def open_response(self, outer, binding):
        """As Account.open_response()."""
        return binding.account.open_response(outer, binding)
