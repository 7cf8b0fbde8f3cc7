"""A thread that looks at files, again and again, whether they changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from edgevision.reread import LOOK_S


class FileWatch:
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
