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
    info = b"microlwm2m fresh" + boot.to_bytes(8, "big")
    seed = bytes(seed)
    calls = 0

    # Not an object: in a board's heap a class takes more than what it holds.
    def fresh(n):
        nonlocal calls
        from hkdf import hkdf

        calls += 1
        return hkdf(seed + urandom(16), n, b"", info + calls.to_bytes(4, "big"))

    return fresh
