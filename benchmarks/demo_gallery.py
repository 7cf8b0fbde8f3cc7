"""The 200 products that the demo's network never saw: five photos of each are enrolled, other views are searched, strangers refused.

    python -m benchmarks.demo_gallery [--shots 1 3 5] [--strangers 40]

The embedder is the demo's own classifier without its head, compiled to int8 (``compile --task embed``), and in float beside it: nothing is trained. Galleries
are real ones, written and matched as anybody's. Strangers are products of the same ranges that are not enrolled; figures of recall are over those that
are. Also draws a sheet of queries, each beside the stored view that matched.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.common import RESULTS, RUNS, edgevision, write_result
from benchmarks.recommend_vectors import demo_embedder
from edgevision.demo.compiling import CLASSIFIER
from edgevision.demo.gallery_sheet import Pair
from edgevision.demo.gallery_sheet import sheet as sheet_of
from edgevision.demo.unseen import ENROLLED, UnseenProduct, unseen_photo, unseen_products
from edgevision.frames import ImageArray
from edgevision.gallery.gallery import Gallery, open_gallery
from edgevision.gallery.matches import Matches
from edgevision.gallery.writer import GalleryWriter

SEARCHED = 5
_SEED = 0
Vectors = npt.NDArray[np.float32]
Embed = Callable[[list[ImageArray]], Vectors]


def embedded(products: Sequence[UnseenProduct]) -> dict[str, Vectors]:
    """Vectors [products, views, d] of the enrolled views and then those to be searched, by int8 and float; kept in ``runs/``."""
    kept = RUNS / "demo-gallery" / "vectors.npz"
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            made = _embed_all(products, {"int8": _bundle_embedder(stack), "float": demo_embedder()})
            np.savez(kept, int8=made["int8"], float=made["float"])
    with np.load(kept) as file:
        return {name: np.asarray(file[name], np.float32) for name in file.files}


def _embed_all(products: Sequence[UnseenProduct], embedders: dict[str, Embed]) -> dict[str, Vectors]:
    rows: dict[str, list[Vectors]] = {name: [] for name in embedders}
    for place, product in enumerate(products):
        photos = [unseen_photo(product, view) for view in range(ENROLLED + SEARCHED)]
        for name, embed in embedders.items():
            rows[name].append(embed(photos))
        if place % 20 == 19:
            print(f"{place + 1} of {len(products)} products rendered", flush=True)
    return {name: np.stack(found) for name, found in rows.items()}


def _bundle_embedder(stack: ExitStack) -> Embed:
    from edgevision import load

    bundle = RUNS / "demo-gallery" / "embed.edge"
    if not bundle.is_file():
        edgevision("compile", CLASSIFIER, "--task", "embed", "--int8", "-o", bundle)
    model = stack.enter_context(load(bundle))
    return lambda photos: np.stack([one.vector for one in model.predict(photos)])


def gallery_of(path: Path, products: Sequence[UnseenProduct], examples: Vectors) -> Gallery:
    """A gallery of products with their ``examples`` [products, shots, d]."""
    path.unlink(missing_ok=True)
    shots, d = examples.shape[1:]
    with GalleryWriter(path, bundle_id="0" * 64, dimension=d) as writer:
        for place, product in enumerate(products):
            writer.add_product(product.to_gallery())
            sources = [f"{product.id * 1000 + view:064x}" for view in range(shots)]
            writer.add_examples(product.id, examples[place], sources, [f"view {view}" for view in range(shots)])
    return open_gallery(path)


def interval(right: npt.NDArray[np.bool_]) -> list[float]:
    """95 %, by a bootstrap over products: views of one product are not independent. ``right``: [products, views]."""
    rng = np.random.default_rng(_SEED)
    means = [right[rng.integers(len(right), size=len(right))].mean() for _ in range(2000)]
    return [round(float(v), 4) for v in np.percentile(means, (2.5, 97.5))]


def auroc(known: Sequence[float], strange: Sequence[float]) -> float:
    """The chance that a known product's score is above a stranger's."""
    order = np.concatenate([known, strange]).argsort().argsort() + 1.0
    return float((order[: len(known)].sum() - len(known) * (len(known) + 1) / 2) / (len(known) * len(strange)))


def figures(gallery: Gallery, products: Sequence[UnseenProduct], searched: Vectors, strange: Vectors) -> dict[str, Any]:
    """Of views ``searched`` [products, views, d] of what the gallery has, and of ``strange`` products that it has not."""
    count, views, d = searched.shape
    truth = [product for product in products for _ in range(views)]
    matches, of_strangers = gallery.match(searched.reshape(-1, d)), gallery.match(strange.reshape(-1, d))
    best = [_best(one) for one in matches]
    right = np.array([one == product.id for one, product in zip(best, truth, strict=True)])
    brand = {product.id: product.design.brand for product in products}
    five = [product.id in {match.product.id for match in one.top} for one, product in zip(matches, truth, strict=True)]
    known = np.array([one.known for one in matches])
    scores = [one.top[0].score for one, hit in zip(matches, right, strict=True) if hit]
    return {
        "photos of each": len(gallery.examples) // count,
        "recall@1": round(float(right.mean()), 4),
        "interval": interval(right.reshape(count, views)),
        "recall@5": round(float(np.mean(five)), 4),
        "right brand": round(
            float(np.mean([brand[one] == product.design.brand for one, product in zip(best, truth, strict=True)])), 4
        ),
        "right ones accepted": round(float(known[right].mean()), 4),
        "strangers accepted": round(float(np.mean([one.known for one in of_strangers])), 4),
        "AUROC": round(auroc(scores, [one.top[0].score for one in of_strangers]), 4),
    }


def _best(matches: Matches) -> int:
    assert matches.best is not None
    return matches.best.product.id


# ---- a picture ----


def sheet(gallery: Gallery, products: Sequence[UnseenProduct], searched: Vectors, count: int = 12) -> ImageArray:
    """``count`` queries, each beside the stored view that matched."""
    rng = np.random.default_rng(_SEED + 1)
    by_id = {product.id: product for product in products}
    pairs = []
    for place in rng.choice(len(products), count, replace=False):
        view = int(rng.integers(searched.shape[1]))
        best = gallery.match(searched[place, view])[0].top[0]
        query = unseen_photo(products[place], ENROLLED + view)
        stored = unseen_photo(by_id[best.product.id], int(best.example.note.split()[-1]))
        pairs.append(Pair(query, stored, best.product.name, best.score, best.product.id == products[place].id))
    return sheet_of(pairs)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--shots", type=int, nargs="+", default=(1, 3, 5), help="photos of each that are enrolled")
    p.add_argument("--strangers", type=int, default=40, help="products that are not")
    arguments = p.parse_args()
    products = unseen_products()
    vectors = embedded(products)
    order = np.random.default_rng(_SEED).permutation(len(products))
    out, kept = np.sort(order[: arguments.strangers]), np.sort(order[arguments.strangers :])
    enrolled = [products[place] for place in kept]
    found: dict[str, Any] = {"enrolled": len(kept), "strangers": len(out), "views searched of each": SEARCHED}
    path = RUNS / "demo-gallery" / "demo.evg"
    for name, of_all in vectors.items():
        rows = []
        for shots in arguments.shots:
            gallery = gallery_of(path, enrolled, of_all[kept, :shots])
            rows.append(figures(gallery, enrolled, of_all[kept, ENROLLED:], of_all[out, ENROLLED:]))
            print(name, rows[-1], flush=True)
        whole = gallery_of(path, products, of_all[:, :ENROLLED])
        found[name] = {
            "figures": rows,
            "all 200 enrolled": figures(whole, products, of_all[:, ENROLLED:], of_all[out, ENROLLED:])["recall@1"],
        }
    picture = RESULTS / "demo-gallery.jpg"
    cv2.imwrite(
        str(picture),
        sheet(gallery_of(path, enrolled, vectors["int8"][kept, :ENROLLED]), enrolled, vectors["int8"][kept, ENROLLED:]),
    )
    write_result("demo-gallery", {**found, "picture": picture.name})


if __name__ == "__main__":
    main()
