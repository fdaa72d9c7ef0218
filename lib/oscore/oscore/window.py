# The replay window of a recipient context.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 sections 3.2.2 and 7.4


class Window:
    """Which Partial IVs of a peer's requests have been accepted: the highest, and a bit
    for each of the `size` numbers that end there and has not come yet.

    Asking (fresh) and noting (accept) are two steps, because a number may be noted only
    once the tag of its message is verified: otherwise anyone could close the window.
    """

    def __init__(self, size=32):
        self.size = size
        self.highest = -1
        # Bit i: highest - i has not been accepted. 0 while all come in order, and a small int.
        self.missing = 0

    def fresh(self, piv):
        """Whether a number may still be accepted."""
        behind = self.highest - piv
        return behind < 0 or (behind < self.size and self.missing >> behind & 1)

    def accept(self, piv):
        """Note a number that is fresh and whose message was verified."""
        ahead = piv - self.highest
        if ahead > 0:
            self.highest = piv
            if ahead > 1 or self.missing:
                # The shift is bounded, so that missing never outgrows the window.
                ahead = min(ahead, self.size)
                missing = self.missing << ahead | (1 << ahead) - 2
                if missing >> self.size:
                    missing &= (1 << self.size) - 1
                self.missing = missing
        else:
            # An older number leaves the highest one alone.
            self.missing ^= self.missing & 1 << (0 - ahead)

    def begin(self, piv):
        """Begin behind a number that is known to be recent: it and all below count as
        accepted (Appendix B.1.2)."""
        self.highest = piv
        self.missing = 0
