"""What int8 costs detectors of other families: compiled here, and by NNCF on the same photos.

    python -m benchmarks.detect_nncf --peer ENVIRONMENT/bin/python runs/detect-train/ours.pt   # of `edgevision train`
    python -m benchmarks.detect_nncf --peer ENVIRONMENT/bin/python --ssdlite 10    # torchvision's SSDlite, 10 minutes of training

``ENVIRONMENT`` has nncf. SSDlite starts from random weights, as a user without network has it. NNCF quantizes the float graph
that ``compile`` exports, with its default number of photos, in both of its presets; OpenVINO runs it, behind the same preprocessing
and before the same decoding as ours. mAP is COCO's on the val part, by one function for all; and again with float's ten best boxes of each photo in
place of the truth, which tells int8 from float where the network itself finds little. Timed are the engines alone, in
turns; the ratio is ours / NNCF's, its median with a bootstrap 95 % interval.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.beverages import BEVERAGES
from benchmarks.common import RESULTS, RUNS, edgevision, write_result
from benchmarks.peers_int8 import NNCF_PRESETS, nncf_quantize, open_graph
from edgevision.bundle import open_bundle
from edgevision.bundle.reader import Bundle
from edgevision.compiler.answers import AnswerMeasure
from edgevision.compiler.select.run_photos import run_all
from edgevision.decode import read_image
from edgevision.engines import Engine, EngineOptions
from edgevision.evaluate.data.dataset import Dataset, read_dataset
from edgevision.evaluate.statistics.average_precision import Found, Marked
from edgevision.evaluate.statistics.coco_summary import coco_summary
from edgevision.evaluate.tasks.detect_boxes import found_boxes, marked_boxes
from edgevision.latency import measure_interleaved, paired_ratio
from edgevision.preprocess import Preprocessor, PreprocessSpec

RESULT = "detect-nncf"
FOLDER = RUNS / RESULT
SSDLITE = "torchvision:ssdlite320_mobilenet_v3_large"
CALIBRATION = 300  # photos for NNCF, its own default
BEST = 10  # boxes of float in a photo, which int8 has to find again


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("checkpoints", type=Path, nargs="*", help="of `edgevision train --task detect`")
    p.add_argument("--peer", type=Path, required=True, help="Python of an environment with nncf")
    p.add_argument("--ssdlite", type=float, metavar="MINUTES", help="train torchvision's SSDlite for so long")
    p.add_argument("--reuse", action="store_true", help="take the SSDlite that the last run trained")
    p.add_argument("--data", type=Path, default=BEVERAGES / "data.yaml")
    p.add_argument("--rounds", type=int, default=200)
    arguments = p.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    file = RESULTS / f"{RESULT}.json"
    networks: dict[str, Any] = json.loads(file.read_text())["networks"] if file.is_file() else {}
    models: dict[str, tuple[Path, tuple[str, ...]]] = {path.stem: (path, ()) for path in arguments.checkpoints}
    if arguments.ssdlite:
        weights = FOLDER / "ssdlite.pt"
        if not (arguments.reuse and weights.is_file()):
            train_ssdlite(arguments.data, arguments.ssdlite, weights)
        labels = read_dataset(arguments.data, part="train").labels or ()
        (FOLDER / "labels.csv").write_text("name,id\n" + "".join(f"{one.name},{one.id}\n" for one in labels))
        models["ssdlite"] = (weights, ("--arch", SSDLITE, "--labels", str(FOLDER / "labels.csv")))
    for name, (path, options) in models.items():
        networks[name] = compared(path, options, arguments)
        print(name, json.dumps(networks[name], indent=1), flush=True)
        write_result(RESULT, {"networks": networks})


def compared(checkpoint: Path, options: Sequence[str], arguments: argparse.Namespace) -> dict[str, Any]:
    """mAP of float, ours and NNCF's, and the times of ours against NNCF's."""
    folder = FOLDER / checkpoint.stem
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    bundles = {}
    for precision in ("float", "int8"):
        bundles[precision] = folder / f"{precision}.edge"
        edgevision(
            "compile", checkpoint, *options, "--precision", precision, "--data", arguments.data, "--max-drop", 100,
            "--max-class-drop", 100, "--force", "-o", bundles[precision],
        )  # fmt: skip
    with open_bundle(bundles["float"]) as bundle:
        spec, task = bundle.manifest.preprocess, bundle.manifest.task
        graph = folder / "float.onnx"
        graph.write_bytes(_graph_of(bundle))
    tensors = folder / "photos.npy"
    np.save(tensors, _tensors(read_dataset(arguments.data, part="train"), spec, CALIBRATION))
    sessions = {"float": ("onnxruntime", graph)}
    for preset in NNCF_PRESETS:
        target = folder / f"nncf-{preset}.xml"
        versions = nncf_quantize(arguments.peer, graph, tensors, target, preset)
        sessions[f"nncf-{preset}"] = ("openvino", target)
    tensors.unlink()
    with open_bundle(bundles["int8"]) as bundle:
        chosen = bundle.manifest.variants[0]
        own = folder / "int8.onnx"
        own.write_bytes(_graph_of(bundle))
        sessions["ours"] = (chosen.engine, own)

    validation = read_dataset(arguments.data, part="val")
    photos = _tensors(validation, spec, len(validation))
    measure = AnswerMeasure.of(task, spec)
    with ExitStack() as stack:
        engines = {
            name: stack.enter_context(open_graph(engine, file, EngineOptions(1)))
            for name, (engine, file) in sessions.items()
        }
        answers = run_all(engines, photos[:, None], measure)
        times = _times({name: one for name, one in engines.items() if name != "float"}, photos[:1], arguments.rounds)
    truths = [photo.boxes for photo in validation]
    classes = len(validation.labels or ())
    found = {name: found_boxes(one, truths, spec) for name, one in answers.items()}
    marked = {"truth": marked_boxes(truths, classes), "float": [_as_truth(one) for one in found["float"]]}
    return {
        "variant": chosen.id,
        "versions": versions,
        "photos": len(validation),
        "accuracy": {name: _coco(one, marked["truth"], classes) for name, one in found.items()},
        "like_float": {name: _coco(one, marked["float"], classes) for name, one in found.items()},
        "times": times,
    }


def _graph_of(bundle: Bundle) -> bytes:
    """Of the bundle's first variant, the one that was chosen."""
    return bundle.graph(bundle.manifest.variants[0].graph)


