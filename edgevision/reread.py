"""What a file says, read again when the file has changed, while others go on with what it said before."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from edgevision.errors import EdgeVisionError

LOOK_S = 0.4  # between two looks: a change is taken up within a second, and a look costs some microseconds
RETRY_S = 5.0  # after a read that failed: a lock, the file's permissions or the disk may have been the reason, and those pass unseen
_T = TypeVar("_T")


class Reread(Generic[_T]):
    """Keeps what ``read`` gave, and has ``look`` call it again once ``state`` gives another value.

    ``state`` is asked often, and should not open the file: ``files.file_state`` does not. A file that cannot be read changes nothing: what
    it said before stays, ``trouble`` is told why, once, and it is tried again every ``RETRY_S``. ``changed``: called with the old and the
    new, by the thread that read it. Raises what ``read`` raises, when it is made.

    >>> numbers = [1]
    >>> last = Reread(lambda: numbers[-1], lambda: len(numbers), trouble=print)
    >>> numbers.append(2)
    >>> last.kept, last.look(), last.kept
    (1, 2, 2)
    """

    def __init__(
        self, read: Callable[[], _T], state: Callable[[], object], *, trouble: Callable[[str], None],
        changed: Callable[[_T, _T], None] | None = None,
    ) -> None:  # fmt: skip
        self._read = read
        self._state = state
        self._trouble = trouble
        self._changed = changed
        self._reading = threading.Lock()
        self._failed = False  # whether the last read did
        self._told = ""  # why, as ``trouble`` knows it
        self._retry_s = 0.0
        self._seen = state()  # before it is read: what changes meanwhile is seen the next time
        self._kept = read()

    @property
    def kept(self) -> _T:
        """What was read last. From any thread, and at once."""
        return self._kept

    @property
    def due(self) -> bool:
        """Whether a look would read: the file changed, or could not be read a while ago. At once, but for what ``state`` takes."""
        return self._state() != self._seen or self._is_retried()

    def look(self) -> _T:
        """Look at the file, and read it again if it changed. What it says."""
        with self._reading:
            state = self._state()
            if state != self._seen:
                self._seen, self._told = state, ""
                self._try()
            elif self._is_retried():
                self._try()
        return self._kept

    def read_now(self) -> _T:
        """What the file says now. As ``look``, but raises what ``read`` raises, also where it failed before and nothing changed since."""
        with self._reading:
            state = self._state()
            if state != self._seen or self._failed:
                self._seen = state
                self._take()
        return self._kept

    def _is_retried(self) -> bool:
        return self._failed and time.monotonic() >= self._retry_s

    def _try(self) -> None:
        try:
            self._take()
        except (EdgeVisionError, OSError) as error:
            words = str(error)
            if words != self._told:
                self._trouble(words)
            self._told = words

    def _take(self) -> None:
        self._failed, self._retry_s = True, time.monotonic() + RETRY_S
        new = self._read()
        self._failed, self._told = False, ""
        old, self._kept = self._kept, new
        if self._changed is not None:
            self._changed(old, new)

    def __getstate__(self) -> dict[str, Any]:
        """To pickle it, without its lock; its functions have to be such that can be."""
        return {name: value for name, value in self.__dict__.items() if name != "_reading"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reading = threading.Lock()
