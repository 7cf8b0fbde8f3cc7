"""What a file says, read again when the file has changed, while others go on with what it said before."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from edgevision.errors import EdgeVisionError

LOOK_S = 0.4  # between two looks: a change is taken up within a second, and a look costs some microseconds
_T = TypeVar("_T")


class Reread(Generic[_T]):
    """Keeps what ``read`` gave, and has ``look`` call it again once ``state`` gives another value.

    A file that cannot be read changes nothing: what it said before stays, and ``trouble`` is told why, once. ``changed``: called with the
    old and the new, by the thread that read it. Raises what ``read`` raises, when it is made.

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
        self._seen = state()  # before it is read: what changes meanwhile is seen the next time
        self._kept = read()

    @property
    def kept(self) -> _T:
        """What was read last. From any thread, and at once."""
        return self._kept

    def look(self) -> _T:
        """Look at the file, and read it again if it changed. What it says."""
        with self._reading:
            state = self._state()
            if state != self._seen:
                self._seen = state
                try:
                    self._take()
                except EdgeVisionError as error:
                    self._trouble(str(error))
        return self._kept

    def read_now(self) -> _T:
        """What the file says now. As ``look``, but raises what ``read`` raises, also where it failed before and nothing changed since."""
        with self._reading:
            state = self._state()
            if state != self._seen or self._failed:
                self._seen = state
                self._take()
        return self._kept

    def _take(self) -> None:
        self._failed = True
        new = self._read()
        self._failed = False
        old, self._kept = self._kept, new
        if self._changed is not None:
            self._changed(old, new)


class Looks:
    """Looks at files again and again, in a thread of its own. ``looks``: each looks at one; what it raises is told ``trouble``, once."""

    def __init__(
        self, looks: Sequence[Callable[[], object]], trouble: Callable[[str], None], *, look_s: float = LOOK_S
    ) -> None:
        self._looks = tuple(looks)
        self._trouble = trouble
        self._look_s = look_s
        self._told = ""
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        if self._looks:
            self._thread = threading.Thread(target=self._run, name="edgevision files", daemon=True)
            self._thread.start()

    def close(self, timeout_s: float) -> None:
        """End."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._ending.wait(self._look_s):
            for look in self._looks:
                try:
                    look()
                except Exception as error:  # the next look may find it well
                    words = f"{type(error).__name__}: {error}"
                    if words != self._told:
                        self._trouble(words)
                    self._told = words
