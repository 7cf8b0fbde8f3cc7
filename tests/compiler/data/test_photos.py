"""Which photos calibrate and which validate: every row of the table "Photos" in docs/compile.md."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from edgevision.compiler.data.photos import (
    MIN_CALIBRATION,
    CompilePhoto,
    gather,
    in_turns,
    measurable_truths,
    prepared,
    stratified_sample,
    truths_of,
    unpack,
)
from edgevision.compiler.options import CompileOptions, Precision
from edgevision.decode import encode_png
from edgevision.errors import BadPhotosError, DataError
from edgevision.evaluate.data.boxes import Box, PhotoBoxes
from edgevision.evaluate.data.photo_check import OnBadPhoto
from edgevision.evaluate.tasks.classify import ClassifyEvaluator
from edgevision.evaluate.tasks.detect import DetectEvaluator
from edgevision.evaluate.tasks.embed import EmbedEvaluator
from edgevision.evaluate.tasks.embed_truth import ShownProduct
from edgevision.preprocess import PreprocessSpec
from edgevision.tasks.classify import classify_spec
from edgevision.tasks.detect.task import detect_spec
from edgevision.tasks.embed import embed_spec
from edgevision.tasks.results import Label

pytestmark = pytest.mark.requires("torch")  # the room imports checkpoints

LABELS = (Label(0, "ale"), Label(1, "bun"))
EVALUATOR = ClassifyEvaluator(classify_spec(LABELS))


def picture(seed: int) -> bytes:
    return encode_png(np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8))


def folder(root: Path, name: str, seeds: range, names: tuple[str, ...] = ("ale", "bun")) -> Path:
    """A folder of class folders with a picture for each seed, the classes in turns."""
    for seed in seeds:
        path = root / name / names[seed % len(names)] / f"{seed}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(seed))
    return root / name


@pytest.fixture
def a(tmp_path):
    return folder(tmp_path, "a", range(40))


@pytest.fixture
def b(tmp_path):
    return folder(tmp_path, "b", range(100, 120))


@pytest.fixture
def pack():
    from edgevision.train.checkpoint import PackedPhoto, PhotoPack

    calibration = tuple(PackedPhoto(picture(seed), seed % 2, True) for seed in range(200, 220))
    validation = tuple(PackedPhoto(picture(seed), seed % 2, False) for seed in range(300, 310))
    return PhotoPack(calibration, validation)


def contents(photos: tuple[CompilePhoto, ...]) -> set[bytes]:
    return {p.source if isinstance(p.source, bytes) else p.source.read_bytes() for p in photos}


def pictures(*seeds: int) -> set[bytes]:
    return {picture(seed) for seed in seeds}


def test_nothing_given_uses_what_the_checkpoint_carries(pack):
    splits = gather(CompileOptions(), EVALUATOR, pack)
    assert contents(splits.calibration) == pictures(*range(200, 220))
    assert contents(splits.validation) == pictures(*range(300, 310))
    assert [p.truth for p in splits.validation] == [p.label for p in pack.validation]
    assert "carries" in splits.origin
    assert not splits.notes


def test_a_pack_that_validates_with_training_photos_says_so(pack):
    from dataclasses import replace

    seen = replace(pack, validation=tuple(replace(p, in_training_set=True) for p in pack.validation))
    assert any("trained on" in note and "--val" in note for note in gather(CompileOptions(), EVALUATOR, seen).notes)


def test_photos_that_the_model_was_trained_on_are_known_by_their_content(a, b, pack):
    """``trained_on`` holds the first digits of their hashes, whatever their names are."""
    import hashlib

    digits = {seed: hashlib.sha256(picture(seed)).hexdigest()[:32] for seed in (3, 5, 101)}
    splits = gather(CompileOptions(data=a, val=b), EVALUATOR, pack, frozenset(digits.values()))
    assert contents(tuple(p for p in splits.calibration if p.in_training_set)) == pictures(3, 5)
    assert contents(tuple(p for p in splits.validation if p.in_training_set)) == pictures(101)
    assert {p.in_training_set for p in splits.calibration} == {True, False}
    assert any(note.startswith("1 of 20 validation photos were trained on") for note in splits.notes)
    assert splits.describe()["calibration"]["trained_on"] == 2
    unknown = gather(CompileOptions(data=a, val=b), EVALUATOR, pack)
    assert {p.in_training_set for p in (*unknown.calibration, *unknown.validation)} == {None}


def test_a_packed_photo_is_the_file_that_it_was_made_of(tmp_path, pack):
    """It is smaller than the original, and yet the original may not validate what it calibrated."""
    import hashlib
    from dataclasses import replace

    originals = folder(tmp_path, "originals", range(20))
    made = tuple(
        replace(p, source_sha256=hashlib.sha256(picture(i)).hexdigest()) for i, p in enumerate(pack.calibration[:18])
    )
    splits = gather(CompileOptions(val=originals), EVALUATOR, replace(pack, calibration=made))
    assert contents(splits.validation) == pictures(18, 19)
    assert any(note.startswith("18 validation photos are calibration photos too") for note in splits.notes)


def test_each_content_counts_once(a, tmp_path):
    for copy in range(3):
        (a / "ale" / f"copy {copy}.png").write_bytes(picture(0))
    splits = gather(CompileOptions(data=a), EVALUATOR, None)
    assert len(splits.calibration) + len(splits.validation) == 40
    assert next(note for note in splits.notes if "copies" in note).startswith("3 ")


def test_a_photo_with_two_labels_is_left_out(a):
    (a / "bun" / "copy.png").write_bytes(picture(0))  # ale, elsewhere
    splits = gather(CompileOptions(data=a), EVALUATOR, None)
    assert contents(splits.calibration) | contents(splits.validation) == pictures(*range(1, 40))
    assert any(note.startswith("2 ") and "several labels" in note for note in splits.notes)


def test_described_sets_have_the_digest_of_data_sets(a, b):
    from edgevision.evaluate.data.dataset import read_dataset

    described = gather(CompileOptions(data=a, val=b), EVALUATOR, None).describe()
    assert described["calibration"]["sha256"] == read_dataset(a).digest
    assert described["validation"]["sha256"] == read_dataset(b).digest


@pytest.mark.parametrize("with_pack", [True, False])
def test_data_alone_is_halved(a, pack, with_pack):
    splits = gather(CompileOptions(data=a), EVALUATOR, pack if with_pack else None)
    assert len(splits.calibration) == len(splits.validation) == 20
    assert contents(splits.calibration) | contents(splits.validation) == pictures(*range(40))
    assert not contents(splits.calibration) & contents(splits.validation)
    assert Counter(p.truth for p in splits.validation) == {0: 10, 1: 10}


def test_the_halves_depend_on_content_alone(a, tmp_path):
    renamed = tmp_path / "renamed"
    for path in a.rglob("*.png"):
        copy = renamed / path.parent.name / f"{1000 - int(path.stem)}.png"
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    one, other = (gather(CompileOptions(data=source), EVALUATOR, None) for source in (a, renamed))
    assert contents(one.calibration) == contents(other.calibration)
    described, again = one.describe(), other.describe()
    assert described["calibration"] == again["calibration"]
    assert described["validation"] == again["validation"]


def test_data_and_val(a, b, pack):
    splits = gather(CompileOptions(data=a, val=b), EVALUATOR, pack)
    assert contents(splits.calibration) == pictures(*range(40))
    assert contents(splits.validation) == pictures(*range(100, 120))


def test_val_alone_with_our_checkpoint(b, pack):
    splits = gather(CompileOptions(val=b), EVALUATOR, pack)
    assert contents(splits.calibration) == pictures(*range(200, 220))
    assert contents(splits.validation) == pictures(*range(100, 120))


def test_calibration_photos_never_validate(a, tmp_path):
    mixed = folder(tmp_path, "mixed", range(30, 50))  # 30…39 are in a too, under other names
    splits = gather(CompileOptions(data=a, val=mixed), EVALUATOR, None)
    assert contents(splits.validation) == pictures(*range(40, 50))
    assert any(note.startswith("10 validation photos are calibration photos too") for note in splits.notes)
    with pytest.raises(DataError, match=r"no photos to validate .*--val"):
        gather(CompileOptions(data=a, val=a), EVALUATOR, None)


def test_labels_are_matched_by_name_whatever_the_order(tmp_path):
    data = folder(tmp_path, "data", range(40))
    turned = (Label(7, "bun"), Label(3, "ale"))
    splits = gather(CompileOptions(data=data), ClassifyEvaluator(classify_spec(turned)), None)
    for photo in (*splits.calibration, *splits.validation):
        assert turned[photo.truth].name == photo.source.parent.name


def test_unlabelled_photos_do(tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    for seed in range(40):
        (flat / f"{seed}.png").write_bytes(picture(seed))
    splits = gather(CompileOptions(data=flat), EVALUATOR, None)
    assert len(splits.calibration) + len(splits.validation) == 40
    assert truths_of(splits.validation) is None
    assert splits.describe()["validation"]["labelled"] == 0


def test_classes_that_the_model_does_not_know_are_named(tmp_path):
    data = folder(tmp_path, "data", range(40), ("ale", "gin"))
    with pytest.raises(DataError, match="'gin'"):
        gather(CompileOptions(data=data), EVALUATOR, None)


@pytest.mark.parametrize("count", [0, 1, MIN_CALIBRATION - 1])
@pytest.mark.parametrize("precision", [Precision.AUTO, Precision.INT8])
def test_too_few_calibration_photos(tmp_path, b, count, precision):
    data = folder(tmp_path, "few", range(count)) if count else None
    with pytest.raises(DataError, match=rf"at least {MIN_CALIBRATION} photos, got {count}.*--data"):
        gather(CompileOptions(precision, data=data, val=b), EVALUATOR, None)


@pytest.mark.parametrize("precision", list(Precision))
def test_no_photos_at_all_is_refused_with_the_remedy(precision):
    with pytest.raises(DataError, match=r"--data|--val"):
        gather(CompileOptions(precision), EVALUATOR, None)


def test_float_needs_photos_to_validate_and_none_to_calibrate(b):
    splits = gather(CompileOptions(Precision.FLOAT, val=b), EVALUATOR, None)
    assert not splits.calibration
    assert len(splits.validation) == 20


@pytest.mark.parametrize("precision", [Precision.AUTO, Precision.FLOAT])
def test_unproven_without_photos(precision):
    splits = gather(CompileOptions(precision, skip_validation=True), EVALUATOR, None)
    assert not splits.calibration
    assert not splits.validation


def test_int8_unproven_without_photos_calibrates_on_random_pictures():
    splits = gather(CompileOptions(Precision.INT8, skip_validation=True), EVALUATOR, None)
    assert len(splits.calibration) >= MIN_CALIBRATION
    assert not splits.validation
    assert any("random pictures" in note for note in splits.notes)
    assert splits.describe() == gather(CompileOptions(Precision.INT8, skip_validation=True), EVALUATOR, None).describe()
    means = [p.read().mean() for p in splits.calibration]
    assert max(means) - min(means) > 60  # dark ones and light ones


def test_unproven_with_calibration_photos_only(tmp_path):
    data = folder(tmp_path, "data", range(40))
    splits = gather(CompileOptions(data=data, val=data, skip_validation=True), EVALUATOR, None)
    assert len(splits.calibration) == 40
    assert not splits.validation


@pytest.mark.parametrize("precision", Precision)
def test_skipped_validation_withholds_no_photo(a, precision):
    splits = gather(CompileOptions(precision, data=a, skip_validation=True), EVALUATOR, None)
    assert contents(splits.calibration) == pictures(*range(40))
    assert not splits.validation
    assert splits.origin == f"{a} calibrates"


def test_spread_takes_the_same_share_of_every_class():
    photos = [
        CompilePhoto(b"", label, f"{label}-{i:03d}", classes=(label,))
        for label, n in ((0, 50), (1, 5), (2, 50))
        for i in range(n)
    ]
    taken = stratified_sample(photos, 25)
    assert Counter(p.truth for p in taken) == {0: 10, 1: 5, 2: 10}
    assert stratified_sample(list(reversed(photos)), 25) == taken
    assert stratified_sample(photos, 200) == tuple(photos)
    turns = in_turns(photos)
    assert sorted(photo.sha256 for photo in turns) == sorted(photo.sha256 for photo in photos)
    assert all(turns[:count] == stratified_sample(photos, count) for count in (1, 7, 25))


def test_prepared_gives_every_photo_once_and_in_order(tmp_path):
    colors = [CompilePhoto(encode_png(np.full((6, 6, 3), 10 * i, np.uint8)), None, str(i)) for i in range(11)]
    spec = PreprocessSpec(4, 4, mean=(0.0,) * 3, std=(1.0,) * 3)
    batches = list(prepared(colors, spec, batch=4))
    assert [len(batch) for batch in batches] == [4, 4, 3]
    assert np.concatenate(batches).mean((1, 2, 3)) == pytest.approx([10 * i for i in range(11)])


def test_a_photo_that_vanishes_is_named(a):
    next((a / "ale").iterdir()).unlink()
    splits = gather(CompileOptions(data=a), EVALUATOR, None)
    assert len(splits.calibration) + len(splits.validation) == 39


def test_classes_of_a_photo_are_what_the_evaluator_says(a, pack):
    """A photo may show several: they count for its share of the sample, and for what calibration covers."""

    class Several(ClassifyEvaluator):
        def classes(self, truth):
            return (1, 0) if truth else (1,)

    splits = gather(CompileOptions(data=a), Several(classify_spec(LABELS)), None)
    packed = gather(CompileOptions(), Several(classify_spec(LABELS)), pack)
    for photo in (*splits.calibration, *splits.validation, *packed.calibration, *packed.validation):
        assert photo.classes == ((1, 0) if photo.truth else (1,))
    assert {photo.truth for photo in splits.calibration} == {0, 1}
    unknown = gather(CompileOptions(Precision.INT8, skip_validation=True), EVALUATOR, None)
    assert {photo.classes for photo in unknown.calibration} == {()}


def test_truths_are_known_of_all_photos_or_of_none():
    known, unknown = CompilePhoto(b"", 0, "a"), CompilePhoto(b"", None, "b")  # 0 is a truth, not the lack of one
    assert truths_of([known, known]) == (0, 0)
    assert truths_of([known, unknown]) is None
    assert truths_of([]) is None


def test_truths_that_a_task_cannot_measure_with_are_none():
    """An embedder needs two photos of a product."""
    pair = [CompilePhoto(b"", ShownProduct(name), str(place)) for place, name in enumerate(("tea", "tea", "salt"))]
    embedder = EmbedEvaluator(embed_spec())
    assert measurable_truths(pair, embedder) == truths_of(pair)
    assert measurable_truths(pair[1:], embedder) is None
    assert measurable_truths([CompilePhoto(b"", None, "1")], embedder) is None
    classes = [CompilePhoto(b"", 0, "1")]
    assert measurable_truths(classes, ClassifyEvaluator(classify_spec([Label(0, "a"), Label(1, "b")]))) == (0,)


# ---- photos that cannot be read ----


@pytest.fixture
def damaged(a, b, tmp_path):
    """Folders to calibrate and to validate with: 2 of 42 and 1 of 21 photos cannot be read."""
    (a / "ale" / "torn.png").write_bytes(picture(0)[:20])
    (a / "bun" / "gone.png").symlink_to(tmp_path / "store.png")
    (b / "ale" / "empty.png").write_bytes(b"")
    return a, b


def test_all_bad_photos_are_named_before_anything_else(damaged):
    data, val = damaged
    with pytest.raises(BadPhotosError, match="2 photos of") as caught:
        gather(CompileOptions(data=data, val=val), EVALUATOR, None)
    assert sorted(Path(photo).name for photo, _ in caught.value.photos) == ["gone.png", "torn.png"]
    with pytest.raises(BadPhotosError, match="1 photo of"):
        gather(CompileOptions(val=val), EVALUATOR, None)


def test_bad_photos_can_be_left_out_and_are_counted(damaged):
    data, val = damaged
    seen = []
    splits = gather(
        CompileOptions(data=data, val=val, on_bad_photo=OnBadPhoto.SKIP), EVALUATOR, None,
        progress=lambda step, done, total: seen.append((step, done, total)),
    )  # fmt: skip
    assert contents(splits.calibration) == pictures(*range(40))
    assert contents(splits.validation) == pictures(*range(100, 120))
    assert splits.describe()["bad_photos"] == 3
    assert [note.splitlines()[0] for note in splits.notes] == [
        f"2 photos of {data} cannot be read, and were left out:",
        f"1 photo of {val} cannot be read, and was left out:",
    ]
    assert {(step, total) for step, _, total in seen} == {("check photos", 41), ("check photos", 21)}
    assert gather(CompileOptions(data=data, on_bad_photo=OnBadPhoto.SKIP), EVALUATOR, None).bad_photos == 2


# ---- names and links ----


def test_classes_in_another_unicode_form_are_the_models(tmp_path):
    composed, decomposed = "Gruy\u00e8re", "Gruye\u0300re"
    evaluator = ClassifyEvaluator(classify_spec((Label(0, "bun"), Label(1, composed))))
    data = folder(tmp_path, "mac", range(40), ("bun", decomposed))
    splits = gather(CompileOptions(data=data), evaluator, None)
    assert {photo.truth for photo in splits.calibration} == {0, 1}
    assert all(photo.truth == (photo.source.parent.name != "bun") for photo in splits.calibration)


def test_linked_photos_are_told_from_new_ones_by_content(a, tmp_path):
    for seed in range(5):
        (a / "bun" / f"link {seed}.png").symlink_to(a / ("ale", "bun")[seed % 2] / f"{seed}.png")
    splits = gather(CompileOptions(data=a), EVALUATOR, None)
    assert any("same photo under several labels" in note for note in splits.notes)  # 0, 2 and 4 are ale
    assert any("copies of others" in note for note in splits.notes)  # 1 and 3 are bun
    assert contents((*splits.calibration, *splits.validation)) == pictures(1, 3, *range(5, 40))


def test_names_that_differ_in_case_are_noted(tmp_path):
    evaluator = ClassifyEvaluator(classify_spec((Label(0, "ale"), Label(1, "Ale"))))
    data = folder(tmp_path, "case", range(40), ("ale", "Ale"))
    assert any("'Ale' and 'ale'" in note for note in gather(CompileOptions(data=data), evaluator, None).notes)


@pytest.mark.requires("yaml")
def test_the_parts_of_a_data_yaml(tmp_path, a):
    from edgevision.evaluate.tasks.detect import DetectEvaluator
    from edgevision.tasks.detect.task import detect_spec

    def part(name: str, seeds: range) -> None:
        for seed in seeds:
            for kind, data in (("images", picture(seed)), ("labels", b"1 0.5 0.5 0.5 0.5")):
                path = tmp_path / "set" / name / kind / f"{seed}.{'png' if kind == 'images' else 'txt'}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)

    part("train", range(20))
    part("val", range(15, 30))  # five photos are in both
    data = tmp_path / "set" / "data.yaml"
    data.write_text("train: train/images\nval: val/images\nnames: [ale, bun]\n", encoding="utf-8")
    evaluator = DetectEvaluator(detect_spec(LABELS, "yolo", {"boxes_and_scores": "out"}, height=64, width=64))
    splits = gather(CompileOptions(data=data), evaluator, None)
    assert contents(splits.calibration) == pictures(*range(20))
    assert contents(splits.validation) == pictures(*range(20, 30))
    assert splits.calibration[0].classes == (1,)
    assert "its train part calibrates, its val part validates" in splits.origin
    alone = gather(CompileOptions(data=data, skip_validation=True), evaluator, None)
    assert (contents(alone.calibration), alone.validation) == (pictures(*range(20)), ())
    with pytest.raises(DataError, match="a detector needs boxes"):
        gather(CompileOptions(data=a, val=data), evaluator, None)


def test_packed_photos_with_boxes_have_these_as_their_truth():
    from edgevision.train.checkpoint import PackedPhoto

    marked = (PhotoBoxes(4, 4, (Box(1, 0.0, 0.0, 2.0, 3.0),)), PhotoBoxes(4, 4, ()))
    packed = [PackedPhoto(picture(seed), None, True, None, boxes) for seed, boxes in enumerate(marked)]
    unpacked = unpack(
        packed, DetectEvaluator(detect_spec(LABELS, "yolo", {"boxes_and_scores": "y"}, height=8, width=8))
    )
    assert [photo.truth for photo in unpacked] == list(marked)
    assert [photo.classes for photo in unpacked] == [(1,), ()]
