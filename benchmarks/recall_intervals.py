"""Do intervals of a loss in recall@1 hold the truth as often as they say? On drawn sets, whose truth is known.

    python -m benchmarks.recall_intervals [--sets 200]

Products are directions at random, photos lie around them, and the other model gives the same vectors with noise. The truth is the mean loss over
all drawn sets of a kind. Tango's interval as it is, which takes photos for independent, stands beside ours, which counts photos that
have an answer in common together (``evaluate.statistics.design_effect``).
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.common import write_result
from edgevision.evaluate.statistics.paired import tango_interval
from edgevision.evaluate.tasks.embed import EmbedEvaluator
from edgevision.evaluate.tasks.embed_truth import ShownProduct
from edgevision.tasks.embed import EMBEDDING, embed_spec, unit_vectors


@dataclass(frozen=True)
class Kind:
    """Sets of so many products and photos of each. ``spread``: of photos around their product; ``moved``: by the other model;
    ``common``: a direction that all vectors share."""

    products: int
    photos: int
    spread: float
    moved: float
    dimension: int
    common: float = 0.0


KINDS = (
    Kind(20, 5, 1.2, 0.5, 16), Kind(20, 5, 1.2, 0.2, 16), Kind(40, 2, 1.0, 0.5, 16), Kind(10, 10, 1.5, 0.6, 64),
    Kind(20, 5, 1.2, 0.5, 16, common=2.0), Kind(30, 10, 1.2, 0.3, 32),
)  # fmt: skip


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--sets", type=int, default=200, help="drawn of each kind")
    arguments = p.parse_args()
    rows = [measured(kind, arguments.sets) for kind in KINDS]
    write_result("recall-intervals", {"sets": arguments.sets, "confidence": 0.95, "kinds": rows})
    for row in rows:
        print(
            f"{row['products']} × {row['photos']}: truth {row['truth']:+.2f} points; held by {100 * row['held']:.1f} %, width "
            f"{row['width']:.1f}; without the design effect {100 * row['held_without']:.1f} %, width {row['width_without']:.1f}"
        )


def measured(kind: Kind, sets: int) -> dict[str, Any]:
    """How often both intervals hold the truth, and how wide they are."""
    drawn = [_one_set(kind, seed) for seed in range(sets)]
    truth = float(np.mean([drop for drop, _, _ in drawn]))

    def of(place: int) -> tuple[float, float]:
        ends = np.array([one[place] for one in drawn])
        return float(np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1]))), float(np.mean(ends[:, 1] - ends[:, 0]))

    (held, width), (held_without, width_without) = of(1), of(2)
    return {
        **asdict(kind), "truth": truth, "held": held, "width": width, "held_without": held_without,
        "width_without": width_without,
    }  # fmt: skip


def _one_set(kind: Kind, seed: int) -> tuple[float, tuple[float, float], tuple[float, float]]:
    """The loss, our interval and Tango's as it is."""
    rng, products = np.random.default_rng(seed), np.random.default_rng(99)
    centres = products.normal(size=(kind.products, kind.dimension)) + kind.common * products.normal(size=kind.dimension)
    vectors = np.repeat(centres, kind.photos, axis=0)
    vectors = vectors + kind.spread * rng.normal(size=vectors.shape)
    truths = [ShownProduct(str(place // kind.photos)) for place in range(len(vectors))]
    evaluator = EmbedEvaluator(embed_spec())
    moved = vectors + kind.moved * rng.normal(size=vectors.shape)
    reference, other = (evaluator.scores({EMBEDDING: unit_vectors(one)}, truths) for one in (vectors, moved))
    found = evaluator.paired(reference, other)
    assert found.lost is not None
    assert found.gained is not None
    low, high = tango_interval(found.lost, found.gained, found.n)
    return found.drop, found.interval, (100 * low, 100 * high)


if __name__ == "__main__":
    main()
