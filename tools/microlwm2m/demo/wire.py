# The datagrams between device and server, and what is in them, for who has the keys.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 section 8 (opening) and appendix B.2 (which keys).

from dataclasses import dataclass

from aiocoap import Message, error, oscore
from aiocoap.numbers import codes
from aiocoap.numbers.optionnumbers import OptionNumber

from ..bench.accounts import AEADS
from ..bench.oscore import REPLAY_WINDOW, unwrap

_TYPES = ("confirmable", "non-confirmable", "acknowledgement", "reset")

B2_ASKS, B2_ANSWERS, B2_CONFIRMS = "b2-1", "b2-2", "b2-3"


@dataclass
class Seen:
    """One datagram. up: from the device. mark: "sealed", "plain", or "empty" for a bare
    acknowledgement or reset. outer: the Message anyone can read, None when it is no CoAP.
    inner: the Message inside, None when it did not open; plaintext: its bytes. request: the
    inner Message that it answers. b2: its part in appendix B.2. notification: a later answer
    to an Observe. again: the same bytes as an earlier one."""

    up: bool
    data: bytes
    mark: str
    outer: Message = None
    inner: Message = None
    plaintext: bytes = b""
    request: Message = None
    b2: str = ""
    notification: bool = False
    again: bool = False

    @property
    def kid_context(self):
        """What its OSCORE option says about an ID Context, without the CBOR around it."""
        value = oscore.verify_start(self.outer).get(oscore.COSE_KID_CONTEXT)
        return None if value is None else unwrap(value)


def _name(option):
    return "OSCORE" if option == OptionNumber.OSCORE else option.name.replace("_", "-").title()


class _Side(oscore.CanUnprotect, oscore.SecurityContextUtils):
    """Opens what one side seals under one ID Context. common_iv: that of message 1, which
    makes the nonce of message 2 of B.2."""

    echo_recovery = None

    def __init__(self, account, id_context, of_device, common_iv=None):
        self.alg_aead = oscore.algorithms[AEADS[account.aead]]
        self.hashfun = oscore.hashfunctions["sha256"]
        self.recipient_id, self.sender_id = account.sender_id, account.recipient_id
        if not of_device:
            self.recipient_id, self.sender_id = self.sender_id, self.recipient_id
        self.id_context = id_context
        self.derive_keys(account.master_salt, account.master_secret)
        self.recipient_replay_window = oscore.ReplayWindow(REPLAY_WINDOW, lambda: None)
        self.recipient_replay_window.initialize_empty()
        self._first_iv = common_iv
        self.plaintext = b""

    def _extract_encrypted0(self, message):
        parts = super()._extract_encrypted0(message)
        parts[2].pop(oscore.COSE_KID_CONTEXT, None)  # it chose this object
        return parts

    def _construct_nonce(self, piv, generator, alg):
        if self._first_iv is None or generator != self.sender_id:
            return super()._construct_nonce(piv, generator, alg)
        own, self.common_iv = self.common_iv, self._first_iv
        try:
            return super()._construct_nonce(piv, generator, alg)
        finally:
            self.common_iv = own

    def _post_decrypt_checks(self, aad, plaintext, protected_message, request_id):
        self.plaintext = plaintext


class Keys:
    """One context: id_context, and `device` and `server`, which open what these have sealed."""

    def __init__(self, account, id_context, first=None):
        self.id_context = id_context
        self.device = _Side(account, id_context, True)
        self.server = _Side(account, id_context, False, first and first.server.common_iv)

    @property
    def secrets(self):
        """The two keys of the context."""
        return {self.device.recipient_key, self.server.recipient_key}


class _Asked:
    """A request and what opens its answers."""

    def __init__(self, seen, keys, request_id):
        self.seen, self.keys, self.request_id = seen, keys, request_id
        self.answers = 0


