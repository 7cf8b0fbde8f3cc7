"""Products the model never saw: ten grocery classes are held out of training.

    .venv/bin/python -m benchmarks.unknowns lite0
    .venv/bin/python -m benchmarks.unknowns lite0 --draw 1                  # ten other classes
    .venv/bin/python -m benchmarks.unknowns lite0 --draw 1 --strangers 10   # what photos of ten more bring, learnt as none of the classes

Known photos for the measures are a fifth of the other classes' photos, kept out of training as well; three in four of them, though,
were taken on a visit of which another photo was learnt, so they are easier than photos of a new shop. The goal: false
accepts in int8 within one point of float, calibration error (ECE) within 0.02.

``--strangers``: so many more classes are left out. Two models learn the classes that remain: one of them alone, and one with
``train --ood-data`` of the photos of those. The ten held-out ones neither has seen.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.common import GROCERY, RUNS, edgevision, train, write_list, write_result
from benchmarks.recipes import RECIPES
from edgevision.evaluate.data.dataset import Dataset, read_dataset
from edgevision.evaluate.data.splits import split_by_content

HELD_OUT = 10


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("arch", nargs="?", default="lite0", choices=sorted(RECIPES))
    p.add_argument("--draw", type=int, default=0, help="which classes are held out (default 0)")
    p.add_argument(
        "--strangers", type=int, default=0, help="classes whose photos one of two models learns as none of its own"
    )
    p.add_argument("--epochs", type=int, help="default: the recipe's")
    p.add_argument("--reuse", action="store_true", help="take the checkpoints of an earlier run")
    arguments = p.parse_args()
    arch = arguments.arch
    dataset = read_dataset(GROCERY / "train.txt", GROCERY / "classes.csv")
    assert dataset.labels is not None
    unknown, strange = drawn(len(dataset.labels), arguments.draw, arguments.strangers)
    name = f"unknowns-{arch}" + (f"-draw{arguments.draw}" if arguments.draw else "")
    name += f"-strangers{len(strange)}" if len(strange) else ""
    folder = RUNS / name
    lists = write_lists(folder, dataset, unknown, strange)
    recipe = [*RECIPES[arch], *(("--epochs", arguments.epochs) if arguments.epochs else ())]
    models = {"alone": measured(folder / "model.pt", lists, recipe, reuse=arguments.reuse)}
    if len(strange):
        recipe += ["--ood-data", lists["strange"]]
        models["with strangers"] = measured(folder / "model-strangers.pt", lists, recipe, reuse=arguments.reuse)
    figures = {
        "arch": arch,
        "held_out": [dataset.labels[i].name for i in unknown],
        "strangers": [dataset.labels[i].name for i in strange],
        "models": models,
    }
    write_result(name, figures)
    for how, found in models.items():
        for precision in ("int8", "float"):
            m = found[precision]
            print(f"{how}, {precision}: AUROC {m['auroc']:.4f}, false accepts {m['false_accepts']:.2%} of {m['n_unknown']}, right answers kept "
                  f"{m['true_accept_rate']:.2%}, ECE {m['ece']:.4f}, top-1 {m['top1']:.2f} %")  # fmt: skip


def drawn(classes: int, draw: int, strangers: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Which classes are held out, and of the others which ones are strangers; both in order."""
    unknown = np.sort(np.random.default_rng(draw).choice(classes, HELD_OUT, replace=False))
    others = np.setdiff1d(np.arange(classes), unknown)
    strange = np.sort(np.random.default_rng((draw, 1)).choice(others, strangers, replace=False))
    return unknown, strange


def write_lists(
    folder: Path, dataset: Dataset, unknown: npt.NDArray[np.int64], strange: npt.NDArray[np.int64]
) -> dict[str, Path]:
    """A list file for each use of the photos, and the names of the classes that are learnt."""
    assert dataset.labels is not None
    is_unknown, is_strange = np.isin(dataset.truth, unknown), np.isin(dataset.truth, strange)
    unseen, trained = split_by_content(dataset.select(np.flatnonzero(~is_unknown & ~is_strange)), 0.4)
    fitted, validation = split_by_content(unseen, 0.5)  # one fifth fits the threshold, one fifth measures
    lists = {
        "train": write_list(folder / "train.txt", trained),
        "fit": write_list(folder / "fit.txt", fitted),
        "validation": write_list(folder / "validation.txt", validation),
        "unknown": write_list(folder / "unknown.txt", dataset.select(np.flatnonzero(is_unknown))),
    }
    if len(strange):
        lists["strange"] = write_list(folder / "strange.txt", dataset.select(np.flatnonzero(is_strange)))
    names = lists["labels"] = folder / "classes.csv"
    learnt = [label for place, label in enumerate(dataset.labels) if place not in {*unknown, *strange}]
    names.write_text("name,id\n" + "\n".join(f"{label.name},{label.id}" for label in learnt) + "\n")
    return lists


def measured(checkpoint: Path, lists: dict[str, Path], recipe: Sequence[object], *, reuse: bool) -> dict[str, Any]:
    """Train, compile, ask for known and unknown products."""
    labels, bundle = ("--labels", lists["labels"]), checkpoint.with_suffix(".edge")
    record = train(
        checkpoint, "--data", lists["train"], "--val", lists["fit"], *labels, *recipe, "--patience", 0, reuse=reuse
    )
    edgevision(
        "compile", checkpoint, "--int8", "--data", lists["fit"], "--val", lists["validation"], *labels, "-o", bundle
    )
    found = edgevision(
        "eval", bundle, "--data", lists["validation"], "--ood-data", lists["unknown"], *labels, "--against", checkpoint
    )
    int8, floating = ({"top1": m["metrics"]["top1"], **m["unknown"]} for m in found["models"])
    return {
        "known_photos": found["models"][0]["metrics"]["n"],
        "unknown_photos": int8["n_unknown"],
        "int8": int8,
        "float": floating,
        "false_accepts_difference_points": 100 * (int8["false_accepts"] - floating["false_accepts"]),
        "training": record,
        "ece_difference": int8["ece"] - floating["ece"],
    }


if __name__ == "__main__":
    main()
