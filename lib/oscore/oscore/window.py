# The replay window of a recipient context.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 sections 3.2.2 and 7.4


class Window:
    """Which Partial IVs of a peer's requests have been accepted: the highest, and one bit
    for each of the `size` numbers that end there.

    Asking (fresh) and noting (accept) are two steps, because a number may be noted only
    once the tag of its message is verified: otherwise anyone could close the window.
    """

    __slots__ = ("size", "highest", "bits", "_mask")

    def __init__(self, size=32):
        self.size = size
        self._mask = (1 << size) - 1
        self.highest = -1
        self.bits = 0  # bit i: highest - i has been accepted

    def fresh(self, piv):
        """Whether a number may still be accepted."""
        behind = self.highest - piv
        return behind < 0 or (behind < self.size and not self.bits >> behind & 1)

    def accept(self, piv):
        """Note a number that is fresh and whose message was verified."""
        ahead = piv - self.highest
        if ahead > 0:
            # The shift is bounded by the test, so bits never outgrows the window.
            if ahead < self.size:
                self.bits = (self.bits << ahead | 1) & self._mask
            else:
                self.bits = 1
            self.highest = piv
        else:
            # An older number leaves the highest one alone.
            self.bits |= 1 << (0 - ahead)

    def begin(self, piv):
        """Begin behind a number that is known to be recent: it and all below count as
        accepted (Appendix B.1.2)."""
        self.highest = piv
        self.bits = self._mask
