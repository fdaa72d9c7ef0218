# Transmission parameters, bounds and counters of a CoAP endpoint.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 7252 section 4.8, RFC 7959 section 2.

# Each setting and its default: a tuple stays in flash, where a class attribute takes heap.
# fmt: off
_DEFAULTS = const(
    (
        # Retransmission of confirmable messages (RFC 7252 section 4.2).
        "ack_timeout_ms", 2000,
        "ack_random_factor", 1.5,
        "max_retransmit", 4,
        # Requests and confirmable notifications that wait for an answer at the same time, per
        # peer (RFC 7252 section 4.7). Further ones wait in a queue.
        "nstart", 1,
        # How long a request waits for its response once it was acknowledged, or sent as NON.
        "response_timeout_ms", 93000,
        # How long the message ID of a received message is remembered.
        "exchange_lifetime_ms", 247000,
        # Length of the tokens of requests: 1 to 8.
        "token_len", 4,
        # Longest datagram taken from the network.
        "max_datagram", 1152,

        # Received messages remembered to recognise duplicates, and the bytes of their replies.
        # At the bound the oldest goes first; a duplicate whose reply went is dropped.
        "dedup_slots", 8,
        "dedup_bytes", 1536,
        # Requests of ours at the same time: waiting, sent and observing. At the bound: "refused".
        "max_exchanges", 6,
        # Observers of ours. At the bound an observation is answered as a plain GET.
        "max_observations", 16,
        # Separate responses waiting to be acknowledged. At the bound they go out as NON.
        "max_separate", 2,
        # How often one request is repeated because the server asks for Echo (RFC 9175).
        "max_echo", 3,

        # Block size that we send and ask for: 16 << block_szx bytes. 0 to 6.
        "block_szx", 5,
        # Longest body put together from blocks, or kept to be sent in blocks.
        "max_body", 4096,
        # Bodies of requests being put together and of responses being fetched, at the same time.
        # At the bound the one that was not used for longest goes.
        "max_transfers", 2,
        # How long such a body waits for the next block.
        "transfer_timeout_ms", 93000,
        # Say in the first request which block size the response should come in.
        "early_block2", False,
        # Sealed messages that a proxy cut into blocks: how many requests are put together at the
        # same time (at the bound the one that was not used for longest goes), and the longest
        # message, MAX_UNFRAGMENTED_SIZE of RFC 8613. max_outer 0: no such message is taken.
        "max_outer", 2,
        "max_unfragmented", 1152,
    )
)
# fmt: on

# What an endpoint counts, each from 0.
_COUNTED = const(
    (
        "malformed",  # datagrams that are no CoAP message
        "dropped",  # messages that nothing was done about: no exchange, bad option, oversized
        "duplicates",  # messages received again
        "refused",  # messages that the security hook did not accept
        "retransmitted",  # datagrams sent again
        "timeouts",  # confirmable messages or requests given up
        "unsent",  # datagrams that could not be sent
        "errors",  # exceptions of the handler, the hook or a callback
        "requests",  # requests handed to the handler
        "responses",  # responses to requests of ours
        "evicted",  # replies forgotten for want of room
    )
)


class Params:
    """Settings of an Endpoint: Params(block_szx=4, max_body=2048). The list above says what there
    is; what is not given, or assigned, is the default. Endpoint.counters is one too.

    Raises ValueError with the name for an unknown setting.
    """

    def __init__(self, **settings):
        for name, value in settings.items():
            if name not in _DEFAULTS:
                raise ValueError(name)
            setattr(self, name, value)

    def __getattr__(self, name):
        if name in _DEFAULTS:
            return _DEFAULTS[_DEFAULTS.index(name) + 1]
        if name in _COUNTED:
            return 0
        raise AttributeError(name)

    def items(self):
        """(name, number) of all that was given, assigned or counted."""
        return self.__dict__.items()
