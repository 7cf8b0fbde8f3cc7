"""Fine-tuning brings a network nearer to its teacher, within its time, the same each time, and touches neither."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from edgevision.errors import EdgeVisionError, InputError
from edgevision.evaluate.data.dataset import read_dataset
from edgevision.preprocess.spec import preset
from edgevision.tasks.results import Label
from edgevision.train import backbones
from edgevision.train.efficientnet_lite import ConvNorm
from edgevision.train.finetune import FineTuneOptions, PhotosInMemory, fine_tune
from edgevision.train.loader import PhotoCache, normalise
from edgevision.train.objective import distillation_loss

pytestmark = pytest.mark.requires("torch")

SPEC = preset("lite", 32, 32)
QUICK = FineTuneOptions(epochs=6, batch=8, lr=3e-3, mixup=0, cutmix=0, ema=0.8, threads=1, device="cpu")


@pytest.fixture(scope="module")
def photos(colour_photos):
    return read_dataset(colour_photos)


def network(seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return backbones.build("lite0", 3, width=0.25, depth=0.3, features=32, drop_path=0.0).eval()


def pictures(photos):
    cache = PhotoCache(32, 1 << 20)
    import cv2

    return normalise(np.stack([cv2.resize(cache.read(path), (32, 32)) for path in photos.paths]), SPEC)


def same(a, b):
    return all(torch.equal(value, b.state_dict()[name]) for name, value in a.state_dict().items())


def test_comes_nearer_to_the_teacher(photos, no_augmentation):
    student, teacher = network(1), network(2)
    with torch.no_grad():  # a teacher that is sure of itself
        teacher.classifier.weight.mul_(100)
    options = replace(QUICK, epochs=20, distil_weight=1.0, augmentation=no_augmentation)
    done = fine_tune(student, teacher, photos, SPEC, options)
    x = pictures(photos)
    with torch.no_grad():
        before, after = (float(distillation_loss(net(x), teacher(x), 2.0)) for net in (student, done.network))
    assert after < 0.5 * before
    assert not done.network.training
    assert not any(layer.frozen for layer in done.network.modules() if isinstance(layer, ConvNorm))
    assert done.steps == 60
    assert same(student, network(1))
    assert all(p.device.type == "cpu" for p in done.network.parameters())
    norms = [name for name in student.state_dict() if "running" in name]
    assert all(torch.equal(student.state_dict()[name], done.network.state_dict()[name]) for name in norms)


def test_the_same_seed_gives_the_same_weights(photos):
    a, b, c = (fine_tune(network(1), network(2), photos, SPEC, replace(QUICK, seed=seed)) for seed in (4, 4, 5))
    assert same(a.network, b.network)
    assert not same(a.network, c.network)


@pytest.mark.parametrize(("share", "side"), [(1.0, 64), (0.75, 48)])
def test_pictures_have_their_share_of_the_size(photos, share, side):
    seen = set()

    class Watched(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            seen.add(tuple(x.shape[2:]))
            return self.inner(x)

    options = replace(QUICK, epochs=1, size_share=share)
    fine_tune(network(1), Watched(network(2)), photos, preset("lite", 64, 64), options)
    assert seen == {(side, side)}


def test_photos_in_memory_are_as_good(photos):
    packed = PhotosInMemory(tuple(path.read_bytes() for path in photos.paths), photos.truth, photos.labels)
    a, b = (fine_tune(network(1), network(2), source, SPEC, QUICK) for source in (photos, packed))
    assert same(a.network, b.network)


def test_ends_with_its_time(photos):
    steps = []
    options = replace(QUICK, epochs=1e5, minutes=0.01)
    done = fine_tune(network(1), network(2), photos, SPEC, options, lambda *step: steps.append(step))
    assert 0 < done.steps < steps[0][1] == 300_000
    assert [done_steps for done_steps, _, _ in steps] == list(range(1, done.steps + 1))


def test_divergence_is_reported(photos):
    teacher = network(2)
    with torch.no_grad():
        teacher.classifier.bias.fill_(float("nan"))
    with pytest.raises(EdgeVisionError, match=r"loss became nan at step 1"):
        fine_tune(network(1), teacher, photos, SPEC, QUICK)


def test_nothing_to_learn_from():
    with pytest.raises(InputError, match="labelled photos"):
        fine_tune(network(1), network(2), PhotosInMemory((), np.zeros(0, np.int64), (Label(0, "a"),)), SPEC)


@pytest.mark.parametrize(
    "changes", [{"epochs": 0}, {"minutes": -1}, {"batch": 0}, {"lr": -1}, {"distil_weight": 2}, {"size_share": 0}]
)
def test_options_that_cannot_be(changes):
    with pytest.raises(InputError):
        replace(QUICK, **changes)
