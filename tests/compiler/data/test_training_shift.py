from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from edgevision.compiler.data.training_shift import training_shift

pytestmark = pytest.mark.requires("torch", "onnx")


def data(seed: int, scale: float = 1.0, offset: float = 0.0) -> list[np.ndarray]:
    """Batches whose channels differ, as colours do: means −0.5, 0.2, 0.9."""
    rng = np.random.default_rng(seed)
    base = np.array([-0.5, 0.2, 0.9], np.float32)[:, None, None]
    return [(rng.normal(0, 1, (16, 3, 12, 12)) * scale + base + offset).astype(np.float32) for _ in range(6)]


def trained() -> nn.Module:
    """A network whose batch norms have seen ``data``."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8, momentum=None),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3),
        nn.BatchNorm2d(8, momentum=None),
    )
    with torch.no_grad():
        for batch in data(0):
            net(torch.from_numpy(batch))
    return net.eval()


def test_photos_like_the_trainings_are_silent() -> None:
    shift = training_shift(trained(), data(1))
    assert shift is not None
    assert shift.shift < 0.1
    assert shift.std_ratio == pytest.approx(1, abs=0.05)
    assert shift.note() == ""


@pytest.mark.parametrize(
    ("batches", "words"),
    [
        (data(1, scale=60), "times as wide"),  # pixels that were never divided
        (data(1, scale=1 / 60), "times as wide"),
        (data(1, offset=4.0), "standard deviations off"),  # a mean that was never taken off
    ],
)
def test_wrong_normalisation_is_noticed(batches: list[np.ndarray], words: str) -> None:
    shift = training_shift(trained(), batches)
    assert shift is not None
    assert words in shift.note()
    assert "--preprocess" in shift.note()


def test_the_network_is_left_as_it_was() -> None:
    net = trained()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    training_shift(net, data(1))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not any(module._forward_pre_hooks for module in net.modules())


def test_without_batch_norm_there_is_nothing_to_compare() -> None:
    assert training_shift(nn.Conv2d(3, 4, 3).eval(), data(0)) is None
