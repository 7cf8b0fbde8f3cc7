"""Photos with rectangles of three colours, whose boxes are known because they were drawn; and options for runs of seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

COLOURS = {"blue": (200, 60, 40), "green": (40, 200, 60), "red": (60, 40, 200)}  # BGR
HEIGHT, WIDTH = 60, 80


def write_boxed(folder: Path, count: int, seed: int) -> Path:
    """``folder/images/<n>.png`` and ``folder/labels/<n>.txt`` as YOLO has them, and ``folder/data.yaml``: one to three
    rectangles on noise, which may overlap a little."""
    import cv2

    random = np.random.default_rng(seed)
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for number in range(count):
        picture = random.integers(0, 40, (HEIGHT, WIDTH, 3)).astype(np.uint8)
        rows = []
        for label in random.permutation(3)[: random.integers(1, 4)].tolist():
            w, h = (int(random.integers(16, 34)) for _ in range(2))
            x, y = int(random.integers(WIDTH - w + 1)), int(random.integers(HEIGHT - h + 1))
            picture[y : y + h, x : x + w] = list(COLOURS.values())[label]
            rows.append(f"{label} {(x + w / 2) / WIDTH} {(y + h / 2) / HEIGHT} {w / WIDTH} {h / HEIGHT}")
        cv2.imwrite(str(folder / "images" / f"{number}.png"), picture)
        (folder / "labels" / f"{number}.txt").write_text("\n".join(rows))
    (folder / "data.yaml").write_text(f"path: .\ntrain: images\nval: images\nnames: {list(COLOURS)}\n")
    return folder


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
