"""Photos with boxes, and options for runs of seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from boxed_photos import write_boxed


@pytest.fixture(scope="session")
def boxed_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A YOLO folder of 24 photos."""
    return write_boxed(tmp_path_factory.mktemp("train-boxes") / "photos", 24, seed=1)


@pytest.fixture(scope="session")
def other_boxed_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve more."""
    return write_boxed(tmp_path_factory.mktemp("val-boxes") / "photos", 12, seed=2)


@pytest.fixture
def tiny_detector(tmp_path: Path, boxed_photos: Path) -> Callable[..., Any]:
    """Makes DetectTrainOptions for a very small network at 64 pixels."""
    from edgevision.train import DetectTrainOptions

    def make(**changes: Any) -> DetectTrainOptions:
        values: dict[str, Any] = {
            "data": boxed_photos, "output": tmp_path / "det.pt", "size": 64, "scratch": True,
            "arch_options": {"width": 0.25, "depth": 0.3, "neck_channels": 16}, "batch": 8, "epochs": 1, "threads": 1,
            "device": "cpu", "ema": 0.8, "sizes": (1.0,), "warmup_epochs": 0.5, "save_every_s": 1e6, "photos": False,
        }  # fmt: skip
        return DetectTrainOptions(**{**values, **changes})

    return make
