"""The C library's allocator, told to keep one heap, and what pictures take in it: for a process that is ours and runs for weeks."""

from __future__ import annotations

import ctypes
import os
import sys

# Of malloc.h of glibc; see mallopt(3).
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

_ARENAS = 1
# A block from here on is a mapping of its own, given back when it is freed. No picture under 11 megapixels is. glibc takes no higher value.
_MAPPED_FROM_BYTES = 32 << 20
_KEPT_BYTES = 64 << 20  # at the end of the heap: some pictures at once


def keep_memory_flat() -> bool:
    """Let all threads share one heap, which keeps what pictures take. False where the C library is not glibc or refuses a setting, and where the user
    has settings of glibc's own in the environment (``MALLOC_…``, ``GLIBC_TUNABLES``), which stay.

    By itself glibc keeps what was freed in a heap for each thread that once loaded a model: see benchmarks/README.md, "Streams", for what
    that takes. And it gives a picture's memory back to the system, so that the next one is mapped anew, which takes half as long as decoding it:
    blocks under 32 MiB, and up to 64 MiB that are free, stay. It holds for the whole process: call it in a program, not in a library.

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
    settings = {_M_ARENA_MAX: _ARENAS, _M_MMAP_THRESHOLD: _MAPPED_FROM_BYTES, _M_TRIM_THRESHOLD: _KEPT_BYTES}
    done = [libc.mallopt(key, value) for key, value in settings.items()]
    return all(done)
