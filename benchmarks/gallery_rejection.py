"""Ways for a gallery to say "I don't know", each fitted on the gallery's own examples alone, compared on products it never saw.

For each draw a part of the classes becomes the gallery's products, with 1, 3 or 5 examples each; the rest of the photos is asked
for: those of the products, and those of the classes left out. Each way gives a score and a threshold that is meant to accept 95 % of
the right answers. Told are AUROC (right answers against unknown products), what its own threshold accepts of both, the false accepts
where exactly 95 % of the right answers are accepted, and the Brier score of the scores as chances (known and right, classes weighted
to 50:50), where they are chances.

    python -m benchmarks.gallery_rejection                      # synthetic vectors
    python -m benchmarks.gallery_rejection --vectors lite0.npz  # arrays "vectors" [n, d] and "classes" [n]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from edgevision.evaluate.statistics.ranking import auroc
from edgevision.gallery.vectors import Vectors, unit_rows

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

TRUE_ACCEPT_RATE = 0.95
EACH = (1, 3, 5)


@dataclass(frozen=True, eq=False)
class Answers:
    """Of queries, columns [q]: the nearest product, its similarity, that of the second product, and the place of the example."""

    product: Ints
    best: Floats
    second: Floats
    example: Ints


@dataclass(frozen=True, eq=False)
class Shop:
    """A gallery and what leaving its examples out tells. ``known``: each example asked for without itself, where its product has
    another; ``right``: whether the answer was. ``strangers``: each asked for without its product. ``crowd``: of each example, the
    similarity of the nearest example of another product."""

    vectors: Vectors
    product_of: Ints
    known: Answers
    right: npt.NDArray[np.bool_]
    strangers: Answers
    crowd: Floats


Scorer: TypeAlias = Callable[[Answers], Floats]
Way: TypeAlias = Callable[[Shop], "tuple[Scorer, float] | None"]


def answers(similarity: Floats, product_of: Ints) -> Answers:
    """From similarities [q, n]; -inf is left out."""
    products = np.unique(product_of)
    columns = np.stack([similarity[:, product_of == one].max(axis=1) for one in products], axis=1)
    place = columns.argmax(axis=1)
    rows = np.arange(len(columns))
    best = columns[rows, place]
    columns[rows, place] = -np.inf
    return Answers(products[place], best, np.maximum(columns.max(axis=1), -1.0), similarity.argmax(axis=1))


def shop_of(vectors: Vectors, product_of: Ints) -> Shop:
    """Leave each example out, and each product."""
    similarity = (vectors @ vectors.T).astype(np.float64)
    same = product_of[:, None] == product_of[None]
    others = np.where(same, -np.inf, similarity)
    without_itself = similarity.copy()
    np.fill_diagonal(without_itself, -np.inf)
    has = same.sum(axis=1) > 1
    known = answers(without_itself[has], product_of)
    return Shop(
        vectors, product_of, known, known.product == product_of[has], answers(others, product_of), others.max(axis=1)
    )


# ---- the ways ----


def similarity_alone(shop: Shop) -> tuple[Scorer, float] | None:
    """The cosine; the threshold is the 5 % quantile of right answers, one example left out."""
    return _by_quantile(shop, lambda one: one.best)


def margin_alone(shop: Shop) -> tuple[Scorer, float] | None:
    """How much nearer the first product is than the second."""
    return _by_quantile(shop, lambda one: one.best - one.second)


def stranger_tail(shop: Shop) -> tuple[Scorer, float] | None:
    """Extreme values: the best similarity of unknown products follows a Gumbel distribution; the score is the chance that an
    unknown one comes no nearer, and 5 % of them are let pass."""
    first = shop.strangers.best
    scale = max(float(first.std()) * np.sqrt(6) / np.pi, 1e-6)
    place = float(first.mean()) - 0.5772 * scale
    return (lambda one: np.exp(-np.exp(-(one.best - place) / scale))), TRUE_ACCEPT_RATE


def weibull_of_products(shop: Shop) -> tuple[Scorer, float] | None:
    """As OpenMax (Bendale and Boult 2016): a Weibull distribution of the largest distances of right answers, of all products
    together, for each has too few; the score is the chance that one of them is further."""
    if not shop.right.any():
        return None
    distances = np.sort(1 - shop.known.best[shop.right])
    tail = distances[len(distances) // 2 :]
    least = float(tail[0])
    shape, scale = _weibull(tail - least + 1e-6)

    def score(one: Answers) -> Floats:
        beyond = np.maximum(1 - one.best - least, 0.0)
        return np.asarray(np.exp(-((beyond / scale) ** shape)) - 1e-3 * (1 - one.best))

    return _by_quantile(shop, score)


def extreme_value_machine(shop: Shop, nearest: int = 20) -> tuple[Scorer, float] | None:
    """EVM (Rudd et al. 2017): of each example, a Weibull distribution of half the distances to the nearest examples of other
    products; the score is the chance that the query is nearer than that border."""
    similarity = (shop.vectors @ shop.vectors.T).astype(np.float64)
    distance = np.where(shop.product_of[:, None] == shop.product_of[None], np.inf, 1 - similarity)
    halves = np.sort(distance, axis=1)[:, : min(nearest, int((distance[0] < np.inf).sum()))] / 2
    fitted = [_weibull(row[np.isfinite(row)]) for row in halves]
    shape, scale = np.array([one[0] for one in fitted]), np.array([one[1] for one in fitted])

    def score(one: Answers) -> Floats:
        near = np.maximum(1 - one.best, 1e-9) / scale[one.example]
        return np.asarray(np.exp(-(near ** shape[one.example])))

    return _by_quantile(shop, score)


def crowding(shop: Shop) -> tuple[Scorer, float] | None:
    """The cosine, less half of that between the example that matched and its nearest of another product."""
    return _by_quantile(shop, lambda one: one.best - 0.5 * shop.crowd[one.example])


def logistic(shop: Shop) -> tuple[Scorer, float] | None:
    """Logistic regression on similarity and margin: right answers against wrong ones and strangers."""
    return _logistic(shop, lambda one: [one.best, one.best - one.second])


def logistic_of_similarity(shop: Shop) -> tuple[Scorer, float] | None:
    """The same on similarity alone."""
    return _logistic(shop, lambda one: [one.best])


def logistic_with_crowd(shop: Shop) -> tuple[Scorer, float] | None:
    """The same on similarity, margin, and how near other products are to the example that matched."""
    return _logistic(shop, lambda one: [one.best, one.best - one.second, shop.crowd[one.example]])


def logistic_with_own_thresholds(shop: Shop) -> tuple[Scorer, float] | None:
    """``logistic``; a product's threshold is drawn towards its own right answers, the more of these there are."""
    made = logistic(shop)
    if made is None:
        return None
    score, _ = made
    logits = _logit(score(shop.known))
    own = {
        int(one): _own_shift(logits[shop.right & (shop.known.product == one)], logits[shop.right])
        for one in np.unique(shop.product_of)
    }

    def shifted(one: Answers) -> Floats:
        shift = np.array([own[int(product)] for product in one.product])
        return np.asarray(1 / (1 + np.exp(-(_logit(score(one)) - shift))))

    return _by_quantile(shop, shifted)


