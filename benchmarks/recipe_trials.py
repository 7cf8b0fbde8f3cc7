"""Which changes to the recipe make a classifier better on photos of other shops: trials, each with several seeds.

    .venv/bin/python -m benchmarks.recipe_trials run base colour --seeds 0 1 2
    .venv/bin/python -m benchmarks.recipe_trials table

A trial learns train.txt without one fold of visits (``grocery_visits``), and answers the photos of that fold and those of val.txt: some 500, of
other shops and days than what it learnt. Trials of one seed hold out the same fold, and are compared photo by photo. The interval is of photos alone: it
knows nothing of what another training would give, nor that val.txt is answered once for each seed; look at the gain of each seed beside it. Each run is one line of
``runs/recipe-trials/``; the table goes into ``results/recipe-trials.json``, so that nobody has to try the same twice. Float alone: int8 costs
nothing here (``out_of_fold``).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.common import GROCERY, RUNS, write_list, write_result
from benchmarks.gallery_split import read_photos
from benchmarks.grocery_visits import FOLDS, fold_of, train_visits
from edgevision.compiler.float_model import FloatModel
from edgevision.compiler.sources.source import SourceOptions
from edgevision.evaluate.data.dataset import read_dataset
from edgevision.evaluate.evaluation import evaluate
from edgevision.evaluate.statistics.paired import paired_comparison
from edgevision.evaluate.tasks.classify_evaluation import ClassifyEvaluation
from edgevision.train import train
from edgevision.train.augment import Augmentation
from edgevision.train.options import TrainOptions

FOLDER = RUNS / "recipe-trials"
BASE: dict[str, Any] = {"arch": "lite0", "size": 256, "epochs": 16, "patience": None, "photos": False}
ICONIC = "iconic"  # learn the catalogue's picture of each product as well
# What each trial has otherwise than ``BASE``.
TRIALS: dict[str, dict[str, Any]] = {
    "base": {},
    "colour": {"augmentation": Augmentation(brightness=0.4, contrast=0.4, saturation=0.5, white_balance=0.15)},
    "small-crops": {"augmentation": Augmentation(min_area=0.15)},
    "cutmix": {"cutmix": 0.5, "mixup": 0.2},
    "no-mix": {"cutmix": 0.0, "mixup": 0.0},
    "slow": {"lr": 2.5e-4},
    "quick": {"lr": 1e-3},
    "average": {"ema": 0.999},
    "long": {"epochs": 28},
    "iconic": {ICONIC: True},
    "lite2": {"arch": "lite2", "size": 288},
    "taught": {"teacher": "lite2"},
    "taught-hard": {"teacher": "lite2", "distil_weight": 1.0, "distil_temperature": 1.0, "cutmix": 0.5, "mixup": 0.3},
    "taught-long": {"teacher": "lite2", "epochs": 28},
}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=["run", "table"])
    p.add_argument("trials", nargs="*", metavar="TRIAL", help=f"of {', '.join(TRIALS)}")
    p.add_argument("--seeds", type=int, nargs="+", default=[0])
    arguments = p.parse_args()
    if unknown := set(arguments.trials) - set(TRIALS):
        p.error(f"trials are {', '.join(TRIALS)}, got {', '.join(sorted(unknown))}")
    if arguments.what == "run":
        for seed in arguments.seeds:
            for trial in arguments.trials:
                told = ran(trial, seed)
                print(f"{trial}, seed {seed}: {told['visits_top1']:.2f} % of held-out visits, {told['val_top1']:.2f} % of val.txt, "
                      f"{told['minutes']:.1f} minutes", flush=True)  # fmt: skip
    rows = table()
    write_result("recipe-trials", {"base": BASE, "rows": rows})
    for row in rows:
        print(f"{row['trial']:14} seeds {row['seeds']}: {row['top1']:.2f} %; against base {row['gain']:+.2f} "
              f"({row['interval'][0]:+.2f}…{row['interval'][1]:+.2f}), val alone {row['val_top1']:.2f} %, {row['minutes']:.0f} minutes")  # fmt: skip


def ran(trial: str, seed: int) -> dict[str, Any]:
    """Train and answer, unless an earlier run did."""
    file = FOLDER / f"{trial}-{seed}.json"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(".unfinished")
        unfinished.write_text(json.dumps({"asked": asked(trial), **_run(trial, seed)}))
        unfinished.replace(file)
    told: dict[str, Any] = json.loads(file.read_text())
    if told["asked"] != asked(trial):
        raise SystemExit(f"{file} is of another trial of that name; delete it, or give the new one a new name")
    return told


def asked(trial: str) -> dict[str, str]:
    """All that a trial is, in plain values."""
    return {name: str(value) for name, value in {**BASE, **TRIALS[trial]}.items()}


def _run(trial: str, seed: int) -> dict[str, Any]:
    changes = dict(TRIALS[trial])
    learnt, held_out = _lists(seed, iconic=bool(changes.pop(ICONIC, False)))
    if "teacher" in changes:
        ran(changes["teacher"], seed)
        changes["teacher"] = FOLDER / f"{changes['teacher']}-{seed}.pt"
    checkpoint = FOLDER / f"{trial}-{seed}.pt"
    began_s = time.monotonic()
    options = {**BASE, **changes}
    train(TrainOptions(data=learnt, output=checkpoint, labels=GROCERY / "classes.csv", seed=seed, **options))
    minutes = (time.monotonic() - began_s) / 60
    with FloatModel(checkpoint, SourceOptions()) as model:
        right = {name: _right(model, path) for name, path in (("visits", held_out), ("val", GROCERY / "val.txt"))}
    scores = {f"{name}_top1": 100 * float(found.mean()) for name, found in right.items()}
    return {"minutes": minutes, **scores, "right": {name: found.astype(int).tolist() for name, found in right.items()}}


def _lists(seed: int, *, iconic: bool) -> tuple[Path, Path]:
    """What is learnt, and which visits are held out."""
    dataset, visit = train_visits()
    out = fold_of(dataset.truth, visit) == seed % FOLDS
    name = f"fold-{seed % FOLDS}{'-iconic' if iconic else ''}"
    learnt = write_list(FOLDER / f"{name}-train.txt", dataset.select(np.flatnonzero(~out)))
    if iconic:
        assert dataset.labels is not None
        rows = [
            f"{path.resolve()}, {label.id}" for path, label in zip(read_photos().iconic, dataset.labels, strict=True)
        ]
        learnt.write_text(learnt.read_text() + "\n".join(rows) + "\n")
    return learnt, write_list(FOLDER / f"{name}-held-out.txt", dataset.select(np.flatnonzero(out)))


def _right(model: FloatModel, photos: Path) -> npt.NDArray[np.bool_]:
    found = evaluate("float", model, read_dataset(photos, GROCERY / "classes.csv"))
    assert isinstance(found, ClassifyEvaluation)
    return found.scores.right


def table() -> list[dict[str, Any]]:
    """A row for each trial: over all its seeds, and against ``base`` with the same ones."""
    rows = []
    for trial, changes in TRIALS.items():
        seeds = [seed for seed in range(100) if (FOLDER / f"{trial}-{seed}.json").is_file()]
        both = [seed for seed in seeds if (FOLDER / f"base-{seed}.json").is_file()]
        if not seeds or not both:
            continue
        paired = paired_comparison(_pooled("base", both), _pooled(trial, both))
        told = [ran(trial, seed) for seed in seeds]
        rows.append(
            {
                "trial": trial, "changes": {name: str(value) for name, value in changes.items()}, "seeds": seeds,
                "top1": 100 * float(_pooled(trial, seeds).mean()), "val_top1": float(np.mean([one["val_top1"] for one in told])),
                "gains": [_gain(trial, seed) for seed in both],
                "gain": -paired.drop, "interval": (-paired.interval[1], -paired.interval[0]), "photos": paired.n,
                "minutes": float(np.mean([one["minutes"] for one in told])),
            }
        )  # fmt: skip
    return rows


def _gain(trial: str, seed: int) -> float:
    return 100 * float(_pooled(trial, [seed]).mean() - _pooled("base", [seed]).mean())


def _pooled(trial: str, seeds: Sequence[int]) -> npt.NDArray[np.bool_]:
    found = [ran(trial, seed)["right"] for seed in seeds]
    return np.array([answer for one in found for name in ("visits", "val") for answer in one[name]], np.bool_)


if __name__ == "__main__":
    main()
