"""Memory that is freed goes back: asked of glibc itself, in a process of its own, for what is told to an allocator stays."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from edgevision.streams.allocator import keep_memory_flat

PROGRAM = """
import ctypes, sys
from edgevision.streams.allocator import keep_memory_flat

class Info(ctypes.Structure):  # mallinfo2(3)
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
libc.mallinfo2.restype = Info
told = keep_memory_flat() if sys.argv[1] == "told" else None
libc.free(libc.malloc(8 << 20))  # after which glibc by itself keeps blocks of up to so many bytes in its heap
before = libc.mallinfo2().hblks
libc.malloc(4 << 20)
print(told, libc.mallinfo2().hblks - before)
"""


def run(how: str, **settings: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True, env={**clean, **settings}
    )
    return done.stdout.strip()


def has_mallinfo2() -> bool:
    import ctypes

    return sys.platform.startswith("linux") and hasattr(ctypes.CDLL(None), "mallinfo2")  # glibc since 2.33


glibc = pytest.mark.skipif(not has_mallinfo2(), reason="needs glibc 2.33 or newer")


@glibc
def test_large_blocks_are_given_back():
    assert run("told") == "True 1"  # mapped by itself, and so given back when it is freed
    assert run("not told") == "None 0"  # the test sees the difference


@glibc
@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_what_the_user_has_set_stays(name):
    assert run("told", **{name: "2" if name == "MALLOC_ARENA_MAX" else "glibc.malloc.arena_max=2"}) == "False 0"


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_memory_flat() is False
