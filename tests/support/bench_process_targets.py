"""The known targets, for processes that have no scenarios yet; and targets that tell of their process."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import bench_asking
from bench_targets import *  # noqa: F403
from bench_targets import KnownTarget

from edgevision.bench.targets.base import Allowance

sys.modules["edgevision.bench.scenarios.asking"] = bench_asking


def tells(allowance: Allowance) -> KnownTarget:
    """Its versions are what its process was given."""
    warnings.warn("a warning of the target", UserWarning, stacklevel=1)
    target = KnownTarget(allowance, "tells")
    cores = str(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ""
    told = {
        "cores": cores, "python": sys.executable, "cv2": str(importlib.util.find_spec("cv2") is not None),
        "ours": " ".join(name for name in sys.modules if name.partition(".")[0] == "edgevision" and "asking" not in name),
        **{name: value for name, value in os.environ.items() if name.endswith("_NUM_THREADS")},
    }  # fmt: skip
    target.identity = replace(target.identity, versions=told)
    return target


def starts(allowance: Allowance) -> KnownTarget:
    """Has a process of its own."""
    target = KnownTarget(allowance, "starts")
    started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    target.identity = replace(target.identity, versions={"started": str(started.pid)})
    return target


class _Scribbler(KnownTarget):
    def answer(self, frames: Sequence[Any], stages: dict[str, int] | None) -> Sequence[Any]:
        for frame in frames:
            frame[:] = 0
        return frames


def scribbles(allowance: Allowance) -> KnownTarget:
    return _Scribbler(allowance, "scribbles")
