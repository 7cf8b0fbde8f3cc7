"""Whole runs of a very small detector: it learns, what it says is read as it was taught, and it goes on after a kill."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytestmark = pytest.mark.requires("torch")
torch = pytest.importorskip("torch")

from edgevision.errors import DataError, InputError  # noqa: E402
from edgevision.evaluate.data.dataset import read_dataset  # noqa: E402
from edgevision.train import BoxAugmentation, backbones, load_checkpoint, model_from_checkpoint, train, trainer  # noqa: E402
from edgevision.train.detect.network import OUTPUT_NAMES, STRIDES  # noqa: E402
from edgevision.train.progress import SilentProgress  # noqa: E402


class KilledError(Exception):
    pass


class Recorder(SilentProgress):
    def __init__(self):
        self.messages, self.steps, self.epochs = [], [], []

    def message(self, text):
        self.messages.append(text)

    def step(self, report):
        self.steps.append(report)

    def epoch(self, report):
        self.epochs.append(report)


class KilledAtSave:
    """Stands for ``save_state``: after the ``n``-th state is written, the process is gone."""

    def __init__(self, n):
        self.left = n

    def __call__(self, *args):
        real_save_state(*args)
        self.left -= 1
        if self.left == 0:
            raise KilledError


real_save_state = trainer.save_state


def best_by_hand(outputs, label):
    """The box of the cell with the highest logit of ``label``, by the design's words alone: x1 y1 x2 y2."""
    best = None
    for level, stride in enumerate(STRIDES):
        logits, distances = outputs[level][0, label], outputs[len(STRIDES) + level][0]
        row, column = np.unravel_index(np.argmax(logits), logits.shape)
        if best is None or logits[row, column] > best[0]:
            x, y = (column + 0.5) * stride, (row + 0.5) * stride
            left, top, right, bottom = distances[:, row, column] * stride
            best = logits[row, column], [x - left, y - top, x + right, y + bottom]
    return best


def iou(a, b):
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = np.clip(sides, 0, None).prod()
    return shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared)


def test_learns_rectangles_of_three_colours(tiny_detector, boxed_photos, other_boxed_photos):
    """And says where they are as the design has it: read by hand, in photos that it has not seen."""
    options = tiny_detector(
        val=other_boxed_photos, epochs=30, lr=5e-3, head_lr=5e-3, ema=0.9, photos=True,
        augmentation=BoxAugmentation(min_scale=0.8, max_scale=1.2, mosaic=0.3, blur=0, jpeg=0),
    )  # fmt: skip
    recorder = Recorder()
    result = train(options, recorder)
    assert result.score.map50 > 80
    assert recorder.epochs[-1].train_loss < 0.6 * recorder.epochs[0].train_loss
    checkpoint = load_checkpoint(options.output)
    assert checkpoint.training["metrics"]["map50"] == pytest.approx(result.score.map50)
    assert [output.name for output in checkpoint.task.outputs if output.role == "scores_16"] == ["cls_s16"]
    assert {output.name for output in checkpoint.task.outputs} == set(OUTPUT_NAMES)

    from edgevision.decode import read_image
    from edgevision.frames import Frame
    from edgevision.preprocess import Preprocessor

    network, preprocess = model_from_checkpoint(checkpoint), Preprocessor(checkpoint.preprocess)
    overlaps = []
    for photo in read_dataset(other_boxed_photos):
        tensor = np.empty(checkpoint.preprocess.tensor_shape, np.float32)
        preprocess.run(Frame.from_array(read_image(photo.path)), tensor)
        with torch.no_grad():
            outputs = [output.numpy() for output in network(torch.from_numpy(tensor[None]))]
        for box in photo.boxes.boxes:
            _, found = best_by_hand(outputs, box.label)
            # 80×60 letterboxed into 64×64: four fifths, with 8 rows of padding above
            wanted = np.array([box.x1, box.y1, box.x2, box.y2]) * 0.8 + [0, 8, 0, 8]
            overlaps.append(iou(np.array(found), wanted))
    assert np.mean(overlaps) > 0.6
    assert np.median(overlaps) > 0.65

    packed = checkpoint.photos.validation[0]
    assert packed.boxes is not None
    assert (packed.boxes.height, packed.boxes.width) == (60, 80)


@pytest.mark.parametrize("kill_after", [2, 5])
def test_a_killed_run_goes_on_to_the_same_weights(
    tiny_detector, other_boxed_photos, tmp_path, monkeypatch, kill_after
):  # fmt: skip
    """Across mosaics and none, frozen and free steps, sizes, accumulation and epochs."""
    monkeypatch.setattr(backbones, "pretrained", backbones.build)  # so that the head learns alone at first
    options = tiny_detector(
        scratch=False, val=other_boxed_photos, epochs=2.5, freeze_epochs=1, frozen_stages=1, batch=4, accumulate=2,
        sizes=(0.5, 1.0), augmentation=BoxAugmentation(mosaic=0.5, mosaic_until=0.6), patience=9,
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
    assert all(
        torch.equal(resumed.checkpoint.state_dict[name], value)
        for name, value in straight.checkpoint.state_dict.items()
    )
    assert [(e.train_loss, e.score) for e in resumed.epochs] == [(e.train_loss, e.score) for e in straight.epochs]


def test_what_learns_when(tiny_detector, monkeypatch):
    """First neck and head alone, then the later stages too; the first stages keep their weights, and batch norms of the
    features their statistics."""
    monkeypatch.setattr(backbones, "pretrained", backbones.build)
    seen = []

    class Watch(SilentProgress):
        def step(self, report):
            seen.append({name: value.detach().clone() for name, value in run.model.state_dict().items()})

    options = tiny_detector(scratch=False, freeze_epochs=1, frozen_stages=2, epochs=2)
    run = trainer._Run(options, Watch())
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    run._train()

    def changed(a, b):
        return {name for name in a if not torch.equal(a[name], b[name])}

    first, last = changed(before, seen[2]), changed(before, seen[-1])
    assert first
    assert not any(name.startswith("features.") for name in first)
    assert any(name.startswith("neck.") and name.endswith("running_mean") for name in first)
    features = {name for name in last if name.startswith("features.")}
    frozen = [place for place, stage in enumerate(run.model.features.stages) if stage < 2]
    assert features
    assert not any(name.startswith(("features.stem.", *(f"features.blocks.{n}." for n in frozen))) for name in features)
    assert not any("running_" in name for name in features)


def test_a_data_yaml_brings_its_own_validation_photos(tiny_detector, boxed_photos):
    recorder = Recorder()
    result = train(tiny_detector(data=boxed_photos / "data.yaml", epochs=0.4), recorder)
    assert result.checkpoint.training["data"]["val"] == 24
    assert any("training photos too" in message for message in recorder.messages)  # both parts are the same folder


def test_the_checkpoint_of_a_run_without_val_photos_has_no_score(tiny_detector):
    result = train(tiny_detector(epochs=0.4))
    assert result.score is None
    assert load_checkpoint(result.path).task.kind == "detect"


def test_options_and_data_that_cannot_be(tiny_detector, colour_photos):
    with pytest.raises(DataError, match=r"needs photos with boxes.*--task classify"):
        train(tiny_detector(data=colour_photos))
    with pytest.raises(InputError, match="multiple of 32"):
        train(tiny_detector(size=100))
    with pytest.raises(InputError, match="frozen_stages"):
        tiny_detector(frozen_stages=7)
    with pytest.raises(
        InputError, match=r"options of lite0-detect are \['depth', 'neck_channels', 'width'\], got 'dropout'"
    ):
        train(tiny_detector(arch_options={"dropout": 0.1}))
