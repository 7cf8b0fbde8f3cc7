"""A classifier without its head as an embedder: what int8 costs, and how far engines turn its vectors.

    python -m benchmarks.headless_embedder [CHECKPOINT] [--effort quick]

Without a checkpoint: EfficientNet-Lite0 with ImageNet's weights, as they are, not trained on any photo of the set. It is compiled with
``--task embed`` (train.txt calibrates, val.txt validates), and all variants of the bundle give vectors of val.txt's photos: the
angles between them are what the golden frames' tolerances have to allow.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.common import GROCERY, RUNS, edgevision, write_result
from edgevision.tasks.embed import EMBEDDING, angles

BATCH = 16


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("checkpoint", type=Path, nargs="?", help="a classifier's; default: Lite0 as ImageNet left it")
    p.add_argument("--effort", default="quick", choices=("quick", "normal", "thorough"))
    arguments = p.parse_args()
    checkpoint, bundle = arguments.checkpoint or untrained(), RUNS / "headless-embedder.edge"
    # A budget that nothing breaks: the figure is wanted, whatever it is.
    compiled = edgevision(
        "compile", checkpoint, "--task", "embed", "--int8", "--data", GROCERY / "train.txt", "--val", GROCERY / "val.txt",
        "--labels", GROCERY / "classes.csv", "--effort", arguments.effort, "--max-drop", 100, "--max-class-drop", 100,
        "-o", bundle,
    )  # fmt: skip
    evaluated = edgevision(
        "eval", bundle, "--data", GROCERY / "val.txt", "--labels", GROCERY / "classes.csv", "--against", checkpoint,
        "--task", "embed",
    )  # fmt: skip
    int8, floating = (model["metrics"] for model in evaluated["models"])
    turned = angles_between(vectors_of(bundle))
    write_result(
        "headless-embedder",
        {
            "checkpoint": checkpoint.name, "effort": arguments.effort, "verdict": compiled["verdict"], "chosen": compiled["chosen"],
            "variants": compiled["variants"], "int8": int8, "float": floating, "paired": evaluated["paired"], "angles": turned,
        },
    )  # fmt: skip
    paired = evaluated["paired"]
    print(
        f"recall@1: int8 {int8['recall1']:.2f} %, float {floating['recall1']:.2f} % on {int8['judged']} photos of {int8['products']} "
        f"products, {int8['dimension']} numbers each; drop {paired['drop']:+.2f} points, interval {paired['interval'][0]:+.2f}…"
        f"{paired['interval'][1]:+.2f}"
    )
    for pair, found in turned.items():
        print(f"{pair}: turned by {found['median']:.4f} radians, at most {found['most']:.4f}")


def untrained() -> Path:
    """A checkpoint of Lite0 with ImageNet's weights, whose classes are none of the set."""
    from edgevision.tasks.classify import classify_spec
    from edgevision.tasks.results import Label
    from edgevision.train import backbones
    from edgevision.train.checkpoint import Checkpoint, save_checkpoint

    RUNS.mkdir(exist_ok=True)
    path = RUNS / "lite0-imagenet.pt"
    network = backbones.pretrained("lite0", 2)
    task = classify_spec([Label(0, "this"), Label(1, "that")])
    save_checkpoint(path, Checkpoint("lite0", network.state_dict(), backbones.default_preprocess("lite0"), task))
    return path


def vectors_of(bundle: Path) -> dict[str, npt.NDArray[Any]]:
    """What each variant says of val.txt's photos, with one thread and with two."""
    import edgevision as ev
    from edgevision.bundle.reader import open_bundle
    from edgevision.evaluate.data.dataset import read_dataset

    paths = read_dataset(GROCERY / "val.txt").paths
    with open_bundle(bundle) as opened:
        ids = [variant.id for variant in opened.manifest.variants]
    found = {}
    for id in ids:
        for threads in (1, 2):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = ev.load(bundle, variant=id, threads=threads)
            with model:
                parts = [model.digest(paths[start : start + BATCH]) for start in range(0, len(paths), BATCH)]
            found[f"{id}, {threads} threads"] = np.concatenate([part[EMBEDDING] for part in parts])
    return found


def angles_between(vectors: dict[str, npt.NDArray[Any]]) -> dict[str, dict[str, float]]:
    """Of each two: the angles between the vectors of one photo, in radians."""
    names = list(vectors)
    pairs = [(a, b) for place, a in enumerate(names) for b in names[place + 1 :]]
    found = {f"{a} – {b}": angles(vectors[a], vectors[b]) for a, b in pairs}
    return {pair: {"median": float(np.median(one)), "most": float(one.max())} for pair, one in found.items()}


if __name__ == "__main__":
    main()
