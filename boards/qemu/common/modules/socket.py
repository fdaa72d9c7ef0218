# UDP on an emulated board: among its own sockets as 127.0.0.1, and on the M3 over the second
# serial line, at whose other end a program on the host passes datagrams on.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# The line carries SLIP frames (RFC 1055): 4 bytes of the peer's address, 2 of its port, 2 of the
# port here, the datagram.

import io

import qport

AF_INET = 2
AF_INET6 = 10
SOCK_DGRAM = 2

_EAGAIN = 11
_EACCES = 13
_EAFNOSUPPORT = 97
_EADDRINUSE = 98
_ENETUNREACH = 101
_QUEUED = 4  # datagrams a socket keeps, as lwIP does; the next is lost
_MTU = 1500
_END = 0xC0
_ESC = 0xDB
_ESC_END = 0xDC
_ESC_ESC = 0xDD

_bound = {}  # port: socket
_next_port = 49152


class _Line:
    def __init__(self):
        self.link = qport.Link()
        self.chunk = bytearray(64)
        self.frame = bytearray(8 + _MTU)
        self.length = 0
        self.escaped = False

    def send(self, peer, port, data):
        out = bytearray()
        for part in (_pack(peer[0]), peer[1].to_bytes(2, "big"), port.to_bytes(2, "big"), data):
            for byte in part:
                if byte == _END or byte == _ESC:
                    out.append(_ESC)
                    byte = _ESC_END if byte == _END else _ESC_ESC
                out.append(byte)
        out.append(_END)
        self.link.write(out)

    def pump(self):
        chunk, frame = self.chunk, self.frame
        while True:
            n = self.link.readinto(chunk)
            if not n:
                return
            for i in range(n):
                byte = chunk[i]
                if byte == _END:
                    if self.length >= 8:
                        self.deliver()
                    self.length = 0
                elif byte == _ESC:
                    self.escaped = True
                elif self.length < len(frame):
                    if self.escaped:
                        byte = _END if byte == _ESC_END else _ESC
                        self.escaped = False
                    frame[self.length] = byte
                    self.length += 1

    def deliver(self):
        frame = self.frame
        peer = "%d.%d.%d.%d" % tuple(frame[:4]), frame[4] << 8 | frame[5]
        _deliver(frame[6] << 8 | frame[7], bytes(memoryview(frame)[8 : self.length]), peer)


_line = _Line() if hasattr(qport, "Link") else None


def _pack(ip):
    parts = [int(n) for n in ip.split(".")]
    if len(parts) != 4:
        raise OSError(-2)
    return bytes(parts)


def _deliver(port, data, peer):
    sock = _bound.get(port)
    if sock is not None and len(sock.queue) < _QUEUED:
        sock.queue.append((data, peer))


def getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):
    """Addresses in digits only: there is nobody to ask for names."""
    if family == AF_INET6:
        raise OSError(-2)
    try:
        _pack(host)
    except ValueError:
        raise OSError(-2)
    return [(AF_INET, SOCK_DGRAM, 0, "", (host, port))]


class socket(io.IOBase):
    """A UDP socket."""

    def __init__(self, family=AF_INET, type=SOCK_DGRAM, proto=0):
        if family != AF_INET or type != SOCK_DGRAM:
            raise OSError(_EAFNOSUPPORT)
        self.queue = []
        self.port = 0
        self.blocking = True

    def setblocking(self, flag):
        self.blocking = flag

    def settimeout(self, seconds):
        self.blocking = seconds is None

    def setsockopt(self, *args):
        pass

    def bind(self, address):
        global _next_port
        port = address[1]
        if not port:
            while _next_port in _bound:
                _next_port += 1
            port = _next_port
            _next_port += 1
        elif port in _bound:
            raise OSError(_EADDRINUSE)
        self.port = port
        _bound[port] = self

    def sendto(self, data, peer):
        if not self.port:
            self.bind(("0.0.0.0", 0))
        if peer[0] == "127.0.0.1":
            _deliver(peer[1], bytes(data), ("127.0.0.1", self.port))
        elif peer[0] == "255.255.255.255":
            raise OSError(_EACCES)
        elif _line is None:
            raise OSError(_ENETUNREACH)
        else:
            _line.send(peer, self.port, data)
        return len(data)

    def recvfrom(self, n):
        while True:
            if _line is not None:
                _line.pump()
            if self.queue:
                data, peer = self.queue.pop(0)
                return data[:n], peer
            if not self.blocking:
                raise OSError(_EAGAIN)

    def ioctl(self, request, arg):
        if request == 3:  # poll
            if _line is not None:
                _line.pump()
            return arg & (5 if self.queue else 4)
        if request == 4:
            self.close()
        return 0

    def close(self):
        if _bound.get(self.port) is self:
            del _bound[self.port]
