"""Photos whose classes are known by construction, and options for runs of seconds."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

COLOURS = {"blue": (200, 60, 40), "green": (40, 200, 60), "red": (60, 40, 200)}  # BGR
UNKNOWN_COLOURS = {"purple": (200, 40, 200), "turquoise": (200, 200, 40)}


def write_photos(
    folder: Path, per_class: int, seed: int, size: tuple[int, int] = (40, 48), colours: dict[str, Any] = COLOURS
) -> Path:
    """``folder/<colour>/<n>.png``: noise around one colour, dimmed at random."""
    import cv2

    random = np.random.default_rng(seed)
    for name, colour in colours.items():
        (folder / name).mkdir(parents=True)
        for number in range(per_class):
            noise = random.normal(0, 15, (*size, 3))
            picture = np.clip(np.array(colour) * random.uniform(0.5, 1.2) + noise, 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / name / f"{number}.png"), picture)
    return folder


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Networks this small are quickest in one thread."""
    if importlib.util.find_spec("torch") is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def colour_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three class folders with eight photos each."""
    return write_photos(tmp_path_factory.mktemp("train-photos") / "photos", 8, seed=1)


@pytest.fixture(scope="session")
def other_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four more photos of each of the same classes."""
    return write_photos(tmp_path_factory.mktemp("val-photos") / "photos", 4, seed=2)


@pytest.fixture(scope="session")
def unknown_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photos of each of two colours that are no class."""
    return write_photos(tmp_path_factory.mktemp("unknown-photos") / "photos", 6, seed=3, colours=UNKNOWN_COLOURS)


@pytest.fixture(scope="session")
def other_unknown_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four more of each of these."""
    return write_photos(tmp_path_factory.mktemp("more-unknown") / "photos", 4, seed=4, colours=UNKNOWN_COLOURS)


@pytest.fixture(scope="session")
def no_augmentation() -> Any:
    """Options that change no photo but for the resize."""
    from edgevision.train.augment import Augmentation

    return Augmentation(
        min_area=1, max_aspect=1, flip=0, rotate=0, brightness=0, contrast=0, saturation=0, white_balance=0, blur=0,
        jpeg=0, erase=0,
    )  # fmt: skip


@pytest.fixture
def tiny(tmp_path: Path, colour_photos: Path) -> Callable[..., Any]:
    """Makes TrainOptions for a very small network at 32 pixels."""
    from edgevision.train import TrainOptions

    def make(**changes: Any) -> TrainOptions:
        values: dict[str, Any] = {
            "data": colour_photos, "output": tmp_path / "model.pt", "arch": "lite0", "size": 32, "scratch": True,
            "arch_options": {"width": 0.25, "depth": 0.3, "features": 32}, "batch": 8, "epochs": 2, "threads": 1,
            "device": "cpu", "ema": 0.8, "sizes": (1.0,), "warmup_epochs": 0.5, "save_every_s": 1e6,
            "mixup": 0.0, "cutmix": 0.0,
        }  # fmt: skip
        return TrainOptions(**{**values, **changes})

    return make
