"""The C library's allocator, told to give memory back: for a process that is ours and runs for weeks."""

from __future__ import annotations

import ctypes
import os
import sys

# Of malloc.h of glibc; see mallopt(3).
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
_THRESHOLD_BYTES = 128 * 1024  # glibc's own, before it lets it grow up to 32 MB
_ARENAS = 1


def keep_memory_flat() -> bool:
    """Give large blocks back when they are freed, and let all threads share one heap. False where the C library is not glibc, or the user
    has settings of glibc's own in the environment (``MALLOC_…``, ``GLIBC_TUNABLES``), which stay.

    By itself glibc keeps blocks of up to 32 MB, in a heap for each thread that once loaded a model: see benchmarks/README.md, "Streams", for what
    that takes. It holds for the whole process: call it in a program, not in a library.

    >>> keep_memory_flat() in (True, False)
    True
    """
    if not sys.platform.startswith("linux"):
        return False
    if "GLIBC_TUNABLES" in os.environ or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return False
    # Both are set, whatever the first gives.
    taken = [libc.mallopt(_M_MMAP_THRESHOLD, _THRESHOLD_BYTES), libc.mallopt(_M_ARENA_MAX, _ARENAS)]
    return all(taken)
