"""Which photos calibrate and which judge: every row of the table "Photos" in docs/compile.md."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from edgevision.compiler.options import CompileOptions, Precision
from edgevision.compiler.photos import MIN_CALIBRATION, CompilePhoto, gather, labels_of, prepared, spread
from edgevision.decode import encode_png
from edgevision.errors import DataError
from edgevision.preprocess import PreprocessSpec
from edgevision.tasks.results import Label

pytestmark = pytest.mark.requires("torch")  # the room imports checkpoints

LABELS = (Label(0, "ale"), Label(1, "bun"))


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
    judge = tuple(PackedPhoto(picture(seed), seed % 2, False) for seed in range(300, 310))
    return PhotoPack(calibration, judge)


def contents(photos: tuple[CompilePhoto, ...]) -> set[bytes]:
    return {p.source if isinstance(p.source, bytes) else p.source.read_bytes() for p in photos}


def pictures(*seeds: int) -> set[bytes]:
    return {picture(seed) for seed in seeds}


def test_nothing_given_uses_what_the_checkpoint_carries(pack):
    sets = gather(CompileOptions(), LABELS, pack)
    assert contents(sets.calibration) == pictures(*range(200, 220))
    assert contents(sets.judge) == pictures(*range(300, 310))
    assert [p.label for p in sets.judge] == [p.label for p in pack.judge]
    assert "carries" in sets.origin
    assert not sets.notes


def test_a_pack_that_judges_with_training_photos_says_so(pack):
    from dataclasses import replace

    seen = replace(pack, judge=tuple(replace(p, seen=True) for p in pack.judge))
    assert any("trained on" in note and "--val" in note for note in gather(CompileOptions(), LABELS, seen).notes)


def test_photos_that_the_model_was_trained_on_are_known_by_their_content(a, b, pack):
    """``trained_on`` holds the first digits of their hashes, whatever their names are."""
    import hashlib

    digits = {seed: hashlib.sha256(picture(seed)).hexdigest()[:32] for seed in (3, 5, 101)}
    sets = gather(CompileOptions(data=a, val=b), LABELS, pack, frozenset(digits.values()))
    assert contents(tuple(p for p in sets.calibration if p.seen)) == pictures(3, 5)
    assert contents(tuple(p for p in sets.judge if p.seen)) == pictures(101)
    assert {p.seen for p in sets.calibration} == {True, False}
    assert any(note.startswith("1 of 20 judge photos were trained on") for note in sets.notes)
    assert sets.describe()["calibration"]["trained_on"] == 2
    unknown = gather(CompileOptions(data=a, val=b), LABELS, pack)
    assert {p.seen for p in (*unknown.calibration, *unknown.judge)} == {None}


def test_a_packed_photo_is_the_file_that_it_was_made_of(tmp_path, pack):
    """It is smaller than the original, and yet the original may not judge what it calibrated."""
    import hashlib
    from dataclasses import replace

    originals = folder(tmp_path, "originals", range(20))
    made = tuple(
        replace(p, source_sha256=hashlib.sha256(picture(i)).hexdigest()) for i, p in enumerate(pack.calibration[:18])
    )
    sets = gather(CompileOptions(val=originals), LABELS, replace(pack, calibration=made))
    assert contents(sets.judge) == pictures(18, 19)
    assert any(note.startswith("18 judge photos are calibration photos too") for note in sets.notes)


def test_each_content_counts_once(a, tmp_path):
    for copy in range(3):
        (a / "ale" / f"copy {copy}.png").write_bytes(picture(0))
    sets = gather(CompileOptions(data=a), LABELS, None)
    assert len(sets.calibration) + len(sets.judge) == 40
    assert next(note for note in sets.notes if "copies" in note).startswith("3 ")


def test_a_photo_with_two_labels_is_left_out(a):
    (a / "bun" / "copy.png").write_bytes(picture(0))  # ale, elsewhere
    sets = gather(CompileOptions(data=a), LABELS, None)
    assert contents(sets.calibration) | contents(sets.judge) == pictures(*range(1, 40))
    assert any(note.startswith("2 ") and "several labels" in note for note in sets.notes)


def test_described_sets_have_the_digest_of_data_sets(a, b):
    from edgevision.evaluate.dataset import read_dataset

    described = gather(CompileOptions(data=a, val=b), LABELS, None).describe()
    assert described["calibration"]["sha256"] == read_dataset(a).digest
    assert described["judge"]["sha256"] == read_dataset(b).digest


@pytest.mark.parametrize("with_pack", [True, False])
def test_data_alone_is_halved(a, pack, with_pack):
    sets = gather(CompileOptions(data=a), LABELS, pack if with_pack else None)
    assert len(sets.calibration) == len(sets.judge) == 20
    assert contents(sets.calibration) | contents(sets.judge) == pictures(*range(40))
    assert not contents(sets.calibration) & contents(sets.judge)
    assert Counter(p.label for p in sets.judge) == {0: 10, 1: 10}


def test_the_halves_depend_on_content_alone(a, tmp_path):
    renamed = tmp_path / "renamed"
    for path in a.rglob("*.png"):
        copy = renamed / path.parent.name / f"{1000 - int(path.stem)}.png"
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    one, other = (gather(CompileOptions(data=source), LABELS, None) for source in (a, renamed))
    assert contents(one.calibration) == contents(other.calibration)
    described, again = one.describe(), other.describe()
    assert described["calibration"] == again["calibration"]
    assert described["judge"] == again["judge"]


def test_data_and_val(a, b, pack):
    sets = gather(CompileOptions(data=a, val=b), LABELS, pack)
    assert contents(sets.calibration) == pictures(*range(40))
    assert contents(sets.judge) == pictures(*range(100, 120))


def test_val_alone_with_our_checkpoint(b, pack):
    sets = gather(CompileOptions(val=b), LABELS, pack)
    assert contents(sets.calibration) == pictures(*range(200, 220))
    assert contents(sets.judge) == pictures(*range(100, 120))


def test_calibration_photos_never_judge(a, tmp_path):
    mixed = folder(tmp_path, "mixed", range(30, 50))  # 30…39 are in a too, under other names
    sets = gather(CompileOptions(data=a, val=mixed), LABELS, None)
    assert contents(sets.judge) == pictures(*range(40, 50))
    assert any(note.startswith("10 judge photos are calibration photos too") for note in sets.notes)
    with pytest.raises(DataError, match=r"no photos to judge .*--val"):
        gather(CompileOptions(data=a, val=a), LABELS, None)


def test_labels_are_matched_by_name_whatever_the_order(tmp_path):
    data = folder(tmp_path, "data", range(40))
    turned = (Label(7, "bun"), Label(3, "ale"))
    sets = gather(CompileOptions(data=data), turned, None)
    for photo in (*sets.calibration, *sets.judge):
        assert turned[photo.label].name == photo.source.parent.name


def test_unlabelled_photos_do(tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    for seed in range(40):
        (flat / f"{seed}.png").write_bytes(picture(seed))
    sets = gather(CompileOptions(data=flat), LABELS, None)
    assert len(sets.calibration) + len(sets.judge) == 40
    assert labels_of(sets.judge) is None
    assert sets.describe()["judge"]["labelled"] == 0


def test_classes_that_the_model_does_not_know_are_named(tmp_path):
    data = folder(tmp_path, "data", range(40), ("ale", "gin"))
    with pytest.raises(DataError, match="'gin'"):
        gather(CompileOptions(data=data), LABELS, None)


@pytest.mark.parametrize("count", [0, 1, MIN_CALIBRATION - 1])
@pytest.mark.parametrize("precision", [Precision.AUTO, Precision.INT8])
def test_too_few_calibration_photos(tmp_path, b, count, precision):
    data = folder(tmp_path, "few", range(count)) if count else None
    with pytest.raises(DataError, match=rf"at least {MIN_CALIBRATION} photos, got {count}.*--data"):
        gather(CompileOptions(precision, data=data, val=b), LABELS, None)


@pytest.mark.parametrize("precision", list(Precision))
def test_no_photos_at_all_is_refused_with_the_remedy(precision):
    with pytest.raises(DataError, match=r"--data|--val"):
        gather(CompileOptions(precision), LABELS, None)


def test_float_needs_photos_to_judge_and_none_to_calibrate(b):
    sets = gather(CompileOptions(Precision.FLOAT, val=b), LABELS, None)
    assert not sets.calibration
    assert len(sets.judge) == 20


@pytest.mark.parametrize("precision", [Precision.AUTO, Precision.FLOAT])
def test_unproven_without_photos(precision):
    sets = gather(CompileOptions(precision, unproven=True), LABELS, None)
    assert not sets.calibration
    assert not sets.judge


def test_int8_unproven_without_photos_calibrates_on_random_pictures():
    sets = gather(CompileOptions(Precision.INT8, unproven=True), LABELS, None)
    assert len(sets.calibration) >= MIN_CALIBRATION
    assert not sets.judge
    assert any("random pictures" in note for note in sets.notes)
    assert sets.describe() == gather(CompileOptions(Precision.INT8, unproven=True), LABELS, None).describe()
    means = [p.read().mean() for p in sets.calibration]
    assert max(means) - min(means) > 60  # dark ones and light ones


def test_unproven_with_calibration_photos_only(tmp_path):
    data = folder(tmp_path, "data", range(40))
    sets = gather(CompileOptions(data=data, val=data, unproven=True), LABELS, None)
    assert len(sets.calibration) == 40
    assert not sets.judge


def test_spread_takes_the_same_share_of_every_class():
    photos = [CompilePhoto(b"", label, f"{label}-{i:03d}") for label, n in ((0, 50), (1, 5), (2, 50)) for i in range(n)]
    taken = spread(photos, 25)
    assert Counter(p.label for p in taken) == {0: 10, 1: 5, 2: 10}
    assert spread(list(reversed(photos)), 25) == taken
    assert spread(photos, 200) == tuple(photos)


def test_prepared_gives_every_photo_once_and_in_order(tmp_path):
    colors = [CompilePhoto(encode_png(np.full((6, 6, 3), 10 * i, np.uint8)), None, str(i)) for i in range(11)]
    spec = PreprocessSpec(4, 4, mean=(0.0,) * 3, std=(1.0,) * 3)
    batches = list(prepared(colors, spec, batch=4))
    assert [len(batch) for batch in batches] == [4, 4, 3]
    assert np.concatenate(batches).mean((1, 2, 3)) == pytest.approx([10 * i for i in range(11)])


def test_a_photo_that_vanishes_is_named(a):
    next((a / "ale").iterdir()).unlink()
    sets = gather(CompileOptions(data=a), LABELS, None)
    assert len(sets.calibration) + len(sets.judge) == 39
