from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path

import numpy as np
import pytest

from edgevision.errors import DataError
from edgevision.evaluate.data.dataset import Dataset, Photo, content_hash, read_dataset
from edgevision.evaluate.data.splits import overlap, split_by_content, stratified_folds
from edgevision.tasks.results import Label


def names(dataset: Dataset) -> list[str]:
    return [path.name for path in dataset.paths]


# ── list files ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def photos(put):
    for name in ("p/a.jpg", "p/b.jpg", "p/c, d.jpg"):
        put(name)
    return put


@pytest.mark.parametrize(
    ("text", "labels", "truth"),
    [
        ("p/a.jpg, 4, 0\np/b.jpg, 12, 1\n", (Label(4, "4"), Label(12, "12")), [0, 1]),
        ("# photos\n\n  p/a.jpg ,tea\r\np/b.jpg,salt\r\n", (Label(0, "salt"), Label(1, "tea")), [1, 0]),
        ("p/a.jpg, 012\np/b.jpg, 12\n", (Label(12, "12"),), None),  # two spellings of one id: see below
        ('"p/c, d.jpg", tea\n', (Label(0, "tea"),), [0]),
        ("\ufeffp/a.jpg, 7up\np/b.jpg, 7\n", (Label(0, "7"), Label(1, "7up")), [1, 0]),
    ],
)
def test_list_files(photos, text, labels, truth):
    path = photos("list.txt", text)
    dataset = read_dataset(path)
    assert dataset.labels == labels
    assert dataset.truth.tolist() == (truth or [0, 0])
    assert all(p.is_file() for p in dataset.paths)


@pytest.mark.parametrize("text", ["p/a.jpg, 1\np/b.jpg, 0\n", "p/a.jpg, tea\np/b.jpg, salt\n"])
def test_labels_in_a_list_are_ids_or_names_of_the_labels_file(photos, text):
    dataset = read_dataset(photos("list.txt", text), photos("names.txt", "salt\ntea\nrice"))
    assert dataset.labels == (Label(0, "salt"), Label(1, "tea"), Label(2, "rice"))
    assert dataset.truth.tolist() == [1, 0]
    assert dataset.class_counts.tolist() == [1, 1, 0]


def test_a_list_of_paths_is_unlabelled_and_may_be_absolute(photos, tmp_path):
    dataset = read_dataset(photos("lists/list.txt", f"{tmp_path}/p/a.jpg\n../p/b.jpg\n"))
    assert names(dataset) == ["a.jpg", "b.jpg"]
    assert dataset.labels is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "got no lines"),
        ("# nothing\n\n", "got no lines"),
        ("p/a.jpg, 0\n\nx1.jpg, 0\nx2.jpg, 0\nx3.jpg, 0\nx4.jpg, 0\n", "4 lines .*line 3: .*x1.jpg, .*and 1 more"),
        ("p, 0\n", "do not name a photo"),  # a folder
        ("a" * 5000 + ".jpg, 0\n", "do not name a photo"),
        ("p/a.jpg, tea\np/b.jpg\n", "1 lines .* have no label: line 2: b.jpg"),
    ],
)
def test_bad_lines_are_named(photos, text, message):
    path = photos("list.txt", text)
    with pytest.raises(DataError, match=message) as caught:
        read_dataset(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("label", ["9", "rice"])
def test_unknown_labels_are_named(photos, label):
    path = photos("list.txt", f"p/a.jpg, {'0' if label == '9' else 'tea'}\np/b.jpg, {label}\n")
    with pytest.raises(DataError, match=f"line 2: '{label}'"):
        read_dataset(path, photos("names.txt", "tea\nsalt"))


def test_other_files_are_refused(put, tmp_path):
    with pytest.raises(DataError, match="got one photo"):
        read_dataset(put("a.jpg"))
    with pytest.raises(DataError, match="no such file"):
        read_dataset(tmp_path / "none")
    with pytest.raises(DataError, match="not text"):
        read_dataset(put("model.pt", b"\x80\x02}q\xff"))


# ── labels of a model ───────────────────────────────────────────────────────────────────────────────────────────────

MODEL = (Label(10, "rice"), Label(11, "tea"), Label(12, "salt"))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ((Label(11, "tea"), Label(12, "salt")), [1, 2]),  # same ids and names
        ((Label(0, "tea"), Label(1, "salt")), [1, 2]),  # names of folders
        ((Label(12, "12"), Label(10, "10")), [2, 0]),  # a list without a labels file knows only ids
        ((Label(10, "salt"), Label(11, "rice")), [2, 0]),  # names weigh more than ids
    ],
)
def test_a_data_set_takes_on_a_models_labels(labels, expected):
    dataset = Dataset((Photo(Path("a"), 0), Photo(Path("b"), 1)), labels)
    mapped = dataset.with_labels(MODEL)
    assert mapped.labels == MODEL
    assert mapped.truth.tolist() == expected


