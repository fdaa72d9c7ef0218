# coaps:// servers: what DTLS as an instance of /0 wants it takes, and looking after a session.
# MIT license; Copyright (c) 2026 the microlwm2m authors

# After the end of a transport's own session, before the next one begins.
_AGAIN_MS = const(1000)


def check(security):
    """ValueError says why DTLS as an instance of /0 wants it is not to be had here."""
    from coap.dtls import context

    if security.mode or not security.uri.startswith("coaps:"):
        raise ValueError("coaps:// goes with security mode 0 (PSK), coap:// with 3 (NoSec)")
    context(security.identity, security.secret_key)


def session(security, peer, family):
    """The transport to a peer. OSError when there is no memory for a session."""
    from coap.dtls import DTLS

    return DTLS(peer, security.identity, security.secret_key, family)


def keep(account, now):
    """Look after the session of an account's transport; the time of the next call, or None. A
    server that lost it may be silent, so that an unanswered request ends it too: the next one
    has a new session."""
    if account._unanswered:
        account.client.disconnect(account)
        return None
    try:
        return account.transport.poll(now)
    except OSError as e:
        why = str(e)
    pending = account.pending
    account.client.disconnect(account)
    if pending is not None:
        pending.on_response(pending, None, why)
    elif account.location is not None:
        account.say(why)
        account.forget(now + _AGAIN_MS)
