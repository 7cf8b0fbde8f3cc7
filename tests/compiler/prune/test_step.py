"""`compile --prune` and `--target-latency`, the whole way on a small network of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from footprints import opened_here

from edgevision.errors import BudgetError, InputError
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.classify import classify_spec
from edgevision.tasks.results import Label

pytestmark = pytest.mark.requires("torch", "onnx", "torch-pruning")

SPEC = PreprocessSpec(32, 32, mean=(127.0,) * 3, std=(128.0,) * 3)
LABELS = (Label(0, "red"), Label(1, "green"), Label(2, "blue"))
ARCH = {"width": 0.35, "depth": 0.2, "features": 64}


def photo(seed: int) -> bytes:
    from edgevision.decode import encode_png

    rng = np.random.default_rng(seed)
    image = np.kron(rng.integers(0, 120, (6, 8, 3)), np.ones((6, 6, 1), int))
    image[..., 2 - seed % 3] += rng.integers(60, 130)
    return encode_png(image.astype(np.uint8))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    from edgevision.train.backbones import build
    from edgevision.train.checkpoint import Checkpoint, PackedPhoto, PhotoPack, save_checkpoint

    def packed(seeds: range) -> tuple[PackedPhoto, ...]:
        return tuple(PackedPhoto(photo(s), s % 3, False) for s in seeds)

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("pruned") / "net.pt"
    state = build("lite0", 3, **ARCH).state_dict()
    pack = PhotoPack(packed(range(100, 136)), packed(range(200, 212)))
    save_checkpoint(path, Checkpoint("lite0", state, SPEC, classify_spec(LABELS), ARCH, photos=pack))
    return path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime alone, and no process of its own for memory and load time."""
    from edgevision.compiler.select import measure

    monkeypatch.setattr(measure, "footprint", opened_here)
    monkeypatch.setattr(measure, "available_engines", lambda: {"onnxruntime": "1"})


def options(**more: Any) -> Any:
    from edgevision.compiler.options import CompileOptions, Precision

    return CompileOptions(Precision.INT8, rounds=3, threads=1, max_drop=100, max_class_drop=100, **more)


def test_a_pruned_network_is_compared_with_the_whole_one_and_saved(
    checkpoint: Path, quick: None, tmp_path: Path
) -> None:
    import edgevision as ev
    from edgevision.compiler.pipeline import compile_model
    from edgevision.train.checkpoint import load_checkpoint, model_from_checkpoint

    saved, target = tmp_path / "small.pt", tmp_path / "net.edge"
    result = compile_model(checkpoint, target, options(prune=0.3, prune_minutes=0.01, save_pruned=saved))
    pruning = result.report.pruning
    assert pruning is not None
    assert 0.15 < pruning["tuned"]["reached"] <= 0.35
    assert pruning["tuned"]["parameters"] < 0.9 * pruning["original"]["parameters"]
    assert {variant.id for variant in result.variants} >= {
        "onnxruntime-original",
        "onnxruntime-float",
        "onnxruntime-int8",
    }
    assert all(variant.id != "onnxruntime-original" for variant in result.manifest.variants)
    assert any("pruning took" in note for note in result.report.notes)
    with ev.load(target) as model:
        model.predict(photo(1))

    small = load_checkpoint(saved)
    assert small.photos is not None
    assert all(p.in_training_set for p in small.photos.calibration)  # it was fine-tuned on them
    assert not any(p.in_training_set for p in small.photos.validation)
    assert small.channels is not None
    network = model_from_checkpoint(small)
    assert sum(p.numel() for p in network.parameters()) == pruning["tuned"]["parameters"]
    again = compile_model(saved, tmp_path / "again.edge", options())  # it compiles like any checkpoint
    assert again.report.pruning is None


def test_a_latency_that_nothing_reaches_writes_nothing(checkpoint: Path, quick: None, tmp_path: Path) -> None:
    from edgevision.compiler.pipeline import compile_model

    target = tmp_path / "net.edge"
    with pytest.raises(BudgetError, match=r"no pruning ratio reaches 1e-05 ms.*quickest measured"):
        compile_model(checkpoint, target, options(target_latency_ms=1e-5))
    assert not target.exists()


@pytest.mark.parametrize("place", ["source", "bundle"])
def test_the_pruned_checkpoint_replaces_nothing(place: str, checkpoint: Path, quick: None, tmp_path: Path) -> None:
    from edgevision.compiler.pipeline import compile_model

    own, target = tmp_path / "own.pt", tmp_path / "net.edge"
    own.write_bytes(checkpoint.read_bytes())
    saved = {"source": own, "bundle": target}[place]
    with pytest.raises(InputError, match="name another with --save-pruned"):
        compile_model(own, target, options(prune=0.3, prune_minutes=0, save_pruned=saved))
    assert own.read_bytes() == checkpoint.read_bytes()
    assert not target.exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"prune": 1.5}, "--prune is a share"),
        ({"prune": 0.2, "target_latency_ms": 3.0}, "give one of them"),
        ({"target_latency_ms": 0.0}, "above 0 ms"),
        ({"target_latency_ms": float("inf")}, "above 0 ms"),
        ({"prune": 0.2, "prune_minutes": float("inf")}, "--prune-minutes"),
        ({"save_pruned": Path("x.pt")}, "--save-pruned needs"),
    ],
)
def test_what_contradicts_itself(more: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        options(**more)
