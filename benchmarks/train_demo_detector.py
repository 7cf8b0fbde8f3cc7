"""Train the demo's detector, ``edgevision/demo/detector.pt``, on rendered shelves, belts and trays.

    .venv/bin/python -m benchmarks.train_demo_detector              # renders first, then trains: about an hour on two cores
    .venv/bin/python -m benchmarks.train_demo_detector --minutes 5  # a try; give another -o

What is rendered stays in ``runs/world-products`` and is used again. Measures: mAP on rendered photos of worlds that training never saw.
There is one class: which product it is, the demo's classifier tells. Does not measure: anything on real photos. No photos travel in the file: ``edgevision demo`` renders its own.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from benchmarks.common import ROOT, RUNS, write_result
from edgevision.demo.dataset import write_dataset
from edgevision.train import (
    DetectTrainOptions,
    RichProgress,
    load_checkpoint,
    save_checkpoint,
    train,
)

WORLD = RUNS / "world-products"
SIZE_PX = 320
ARCH_OPTIONS = {"depth": 0.5, "neck_channels": 64}
MAX_BYTES = 3_000_000
IOU = 0.45  # of boxes: products on belts, shelves and trays that overlap more than that can hardly be told apart


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, nargs=2, default=(1000, 120), metavar=("TRAIN", "VAL"))
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--reuse", action="store_true", help="take the checkpoint that the last run left")
    parser.add_argument("-o", dest="target", type=Path, default=ROOT / "edgevision/demo/detector.pt")
    arguments = parser.parse_args()
    if not (WORLD / "data.yaml").is_file():
        print("rendering", flush=True)
        write_dataset(WORLD, dict(zip(("train", "val"), arguments.photos, strict=True)), one_class="product")
    options = DetectTrainOptions(
        data=WORLD / "data.yaml", output=RUNS / "demo-detector.pt", size=SIZE_PX, arch_options=ARCH_OPTIONS,
        epochs=1000, minutes=arguments.minutes, lr=8e-4, frozen_stages=1,
        sizes=(0.6, 0.8, 1.0), photos=False,
    )  # fmt: skip
    if not (arguments.reuse and options.output.is_file()):
        train(options, RichProgress())
    checkpoint = load_checkpoint(options.output)
    task = replace(checkpoint.task, parameters={**checkpoint.task.parameters, "iou": IOU})
    save_checkpoint(arguments.target, replace(checkpoint, state_dict=_halves(checkpoint.state_dict), task=task))
    bytes_ = arguments.target.stat().st_size
    if bytes_ > MAX_BYTES:
        raise SystemExit(f"{arguments.target} has {bytes_} bytes, more than {MAX_BYTES}")
    figures = {
        "training": checkpoint.training, "checkpoint_bytes": bytes_,
        "parameters": sum(value.numel() for value in checkpoint.state_dict.values()),
    }  # fmt: skip
    print(json.dumps(figures, indent=1, default=str))
    write_result("train_demo_detector", figures)


def _halves(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict with convolutions rounded to float16: half the file."""
    return {name: value.contiguous().half() if value.ndim > 1 else value for name, value in state.items()}


if __name__ == "__main__":
    main()
