from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from edgevision.errors import InputError
from edgevision.preprocess.spec import ColorOrder, PreprocessSpec
from edgevision.tasks.classify import classify_spec
from edgevision.tasks.results import Label
from edgevision.train import backbones
from edgevision.train.checkpoint import Checkpoint, model_from_checkpoint, save_checkpoint
from edgevision.train.ema import Ema
from edgevision.train.loader import normalise
from edgevision.train.objective import Teacher, distillation_loss, label_loss

pytestmark = pytest.mark.requires("torch")

LABELS = (Label(1, "a"), Label(2, "b"), Label(3, "c"))
OPTIONS = {"width": 0.25, "depth": 0.3, "features": 16}


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def test_losses_are_their_formulas():
    random = np.random.default_rng(0)
    student, teacher = random.normal(size=(5, 4)), random.normal(size=(5, 4))
    targets = softmax(random.normal(size=(5, 4)))
    smooth = 0.9 * targets + 0.1 / 4
    expected = -(smooth * np.log(softmax(student))).sum(1).mean()
    got = label_loss(torch.tensor(student), torch.tensor(targets).float(), 0.1)
    assert float(got) == pytest.approx(expected, rel=1e-6)
    p, q = softmax(teacher / 3), softmax(student / 3)
    expected = 9 * (p * np.log(p / q)).sum(1).mean()
    assert float(distillation_loss(torch.tensor(student), torch.tensor(teacher), 3.0)) == pytest.approx(
        expected, rel=1e-5
    )
    assert float(distillation_loss(torch.tensor(teacher), torch.tensor(teacher), 3.0)) == pytest.approx(0, abs=1e-7)


@pytest.fixture(scope="module")
def teacher_checkpoint(tmp_path_factory):
    torch.manual_seed(5)
    spec = PreprocessSpec(48, 48, color=ColorOrder.BGR, mean=(10.0, 20.0, 30.0), std=(50.0, 60.0, 70.0))
    state = backbones.build("lite0", 3, **OPTIONS).state_dict()
    state["classifier.weight"] *= 100
    checkpoint = Checkpoint("lite0", state, spec, classify_spec(LABELS), OPTIONS)
    path = tmp_path_factory.mktemp("teacher") / "teacher.pt"
    save_checkpoint(path, checkpoint)
    return path, checkpoint


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2)])
def test_a_teacher_answers_in_the_students_terms(teacher_checkpoint, order):
    path, checkpoint = teacher_checkpoint
    pixels = np.random.default_rng(1).integers(0, 256, (2, 48, 48, 3), dtype=np.uint8)
    student = backbones.default_preprocess("lite0", 48)
    teacher = Teacher(path, [LABELS[i] for i in order], student, torch.device("cpu"))
    expected = model_from_checkpoint(checkpoint)(normalise(pixels, checkpoint.preprocess))[:, list(order)]
    got = teacher.logits(normalise(pixels, student))
    assert expected.std() > 0.1
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-4)
    assert not got.requires_grad


def test_a_larger_teacher_sees_larger_pictures(teacher_checkpoint, monkeypatch):
    path, _ = teacher_checkpoint
    teacher = Teacher(path, LABELS, backbones.default_preprocess("lite0", 32), torch.device("cpu"))
    seen = []
    monkeypatch.setattr(teacher, "_model", lambda images: (seen.append(tuple(images.shape)), torch.zeros(2, 3))[1])
    teacher.logits(torch.zeros(2, 3, 24, 24))
    assert seen == [(2, 3, 36, 36)]


def test_a_teacher_of_other_classes_is_refused(teacher_checkpoint, tmp_path):
    path, checkpoint = teacher_checkpoint
    student = backbones.default_preprocess("lite0", 32)
    with pytest.raises(InputError, match=r"does not know 1 of the 2 classes, 'd' first"):
        Teacher(path, [LABELS[0], Label(9, "d")], student, torch.device("cpu"))
    save_checkpoint(tmp_path / "p.pt", replace(checkpoint, task=classify_spec(LABELS, "probabilities")))
    with pytest.raises(InputError, match="a teacher gives logits"):
        Teacher(tmp_path / "p.pt", LABELS, student, torch.device("cpu"))


def test_ema_is_its_closed_form():
    """After n steps: d^n·w₀ + (1-d)·Σ d^(n-i)·wᵢ; counters are copied."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)).double()
    ema, decay, steps = Ema(model), 0.9, 7
    expected = {name: decay**steps * value.clone() for name, value in model.state_dict().items()}
    for i in range(1, steps + 1):
        for name, value in model.state_dict().items():
            value.copy_(torch.randn_like(value) if value.is_floating_point() else torch.tensor(i))
            if value.is_floating_point():
                expected[name] += (1 - decay) * decay ** (steps - i) * value
        ema.update(model, decay)
    for name, value in ema.model.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, expected[name], rtol=1e-12, atol=1e-12)
        else:
            assert int(value) == steps
    assert not ema.model.training
    assert not any(parameter.requires_grad for parameter in ema.model.parameters())
