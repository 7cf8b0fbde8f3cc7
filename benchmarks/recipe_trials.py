"""Which changes to the recipe make a classifier better on photos of other shops: trials, each with several seeds.

    .venv/bin/python -m benchmarks.recipe_trials run base colour --seeds 0 1 2
    .venv/bin/python -m benchmarks.recipe_trials table

A trial learns train.txt without one fold of visits (``grocery_visits``), and answers the photos of that fold and those of val.txt: some 820, of
other shops and days than what it learnt. Trials of one seed hold out the same fold, and are compared photo by photo, in top-1 and in the
likelihood of the right class (at the temperature that suits each; it tells smaller differences). Photos of one visit stand and fall together: the
intervals are a bootstrap of visits. They know nothing of what another training would give; look at the gain of each seed beside them. All trials are smaller than a recipe that is published (``BASE``), so that there can be many. Each run is one file of
``runs/recipe-trials/``; the table goes into ``results/recipe-trials.json``, so that nobody has to try the same twice. Float alone: int8 costs
nothing here (``out_of_fold``). A run that was broken off goes on. Two runs at once need trials of which none teaches another and at most one has pasted pictures.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.common import GROCERY, RUNS, write_list, write_result
from benchmarks.gallery_split import read_photos
from benchmarks.grocery_visits import FOLDS, fold_of, train_visits
from benchmarks.pasted import write_pasted
from edgevision.compiler.float_model import FloatModel
from edgevision.compiler.sources.source import SourceOptions
from edgevision.decode import read_image
from edgevision.evaluate.data.dataset import read_dataset
from edgevision.evaluate.statistics.calibration import fit_temperature
from edgevision.tasks.classify import SCORES
from edgevision.train import train
from edgevision.train.augment import Augmentation
from edgevision.train.options import TrainOptions

FOLDER = RUNS / "recipe-trials"
BASE: dict[str, Any] = {
    "arch": "lite0",
    "size": 224,
    "epochs": 12,
    "frozen_stages": 2,
    "patience": None,
    "photos": False,
}
ICONIC = "iconic"  # learn the catalogue's picture of each product as well
PASTED = "pasted"  # how many pictures of each product to learn in which the catalogue's is pasted into a shop's photo
STRONG_LIGHT = Augmentation(brightness=0.4, contrast=0.4, saturation=0.5, white_balance=0.15)
# What each trial has otherwise than ``BASE``.
TRIALS: dict[str, dict[str, Any]] = {
    "base": {},
    "frozen-0": {"frozen_stages": 0},
    "frozen-3": {"frozen_stages": 3},
    "frozen-4": {"frozen_stages": 4},
    "colour": {"augmentation": STRONG_LIGHT},
    "small-crops": {"augmentation": Augmentation(min_area=0.15)},
    "cutmix": {"cutmix": 0.5, "mixup": 0.2},
    "no-mix": {"cutmix": 0.0, "mixup": 0.0},
    "slow": {"lr": 2.5e-4},
    "quick": {"lr": 1e-3},
    "average": {"ema": 0.999},
    "long": {"epochs": 24},
    "iconic": {ICONIC: True},
    "pasted": {PASTED: 6},
    "pasted-colour": {PASTED: 6, "augmentation": STRONG_LIGHT},
    "lite2": {"arch": "lite2"},
    "taught": {"teacher": "lite2"},
    "taught-hard": {"teacher": "lite2", "distil_weight": 1.0, "distil_temperature": 1.0, "cutmix": 0.5, "mixup": 0.3},
    "taught-long": {"teacher": "lite2", "epochs": 24},
}
REPEATS = 2000  # of the bootstrap

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Answered:
    """What a run answered of each photo: ``right`` bool [n], ``likelihood`` float64 [n] (log of the right class's probability), ``visit`` int64 [n],
    ``in_val`` bool [n]."""

    right: npt.NDArray[np.bool_]
    likelihood: npt.NDArray[np.float64]
    visit: npt.NDArray[np.int64]
    in_val: npt.NDArray[np.bool_]


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=["run", "table"])
    p.add_argument("trials", nargs="*", metavar="TRIAL", help=f"of {', '.join(TRIALS)}")
    p.add_argument("--seeds", type=int, nargs="+", default=[0])
    p.add_argument(
        "--threads",
        type=int,
        default=2,
        help="of each training: two runs at once with one each end sooner than one after the other",
    )
    arguments = p.parse_args()
    if unknown := set(arguments.trials) - set(TRIALS):
        p.error(f"trials are {', '.join(TRIALS)}, got {', '.join(sorted(unknown))}")
    if arguments.what == "run":
        for seed in arguments.seeds:
            for trial in arguments.trials:
                told = ran(trial, seed, arguments.threads)
                print(f"{trial}, seed {seed}: {told['visits_top1']:.2f} % of held-out visits, {told['val_top1']:.2f} % of val.txt, "
                      f"{told['minutes']:.1f} minutes on {told['threads']}", flush=True)  # fmt: skip
    rows = table()
    if not rows:
        p.error(f"no trial has been run here: there is none in {FOLDER}")
    write_result("recipe-trials", {"base": BASE, "rows": rows})
    for row in rows:
        print(f"{row['trial']:14} seeds {row['seeds']}: {row['top1']:.2f} % (held-out visits {row['visits_top1']:.2f}, val {row['val_top1']:.2f}); "
              f"against base {row['gain']:+.2f} ({row['interval'][0]:+.2f}…{row['interval'][1]:+.2f}), likelihood {row['likelihood_gain']:+.3f} "
              f"({row['likelihood_interval'][0]:+.3f}…{row['likelihood_interval'][1]:+.3f}), {row['core_minutes']:.0f} minutes of a core")  # fmt: skip


def ran(trial: str, seed: int, threads: int = 2) -> dict[str, Any]:
    """Train with so many threads and answer, unless an earlier run did."""
    file = FOLDER / f"{trial}-{seed}.json"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(".unfinished")
        unfinished.write_text(json.dumps({"asked": asked(trial), **_run(trial, seed, threads)}))
        unfinished.replace(file)
    told: dict[str, Any] = json.loads(file.read_text())
    if told["asked"] != asked(trial):
        raise SystemExit(f"{file} is of another trial of that name; delete it, or give the new one a new name")
    return told


def asked(trial: str) -> dict[str, Any]:
    """All that a trial is, in plain values: ``train``'s defaults too, so that runs with other ones are not compared."""
    changes = {**BASE, **TRIALS[trial]}
    own = {ICONIC: changes.pop(ICONIC, False), PASTED: changes.pop(PASTED, 0), "teacher": changes.pop("teacher", None)}
    if own["teacher"] is not None:
        own["teacher"] = asked(own["teacher"])
    matters = TrainOptions(data=Path("photos"), output=Path("model.pt"), **changes).what_matters()
    del matters["seed"]
    return {**matters, **own}


def _run(trial: str, seed: int, threads: int) -> dict[str, Any]:
    changes = dict(TRIALS[trial])
    learnt, held_out = _lists(seed, iconic=bool(changes.pop(ICONIC, False)), pasted=changes.pop(PASTED, 0))
    if "teacher" in changes:
        ran(changes["teacher"], seed, threads)
        changes["teacher"] = FOLDER / f"{changes['teacher']}-{seed}.pt"
    checkpoint = FOLDER / f"{trial}-{seed}.pt"
    options = {**BASE, **changes}
    trained = train(
        TrainOptions(
            data=learnt,
            output=checkpoint,
            labels=GROCERY / "classes.csv",
            seed=seed,
            threads=threads,
            resume=True,
            **options,
        )
    )
    found = {name: _answered(checkpoint, path) for name, path in (("visits", held_out), ("val", GROCERY / "val.txt"))}
    scores = {f"{name}_top1": 100 * float(np.mean(answers["right"])) for name, answers in found.items()}
    return {"minutes": trained.seconds / 60, "threads": threads, **scores, "answers": found}


def _lists(seed: int, *, iconic: bool, pasted: int) -> tuple[Path, Path]:
    """What is learnt, and which visits are held out."""
    dataset, visit = train_visits()
    assert dataset.labels is not None
    fold = seed % FOLDS
    out = fold_of(dataset.truth, visit) == fold
    left = dataset.select(np.flatnonzero(~out))
    catalogue = read_photos().iconic
    more: list[list[Path]] = [[path.resolve()] if iconic else [] for path in catalogue]
    if pasted:
        made = write_pasted(FOLDER / f"pasted-{fold}", catalogue, left.paths, left.truth, pasted)
        more = [here + there for here, there in zip(more, made, strict=True)]
    name = f"fold-{fold}{'-iconic' if iconic else ''}{f'-pasted-{pasted}' if pasted else ''}"
    learnt = write_list(FOLDER / f"{name}-train.txt", left)
    rows = [f"{path}, {label.id}\n" for paths, label in zip(more, dataset.labels, strict=True) for path in paths]
    if rows:
        learnt.write_text(learnt.read_text().rstrip("\n") + "\n" + "".join(rows))
    return learnt, write_list(FOLDER / f"fold-{fold}-held-out.txt", dataset.select(np.flatnonzero(out)))


def _answered(checkpoint: Path, photos: Path) -> dict[str, list[float]]:
    dataset = read_dataset(photos, GROCERY / "classes.csv")
    with FloatModel(checkpoint, SourceOptions()) as model:
        logits = np.concatenate([model.digest([read_image(path)])[SCORES] for path in dataset.paths]).astype(np.float64)
    truth = dataset.truth
    scaled = logits / fit_temperature(logits, truth)
    likelihood = scaled[np.arange(len(truth)), truth] - np.logaddexp.reduce(scaled, axis=1)
    return {
        "right": (logits.argmax(1) == truth).astype(int).tolist(), "likelihood": likelihood.round(5).tolist(), "truth": truth.tolist()
    }  # fmt: skip


def table() -> list[Row]:
    """A row for each trial: over all its seeds, and against ``base`` with the same ones."""
    rows = []
    for trial, changes in TRIALS.items():
        seeds = sorted(int(path.stem.removeprefix(f"{trial}-")) for path in FOLDER.glob(f"{trial}-[0-9]*.json"))
        both = [seed for seed in seeds if (FOLDER / f"base-{seed}.json").is_file()]
        if not seeds or not both:
            continue
        told, own = [ran(trial, seed) for seed in seeds], _pooled(trial, seeds)
        base, here = _pooled("base", both), _pooled(trial, both)
        right = (here.right.astype(float) - base.right.astype(float)) * 100
        likelihood = here.likelihood - base.likelihood
        rows.append(
            {
                "trial": trial, "changes": {name: str(value) for name, value in changes.items()}, "seeds": seeds, "threads": [one["threads"] for one in told],
                "top1": 100 * float(own.right.mean()), "visits_top1": 100 * float(own.right[~own.in_val].mean()),
                "val_top1": 100 * float(own.right[own.in_val].mean()),
                "gains": [_gain(trial, seed) for seed in both], "gain": float(right.mean()), "interval": _interval(right, here.visit),
                "likelihood_gain": float(likelihood.mean()), "likelihood_interval": _interval(likelihood, here.visit),
                "photos": len(right), "visits": len(np.unique(here.visit)), "core_minutes": float(np.mean([one["minutes"] * one["threads"] for one in told])),
            }
        )  # fmt: skip
    return rows


def _gain(trial: str, seed: int) -> float:
    return 100 * float(_pooled(trial, [seed]).right.mean() - _pooled("base", [seed]).right.mean())


def _pooled(trial: str, seeds: Sequence[int]) -> Answered:
    """All photos of these seeds. The photos of a product in val.txt are one visit, in whatever seed; the others' are ``train_visits``."""
    dataset, visit = train_visits()
    fold = fold_of(dataset.truth, visit, FOLDS)
    parts: list[tuple[Sequence[float], Sequence[float], npt.NDArray[np.int64], bool]] = []
    for seed in seeds:
        answers = ran(trial, seed)["answers"]
        here = answers["visits"]
        if here["truth"] != dataset.truth[fold == seed % FOLDS].tolist():
            raise SystemExit(f"trials of seed {seed} in {FOLDER} are of other folds; delete them")
        parts.append((here["right"], here["likelihood"], visit[fold == seed % FOLDS], False))
        here = answers["val"]
        parts.append((here["right"], here["likelihood"], visit.max() + 1 + np.array(here["truth"], np.int64), True))
    return Answered(
        np.concatenate([np.array(right, np.bool_) for right, _, _, _ in parts]),
        np.concatenate([np.array(likelihood, np.float64) for _, likelihood, _, _ in parts]),
        np.concatenate([visits for _, _, visits, _ in parts]),
        np.concatenate([np.full(len(visits), in_val) for _, _, visits, in_val in parts]),
    )


def _interval(values: npt.NDArray[np.float64], visit: npt.NDArray[np.int64]) -> tuple[float, float]:
    """95 % of the means of ``values`` over visits drawn with replacement."""
    _, place = np.unique(visit, return_inverse=True)
    sums, counts = np.bincount(place, values), np.bincount(place).astype(float)
    drawn = np.random.default_rng(0).integers(len(sums), size=(REPEATS, len(sums)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


if __name__ == "__main__":
    main()
