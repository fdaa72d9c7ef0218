# DTLS with a pre-shared key under an Endpoint, over the port's own `tls`.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 6347 (DTLS 1.2), RFC 4279 (PSK), RFC 7925 section 4.2 (which suites)

# A transport as coap.transport.UDP, towards one server. mbed TLS does the cryptography, this
# file what it leaves to the caller: looking after the handshake's timers, keeping datagrams
# until it is done, and standing between it and the socket. There are no session resumption and
# no Connection ID: a session that the server lost is found dead by an unanswered request.

import errno
import io
import socket

# What is offered, the first that the server has too is taken. Those that the port lacks (most
# have no CCM) are left out; one without a pre-shared key has no place here.
SUITES = (
    "TLS-PSK-WITH-AES-128-CCM-8",
    "TLS-PSK-WITH-AES-128-CCM",
    "TLS-PSK-WITH-AES-128-GCM-SHA256",
    "TLS-PSK-WITH-AES-128-CBC-SHA256",
)
# Longest identity (RFC 4279 section 5.3). How long a key may be is the port's decision.
IDENTITY_MAX = const(128)

# How often mbed TLS looks at its timers during a handshake. They begin at 1 s and double.
_TICK_MS = const(250)

# Errors of mbed TLS that say something to an operator.
_ALERT = const(-0x7780)
_TIMEOUT = const(-0x6800)


def context(identity, key):
    """The port's SSLContext for an identity and a key, bytes.

    ValueError says in one line what this firmware lacks or what is wrong with them, and has
    neither of them in it.
    """
    try:
        import tls

        made = tls.SSLContext(tls.PROTOCOL_DTLS_CLIENT)
    except (ImportError, AttributeError):
        raise ValueError("this firmware has no DTLS")
    if not hasattr(made, "psk_key"):
        raise ValueError("this firmware's DTLS has no pre-shared keys")
    have = made.get_ciphers()
    suites = [name for name in SUITES if name in have]
    if not suites:
        raise ValueError("this firmware's DTLS has no cipher suite with pre-shared keys")
    if not 0 < len(identity) <= IDENTITY_MAX:
        raise ValueError("identity of a pre-shared key: 1 to 128 bytes")
    # There is no certificate to verify where no suite has one.
    made.verify_mode = tls.CERT_NONE
    made.set_ciphers(suites)
    try:
        made.psk_identity = bytes(identity)
        made.psk_key = bytes(key)
    except OSError:
        raise ValueError("pre-shared key of %d bytes: too short or too long" % len(key))
    return made


class _Wire(io.IOBase):
    # The socket as mbed TLS sees it. An error of the network is a lost datagram: to mbed TLS
    # it would be the end of the session, and so would an empty datagram, which anybody can
    # send. It is read by recv(), since readinto() would run datagrams together.
    def __init__(self, owner):
        self._owner = owner

    def readinto(self, buf):
        owner = self._owner
        try:
            data = owner.sock.recv(min(len(buf), owner.max_record))
        except OSError as e:
            if e.errno != errno.EAGAIN:
                # The answer to something that we sent, as ECONNREFUSED.
                owner.unread += 1
            return None
        if not data:
            owner.unread += 1
            return None
        buf[: len(data)] = data
        return len(data)

    def write(self, buf):
        try:
            self._owner.sock.send(buf)
        except OSError:
            self._owner.unsent += 1
        return len(buf)

    def ioctl(self, request, argument):
        return 0  # to close it is the owner's business


class DTLS:
    """A DTLS session with one server. It begins with the first datagram; nothing blocks.

    peer: the server's address from coap.transport.resolve(); identity, key: bytes; family:
    socket.AF_INET or AF_INET6. Raises OSError, and ValueError as context() does.

    It has what coap.transport.UDP has, and poll(), which has to be called when it says.
    unsent, unread: datagrams that could not be sent or received; each is like a lost one.
    """

    # A handshake that takes longer has failed. A wrong key may look like that too: there are
    # servers that do not answer one.
    handshake_ms = 60000
    # Datagrams kept until the handshake is done. Further ones count as lost.
    max_queue = 2
    # Longest datagram read from the network, with what DTLS adds to it.
    max_record = 1280

    def __init__(self, peer, identity, key, family=socket.AF_INET):
        self.peer = peer
        self.unsent = 0
        self.unread = 0
        self.ready = False
        self._queue = []
        self._until = None  # when the handshake has failed
        self._why = None  # why the session has ended
        self._tls = None
        made = context(identity, key)
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self.sock.setblocking(False)
            self.sock.connect(peer)  # so that nobody else's datagrams come here
            self._tls = made.wrap_socket(_Wire(self), do_handshake_on_connect=False)
        except OSError:
            self.close()
            raise

    def sendto(self, data, peer):
        """Send a datagram; peer is the server. What comes before the handshake is done waits
        for that; a retransmission of what waits already is not kept twice."""
        if self._why is not None:
            self.unsent += 1
        elif self.ready:
            try:
                self._tls.send(data)
            except OSError as e:
                self._ended(e)
        else:
            data = bytes(data)
            if data not in self._queue:
                if len(self._queue) >= self.max_queue:
                    self.unsent += 1
                    return
                self._queue.append(data)
            self._flush()

    def recvfrom(self, n):
        """(data, peer) of a datagram of up to n bytes, or None when there is none."""
        if self._why is not None:
            return None
        try:
            data = self._tls.recv(n)
        except OSError as e:
            self._ended(e)
            return None
        if self._queue:
            self._flush()
        if data is None:
            return None
        if not data:
            self._why = "closed by the server"
            return None
        return data, self.peer

    def poll(self, now):
        """Look after the handshake. now: int ms of a clock that never goes back. Returns when
        to call again, None when there is nothing to look after. Raises OSError, with the
        reason in words, once the session has ended or the handshake has failed."""
        if self._queue and self._why is None:
            if self._until is None:
                self._until = now + self.handshake_ms
            self._flush()
            if self._queue and self._why is None and now >= self._until:
                self._why = "no handshake in %d s" % (self.handshake_ms // 1000)
        if self._why is not None:
            raise OSError("dtls: " + self._why)
        return now + _TICK_MS if self._queue else None

    def close(self):
        """Close the socket. The server is not told: the port's `tls` cannot."""
        if self._tls:
            self._tls.close()
        self.sock.close()
        self._why = "closed"
        self._queue = []

    def _flush(self):
        # Writing is what drives the handshake, its timers included, and what says that it is
        # done: until then it writes nothing and returns None.
        queue = self._queue
        try:
            while queue and self._tls.send(queue[0]) is not None:
                self.ready = True
                queue.pop(0)
        except OSError as e:
            self._ended(e)

    def _ended(self, e):
        n = e.args[0]
        if n == _ALERT:
            self._why = "alert from the server"
        elif n == _TIMEOUT:
            self._why = "no answer"
        else:
            self._why = "error -0x%04X" % -n if n < 0 else str(e)
