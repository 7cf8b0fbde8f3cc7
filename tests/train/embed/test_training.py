"""A very small embedder learns to tell colours, writes a checkpoint that says everything, and goes on after a
kill to the same weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.requires("torch")
torch = pytest.importorskip("torch")

from edgevision.errors import DataError, InputError  # noqa: E402
from edgevision.train import EmbedTrainOptions, backbones, load_checkpoint, model_from_checkpoint, train, trainer  # noqa: E402
from edgevision.train.embedder import WithCentres  # noqa: E402
from edgevision.train.progress import SilentProgress  # noqa: E402

real_save_state = trainer.save_state


class KilledError(Exception):
    pass


class KilledAtSave:
    """Stands for ``save_state``: after the ``n``-th state is written, the process is gone."""

    def __init__(self, n):
        self.left = n

    def __call__(self, *args):
        real_save_state(*args)
        self.left -= 1
        if self.left == 0:
            raise KilledError


class Watch(SilentProgress):
    """Keeps the messages, and with ``run`` set the weights after each step."""

    def __init__(self):
        self.messages, self.run, self.weights = [], None, []

    def message(self, text):
        self.messages.append(text)

    def step(self, report):
        if self.run is not None:
            self.weights.append({name: value.detach().clone() for name, value in self.run.model.state_dict().items()})


@pytest.fixture
def tiny_embedder(tmp_path, colour_photos):
    """Makes EmbedTrainOptions for a very small network at 32 pixels."""

    def make(**changes):
        values = {
            "data": colour_photos, "output": tmp_path / "embed.pt", "size": 32, "scratch": True, "dimension": 16,
            "arch_options": {"width": 0.25, "depth": 0.3, "features": 32}, "batch": 8, "epochs": 2, "threads": 1,
            "device": "cpu", "ema": 0.8, "sizes": (1.0,), "warmup_epochs": 0.5, "save_every_s": 1e6, "photos": False,
            "photos_per_product": 3,
        }  # fmt: skip
        return EmbedTrainOptions(**{**values, **changes})

    return make


@pytest.fixture(scope="module")
def five_colours(tmp_path_factory, other_photos):
    """The val photos, and those of two more products."""
    import cv2

    folder = tmp_path_factory.mktemp("val") / "photos"
    folder.mkdir()
    for own in other_photos.iterdir():
        (folder / own.name).symlink_to(own)
    random = np.random.default_rng(3)
    for name, colour in {"violet": (190, 60, 190), "yellow": (40, 190, 190)}.items():
        (folder / name).mkdir()
        for number in range(4):
            picture = np.clip(np.array(colour) * random.uniform(0.5, 1.2) + random.normal(0, 15, (40, 48, 3)), 0, 255)
            cv2.imwrite(str(folder / name / f"{number}.png"), picture.astype(np.uint8))
    return folder


def same_weights(a, b):
    assert set(a.state_dict) == set(b.state_dict)
    return all(torch.equal(a.state_dict[name], value) for name, value in b.state_dict.items())


@pytest.mark.parametrize("loss", ["proxy-anchor", "arcface"])
def test_learns_to_tell_three_colours(tiny_embedder, other_photos, no_augmentation, monkeypatch, loss):
    monkeypatch.setattr(backbones, "pretrained", backbones.build)  # so that it begins with a first look
    options = tiny_embedder(
        scratch=False, val=other_photos, epochs=10, batch=12, lr=5e-3, head_lr=2e-2, loss=loss, frozen_stages=0,
        augmentation=no_augmentation,
    )  # fmt: skip
    result = train(options)
    assert result.epochs[-1].train_loss < 0.5 * result.epochs[0].train_loss
    assert result.score.recall1 >= 90
    assert result.score.unseen_recall1 is None


def test_a_run_writes_a_checkpoint_that_says_everything(tiny_embedder, five_colours):
    options = tiny_embedder(val=five_colours, photos=True, epochs=0.7, pooling="gem")
    result = train(options)
    checkpoint = load_checkpoint(options.output)
    assert same_weights(checkpoint, result.checkpoint)
    assert (checkpoint.arch, checkpoint.task.kind) == ("lite0-embed", "embed")
    assert checkpoint.arch_options["dimension"] == 16
    assert checkpoint.arch_options["pooling"] == "gem"
    assert [output.name for output in checkpoint.task.outputs] == ["output"]
    assert [label.name for label in checkpoint.labels] == ["blue", "green", "red", "violet", "yellow"]
    assert len({label.id for label in checkpoint.labels}) == 5
    assert checkpoint.training["metrics"] == result.score.metrics
    assert set(result.score.metrics) == {"recall1", "margin", "unseen_recall1"}
    assert (checkpoint.training["products"], checkpoint.training["scale"]) == (3, 32.0)
    assert {checkpoint.labels[photo.label].name for photo in checkpoint.photos.validation} <= {
        path.name for path in five_colours.iterdir()
    }
    network = model_from_checkpoint(checkpoint)
    with torch.no_grad():
        assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 16)
    assert not any("centres" in name for name in checkpoint.state_dict)
    assert not options.state_path.exists()


@pytest.mark.parametrize("kill_after", [1, 4])
def test_a_killed_run_goes_on_to_the_same_weights(tiny_embedder, five_colours, tmp_path, monkeypatch, kill_after):
    """Across frozen and free steps, sizes, accumulation, stochastic depth and epochs."""
    monkeypatch.setattr(backbones, "pretrained", backbones.build)  # so that the head learns alone at first
    options = tiny_embedder(
        scratch=False, val=five_colours, epochs=2.5, freeze_epochs=1, frozen_stages=1, batch=4, accumulate=2,
        sizes=(1.0, 1.25), patience=9,
    )  # fmt: skip
    straight = train(options)
    assert straight.steps == 8
    broken = replace(options, output=tmp_path / "broken.pt", save_every_s=0)
    monkeypatch.setattr(trainer, "save_state", KilledAtSave(kill_after))
    with pytest.raises(KilledError):
        train(broken)
    monkeypatch.setattr(trainer, "save_state", real_save_state)
    resumed = train(replace(broken, resume=True))
    assert resumed.steps == 8
    assert same_weights(resumed.checkpoint, straight.checkpoint)
    assert [(e.train_loss, e.score) for e in resumed.epochs] == [(e.train_loss, e.score) for e in straight.epochs]


def test_a_run_does_not_go_on_with_another_loss(tiny_embedder, monkeypatch):
    options = tiny_embedder(epochs=1, save_every_s=0)
    monkeypatch.setattr(trainer, "save_state", KilledAtSave(1))
    with pytest.raises(KilledError):
        train(options)
    with pytest.raises(InputError, match="was begun with another loss"):
        train(replace(options, resume=True, loss="arcface"))


def test_what_learns_when(tiny_embedder, monkeypatch):
    """First the linear layer and the centres alone, then the later stages too; statistics of batch norms stay."""
    monkeypatch.setattr(backbones, "pretrained", backbones.build)
    watch = Watch()
    run = trainer._Run(tiny_embedder(scratch=False, freeze_epochs=1, frozen_stages=2, epochs=2, patience=None), watch)
    assert isinstance(run.model, WithCentres)
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    assert any("first look at 24 photos of 3 products" in message for message in watch.messages)
    watch.run = run
    run._train()

    def changed(after):
        return {name for name, value in after.items() if not torch.equal(before[name], value)}

    assert changed(watch.weights[2]) == {"centres", "embedder.projection.weight", "embedder.projection.bias"}
    last = changed(watch.weights[-1])
    first = [place for place, stage in enumerate(run.model.embedder.stages) if stage < 2]
    frozen = ("embedder.stem.", *(f"embedder.blocks.{place}." for place in first))
    assert any(name.startswith("embedder.blocks.") for name in last)
    assert not any(name.startswith(frozen) or "running_" in name for name in last)


def test_products_without_photos_have_no_centre(tiny_embedder, colour_photos, tmp_path):
    names = tmp_path / "names.csv"
    names.write_text("name,id\nblue,4\ngreen,5\npear,6\nred,7\n")
    run = trainer._Run(tiny_embedder(labels=names), SilentProgress())
    assert run.model.centres.shape == (3, 16)
    assert [label.name for label in run.training.task.labels] == ["blue", "green", "pear", "red"]
    assert not run.data.warnings


def test_options_and_data_that_cannot_be(tiny_embedder, colour_photos):
    listed = Path(tiny_embedder().output).with_name("one.txt")
    listed.write_text("".join(f"{path}, red\n" for path in (colour_photos / "red").iterdir()))
    with pytest.raises(DataError, match="at least 2 classes"):
        train(tiny_embedder(data=listed))
    with pytest.raises(InputError, match=r"--task embed trains lite0-embed, .*got --arch lite0"):
        train(tiny_embedder(arch="lite0"))
    for changes, message in (
        ({"loss": "triplet"}, "loss is proxy-anchor or arcface, got 'triplet'"), ({"pooling": "max"}, "pooling is average or gem"),
        ({"dimension": 8}, "dimension is a whole number within 16"), ({"hard_share": 1.5}, "hard_share"),
        ({"photos_per_product": 0}, "photos_per_product"), ({"margin": -1}, "margin"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=message):
            tiny_embedder(**changes)