WAYS: dict[str, Way] = {
    "similarity": similarity_alone,
    "margin": margin_alone,
    "stranger tail (Gumbel)": stranger_tail,
    "Weibull of products (OpenMax)": weibull_of_products,
    "extreme value machine": extreme_value_machine,
    "similarity - crowd / 2": crowding,
    "logistic, similarity": logistic_of_similarity,
    "logistic, similarity + margin": logistic,
    "logistic, + own thresholds": logistic_with_own_thresholds,
    "logistic, + crowd": logistic_with_crowd,
}
CHANCES = {name for name in WAYS if name.startswith("logistic")} | {"stranger tail (Gumbel)"}


def _by_quantile(shop: Shop, score: Scorer) -> tuple[Scorer, float] | None:
    if shop.right.sum() < 10:
        return None
    return score, float(np.quantile(score(shop.known)[shop.right], 1 - TRUE_ACCEPT_RATE, method="lower"))


def _logistic(shop: Shop, columns: Callable[[Answers], list[Floats]]) -> tuple[Scorer, float] | None:
    if shop.right.sum() < 10:
        return None
    both = np.concatenate([np.stack(columns(shop.known), 1), np.stack(columns(shop.strangers), 1)])
    target = np.concatenate([shop.right, np.zeros(len(shop.strangers.best), bool)]).astype(np.float64)
    weight = np.concatenate([
        np.full(len(shop.right), 0.5 / len(shop.right)), np.full(len(shop.strangers.best), 0.5 / len(shop.strangers.best)),
    ])  # fmt: skip
    mean, scale = both.mean(axis=0), np.maximum(both.std(axis=0), 1e-6)
    design = np.column_stack([np.ones(len(both)), (both - mean) / scale])
    penalty = np.diag([0.0, *np.full(both.shape[1], 1e-3)])
    solution = np.zeros(design.shape[1])
    for _ in range(50):
        chance = 1 / (1 + np.exp(-np.clip(design @ solution, -60, 60)))
        slope = design.T @ (weight * (chance - target)) + penalty @ solution
        curve = (design * (weight * np.maximum(chance * (1 - chance), 1e-6))[:, None]).T @ design + penalty
        solution -= np.linalg.solve(curve, slope)

    def score(one: Answers) -> Floats:
        made = np.stack(columns(one), 1)
        logit = solution[0] + ((made - mean) / scale) @ solution[1:]
        return np.asarray(1 / (1 + np.exp(-np.clip(logit, -60, 60))))

    return _by_quantile(shop, score)


