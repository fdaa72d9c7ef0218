# An account's state as one small record of bytes.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 8613 Appendix B.1

_VERSION = const(1)
_ID_CONTEXT = const(1)
_WINDOW = const(2)
_SHOW = const(4)
_LAST = const(0xFFFFFFFFFF)


class Record:
    """What an Account takes as persist, over a place for bytes.

    read() -> the bytes last written, or None when nothing ever was; ValueError or OSError
    when what was written cannot be read: that is not the same, as it would let numbers
    come back. write(data): durable when it returns, all or nothing; OSError.
    Belongs to one set of keys: remove it when they change.
    """

    def __init__(self, read, write):
        self._read = read
        self._write = write
        self._id_context = None
        self._show = False

    def load(self):
        """None, or (id_context, end, window, show). Raises ValueError, OSError."""
        data = self._read()
        if data is None:
            return None
        if len(data) < 7 or data[0] != _VERSION:
            raise ValueError("record")
        flags = data[1]
        end = int.from_bytes(data[2:7], "big")
        pos = 7
        id_context = window = None
        if flags & _ID_CONTEXT and len(data) > 7:
            pos = 8 + data[7]
            id_context = bytes(data[8:pos])
        if flags & _WINDOW:
            if len(data) != pos + 13:
                raise ValueError("record")
            window = (
                int.from_bytes(data[pos : pos + 5], "big"),
                int.from_bytes(data[pos + 5 :], "big"),
            )
            if not window[1]:
                window = (-1, 0)
        elif len(data) != pos:
            raise ValueError("record")
        self._id_context = id_context
        self._show = bool(flags & _SHOW)
        return id_context, end, window, self._show

    def commit(self, id_context, end, window, show):
        """Keep all of it. Raises OSError."""
        flags = _SHOW if show else 0
        # Behind the last number there is: a start adds a reservation to what it reads.
        data = min(end, _LAST).to_bytes(5, "big")
        if id_context is not None:
            flags |= _ID_CONTEXT
            data += bytes((len(id_context),)) + id_context
        if window is not None:
            flags |= _WINDOW
            data += max(window[0], 0).to_bytes(5, "big") + window[1].to_bytes(8, "big")
        self._write(bytes((_VERSION, flags)) + data)
        self._id_context = id_context
        self._show = show

    def reserve(self, end):
        """Keep a higher end, and no window. Raises OSError."""
        self.commit(self._id_context, end, None, self._show)
