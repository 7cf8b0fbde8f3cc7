"""Real photos, end to end: train on train.txt alone, compile to int8, evaluate. See grocery.sh."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from benchmarks.common import GROCERY, RUNS, edgevision, train, write_result
from benchmarks.recipes import RECIPES


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("arch", choices=sorted(RECIPES))
    p.add_argument("--test", type=Path, required=True)
    p.add_argument(
        "--reuse", action="store_true", help="take the checkpoint of an earlier run; times are then not a whole run's"
    )
    arguments = p.parse_args()
    arch, labels = arguments.arch, GROCERY / "classes.csv"
    checkpoint, bundle = RUNS / f"grocery-{arch}.pt", RUNS / f"grocery-{arch}.edge"

    start = time.monotonic()
    common = ("--labels", labels)
    record = train(
        checkpoint, "--data", GROCERY / "train.txt", "--val", GROCERY / "val.txt", *common,
        *RECIPES[arch], "--patience", 0, reuse=arguments.reuse,
    )  # fmt: skip
    train_s = time.monotonic() - start
    compiled = edgevision("compile", checkpoint, "--int8", "--val", GROCERY / "val.txt", *common, "-o", bundle)
    compile_s = time.monotonic() - start - train_s
    tested = edgevision("eval", bundle, "--data", arguments.test, *common, "--against", checkpoint)
    total_s = time.monotonic() - start

    int8, floating = (model["metrics"] for model in tested["models"])
    figures = {
        "arch": arch,
        "recipe": [str(word) for word in RECIPES[arch]],
        "tested_on": arguments.test.name,
        "photos": int8["n"],
        "int8": {k: int8[k] for k in ("top1", "top5", "f1", "roc_auc_macro")},
        "float": {k: floating[k] for k in ("top1", "top5", "f1", "roc_auc_macro")},
        "paired": tested["paired"],
        "seconds": {"train": train_s, "compile": compile_s, "eval": total_s - train_s - compile_s, "all": total_s},
        "chosen": compiled["chosen"],
        "verdict": compiled["verdict"],
        "variants": compiled["variants"],
        "training": record,
    }
    write_result(f"grocery-{arch}", figures)
    print(f"{arch} int8: top-1 {int8['top1']:.2f} %, float {floating['top1']:.2f} % on {int8['n']} photos of "
          f"{arguments.test.name}; {'training reused' if arguments.reuse else f'{total_s / 60:.1f} minutes in all, training {train_s / 60:.1f}'}")  # fmt: skip


if __name__ == "__main__":
    main()
