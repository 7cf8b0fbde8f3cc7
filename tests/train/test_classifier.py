"""The loss of a classifier: photos of its classes, a teacher's answers, photos of none of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from edgevision.train.classifier import ClassifyTraining
from edgevision.train.compute import choose_compute
from edgevision.train.loader import Batch
from edgevision.train.progress import SilentProgress

pytestmark = pytest.mark.requires("torch")


class Answers(nn.Module):
    """Gives these logits, whatever it sees."""

    def __init__(self, rows):
        super().__init__()
        self.rows = torch.from_numpy(rows).float()

    def forward(self, images):
        return self.rows[: len(images)]


def log_softmax(x):
    return x - x.max(1, keepdims=True) - np.log(np.exp(x - x.max(1, keepdims=True)).sum(1, keepdims=True))


@pytest.mark.parametrize("taught", [False, True])
@pytest.mark.parametrize(("ood", "weight"), [(0, 0.5), (2, 0.5), (2, 0.0), (3, 2.0)])
def test_the_loss_is_its_formula(tiny, unknown_photos, ood, weight, taught):
    random = np.random.default_rng(ood)
    logits, taught_logits = random.normal(size=(5 + ood, 3)), random.normal(size=(5 + ood, 3))
    targets = np.vstack([np.eye(3)[random.integers(3, size=5)], np.full((ood, 3), 1 / 3)])
    options = tiny(
        ood_data=unknown_photos, ood_weight=weight, label_smoothing=0.1, distil_weight=0.3, distil_temperature=2.0
    )
    training = ClassifyTraining(options, choose_compute("cpu"), SilentProgress())
    if taught:
        training._teacher = Answers(taught_logits)
        training._teacher.logits = training._teacher.forward  # of all rows that it is shown
    batch = Batch(torch.zeros(5 + ood, 3, 32, 32), torch.from_numpy(targets).float(), ood)

    says = log_softmax(logits)
    expected = -((0.9 * targets[:5] + 0.1 / 3) * says[:5]).sum(1).mean()
    if taught:
        p, q = log_softmax(taught_logits[:5] / 2), log_softmax(logits[:5] / 2)
        expected = 0.7 * expected + 0.3 * 4 * (np.exp(p) * (p - q)).sum(1).mean()
    if ood:
        expected += weight * -says[5:].mean(1).mean()
    assert float(training.loss(Answers(logits), batch)) == pytest.approx(expected, rel=1e-5)
