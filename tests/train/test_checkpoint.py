"""Checkpoints come back as they were; what is not a whole, fitting checkpoint is refused, and no code in it runs."""

from __future__ import annotations

import gzip
import io
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edgevision.errors import EdgeVisionError, InputError, ModelFileError
from edgevision.tasks.classify import classify_spec
from edgevision.tasks.results import Label
from edgevision.train import backbones
from edgevision.train.channels import apply_channels, channel_counts, channels_to_plain
from edgevision.train.checkpoint import (
    Checkpoint,
    PackedPhoto,
    PhotoPack,
    is_checkpoint,
    load_checkpoint,
    model_from_checkpoint,
    save_checkpoint,
    short_hashes,
    state_digest,
    to_plain,
)

pytestmark = pytest.mark.requires("torch")

LABELS = (Label(3, "apple"), Label(7, "pear"), Label(9, "plum"))
TASK = classify_spec(LABELS, "logits")
OPTIONS = {"width": 0.25, "depth": 0.3, "features": 16}


@pytest.fixture(scope="module")
def checkpoint():
    torch.manual_seed(3)
    return Checkpoint(
        arch="lite0", arch_options=OPTIONS, state_dict=backbones.build("lite0", 3, **OPTIONS).state_dict(),
        preprocess=backbones.default_preprocess("lite0", 64), task=TASK, training={"steps": 5, "scores": [1.5, None]},
        photos=PhotoPack((PackedPhoto(b"\xff\xd8one", 0, True),), (PackedPhoto(b"two", None, False, "5e" * 32),)),
        trained_on=short_hashes(["ab" * 32, "01" * 32]),
    )  # fmt: skip


def test_round_trip(checkpoint, tmp_path):
    path = tmp_path / "model.pt"
    save_checkpoint(path, checkpoint)
    back = load_checkpoint(path)
    assert replace(back, state_dict={}).__dict__ == replace(checkpoint, state_dict={}).__dict__
    assert back.state_dict.keys() == checkpoint.state_dict.keys()
    assert all(torch.equal(back.state_dict[name], value) for name, value in checkpoint.state_dict.items())
    assert state_digest(back.state_dict) == state_digest(checkpoint.state_dict)
    assert is_checkpoint(torch.load(path, weights_only=True))


def test_tells_which_photos_it_was_trained_on(checkpoint, tmp_path):
    save_checkpoint(tmp_path / "model.pt", checkpoint)
    back = load_checkpoint(tmp_path / "model.pt")
    assert back.trained_on == ("01" * 16, "ab" * 16)
    assert [back.was_trained_on(sha256) for sha256 in ("ab" * 32, "AB" * 32, "ac" * 32)] == [True, True, False]
    assert replace(back, trained_on=()).was_trained_on("ab" * 32) is None


def as_version_1(plain):
    """What ``to_plain`` gave when a classifier was the only task, of the same checkpoint."""
    task = plain.pop("task")
    assert [task["kind"], task["parameters"]] == ["classify", {}]
    plain["edgevision_checkpoint"] = 1
    plain["labels"] = [[label["id"], label["name"]] for label in task["labels"]]
    plain["output"] = task["outputs"][0]["layout"]
    if plain["photos"]:
        plain["photos"]["judge"] = plain["photos"].pop("validation")
        for photo in (photo for half in plain["photos"].values() for photo in half):
            photo["seen"] = photo.pop("in_training_set")
    return plain


@pytest.mark.parametrize("layout", ["logits", "probabilities"])
def test_version_1_is_read(checkpoint, tmp_path, layout):
    checkpoint = replace(checkpoint, task=classify_spec(LABELS, layout))
    torch.save(as_version_1(to_plain(checkpoint)), tmp_path / "old.pt")
    old = load_checkpoint(tmp_path / "old.pt")
    assert replace(old, state_dict={}).__dict__ == replace(checkpoint, state_dict={}).__dict__
    assert state_digest(old.state_dict) == state_digest(checkpoint.state_dict)
    assert old.labels == LABELS
    assert old.task.output("scores").layout == layout
    save_checkpoint(tmp_path / "new.pt", old)  # and written as version 2
    new = torch.load(tmp_path / "new.pt", weights_only=True)
    assert new["edgevision_checkpoint"] == 2
    assert not {"labels", "output"} & set(new)
    assert set(new["photos"]) == {"calibration", "validation"}


