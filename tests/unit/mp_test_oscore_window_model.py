# The replay window against a model that forgets nothing, on random orders of Partial IVs.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 section 7.4
#
# An order is what one run of requests becomes on a network that loses, doubles and delays
# them, with forged ones among them. WINDOW_ORDERS: how many (100,000; on a board 300),
# WINDOW_SEED: the seed.

import os
import random
import time

from check import raises
from coap.message import OSCORE, SecurityError
from oscore import Window
from oscore.account import Account
from oscore.message import encode_option
from oscore.context import piv_bytes
from oscorepair import CLIENT, SECRET, SERVER, Flash, forging, get, recorder, wire

getenv = getattr(os, "getenv", lambda name: None)  # a board has none, and less time
ORDERS = int(getenv("WINDOW_ORDERS") or (100000 if hasattr(os, "getenv") else 300))
SIZES = (1, 2, 3, 4, 5, 8, 8, 16, 31, 32, 32, 32, 33, 63, 64)

bits = random.getrandbits


def seeded():
    seed = int(getenv("WINDOW_SEED") or time.time_ns() // 1000 & 0xFFFFFF)
    print("seed", seed)
    random.seed(seed)


def order(size):
    """The numbers in the order in which they arrive: list of (number, genuine)."""
    number = bits(3) and (1 << bits(5) + 8) + bits(4) or 0  # where the sender stands
    lost = bits(2)  # of 8
    late = bits(4)  # of 16
    far = 2 + size * (1 + bits(1))
    arriving = []
    for i in range(6 + bits(3)):
        dice = bits(12)
        if dice & 7 >= lost:
            at = i << 7
            if (dice >> 3) & 15 < late:
                at += bits(15) % (far << 7)
            arriving.append((at, number, True))
            if dice >> 7 & 7 == 0:  # doubled
                arriving.append((at + bits(12), number, True))
            if dice >> 10 == 0:  # a forger guesses a number
                arriving.append((at + bits(7), max(0, number + bits(3) - 4), False))
        number += 1
        if dice < 0x100:  # a gap about as large as the window
            number += max(0, size - 3 + bits(3))
    arriving.sort()
    return [(n, genuine) for _, n, genuine in arriving]


class Receiver:
    """What Account does with the number of a request, in the same order."""

    def __init__(self, window):
        self.window = window

    def take(self, piv, genuine):
        window = self.window
        if not window.fresh(piv) or not genuine:
            return False
        window.accept(piv)
        return True


def compare(make, take, orders, size_of=SIZES):
    """Count what is accepted; AssertionError where the model says otherwise.

    make(size): a new receiver; take(receiver, number, genuine): whether it accepted.
    """
    accepted = arrived = 0
    for _ in range(orders):
        size = size_of[bits(16) % len(size_of)]
        receiver = make(size)
        seen = []
        highest = -1
        arriving = order(size)
        for piv, genuine in arriving:
            arrived += 1
            want = genuine and piv > highest - size and piv not in seen
            if take(receiver, piv, genuine) != want:
                raise AssertionError("size %d, %d in %s" % (size, piv, arriving))
            if want:
                accepted += 1
                seen.append(piv)
                if piv > highest:
                    highest = piv
    print(orders, "orders,", arrived, "numbers,", accepted, "accepted")
    assert orders < 1000 or arrived // 3 < accepted < arrived - arrived // 10


def windows(cls, orders, receiver=Receiver):
    compare(lambda size: receiver(cls(size)), receiver.take, orders)


def test_100000_orders():
    seeded()
    windows(Window, ORDERS)


# ---- The known mistakes of others, each of which the model has to find.


class OffByOne(Window):
    """Refuses the last valid late number."""

    def fresh(self, piv):
        behind = self.highest - piv
        return behind < 0 or (behind < self.size - 1 and self.missing >> behind & 1)


class OneTooFar(Window):
    """Takes a number that has just left the window."""

    def fresh(self, piv):
        behind = self.highest - piv
        return behind < 0 or (behind <= self.size and (behind == self.size or self.missing >> behind & 1))


class Shifted(Window):
    """Notes a late number one bit too high."""

    def accept(self, piv):
        if piv < self.highest:
            self.missing ^= self.missing & 2 << self.highest - piv
        else:
            Window.accept(self, piv)


class Backwards(Window):
    """An older number overwrites the highest one."""

    def accept(self, piv):
        Window.accept(self, piv)
        self.highest = piv


class Hasty(Receiver):
    """Updates the window before the message is verified."""

    def take(self, piv, genuine):
        if not self.window.fresh(piv):
            return False
        self.window.accept(piv)
        return genuine


WRONG = (OffByOne, OneTooFar, Shifted, Backwards)


def test_planted_mistakes_are_found():
    seeded()
    for wrong in WRONG:
        raises(AssertionError, windows, wrong, 2000)
    raises(AssertionError, windows, Window, 2000, Hasty)


# ---- The same with whole accounts, whose requests are sealed and opened.


class Sum:
    """In place of an AEAD, to be fast: the tag is a sum."""

    def __init__(self, key, tag_length):
        self.key = sum(key)

    def tag(self, nonce, buf, n):
        return (self.key + sum(nonce) + sum(memoryview(buf)[:n])) & 0xFF

    def encrypt_into(self, nonce, buf, n, aad):
        buf[n] = self.tag(nonce, buf, n)
        return n + 1

    def decrypt_into(self, nonce, buf, n, aad):
        if self.tag(nonce, buf, n - 1) != buf[n - 1]:
            raise ValueError("tag")
        return n - 1


SUM = (-70001 + 0x10000, 16, 13, 1, Sum)
REQUEST = wire(get("3"))


def account(cls, own, other):
    return cls(SECRET, own, other, aead=SUM, random=os.urandom, persist=Flash().record(), policy="b1")


class Sealed:
    """One account that receives; every order has a window of its own."""

    def __init__(self, cls=Account, window=Window):
        self.client = account(Account, CLIENT, SERVER)
        self.server = account(cls, SERVER, CLIENT)
        self.window = window

    def make(self, size):
        self.server.ctx.window = self.window(size)

    def take(self, _, piv, genuine):
        ctx = self.client.ctx
        ctx.seq = piv
        ctx.reserved = piv + 1
        with forging():
            outer, _ = self.client.seal_request(REQUEST)
        assert outer.opt(OSCORE) == encode_option(piv_bytes(piv), CLIENT)
        if not genuine:
            outer.payload[-1] ^= 1
        try:
            self.server.open_request(outer)
        except SecurityError:
            return False
        return True

    def compare(self, orders):
        compare(self.make, self.take, orders)


class HastyAccount(Account):
    """Updates the window before the message is verified."""

    def open_with(self, ctx, outer, piv):
        if ctx.window.fresh(int.from_bytes(piv, "big")):
            ctx.window.accept(int.from_bytes(piv, "big"))
        return Account.open_with(self, ctx, outer, piv)


def test_orders_of_sealed_requests():
    seeded()
    Sealed().compare(max(ORDERS // 50, 1))


def test_planted_mistakes_are_found_in_accounts():
    seeded()
    for wrong in WRONG:
        raises(AssertionError, Sealed(window=wrong).compare, 2000)
    raises(AssertionError, Sealed(HastyAccount).compare, 2000)
    recorder.forget()
