"""The demo from end to end, and the checkpoint that comes with it."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from edgevision.demo.products import LISTED
from edgevision.demo.scene import SceneKind, render, sample_scene
from edgevision.errors import InputError, UnprovenWarning


@pytest.mark.requires("torch")
def test_the_checkpoint_is_small_and_knows_the_products():
    import torch

    from edgevision.demo.compiling import CLASSIFIER
    from edgevision.preprocess import Preprocessor
    from edgevision.train.checkpoint import load_checkpoint, model_from_checkpoint

    assert CLASSIFIER.stat().st_size <= 2_000_000
    checkpoint = load_checkpoint(CLASSIFIER)
    assert [label.name for label in checkpoint.labels] == [product.name for product in LISTED]
    for photos in (checkpoint.photos.calibration, checkpoint.photos.validation):
        assert not any(photo.in_training_set for photo in photos)
        counts = np.bincount([photo.label for photo in photos])
        assert len(counts) == len(LISTED)
        assert counts.min() == counts.max() >= 4

    rng = np.random.default_rng(2026)
    inputs = np.empty((100, *checkpoint.preprocess.tensor_shape), np.float32)
    preprocess, truth = Preprocessor(checkpoint.preprocess), []
    for i, room in enumerate(inputs):
        scene = sample_scene(rng, SceneKind.LISTED, product=LISTED[i % len(LISTED)])
        preprocess.run(render(scene), room)
        truth.append(scene.label)
    with torch.inference_mode():
        answers = model_from_checkpoint(checkpoint)(torch.from_numpy(inputs)).argmax(dim=1).numpy()
    assert (answers == truth).mean() >= 0.9


@pytest.mark.requires("torch", "onnx")
def test_the_demo_runs_without_a_terminal(tmp_path):
    import edgevision as ev
    from edgevision.demo.till import run_till

    console = Console(file=io.StringIO(), width=120)
    found = run_till(console, frames=60, seed=1, threads=1, folder=tmp_path)
    text = console.file.getvalue()
    assert "\x1b" not in text
    assert "frame 60 of 60" in text
    for part in ("false accepts", "engine latency", "edgevision predict", found.verdict[:30]):
        assert part in text

    data = json.loads(json.dumps(found.to_dict(), default=str))
    for tally in data["stream"]["int8"], data["stream"]["float"]:
        assert tally["frames"] == 60
        assert tally["listed"]["frames"] == 42
        assert tally["listed"]["top1_percent"] > 80
        assert tally["unlisted"]["frames"] + tally["empty"]["frames"] == 18
    assert data["sizes_bytes"]["int8_graph"] < 0.4 * data["sizes_bytes"]["float_graph"]
    assert "int8" in found.latencies.chosen

    kept = sorted((tmp_path / "frames").glob("*.jpg"))
    assert kept == sorted(found.kept)
    assert kept
    with pytest.warns(UnprovenWarning, match="too few"):  # the pack is small on purpose
        model = ev.load(tmp_path / "model.edge", threads=1)
    with model:
        assert model.predict(kept[0]).best.name in {product.name for product in LISTED}


@pytest.mark.requires("torch", "onnx")
def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    from edgevision.demo.till import run_till

    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot be made .* with -o"):
        run_till(Console(file=io.StringIO()), frames=1, folder=tmp_path / "file" / "demo")
