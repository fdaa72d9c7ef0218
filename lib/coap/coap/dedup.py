# Messages received before, and what was answered.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 7252 section 4.5.

# Found at once, and not after a search in vain among the names of this module.
len = len


class Seen:
    """The messages received last, by message ID and peer, each with the datagram that answered
    it, which answers a duplicate too. Bounded by params.dedup_slots, dedup_bytes and
    exchange_lifetime_ms."""

    def __init__(self, params, counters):
        self.counters = counters
        self.dedup_slots = params.dedup_slots
        self.dedup_bytes = params.dedup_bytes
        self.exchange_lifetime_ms = params.exchange_lifetime_ms
        self.entries = []  # (mid, peer, expires, reply or None), newest last
        self.mids = []  # their message IDs, to see at once that there is none
        self.size = 0  # bytes of replies

    def find(self, mid, peer, now):
        """The entry of a message, or None for one that is new."""
        for entry in self.entries:
            if entry[0] == mid and entry[1] == peer and entry[2] > now:
                return entry

    def add(self, mid, peer, reply, now):
        """Remember a message. At the bound the oldest goes; of replies that are too many bytes
        the oldest go, while their messages are still known."""
        entries = self.entries
        if entries and (len(entries) >= self.dedup_slots or entries[0][2] <= now):
            self.mids.pop(0)
            old = entries.pop(0)[3]
            if old is not None:
                self.size -= len(old)
        self.mids.append(mid)
        now += self.exchange_lifetime_ms
        mid = (mid, peer, now, reply)  # by itself: see codec.py
        entries.append(mid)
        if reply is not None:
            self.size += len(reply)
            if self.size > self.dedup_bytes:
                self._shrink(self.dedup_bytes)

    def _shrink(self, bound):
        # The newest reply stays, however long it is.
        entries = self.entries
        for i in range(len(entries) - 1):
            mid, peer, expires, reply = entries[i]
            if reply is not None:
                self.size -= len(reply)
                entries[i] = (mid, peer, expires, None)
                self.counters.evicted += 1
                if self.size <= bound:
                    break
