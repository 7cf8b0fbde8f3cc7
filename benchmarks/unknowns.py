"""Products the model never saw: ten grocery classes are held out of training.

    .venv/bin/python -m benchmarks.unknowns [lite0]

Known photos for the measures are a fifth of the other classes' photos, kept out of training as well. The goal: false
accepts in int8 within one point of float, calibration error (ECE) within 0.02.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks.common import GROCERY, RUNS, edgevision, train, write_list, write_result
from benchmarks.recipes import RECIPES
from edgevision.evaluate.data.dataset import read_dataset
from edgevision.evaluate.data.splits import split_by_content

HELD_OUT = 10
SEED = 0


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("arch", nargs="?", default="lite0", choices=sorted(RECIPES))
    p.add_argument("--epochs", type=int, help="default: the recipe's")
    p.add_argument("--reuse", action="store_true", help="take the checkpoint of an earlier run")
    arguments = p.parse_args()
    arch = arguments.arch
    dataset = read_dataset(GROCERY / "train.txt", GROCERY / "classes.csv")
    assert dataset.labels is not None
    held_out = np.sort(np.random.default_rng(SEED).choice(len(dataset.labels), HELD_OUT, replace=False))
    is_unknown = np.isin(dataset.truth, held_out)
    known = dataset.select(np.flatnonzero(~is_unknown))
    unseen, trained = split_by_content(known, 0.4)
    fitted, validation = split_by_content(unseen, 0.5)  # one fifth fits the threshold, one fifth measures

    folder = RUNS / f"unknowns-{arch}"
    lists = {
        "train": write_list(folder / "train.txt", trained),
        "fit": write_list(folder / "fit.txt", fitted),
        "validation": write_list(folder / "validation.txt", validation),
        "unknown": write_list(folder / "unknown.txt", dataset.select(np.flatnonzero(is_unknown))),
    }
    names = folder / "classes.csv"
    rows = [f"{label.name},{label.id}" for place, label in enumerate(dataset.labels) if place not in held_out]
    names.write_text("name,id\n" + "\n".join(rows) + "\n")
    labels = ("--labels", names)
    checkpoint, bundle = folder / "model.pt", folder / "model.edge"
    more = ("--epochs", arguments.epochs) if arguments.epochs else ()
    record = train(
        checkpoint, "--data", lists["train"], "--val", lists["fit"], *labels, *RECIPES[arch], *more,
        "--patience", 0, reuse=arguments.reuse,
    )  # fmt: skip
    edgevision(
        "compile", checkpoint, "--int8", "--data", lists["fit"], "--val", lists["validation"], *labels, "-o", bundle
    )
    found = edgevision(
        "eval", bundle, "--data", lists["validation"], "--ood-data", lists["unknown"], *labels, "--against", checkpoint
    )
    int8, floating = ({"top1": m["metrics"]["top1"], **m["unknown"]} for m in found["models"])
    figures = {
        "arch": arch,
        "held_out": [dataset.labels[i].name for i in held_out],
        "known_photos": found["models"][0]["metrics"]["n"],
        "unknown_photos": int8["n_unknown"],
        "int8": int8,
        "float": floating,
        "false_accepts_difference_points": 100 * (int8["false_accepts"] - floating["false_accepts"]),
        "training": record,
        "ece_difference": int8["ece"] - floating["ece"],
    }
    write_result(f"unknowns-{arch}", figures)
    for name, m in (("int8", int8), ("float", floating)):
        print(f"{name}: AUROC {m['auroc']:.4f}, false accepts {m['false_accepts']:.2%} of {m['n_unknown']}, right answers kept "
              f"{m['true_accept_rate']:.2%}, ECE {m['ece']:.4f}, top-1 {m['top1']:.2f} %")  # fmt: skip


if __name__ == "__main__":
    main()
