# Random bytes that do not repeat, even where a board's generator starts alike at each boot.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 Appendix B.2 (R1, R2 and R3 must not repeat); RFC 5869


def Fresh(seed, boot, urandom):
    """A source of nonces: Fresh(seed, boot, urandom)(n) gives n bytes.

    seed: secret random bytes from provisioning, kept in flash.
    boot: a counter that was raised and committed to flash before this object was made,
        so no two runs of the board share it. int below 2 ** 64.
    urandom: the port's generator, urandom(n) -> n bytes.

    Each call is HKDF over seed and generator with the boot counter and a count of calls
    in its info. With a frozen generator the counters make it differ; with flash restored
    from a backup, so that the counter repeats, the generator does; and who knows neither
    seed nor generator cannot predict it.
    """
    if len(seed) < 16:
        raise ValueError("seed: at least 16 bytes")
    # Seed, then info: text, boot counter, count of calls.
    state = bytearray(bytes(seed) + b"microlwm2m fresh" + boot.to_bytes(8, "big") + b"\0\0\0\0")

    # Not an object: in a board's heap a class takes more than what it holds.
    def fresh(n):
        from hkdf import hkdf

        # Counted before it is used. OverflowError at the last.
        state[-4:] = (int.from_bytes(state[-4:], "big") + 1).to_bytes(4, "big")
        return hkdf(state[:-28] + urandom(16), n, b"", state[-28:])

    return fresh