def test_version_1_without_photos_is_read(checkpoint, tmp_path):
    torch.save(as_version_1(to_plain(replace(checkpoint, photos=None))), tmp_path / "old.pt")
    assert load_checkpoint(tmp_path / "old.pt").photos is None


def test_a_checkpoint_that_the_code_of_version_1_wrote_is_read(tmp_path):
    """The demo's of that time; its weights were made zeros, which pack well, and most of its photos left out."""
    path = tmp_path / "old.pt"
    path.write_bytes(gzip.decompress((Path(__file__).parents[1] / "data" / "checkpoint1.pt.gz").read_bytes()))
    plain = torch.load(path, weights_only=True)
    assert plain["edgevision_checkpoint"] == 1
    old = load_checkpoint(path)
    assert [[label.id, label.name] for label in old.labels] == [list(row) for row in plain["labels"]]
    assert old.task == classify_spec(old.labels, plain["output"])
    model_from_checkpoint(old)
    assert len(old.photos.calibration) == 2
    assert [p.in_training_set for p in old.photos.validation] == [p["seen"] for p in plain["photos"]["judge"]]


def test_files_from_before_photos_were_named_by_hash(checkpoint, tmp_path):
    plain = as_version_1(to_plain(checkpoint))
    del plain["trained_on"]
    for half in plain["photos"].values():
        for photo in half:
            del photo["source_sha256"]
    torch.save(plain, tmp_path / "old.pt")
    old = load_checkpoint(tmp_path / "old.pt")
    assert old.was_trained_on("ab" * 32) is None
    assert [photo.source_sha256 for photo in (*old.photos.calibration, *old.photos.validation)] == [None, None]


def test_a_pruned_network_comes_back(checkpoint, tmp_path):
    network = model_from_checkpoint(checkpoint)
    channels = channel_counts(network)
    channels |= {"head.conv": (channels["head.conv"][0], 8), "head.norm": (8, 8), "classifier": (8, 3)}
    apply_channels(network, channels).eval()
    save_checkpoint(tmp_path / "model.pt", replace(checkpoint, state_dict=network.state_dict(), channels=channels))
    back = load_checkpoint(tmp_path / "model.pt")
    assert back.channels == channels
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model_from_checkpoint(back)(x), network(x))


def test_the_same_checkpoint_is_the_same_file(checkpoint, tmp_path):
    for name in ("a", "b"):
        save_checkpoint(tmp_path / name, checkpoint)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_network_comes_back_in_eval_mode(checkpoint):
    model = model_from_checkpoint(checkpoint)
    assert not any(layer.training for layer in model.modules())
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    expected = backbones.build("lite0", 3, **OPTIONS).eval()
    expected.load_state_dict(checkpoint.state_dict)
    assert torch.equal(model(x), expected(x))
    assert not any(getattr(layer, "frozen", False) for layer in model.modules())


class RunsCode:
    ran = False

    def __reduce__(self):
        return (setattr, (RunsCode, "ran", True))


def test_code_does_not_run(tmp_path):
    path = tmp_path / "model.pt"
    torch.save({"edgevision_checkpoint": 1, "arch": RunsCode()}, path)
    with pytest.raises(ModelFileError, match=r"could run code.*not opened.*setattr"):
        load_checkpoint(path)
    assert not RunsCode.ran


def saved(value):
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def compressed(data):
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return file.getvalue()


def flipped(data):
    middle = data.index(b"PK\x01\x02") // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"", "is empty"),
        (lambda data: data[: len(data) // 2], "not a whole PyTorch file"),
        (lambda data: data[:-1], "not a whole PyTorch file|damaged"),
        (lambda data: b"not a checkpoint", "not a whole PyTorch file"),
        (compressed, "compressed or overlapping"),
        (flipped, "checksum"),
        (lambda data: saved([1, 2]), "not an EdgeVision checkpoint"),
        (lambda data: saved({"state_dict": {}}), "not an EdgeVision checkpoint"),
    ],
)
def test_damaged_files(checkpoint, tmp_path, damage, message):
    path = tmp_path / "model.pt"
    path.write_bytes(damage(saved(to_plain(checkpoint))))
    with pytest.raises(ModelFileError, match=message) as caught:
        load_checkpoint(path)
    assert str(path) in str(caught.value)
    assert caught.value.exit_status == 2


