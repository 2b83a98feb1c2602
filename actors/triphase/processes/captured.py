"""What a process writes, in a bounded amount of memory: the beginning and the end."""

from __future__ import annotations


class Captured:
    """The first and the last bytes of a stream.

    Args:
      head: how many of the first bytes are kept.
      tail: how many of the last.
    """

    def __init__(self, head: int, tail: int) -> None:
        self._most_head, self._most_tail = head, tail
        self._head, self._tail = bytearray(), bytearray()
        self.total = 0
        """Bytes that were written in all."""

    def add(self, data: bytes) -> None:
        """Add what was written next."""
        self.total += len(data)
        room = self._most_head - len(self._head)
        if room:
            self._head += data[:room]
            data = data[room:]
        self._tail += data
        # Twice as much as is kept, so that it is not moved with every piece.
        if len(self._tail) > 2 * self._most_tail:
            del self._tail[: len(self._tail) - self._most_tail]

    @property
    def head(self) -> bytes:
        """The first bytes."""
        return bytes(self._head)

    @property
    def tail(self) -> bytes:
        """The last bytes of those that are not among the first."""
        return bytes(self._tail[max(0, len(self._tail) - self._most_tail) :])

    @property
    def dropped(self) -> int:
        """How many bytes between the two were not kept."""
        return self.total - len(self._head) - min(len(self._tail), self._most_tail)

    def text(self) -> str:
        """Return what is kept, with a line that says what is missing."""
        return text_of(self.head, self.tail, self.dropped)

    def clear(self) -> None:
        """Forget all of it."""
        self._head, self._tail = bytearray(), bytearray()
        self.total = 0


def text_of(head: bytes, tail: bytes, dropped: int) -> str:
    """Return captured bytes as text; what is not UTF-8 becomes a replacement character."""
    if not dropped:
        return (head + tail).decode("utf-8", "replace")
    first, last = head.decode("utf-8", "replace"), tail.decode("utf-8", "replace")
    return f"{first}\n[{dropped} bytes dropped]\n{last}" if first else last
