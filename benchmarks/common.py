"""What the benchmarks share: running the command line, list files, and writing results with their machine and date."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Container
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edgevision.evaluate.data.dataset import Dataset
from edgevision.machine import describe_machine, package_versions

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
RUNS = ROOT / "runs"
SHARED = ROOT.parent / "shared"
GROCERY = Path(os.environ.get("GROCERY", SHARED / "data" / "grocery"))


def edgevision(*arguments: object, allowed: Container[int] = (0,)) -> Any:
    """Run an ``edgevision`` command with ``--json`` and return its object. Leaves when it fails, as it failed.

    ``allowed``: exit statuses that are no failure here.
    """
    command = [sys.executable, "-m", "edgevision", *map(str, arguments), "--json"]
    print("$ edgevision", *map(str, arguments), file=sys.stderr, flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in allowed:
        sys.exit(done.returncode)
    return json.loads(done.stdout)


def train(checkpoint: Path, *arguments: object, reuse: bool = False) -> dict[str, Any]:
    """``edgevision train ... -o checkpoint``, or with ``reuse`` what an earlier run left there.

    Returns the checkpoint's own record of its training: options, scores, seconds, photos.
    """
    from edgevision.train import load_checkpoint

    if not (reuse and checkpoint.is_file()):
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        edgevision("train", *arguments, "-o", checkpoint)
    return dict(load_checkpoint(checkpoint).training)


def classes_of(label: int | None) -> tuple[int, ...]:
    """``CompilePhoto.classes`` of a photo with one label, or none."""
    return () if label is None else (label,)


def write_list(path: Path, dataset: Dataset) -> Path:
    """A list file of a labelled data set (absolute paths, ids of its labels)."""
    assert dataset.labels is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{p.path.resolve()}, {dataset.labels[p.label].id}" for p in dataset if p.label is not None]
    path.write_text("\n".join(lines) + "\n")
    return path


def write_result(name: str, data: dict[str, Any]) -> Path:
    """``benchmarks/results/NAME.json`` with date, machine, versions and the command that is running.

    Paths are written as seen from the repository, and outside of it (but for ``../shared``) as the last name alone.
    """
    machine = asdict(describe_machine())
    packages = ("edgevision", "numpy", "onnxruntime", "openvino", "torch", "opencv-python-headless")
    result = {
        "command": shlex.join(shorten(word) for word in sys.orig_argv),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": machine,
        "load_average": os.getloadavg(),
        "versions": package_versions(packages),
        **_shortened(data),
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False, default=str) + "\n")
    print(f"wrote {path.relative_to(ROOT)}", file=sys.stderr)
    return path


def shorten(word: str) -> str:
    """A word of a command, without what is this machine's own in the path that it is or, as ``--option=PATH``, holds."""
    option, sign, value = word.rpartition("=") if word.startswith("--") else ("", "", word)
    path = Path(value)
    if path.is_absolute() or ".." in path.parts:
        place = path.parent.resolve() / path.name  # the last link, such as a virtual environment's python, stays
        if place.is_relative_to(ROOT):
            value = str(place.relative_to(ROOT))
        elif place.is_relative_to(SHARED):
            value = str(Path("../shared", place.relative_to(SHARED)))
        else:
            value = place.name
    return f"{option}{sign}{value}"


def _shortened(data: Any) -> Any:
    """``data`` with every path in it shortened."""
    if isinstance(data, dict):
        return {key: _shortened(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_shortened(value) for value in data]
    return shorten(str(data)) if isinstance(data, Path) or (isinstance(data, str) and data.startswith("/")) else data