@pytest.mark.parametrize("name", ["missing.pt", "."])
def test_missing_files_and_folders(tmp_path, name):
    with pytest.raises(ModelFileError, match=r"does not exist|is a folder"):
        load_checkpoint(tmp_path / name)


def drop(key):
    return lambda plain: plain.pop(key)


def put(key, value):
    return lambda plain: plain.__setitem__(key, value)


def put_channels(**changes):
    own = channels_to_plain(channel_counts(backbones.build("lite0", 3, **OPTIONS)))
    return put("channels", {**own, **changes})


def put_weight(value):
    return lambda plain: plain["state_dict"].__setitem__("classifier.bias", value)


def put_task(**changes):
    return lambda plain: plain["task"].update(changes)


def labels_of(*rows):
    return [{"id": id, "name": name} for id, name in rows]


def put_photo(**changes):
    return lambda plain: plain["photos"]["validation"][0].update(changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("edgevision_checkpoint", 3), "version 3, this EdgeVision reads versions up to 2; install the EdgeVision that"),
        (put("edgevision_checkpoint", 0), "version 0, this EdgeVision reads versions up to 2"),
        (put("edgevision_checkpoint", True), "version True"),
        (drop("arch"), "'arch' of a checkpoint is str, got nothing"),
        (put("arch", 5), "'arch' of a checkpoint is str, got int"),
        (put("arch", "lite9"), "networks are lite0"),
        (put("arch", "torchvision:resnet18"), "takes no options"),
        (put("arch_options", {"width": 1e6}), "width of lite0"),
        (put("arch_options", {}), "do not fit lite0 with 3 classes"),
        (put("channels", [1]), "'channels' of a checkpoint is dict or None, got list"),
        (put("channels", {"a": 1}), r"channels of a layer are \[in, out\].*'a': 1"),
        (put("channels", {"a": [1, 1]}), "'a' is not one of them"),
        (put_channels(**{"stem.conv": [3, 24]}), r"do not fit.*stem.conv.weight has shape \(24, 3, 3, 3\)"),
        (put_channels(**{"stem.conv": [3, 1 << 40]}), "1…32 out"),
        (put_channels(classifier=[16, 2]), "an output for each of the 3 classes, got 2"),
        (drop("task"), "'task' of a checkpoint is dict, got nothing"),
        (put("task", "classify"), "'task' of a checkpoint is dict, got str"),
        (put("task", {}), "a task spec has the keys kind, labels, outputs and parameters"),
        (put_task(kind="juggle"), "knows the task 'juggle'; known are classify"),
        (put_task(kind=None), "the kind of a task is a word"),
        (put_task(labels=[]), "at least 2 labels, got 0"),
        (put_task(labels=labels_of((1, "a"), (1, "b"), (2, "c"))), "different ids"),
        (put_task(labels=labels_of(("1", "a"), (1, "b"), (2, "c"))), "a label of a task has as id a int, got '1'"),
        (put_task(labels=[[1, "a"], [2, "b"], [3, "c"]]), "a label of a task has the keys"),
        (put_task(labels=labels_of((1, "a"), (2, "b"))), r"with 2 classes.*classifier.weight has shape \(2, 16\), got \(3, 16\)"),
        (put_task(outputs=[]), "a classifier has one output, got 0"),
        (put_task(outputs=[{"role": "scores", "name": "output", "layout": "scores"}]), "output is one of"),
        (put_task(outputs=[{"role": "boxes", "name": "output", "layout": "logits"}]), "an output for the role 'scores'"),
        (put_task(outputs=[{"role": "scores", "name": "output"}]), "an output of a task has the keys"),
        (put_task(parameters={"threshold": 2.0}), "threshold is within 0…1, got 2.0"),
        (put_task(parameters={"temperature": 10**400}), "temperature is within"),
        (put_task(parameters={"temperature": torch.ones(1)}), "temperature is a finite number"),
        (put_task(parameters={"speed": 1.0}), "temperature, threshold and top"),
        (put("preprocess", {"height": 64}), "preprocess keys"),
        (put("photos", {"calibration": []}), "list 'validation'"),
        (put("photos", {"calibration": [], "judge": []}), "list 'validation'"),
        (put_photo(data=b"bytes"), "flat uint8 tensor"),
        (put_photo(data=torch.zeros(1, dtype=torch.uint8).expand(1 << 40)), "flat uint8 tensor"),
        (put_photo(label=3), r"None or 0…2, got 3"),
        (put_photo(in_training_set=1), "'in_training_set'"),
        (put_photo(source_sha256="5e" * 16), "64 hexadecimal digits"),
        (put_photo(source_sha256=b"5e" * 32), "64 hexadecimal digits"),
        (put("trained_on", ["ab" * 16]), r"uint8 tensor of \[photos, 16\]"),
        (put("trained_on", torch.zeros(2, 32, dtype=torch.uint8)), r"uint8 tensor of \[photos, 16\]"),
        (put("trained_on", torch.zeros(2, 16)), r"uint8 tensor of \[photos, 16\]"),
        (put("trained_on", torch.zeros(1, 16, dtype=torch.uint8).expand(1 << 36, 16)), r"uint8 tensor of"),
        (lambda plain: plain["state_dict"].pop("classifier.bias"), "1 are missing, 'classifier.bias' first"),
        (lambda plain: plain["state_dict"].update(extra=torch.zeros(1)), "1 are unknown, 'extra' first"),
        (put_weight([1.0, 2.0, 3.0]), "got list"),
        (put_weight(torch.zeros(3, dtype=torch.int64)), "is torch.float32, got torch.int64"),
        (put_weight(torch.tensor([1.0, float("nan"), 0.0])), "NaN"),
        (put_weight(torch.zeros(1).expand(3)), "has shape"),
    ],
)  # fmt: skip
def test_contents_that_do_not_fit(checkpoint, tmp_path, change, message):
    plain = to_plain(checkpoint)
    change(plain)
    path = tmp_path / "model.pt"
    torch.save(plain, path)
    with pytest.raises(ModelFileError, match=message):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop("labels"), "a checkpoint of version 1 has 'labels' and 'output'"),
        (drop("output"), "a checkpoint of version 1 has 'labels' and 'output'"),
        (put("labels", "ab"), "a checkpoint of version 1 has 'labels' and 'output'"),
        (put("output", None), "a checkpoint of version 1 has 'labels' and 'output'"),
        (put("labels", []), "at least 2 labels, got 0"),
        (put("labels", [[1, "a"], [1, "b"], [2, "c"]]), "different ids"),
        (put("labels", [["1", "a"], [1, "b"], [2, "c"]]), r"a label is \[id, name\]"),
        (put("labels", [[1], [1, "b"], [2, "c"]]), r"a label is \[id, name\]"),
        (put("labels", [None, [1, "b"], [2, "c"]]), r"a label is \[id, name\]"),
        (put("labels", [[True, "a"], [1, "b"], [2, "c"]]), r"a label is \[id, name\]"),
        (put("labels", [[1, "a"], [2, "b"]]), r"with 2 classes.*classifier.weight has shape \(2, 16\), got \(3, 16\)"),
        (put("output", "scores"), "output is one of"),
        (put("photos", {"calibration": []}), "list 'validation'"),
        (put("photos", [1]), "'photos' of a checkpoint is dict or None, got list"),
        (lambda plain: plain["photos"]["judge"][0].update(seen=1), "'in_training_set'"),
        (lambda plain: plain["photos"]["judge"][0].pop("seen"), "'in_training_set'"),
        (lambda plain: plain["state_dict"].pop("classifier.bias"), "1 are missing, 'classifier.bias' first"),
    ],
)
def test_contents_of_version_1_that_do_not_fit(checkpoint, tmp_path, change, message):
    plain = as_version_1(to_plain(checkpoint))
    change(plain)
    torch.save(plain, tmp_path / "model.pt")
    with pytest.raises(ModelFileError, match=message):
        load_checkpoint(tmp_path / "model.pt")


def test_nothing_is_written_that_cannot_be_read(checkpoint, tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(b"old")
    with pytest.raises(ModelFileError):
        save_checkpoint(path, replace(checkpoint, training={"path": tmp_path}))
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt"]


def test_targets_that_cannot_be_written(checkpoint, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        save_checkpoint(tmp_path / "nowhere" / "model.pt", checkpoint)
    with pytest.raises(EdgeVisionError, match="folder"):
        save_checkpoint(tmp_path, checkpoint)
