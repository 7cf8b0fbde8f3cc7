from __future__ import annotations

import os
import subprocess
import sys

import pytest

from edgevision.errors import DeviceError
from edgevision.streams.soak.usage import read_usage

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs Linux")  # noqa: PTH112

# Four threads, ten descriptors and 40 MB more than a program that does nothing.
BUSY = """
import os, sys, threading
memory = bytearray(40_000_000)
memory[::4096] = b"1" * len(memory[::4096])
pipes = [os.pipe() for _ in range(5)]
for _ in range(4):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""
IDLE = "import sys; print('ready', flush=True); sys.stdin.read()"


def usage_of(program: str):
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        found = read_usage(process.pid)
        process.communicate()
    return found


def test_what_a_process_takes_is_seen():
    idle, busy = usage_of(IDLE), usage_of(BUSY)
    assert busy.threads - idle.threads == 4
    assert busy.descriptors - idle.descriptors == 10
    assert 39e6 < busy.memory_bytes - idle.memory_bytes < 50e6


def test_a_process_that_is_over_is_told():
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        process.wait()
        with pytest.raises(DeviceError, match=f"process {process.pid}"):
            read_usage(process.pid)
