"""A program frozen by PyInstaller: the hook that the package ships brings all that a model needs, and nothing that makes models."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from colors import plain
from house import PACKAGE, ROOT

PROGRAM = """
import asyncio
import sys

import edgevision as ev

for engine in sys.argv[3:]:
    with ev.load(sys.argv[1], engine=engine) as model:
        awaited = asyncio.run(model.predict_async(sys.argv[2], deadline_s=60))
        print(model.variant.engine, model.predict(sys.argv[2]).best.name, awaited.best.name, ev.__version__)
"""

# What this environment has and a kiosk's has not: engines name some of it, and PyInstaller would follow.
NOT_OF_A_KIOSK = (
    "torch",
    "torchvision",
    "onnx",
    "onnxscript",
    "scipy",
    "matplotlib",
    "pandas",
    "PIL",
    "sympy",
    "tkinter",
    "PySide6",
    "pytest",
)

ENGINES = [
    pytest.param(["onnxruntime"], id="onnxruntime"),
    pytest.param(["onnxruntime", "openvino"], id="both", marks=pytest.mark.requires("openvino")),
]


def test_pyinstaller_is_told_where_the_hook_lies():
    from edgevision.__pyinstaller import get_hook_dirs

    (folder,) = get_hook_dirs()
    assert (Path(folder) / "hook-edgevision.py").is_file()
    assert 'hook-dirs = "edgevision.__pyinstaller:get_hook_dirs"' in (ROOT / "pyproject.toml").read_text("utf-8")


def installed(site: Path) -> Path:
    """A folder with the package and what is compiled of it, which an editable install keeps elsewhere."""
    import edgevision._native as native

    for part in (PACKAGE, Path(native.__file__).parent):
        shutil.copytree(part, site / "edgevision", ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    return site


@pytest.mark.slow
@pytest.mark.requires("pyinstaller")
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("engines", ENGINES)
def test_a_frozen_program_recognises(color_bundle, tmp_path, engines):
    import edgevision

    program, photo = tmp_path / "kiosk.py", tmp_path / "red.png"
    program.write_text(PROGRAM, "utf-8")
    cv2.imwrite(str(photo), plain((255, 0, 0)))
    bundle = color_bundle(variants=[(f"{engine}-float", engine, "float") for engine in engines])
    environment = {**os.environ, "PYTHONPATH": str(installed(tmp_path / "site"))}
    command = [
        sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level", "ERROR", "--distpath", "dist",
        "--additional-hooks-dir", str(tmp_path / "site/edgevision/__pyinstaller"), *(f"--exclude-module={name}" for name in NOT_OF_A_KIOSK), str(program),
    ]  # fmt: skip
    subprocess.run(command, check=True, cwd=tmp_path, env=environment)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    # Nothing of this environment: neither Python's variables nor its folders.
    alone = {"PATH": "/usr/bin:/bin", "HOME": str(elsewhere), "EDGEVISION_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [str(tmp_path / "dist" / "kiosk" / "kiosk"), str(bundle), str(photo), *engines], capture_output=True, text=True,
        check=False, cwd=elsewhere, env=alone, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{engine} red red {edgevision.__version__}" for engine in engines]
    modules = set(
        re.findall(r"\('(edgevision[\w.]*)'", (tmp_path / "build" / "kiosk" / "PYZ-00.toc").read_text("utf-8"))
    )
    assert {
        "edgevision.tasks.registry",
        "edgevision.engines.onnxruntime",
        "edgevision.kiosk.station.station",
    } <= modules
    # Nothing that makes or measures models; of evaluation, only what reads lists and folders, and overlaps of boxes.
    makers = re.compile(
        r"edgevision\.((bench|cli|compiler|demo|train)\b|evaluate\.(?!data\b|statistics(\.average_precision)?$))"
    )
    assert not {name for name in modules if makers.match(name)}
