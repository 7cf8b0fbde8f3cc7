"""Attributes on real photos, and colours without training on rendered ones.

    .venv/bin/python -m benchmarks.attributes colours             # one minute
    .venv/bin/python -m benchmarks.attributes grocery [--minutes 10] [--reuse]

``colours``: packages of the demo whose printed colours are known: how far the main colour of the palette is from the printed one (ΔE2000), and how
often it has its name. Three ways to see them: cut out by the renderer and put on white card (a packshot), in the scene with the renderer's
mask, and in the scene with our own mask.

``grocery``: heads kind (the coarse class), packaging (loose or carton, by class) and colour (named by our rule from each class's iconic
picture, so that it is the rule that is learnt, and not what people would say), trained on train.txt and measured on val.txt: macro-F1 for
a linear probe on Lite0's ImageNet features, and for the trained network in float and int8. The network never sees val.txt before; no epoch is
chosen by it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.common import GROCERY, RUNS, edgevision, train, write_result
from edgevision.decode import read_image
from edgevision.evaluate.data.attribute_table import read_table
from edgevision.evaluate.data.dataset import Dataset, read_dataset
from edgevision.evaluate.data.described import with_table
from edgevision.evaluate.statistics.bootstrap import draw_weights
from edgevision.evaluate.statistics.classification import classification_metrics
from edgevision.frames import ImageArray
from edgevision.gallery.colours.difference import ciede2000
from edgevision.gallery.colours.lab import lab_of
from edgevision.gallery.colours.naming import name_colours
from edgevision.gallery.colours.palette import Palette, palette_of
from edgevision.gallery.colours.product_mask import product_mask
from edgevision.tasks.attributes import AttributesTask, attributes_spec, heads_of

SEED = 0


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("part", choices=("colours", "grocery"))
    p.add_argument("--scenes", type=int, default=200, help="rendered scenes, one design each (default 200)")
    p.add_argument("--minutes", type=float, default=10.0, help="of training (default 10)")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--reuse", action="store_true", help="take the checkpoint of an earlier run")
    arguments = p.parse_args()
    if arguments.part == "colours":
        write_result("attributes-colours", colours(arguments.scenes))
    else:
        write_result("attributes-grocery", grocery(arguments.minutes, arguments.threads, reuse=arguments.reuse))


# ---- colours ----


def colours(scenes: int) -> dict[str, Any]:
    """ΔE2000 and names, each design seen in three ways."""
    from edgevision.demo.products import unlisted
    from edgevision.demo.scene import SceneKind, render_with_truth, sample_scene

    rng = np.random.default_rng(SEED)
    rows: dict[str, list[tuple[float, bool, float]]] = {"packshot": [], "scene, true mask": [], "scene, own mask": []}
    seconds = []
    for index in range(scenes):
        product = unlisted(index)
        rendered = render_with_truth(sample_scene(rng, SceneKind.UNLISTED, product=product))
        truth = rendered.coverage > 127
        if truth.mean() < 0.05:  # all but out of the frame
            continue
        printed = printed_colour(product)
        card = np.where(truth[..., None], rendered.frame, np.uint8(245)).astype(np.uint8)
        started = time.perf_counter()
        own = product_mask(rendered.frame)
        in_scene = palette_of(rendered.frame, own)
        seconds.append(time.perf_counter() - started)
        on_card = product_mask(card)
        for name, palette, mask in (
            ("packshot", palette_of(card, on_card), on_card),
            ("scene, true mask", palette_of(rendered.frame, truth), truth),
            ("scene, own mask", in_scene, own),
        ):
            overlap = float((mask & truth).sum() / (mask | truth).sum())
            rows[name].append((*_judged(palette, printed), overlap))
    figures = {name: _summary(some) for name, some in rows.items()}
    for name, found in figures.items():
        print(f"{name}: ΔE2000 p50 {found['delta_e_p50']:.1f}, right name {found['right_names']:.1%} "
              f"({found['right_names_interval'][0]:.1%}…{found['right_names_interval'][1]:.1%}), mask IoU p50 {found['mask_iou_p50']:.2f}")  # fmt: skip
    return {"scenes": len(seconds), "ways": figures, "milliseconds_p50": 1e3 * float(np.median(seconds))}


def printed_colour(product: Any) -> ImageArray:
    """The colour that most of the front of a package is printed in, uint8 BGR [3], and the second: [2, 3]."""
    from edgevision.demo.labels import front

    panel = front(product, 260, 340).reshape(-1, 3)
    found, counts = np.unique(panel, axis=0, return_counts=True)
    return np.asarray(found[np.argsort(-counts, kind="stable")[:2]], np.uint8)


def _judged(palette: Palette, printed: ImageArray) -> tuple[float, bool]:
    """ΔE2000 of the printed colour to the nearest of the palette's first two, and whether one of the printed two names the product.

    Which of two large colours is the larger depends on the side that is seen; what is asked is whether they are the right ones.
    """
    lab = lab_of(printed)
    found = np.array([swatch.lab for swatch in palette.swatches[:2]])
    return float(ciede2000(lab[0], found).min()), palette.name in name_colours(lab)


def _summary(rows: Sequence[tuple[float, bool, float]]) -> dict[str, Any]:
    apart, right, overlap = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    drawn = draw_weights(len(right), 2000, SEED) @ right / len(right)
    return {
        "delta_e_p50": float(np.median(apart)),
        "delta_e_p90": float(np.quantile(apart, 0.9)),
        "right_names": float(right.mean()),
        "right_names_interval": [float(end) for end in np.quantile(drawn, [0.025, 0.975])],
        "mask_iou_p50": float(np.median(overlap)),
    }


# ---- grocery photos ----


def grocery(minutes: float, threads: int, *, reuse: bool) -> dict[str, Any]:
    """Macro-F1 of each head: probe, float, int8."""
    folder = RUNS / "attributes-grocery"
    folder.mkdir(parents=True, exist_ok=True)
    table = write_table(folder / "table.csv")
    labels, given = GROCERY / "classes.csv", ("--labels", GROCERY / "classes.csv", "--attributes", table)
    parts = {
        name: with_table(read_dataset(GROCERY / f"{name}.txt", labels), read_table(table)) for name in ("train", "val")
    }
    probe = _probe(parts, folder / "features.npz", threads)

    checkpoint, bundle = folder / "model.pt", folder / "model.edge"
    record = train(
        checkpoint, "--task", "attributes", "--data", GROCERY / "train.txt", *given, "--minutes", minutes, "--patience", 0,
        "--threads", threads, reuse=reuse,
    )  # fmt: skip
    compiled = edgevision(
        "compile", checkpoint, "--int8", "--val", GROCERY / "val.txt", *given, "--threads", threads, "-o", bundle,
        allowed=(0, 3),
    )  # fmt: skip
    figures = {"heads": {h: len(v) for h, v in heads_of(parts["train"].labels or ()).items()}, "probe": probe}
    if bundle.is_file():
        tested = edgevision("eval", bundle, "--data", GROCERY / "val.txt", *given, "--against", checkpoint)
        int8, floating = ({head["name"]: _head(head) for head in model["attributes"]} for model in tested["models"])
        figures |= {"int8": int8, "float": floating, "paired": tested["paired"]}
    for name in ("probe", "float", "int8"):
        for head, found in figures.get(name, {}).items():
            print(f"{name}, {head}: macro-F1 {found['f1']:.2f} %, accuracy {found['accuracy']:.2f} %")
    epochs = record["epochs"]
    return {
        **figures,
        "photos": {name: len(part) for name, part in parts.items()},
        "verdict": compiled.get("verdict"),
        "chosen": compiled.get("chosen"),
        "training": {
            "seconds": record["seconds"],
            "steps": record["steps"],
            "epochs": len(epochs),
            "options": record["options"],
        },
    }


def write_table(path: Path) -> Path:
    """A row for each class: kind, packaging, and the name of its iconic picture's main colour."""
    import csv

    with (GROCERY / "classes.csv").open(encoding="utf-8-sig", newline="") as file:
        classes = list(csv.reader(file))[1:]
    rows = ["class,kind,packaging,colour"]
    for name, _, kind, _, iconic, *_ in classes:
        group = Path(iconic).parts[2]
        packaging = "carton" if group == "Packages" else "loose"
        colour = palette_of(read_image(GROCERY / iconic.lstrip("/"))).name
        rows.append(f"{name},{kind},{packaging},{colour}")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def _head(head: Mapping[str, Any]) -> dict[str, float]:
    m = head["metrics"]
    return {"f1": m["f1"], "accuracy": m["top1"], "photos": m["n"], "ece": head["ece"]}


