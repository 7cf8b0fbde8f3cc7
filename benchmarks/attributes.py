"""Attributes on real photos, and colours without training on rendered ones.

    .venv/bin/python -m benchmarks.attributes colours             # one minute
    .venv/bin/python -m benchmarks.attributes grocery [--minutes 10] [--reuse]

``colours``: packages of the demo whose printed colours are known: how far the palette is from the printed main colour (ΔE2000), and how often the
product is called by the name of one of its two main colours. Three ways to see them: on white card in a studio's light (a packshot), in the
scene with the renderer's mask, and in the scene with our own mask, where light and exposure are as they are in a shop.

``grocery``: heads kind (the coarse class), packaging (loose or carton, by class) and colour (named by our rule from each class's iconic
picture, so that it is the rule that is learnt, and not what people would say), learnt from train.txt and measured on val.txt: macro-F1 for
a linear probe on Lite0's ImageNet features; for a network with that probe as its heads, float and int8; and for a network that was trained whole
(--minutes, 0 = leave it out). The networks never see val.txt before; no epoch is chosen by it.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
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
from edgevision.evaluate.tasks.attributes_scores import head_truths
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
    p.add_argument("--minutes", type=float, default=10.0, help="of training the whole network (default 10, 0 = none)")
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
    from edgevision.demo.camera import Light
    from edgevision.demo.lens import Lens
    from edgevision.demo.products import unlisted
    from edgevision.demo.scene import SceneKind, render, render_with_truth, sample_scene

    rng = np.random.default_rng(SEED)
    rows: dict[str, list[tuple[float, bool, float]]] = {
        "packshot, own mask": [],
        "scene, true mask": [],
        "scene, own mask": [],
    }
    seconds = []
    for index in range(scenes):
        scene = sample_scene(rng, SceneKind.UNLISTED, product=unlisted(index))
        rendered = render_with_truth(scene)
        truth = rendered.coverage > 127
        if truth.mean() < 0.05:  # all but out of the frame
            continue
        printed = printed_colours(scene)
        studio = render(replace(scene, light=Light(), lens=Lens(), others=(), hand=None))
        card = np.where(truth[..., None], studio, np.uint8(245)).astype(np.uint8)
        started = time.perf_counter()
        own = product_mask(rendered.frame)
        in_scene = palette_of(rendered.frame, own)
        seconds.append(time.perf_counter() - started)
        on_card = product_mask(card)
        for name, palette, mask in (
            ("packshot, own mask", palette_of(card, on_card), on_card),
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


def printed_colours(scene: Any) -> ImageArray:
    """The two colours that most of what is seen of the package is printed in, most first: uint8 BGR [2, 3], from the scene in light that comes
    from everywhere, through a lens that changes nothing. Counted in steps of 8 grey levels; no part of what is measured is used."""
    from edgevision.demo.camera import Light
    from edgevision.demo.lens import Lens
    from edgevision.demo.scene import render_with_truth

    lens = Lens(vignette=0.0, focus=0.0, noise=0.0, jpeg=0)
    plain = replace(scene, light=Light(ambient=1.0, strength=0.0), lens=lens, others=(), hand=None)
    flat = render_with_truth(plain)
    pixels = flat.frame[flat.coverage == 255]
    _, place, counts = np.unique(pixels // 8, axis=0, return_inverse=True, return_counts=True)
    place = np.asarray(place).reshape(-1)
    most = np.argsort(-counts, kind="stable")[:2]
    return np.stack([np.median(pixels[place == one], axis=0) for one in most]).astype(np.uint8)


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
    weights, probe = _probe(parts, folder / "features.npz", threads)
    heads = {name: len(values) for name, values in heads_of(parts["train"].labels or ()).items()}
    figures: dict[str, Any] = {
        "heads": heads,
        "photos": {name: len(part) for name, part in parts.items()},
        "probe": probe,
    }

    _print(figures)
    write_result("attributes-grocery", figures)  # what comes next takes long, and adds to it
    alone = folder / "heads.pt"
    save_heads(alone, weights, parts["train"])
    figures["heads alone"] = _proven(alone, given, threads)
    if minutes > 0:
        checkpoint = folder / "model.pt"
        record = train(
            checkpoint, "--task", "attributes", "--data", GROCERY / "train.txt", *given, "--minutes", minutes, "--patience", 0,
            "--threads", threads, reuse=reuse,
        )  # fmt: skip
        training = {"seconds": record["seconds"], "steps": record["steps"], "options": record["options"]}
        figures["whole network"] = {**_proven(checkpoint, given, threads), "training": training}
    _print(figures)
    return figures


def _proven(checkpoint: Path, given: Sequence[object], threads: int) -> dict[str, Any]:
    """Compiled to int8, and both measured on val.txt; without a bundle, float alone."""
    bundle = checkpoint.with_suffix(".edge")
    bundle.unlink(missing_ok=True)
    compiled = edgevision(
        "compile", checkpoint, "--int8", "--val", GROCERY / "val.txt", *given, "--threads", threads, "--effort", "quick",
        "-o", bundle, allowed=(0, 3),
    )  # fmt: skip
    found = {"verdict": compiled.get("verdict"), "chosen": compiled.get("chosen")}
    if not bundle.is_file():
        tested = edgevision("eval", checkpoint, "--data", GROCERY / "val.txt", *given)
        return {**found, "float": _heads(tested["models"][0])}
    tested = edgevision("eval", bundle, "--data", GROCERY / "val.txt", *given, "--against", checkpoint)
    int8, floating = map(_heads, tested["models"])
    return {**found, "int8": int8, "float": floating, "paired": tested["paired"]}


def _print(figures: Mapping[str, Any]) -> None:
    rows = {"probe": figures["probe"]}
    for network in ("heads alone", "whole network"):
        for precision in ("float", "int8"):
            if precision in figures.get(network, {}):
                rows[f"{network}, {precision}"] = figures[network][precision]
    for name, heads in rows.items():
        shown = "; ".join(f"{head} F1 {m['f1']:.2f} %, accuracy {m['accuracy']:.2f} %" for head, m in heads.items())
        print(f"{name}: {shown}")


def save_heads(path: Path, weights: npt.NDArray[np.float64], dataset: Dataset) -> None:
    """The probe as a network: Lite0 as ImageNet made it, and ``weights`` [features + 1, columns] as its last layer."""
    import torch

    from edgevision.train import backbones
    from edgevision.train.checkpoint import Checkpoint, save_checkpoint, short_hashes
    from edgevision.train.photos import make_pack

    network = backbones.pretrained("lite0", weights.shape[1])
    layer = backbones.classifier_head(network)
    layer.load_state_dict({
        "weight": torch.from_numpy(weights[:-1].T.astype(np.float32)), "bias": torch.from_numpy(weights[-1].astype(np.float32)),
    })  # fmt: skip
    spec = backbones.default_preprocess("lite0")
    checkpoint = Checkpoint(
        "lite0", network.state_dict(), spec, attributes_spec(heads_of(dataset.labels or ())),
        photos=make_pack(dataset, None, spec.height), trained_on=short_hashes(dataset.content_hashes),
    )  # fmt: skip
    save_checkpoint(path, checkpoint)


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


def _heads(model: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    return {
        head["name"]: {
            "f1": head["metrics"]["f1"], "accuracy": head["metrics"]["top1"], "photos": head["metrics"]["n"], "ece": head["ece"],
        }
        for head in model["attributes"]
    }  # fmt: skip


def _probe(
    parts: Mapping[str, Dataset], cache: Path, threads: int
) -> tuple[npt.NDArray[np.float64], dict[str, dict[str, float]]]:
    """A linear classifier for each head on the features before Lite0's last layer, which stay as ImageNet made them: the weights
    [features + 1, columns] for features as they are, and what each head scores on val."""
    if not cache.is_file():
        kept = {name: _features(part, threads) for name, part in parts.items()}
        np.savez(cache, train=kept["train"], val=kept["val"])
    with np.load(cache) as stored:
        features = {name: np.asarray(stored[name], np.float64) for name in parts}
    mean, deviation = features["train"].mean(axis=0), features["train"].std(axis=0) + 1e-3
    task = AttributesTask(attributes_spec(heads_of(parts["train"].labels or ())))
    truths = {name: head_truths(task.heads, [photo.attributes for photo in part]) for name, part in parts.items()}
    weights, found = [], {}
    for column, head in enumerate(task.heads):
        own = _logistic((features["train"] - mean) / deviation, truths["train"][:, column], len(head.values))
        unscaled = own[:-1] / deviation[:, None]
        weights.append(np.vstack([unscaled, own[-1] - mean @ unscaled]))
        scores = features["val"] @ weights[-1][:-1] + weights[-1][-1]
        m = classification_metrics(scores, truths["val"][:, column], head.task.labels)
        found[head.name] = {"f1": m.f1, "accuracy": m.top1, "photos": m.n}
    return np.hstack(weights), found


def _features(dataset: Dataset, threads: int) -> npt.NDArray[np.float32]:
    """Pooled features [n, 1280] of Lite0 with ImageNet's weights, by ONNX Runtime, which takes a fifth of PyTorch's time here."""
    import io

    import onnxruntime
    import torch

    from edgevision.train import backbones
    from edgevision.train.validate import PreparedPhotos

    network = backbones.pretrained("lite0", 2).eval()
    network.classifier = torch.nn.Identity()
    spec = backbones.default_preprocess("lite0")
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter speaks of its successor
        export: Any = torch.onnx.export  # its types do not know of files in memory
        export(
            network,
            (torch.zeros(1, *spec.tensor_shape),),
            file,
            input_names=["x"],
            dynamo=False,
            dynamic_axes={"x": {0: "n"}},
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    parts = [session.run(None, {"x": images.numpy()})[0] for images in PreparedPhotos(dataset.paths, spec)]
    return np.concatenate(parts).reshape(len(dataset), -1)


def _logistic(x: npt.NDArray[np.float64], y: npt.NDArray[np.int64], classes: int) -> npt.NDArray[np.float64]:
    """Multinomial logistic regression with a ridge of 1/n (C = 1), by 60 rounds of L-BFGS: weights [features + 1, classes]."""
    import torch

    inputs = torch.from_numpy(np.column_stack([x, np.ones(len(x))]))
    weights = torch.zeros(inputs.shape[1], classes, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> Any:
        optimizer.zero_grad()
        value = torch.nn.functional.cross_entropy(inputs @ weights, torch.from_numpy(y))
        value = value + (weights[:-1] ** 2).sum() / (2 * len(x))
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return np.asarray(weights.detach().numpy())


if __name__ == "__main__":
    main()
