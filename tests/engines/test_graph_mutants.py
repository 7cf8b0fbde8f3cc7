"""Bundles with sound hashes and hostile graphs: no engine may hang, crash, take much memory, or raise what is not ours."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

pytestmark = pytest.mark.requires("openvino")
WORKER = Path(__file__).parents[1] / "support" / "graph_mutants.py"
PATIENCE_S = 120  # for the first line, which comes with all imports


def run_mutants(template, folder, first, last, limit_s):
    """The rows of the mutants with these seeds, from a process of their own; it is begun anew after one that hangs."""
    rows = []
    while first < last:
        process = subprocess.Popen(
            [sys.executable, str(WORKER), str(template), str(folder), str(first), str(last)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=WORKER.parents[2],
        )  # fmt: skip
        lines = queue.SimpleQueue()
        reader = threading.Thread(
            target=lambda out=process.stdout, to=lines: [*map(to.put, out), to.put("")], daemon=True
        )
        reader.start()
        limit = PATIENCE_S
        while True:
            try:
                line = lines.get(timeout=limit)
            except queue.Empty:
                rows.append({"seed": first, "outcome": "hangs", "ours": False, "s": limit, "mib": 0})
                break
            if not line:
                if process.wait() != 0:
                    rows.append(
                        {"seed": first, "outcome": f"exit {process.returncode}", "ours": False, "s": 0, "mib": 0}
                    )
                break
            rows.append(json.loads(line))
            first, limit = rows[-1]["seed"] + (rows[-1]["engine"] == "openvino"), limit_s
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
        if rows and rows[-1]["outcome"].startswith(("hangs", "exit")):
            first += 1
    return rows


def assert_harmless(rows, limit_s):
    bad = [row for row in rows if not row["ours"] or row["s"] > limit_s or row["mib"] > 1024]
    assert not bad, f"{Counter(row['outcome'] for row in rows)}; {bad[:5]}"


@pytest.fixture
def template(color_bundle):
    return color_bundle(variants=tuple((f"{name}-float", name, "float") for name in ("onnxruntime", "openvino")))


def test_a_few_dozen_mutants(template, tmp_path):
    rows = run_mutants(template, tmp_path, 0, 40, 60)
    assert len(rows) == 80
    assert {row["outcome"] for row in rows} >= {"answers", "EngineError"}
    assert_harmless(rows, 60)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_thousand_mutants(template, tmp_path):
    rows = run_mutants(template, tmp_path, 1000, 3000, 15)
    assert len(rows) == 4000
    assert_harmless(rows, 15)