def _probe(parts: Mapping[str, Dataset], cache: Path, threads: int) -> dict[str, dict[str, float]]:
    """A linear classifier for each head on the features before Lite0's last layer, which stay as ImageNet made them."""
    if not cache.is_file():
        np.savez(cache, **{name: _features(part, threads) for name, part in parts.items()})
    with np.load(cache) as kept:
        features = {name: np.asarray(kept[name], np.float64) for name in parts}
    mean, deviation = features["train"].mean(axis=0), features["train"].std(axis=0) + 1e-6
    labels = parts["train"].labels or ()
    task = AttributesTask(attributes_spec(heads_of(labels)))
    found = {}
    for head in task.heads:
        truth = {}
        for name, part in parts.items():
            places = [
                [p for p in photo.attributes or () if head.columns.start <= p < head.columns.stop] for photo in part
            ]
            truth[name] = np.array([place[0] - head.columns.start for place in places])
        weights = _logistic((features["train"] - mean) / deviation, truth["train"], len(head.values))
        scores = np.column_stack([(features["val"] - mean) / deviation, np.ones(len(features["val"]))]) @ weights
        m = classification_metrics(scores, truth["val"], head.task.labels)
        found[head.name] = {"f1": m.f1, "accuracy": m.top1, "photos": m.n}
    return found


def _features(dataset: Dataset, threads: int) -> npt.NDArray[np.float32]:
    """Pooled features [n, 1280] of Lite0 with ImageNet's weights."""
    import torch

    from edgevision.train import backbones
    from edgevision.train.validate import PreparedPhotos

    torch.set_num_threads(threads)
    network = backbones.pretrained("lite0", 2).eval()
    kept: list[Any] = []
    backbones.classifier_head(network).register_forward_pre_hook(lambda _, given: kept.append(given[0].numpy()))
    with torch.no_grad():
        for images in PreparedPhotos(dataset.paths, backbones.default_preprocess("lite0")):
            network(images)
    return np.concatenate(kept)


def _logistic(x: npt.NDArray[np.float64], y: npt.NDArray[np.int64], classes: int) -> npt.NDArray[np.float64]:
    """Multinomial logistic regression with a ridge of 1/n (C = 1), by L-BFGS: weights [features + 1, classes]."""
    import torch

    inputs = torch.from_numpy(np.column_stack([x, np.ones(len(x))]))
    weights = torch.zeros(inputs.shape[1], classes, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Any:
        optimizer.zero_grad()
        value = torch.nn.functional.cross_entropy(inputs @ weights, torch.from_numpy(y))
        value = value + (weights[:-1] ** 2).sum() / (2 * len(x))
        value.backward()
        return value

    optimizer.step(loss)
    return np.asarray(weights.detach().numpy())


if __name__ == "__main__":
    main()