def _logit(chance: Floats) -> Floats:
    clipped = np.clip(chance, 1e-9, 1 - 1e-9)
    return np.asarray(np.log(clipped / (1 - clipped)))


def _own_shift(own: Floats, everybody: Floats, prior: float = 5.0) -> float:
    """How far a product's right answers lie from the usual, shrunk towards 0 where there are few."""
    if not len(own):
        return 0.0
    return float((own.mean() - everybody.mean()) * len(own) / (len(own) + prior))


def _weibull(values: Floats) -> tuple[float, float]:
    """Shape and scale by maximum likelihood (Newton's method on the shape)."""
    x = np.maximum(values, 1e-9)
    logs = np.log(x)
    shape = 1.2 / max(float(logs.std()), 1e-3)
    for _ in range(30):
        power = np.exp(shape * (logs - logs.max()))
        mean, square = (power * logs).sum() / power.sum(), (power * logs**2).sum() / power.sum()
        slope = mean - 1 / shape - logs.mean()
        shape = min(max(shape - slope / (square - mean**2 + 1 / shape**2), shape / 3), shape * 3)
    return float(shape), float(np.exp(logs.max() + np.log(np.exp(shape * (logs - logs.max())).mean()) / shape))


# ---- what they are worth ----


def judged(
    scorer: Scorer, threshold: float, known: Answers, right: npt.NDArray[np.bool_], unknown: Answers
) -> dict[str, float]:
    """See the module. ``known``: answers to photos of products, ``unknown``: to photos of others."""
    own, other = scorer(known), scorer(unknown)
    fixed = float(np.quantile(own[right], 1 - TRUE_ACCEPT_RATE, method="lower"))
    return {
        "auroc": float(auroc(own[right], other)),
        "accepted_right": float((own[right] >= threshold).mean()),
        "accepted_unknown": float((other >= threshold).mean()),
        "accepted_unknown_at_95": float((other >= fixed).mean()),
        "brier": 0.5 * float(((own - right) ** 2).mean()) + 0.5 * float((other**2).mean()),
    }


