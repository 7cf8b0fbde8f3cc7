"""Teaching attributes: what is masked in the loss, rare values that count more, and whole runs of a very small network."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgevision.errors import DataError, InputError
from edgevision.evaluate.data.dataset import read_dataset

pytestmark = pytest.mark.requires("torch")

TABLE = "class,hue,warm,constant,price\nred,red,yes,1,1.10\ngreen,green,no,1,2.20\nblue,blue,,1,3.30\n"


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(TABLE)
    return path


@pytest.fixture
def tiny_attributes(tiny, table, no_augmentation):
    """Makes AttributesTrainOptions for a very small network at 32 pixels."""
    from edgevision.train import AttributesTrainOptions

    shared = tiny()

    def make(**changes):
        names = (
            "data", "output", "arch", "size", "scratch", "arch_options", "batch", "epochs", "threads", "device", "ema", "sizes",
            "warmup_epochs", "save_every_s",
        )  # fmt: skip
        values = {name: getattr(shared, name) for name in names}
        given = {"attributes": table, "heads": ("hue", "warm"), "augmentation": no_augmentation, "freeze_epochs": 0}
        return AttributesTrainOptions(**{**values, **given, **changes})

    return make


# ---- the loss ----


def heads():
    from edgevision.tasks.attributes import AttributesTask, attributes_spec

    return AttributesTask(attributes_spec({"hue": ("blue", "green", "red"), "warm": ("no", "yes")})).heads


def log_chance(logits, place):
    return logits[place] - math.log(math.fsum(math.exp(value) for value in logits))


def test_what_is_not_known_is_masked():
    import torch

    from edgevision.train.masked_loss import attributes_loss

    logits = np.random.default_rng(0).normal(size=(3, 5))
    values = np.array([[2, -1], [0, 1], [-1, -1]])
    ones = [torch.ones(3), torch.ones(2)]
    loss = attributes_loss(torch.tensor(logits), torch.tensor(values), heads(), ones, 0.0)
    hue = -(log_chance(logits[0, :3], 2) + log_chance(logits[1, :3], 0)) / 2
    warm = -log_chance(logits[1, 3:], 1)
    assert float(loss) == pytest.approx((hue + warm) / 2, rel=1e-6)


def test_what_is_not_known_moves_nothing():
    import torch

    from edgevision.train.masked_loss import attributes_loss

    ones = [torch.ones(3), torch.ones(2)]
    logits = torch.zeros(2, 5, requires_grad=True)
    attributes_loss(logits, torch.tensor([[0, -1], [-1, -1]]), heads(), ones, 0.1).backward()
    assert logits.grad[0, :3].abs().min() > 0
    assert float(logits.grad[0, 3:].abs().sum() + logits.grad[1].abs().sum()) == 0
    nothing = attributes_loss(logits, torch.full((2, 2), -1), heads(), ones, 0.1)
    assert nothing.item() == 0
    nothing.backward()  # a batch of which nothing is known does no harm


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_rare_values_count_more(balance):
    from edgevision.train.masked_loss import value_weights

    values = np.array([0] * 90 + [1] * 10 + [-1] * 50)
    weights = value_weights(values, 3, balance)
    assert weights[1] / weights[0] == pytest.approx(9**balance)
    assert (90 * weights[0] + 10 * weights[1]) / 100 == pytest.approx(1)
    assert np.isfinite(weights).all()


# ---- the photos ----


def test_batches_hold_the_values_of_their_photos(colour_photos, no_augmentation):
    from edgevision.train.attributes_batches import AttributesBatchMaker
    from edgevision.train.backbones import default_preprocess
    from edgevision.train.loader import PhotoCache

    dataset = read_dataset(colour_photos)
    values = np.stack([dataset.truth, -np.ones(len(dataset), np.int64)], axis=1)
    maker = AttributesBatchMaker(
        dataset.paths, values, PhotoCache(64, 1 << 20), default_preprocess("lite0", 32), 6, 0, no_augmentation
    )
    batch = maker.make(3, 32)
    again = maker.make(3, 32)
    assert batch.images.shape == (6, 3, 32, 32)
    assert np.array_equal(batch.images, again.images)
    # The photos are of one colour each, RGB: the strongest channel is the class (blue, green, red).
    assert (2 - batch.images.mean(dim=(2, 3)).argmax(1)).tolist() == batch.values[:, 0].tolist()
    assert batch.values[:, 1].tolist() == [-1] * 6


def test_which_attributes_are_learnt(tiny_attributes, other_photos):
    from edgevision.train.data import read_described_data

    data = read_described_data(tiny_attributes(heads=(), val=other_photos))
    names = [label.name for label in data.labels]
    assert names[:5] == ["hue: blue", "hue: green", "hue: red", "warm: no", "warm: yes"]
    assert not any(name.startswith("constant") for name in names)
    assert any("left out: constant" in said for said in data.warnings)
    assert data.val.labels == data.train.labels
    assert {photo.attributes for photo in read_described_data(tiny_attributes()).train} == {(0,), (1, 3), (2, 4)}


def test_what_cannot_be_learnt_is_refused(tiny_attributes, tmp_path, colour_photos):
    from edgevision.train.data import read_described_data

    with pytest.raises(DataError, match="got fewer of 'constant'"):
        read_described_data(tiny_attributes(heads=("hue", "constant")))
    with pytest.raises(DataError, match="no column 'size'"):
        read_described_data(tiny_attributes(heads=("size",)))
    with pytest.raises(DataError, match="Give --attributes"):
        read_described_data(tiny_attributes(attributes=None, heads=()))
    many = tmp_path / "many.csv"
    photos = sorted(colour_photos.rglob("*.png"))
    columns = [f"c{k}" for k in range(50)]
    rows = [f"{path},{','.join(f'v{place}' for _ in columns)}" for place, path in enumerate(photos)]
    many.write_text("\n".join([f"path,{','.join(columns)}", *rows]))
    with pytest.raises(DataError, match=r"1200 values, more than 1000.*--heads"):
        read_described_data(tiny_attributes(data=many, attributes=None, heads=()))


def test_photos_that_can_tell_nothing_of_what_is_learnt_are_refused(tiny_attributes, tmp_path, colour_photos):
    from edgevision.train.data import read_described_data

    photos = sorted(colour_photos.rglob("*.png"))
    tables = {}
    for name, hue in (("train", "{0}"), ("val", "?")):
        rows = [f"{path},{hue.format(path.parent.name)},{place % 2}" for place, path in enumerate(photos)]
        tables[name] = tmp_path / f"{name}.csv"
        tables[name].write_text("\n".join(["path,hue,odd", *rows]))
    options = tiny_attributes(data=tables["train"], val=tables["val"], attributes=None, heads=("hue",))
    with pytest.raises(
        DataError, match=r"no photo of .*val.csv has a known value of what is learnt \(hue\).*leave --val out"
    ):
        read_described_data(options)
    assert read_described_data(tiny_attributes(data=tables["train"], val=tables["val"], attributes=None, heads=())).val


def test_the_table_is_not_written_over(tiny_attributes, table):
    from edgevision.train import train

    with pytest.raises(InputError, match="would be replaced by the checkpoint"):
        train(tiny_attributes(output=table))
    assert table.read_text() == TABLE


def test_options_that_cannot_be_are_refused(tiny_attributes):
    with pytest.raises(InputError, match="class_balance is a number within 0…1"):
        tiny_attributes(class_balance=2)


# ---- whole runs ----


def test_it_learns_and_the_checkpoint_knows_what(tiny_attributes, other_photos):
    import torch

    from edgevision.tasks.attributes import heads_of
    from edgevision.train import load_checkpoint, model_from_checkpoint, train

    result = train(tiny_attributes(epochs=25, batch=12, lr=5e-3, head_lr=1e-2, val=other_photos, patience=None))
    assert result.score.accuracy > 90
    assert set(result.score.heads) == {"hue", "warm"}
    again = load_checkpoint(result.path)
    assert again.task.kind == "attributes"
    assert heads_of(again.labels) == {"hue": ("blue", "green", "red"), "warm": ("no", "yes")}
    assert again.training["attributes"] == {"hue": {"values": 3, "known_of": 24}, "warm": {"values": 2, "known_of": 16}}
    assert {photo.truth for photo in (*again.photos.calibration, *again.photos.validation)} == {(0,), (1, 3), (2, 4)}
    assert model_from_checkpoint(again)(torch.zeros(1, 3, 32, 32)).shape == (1, 5)


@pytest.mark.slow
def test_a_run_that_was_broken_off_ends_with_the_same_weights(tiny_attributes, tmp_path):
    from edgevision.train import load_checkpoint, train, trainer
    from edgevision.train.progress import SilentProgress

    class KilledError(Exception):
        pass

    class KilledAfter(SilentProgress):
        def step(self, report):
            if report.step == 2:
                raise KilledError

    whole = train(tiny_attributes(epochs=1, photos=False, output=tmp_path / "whole.pt"))
    broken = tiny_attributes(epochs=1, photos=False, output=tmp_path / "broken.pt", save_every_s=0.0)
    with pytest.raises(KilledError):
        trainer.train(broken, KilledAfter())
    assert broken.state_path.exists()
    resumed = train(tiny_attributes(epochs=1, photos=False, output=tmp_path / "broken.pt", resume=True))
    for name, value in load_checkpoint(whole.path).state_dict.items():
        assert np.array_equal(value, load_checkpoint(resumed.path).state_dict[name]), name


@pytest.mark.parametrize(
    ("known", "message"),
    [([5], "0…4, got 5"), ([True], "0…4"), ("red", "a list of at most 5 values"), (list(range(6)), "at most 5 values")],
)
def test_a_checkpoint_with_impossible_attributes_is_refused(tiny_attributes, known, message):
    from edgevision.errors import ModelFileError
    from edgevision.tasks.attributes import attributes_spec
    from edgevision.train import backbones
    from edgevision.train.checkpoint import Checkpoint, PackedPhoto, PhotoPack, from_plain, to_plain

    options = tiny_attributes()
    network = backbones.build(options.arch, 5, **options.arch_options)
    photo = PackedPhoto(b"x", None, True, None, None, (0, 3))
    checkpoint = Checkpoint(
        options.arch, network.state_dict(), backbones.default_preprocess("lite0", 32),
        attributes_spec({"hue": ("blue", "green", "red"), "warm": ("no", "yes")}), options.arch_options,
        PhotoPack((photo,), ()),
    )  # fmt: skip
    plain = to_plain(checkpoint)
    assert from_plain(plain, "m.pt").photos.calibration[0] == photo
    plain["photos"]["calibration"][0]["attributes"] = known
    with pytest.raises(ModelFileError, match=message):
        from_plain(plain, "m.pt")
