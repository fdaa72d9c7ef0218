# A scripted LwM2M device, plain or sealed: aiocoap's codec and OSCORE, a socket, a thread.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613, Appendix B.2 included, which aiocoap does not have. It shows what a server does without
# any code of lib/: no retransmission, no block-wise transfer, every step in the test's hand.

import itertools
import os
import queue
import socket
import threading

import cbor2
from aiocoap import ACK, CON, RST, Message, oscore
from aiocoap.numbers.codes import CONTENT, GET, NOT_FOUND, POST


class Keys(oscore.CanProtect, oscore.CanUnprotect, oscore.SecurityContextUtils):
    """An OSCORE context (RFC 8613 section 3) in memory."""

    echo_recovery = None

    def __init__(self, sender_id, recipient_id, master_secret, master_salt=b"", id_context=None):
        self.alg_aead = oscore.algorithms["AES-CCM-16-64-128"]
        self.hashfun = oscore.hashfunctions["sha256"]
        self.sender_id, self.recipient_id, self.id_context = sender_id, recipient_id, id_context
        self.derive_keys(master_salt, master_secret)
        self.sender_sequence_number = 0
        self.recipient_replay_window = oscore.ReplayWindow(32, lambda: None)
        self.recipient_replay_window.initialize_empty()

    def post_seqnoincrease(self):
        pass


class RawDevice:
    """server: (host, port). account: (sender_id, recipient_id, master_secret) as bytes and as the
    device has them, or None for a device in the clear.

    handler(request, path) answers the server's requests: gives a Message, or None for 4.04. An
    Observe gets its options from here; notify() sends the later values.
    """

    def __init__(self, server, account=None, handler=None):
        self.account = account
        self.keys = Keys(*account) if account else None
        self.handler = handler or (lambda request, path: None)
        self.outer = []  # the server's answers as they came, outside
        self._mids = itertools.count(int.from_bytes(os.urandom(2), "big"))
        self._answers = {}  # token: queue
        self.observed = {}  # path: (token, request identifiers)
        self._notes = itertools.count(1)
        self.resets = queue.Queue()  # message IDs that the server reset
        self.cancelled = []  # (path, token) of each Observe 1
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(server)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._socket.close()

    # Requests of the device

    def exchange(self, outer, timeout=5):
        """Send a CON as it stands, give what answers it, unopened."""
        outer.mid, outer.mtype, outer.token = next(self._mids) & 0xFFFF, CON, os.urandom(4)
        self.sent = outer.encode()
        return self.send_again(timeout)

    def send_again(self, timeout=5):
        """The last request once more, byte for byte."""
        token = self.sent[4:8]
        self._answers[token] = queue.Queue()
        self._socket.send(self.sent)
        answer = self._answers[token].get(timeout=timeout)
        self.outer.append(answer)
        return answer

    def request(self, code, uri, payload=b"", kid_context=False, **options):
        """A request under the present context, and its answer opened; a plain answer as it is."""
        message = Message(code=code, payload=payload, **_uri(uri), **options)
        if not self.keys:
            return self.exchange(message)
        outer, identifiers = self.keys.protect(message, kid_context=kid_context)
        answer = self.exchange(outer)
        if answer.opt.oscore is None:
            return answer
        return self.keys.unprotect(answer, identifiers)[0]

    def b2_first(self, uri="rederivation/blackhole", number=0):
        """Request 1 of B.2 and its answer: opened, or plain as it came."""
        self._r1 = os.urandom(8)
        first = Keys(*self.account, id_context=self._r1)
        first.sender_sequence_number = number
        message = Message(code=GET, **_uri(uri))
        outer, identifiers = first.protect(message, kid_context=cbor2.dumps(self._r1))
        answer = self.exchange(outer)
        if answer.opt.oscore is None:
            return answer
        self._r2 = cbor2.loads(answer.opt.oscore[2:])  # 0x10, its length, bstr(R2)
        second = Keys(*self.account, id_context=self._r2 + self._r1)
        second.common_iv = first.common_iv  # the answer's nonce is that of request 1
        answer.opt.oscore = b""
        return second.unprotect(answer, identifiers)[0]

    def b2_third(self, code, uri, payload=b"", **options):
        """Request 3 of B.2: what the device wanted to say in the first place."""
        r3 = os.urandom(8)
        self.keys = Keys(*self.account, id_context=self._r2 + r3)
        context = cbor2.dumps(self._r2 + r3)
        return self.request(code, uri, payload, kid_context=context, **options)

    def register(self, ep, links="</1/0>,</3/0>", version="1.1", lifetime=60, third=False):
        """Register; with third as request 3 of B.2. Gives the answer, keeps its location."""
        uri = "rd?ep=%s&lt=%d&lwm2m=%s&b=U" % (ep, lifetime, version)
        call = self.b2_third if third else self.request
        answer = call(POST, uri, links.encode(), content_format=40)
        self.location = "/".join(answer.opt.location_path)
        return answer

    def update(self):
        return self.request(POST, self.location)

    # Requests of the server

    def notify(self, path, payload, content_format):
        """A notification of `path`; gives its message ID."""
        token, identifiers = self.observed[path]
        number = next(self._notes)
        message = Message(code=CONTENT, payload=payload, content_format=content_format, observe=number)
        if identifiers:
            message, _ = self.keys.protect(message, identifiers)
            message.opt.observe = number
        message.mid, message.mtype, message.token = next(self._mids) & 0xFFFF, CON, token
        self._socket.send(message.encode())
        return message.mid

    def _run(self):
        while True:
            try:
                data = self._socket.recv(2048)
            except ConnectionRefusedError:
                continue  # the server is not there at the moment
            if not data:
                return
            message = Message.decode(data)
            if message.code.is_response():
                if message.token in self._answers:
                    self._answers[message.token].put(message)
            elif message.mtype is RST:
                self.resets.put(message.mid)
            elif message.code.is_request():
                self._serve(message)

    def _serve(self, outer):
        request, identifiers = (self.keys.unprotect(outer) if outer.opt.oscore is not None else (outer, None))
        path = "/" + "/".join(request.opt.uri_path)
        answer = self.handler(request, path) or Message(code=NOT_FOUND)
        if outer.opt.observe == 1:  # outside: aiocoap's unprotect drops the inner one
            self.cancelled.append((path, outer.token))
        observe = request.opt.observe == 0 and answer.code.is_successful()
        if observe:
            answer.opt.observe = next(self._notes)
        sealed = answer
        if identifiers:
            sealed, _ = self.keys.protect(answer, identifiers)
            if observe:
                sealed.opt.observe = answer.opt.observe
        if observe:
            self.observed[path] = outer.token, identifiers
        sealed.mid, sealed.mtype, sealed.token = outer.mid, ACK, outer.token
        self._socket.send(sealed.encode())


def _uri(text):
    path, _, query = text.partition("?")
    return {"uri_path": path.split("/"), "uri_query": query.split("&") if query else []}
