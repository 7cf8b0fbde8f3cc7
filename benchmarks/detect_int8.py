"""What int8 costs a detector of Ultralytics, in accuracy and in time: compiled here, in its own int8 exports, and by NNCF.

    python -m benchmarks.detect_int8 --peer ENVIRONMENT/bin/python --weights yolo11n.pt yolo26n.pt

``ENVIRONMENT`` has ultralytics, onnx, onnxslim, onnxruntime, openvino and nncf. All start from the same checkpoint, calibrate on the photos of
the data set's train part and answer those of its val part. mAP is COCO's, counted by one function for all, over boxes with a score of 0.001 or
more; the others' boxes are those of Ultralytics' own ``predict``. NNCF's graph is run by it too. Times are ``edgevision bench``'s, from a frame of
1920×1080 to boxes, with one and two threads; its records lie in ``runs/detect-int8/``.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.beverages import BEVERAGES, write_frames
from benchmarks.common import RUNS, edgevision, write_result
from benchmarks.peer_process import Peer
from benchmarks.peers_int8 import nncf_quantize
from edgevision.bundle import open_bundle
from edgevision.decode import read_image
from edgevision.evaluate.data.dataset import Dataset, read_dataset
from edgevision.evaluate.statistics.average_precision import Found
from edgevision.evaluate.statistics.coco_summary import coco_summary
from edgevision.evaluate.tasks.detect_boxes import marked_boxes
from edgevision.preprocess import Preprocessor, PreprocessSpec

RESULT = "detect-int8"
LEAST_SCORE = 0.001
CALIBRATION = 300  # photos for NNCF, its own default


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--peer", type=Path, required=True, help="Python of an environment with ultralytics and nncf")
    p.add_argument("--weights", type=Path, nargs="+", required=True, help="checkpoints of Ultralytics")
    p.add_argument("--data", type=Path, default=BEVERAGES / "data.yaml")
    p.add_argument("--size", type=int, default=640)
    p.add_argument("--minutes", type=float, default=5.0, help="of each of the two runs of edgevision bench (default 5)")
    arguments = p.parse_args()
    networks = {}
    for weights in arguments.weights:
        networks[weights.stem] = compared(weights, arguments)
        write_result(RESULT, {"size": arguments.size, "networks": networks})


def compared(weights: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Accuracy and time of one network, in every form."""
    folder = RUNS / RESULT / weights.stem
    shutil.rmtree(folder, ignore_errors=True)
    peer = Peer(arguments.peer)
    exports = peer.ask(
        "export", weights=weights, definition="", classes=0, size=arguments.size, data=arguments.data, folder=folder
    )
    versions = peer.ask("versions")
    bundles = {name: compile_bundle(Path(exports["onnx"]), name, arguments.data, folder) for name in ("int8", "float")}
    with open_bundle(bundles["int8"]) as bundle:
        spec = bundle.manifest.preprocess
    exports["openvino-nncf"] = str(with_nncf(arguments.peer, exports, spec, arguments.data, folder))

    validation = read_dataset(arguments.data, part="val")
    accuracy = {f"ours-{name}": own_accuracy(bundle, arguments.data) for name, bundle in bundles.items()}
    for name in [name for name in exports if name != "pt"]:
        peer.ask("open", id=name, model=exports[name], size=arguments.size)
        answer = peer.ask("boxes", id=name, photos=[photo.path for photo in validation], confidence=LEAST_SCORE)
        accuracy[name] = accuracy_of(answer["boxes"], validation)
        print(name, accuracy[name], flush=True)
    peer.close()
    frames = write_frames(folder / "frames")
    theirs = {name: Path(path) for name, path in exports.items() if name != "pt"}
    times = {
        threads: measured(bundles, theirs, frames, threads, arguments, folder / f"bench-{threads}.json")
        for threads in (1, 2)
    }
    return {"versions": versions, "photos": len(validation), "accuracy": accuracy, "times": times}


def compile_bundle(graph: Path, precision: str, data: Path, folder: Path) -> Path:
    """The peer's ONNX as our bundle, whatever it is worth: that is what is measured here."""
    bundle = folder / f"{precision}.edge"
    budget = ("--max-drop", 100, "--max-class-drop", 100, "--force")
    edgevision("compile", graph, "--precision", precision, "--data", data, *budget, "-o", bundle)
    return bundle


def measured(
    bundles: dict[str, Path], theirs: dict[str, Path], frames: Path, threads: int, arguments: argparse.Namespace, record: Path
) -> list[dict[str, Any]]:  # fmt: skip
    """From frame to boxes, all in one run of ``edgevision bench``; a row for each target, ours in int8 being what the others stand against."""
    python = arguments.peer.absolute()  # not resolved: an environment's python is a link
    targets = [
        *bundles.values(),
        *(f"ultralytics:{path}@python={python},size={arguments.size}" for path in theirs.values()),
    ]
    told = edgevision(
        "bench", *targets, "--data", frames, "--threads", threads, "--batch", 1, "--minutes", arguments.minutes,
        "--scenario", "single-stream", "--force", "-o", record,
    )  # fmt: skip
    names = [*(f"ours-{name}" for name in bundles), *theirs]
    return [{"name": name, **row} for name, row in zip(names, told["rows"], strict=True)]


def with_nncf(python: Path, exports: dict[str, str], spec: PreprocessSpec, data: Path, folder: Path) -> Path:
    """NNCF's int8 graph in the place of the float one, in a copy of the OpenVINO export, so that Ultralytics runs it."""
    photos = read_dataset(data, part="train").photos[:CALIBRATION]
    tensors = np.empty((len(photos), *spec.tensor_shape), np.float32)
    preprocessor = Preprocessor(spec)
    for photo, room in zip(photos, tensors, strict=True):
        preprocessor.run(read_image(photo.path), room)
    np.save(folder / "photos.npy", tensors)
    source = Path(exports["openvino"])
    target = folder / "openvino-nncf" / source.name
    shutil.copytree(source, target)
    (graph,) = target.glob("*.xml")
    nncf_quantize(python, Path(exports["onnx"]), folder / "photos.npy", graph, "mixed", threads=os.cpu_count() or 1)
    (folder / "photos.npy").unlink()
    return target


def own_accuracy(bundle: Path, data: Path) -> dict[str, float | None]:
    """Of a bundle, by ``edgevision eval``."""
    coco = edgevision("eval", bundle, "--data", data)["models"][0]["coco"]
    return {"map50_95": coco["map"], "map50": coco["map50"]}


def accuracy_of(rows: list[list[list[float]]], dataset: Dataset) -> dict[str, float | None]:
    """``rows``: for each photo, boxes as x1, y1, x2, y2, score, class in its pixels. Percent."""
    found = []
    for one in rows:
        columns = np.array(one, np.float64).reshape(-1, 6)
        found.append(Found(columns[:, :4], columns[:, 4], columns[:, 5].astype(np.int64)))
    assert dataset.labels is not None
    classes = len(dataset.labels)
    coco = coco_summary(found, marked_boxes([photo.boxes for photo in dataset], classes), classes)
    return {"map50_95": coco.map, "map50": coco.map50}


if __name__ == "__main__":
    main()
