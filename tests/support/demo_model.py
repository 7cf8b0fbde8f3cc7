"""The demo's classifier as a bundle: compiled once for all processes of a run of pytest that ask for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def demo_model(factory: pytest.TempPathFactory) -> Path:
    """The bundle; not to be changed. It needs torch and onnx."""
    from filelock import FileLock  # PyTorch brings it

    from edgevision.compiler import CompileOptions, Precision, compile_model
    from edgevision.demo.compiling import CLASSIFIER

    folder = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # whose base is a folder in that of the run
        folder = folder.parent
    path = folder / "demo-model.edge"
    with FileLock(path.with_suffix(".lock")):
        if not path.is_file():  # a bundle is written whole or not at all
            compile_model(CLASSIFIER, path, CompileOptions(precision=Precision.INT8, threads=1, rounds=3))
    return path
