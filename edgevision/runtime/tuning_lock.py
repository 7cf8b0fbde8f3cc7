"""One process measures at a time: several at once would take each other's cores, and the slower variant could win."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from edgevision.files import cache_folder

_POLL_S = 0.1


@contextmanager
def measuring_alone(wait_s: float, on_wait: Callable[[], object]) -> Iterator[bool]:
    """The block runs while no other process of this user's cache measures. True, or False where others still did after
    ``wait_s`` seconds. ``on_wait`` is called once, where there is something to wait for.

    The lock goes with its process, however that ends. A system or a cache folder without locks counts as alone.
    """
    descriptor = _open_lock()
    try:
        yield descriptor is None or _lock(descriptor, wait_s, on_wait)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _open_lock() -> int | None:
    path = cache_folder() / "tuning" / "lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not stat.S_ISREG(path.lstat().st_mode):
            return None
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return None


def _lock(descriptor: int, wait_s: float, on_wait: Callable[[], object]) -> bool:
    try:
        import fcntl as module
    except ImportError:  # Windows
        return True
    fcntl: Any = module
    deadline = time.monotonic() + wait_s
    told = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
        except OSError:  # a file system without locks
            return True
        else:
            return True
        if not told:
            on_wait()
            told = True
        time.sleep(_POLL_S)
