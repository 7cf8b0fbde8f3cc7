"""A bundle of the demo's checkpoint, compiled once for all examples, and a way to run them as a reader would."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from demo_model import demo_model

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="session")
def demo_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo_model(tmp_path_factory)


@pytest.fixture
def run_example(tmp_path) -> Callable[..., str]:
    """A function that runs an example in a process of its own, in an empty folder; gives back what it printed."""

    def run(name: str, *arguments: object) -> str:
        environment = {
            **os.environ,
            "EDGEVISION_CACHE": str(tmp_path / "cache"),
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
        }
        command = [sys.executable, str(EXAMPLES / name / "main.py"), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
