"""Which cell learns which product: against the published rule, written as loops in float64."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.requires("torch")
torch = pytest.importorskip("torch")

from edgevision.train.detect.assign import PADDING, Targets, assign, covers, pairwise_iou  # noqa: E402
from edgevision.train.detect.augment import IGNORED  # noqa: E402
from edgevision.train.lite_detector import STRIDES, Answers, cell_centres  # noqa: E402

SIZE = 64


def iou(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    areas = [max(x[2] - x[0], 0.0) * max(x[3] - x[1], 0.0) for x in (a, b)]
    return shared / max(sum(areas) - shared, 1e-9)


def slow_assignment(scores, boxes, centres, truths, classes, most):
    """One picture: for each cell the product or -1, and the quality."""
    n, m = len(centres), len(truths)
    cost, overlap, chosen = np.full((m, n), np.inf), np.zeros((m, n)), np.zeros((m, n), bool)
    for i, (box, label) in enumerate(zip(truths, classes, strict=True)):
        if label < 0:
            continue
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        half_w, half_h = max((box[2] - box[0]) / 2, 4), max((box[3] - box[1]) / 2, 4)
        for c, (cx, cy) in enumerate(centres):
            if x - half_w <= cx < x + half_w and y - half_h <= cy < y + half_h:
                overlap[i, c] = iou(box, boxes[c])
                if overlap[i, c] > 0:
                    cost[i, c] = -np.log(scores[c, label]) - 3 * np.log(overlap[i, c])
        count = max(1, int(sum(sorted(overlap[i])[-most:])))
        cheapest = sorted(range(n), key=lambda c: cost[i, c])[:count]
        chosen[i, [c for c in cheapest if np.isfinite(cost[i, c])]] = True
    product, quality = np.full(n, -1), np.zeros(n)
    for c in range(n):
        rivals = [i for i in range(m) if chosen[i, c]]
        if rivals:
            product[c] = min(rivals, key=lambda i: cost[i, c])
            quality[c] = overlap[product[c], c]
    return product, quality


def scene(seed, pictures=3, most=6, classes=3):
    """Products at random, some ignored, some padding; answers that lie around them or anywhere."""
    random = np.random.default_rng(seed)
    corner = random.uniform(0, 0.8 * SIZE, (pictures, most, 2))
    truths = np.concatenate([corner, np.minimum(corner + random.uniform(2, 40, (pictures, most, 2)), SIZE)], 2)
    labels = random.integers(-2, classes, (pictures, most))
    centres = np.concatenate([cell_centres(SIZE // s, SIZE // s, s).numpy() for s in STRIDES])
    near = truths[np.arange(pictures)[:, None], random.integers(0, most, (pictures, len(centres)))]
    boxes = near + random.normal(0, 3, near.shape)
    logits = random.normal(-1, 1.5, (pictures, len(centres), classes))
    return truths.astype(np.float32), labels, centres, boxes.astype(np.float32), logits.astype(np.float32)


def answers_of(logits, boxes, centres):
    strides = torch.cat([torch.full(((SIZE // s) ** 2,), float(s)) for s in STRIDES])
    return Answers(torch.as_tensor(logits), torch.as_tensor(boxes), torch.as_tensor(centres), strides)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("most", [1, 4, 10])
def test_as_the_rule_says(seed, most):
    truths, labels, centres, boxes, logits = scene(seed)
    got = assign(answers_of(logits, boxes, centres), Targets(torch.as_tensor(truths), torch.as_tensor(labels)), most)
    scores = 1 / (1 + np.exp(-logits.astype(np.float64)))
    for picture in range(len(truths)):
        product, quality = slow_assignment(
            scores[picture], boxes[picture].astype(np.float64), centres, truths[picture], labels[picture], most
        )
        np.testing.assert_array_equal(got.product[picture].numpy(), product)
        np.testing.assert_allclose(got.quality[picture].numpy(), quality, atol=1e-5)
        assert (product >= 0).any()


def simple(truths, labels, boxes=None, score=0.0):
    """Answers that say the same everywhere: a box of 20 pixels around the middle of each cell."""
    centres = torch.cat([cell_centres(SIZE // s, SIZE // s, s) for s in STRIDES])
    if boxes is None:
        boxes = torch.cat([centres - 10, centres + 10], 1)[None]
    logits = torch.full((1, len(centres), 2), score)
    return assign(answers_of(logits, boxes, centres), Targets(torch.tensor([truths]), torch.tensor([labels]))), centres


def test_a_picture_without_products_teaches_background_everywhere():
    got, _ = simple([[0.0, 0, 0, 0]], [PADDING])
    assert not (got.product >= 0).any()
    assert got.counts.all()
    assert float(got.quality.sum()) == 0


def test_a_product_smaller_than_a_cell_is_learnt():
    got, centres = simple([[9.0, 9.0, 11.0, 11.0]], [1])  # covers the middle of no cell
    assert not bool(covers(torch.tensor([[9.0, 9, 11, 11]]), centres).any())
    cells = (got.product[0] == 0).nonzero()[:, 0]
    assert len(cells) == 1
    assert centres[cells[0]].tolist() in ([12.0, 12.0], [8.0, 8.0])  # of strides 8 and 16
    assert float(got.quality.max()) > 0


def test_what_is_ignored_is_neither_product_nor_background():
    got, centres = simple([[0.0, 0, 32, 64], [40.0, 40, 60, 60]], [IGNORED, 0])
    assert not ((got.product == 0).any())
    within = centres[:, 0] < 32
    assert torch.equal(got.counts[0], ~within)


def test_a_product_within_what_is_ignored_is_learnt():
    got, _ = simple([[0.0, 0, 64, 64], [10.0, 10, 30, 30]], [IGNORED, 1])
    assert torch.equal(got.counts[0], got.product[0] == 1)
    assert got.counts.any()


def test_overlaps_in_pairs():
    random = np.random.default_rng(3)
    a, b = (np.sort(random.uniform(0, 10, (1, n, 2, 2)), axis=2).reshape(1, n, 4) for n in (5, 7))
    got = pairwise_iou(torch.as_tensor(a), torch.as_tensor(b))[0].numpy()
    np.testing.assert_allclose(got, [[iou(x, y) for y in b[0]] for x in a[0]], atol=1e-9)
    inside_out = torch.tensor([[[5.0, 5, 1, 1]]])
    assert float(pairwise_iou(inside_out, inside_out)) == 0
