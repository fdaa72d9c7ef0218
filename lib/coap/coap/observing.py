# A request of ours that observes: notifications, and the rest of those that are long.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 7641 section 3, RFC 7959 section 2.6

from coap.codec import Message
from coap.sending import Exchange

_BAD_REQUEST = const(0x80)
_OBSERVE = const(6)
_BLOCK2 = const(23)

_F_BLOCK = const(1)  # as in endpoint.py
_F_OBSERVE = const(2)

_FRESH_MS = const(128000)  # RFC 7641 section 3.4


def notified(exchange, endpoint, response, flags, now):
    """Take a response to an exchange that observes, accepted by the hook."""
    value = None
    if flags & _F_OBSERVE and response.code < _BAD_REQUEST:
        value = response.uint(_OBSERVE)
    if value is not None and exchange.observing and endpoint.hook is None:
        # Out of order? With a hook the Partial IV tells, and the hook refuses.
        ahead = (value - exchange.seq) & 0xFFFFFF
        if not 0 < ahead < 0x800000 and now - exchange.seq_at <= _FRESH_MS:
            endpoint.counters.dropped += 1
            return
    exchange.deadline = None
    exchange.observing = value is not None
    exchange.seq = value
    exchange.seq_at = now
    rest = exchange.rest
    if rest is not None:
        # The rest of an older one is of no use any more.
        exchange.rest = None
        endpoint.cancel(rest)
    if flags & _F_BLOCK:
        # The rest is fetched by a request of its own: this token is for notifications.
        request = Message(exchange.request.code, payload=exchange.request.payload)
        request.options = [o for o in exchange.request.options if o[0] != _OBSERVE]
        try:
            from coap.block import Client, Incomplete
        except ImportError:  # it is left out of the firmware
            if response.uint(_BLOCK2, 0) > 7:
                endpoint.call(exchange.on_response, exchange, None, "incomplete")
                return
        else:
            transfer = Client(request, endpoint.params)
            transfer.upload = False
            try:
                more = transfer.feed(response)
            except Incomplete as e:
                endpoint.call(exchange.on_response, exchange, None, e.args[0])
                return
            if more:
                rest = Exchange(request, exchange.peer, _fetched, True, None, False)
                rest.context = (endpoint, exchange)
                rest.transfer = transfer
                exchange.rest = rest
                endpoint.sending.exchanges.append(rest)
                endpoint.sending.launch(rest, now)
                return
            response = transfer.response
    _give(exchange, endpoint, response)


def _fetched(rest, response, error):
    endpoint, exchange = rest.context
    if exchange.rest is rest:
        exchange.rest = None
        if error is None:
            _give(exchange, endpoint, response)
        else:
            endpoint.call(exchange.on_response, exchange, None, error)


def _give(exchange, endpoint, response):
    if exchange.observing:
        endpoint.call(exchange.on_response, exchange, response, None)
    else:
        exchange.finish(endpoint, response, None)
