"""Real photos with boxes, from nothing to int8: our detector, and yolo11n of Ultralytics in the same time.

    python -m benchmarks.detect_train                                  # ours alone: train, compile to int8, evaluate
    python -m benchmarks.detect_train --peer ENVIRONMENT/bin/python    # and Ultralytics' yolo11n, from random weights
    python -m benchmarks.detect_train --only peer --peer …             # one of them; the other's figures are kept

``../shared/data/beverages``: trained on its train part; its val part chose defaults by, and is what is shown here, so expect somewhat less
elsewhere. Ours begins with ImageNet's weights, which install with the package; Ultralytics' would have to be downloaded, so that
a user without a network has none. Both see pictures of ``--size`` pixels, and use both cores.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from benchmarks.beverages import BEVERAGES
from benchmarks.common import RESULTS, RUNS, edgevision, train, write_result
from benchmarks.detect_int8 import accuracy_of, own_accuracy
from benchmarks.peer_process import Peer
from edgevision.bundle import open_bundle
from edgevision.evaluate.data.dataset import read_dataset

RESULT = "detect-train"
LEAST_SCORE = 0.001


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--peer", type=Path, help="Python of an environment with ultralytics")
    p.add_argument("--only", choices=("ours", "peer"))
    p.add_argument("--data", type=Path, default=BEVERAGES / "data.yaml")
    p.add_argument("--minutes", type=float, default=40)
    p.add_argument("--size", type=int, default=320)
    p.add_argument("--reuse", action="store_true", help="take the checkpoint and the bundle that the last run left")
    arguments = p.parse_args()
    file = RESULTS / f"{RESULT}.json"
    figures: dict[str, Any] = json.loads(file.read_text())["figures"] if file.is_file() else {}
    if arguments.only != "peer":
        figures["ours"] = ours(arguments)
        write_result(RESULT, {"minutes": arguments.minutes, "size": arguments.size, "figures": figures})
    if arguments.peer is not None and arguments.only != "ours":
        figures["yolo11n"] = peers(arguments)
        write_result(RESULT, {"minutes": arguments.minutes, "size": arguments.size, "figures": figures})
    print(json.dumps(figures, indent=1))


def ours(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train, compile with the default budget, and evaluate the float and the int8 graph."""
    checkpoint = RUNS / RESULT / "ours.pt"
    load = os.getloadavg()[0]
    record = train(
        checkpoint, "--task", "detect", "--data", arguments.data, "--minutes", arguments.minutes, "--size", arguments.size,
        reuse=arguments.reuse,
    )  # fmt: skip
    bundle = checkpoint.with_suffix(".edge")
    if not (arguments.reuse and bundle.is_file()):
        edgevision("compile", checkpoint, "--int8", "--data", arguments.data, "-o", bundle)
    with open_bundle(bundle) as opened:
        verdict = json.loads(opened.read("report/report.json"))["verdict"]
    return {
        "training": record, "load_before": load, "float": own_accuracy(checkpoint, arguments.data),
        "int8": own_accuracy(bundle, arguments.data), "verdict": verdict, "bytes": bundle.stat().st_size,
    }  # fmt: skip


def peers(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train yolo11n, and evaluate its best weights as Ultralytics runs them in PyTorch."""

    load = os.getloadavg()[0]
    peer = Peer(arguments.peer)
    trained = peer.ask(
        "train", definition="yolo11n.yaml", data=arguments.data, size=arguments.size, minutes=arguments.minutes,
        folder=RUNS / RESULT,
    )  # fmt: skip
    peer.ask("open", id="pt", model=trained["weights"], size=arguments.size)
    validation = read_dataset(arguments.data, part="val")
    answer = peer.ask("boxes", id="pt", photos=[photo.path for photo in validation], confidence=LEAST_SCORE)
    versions = peer.ask("versions")
    peer.close()
    return {
        **trained,
        "load_before": load,
        "versions": versions,
        "float": accuracy_of(answer["boxes"], validation),
    }


if __name__ == "__main__":
    main()
