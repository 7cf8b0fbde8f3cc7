"""OpenCV's log kept off stderr while it decodes, in every thread, in signal handlers and in children of ``fork``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

from edgevision.fork import after_fork_in_child, hold_over_fork

_SILENT = 0  # cv::utils::logging::LOG_LEVEL_SILENT

_lock = threading.RLock()  # a signal handler may decode while its thread holds it
_users: list[int] = []  # the thread of each silent_opencv that is under way; a signal handler adds its thread again
_level = 0  # OpenCV's own, while there are users


@contextmanager
def silent_opencv() -> Iterator[None]:
    """Keep OpenCV's log off stderr while decoding: what it would say is in the ImageError.

    The level belongs to the process. The first user in saves it and the last one out puts it back.
    """
    global _level  # noqa: PLW0603
    set_level = _level_setter()
    thread = threading.get_ident()
    with _lock:
        # Entered before and left after the level changes, so that a signal handler in between does not save ours.
        _users.append(thread)
        if len(_users) == 1:
            _level = set_level(_SILENT)
    try:
        yield
    finally:
        with _lock:
            if len(_users) == 1:
                set_level(_level)
            _users.remove(thread)


def _level_setter() -> Callable[[int], int]:
    """OpenCV's function that sets the log level and gives back the one before: in ``cv2.utils.logging`` since 4.13, in
    ``cv2`` itself before. Some builds have neither: their log stays as it is."""
    import cv2

    for place in (getattr(cv2.utils, "logging", None), cv2):
        if setter := getattr(place, "setLogLevel", None):
            return cast("Callable[[int], int]", setter)
    return lambda level: level


def _renew() -> None:
    """In a child of fork, which lacks the parent's other threads: the users that they were, and their lock."""
    global _lock  # noqa: PLW0603
    _lock = threading.RLock()
    own = [thread for thread in _users if thread == threading.get_ident()]
    if _users and not own:
        _level_setter()(_level)
    _users[:] = own


# Looked up by these each time, for _renew makes another lock.
def _hold() -> None:
    _lock.acquire()  # so that no thread is between a change of the level and that of _users


def _release() -> None:
    _lock.release()


hold_over_fork(_hold, _release)
after_fork_in_child(_renew)
