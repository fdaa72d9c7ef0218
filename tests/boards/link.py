# The far end of the M3's second serial line: passes its datagrams on to this machine's loopback.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# The frames are those of boards/qemu/common/qport_socket.c: SLIP (RFC 1055) around 4 bytes of
# the peer's address, 2 of its port, 2 of the board's port, and the datagram.

import selectors
import socket
import struct
import threading

ME = "10.64.0.1"  # this machine's loopback, as the board has it; nothing else is reached
END, ESC = b"\xc0", b"\xdb"
ESC_END, ESC_ESC = b"\xdb\xdc", b"\xdb\xdd"


class Link:
    """`board` is the socket for the emulator. sent, received: datagrams of the board."""

    def __init__(self):
        self._line, self.board = socket.socketpair()
        self._flows = {}  # the board's port: a socket of ours, so that a server may speak first
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._line, selectors.EVENT_READ)
        self._buffer = b""
        self.sent = self.received = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while True:
            for key, _ in self._selector.select():
                if key.data is not None:
                    self._down(key.fileobj, key.data)
                    continue
                try:
                    chunk = self._line.recv(4096)
                except OSError:
                    chunk = b""
                if not chunk:
                    return
                *frames, self._buffer = (self._buffer + chunk).split(END)
                for frame in frames:
                    self._up(frame.replace(ESC_END, END).replace(ESC_ESC, ESC))

    def _up(self, frame):
        if len(frame) < 8:
            return
        ip, port, mine = struct.unpack(">4sHH", frame[:8])
        if socket.inet_ntoa(ip) != ME:
            return
        flow = self._flows.get(mine)
        if not flow:
            flow = self._flows[mine] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            flow.bind(("127.0.0.1", 0))
            self._selector.register(flow, selectors.EVENT_READ, mine)
        self.sent += 1
        flow.sendto(frame[8:], ("127.0.0.1", port))

    def _down(self, flow, mine):
        try:
            data, (_, port) = flow.recvfrom(4096)
        except OSError:
            return  # refused: a datagram lost
        self.received += 1
        frame = struct.pack(">4sHH", socket.inet_aton(ME), port, mine) + data
        self._line.sendall(frame.replace(ESC, ESC_ESC).replace(END, ESC_END) + END)

    def close(self):
        self.board.close()
        self._line.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._line.close()
        for flow in self._flows.values():
            flow.close()
        self._selector.close()
