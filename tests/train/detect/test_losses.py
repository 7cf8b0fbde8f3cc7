"""Losses against the published formulas, in float64 NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytestmark = pytest.mark.requires("torch")
torch = pytest.importorskip("torch")

from edgevision.train.detect.assign import PADDING, Targets, assign  # noqa: E402
from edgevision.train.detect.augment import IGNORED  # noqa: E402
from edgevision.train.detect.losses import complete_iou_loss, detection_loss, varifocal_loss  # noqa: E402
from edgevision.train.lite_detector import STRIDES, Answers, cell_centres  # noqa: E402


def test_varifocal_loss():
    random = np.random.default_rng(0)
    logits = random.normal(0, 3, 200)
    quality = np.where(random.random(200) < 0.5, random.random(200), 0.0)
    p = 1 / (1 + np.exp(-logits))
    entropy = -(quality * np.log(p) + (1 - quality) * np.log(1 - p))
    expected = np.where(quality > 0, quality, 0.75 * p**2) * entropy
    got = varifocal_loss(torch.as_tensor(logits), torch.as_tensor(quality)).numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-9)


def complete_iou(a, b):
    """1 - CIoU of two boxes, in plain Python."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    iou = shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)
    middles = ((a[0] + a[2] - b[0] - b[2]) / 2) ** 2 + ((a[1] + a[3] - b[1] - b[3]) / 2) ** 2
    diagonal = (max(a[2], b[2]) - min(a[0], b[0])) ** 2 + (max(a[3], b[3]) - min(a[1], b[1])) ** 2
    v = (2 / math.pi * (math.atan((b[2] - b[0]) / (b[3] - b[1])) - math.atan((a[2] - a[0]) / (a[3] - a[1])))) ** 2
    return 1 - iou + middles / diagonal + (v * v / (1 - iou + v) if v else 0.0)


def test_complete_iou_loss():
    random = np.random.default_rng(1)
    corners = random.uniform(0, 50, (2, 60, 2))
    a, b = np.concatenate([corners, corners + random.uniform(3, 30, (2, 60, 2))], 2)
    b[:20] = a[:20] + random.normal(0, 0.5, (20, 4))  # near ones too
    got = complete_iou_loss(torch.as_tensor(a), torch.as_tensor(b)).numpy()
    np.testing.assert_allclose(got, [complete_iou(x, y) for x, y in zip(a, b, strict=True)], rtol=1e-6)


def test_equal_boxes_cost_nothing_and_odd_ones_stay_finite():
    box = torch.tensor([[1.0, 2, 30, 40]])
    assert float(complete_iou_loss(box, box)) == pytest.approx(0, abs=1e-6)
    odd = torch.tensor([[5.0, 5, 5, 5], [9.0, 9, 4, 4], [0.0, 0, 1e4, 1e-3]], requires_grad=True)
    loss = complete_iou_loss(odd, box.expand(3, 4))
    loss.sum().backward()
    assert bool(torch.isfinite(loss).all())
    assert bool(torch.isfinite(odd.grad).all())


@pytest.mark.parametrize("start", [[-30.0, -30, -10, -10], [60.0, 5, 80, 90], [20.0, 18, 24, 21]])
def test_following_the_gradient_leads_a_box_to_its_product(start):
    """Also from beside it, where plain IoU says nothing."""
    wanted = torch.tensor([[10.0, 12, 30, 40]])
    box = torch.tensor([start], requires_grad=True)
    optimizer = torch.optim.Adam([box], lr=1.0)
    for _ in range(150):
        optimizer.zero_grad()
        complete_iou_loss(box, wanted).sum().backward()
        optimizer.step()
    np.testing.assert_allclose(box.detach().numpy(), wanted.numpy(), atol=1.0)


def answers(seed, size=32, classes=2):
    random = np.random.default_rng(seed)
    centres = torch.cat([cell_centres(size // s, size // s, s) for s in STRIDES])
    strides = torch.cat([torch.full(((size // s) ** 2,), float(s)) for s in STRIDES])
    logits = torch.as_tensor(random.normal(-1, 1, (2, len(centres), classes)), dtype=torch.float32)
    half = torch.as_tensor(random.uniform(4, 14, (2, len(centres), 4)), dtype=torch.float32)
    boxes = torch.cat([centres - half[..., :2], centres + half[..., 2:]], 2)
    return Answers(logits, boxes, centres, strides)


def test_the_loss_of_a_batch_is_its_parts_added_up():
    given = answers(0)
    targets = Targets(
        torch.tensor([[[2.0, 3, 20, 25], [15.0, 1, 31, 30]], [[0.0, 0, 16, 16], [0.0, 0, 0, 0]]]),
        torch.tensor([[1, 0], [IGNORED, PADDING]]),
    )
    product, quality, counts = (value.numpy() for value in assign(given, targets))
    score = box = 0.0
    for n in range(2):
        for cell in range(given.logits.shape[1]):
            for label in range(2):
                owner = product[n, cell]
                q = quality[n, cell] if owner >= 0 and targets.classes[n, owner] == label else 0.0
                p = 1 / (1 + math.exp(-float(given.logits[n, cell, label])))
                weight = q if q > 0 else 0.75 * p**2
                score += counts[n, cell] * weight * -(q * math.log(p) + (1 - q) * math.log(1 - p))
            if product[n, cell] >= 0:
                pair = given.boxes[n, cell].tolist(), targets.boxes[n, product[n, cell]].tolist()
                box += complete_iou(*pair)
    expected = score / max(1.0, quality.sum()) + 2.5 * box / (product >= 0).sum()
    assert float(detection_loss(given, targets)) == pytest.approx(expected, rel=1e-5)
    assert quality.sum() > 1
    assert not counts.all()


def test_pictures_without_products_have_a_loss_that_teaches_background():
    given = answers(1)
    logits = given.logits.clone().requires_grad_()
    targets = Targets(torch.zeros(2, 1, 4), torch.full((2, 1), PADDING))
    loss = detection_loss(given._replace(logits=logits), targets)
    loss.backward()
    assert math.isfinite(float(loss.detach()))
    assert bool((logits.grad > 0).all())
