"""The comparison page: classification, detection and a cascade, each against what a user would take instead.

    python -m benchmarks.comparison --peer ENVIRONMENT/bin/python --yolo yolo11n.pt        # 45 minutes
    python -m benchmarks.comparison --only classify                                        # without Ultralytics

Makes the files that peers run, of the same weights as ours, and calls ``edgevision bench`` twice for each part: latency of all targets, then the
cameras that each of the ``dense`` ones serves, for a search takes minutes. Its commands are printed, and are in the result. ``--yolo``: a
checkpoint of Ultralytics; ``ENVIRONMENT`` as for ``detect_int8``. The demo's models classify and are the cascade's. Parts that were measured
before stay in the result. Records with all samples, and pages, lie in ``runs/comparison/``.
"""

from __future__ import annotations

import argparse
import json
import os
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.beverages import BEVERAGES, write_frames
from benchmarks.common import RESULTS, ROOT, RUNS, edgevision, shorten, write_result
from benchmarks.detect_int8 import compile_bundle
from benchmarks.peer_process import Peer

RESULT = "comparison"
FOLDER = RUNS / RESULT
DEMO = ROOT / "edgevision" / "demo"
FAILED = 1  # of ``edgevision bench``: a target failed, the others' figures stand


@dataclass(frozen=True)
class Part:
    """``targets``: all of them, ours first. ``dense``: the places of those whose cameras are counted. ``asked``: of density."""

    targets: Sequence[object]
    dense: Sequence[int]
    asked: Sequence[object]


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--peer", type=Path, help="Python of an environment with ultralytics")
    p.add_argument("--yolo", type=Path, help="a checkpoint of Ultralytics")
    p.add_argument("--only", choices=tuple(PARTS), nargs="+", default=tuple(PARTS))
    p.add_argument("--minutes", type=float, default=5.0, help="of each part's latencies (default 5)")
    p.add_argument(
        "--density-minutes",
        type=float,
        default=8.0,
        help="of each part's search for cameras (default 8; 0: leave it out)",
    )
    p.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    arguments = p.parse_args()
    if "detect" in arguments.only and not (arguments.peer and arguments.yolo):
        p.error("detect needs --peer and --yolo; or leave it out with --only classify cascade")
    environment = None if arguments.peer is None else arguments.peer.absolute().parent.parent
    FOLDER.mkdir(parents=True, exist_ok=True)
    frames = write_frames(FOLDER / "frames")
    parts = _measured_before()
    for name in arguments.only:
        part = PARTS[name](arguments)
        shared = ("--data", frames, "--threads", arguments.threads)
        asked = (*shared, "--minutes", arguments.minutes, "--scenario", "single-stream")
        parts[name] = {"latency": _bench(environment, f"{name}-latency", *part.targets, *asked)}
        write_result(RESULT, {"parts": parts})
        if arguments.density_minutes:
            asked = (
                *shared,
                "--minutes",
                arguments.density_minutes,
                "--scenario",
                "density",
                "--probe-seconds",
                5,
                *part.asked,
            )
            parts[name]["density"] = _bench(
                environment, f"{name}-density", *(part.targets[place] for place in part.dense), *asked
            )
            write_result(RESULT, {"parts": parts})


def _bench(peer: Path | None, name: str, *words: object) -> dict[str, Any]:
    """``peer``: the environment, whose place is this machine's own business."""
    record = FOLDER / f"{name}.json"
    command = ["bench", *words, "--force", "-o", record, "--html", record.with_suffix(".html")]
    told = edgevision(*command, allowed=(0, FAILED))
    asked = " ".join(["edgevision", *(shorten(str(word)) for word in command)])
    return dict(json.loads(json.dumps({"asked": asked, **told}).replace(f"{ROOT}/", "").replace(f"{peer}/", "PEER/")))


def _measured_before() -> dict[str, Any]:
    path = RESULTS / f"{RESULT}.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))["parts"]) if path.is_file() else {}


def classify(arguments: argparse.Namespace) -> Part:
    """The demo's classifier."""
    ours, floating, graph = _compiled(DEMO / "model.pt", "classifier")
    peers = [
        f"{kind}:{graph}@as={floating}{more}"
        for kind, more in (("onnx", ""), ("openvino", ",precision=f32"), ("openvino", ""))
    ]
    torch = [f"{kind}:{DEMO / 'model.pt'}" for kind in ("torch", "torch-compile")]
    return Part((ours, floating, *peers, *torch), (0, 2, 3, 4), ("--batch", 8, "--fps", 15, "--age-ms", 200))


def detect(arguments: argparse.Namespace) -> Part:
    """The network of ``--yolo``."""
    peer = Peer(arguments.peer)
    exports = peer.ask(
        "export", weights=arguments.yolo, definition="", classes=0, size=640, data=BEVERAGES / "data.yaml", folder=FOLDER / "peer"
    )  # fmt: skip
    peer.close()
    bundles = [
        compile_bundle(Path(exports["onnx"]), name, BEVERAGES / "data.yaml", FOLDER) for name in ("int8", "float")
    ]
    python = arguments.peer.absolute()  # not resolved: an environment's python is a link
    theirs = [f"ultralytics:{path}@python={python},size=640" for path in exports.values()]
    alone = [f"onnx:{exports['onnx']}@as={bundles[1]}", f"openvino:{exports['onnx']}@as={bundles[1]},precision=f32"]
    quick = [4 + place for place, name in enumerate(exports) if name.startswith("openvino")]
    return Part((*bundles, *alone, *theirs), (0, 3, *quick), ("--batch", 4, "--fps", 2, "--age-ms", 500))


def cascade(arguments: argparse.Namespace) -> Part:
    """The demo's detector, then its classifier."""
    detector, detector_float, detector_graph = _compiled(DEMO / "detector.pt", "detector")
    classifier, classifier_float, classifier_graph = _compiled(DEMO / "model.pt", "classifier")
    given = f"detector={detector_graph},detector_as={detector_float},classifier={classifier_graph},classifier_as={classifier_float}"
    peers = [f"python:benchmarks.cascade_by_hand:make@engine={engine},{given}" for engine in ("onnx", "openvino")]
    return Part((f"{detector}@then={classifier}", *peers), (0, 1, 2), ("--batch", 8, "--fps", 5, "--age-ms", 500))


PARTS: dict[str, Callable[[argparse.Namespace], Part]] = {
    "classify": classify, "detect": detect, "cascade": cascade,
}  # fmt: skip


def _compiled(checkpoint: Path, name: str) -> tuple[Path, Path, Path]:
    """Int8 bundle, float bundle, and the float graph as peers get it."""
    made = []
    for precision in ("int8", "float"):
        bundle = FOLDER / f"{name}-{precision}.edge"
        if not bundle.is_file():
            data = () if name == "classifier" else ("--data", _belt_photos())
            edgevision(
                "compile", checkpoint, "--precision", precision, *data, "--effort", "quick", "--force", "-o", bundle
            )
        made.append(bundle)
    graph = FOLDER / f"{name}.onnx"
    with zipfile.ZipFile(made[1]) as archive:
        graph.write_bytes(archive.read("graphs/float.onnx"))
    return made[0], made[1], graph


def _belt_photos() -> Path:
    """Photos with boxes of the demo's belt."""
    from edgevision.demo.belt import rendered_photos
    from edgevision.demo.compiling import silent

    return rendered_photos(FOLDER / "belt-photos", silent)


if __name__ == "__main__":
    main()
