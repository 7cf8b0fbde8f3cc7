"""The C library's allocator, told to keep one heap: for a process that is ours and runs for weeks."""

from __future__ import annotations

import ctypes
import os
import sys

# Of malloc.h of glibc; see mallopt(3).
_M_ARENA_MAX = -8
_ARENAS = 1


def keep_memory_flat() -> bool:
    """Let all threads share one heap. False where the C library is not glibc, or the user
    has settings of glibc's own in the environment (``MALLOC_…``, ``GLIBC_TUNABLES``), which stay.

    By itself glibc keeps what was freed in a heap for each thread that once loaded a model: see benchmarks/README.md, "Streams", for what
    that takes. Large blocks mostly stay in the heap too: given back, each picture would be mapped anew, which takes half as long as decoding it. It
    holds for the whole process: call it in a program, not in a library.

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
    return bool(libc.mallopt(_M_ARENA_MAX, _ARENAS))