class Wire:
    """Keeps every datagram. account: of the device, whose keys open them.
    heard: called with each Seen.

    datagrams: list of Seen. established: Keys, each confirmed by a message 3 of B.2.
    """

    def __init__(self, account, heard):
        self.account, self.heard = account, heard
        self.datagrams = []
        self.established = []
        self._asked = {}  # (up, token)
        self._first = None  # Keys of the latest message 1
        self._r2 = None

    def feed(self, up, data):
        """A datagram passes."""
        data = bytes(data)
        seen = next((s for s in self.datagrams if s.up == up and s.data == data), None)
        if seen is not None:
            seen = Seen(**dict(vars(seen), again=True))
        else:
            seen = self._read(up, data)
        self.datagrams.append(seen)
        self.heard(seen)

    def _read(self, up, data):
        try:
            outer = Message.decode(data)
        except (error.Error, ValueError, IndexError):
            return Seen(up, data, "plain")
        if outer.code == codes.EMPTY:
            return Seen(up, data, "empty", outer)
        if outer.opt.oscore is None:
            return Seen(up, data, "plain", outer)
        seen = Seen(up, data, "sealed", outer)
        try:
            (self._request if outer.code.is_request() else self._answer)(seen)
        except (error.Error, ValueError, IndexError, KeyError):
            pass  # it stays a Seen without an inner Message
        return seen

    def _request(self, seen):
        keys, b2 = self._keys_of(seen)
        request_id = self._open(seen, keys)
        seen.b2 = b2
        if b2 == B2_ASKS:
            self._first = keys
        elif b2 == B2_CONFIRMS:
            self.established.append(keys)
        self._asked[seen.up, seen.outer.token] = _Asked(seen, keys, request_id)

    def _keys_of(self, seen):
        context = seen.kid_context
        if context is None or (self.established and context == self.established[-1].id_context):
            return self.established[-1], ""
        if self._r2 and context.startswith(self._r2) and len(context) > len(self._r2):
            return Keys(self.account, context), B2_CONFIRMS
        return Keys(self.account, context), B2_ASKS

    def _answer(self, seen):
        asked = self._asked[not seen.up, seen.outer.token]
        keys, r2 = asked.keys, seen.kid_context
        if r2 is not None and asked.seen.b2 == B2_ASKS:
            keys = Keys(self.account, r2 + keys.id_context, self._first)
        self._open(seen, keys, asked.request_id)
        if keys is not asked.keys:
            seen.b2, self._r2 = B2_ANSWERS, r2
        seen.request = asked.seen.inner
        seen.notification = asked.answers > 0 and seen.request.opt.observe == 0
        asked.answers += 1

    @staticmethod
    def _open(seen, keys, request_id=None):
        side = keys.device if seen.up else keys.server
        seen.inner, request_id = side.unprotect(seen.outer, request_id)
        seen.plaintext = side.plaintext
        return request_id

    # What an eavesdropper has of it

    def count(self, mark):
        """How many datagrams are "sealed", "plain" or "empty"."""
        return sum(seen.mark == mark for seen in self.datagrams)

    def visible(self):
        """(codes, options) that stand outside the seal, as sorted texts."""
        outer = [seen.outer for seen in self.datagrams if seen.mark == "sealed"]
        options = {option.number for message in outer for option in message.opt.option_list()}
        words = {str(message.code).split(" ")[0] for message in outer}
        return sorted(words), sorted(_name(option) for option in options)

    def contents(self):
        """The different bytes inside, without the code; none so short that chance makes it."""
        return {seen.plaintext[1:] for seen in self.datagrams if len(seen.plaintext) > 5}

    def leaks(self, words):
        """Those of `words` (bytes) that are in some datagram."""
        return [word for word in words if any(word in seen.data for seen in self.datagrams)]

    def dissect(self, seen):
        """A sealed datagram as [(hex, meaning)]."""
        data, outer = seen.data, seen.outer
        options = 4 + len(outer.token)
        payload = len(data) - len(outer.payload)
        bag = oscore.verify_start(outer)
        said = []
        if oscore.COSE_PIV in bag:
            said.append("sequence number %d" % int.from_bytes(bag[oscore.COSE_PIV], "big"))
        if oscore.COSE_KID in bag:
            said.append("key ID %s" % bag[oscore.COSE_KID].hex())
        tag = oscore.algorithms[AEADS[self.account.aead]].tag_bytes
        return [
            (data[:4].hex(), "%s %s, message ID %04x" % (_TYPES[int(outer.mtype)], outer.code, outer.mid)),
            (data[4:options].hex(), "token"),
            (data[options : payload - 1].hex(), "option OSCORE: " + (", ".join(said) or "empty")),
            (data[payload - 1 : payload].hex(), "payload marker"),
            (outer.payload.hex(), "%d bytes encrypted, and a tag of %d" % (len(outer.payload) - tag, tag)),
        ]
