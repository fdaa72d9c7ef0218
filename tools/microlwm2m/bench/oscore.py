# The server's half of OSCORE: contexts over aiocoap's primitives, and appendix B.2.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 section 8 (processing), appendix B.1.2 (Echo) and B.2 (context derivation).

import collections
import hashlib
import io
import secrets

import cbor2
from aiocoap import Message, error, oscore
from aiocoap.numbers import codes
from aiocoap.options import Options

from .accounts import AEADS, B2_OPTIONAL

R2_LEN = 8  # bytes of our R2
MAX_ID_CONTEXT = 64  # bytes of an ID Context that a device may ask for
MAX_PENDING = 8  # R2s waiting for their request 3, for one account; then the oldest goes
REPLAY_WINDOW = 32
MAX_NONCES = 4096  # nonces of a device remembered, for one account, to tell a second use

# Ways in which other servers differ, to try a device with (see `microlwm2m server --help`).
QUIRK_OWN_PIV = "own-piv"
QUIRK_ECHO = "echo"
QUIRK_KID_CONTEXT = "kid-context"
QUIRKS = (QUIRK_OWN_PIV, QUIRK_ECHO, QUIRK_KID_CONTEXT)


class Unverified(Exception):
    """A request that failed before or at its tag. code: what it is answered with, in plain."""

    def __init__(self, code, why):
        super().__init__(why)
        self.code = code


class PlainAnswer(Exception):
    """An answer without protection to a sealed request: a hint that anyone can send."""

    def __init__(self, code):
        super().__init__("answered %s without protection" % code.dotted)
        self.code = code


class BadAnswer(Exception):
    """A sealed answer that does not verify. It is dropped and the exchange goes on waiting."""


class Context(oscore.CanProtect, oscore.CanUnprotect, oscore.SecurityContextUtils):
    """One derived context (RFC 8613 section 3), our side of it.

    account: Account. id_context: bytes or None. announce: the kid context to put
    into what this context protects (message 2 of B.2). nonce_of: the Context whose
    Common IV makes the nonce of an answer without a Partial IV (the same).
    """

    def __init__(self, account, id_context, announce=None, nonce_of=None, echo_recovery=None):
        self.alg_aead = oscore.algorithms[AEADS[account.aead]]
        self.hashfun = oscore.hashfunctions["sha256"]
        self.sender_id = account.recipient_id
        self.recipient_id = account.sender_id
        self.id_context = id_context
        self.derive_keys(account.master_salt, account.master_secret)
        self.sender_sequence_number = 0
        self.recipient_replay_window = oscore.ReplayWindow(REPLAY_WINDOW, lambda: None)
        # With a value here and no window, aiocoap asks for this Echo first.
        self.echo_recovery = echo_recovery
        if echo_recovery is None:
            self.recipient_replay_window.initialize_empty()
        self.echo = None
        self.announce = announce
        self.nonce_of = nonce_of

    def post_seqnoincrease(self):
        pass  # nothing is kept: a new process derives new contexts

    # The kid context chose this object; in messages 1 and 3 it is wrapped and
    # so differs from the ID Context it stands for.
    def _extract_encrypted0(self, message):
        serialized, protected, unprotected, ciphertext = super()._extract_encrypted0(message)
        unprotected.pop(oscore.COSE_KID_CONTEXT, None)
        return serialized, protected, unprotected, ciphertext

    def _compress(self, protected, unprotected, ciphertext):
        if self.announce is not None:
            unprotected[oscore.COSE_KID_CONTEXT] = self.announce
        return super()._compress(protected, unprotected, ciphertext)

    def _construct_nonce(self, partial_iv_short, piv_generator_id, alg):
        if self.nonce_of is not None and piv_generator_id == self.recipient_id:
            return self.nonce_of._construct_nonce(partial_iv_short, piv_generator_id, alg)
        return super()._construct_nonce(partial_iv_short, piv_generator_id, alg)

    def _post_decrypt_checks(self, aad, plaintext, protected_message, request_id):
        self.plaintext = plaintext


class Opened:
    """A verified request. inner: Message. account: Account. answer: what it is to be
    answered with at once, instead of being served (a Message), or None. fresh: whether
    it has just established its context."""

    def __init__(self, account, context, inner, request_id, answer=None, fresh=False):
        self.account, self.context, self.inner = account, context, inner
        self.request_id, self.answer, self.fresh = request_id, answer, fresh

    def seal(self, message):
        """The outer Message that carries `message` back."""
        outer, _ = self.context.protect(message, self.request_id)
        return outer


class Sealed:
    """What stays of a request of ours until its answers have come."""

    def __init__(self, context, request_id):
        self.context, self.request_id = context, request_id


class _Pending:
    def __init__(self, r2, context):
        self.r2, self.context = r2, context


