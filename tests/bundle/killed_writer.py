"""Write bundles in child processes that are killed, and report what is found after each death.

Run by test_kill.py in a process of its own: ``killed_writer.py {lines|lines-new|bytes|loop} FOLDER BUNDLE``. FOLDER/target.edge
is the bundle "old" (or nothing, with ``lines-new``); children replace it by "new", which has a larger graph. Prints a
JSON list of what could be read after each kill: "old", "new", "nothing", or what went wrong.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

from edgevision import files
from edgevision.bundle import open_bundle, write_bundle, writer
from edgevision.errors import EdgeVisionError

mode, folder, model = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
target = folder / "target.edge"
with open_bundle(model) as bundle:
    manifest = bundle.manifest
    small = {name: bundle.read(name) for name in manifest.entries}
large = {**small, "graphs/float.onnx": os.urandom(200_000), "report/report.html": os.urandom(50_000)}
WATCHED = (files.__file__, writer.__file__)


def write(name: str) -> None:
    write_bundle(target, replace(manifest, name=name), large if name == "new" else small)


def found() -> str:
    if not target.exists():
        return "nothing"
    try:
        with open_bundle(target) as bundle:
            bundle.verify()
            return bundle.manifest.name
    except EdgeVisionError as error:
        return f"broken: {error}"


def start(act: Callable[[], None]) -> int:
    """The id of a child that does this, then ends with status 0."""
    child = os.fork()
    if child == 0:
        try:
            act()
        except BaseException as error:
            os.write(2, repr(error).encode())
            os._exit(1)
        os._exit(0)
    return child


def killed(child: int) -> bool:
    """Wait; whether it was killed. Anything but a kill or a good end is a fault of this test."""
    status = os.waitpid(child, 0)[1]
    if not os.WIFSIGNALED(status) and os.WEXITSTATUS(status) != 0:
        raise SystemExit("a child failed")
    return os.WIFSIGNALED(status)


def die_at(step: int) -> None:
    """Write, and be killed by SIGKILL at the ``step``-th line of what writes files."""
    left = step

    def local(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal left
        left -= event == "line"
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return local

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        return local if frame.f_code.co_filename.endswith(WATCHED) else None

    sys.settrace(trace)
    write("new")
    sys.settrace(None)


def die_at_byte(limit: int) -> None:
    """Write, and be killed by SIGXFSZ when the file has this many bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    write("new")


def forever() -> None:
    for i in count():
        write(("new", "old")[i % 2])


results = []
write("new")
size = target.stat().st_size
write("old")
old = target.read_bytes()
if mode in ("lines", "lines-new"):
    for step in count(1, 1 if mode == "lines" else 3):
        if mode == "lines":
            target.write_bytes(old)
        else:
            target.unlink(missing_ok=True)
        if not killed(start(lambda: die_at(step))):  # noqa: B023
            break
        results.append(found())
elif mode == "bytes":
    for limit in range(0, size, size // 40):
        if not killed(start(lambda: die_at_byte(limit))):  # noqa: B023
            raise SystemExit("the limit did not kill")
        results.append(found())
elif mode == "loop":
    for _ in range(10):
        child = start(forever)
        results += [found() for _ in range(20)]  # while it writes
        os.kill(child, signal.SIGKILL)
        killed(child)
        results.append(found())
print(json.dumps(results))