COMPOSED, DECOMPOSED = "Gruy\u00e8re", "Gruye\u0300re"  # one name, as most systems and as macOS write it


@pytest.mark.parametrize(("ours", "theirs"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
@pytest.mark.parametrize("id", [0, 7], ids=["same id", "another id"])
def test_names_match_in_any_unicode_form(ours, theirs, id):
    model = (Label(id, theirs), Label(9, "tea"))
    dataset = Dataset((Photo(Path("a"), 1), Photo(Path("b"), 0)), (Label(0, ours), Label(1, "tea")))
    mapped = dataset.with_labels(model)
    assert mapped.truth.tolist() == [1, 0]
    assert mapped.labels == model  # shown as the model has them


@pytest.mark.parametrize(
    ("folder", "listed", "known"), [(COMPOSED, DECOMPOSED, COMPOSED), (DECOMPOSED, COMPOSED, DECOMPOSED)]
)
def test_folders_lists_and_labels_files_in_other_unicode_forms(put, tmp_path, folder, listed, known):
    put(f"photos/{folder}/a.jpg")
    put("photos/tea/b.jpg")
    names_file = put("names.txt", f"tea\n{known}\n")
    assert read_dataset(tmp_path / "photos").labels == (Label(0, folder), Label(1, "tea"))  # as the user wrote it
    assert read_dataset(tmp_path / "photos", names_file).truth.tolist() == [1, 0]
    text = f"photos/{folder}/a.jpg, {listed}\nphotos/tea/b.jpg, tea\n"
    assert read_dataset(put("list.txt", text), names_file).truth.tolist() == [1, 0]
    both = read_dataset(put("list.txt", text + f"photos/{folder}/a.jpg, {folder}\n"))
    assert both.labels == (Label(0, listed), Label(1, "tea"))  # one class, as it was first written
    assert both.truth.tolist() == [0, 1, 0]


def test_folders_that_are_one_name_are_refused_with_both(put, tmp_path):
    put(f"photos/{COMPOSED}/a.jpg")
    put(f"photos/{DECOMPOSED}/b.jpg")
    with pytest.raises(DataError, match=r"one class.*: 'Gruye\\u0300re' and 'Gruy\\xe8re'\. Put their photos into one"):
        read_dataset(tmp_path / "photos")


def test_names_that_differ_only_in_case_stay_two_and_are_noted(put, tmp_path):
    put("photos/Tea/a.jpg")
    put("photos/tea/b.jpg")
    dataset = read_dataset(tmp_path / "photos")
    assert dataset.truth.tolist() == [0, 1]
    assert len(dataset.notes) == 1
    assert "'Tea' and 'tea'" in dataset.notes[0]
    with pytest.raises(DataError, match="'Tea' differs from 'tea' in case"):
        dataset.with_labels((Label(0, "tea"), Label(1, "salt")))
    with pytest.raises(DataError, match=r"labels file \('TEA' differs from 'tea' in case\): line 1: 'TEA'"):
        read_dataset(put("list.txt", "photos/tea/b.jpg, TEA\n"), put("names.txt", "tea\nsalt\n"))


def test_unused_classes_need_no_match():
    dataset = Dataset((Photo(Path("a"), 0),), (Label(0, "tea"), Label(1, "bread")))
    assert dataset.with_labels(MODEL).truth.tolist() == [1]


@pytest.mark.parametrize("labels", [(Label(0, "tea"), Label(1, "bread")), (Label(11, "11"), Label(13, "13"))])
def test_classes_the_model_lacks_are_named(labels):
    dataset = Dataset((Photo(Path("a"), 0), Photo(Path("b"), 1)), labels)
    with pytest.raises(DataError, match=f"'{labels[1].name}'.*The model knows 'rice'"):
        dataset.with_labels(MODEL)


SORTED_AS_TEXT = tuple(
    Label(i, name) for i, name in enumerate(["0", "1", "10", "2", "3", "4", "5", "6", "7", "8", "9"])
)


def test_numbers_that_are_ids_of_some_classes_and_names_of_others_are_refused(put, tmp_path):
    """As where a model was trained with folders in the order of text, and its names file says so."""
    for number in range(11):
        put(f"photos/{number}/a.jpg")
    data = read_dataset(tmp_path / "photos")
    message = r"may be ids or names.*2 is the id of '10', and the name of the class with id 3.*no name is a number"
    with pytest.raises(DataError, match=message):
        data.with_labels(SORTED_AS_TEXT)
    put("names.txt", "".join(f"{label.name}\n" for label in SORTED_AS_TEXT))
    put("list.txt", "".join(f"photos/{number}/a.jpg, {number}\n" for number in range(11)))
    with pytest.raises(DataError, match=message):
        read_dataset(tmp_path / "list.txt", tmp_path / "names.txt")


def test_numbers_with_one_meaning_are_kept(put, tmp_path):
    for number in (0, 1, 2):
        put(f"photos/{number}/a.jpg")
    data = read_dataset(tmp_path / "photos")
    assert data.with_labels(tuple(Label(i, str(i)) for i in (2, 1, 0))).truth.tolist() == [2, 1, 0]
    assert data.with_labels((Label(0, "1"), Label(1, "tea"), Label(2, "salt"))).truth.tolist() == [0, 1, 2]  # ids only
    assert data.with_labels((Label(7, "1"), Label(8, "2"), Label(9, "0"))).truth.tolist() == [2, 0, 1]  # names only


def test_unlabelled_data_stay_so():
    dataset = Dataset((Photo(Path("a")),))
    assert dataset.with_labels(MODEL) is dataset


@pytest.mark.parametrize(
    ("photo", "labels"), [(Photo(Path("a"), 0), None), (Photo(Path("a")), MODEL), (Photo(Path("a"), 3), MODEL)]
)
def test_a_data_set_is_labelled_wholly_or_not_at_all(photo, labels):
    with pytest.raises(DataError, match="class ind"):
        Dataset((photo,), labels)


def test_too_few_classes_are_refused():
    dataset = Dataset((Photo(Path("a"), 1),), MODEL, "shelf")
    dataset.require_labels()
    with pytest.raises(DataError, match=r"at least 2 classes, but shelf has 1 \('tea'\)"):
        dataset.require_labels(classes=2, purpose="training")


# ── content ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_hashes_are_of_the_bytes_and_see_a_change(put):
    path = put("a.jpg", "one")
    assert content_hash(path) == hashlib.sha256(b"one").hexdigest()
    put("a.jpg", "two")
    os.utime(path, ns=(1, 1))  # a clock too coarse to show the change must not hide it from the test
    assert content_hash(path) == hashlib.sha256(b"two").hexdigest()
    with pytest.raises(DataError, match="cannot read the photo"):
        content_hash(path.with_name("none.jpg"))


def many(put, folder: str, counts: list[int], order: random.Random | None = None) -> Dataset:
    """A data set of ``counts`` photos per class; with ``order``, other names and another order, same bytes."""
    entries = [(c, i) for c, count in enumerate(counts) for i in range(count)]
    if order:
        order.shuffle(entries)
    photos = tuple(
        Photo(put(f"{folder}/{number if order else f'{c}-{i}'}.jpg", f"class {c} photo {i}"), c)
        for number, (c, i) in enumerate(entries)
    )
    return Dataset(photos, tuple(Label(c, str(c)) for c in range(len(counts))))


COUNTS = [40, 21, 7, 3, 3, 3, 1, 1, 1, 1]


@pytest.mark.parametrize("fraction", [0.5, 0.2, 0.75])
def test_a_split_takes_the_fraction_of_all_and_of_each_class(put, fraction):
    dataset = many(put, "x", COUNTS)
    a, b = split_by_content(dataset, fraction)
    assert sorted([*a.paths, *b.paths]) == sorted(dataset.paths)
    assert abs(len(a) - fraction * len(dataset)) <= 0.5
    assert (np.abs(a.class_counts - fraction * np.array(COUNTS)) < 1).all()


def test_splits_and_folds_depend_on_content_alone(put):
    one = many(put, "x", COUNTS)
    two = many(put, "y", COUNTS, random.Random(4))
    assert one.digest == two.digest
    assert one.digest == hashlib.sha256("\n".join(sorted(one.content_hashes)).encode()).hexdigest()
    for parts, others in (
        (split_by_content(one), split_by_content(two)),
        (stratified_folds(one, 3, 5), stratified_folds(two, 3, 5)),
    ):
        assert [set(p.content_hashes) for p in parts] == [set(p.content_hashes) for p in others]


def test_the_order_of_labels_does_not_move_photos(put):
    dataset = many(put, "x", COUNTS)
    top = len(COUNTS) - 1
    mirrored = Dataset(tuple(Photo(p.path, top - (p.label or 0)) for p in dataset), tuple(reversed(dataset.labels)))
    assert split_by_content(mirrored)[0].paths == split_by_content(dataset)[0].paths


def test_folds_share_each_class_evenly_and_follow_the_seed(put):
    dataset = many(put, "x", COUNTS)
    folds = stratified_folds(dataset, 4, seed=1)
    assert sorted(path for fold in folds for path in fold.paths) == sorted(dataset.paths)
    counts = np.array([fold.class_counts for fold in folds])
    assert (counts.max(axis=0) - counts.min(axis=0) <= 1).all()
    assert len({fold.digest for fold in stratified_folds(dataset, 4, seed=2)} & {fold.digest for fold in folds}) == 0
    with pytest.raises(DataError, match="folds"):
        stratified_folds(dataset, 1)
    with pytest.raises(DataError, match="fraction"):
        split_by_content(dataset, 1.0)


def test_copies_of_a_photo_stay_together_whatever_their_label(put):
    labels = (Label(0, "tea"), Label(1, "salt"))
    photos = [Photo(put(f"{i}-{copy}.jpg", f"photo {i}"), copy % 2) for i in range(30) for copy in range(1 + i % 3)]
    dataset = Dataset(tuple(photos), labels)
    for parts in (split_by_content(dataset), stratified_folds(dataset, 3)):
        hashes = [set(part.content_hashes) for part in parts]
        assert sum(map(len, hashes)) == len(set.union(*hashes)) == 30
        assert max(map(len, parts)) - min(map(len, parts)) <= 3
    unlabelled = Dataset(tuple(Photo(p.path) for p in photos))
    a, b = split_by_content(unlabelled)
    assert not set(a.content_hashes) & set(b.content_hashes)


def test_overlap_finds_photos_by_content(put):
    a = Dataset((Photo(put("a/1.jpg", "same")), Photo(put("a/2.jpg", "other")), Photo(put("a/3.jpg", "same"))))
    b = Dataset((Photo(put("b/8.jpg", "same")), Photo(put("b/9.jpg", "third"))))
    assert [(x.path.name, y.path.name) for x, y in overlap(a, b)] == [("1.jpg", "8.jpg"), ("3.jpg", "8.jpg")]


def test_select_keeps_the_order_asked_for(put):
    dataset = many(put, "x", [3])
    assert names(dataset.select(np.array([2, 0]))) == ["0-2.jpg", "0-0.jpg"]
