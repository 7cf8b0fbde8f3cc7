"""How many cameras one machine serves, by us and by what else there is: ultralytics' stream mode, Roboflow's InferencePipeline.

    PYTHONPATH=. python -m benchmarks.stream_peers --onnx yolo.onnx --bundle yolo.edge --peer ultralytics=ENVIRONMENT/bin/python

``--onnx`` is what the peers run and ``--bundle`` was compiled of, both with ONNX Runtime: Ultralytics' yolo11n exported with ``dynamic=True`` (random
weights do), and ``edgevision compile yolo.onnx -o yolo.edge --precision float --skip-validation --force``. Each peer is in an environment of its own. The cameras are
``edgevision camsim``'s, on the same machine, and their pictures carry time and number: ages are true, from the picture's being painted to the
result's being in the user's hands; a picture that is served twice counts once in ``fps`` (``again`` says how often).

``at``: the same number of cameras for each runtime, in turn, ``--rounds`` times; medians. ``most``: the most cameras of which all are served
at ``--least-fps`` or more, with 99 of 100 results no older than ``--most-age-s``: found by doubling, then halving the step.
CPU and memory are the runtime's process, without the cameras'.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.common import ROOT, write_result
from edgevision.errors import DeviceError
from edgevision.streams.camsim.camera import SimulatedCamera
from edgevision.streams.camsim.server import CameraSettings
from edgevision.streams.soak.usage import Usage, read_usage

OURS = "edgevision"
_LOOK_S = 0.5


def serve(
    runtime: str, python: str, model: Path, settings: CameraSettings, cameras: int, seconds: float
) -> dict[str, Any]:
    """The figures of one runtime with so many cameras, fresh ones; ``failed`` where it gives none."""
    with contextlib.ExitStack() as stack:
        urls = [stack.enter_context(SimulatedCamera(settings)).url for _ in range(cameras)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "YOLO_VERBOSE": "False", "YOLO_OFFLINE": "True"}
        process = stack.enter_context(
            subprocess.Popen(
                [python, "-m", "benchmarks.streamed_by"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, text=True, env=environment, cwd=ROOT,
            )
        )  # fmt: skip
        stack.callback(process.kill)
        assert process.stdin is not None
        assert process.stdout is not None
        asked = {"runtime": runtime, "model": str(model.resolve()), "urls": urls, "seconds": seconds}
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        lines = _json_lines(process)
        begun = next(lines, None)
        looks = _Looks(process.pid)
        found = next(lines, None)
        usage = looks.end()
        if begun is None or found is None:
            process.kill()
            _, words = process.communicate()
            last = words.strip().splitlines()[-1:] or [f"it ended with status {process.returncode}"]
            return {"failed": last[0][:300]}
        return {**found, "cameras": cameras, **usage}


def _json_lines(process: subprocess.Popen[str]) -> Any:
    """What it tells in JSON; other words that a runtime prints are passed over."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{"):
            yield json.loads(line)


class _Looks:
    """Looks at a process from time to time."""

    def __init__(self, process_id: int) -> None:
        self._process_id = process_id
        self._ended = threading.Event()
        self._seen: list[tuple[float, Usage]] = []
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def end(self) -> dict[str, Any]:
        """What it took: percent of a core, MB at most, threads at most."""
        self._ended.set()
        self._thread.join()
        if len(self._seen) < 2:
            return {}
        (first_s, first), (last_s, last) = self._seen[0], self._seen[-1]
        return {
            "cpu_percent": round(100 * (last.cpu_s - first.cpu_s) / (last_s - first_s)),
            "memory_mb": round(max(one.memory_bytes for _, one in self._seen) / 1e6),
            "threads": max(one.threads for _, one in self._seen),
        }

    def _look(self) -> None:
        with contextlib.suppress(DeviceError):  # it has ended
            while not self._ended.is_set():
                self._seen.append((time.monotonic(), read_usage(self._process_id)))
                self._ended.wait(_LOOK_S)


def most_cameras(fits: Callable[[int], bool], limit: int) -> int:
    """The most for which ``fits`` holds, up to ``limit``, if it holds for all fewer; 0 where it does for none.

    >>> most_cameras(lambda n: n <= 11, 64)
    11
    """
    low, high = 0, 1
    while high <= limit and fits(high):
        low, high = high, 2 * high
    high = min(high, limit + 1)
    while high - low > 1:
        middle = (low + high) // 2
        if fits(middle):
            low = middle
        else:
            high = middle
    return low


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--onnx", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--peer", action="append", default=[], metavar="RUNTIME=PYTHON", help="ultralytics or roboflow")
    parser.add_argument("--cameras", type=int, default=4, help="of the part ``at`` (default 4)")
    parser.add_argument("--limit", type=int, default=32, help="of the part ``most`` (default 32; 0: leave it out)")
    parser.add_argument("--fps", type=float, default=15.0)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement (default 20)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--most-age-s", type=float, default=0.5)
    parser.add_argument("--least-fps", type=float, default=1.0)
    arguments = parser.parse_args()
    pythons = {OURS: sys.executable, **dict(one.split("=", 1) for one in arguments.peer)}
    settings = CameraSettings(width=640, height=360, fps=arguments.fps, announced_fps=round(arguments.fps))

    def one(runtime: str, cameras: int) -> dict[str, Any]:
        model = arguments.bundle if runtime == OURS else arguments.onnx
        found = serve(runtime, pythons[runtime], model, settings, cameras, arguments.seconds)
        print(runtime, cameras, json.dumps(found), flush=True)
        return found

    def fits(runtime: str, cameras: int) -> bool:
        found = one(runtime, cameras)
        return (
            "failed" not in found and found["never_came"] == 0 and found["p99_age_ms"] <= 1000 * arguments.most_age_s
            and min(found["fps"]) >= arguments.least_fps
        )  # fmt: skip

    at: dict[str, list[dict[str, Any]]] = {runtime: [] for runtime in pythons}
    for _ in range(arguments.rounds):
        for runtime in pythons:
            at[runtime].append(one(runtime, arguments.cameras))
    most = {
        runtime: most_cameras(lambda cameras, runtime=runtime: fits(runtime, cameras), arguments.limit)  # type: ignore[misc]
        for runtime in (pythons if arguments.limit else ())
    }
    write_result(
        "stream-peers",
        {
            "most": most, "most_age_s": arguments.most_age_s, "least_fps": arguments.least_fps, "camera_fps": arguments.fps,
            "cameras": arguments.cameras, "medians": {runtime: _medians(rows) for runtime, rows in at.items()}, "rounds": at,
        },
    )  # fmt: skip


def _medians(rows: list[dict[str, Any]]) -> Mapping[str, Any]:
    well = [row for row in rows if "failed" not in row]
    if not well:
        return {"failed": rows[0]["failed"]}
    names = [name for name, value in well[0].items() if isinstance(value, (int, float))]
    totals = {"fps_of_all": median(sum(row["fps"]) for row in well)}
    return {**totals, **{name: median(row[name] for row in well if name in row) for name in names}}


if __name__ == "__main__":
    main()
