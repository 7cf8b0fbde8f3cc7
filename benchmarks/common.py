"""What the benchmarks share: running the command line, list files, and writing results with their machine and date."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edgevision.evaluate.dataset import Dataset
from edgevision.machine import describe_machine, package_versions

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
RUNS = ROOT / "runs"
GROCERY = Path(os.environ.get("GROCERY", ROOT.parent / "shared" / "data" / "grocery"))


def edgevision(*arguments: object) -> Any:
    """Run an ``edgevision`` command with ``--json`` and return its object. Leaves when it fails, as it failed."""
    command = [sys.executable, "-m", "edgevision", *map(str, arguments), "--json"]
    print("$ edgevision", *map(str, arguments), file=sys.stderr, flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return json.loads(done.stdout)


def write_list(path: Path, dataset: Dataset) -> Path:
    """A list file of a labelled data set (absolute paths, ids of its labels)."""
    assert dataset.labels is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{p.path.resolve()}, {dataset.labels[p.label].id}" for p in dataset if p.label is not None]
    path.write_text("\n".join(lines) + "\n")
    return path


def write_result(name: str, data: dict[str, Any], command: str) -> Path:
    """``benchmarks/results/NAME.json`` with date, machine, versions and the command that makes it again."""
    machine = asdict(describe_machine())
    packages = ("edgevision", "numpy", "onnxruntime", "openvino", "torch", "opencv-python-headless")
    result = {
        "command": command,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": machine,
        "load_average": os.getloadavg(),
        "versions": package_versions(packages),
        **data,
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False, default=str) + "\n")
    print(f"wrote {path.relative_to(ROOT)}", file=sys.stderr)
    return path