def _tensors(dataset: Dataset, spec: PreprocessSpec, count: int) -> npt.NDArray[np.float32]:
    """The first photos, prepared: float32 [n, *spec.tensor_shape]."""
    photos = dataset.photos[:count]
    tensors = np.empty((len(photos), *spec.tensor_shape), np.float32)
    preprocessor = Preprocessor(spec)
    for photo, room in zip(photos, tensors, strict=True):
        preprocessor.run(read_image(photo.path), room)
    return tensors


def _as_truth(found: Found) -> Marked:
    """The best boxes of a photo, as if they were the truth."""
    boxes = found.boxes[:BEST]
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return Marked(boxes, found.classes[:BEST], np.zeros(len(boxes), np.bool_), areas)


def _coco(found: Sequence[Found], marked: Sequence[Marked], classes: int) -> dict[str, float | None]:
    """Percent."""
    coco = coco_summary(found, marked, classes)
    return {"map50_95": coco.map, "map50": coco.map50}


def _times(engines: dict[str, Engine], item: npt.NDArray[np.float32], rounds: int) -> dict[str, Any]:
    """Of one thread: p50 in ms, and ours against each of NNCF's."""
    calls = {}
    for name, engine in engines.items():
        slot = engine.slots(1)[0]
        slot.inputs[engine.inputs[0].name][...] = item
        calls[name] = lambda engine=engine, slot=slot: engine.run(slot)
    samples = measure_interleaved(calls, rounds=rounds, warmup=5)
    return {
        "p50_ms": {name: one.p50_ms for name, one in samples.items()},
        "ours_takes": {
            name: asdict(paired_ratio(samples["ours"], one)) for name, one in samples.items() if name != "ours"
        },
    }


def train_ssdlite(data: Path, minutes: float, target: Path) -> None:
    """torchvision's SSDlite from random weights on the train part; its state dict goes to ``target``. Pictures are stretched, as SSD has them, and
    mirrored by chance; AdamW under a cosine of the time."""
    import torch
    from torchvision.models import get_model

    dataset = read_dataset(data, part="train")
    assert dataset.labels is not None
    torch.manual_seed(0)
    # Column 0 is the background.
    model = get_model(
        SSDLITE.partition(":")[2], weights=None, weights_backbone=None, num_classes=1 + len(dataset.labels)
    )
    size = model.transform.fixed_size[0]
    pictures, boxes, labels = [], [], []
    import cv2

    for photo in dataset:
        image = read_image(photo.path)
        height, width = image.shape[:2]
        resized = cv2.cvtColor(cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
        pictures.append(torch.from_numpy(resized).permute(2, 0, 1).contiguous())
        assert photo.boxes is not None
        scale = torch.tensor([size / width, size / height] * 2)
        boxes.append(
            torch.tensor(np.array([box[1:5] for box in photo.boxes.boxes]), dtype=torch.float32).reshape(-1, 4) * scale
        )
        labels.append(torch.tensor([1 + box.label for box in photo.boxes.boxes], dtype=torch.int64))

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-4)
    drawn = np.random.default_rng(0)
    model.train()
    began, ends, batch = time.monotonic(), 60 * minutes, 16
    epoch = 0
    while time.monotonic() - began < ends:
        order = drawn.permutation(len(pictures))
        losses = []
        for start in range(0, len(order) - batch + 1, batch):
            done = (time.monotonic() - began) / ends
            if done >= 1:
                break
            for group in optimizer.param_groups:
                group["lr"] = 1e-3 * 0.5 * (1 + np.cos(np.pi * done))
            images, targets = [], []
            for place in order[start : start + batch]:
                image, own = pictures[place].float() / 255, boxes[place].clone()
                if drawn.random() < 0.5:
                    image = image.flip(2)
                    own[:, [0, 2]] = size - own[:, [2, 0]]
                images.append(image)
                targets.append({"boxes": own, "labels": labels[place]})
            loss = sum(model(images, targets).values())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        epoch += 1
        print(f"epoch {epoch}, {time.monotonic() - began:.0f} s, loss {np.mean(losses):.3f}", flush=True)
    torch.save(model.eval().state_dict(), target)


if __name__ == "__main__":
    main()