def draw(vectors: Vectors, classes: Ints, each: int, share: float, seed: int) -> dict[str, dict[str, float]]:
    """One draw: what each way is worth."""
    random = np.random.default_rng(seed)
    names = random.permutation(np.unique(classes))
    products = names[: round(share * len(names))]
    gallery, queries = [], []
    for one in products:
        places = random.permutation(np.flatnonzero(classes == one))
        gallery += places[:each].tolist()
        queries += places[each : each + 30].tolist()
    strange = np.flatnonzero(~np.isin(classes, products))
    shop = shop_of(vectors[gallery], classes[gallery])
    known = answers((vectors[queries] @ shop.vectors.T).astype(np.float64), shop.product_of)
    unknown = answers((vectors[strange] @ shop.vectors.T).astype(np.float64), shop.product_of)
    right = known.product == classes[queries]
    found = {"all ways": {"recall_at_1": float(right.mean())}}
    for name, way in WAYS.items():
        made = way(shop)
        if made is not None:
            found[name] = judged(*made, known, right, unknown)
            if name not in CHANCES:
                del found[name]["brier"]
    return found


def synthetic(seed: int = 0, classes: int = 120, photos: int = 25, dimension: int = 128) -> tuple[Vectors, Ints]:
    """Classes in families, as shops have them; some vary much more than others."""
    random = np.random.default_rng(seed)
    families = random.normal(size=(classes // 4, dimension))
    centres = np.repeat(families, 4, axis=0) + 0.8 * random.normal(size=(classes, dimension))
    spread = random.uniform(0.5, 1.6, (classes, 1, 1))
    vectors = centres[:, None] + spread * random.normal(size=(classes, photos, dimension))
    return unit_rows(vectors.reshape(-1, dimension), dimension), np.repeat(np.arange(classes), photos)


def compare(
    vectors: Vectors, classes: Ints, draws: int, share: float = 2 / 3
) -> dict[str, dict[str, dict[str, float]]]:
    """Examples of each product → way → the medians over draws of each figure."""
    result: dict[str, dict[str, dict[str, float]]] = {}
    for each in EACH:
        drawn = [draw(vectors, classes, each, share, seed) for seed in range(draws)]
        result[str(each)] = {
            name: {
                figure: round(float(np.median([one[name][figure] for one in drawn])), 4) for figure in drawn[0][name]
            }
            for name in drawn[0]
        }
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path, nargs="*", default=[], help="also these: .npz with vectors and classes")
    parser.add_argument("--draws", type=int, default=15)
    given = parser.parse_args()
    data = {"synthetic": synthetic()}
    for path in given.vectors:
        with np.load(path) as file:
            data[path.stem] = unit_rows(file["vectors"], file["vectors"].shape[1]), file["classes"].astype(np.int64)
    result = {name: compare(*one, draws=given.draws) for name, one in data.items()}
    from benchmarks.common import write_result

    show(result)
    write_result("gallery-rejection", {"true_accept_rate": TRUE_ACCEPT_RATE, "draws": given.draws, "data": result})
    return 0


def show(result: dict[str, dict[str, dict[str, dict[str, float]]]]) -> None:
    """Tables."""
    figures = ("auroc", "accepted_right", "accepted_unknown", "accepted_unknown_at_95", "brier")
    for data, by_each in result.items():
        for each, ways in by_each.items():
            print(f"\n{data}, {each} examples of each product; recall@1 {ways['all ways']['recall_at_1']:.3f}")
            print(f"{'':34}{'AUROC':>8}{'TAR':>8}{'FAR':>8}{'FAR@95':>8}{'Brier':>8}")
            for name, one in ways.items():
                if name != "all ways":
                    print(f"{name:34}" + "".join(f"{one[key]:8.3f}" if key in one else " " * 8 for key in figures))


if __name__ == "__main__":
    sys.exit(main())
