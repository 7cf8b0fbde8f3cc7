"""Which message it is that breaks a connection, so that one cannot block all others for ever."""

from __future__ import annotations

from collections.abc import Sequence

BATCH = 100  # messages that are sent together while all is well
TRIES = 3  # of a message alone, before its neighbours are asked


class CulpritSearch:
    """Says what to send next, told what became of what was sent before. Messages are known by their numbers.

    What breaks the connection is sent again in halves, until one message is alone. Does it break the connection three times, it is
    suspected, and the next one is sent past it. Only where that one arrives, and the suspect then breaks the connection once more,
    is it guilty: while the other side takes nothing at all, no message is to blame.

    >>> search = CulpritSearch()
    >>> search.choose([1, 2, 3, 4]), search.broke([1, 2, 3, 4])
    ([1, 2, 3, 4], None)
    >>> search.choose([1, 2, 3, 4])
    [1, 2]
    """

    def __init__(self) -> None:
        self._limit = BATCH
        self._suspects: list[int] = []  # each broke the connection alone, the oldest first
        self._tries = 0  # of the first suspect
        self._vouched = False  # whether another message arrived since

    def choose(self, waiting: Sequence[int]) -> list[int]:
        """What to send now, of what waits, the oldest first; at least one."""
        if any(number not in waiting for number in self._suspects):
            self._acquit([number for number in self._suspects if number in waiting])
        if not self._suspects:
            return list(waiting[: self._limit])
        if self._tries < TRIES or self._vouched:
            return [self._suspects[0]]
        others = [number for number in waiting if number not in self._suspects]
        if not others:  # each of them broke it: it is the other side, and all begins anew
            self._acquit([])
            return list(waiting[:1])
        return others[:1]

    def arrived(self, number: int) -> None:
        """The other side has this one."""
        if self._suspects and number == self._suspects[0]:
            self._acquit(self._suspects[1:])
        elif self._suspects:
            self._vouched = True

    def went_well(self) -> None:
        """All that was sent has been answered."""
        if not self._suspects:
            self._limit = min(2 * self._limit, BATCH)

    def broke(self, sent: Sequence[int]) -> int | None:
        """The connection broke while these were on their way. The one that is guilty, where that is clear; it must not be sent again."""
        if len(sent) > 1:
            self._limit = len(sent) // 2
            return None
        self._limit = 1
        for number in sent:
            if number not in self._suspects:
                self._suspects.append(number)
            if number == self._suspects[0]:
                self._tries += 1
                if self._vouched:
                    self._acquit(self._suspects[1:])
                    return number
        return None

    def _acquit(self, left: list[int]) -> None:
        """Only ``left`` are suspected from now on."""
        self._suspects = left
        self._tries = min(len(left), 1)
        self._vouched = False
