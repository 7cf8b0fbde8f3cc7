"""What a run learns from: damaged photos, links and names as people have them."""

from __future__ import annotations

import shutil

import pytest

from edgevision.errors import BadPhotosError, DataError, InputError
from edgevision.evaluate.data.photo_check import OnBadPhoto
from edgevision.train import load_checkpoint, loader, train
from edgevision.train.data import read_training_data, with_ood_photos
from edgevision.train.loader import PhotoCache
from edgevision.train.progress import SilentProgress

pytestmark = pytest.mark.requires("torch")


@pytest.fixture
def damaged(tmp_path, colour_photos):
    """The colour photos, of which three are damaged in three ways."""
    folder = tmp_path / "damaged"
    shutil.copytree(colour_photos, folder)
    (folder / "red/0.png").write_bytes(b"")
    whole = (folder / "blue/3.png").read_bytes()
    (folder / "blue/3.png").write_bytes(whole[: len(whole) // 2])
    (folder / "green/7.png").unlink()
    (folder / "green/7.png").symlink_to(tmp_path / "store/7.png")
    return folder


class Recorder(SilentProgress):
    def __init__(self):
        self.messages, self.checked, self.steps = [], [], 0

    def message(self, text):
        self.messages.append(text)

    def photos_checked(self, done, total):
        self.checked.append((done, total))

    def step(self, report):
        self.steps += 1


def test_all_bad_photos_are_named_before_the_first_step(tiny, damaged):
    recorder = Recorder()
    with pytest.raises(BadPhotosError, match="3 photos of") as caught:
        train(tiny(data=damaged), recorder)
    assert sorted(path.removeprefix(f"{damaged}/") for path, _ in caught.value.photos) == [
        "blue/3.png", "green/7.png", "red/0.png",
    ]  # fmt: skip
    assert recorder.steps == 0


def test_bad_photos_can_be_left_out_and_are_counted(tiny, damaged, colour_photos, other_photos):
    recorder = Recorder()
    options = tiny(data=damaged, val=other_photos, on_bad_photo=OnBadPhoto.SKIP, epochs=0.4, photos=False)
    result = train(options, recorder)
    record = load_checkpoint(result.path).training
    assert (record["data"]["train"], record["data"]["val"], record["data"]["bad_photos"]) == (21, 12, 3)
    assert record["options"]["on_bad_photo"] == "skip"
    assert {photo.path.name for photo in result.bad_photos} == {"0.png", "3.png", "7.png"}
    assert any(message.startswith("note: 3 photos of") for message in recorder.messages)
    assert recorder.checked[-1] == (12, 12)
    clean = train(tiny(data=colour_photos, epochs=0.4, photos=False)).checkpoint.training["data"]
    assert (clean["train"], clean["bad_photos"]) == (24, 0)


def test_bad_photos_to_validate_with_are_found_too(tiny, damaged):
    with pytest.raises(BadPhotosError, match="3 photos of"):
        train(tiny(val=damaged))
    data = read_training_data(tiny(data=damaged, val=damaged, on_bad_photo=OnBadPhoto.SKIP))
    assert data.describe()["bad_photos"] == len(data.bad_photos) == 6


def test_the_check_fills_the_cache(tiny, colour_photos, monkeypatch):
    """So that it costs no second decoding where the photos fit into memory."""
    decoded = []
    real = loader.PhotoCache.read

    def counted(cache, source):
        if source not in cache._kept:
            decoded.append(source)
        return real(cache, source)

    monkeypatch.setattr(PhotoCache, "read", counted)
    train(tiny(epochs=2, photos=False))
    assert sorted(decoded) == sorted(colour_photos.rglob("*.png"))


def test_photos_and_classes_may_be_links(tiny, tmp_path, colour_photos):
    linked = tmp_path / "linked"
    (linked / "red").mkdir(parents=True)
    for path in (colour_photos / "red").iterdir():
        (linked / "red" / path.name).symlink_to(path)
    for name in ("blue", "green"):
        (linked / name).symlink_to(colour_photos / name, target_is_directory=True)
    assert (
        read_training_data(tiny(data=linked)).train.content_hashes
        == read_training_data(tiny(data=colour_photos)).train.content_hashes
    )


def test_one_photo_under_several_classes_is_noted(tiny, tmp_path, colour_photos):
    folder = tmp_path / "aliases"
    shutil.copytree(colour_photos, folder)
    for number in (0, 1):
        (folder / "red" / f"blue {number}.png").symlink_to(folder / "blue" / f"{number}.png")
    (folder / "red" / "red 0.png").symlink_to(folder / "red" / "0.png")  # the same class: no contradiction
    warnings = read_training_data(tiny(data=folder)).warnings
    assert any(warning.startswith("2 photos are there under several classes") for warning in warnings)
    assert not any("several classes" in warning for warning in read_training_data(tiny()).warnings)


COMPOSED, DECOMPOSED = "Gruy\u00e8re", "Gruye\u0300re"


@pytest.fixture
def two_systems(tmp_path, colour_photos):
    """The same photos with class folders as Linux and as macOS name them."""
    folders = []
    for name in (COMPOSED, DECOMPOSED):
        folder = tmp_path / ascii(name).strip("'")
        shutil.copytree(colour_photos, folder)
        (folder / "green").rename(folder / name)
        folders.append(folder)
    return folders


def test_val_and_train_may_come_from_two_systems(tiny, two_systems):
    for one, other in (two_systems, two_systems[::-1]):
        data = read_training_data(tiny(data=one, val=other))
        assert data.val.labels == data.train.labels
        assert [path.name for path in data.val.paths] == [path.name for path in data.train.paths]
        assert data.val.truth.tolist() == data.train.truth.tolist()


def test_a_teacher_may_come_from_another_system(tiny, two_systems, tmp_path):
    composed, decomposed = two_systems
    teacher = tiny(data=composed, output=tmp_path / "teacher.pt", epochs=0.3, photos=False)
    train(teacher)
    train(tiny(data=decomposed, teacher=teacher.output, epochs=0.3, photos=False))


def test_names_that_differ_in_case_are_noted(tiny, tmp_path, colour_photos):
    folder = tmp_path / "case"
    shutil.copytree(colour_photos, folder)
    (folder / "green").rename(folder / "RED")
    assert any("'RED' and 'red'" in warning for warning in read_training_data(tiny(data=folder)).warnings)


def test_a_data_set_of_one_class_after_skipping_is_refused(tiny, tmp_path, colour_photos):
    folder = tmp_path / "one"
    shutil.copytree(colour_photos / "red", folder / "red")
    (folder / "blue").mkdir()
    (folder / "blue/0.png").write_bytes(b"x")
    with pytest.raises(InputError, match="at least 2 classes"):
        read_training_data(tiny(data=folder, on_bad_photo=OnBadPhoto.SKIP))


def test_photos_of_no_class_are_read_counted_and_named_by_the_digest(tiny, unknown_photos, tmp_path):
    known = read_training_data(tiny())
    assert with_ood_photos(known, tiny()) is known
    data = with_ood_photos(known, tiny(ood_data=unknown_photos))
    assert (data.describe()["ood"], known.describe()["ood"]) == (12, 0)
    assert data.digest != known.digest
    shutil.copytree(unknown_photos, tmp_path / "unknown")
    (tmp_path / "unknown/purple/0.png").write_bytes(b"")
    with pytest.raises(BadPhotosError):
        with_ood_photos(known, tiny(ood_data=tmp_path / "unknown"))
    fewer = with_ood_photos(known, tiny(ood_data=tmp_path / "unknown", on_bad_photo=OnBadPhoto.SKIP))
    assert (fewer.describe()["ood"], len(fewer.bad_photos)) == (11, 1)
    assert fewer.digest != data.digest
    assert any("left out" in warning for warning in fewer.warnings)


@pytest.mark.parametrize("of", ["data", "val"])
def test_a_photo_cannot_be_of_a_class_and_of_none(tiny, colour_photos, other_photos, unknown_photos, tmp_path, of):
    shutil.copytree(unknown_photos, tmp_path / "unknown")
    source = colour_photos if of == "data" else other_photos
    shutil.copy(source / "red/2.png", tmp_path / "unknown/purple/copy.png")
    with pytest.raises(DataError, match=r"1 of the 13 photos of .*unknown are photos of .*copy\.png.*leave them out"):
        train(tiny(val=other_photos, ood_data=tmp_path / "unknown"))


def test_photos_of_no_class_in_parts_are_refused(tiny, tmp_path):
    (tmp_path / "data.yaml").write_text("train: a\nval: b\nnames: [x]\n")
    with pytest.raises(DataError, match=r"in parts \(train, val\); give a folder or a list"):
        train(tiny(ood_data=tmp_path / "data.yaml"))
