"""The 200 products that the demo's network never saw: five photos of each are enrolled, other views are searched, strangers refused.

    python -m benchmarks.demo_gallery [--shots 1 3 5] [--strangers 40]

The embedder is the demo's own classifier without its head, as it is: nothing is trained. Strangers are products of the same ranges that
are not enrolled; the figures of recall are over those that are. Also writes a sheet of queries, each beside the stored view that matched.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.common import RESULTS, RUNS, write_result
from benchmarks.recommend_vectors import demo_embedder
from edgevision.demo.unseen import ENROLLED, UnseenProduct, unseen_photo, unseen_products
from edgevision.frames import ImageArray

SEARCHED = 5
_SEED = 0
_TILE_PX, _TEXT_PX = 160, 34
Vectors = npt.NDArray[np.float32]


def embedded(products: Sequence[UnseenProduct], views: Sequence[int]) -> Vectors:
    """[products, views, d], kept in ``runs/``."""
    kept = RUNS / "demo-gallery" / f"views-{views[0]}-{views[-1]}.npy"
    if kept.is_file():
        return np.asarray(np.load(kept), np.float32)
    embed = demo_embedder()
    rows = []
    for place, product in enumerate(products):
        rows.append(embed([unseen_photo(product, view) for view in views]))
        if place % 20 == 19:
            print(f"{place + 1} of {len(products)} products rendered", flush=True)
    kept.parent.mkdir(parents=True, exist_ok=True)
    made = np.asarray(np.stack(rows), np.float32)
    np.save(kept, made)
    return made


def best_matches(queries: Vectors, examples: Vectors) -> tuple[npt.NDArray[np.intp], Vectors, npt.NDArray[np.intp]]:
    """Of each query [q, d]: the product whose example is nearest, of ``examples`` [products, shots, d]; the cosine; which example."""
    shots = examples.shape[1]
    cosines = queries @ examples.reshape(-1, examples.shape[2]).T
    best = cosines.argmax(axis=1)
    return best // shots, cosines[np.arange(len(queries)), best], best % shots


def top5(queries: Vectors, examples: Vectors, truth: npt.NDArray[np.intp]) -> float:
    products, _, d = examples.shape
    cosines = (queries @ examples.reshape(-1, d).T).reshape(len(queries), products, -1).max(axis=2)
    return float((np.argsort(-cosines, axis=1)[:, :5] == truth[:, None]).any(axis=1).mean())


def interval(right: npt.NDArray[np.bool_]) -> list[float]:
    """95 %, by a bootstrap over products: views of one product are not independent. ``right``: [products, views]."""
    rng = np.random.default_rng(_SEED)
    means = [right[rng.integers(len(right), size=len(right))].mean() for _ in range(2000)]
    return [round(float(v), 4) for v in np.percentile(means, (2.5, 97.5))]


def refusal(known: Vectors, strange: Vectors) -> dict[str, float]:
    """By the best cosine alone: area under the ROC curve, and strangers accepted where 95 % of the enrolled products' views are."""
    order = np.concatenate([known, strange]).argsort().argsort() + 1.0
    auroc = (order[: len(known)].sum() - len(known) * (len(known) + 1) / 2) / (len(known) * len(strange))
    threshold = np.quantile(known, 0.05)
    return {"auroc": round(float(auroc), 4), "false_accepts": round(float((strange >= threshold).mean()), 4)}


def figures(
    products: Sequence[UnseenProduct], enrolled: Vectors, searched: Vectors, strange: Vectors, shots: int
) -> dict[str, Any]:
    """With ``shots`` photos of each product."""
    count, views, d = searched.shape
    queries, truth = searched.reshape(-1, d), np.repeat(np.arange(count), views)
    examples = enrolled[:, :shots]
    found, similarity, _ = best_matches(queries, examples)
    right = found == truth
    brands = np.array([product.design.brand for product in products])
    _, of_strangers, _ = best_matches(strange.reshape(-1, d), examples)
    return {
        "photos of each": shots,
        "recall@1": round(float(right.mean()), 4),
        "interval": interval(right.reshape(count, views)),
        "recall@5": round(top5(queries, examples, truth), 4),
        "right brand": round(float((brands[found] == brands[truth]).mean()), 4),
        "strangers": refusal(similarity[right], of_strangers),
    }


# ---- a picture ----


def sheet(products: Sequence[UnseenProduct], enrolled: Vectors, searched: Vectors, count: int = 12) -> ImageArray:
    """``count`` queries, each beside the stored view that matched: green where it is the same product."""
    rng = np.random.default_rng(_SEED + 1)
    tiles = []
    for place in rng.choice(len(products), count, replace=False):
        view = int(rng.integers(searched.shape[1]))
        found, similarity, shot = best_matches(searched[place, view][None], enrolled)
        match = products[int(found[0])]
        query = unseen_photo(products[place], ENROLLED + view, side_px=_TILE_PX)
        stored = unseen_photo(match, int(shot[0]), side_px=_TILE_PX)
        color = (60, 140, 40) if match is products[place] else (40, 40, 200)
        tiles.append(_tile(query, stored, f"{match.name} {similarity[0]:.2f}", color))
    rows = [np.concatenate(tiles[at : at + 4], axis=1) for at in range(0, count, 4)]
    return np.asarray(np.concatenate(rows), np.uint8)


def _tile(query: ImageArray, stored: ImageArray, text: str, color: tuple[int, int, int]) -> ImageArray:
    pair = np.concatenate([query, stored], axis=1)
    strip = np.full((_TEXT_PX, pair.shape[1], 3), 250, np.uint8)
    cv2.putText(strip, text, (8, 23), cv2.FONT_HERSHEY_SIMPLEX, 0.5, color, 1, cv2.LINE_AA)
    return np.concatenate([pair, strip])


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--shots", type=int, nargs="+", default=(1, 3, 5), help="photos of each that are enrolled")
    p.add_argument("--strangers", type=int, default=40, help="products that are not")
    arguments = p.parse_args()
    products = unseen_products()
    first, later = embedded(products, range(ENROLLED)), embedded(products, range(ENROLLED, ENROLLED + SEARCHED))
    order = np.random.default_rng(_SEED).permutation(len(products))
    out, kept = np.sort(order[: arguments.strangers]), np.sort(order[arguments.strangers :])
    enrolled = [products[place] for place in kept]
    rows = [figures(enrolled, first[kept], later[kept], later[out], shots) for shots in arguments.shots]
    for row in rows:
        print(row, flush=True)
    all_of_them = figures(products, first, later, later[out], ENROLLED)
    picture = RESULTS / "demo-gallery.png"
    cv2.imwrite(str(picture), sheet(enrolled, first[kept], later[kept]))
    write_result("demo-gallery", {
        "enrolled": len(kept), "strangers": len(out), "views searched of each": SEARCHED, "figures": rows,
        "all 200 enrolled, recall@1": all_of_them["recall@1"], "picture": picture.name,
    })  # fmt: skip


if __name__ == "__main__":
    main()
