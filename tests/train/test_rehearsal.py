"""What does not fit is said before the first epoch, with the option that helps."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgevision.errors import EdgeVisionError, InputError
from edgevision.train import backbones, classifier, train
from edgevision.train.classifier import ClassifyTraining
from edgevision.train.compute import Compute
from edgevision.train.progress import SilentProgress
from edgevision.train.rehearsal import first_not_finite, memory_errors, rehearse, rehearse_teacher

pytestmark = pytest.mark.requires("torch")

CPU = Compute(torch.device("cpu"), bfloat16=False)


class Steps(SilentProgress):
    def __init__(self):
        self.done = 0

    def step(self, report):
        self.done += 1


class Small(nn.Module):
    """Halves the picture twice, as kernels without padding do, and wants at least ``least`` pixels; batch norm at the end."""

    def __init__(self, least=32, classes=3):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AvgPool2d(least - 2))
        self.norm = nn.BatchNorm1d(4)
        self.classifier = nn.Linear(4, classes)

    def forward(self, x):
        return self.classifier(self.norm(self.features(x).amax((2, 3))))


def frozen(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def test_nothing_changes_where_all_fits():
    network = Small()
    before, training = frozen(network), network.training
    rehearse("small", network, 8, 64, (0.5, 1.0), CPU, frozen_statistics=False)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert network.training is training
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize(
    ("least", "size", "shares", "wanted"),
    [
        (48, 32, (1.0,), 48),  # the model's own pictures are too small
        (48, 64, (0.5,), 88),  # those that training begins with are: half of 88 is 44, and sides are multiples of 8
        (48, 32, (2.0,), 48),  # those to validate with are, and not those to learn from
    ],
)
def test_pictures_that_are_too_small(least, size, shares, wanted):
    """The right --size by construction; and with it, all fits."""
    with pytest.raises(InputError, match=rf"small needs pictures of {least} pixels.*Give --size {wanted} or more"):
        rehearse("small", Small(least), 8, size, shares, CPU, frozen_statistics=False)
    rehearse("small", Small(least), 8, wanted, shares, CPU, frozen_statistics=False)


def test_a_batch_of_one_in_batch_norm():
    with pytest.raises(InputError, match=r"one photo at a time on pictures of 32 pixels.*--batch 2 or more"):
        rehearse("small", Small(), 1, 32, (1.0,), CPU, frozen_statistics=False)
    rehearse("small", Small(), 2, 32, (1.0,), CPU, frozen_statistics=False)
    rehearse("small", Small(), 1, 32, (1.0,), CPU, frozen_statistics=True)  # constants need no batch


def test_a_batch_of_one_is_not_blamed_for_pictures_that_are_too_small():
    with pytest.raises(InputError, match="--size 48"):
        rehearse("small", Small(48), 1, 32, (1.0,), CPU, frozen_statistics=False)


def test_what_no_size_mends_is_said_as_it_is():
    class Broken(nn.Module):
        def forward(self, x):
            return x @ torch.ones(7, 7)

    with pytest.raises(EdgeVisionError, match=r"small cannot be trained on pictures of 32×32 pixels: .+"):
        rehearse("small", Broken(), 4, 32, (1.0,), CPU, frozen_statistics=False)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_numbers(value):
    network = Small()
    with torch.no_grad():
        network.classifier.weight[1, 2] = value
    assert first_not_finite(network.state_dict()) == "classifier.weight: 1 of 12"
    with pytest.raises(EdgeVisionError, match=r"not all numbers \(classifier\.weight: 1 of 12\)"):
        rehearse("small", network, 4, 32, (1.0,), CPU, frozen_statistics=False)


def test_weights_that_are_numbers_and_give_none():
    network = Small()
    with torch.no_grad():
        network.classifier.weight.fill_(3e38)
        network.norm.bias.fill_(10)
    assert first_not_finite(network.state_dict()) is None
    with pytest.raises(EdgeVisionError, match="not a number before it has learnt anything"):
        rehearse("small", network, 4, 32, (1.0,), CPU, frozen_statistics=False)


def test_denormal_weights_are_numbers():
    network = Small()
    with torch.no_grad():
        network.classifier.weight.fill_(1e-42)
    rehearse("small", network, 4, 32, (1.0,), CPU, frozen_statistics=False)


# ---- whole runs ----

# Options of a run → what is said. torchvision's inception_v3 needs 75 pixels and its alexnet 63; sizes go up by eights.
RUNS = {
    "inception at 64": (
        {"arch": "torchvision:inception_v3", "size": 64, "sizes": (1.0,)},
        r"inception_v3 needs pictures of 80 pixels.*--size 80 or more",
    ),
    "alexnet at 32": (
        {"arch": "torchvision:alexnet", "size": 32, "sizes": (1.0,)},
        r"alexnet needs pictures of 64 pixels",
    ),
    "lite0 one by one": (
        {"arch": "lite0", "batch": 1, "arch_options": {"width": 0.25, "depth": 0.3, "features": 32}},
        "lite0 cannot learn from one photo at a time.*--batch 2",
    ),
}


@pytest.mark.parametrize(("changes", "message"), RUNS.values(), ids=RUNS)
def test_runs_are_refused_before_the_first_step(tiny, changes, message):
    steps = Steps()
    options = tiny(**{"arch_options": {}, **changes})
    with pytest.raises(InputError, match=message):
        train(options, steps)
    assert steps.done == 0
    assert not options.output.exists()


def test_no_batch_is_of_one_photo(tiny, monkeypatch):
    """24 photos in batches of 23: the stream goes on into the next pass, so that no batch is short."""
    sizes = []
    real = ClassifyTraining.loss

    def watched(training, network, batch):
        sizes.append(len(batch.images))
        return real(training, network, batch)

    monkeypatch.setattr(ClassifyTraining, "loss", watched)
    train(tiny(batch=23, epochs=3, photos=False))
    assert set(sizes) == {23}
    assert len(sizes) == 4


def test_memory_that_runs_out_names_the_options(tiny, monkeypatch):
    """PyTorch's own error, of a tensor that no machine holds."""
    monkeypatch.setattr(classifier, "label_loss", lambda logits, targets, smoothing: torch.empty(1 << 50).sum())
    with pytest.raises(EdgeVisionError, match=r"memory ran out while training\. .*smaller --batch.*--accumulate"):
        train(tiny(photos=False))


