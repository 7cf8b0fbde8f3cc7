"""EDGEVISION_REQUIRE: what a machine lacks is skipped and listed, and fails where it is required."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HIDE = "import sys\nsys.modules['onnx'] = None  # as if it were not installed\n"
MODULE = "import onnx\nimport pytest\npytestmark = pytest.mark.requires('onnx')\ndef test_whole(): pass\n"
SINGLE = "import pytest\n@pytest.mark.requires('onnx')\ndef test_one():\n    import onnx\ndef test_other(): pass\n"
SETTINGS = "[pytest]\naddopts = -ra --strict-markers --import-mode=importlib\nmarkers =\n    requires\n    slow\n"


@pytest.fixture
def run(tmp_path):
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    for name, text in {"hide.py": HIDE, "test_m.py": MODULE, "test_s.py": SINGLE, "pytest.ini": SETTINGS}.items():
        (tmp_path / name).write_text(text)

    def pytest_run(require: str, *arguments: str) -> tuple[int, str]:
        environment = {**os.environ, "EDGEVISION_REQUIRE": require, "PYTHONPATH": "."}
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    return pytest_run


@pytest.mark.parametrize("require", ["", "git"])
def test_what_is_missing_is_skipped_and_listed(run, require):
    status, output = run(require, "-p", "hide")
    assert status == 0
    assert "1 passed, 2 skipped" in output
    assert output.count("needs onnx") == 2


def test_what_is_missing_fails_where_it_is_required(run):
    status, output = run("git,onnx", "-p", "hide", "--continue-on-collection-errors")
    assert status == 1
    assert "1 failed, 1 passed, 1 error" in output
    assert output.count("ModuleNotFoundError") >= 2


@pytest.mark.requires("onnx")
def test_what_is_there_runs(run):
    status, output = run("onnx")
    assert status == 0
    assert "3 passed" in output


def test_a_name_that_is_not_known_is_refused(run):
    status, output = run("onnx,onnyx")
    assert status == pytest.ExitCode.USAGE_ERROR
    assert "EDGEVISION_REQUIRE names ['onnyx']" in output