class _State:
    """An account and its contexts. current: the verified one, or None. pending: ID
    Context asked for (R1) -> _Pending, bounded. null: without an ID Context."""

    def __init__(self, account):
        self.account = account
        self.nonces = collections.OrderedDict()
        self.forget()

    def forget(self):
        """Drop the contexts. What the device used stays known: it must not use it again."""
        self.current = self.null = None
        self.pending = collections.OrderedDict()
        self.rekey = False

    def nonce_reused(self, context, piv_of, piv, outer):
        """Whether the device sealed something else with this nonce before. piv_of: the ID
        of whose Partial IV it is."""
        key = (context.id_context, piv_of, bytes(piv))
        digest = hashlib.sha256(outer.payload).digest()
        if self.nonces.setdefault(key, digest) != digest:
            return True
        if len(self.nonces) > MAX_NONCES:
            self.nonces.popitem(last=False)
        return False


def unwrap(kid_context):
    """What the CBOR byte string in a kid context holds, or None when it holds none."""
    stream = io.BytesIO(kid_context)
    try:
        value = cbor2.load(stream)
    except (cbor2.CBORDecodeError, ValueError, EOFError):
        return None
    return value if isinstance(value, bytes) and not stream.read(1) else None


class Security:
    """All accounts with their contexts.

    report(name, account, **data): is told what happened: "context", "b2", "nonce-reuse".
    quirks: a collection out of QUIRKS.
    """

    def __init__(self, report, quirks=()):
        unknown = set(quirks) - set(QUIRKS)
        if unknown:
            raise ValueError("quirks: %s is none of %s" % (sorted(unknown)[0], ", ".join(QUIRKS)))
        self.report = report
        self.quirks = set(quirks)
        self.states = {}

    def add(self, account):
        """Know an account. An account of the same endpoint is replaced, its contexts dropped."""
        self.states[account.endpoint] = _State(account)

    def remove(self, endpoint):
        """Forget an account and its contexts; KeyError."""
        del self.states[endpoint]

    def forget(self, endpoint=None):
        """Drop the contexts of one account, or of all: what a restart does."""
        for state in [self.states[endpoint]] if endpoint else self.states.values():
            state.forget()

    def rekey(self, endpoint):
        """Answer this account's next request with message 2 of B.2; KeyError."""
        self.states[endpoint].rekey = True

    def ready(self, endpoint):
        """Whether there is a verified context with this endpoint."""
        state = self.states.get(endpoint)
        return state is not None and state.current is not None

    # Requests of the device

    def open_request(self, outer):
        """Verify a sealed request. Returns Opened, raises Unverified (section 8.2)."""
        try:
            unprotected = oscore.verify_start(outer)
            kid = unprotected[oscore.COSE_KID]
            piv = unprotected[oscore.COSE_PIV]
        except (oscore.DecodeError, IndexError, KeyError):
            raise Unverified(codes.BAD_OPTION, "undecodable OSCORE option")
        kid_context = unprotected.get(oscore.COSE_KID_CONTEXT)
        failure = Unverified(codes.UNAUTHORIZED, "unknown security context")
        # Two devices may have the same Sender ID; the keys tell them apart.
        for state in [s for s in self.states.values() if s.account.sender_id == kid]:
            for attempt, context, argument in self._ways(state, kid_context):
                try:
                    inner, request_id = self._unprotect(context, outer)
                except oscore.ReplayErrorWithEcho as e:
                    answer = Message(code=codes.UNAUTHORIZED, echo=e.echo)
                    return Opened(state.account, context, None, e.request_id, answer)
                except Unverified as e:
                    failure = e
                    continue
                if state.nonce_reused(context, kid, piv, outer):
                    self.report("nonce-reuse", state.account, where="request")
                return attempt(state, context, argument, inner, request_id)
        raise failure

    def _unprotect(self, context, outer):
        try:
            inner, request_id = context.unprotect(outer)
        except oscore.ReplayErrorWithEcho:
            raise
        except oscore.ReplayError:
            raise Unverified(codes.UNAUTHORIZED, "replay")
        except oscore.DecodeError:
            raise Unverified(codes.BAD_OPTION, "undecodable COSE object")
        except oscore.ProtectionInvalid:
            raise Unverified(codes.BAD_REQUEST, "decryption failed")
        except (error.UnparsableMessage, UnicodeDecodeError):
            raise Unverified(codes.BAD_OPTION, "undecodable inner message")
        if not inner.code.is_request():
            raise Unverified(codes.BAD_REQUEST, "not a request inside")
        return inner, request_id

    # Yields what a kid context can mean for an account, the likeliest first.
    def _ways(self, state, kid_context):
        current, account = state.current, state.account
        if kid_context is None:
            if current is not None:
                if QUIRK_KID_CONTEXT in self.quirks:
                    raise Unverified(codes.BAD_REQUEST, "kid context missing")
                yield self._ordinary, current, None
            elif account.b2 == B2_OPTIONAL:
                if state.null is None:
                    state.null = Context(account, None, echo_recovery=secrets.token_bytes(8))
                yield self._null, state.null, None
            return
        value = unwrap(kid_context)
        if current is not None and current.id_context in (kid_context, value):
            # Raw: a device that always sends it. Wrapped: one that has not seen message 4.
            yield self._ordinary, current, None
            return
        if value is None or len(value) > MAX_ID_CONTEXT:
            return
        for pending in state.pending.values():
            if value.startswith(pending.r2) and len(value) > len(pending.r2):
                yield self._confirm, Context(account, value), None
                return
        yield self._begin, Context(account, value), value

    def _ordinary(self, state, context, _, inner, request_id):
        if state.rekey:
            return self._message_2(state, context, context.id_context or b"", inner, request_id)
        return Opened(state.account, context, inner, request_id, self._ask_echo(context, inner))

    def _null(self, state, context, _, inner, request_id):
        state.current, state.null = context, None
        self.report("context", state.account, how="no ID Context, Echo answered")
        return Opened(state.account, context, inner, request_id, fresh=True)

    def _begin(self, state, context, r1, inner, request_id):
        return self._message_2(state, context, r1, inner, request_id)

    # The answer 2 of B.2, sealed under R2 || R1. A repeated R1 gets the same R2, so
    # that who repeats it makes no state here and learns nothing.
    def _message_2(self, state, context, r1, inner, request_id):
        pending = state.pending.get(r1)
        if pending is None:
            r2 = secrets.token_bytes(R2_LEN)
            own_piv = QUIRK_OWN_PIV in self.quirks
            pending = _Pending(r2, Context(
                state.account, r2 + r1, announce=cbor2.dumps(r2), nonce_of=None if own_piv else context
            ))
            if len(state.pending) >= MAX_PENDING:
                state.pending.popitem(last=False)
            state.pending[r1] = pending
        if QUIRK_OWN_PIV in self.quirks:
            request_id.can_reuse_nonce = False
        self.report("b2", state.account, step=2, r1=len(r1))
        answer = Message(code=codes.UNAUTHORIZED)
        return Opened(state.account, pending.context, inner, request_id, answer)

    def _confirm(self, state, context, _, inner, request_id):
        # With the R2s goes the chance to replay this request 3 as one.
        state.pending.clear()
        state.current, state.null, state.rekey = context, None, False
        if QUIRK_ECHO in self.quirks:
            context.echo = secrets.token_bytes(8)
        self.report("context", state.account, how="B.2", id_context=len(context.id_context))
        return Opened(
            state.account, context, inner, request_id, self._ask_echo(context, inner), fresh=True
        )

    def _ask_echo(self, context, inner):
        if context.echo is None:
            return None
        if inner.opt.echo == context.echo:
            context.echo = None
            return None
        return Message(code=codes.UNAUTHORIZED, echo=context.echo)

    # Requests of ours

    def seal_request(self, endpoint, message):
        """(outer Message, Sealed) for a request to an endpoint; LookupError without a context."""
        state = self.states[endpoint]
        if state.current is None:
            raise LookupError("no security context with %s yet" % endpoint)
        outer, request_id = state.current.protect(message, kid_context=False)
        return outer, Sealed(state.current, request_id)

    def open_response(self, endpoint, outer, sealed):
        """The inner Message of an answer, its opt.observe None unless both the outer and
        the inner Observe are there, else the Partial IV or -1 (section 8.4).

        Raises BadAnswer, or PlainAnswer for one without protection.
        """
        if outer.opt.oscore is None:
            raise PlainAnswer(outer.code)
        try:
            piv = oscore.verify_start(outer).get(oscore.COSE_PIV)
            inner, _ = sealed.context.unprotect(outer, sealed.request_id)
        except (ValueError, IndexError, error.Error) as e:
            raise BadAnswer(str(e) or type(e).__name__)
        state = self.states.get(endpoint)
        if piv is None:
            nonce = sealed.context.sender_id, sealed.request_id.partial_iv
        else:
            nonce = sealed.context.recipient_id, piv
        if state is not None and state.nonce_reused(sealed.context, *nonce, outer):
            self.report("nonce-reuse", state.account, where="response")
        inside = Options()
        inside.decode(sealed.context.plaintext[1:])
        if inside.observe is None or outer.opt.observe is None:
            inner.opt.observe = None
        return inner

    def opens(self, outer, sealed):
        """Whether `sealed` opens a response."""
        try:
            sealed.context.unprotect(outer, sealed.request_id)
        except (ValueError, IndexError, error.Error):
            return False
        return True
