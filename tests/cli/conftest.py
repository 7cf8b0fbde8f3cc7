"""The command line run inside this process, and the files it is given. Nothing here needs torch but what says so."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from footprints import opened_here

DATA = Path(__file__).parent.parent / "data"
COLORS = ("red", "green", "blue")  # the labels of color_bundle and color.onnx, in their order


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Strict JSON: NaN and the like are refused."""

        def refuse(constant: str) -> None:
            raise AssertionError(f"{constant} is not JSON")

        return json.loads(self.out, parse_constant=refuse)


def call(*arguments: object) -> Done:
    """``edgevision ARGUMENTS`` in this process."""
    from edgevision.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main([str(a) for a in arguments])
        except SystemExit as leave:  # argparse
            status = leave.code if isinstance(leave.code, int) else 1
    return Done(status, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def edgevision() -> Callable[..., Done]:
    return call


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEVISION_CACHE", str(tmp_path / "cache"))


def color_photo(color: int, seed: int) -> bytes:
    """A PNG, 24×32, coloured patches in which that channel (0 red, 1 green, 2 blue) is the strongest."""
    from edgevision.decode import encode_png

    rng = np.random.default_rng(1000 * color + seed)
    image = np.kron(rng.integers(0, 120, (6, 8, 3)), np.ones((4, 4, 1), int))
    image[..., 2 - color] += rng.integers(60, 130)
    return encode_png(image.astype(np.uint8))


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders red, green, blue with 20 photos each; the path has a space and brackets in it."""
    root = tmp_path_factory.mktemp("photos") / "shop [bold] photos"
    for color, name in enumerate(COLORS):
        (root / name).mkdir(parents=True)
        for seed in range(20):
            (root / name / f"{seed}.png").write_bytes(color_photo(color, seed))
    return root


@pytest.fixture(scope="session")
def onnx_model(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, ...]:
    """color.onnx and the options it needs."""
    folder = tmp_path_factory.mktemp("model")
    spec = {"height": 8, "width": 8, "mean": [0, 0, 0], "std": [255, 255, 255], "fit": "stretch"}
    (folder / "spec.json").write_text(json.dumps(spec))
    (folder / "labels.txt").write_text("\n".join(COLORS) + "\n")
    (folder / "color.onnx").write_bytes((DATA / "color.onnx").read_bytes())
    return (folder / "color.onnx", "--preprocess", folder / "spec.json", "--labels", folder / "labels.txt",
            "--output", "logits")  # fmt: skip


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile with ONNX Runtime alone, and measure memory and load time without a process of its own."""
    from edgevision.compiler.select import measure

    monkeypatch.setattr(measure, "footprint", opened_here)
    monkeypatch.setattr(measure, "available_engines", lambda: {"onnxruntime": "1"})
