"""What int8 costs, out of fold: train on one half of train.txt, compile, compare on the other; pool all photos of both.

    .venv/bin/python -m benchmarks.out_of_fold [lite0]

The rule: over all at most 0.5 points; each class with at least 20 photos loses at most max(2 photos, 3 points) net.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

import numpy as np

import edgevision as ev
from benchmarks.common import GROCERY, RUNS, edgevision, train, write_list, write_result
from benchmarks.recipes import RECIPES
from edgevision.compiler.float_model import FloatModel
from edgevision.compiler.sources.source import SourceOptions
from edgevision.evaluate.data.dataset import Dataset, read_dataset
from edgevision.evaluate.data.splits import stratified_folds
from edgevision.evaluate.evaluation import Predictor, evaluate
from edgevision.evaluate.statistics.paired import class_losses, paired_comparison
from edgevision.evaluate.tasks.classify_evaluation import ClassifyEvaluation


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("arch", nargs="?", default="lite0", choices=sorted(RECIPES))
    p.add_argument("--epochs", type=int, help="default: the recipe's")
    p.add_argument("--frozen-stages", type=int, help="as of edgevision train")
    p.add_argument("--reuse", action="store_true", help="take the checkpoints of an earlier run")
    arguments = p.parse_args()
    dataset = read_dataset(GROCERY / "train.txt", GROCERY / "classes.csv")
    assert dataset.labels is not None
    folds = stratified_folds(dataset, 2, seed=0)
    pooled: list[tuple[ClassifyEvaluation, ClassifyEvaluation]] = []
    records = []
    for place, (trained, unseen) in enumerate((folds, folds[::-1])):
        floating, int8, record = _fold(arguments, place, trained, unseen)
        pooled.append((floating, int8))
        records.append(record)
    floats = np.concatenate([f.scores.right for f, _ in pooled])
    int8s = np.concatenate([i.scores.right for _, i in pooled])
    truth = np.concatenate([f.scores.truth for f, _ in pooled])
    paired = paired_comparison(floats, int8s)
    losses = class_losses(floats, int8s, truth, dataset.labels)
    broken = [row for row in losses if row.exceeds()]
    figures = {
        "arch": arguments.arch,
        "paired": asdict(paired),
        "worst_classes": [{**asdict(row), "net": row.net} for row in losses[:5]],
        "classes_over_the_rule": [row.name for row in broken],
        "within_rule": paired.drop <= 0.5 and not broken,
        "folds": [{"float": f.metrics.top1, "int8": i.metrics.top1, "photos": f.metrics.n} for f, i in pooled],
        "training": records,
    }
    write_result(f"out-of-fold-{arguments.arch}", figures)
    print(f"{arguments.arch}, {paired.n} photos out of fold: float {paired.reference:.2f} %, int8 {paired.value:.2f} %, drop {paired.drop:+.2f} "
          f"points, 95 % interval {paired.interval[0]:+.2f}…{paired.interval[1]:+.2f}; {paired.lost} lost, {paired.gained} gained; "
          f"classes over the rule: {[row.index for row in broken] or 'none'}")  # fmt: skip


def _fold(
    arguments: argparse.Namespace, place: int, trained: Dataset, unseen: Dataset
) -> tuple[ClassifyEvaluation, ClassifyEvaluation, dict[str, Any]]:
    arch, name = arguments.arch, f"oof-{arguments.arch}-{place}"
    train_list, test = write_list(RUNS / f"{name}-train.txt", trained), write_list(RUNS / f"{name}-test.txt", unseen)
    checkpoint, bundle = RUNS / f"{name}.pt", RUNS / f"{name}.edge"
    more: tuple[object, ...] = ("--epochs", arguments.epochs) if arguments.epochs else ()
    if arguments.frozen_stages is not None:
        more = (*more, "--frozen-stages", arguments.frozen_stages)
    record = train(
        checkpoint, "--data", train_list, "--labels", GROCERY / "classes.csv", *RECIPES[arch], *more,
        reuse=arguments.reuse,
    )  # fmt: skip
    edgevision("compile", checkpoint, "--int8", "-o", bundle)  # calibrated on its own photos: the other half is unseen
    photos = read_dataset(test, GROCERY / "classes.csv")
    with FloatModel(checkpoint, SourceOptions()) as model:
        floating = _evaluated("float", model, photos)
    with ev.load(bundle) as loaded:
        return floating, _evaluated("int8", loaded, photos), record


def _evaluated(name: str, model: Predictor, photos: Dataset) -> ClassifyEvaluation:
    evaluation = evaluate(name, model, photos)
    assert isinstance(evaluation, ClassifyEvaluation)
    return evaluation


if __name__ == "__main__":
    main()
