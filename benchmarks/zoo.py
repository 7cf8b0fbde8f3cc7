"""Networks as people bring them, through `compile --int8`: does it work, what runs in int8, what it is worth, what it costs.

    .venv/bin/python -m benchmarks.zoo                        # all of them: more than an hour on two cores
    .venv/bin/python -m benchmarks.zoo vit_b_16 swin_t        # some; the others' figures are kept

Weights are random, batch norms and classifier fitted to photos (``compile_cost.make_weights``): answers are worth keeping,
accuracies are not worth quoting. 10 products, 120 photos calibrate and 120 others validate. Timed is the whole command.
timm's networks need ``pip install timm``.

The goal is 10 minutes for each on two cores that have nothing else to do: look at ``load_average``, and at ``cpu_s``
beside ``minutes``.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from benchmarks.common import GROCERY, RESULTS, RUNS, write_list, write_result
from benchmarks.compile_cost import Run, make_weights, timed
from edgevision.evaluate.data.dataset import Dataset, read_dataset

RESULT = "zoo"
LARGE = ("vit_b_16", "swin_t", "convnext_tiny", "densenet121")
TORCHVISION = (
    "resnet18", "resnet50", "resnext50_32x4d", "mobilenet_v2", "mobilenet_v3_large", "mnasnet1_0", "efficientnet_b0",
    "efficientnet_v2_s", "shufflenet_v2_x1_0", "regnet_y_400mf", "googlenet", "vgg11_bn",
)  # fmt: skip
TIMM = ("timm:mobilenetv4_conv_small", "timm:repvit_m0_9", "timm:vit_tiny_patch16_224")
CLASSES, PHOTOS = 10, 12  # photos of each class, to calibrate and to validate


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("networks", nargs="*", help=f"of {', '.join((*LARGE, *TORCHVISION, *TIMM))}, or any other")
    p.add_argument("--effort", default="normal", help="of compile")
    arguments = p.parse_args()
    folder = RUNS / RESULT
    calibration, validation = _photos(folder)
    file = RESULTS / f"{RESULT}.json"
    rows: dict[str, Any] = json.loads(file.read_text())["networks"] if file.is_file() else {}
    for name in arguments.networks or (*LARGE, *TORCHVISION, *TIMM):
        load_before = os.getloadavg()[0]
        weights = make_weights(name, calibration, folder / f"{name.replace(':', '-')}.pt")
        command = [
            "compile", weights, "--int8", "--arch", name if ":" in name else f"torchvision:{name}",
            "--preprocess", "imagenet", "--labels", folder / "labels.csv", "--output", "logits",
            "--data", folder / "calibrate.txt", "--val", folder / "validate.txt", "--effort", arguments.effort,
            "--max-drop", 100, "--max-class-drop", 100, "--max-ece-increase", 100,
            "-o", weights.with_suffix(".edge"), "--json",
        ]  # fmt: skip
        run = timed(list(map(str, command)), folder / "steps.json")
        rows[name] = {**_row(run), "effort": arguments.effort, "load_before": round(load_before, 1)}
        print(_table({name: rows[name]}))
        write_result(RESULT, {"networks": rows, "photos": [len(calibration), len(validation)]})
    print(_table(rows))


def _photos(folder: Path) -> tuple[Dataset, Dataset]:
    """The photos of the largest classes: two halves, and their list files and labels."""
    everything = read_dataset(GROCERY / "train.txt", GROCERY / "classes.csv")
    counts = everything.class_counts
    largest = sorted(range(len(counts)), key=lambda index: -counts[index])[:CLASSES]
    calibration, validation = [], []
    for index in largest:
        own = [place for place, photo in enumerate(everything) if photo.label == index]
        calibration += own[:PHOTOS]
        validation += own[PHOTOS : 2 * PHOTOS]
    assert everything.labels is not None
    folder.mkdir(parents=True, exist_ok=True)
    labels = [everything.labels[index] for index in sorted(largest)]
    (folder / "labels.csv").write_text("name,id\n" + "".join(f"{label.name},{label.id}\n" for label in labels))
    halves = []
    for name, places in (("calibrate", calibration), ("validate", validation)):
        write_list(folder / f"{name}.txt", everything.select(places))
        halves.append(read_dataset(folder / f"{name}.txt", folder / "labels.csv"))
    return halves[0], halves[1]


def _row(run: Run) -> dict[str, Any]:
    """Of the quickest int8 and float variants: what the table shows."""
    row: dict[str, Any] = {
        "works": run.status == 0, "minutes": round(run.wall_s / 60, 1), "cpu_s": round(run.cpu_s),
        "peak_rss_gib": round(run.peak_bytes / 2**30, 2), "steps": run.steps, "longest_silence_s": run.longest_silence_s,
    }  # fmt: skip
    if run.status:
        return {**row, "error": run.result.get("error", "")}
    variants = [_figures(one) for one in run.result["variants"] if one["latency"]]
    for kind in ("int8", "float", "bf16"):
        row[kind] = min((one for one in variants if one["kind"] == kind), key=lambda one: one["p50_ms"], default=None)
    return {**row, "not_run": run.result["not_run"], "notes": run.result["notes"]}


def _figures(variant: dict[str, Any]) -> dict[str, Any]:
    """What is kept of one line of the report."""
    check = variant["precision_check"]
    kind = "bf16" if variant["precision"] == "bfloat16" else "float"
    figures = {
        "id": variant["id"], "kind": "int8" if check else kind, "p50_ms": variant["latency"][0]["p50_ms"],
        "agreement": variant["agreement"], "top1": variant["metric"], "size_mb": round(variant["size_bytes"] / 1e6, 2),
    }  # fmt: skip
    if check:
        claimed = sum(len(check[part]) for part in ("confirmed", "refuted", "missing"))
        figures |= {"int8_confirmed": len(check["confirmed"]), "int8_claimed": claimed}
    return figures


def _table(rows: dict[str, Any]) -> str:
    """Markdown."""
    lines = [
        "| network | works | int8 layers | agreement | int8 ms | float ms | int8 is | minutes |",
        "| --- " * 8 + "|",
    ]
    for name, row in rows.items():
        if not row["works"]:
            lines.append(f"| {name} | no: {row['error'][:80]} | | | | | | {row['minutes']} |")
            continue
        int8, floating = row["int8"], row["float"]
        lines.append(
            f"| {name} | yes | {int8['int8_confirmed']}/{int8['int8_claimed']} | {int8['agreement']:.1f} | "
            f"{int8['p50_ms']:.1f} | {floating['p50_ms']:.1f} | {floating['p50_ms'] / int8['p50_ms']:.2f}× | {row['minutes']} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
