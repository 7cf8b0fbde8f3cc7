"""A very small detector learns, what it says is read as it was taught, and a run goes on after a kill to the same weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytestmark = pytest.mark.requires("torch")
torch = pytest.importorskip("torch")

from edgevision.errors import DataError, InputError  # noqa: E402
from edgevision.evaluate.data.dataset import read_dataset  # noqa: E402
from edgevision.preprocess import Fit  # noqa: E402
from edgevision.train import BoxAugmentation, backbones, load_checkpoint, model_from_checkpoint, train, trainer  # noqa: E402
from edgevision.train.compute import Compute  # noqa: E402
from edgevision.train.detect.batches import BoxBatchMaker  # noqa: E402
from edgevision.train.detect.losses import detection_loss  # noqa: E402
from edgevision.train.detect.validate import BoxValidation  # noqa: E402
from edgevision.train.detector import DetectTraining, lite_detect_spec  # noqa: E402
from edgevision.train.lite_detector import OUTPUT_NAMES, STRIDES, read_answers  # noqa: E402
from edgevision.train.loader import PhotoCache  # noqa: E402
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
    return best[1]


def iou(a, b):
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = np.clip(sides, 0, None).prod()
    return shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared)


STILL = BoxAugmentation(
    min_scale=1, max_scale=1, max_aspect=1, flip=0, mosaic=0, brightness=0, contrast=0, saturation=0, white_balance=0,
    blur=0, jpeg=0,
)  # fmt: skip


def test_learns_rectangles_of_three_colours_by_heart(boxed_photos):
    """And says where they are as the design has it: read by hand, in the pixels of the tensor."""
    spec = backbones.default_preprocess("lite0-detect", 64)
    maker = BoxBatchMaker(read_dataset(boxed_photos), PhotoCache(128, 1 << 28), spec, 8, 0, STILL)
    batch = maker.make(0, 64, 0.0)
    torch.manual_seed(0)
    network = backbones.build("lite0-detect", 3, width=0.25, depth=0.3, neck_channels=16).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    losses = []
    for _ in range(90):
        loss = detection_loss(read_answers(network(batch.images)), batch.targets)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    overlaps = []
    with torch.no_grad():
        outputs = [output.numpy() for output in network.eval()(batch.images).values()]
    for row in range(8):
        for box, label in zip(batch.targets.boxes[row].numpy(), batch.targets.classes[row].tolist(), strict=True):
            if label >= 0:
                found = best_by_hand([output[row : row + 1] for output in outputs], label)
                overlaps.append(iou(np.array(found), box))
    assert len(overlaps) > 8
    assert np.median(overlaps) > 0.6


def test_a_run_writes_a_checkpoint_that_says_everything(tiny_detector, other_boxed_photos):
    options = tiny_detector(val=other_boxed_photos, photos=True, epochs=0.7, augmentation=STILL)
    result = train(options)
    checkpoint = load_checkpoint(options.output)
    assert (checkpoint.arch, checkpoint.task.kind) == ("lite0-detect", "detect")
    assert {output.role: output.name for output in checkpoint.task.outputs}["scores_16"] == "cls_s16"
    assert {output.name for output in checkpoint.task.outputs} == set(OUTPUT_NAMES)
    assert checkpoint.preprocess.fit is Fit.LETTERBOX
    assert checkpoint.training["metrics"] == result.score.metrics
    assert not options.state_path.exists()
    network = model_from_checkpoint(checkpoint)
    assert all(torch.equal(network.state_dict()[name], value) for name, value in checkpoint.state_dict.items())
    dataset = read_dataset(other_boxed_photos)
    truths = {photo.boxes for photo in dataset}
    assert checkpoint.photos.validation
    assert all(photo.boxes in truths for photo in checkpoint.photos.validation)  # small photos travel as they are
    assert all(photo.label is None for photo in checkpoint.photos.validation)


class Sees(torch.nn.Module):
    """A detector that knows: answers each picture in turn with exactly its boxes, from one cell each."""

    def __init__(self, truths, scale, top):
        super().__init__()
        self.truths, self.scale, self.top = list(truths), scale, top

    def forward(self, images):
        outputs = [torch.full((len(images), 3, 64 // s, 64 // s), -20.0) for s in STRIDES]
        outputs += [torch.zeros(len(images), 4, 64 // s, 64 // s) for s in STRIDES]
        for row in range(len(images)):
            for box in self.truths.pop(0).boxes:
                x1, y1, x2, y2 = (v * self.scale + shift for v, shift in zip(box[1:5], (0, self.top) * 2, strict=True))
                column, line = int((x1 + x2) / 16), int((y1 + y2) / 16)
                x, y = 8 * (column + 0.5), 8 * (line + 0.5)
                outputs[0][row, box.label, line, column] = 4.0
                outputs[3][row, :, line, column] = torch.tensor([x - x1, y - y1, x2 - x, y2 - y]) / 8
        return dict(zip(OUTPUT_NAMES, outputs, strict=True))


def test_who_is_right_everywhere_has_a_full_score(boxed_photos):
    """80×60 letterboxed into 64×64: four fifths, with 8 rows of padding above."""
    dataset = read_dataset(boxed_photos)
    spec = backbones.default_preprocess("lite0-detect", 64)
    truths = [photo.boxes for photo in dataset]
    compute = Compute(torch.device("cpu"), bfloat16=False)
    validation = BoxValidation(dataset, spec, lite_detect_spec(dataset.labels, spec))
    assert validation.score(Sees(truths, 0.8, 8), compute).metrics == pytest.approx(
        {"map50_95": 100, "map50": 100, "map75": 100}
    )
    shifted = validation.score(Sees(truths, 0.8, 11), compute)  # all boxes three pixels too low
    assert shifted.map50 > 90
    assert shifted.map50_95 < 75
    assert validation.score(Sees(truths[::-1], 0.8, 8), compute).map50 < 60


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


def test_the_checkpoint_of_a_run_without_val_photos_has_no_score(tiny_detector, boxed_photos):
    result = train(tiny_detector(data=boxed_photos / "images", epochs=0.4))  # without the data.yaml beside it
    assert result.score is None
    assert load_checkpoint(result.path).task.kind == "detect"


@pytest.mark.parametrize(("size", "shares", "sides"), [(64, (0.8, 1.0), [64, 64]), (96, (0.8, 1.0), [64, 96])])
def test_pictures_to_learn_from_have_whole_cells_at_every_level(tiny_detector, monkeypatch, size, shares, sides):
    seen = []
    real = DetectTraining.make_batch

    def watched(training, number, size, progress):
        seen.append(size)
        return real(training, number, size, progress)

    monkeypatch.setattr(DetectTraining, "make_batch", watched)
    train(tiny_detector(size=size, sizes=shares, epochs=0.7, batch=4))
    assert list(dict.fromkeys(seen)) == list(dict.fromkeys(sides))


def test_options_and_data_that_cannot_be(tiny_detector, colour_photos):
    with pytest.raises(InputError, match="--task detect trains lite0-detect, got --arch lite0"):
        train(tiny_detector(arch="lite0"))
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
