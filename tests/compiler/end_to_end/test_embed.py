"""A whole compile of an embedder: proven by recall@1 like a classifier by its answers."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from footprints import opened_here
from known_networks import COLORS, SPEC, photo

import edgevision as ev
from edgevision.errors import BudgetError, DataError, DeviceWarning, InputError, UnprovenWarning

pytestmark = pytest.mark.requires("torch", "onnx")

DIMENSION = 24


@pytest.fixture(scope="module")
def embedder(nets, tmp_path_factory):
    """Colours, mixed into 24 numbers, as TorchScript that says nothing of itself; and one that gives all photos nearly one vector."""
    import torch
    from torch import nn

    from edgevision.compiler.sources.quiet import quiet

    folder, mix = tmp_path_factory.mktemp("embedders"), nn.Linear(3, DIMENSION)
    with torch.no_grad():
        mix.weight.copy_(torch.from_numpy(np.random.default_rng(0).normal(size=(DIMENSION, 3)).astype(np.float32)))
        mix.bias.zero_()
    made = {"sound": mix, "narrow": nn.Linear(3, DIMENSION)}
    with torch.no_grad():
        made["narrow"].weight.copy_(mix.weight)
        made["narrow"].bias.fill_(500.0)
    for name, last in made.items():
        network = nn.Sequential(*list(nets.net())[:-1], last).eval()
        with quiet():
            torch.jit.save(torch.jit.trace(network, torch.zeros(2, 3, SPEC.height, SPEC.width)), folder / f"{name}.pt")
    return folder


def options(files, photos, **more):
    from edgevision.compiler.options import CompileOptions, Precision

    own = {"task": "embed", "data": photos, "preprocess": str(files["spec.json"]), "rounds": 3, "threads": 1,
           "precision": Precision.INT8, "max_drop": 5.0}  # fmt: skip
    return CompileOptions(**{**own, **more})


@pytest.fixture(scope="module")
def compiled(embedder, files, photos, tmp_path_factory):
    from edgevision.compiler.pipeline import compile_model
    from edgevision.compiler.select import measure

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "footprint", opened_here)
        return compile_model(
            embedder / "sound.pt", tmp_path_factory.mktemp("bundle") / "net.edge", options(files, photos)
        )


def loaded(path, **more):
    with warnings.catch_warnings():
        for kind in (UnprovenWarning, DeviceWarning):
            warnings.simplefilter("ignore", kind)
        return ev.load(path, **more)


def test_the_verdict_is_recall_among_the_validation_photos(compiled):
    v = compiled.verdict
    assert (v.metric, v.unit, v.n) == ("recall@1", "points of recall@1", 45)
    assert v.passed
    assert v.reference > 90
    assert v.interval[0] <= v.drop <= v.interval[1]
    assert (v.calibration_error, v.reference_calibration_error) == (None, None)
    assert compiled.variants[0].measurement.is_int8
    assert compiled.manifest.task.kind == "embed"
    assert compiled.manifest.task.parameters == {}
    assert compiled.manifest.labels == ()


def test_the_report_shows_products_and_galleries(compiled):
    products, across = compiled.report.task_sections
    assert (products.title, across.title) == ("Products", "Galleries across variants")
    assert {group["name"] for group in compiled.report.groups[compiled.manifest.chosen]} == set(COLORS)
    assert compiled.report.table()[0][1] == "recall@1"


def test_every_variant_gives_nearly_the_same_vectors(compiled):
    from edgevision.decode import read_image

    pictures = [read_image(photo(color, 999)) for color in range(3)]
    vectors = {}
    for variant in compiled.manifest.variants:
        with loaded(compiled.path, variant=variant.id) as model:
            vectors[variant.id] = np.stack([one.vector for one in model.predict(pictures)])
            assert model.threshold is None
    first = next(iter(vectors.values()))
    assert first.shape == (3, DIMENSION)
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, atol=1e-6)
    for other in vectors.values():
        assert (first * other).sum(axis=1).min() > 0.99


def test_no_threshold_is_taken(compiled):
    with pytest.raises(InputError, match="threshold"):
        loaded(compiled.path, threshold=0.5)


def test_without_labels_the_verdict_is_agreement(embedder, files, tmp_path, quick):
    from edgevision.compiler.pipeline import compile_model

    (tmp_path / "photos").mkdir()
    for color in range(3):
        for seed in range(20):
            (tmp_path / "photos" / f"{color}-{seed}.png").write_bytes(photo(color, seed))
    given = options(files, tmp_path / "photos", max_drop=30.0)
    result = compile_model(embedder / "sound.pt", tmp_path / "net.edge", given)
    assert (result.verdict.metric, result.verdict.reference) == ("agreement", 100.0)
    assert result.verdict.value > 70


def test_one_photo_of_each_product_proves_nothing(embedder, files, photos, tmp_path):
    from edgevision.compiler.pipeline import compile_model

    for color, name in enumerate(COLORS):
        (tmp_path / "val" / name).mkdir(parents=True)
        (tmp_path / "val" / name / "1.png").write_bytes(photo(color, 500))
    with pytest.raises(DataError, match="no product has two in the validation photos: 3 photos of 3 products"):
        compile_model(embedder / "sound.pt", tmp_path / "net.edge", options(files, photos, val=tmp_path / "val"))
    assert not (tmp_path / "net.edge").exists()


def test_vectors_that_tell_nothing_are_refused_before_the_work(embedder, files, photos, tmp_path):
    from edgevision.compiler.pipeline import compile_model

    with pytest.raises(InputError, match="nearly the same"):
        compile_model(embedder / "narrow.pt", tmp_path / "net.edge", options(files, photos))


def test_a_classifier_without_its_head_keeps_its_photos(files, photos, tmp_path, quick):
    """Our checkpoint: photos that travel along have places in its labels as truths."""
    import torch

    from edgevision.compiler.options import CompileOptions, Precision
    from edgevision.compiler.pipeline import compile_model
    from edgevision.tasks.classify import classify_spec
    from edgevision.tasks.results import Label
    from edgevision.train import backbones
    from edgevision.train.checkpoint import Checkpoint, PackedPhoto, PhotoPack, save_checkpoint

    small = {"width": 0.2, "depth": 0.1, "features": 32}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = backbones.build("lite0", 3, **small).eval()
    halves = [
        tuple(PackedPhoto(photo(color, seed), color, False) for color in range(3) for seed in range(start, start + 20))
        for start in (0, 100)
    ]
    labels = [Label(10 * i, name) for i, name in enumerate(COLORS)]
    path = tmp_path / "shop.pt"
    save_checkpoint(
        path, Checkpoint("lite0", network.state_dict(), SPEC, classify_spec(labels), small, PhotoPack(*halves))
    )
    given = CompileOptions(
        precision=Precision.INT8, task="embed", rounds=3, threads=1, max_drop=100, max_class_drop=100, force=True
    )
    try:
        result = compile_model(path, tmp_path / "net.edge", given)
    except BudgetError as error:  # random weights may be no good; what is asked is that photos are read
        pytest.fail(str(error))
    assert (result.verdict.metric, result.verdict.n) == ("recall@1", 60)
    assert {group["name"] for group in result.report.groups[result.manifest.chosen]} == set(COLORS)
    assert any("last layer of shop.pt" in note for note in result.report.notes)
    assert result.manifest.labels == tuple(labels)
