"""OpenCV's log level is the program's own again after decoding, whatever threads do, forks or interrupts.

What forks and interrupts runs in programs of their own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from types import SimpleNamespace

import cv2
import pytest
from picture_files import encoded, photo

from edgevision.decode import encode_png, read_image
from edgevision.errors import ImageError

# A fake log in OpenCV: ``levels`` are all levels that it had, ``during`` runs each time one is set.
START = """
import os, signal, sys, threading, time
from types import SimpleNamespace
import cv2, numpy
from edgevision.decode import encode_png, read_image

PNG = encode_png(numpy.zeros((8, 8, 3), numpy.uint8))
levels = [3]
during = lambda: None

def set_level(level):
    levels.append(level)
    before = levels[-2]
    during()
    return before

cv2.utils.logging = SimpleNamespace(setLogLevel=set_level)

def wait_for(child):
    deadline = time.monotonic() + 30
    while (done := os.waitpid(child, os.WNOHANG)) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            sys.exit("the child hangs")
        time.sleep(0.01)
    return os.waitstatus_to_exitcode(done[1])

def in_child():
    global during
    during = lambda: None
    first = levels[-1]
    read_image(PNG)
    print(first, *levels[-3:], flush=True)
    os._exit(0)
"""

# A thread is decoding when the program forks; it does not exist in the child.
DECODING = """
decoding, go_on = threading.Event(), threading.Event()
imdecode = cv2.imdecode

def slow(*arguments):
    decoding.set()
    go_on.wait(30)
    return imdecode(*arguments)

cv2.imdecode = slow
thread = threading.Thread(target=read_image, args=(PNG,))
thread.start()
decoding.wait(30)
cv2.imdecode = imdecode
if not (child := os.fork()):
    in_child()
status = wait_for(child)
go_on.set()
thread.join()
print(status, levels[-1])
"""

# A thread is setting the level, and holds the lock, when the program forks.
SETTING = """
setting = threading.Event()

def during():
    setting.set()
    time.sleep(0.3)

thread = threading.Thread(target=read_image, args=(PNG,))
thread.start()
setting.wait(30)
if not (child := os.fork()):
    in_child()
status = wait_for(child)
thread.join()
print(status, levels[-1])
"""

# A signal handler decodes each time that its thread sets the level, and holds the lock.
HANDLER = """
calls = []

def handler(number, frame):
    calls.append(read_image(PNG).shape)

signal.signal(signal.SIGUSR1, handler)
inside = False

def during():
    global inside
    if not inside:
        inside = True
        signal.raise_signal(signal.SIGUSR1)
        inside = False

for _ in range(3):
    read_image(PNG)
print(len(calls), levels[-1])
"""

# A signal handler forks while its thread decodes: the child goes on with that picture, and gives the level back.
FORKING_HANDLER = """
children = []

def handler(number, frame):
    children.append(os.fork())

signal.signal(signal.SIGUSR1, handler)
imdecode = cv2.imdecode

def interrupted(*arguments):
    signal.raise_signal(signal.SIGUSR1)
    return imdecode(*arguments)

cv2.imdecode = interrupted
read_image(PNG)
cv2.imdecode = imdecode
if children == [0]:
    in_child()
print(wait_for(children[0]), levels[-1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(
    ("program", "expected"),
    [
        pytest.param(DECODING, "3 3 0 3\n0 3\n", id="fork while a thread decodes"),
        pytest.param(SETTING, "3 3 0 3\n0 3\n", id="fork while a thread holds the lock"),
        pytest.param(HANDLER, "6 3\n", id="a handler decodes"),
        pytest.param(FORKING_HANDLER, "3 3 0 3\n0 3\n", id="a handler forks"),
    ],
)
def test_the_level_of_opencv_is_given_back(program: str, expected: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", START + program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == (expected, "", 0)


def test_the_log_level_of_opencv_is_given_back_whatever_threads_do() -> None:
    get_level = getattr(cv2.utils, "logging", cv2).getLogLevel
    before = get_level()
    good, bad = encode_png(photo()), encoded(".bmp", photo())[:500]

    def work() -> None:
        for _ in range(20):
            read_image(good)
            with pytest.raises(ImageError):
                read_image(bad)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert get_level() == before


@pytest.mark.parametrize("place", ["cv2.utils.logging", "cv2", None])
def test_every_opencv_is_kept_silent_that_can_be(place: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Since 4.13 the functions are in ``cv2.utils.logging``, before in ``cv2``."""
    levels = [3]

    def set_level(level: int) -> int:
        levels.append(level)
        return levels[-2]

    monkeypatch.delattr(cv2.utils, "logging", raising=False)
    monkeypatch.delattr(cv2, "setLogLevel", raising=False)
    if place == "cv2":
        monkeypatch.setattr(cv2, "setLogLevel", set_level, raising=False)
    elif place:
        monkeypatch.setattr(cv2.utils, "logging", SimpleNamespace(setLogLevel=set_level), raising=False)
    assert read_image(encode_png(photo())).shape == photo().shape
    assert levels == ([3, 0, 3] if place else [3])