def test_other_errors_are_left_as_they_are():
    with pytest.raises(RuntimeError, match="something else"), memory_errors():
        raise RuntimeError("something else")
    with pytest.raises(EdgeVisionError, match="memory ran out"), memory_errors():
        raise MemoryError


def test_a_teacher_that_wants_larger_pictures():
    with pytest.raises(
        InputError, match=r"teacher cannot answer for pictures of 40×40 pixels.*larger --size or another"
    ):
        rehearse_teacher(Small(48), 80, (0.5,), CPU)
    rehearse_teacher(Small(48), 96, (0.5,), CPU)


def test_runs_rehearse_their_teacher(tiny, tmp_path, monkeypatch):
    teacher = tiny(output=tmp_path / "teacher.pt", epochs=0.3, photos=False)
    train(teacher)

    def refuse(self, images):
        raise RuntimeError("Kernel size can't be greater than actual input size")

    monkeypatch.setattr(classifier.Teacher, "logits", refuse)
    steps = Steps()
    with pytest.raises(InputError, match="the teacher cannot answer"):
        train(tiny(teacher=teacher.output), steps)
    assert steps.done == 0


def test_spoilt_imagenet_weights_are_refused(tiny, monkeypatch):
    def spoilt(arch, classes, **options):
        network = backbones.build(arch, classes, **options)
        with torch.no_grad():
            network.stem.conv.weight[0] = float("nan")
        return network

    monkeypatch.setattr(backbones, "pretrained", spoilt)
    with pytest.raises(EdgeVisionError, match=r"lite0 starts with are not all numbers \(stem\.conv\.weight: 27 of"):
        train(tiny(scratch=False))
