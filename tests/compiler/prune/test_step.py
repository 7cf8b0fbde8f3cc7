"""`compile --prune` and `--target-latency`: the whole way on a small network of ours, and what is decided on that way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
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


# ---- what is decided on the way ----


def labelled(learnt: int, new: int, unlabelled: int = 0) -> tuple[Any, ...]:
    """Photos with labels that were in the training set and that were not, and photos without labels."""
    from edgevision.compiler.data.photos import CompilePhoto

    kinds = [(0, True)] * learnt + [(1, False)] * new + [(None, True)] * unlabelled
    return tuple(
        CompilePhoto(photo(place), truth, f"{place:03d}", in_training_set=seen)
        for place, (truth, seen) in enumerate(kinds)
    )


@pytest.mark.parametrize(
    ("learnt", "new", "unlabelled", "tuned_on"),
    [
        (3, 2, 0, 3),  # most were learnt already: the others are left to the thresholds
        (2, 2, 0, 4),  # half are not most
        (1, 3, 0, 4),
        (3, 0, 0, 3),
        (0, 3, 9, 3),
        (2, 3, 9, 5),  # photos without a label do not count, though the training had them
        (0, 0, 9, 0),
    ],
)
def test_the_network_is_tuned_on_what_it_was_trained_on_where_that_is_most(
    learnt: int, new: int, unlabelled: int, tuned_on: int
) -> None:
    from edgevision.compiler.prune.step import _to_tune_on

    chosen = _to_tune_on(labelled(learnt, new, unlabelled))
    assert len(chosen) == tuned_on
    assert all(one.truth is not None for one in chosen)
    assert sum(one.in_training_set for one in chosen) == learnt


def model_of(**changed: Any) -> Any:
    import torch

    from edgevision.compiler.sources.source import SourceKind, SourceModel

    model = SourceModel(
        SourceKind.CHECKPOINT, SPEC, classify_spec(LABELS), {"name": "net.pt"}, module=torch.nn.Identity()
    )
    return replace(model, **changed)


@pytest.mark.parametrize(("steps", "each"), [(1, 3.0), (2, 1.5), (4, 0.75)])
def test_all_steps_together_are_tuned_for_the_minutes_asked_for(
    steps: int, each: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgevision.compiler.prune import step

    given: list[Any] = []

    def fine_tune(network: Any, teacher: Any, data: Any, spec: Any, options: Any, progress: Any) -> Any:
        given.append((network, teacher, data.truth.tolist(), options.minutes, options.seed))
        progress(3, 7, None)
        return SimpleNamespace(network="tuned")

    monkeypatch.setattr(step, "fine_tune", fine_tune)
    told: list[Any] = []
    model = model_of()
    tune = step._tune(
        model, labelled(2, 2), options(prune=0.3, prune_minutes=3.0, seed=5), lambda *given: told.append(given)
    )
    assert tune is not None
    assert tune("cut", 0, steps) == "tuned"  # type: ignore[arg-type]
    assert given == [("cut", model.module, [0, 0, 1, 1], each, 5)]
    assert told == [("fine-tune", 3, 7)]


@pytest.mark.parametrize(
    ("photos", "minutes", "changed"),
    [
        (labelled(0, 0, 5), 3.0, {}),  # nothing to learn from
        (labelled(2, 2), 0.0, {}),  # no time
        (labelled(2, 2), 3.0, {"module": None}),  # no teacher
    ],
)
def test_without_labels_time_or_teacher_nothing_is_tuned(photos: Any, minutes: float, changed: dict[str, Any]) -> None:
    from edgevision.compiler.progress import silent
    from edgevision.compiler.prune.step import _tune

    assert _tune(model_of(**changed), photos, options(prune=0.3, prune_minutes=minutes), silent) is None


@pytest.mark.parametrize("changed", [{"module": None}, {"layout": "probabilities"}])
def test_only_layers_of_pytorch_that_give_logits_are_pruned(changed: dict[str, Any]) -> None:
    from edgevision.compiler.progress import silent
    from edgevision.compiler.prune.step import prune_source

    model = model_of(module=None) if "module" in changed else model_of(task=classify_spec(LABELS, **changed))
    with pytest.raises(InputError, match=r"net\.pt cannot be pruned: --prune needs a network of PyTorch layers"):
        prune_source(model, labelled(2, 2), options(prune=0.3), (), 1, 1, silent)


def test_only_a_checkpoint_says_how_the_pruned_network_is_built() -> None:
    from edgevision.compiler.prune.step import check_can_save
    from edgevision.compiler.sources.source import SourceKind

    check_can_save(model_of())
    for kind in set(SourceKind) - {SourceKind.CHECKPOINT}:
        with pytest.raises(InputError, match=f"net.pt is a file of kind '{kind.value}'"):
            check_can_save(model_of(kind=kind))


def pruned_by(tuned: bool) -> Any:
    """Half of the parameters, a quarter of the multiply-adds; after tuning, nearer to the original."""
    from edgevision.compiler.prune.pruner import PruneResult, PruneTrial
    from edgevision.compiler.prune.step import Pruned

    chosen = PruneTrial(0.3, 0.28, "taylor", "macs", 500, 250, 2.0, 0.8, 0.5, None)
    original = {"parameters": 1000, "macs": 1000, "accuracy": None}
    better = replace(chosen, reached=0.31, divergence=0.123) if tuned else None
    result = PruneResult(model_of().module, {}, chosen, (chosen,), original, better)
    return Pruned(model_of(), result, None, frozenset({"001"}) if tuned else frozenset())


@pytest.mark.parametrize(
    ("tuned", "share", "end"),
    [
        (False, "28 %", "0.800 nats"),
        (True, "31 %", "0.800 nats, 0.123 after fine-tuning (some of the photos compared were also used for it)"),
    ],
)
def test_the_note_says_what_is_left_and_how_far_it_is_from_the_original(tuned: bool, share: str, end: str) -> None:
    note = pruned_by(tuned).note()
    assert note.startswith(
        f"pruned: {share} of the channels by taylor, 50% of the parameters and 25% of the multiply-adds"
    )
    assert note.endswith(f"divergence from the original {end}")


def test_a_network_that_is_quick_enough_is_said_to_be_as_it_was() -> None:
    pruned = pruned_by(tuned=False)
    result = replace(pruned.result, chosen=replace(pruned.result.chosen, ratio=0.0, reached=0.0))
    assert replace(pruned, result=result).note() == "not pruned: the network is as quick as was asked for as it is"


def test_the_loss_is_split_into_pruning_and_quantizing_where_all_three_are_known() -> None:
    pruned = pruned_by(tuned=False)
    first, split = pruned.notes(90.0, 87.0, 85.5)
    assert first == pruned.note()
    assert "of the +4.50 points lost" in split
    assert "pruning took +3.00 and quantizing +1.50" in split
    for missing in range(3):
        values: list[float | None] = [90.0, 87.0, 85.5]
        values[missing] = None
        assert pruned.notes(*values) == (pruned.note(),)


def test_photos_that_were_learnt_from_prove_nothing_any_more() -> None:
    given = labelled(0, 3)
    assert [one.in_training_set for one in pruned_by(tuned=True).marked(given)] == [False, True, False]
    assert pruned_by(tuned=False).marked(given) == given
