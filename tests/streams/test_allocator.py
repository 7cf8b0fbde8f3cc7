"""All threads share one heap, which keeps pictures' memory: seen by where glibc puts blocks and by page faults, in a process of its own, for what is
told to an allocator stays."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from edgevision.streams.allocator import keep_memory_flat

PROGRAM = """
import ctypes, sys, threading
from edgevision.streams.allocator import keep_memory_flat

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
told = keep_memory_flat() if sys.argv[1] == "told" else None
places = []
threads = [threading.Thread(target=lambda: places.append(libc.malloc(1000)) or barrier.wait()) for _ in range(4)]
barrier = threading.Barrier(4)  # all of them live at once: a heap of a thread that ended is used again
for one in threads: one.start()
for one in threads: one.join()
heaps = {place >> 26 for place in places}  # that of a thread is aligned to 64 MB
print(told, len(heaps))
"""

PICTURES = """
import ctypes, resource, sys
from edgevision.streams.allocator import keep_memory_flat

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
told = keep_memory_flat() if sys.argv[1] == "told" else None

def pictures(count):
    places = [libc.malloc(1_228_800) for _ in range(count)]  # of 640 x 640 pixels
    for place in places: ctypes.memset(place, 1, 1_228_800)
    for place in places: libc.free(place)

pictures(8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50): pictures(8)
faults = (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 400
print(told, "stays" if faults < 10 else "is mapped anew")
"""


def run(how: str, program: str = PROGRAM, **settings: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    done = subprocess.run(
        [sys.executable, "-c", program, how], capture_output=True, text=True, check=True, env={**clean, **settings}
    )
    return done.stdout.strip()


def has_glibc() -> bool:
    import ctypes

    return sys.platform.startswith("linux") and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")


glibc = pytest.mark.skipif(not has_glibc(), reason="needs glibc")


@glibc
def test_threads_share_one_heap():
    assert run("told") == "True 1"
    assert run("not told") == "None 4"  # the test sees the difference


@glibc
def test_the_memory_of_pictures_stays_for_the_next_ones():
    assert run("told", PICTURES) == "True stays"
    assert run("not told", PICTURES) == "None is mapped anew"  # 300 faults a picture


@glibc
@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_what_the_user_has_set_stays(name):
    assert run("told", **{name: "2" if name == "MALLOC_ARENA_MAX" else "glibc.malloc.arena_max=2"}) == "False 2"


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_memory_flat() is False
