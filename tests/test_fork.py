"""edgevision.fork in a process of its own: what a fork waits for, holds and tells."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")

# A thread works on, and needs a lock that is held over the fork before it is done: as one that opens an engine and decodes
# a picture of the self-test. Holding the lock first and then waiting for the thread would never end.
PROGRAM = """
import os, threading
from edgevision.fork import after_fork_in_child, hold_over_fork, wait_before_fork

lock, began, done, told = threading.Lock(), threading.Event(), threading.Event(), []

def renew():
    global lock
    lock = threading.Lock()

hold_over_fork(lambda: lock.acquire(), lambda: lock.release())  # registered before the wait, and comes after it
wait_before_fork(lambda: done.wait(20))
after_fork_in_child(renew)
after_fork_in_child(lambda: told.append("child"))

def work():
    began.set()
    with lock:
        done.set()

lock.acquire()
thread = threading.Thread(target=work)
thread.start()
began.wait()
lock.release()
pid = os.fork()
if not pid:
    os._exit(7 if told == ["child"] and done.is_set() and lock.acquire(timeout=1) else 8)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), told, done.is_set(), lock.acquire(timeout=1))
"""


def test_a_fork_waits_first_and_then_holds_its_locks():
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=False, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("7 [] True True\n", "")
