"""Our decoders beside those of the networks' own projects, before and after suppression, in pixels of the frame.

    pip install ultralytics yolov5 transformers rfdetr onnx onnxruntime   # in an environment of its own
    python -m benchmarks.decoders

Networks are built from their projects' own definitions with seeded weights, and their heads are spread so that many boxes are
clear. Each runs on tensors of odd-sized frames. What it gives goes to both: to the project's postprocessing, and to the task that
``resolve`` makes of the file's names, shapes and metadata. Asked for: the same boxes within 1e-3 pixels of the frame, scores within 1e-5,
the same classes.

Ultralytics keeps classes apart by shifting boxes by 7680 pixels for each class, which rounds coordinates to 1/16 pixel at the 80th:
boxes that overlap by just the threshold are then kept or dropped by chance. So suppression is compared class by class, with
their own code; ``as_shipped`` says how many boxes the shift changes, and is not judged.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.common import write_result
from edgevision.frames import Frame
from edgevision.preprocess import Filter, Fit, Preprocessor, PreprocessSpec
from edgevision.runtime.preparation import view_of
from edgevision.tasks import Label, TaskSpec, Timing, View
from edgevision.tasks.detect.resolve import resolve
from edgevision.tasks.detect.task import DetectTask
from edgevision.tasks.registry import ModelFacts
from edgevision.tensors import describe

SIDE = 160
FRAMES = ((480, 640), (97, 311), (123, 77))
CLASSES = (1, 3, 80)
THRESHOLD, IOU = 0.25, 0.7
BOX_PX, SCORE = 1e-3, 1e-5

Array = npt.NDArray[Any]
# Rows of x1 y1 x2 y2, score, class.
Rows = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """A network with its project's postprocessing.

    ``run``: a tensor → outputs by name. ``facts``: what is known of its file. ``fit``: how frames become tensors. ``before``,
    ``after``: outputs and frame → boxes before suppression, in the tensor's pixels, and final ones, in the frame's; ``before`` is None
    where nothing is suppressed. ``as_shipped``: where the project's own way to keep classes apart rounds boxes, that way.
    """

    name: str
    classes: int
    run: Callable[[Array], dict[str, Array]]
    facts: Callable[[dict[str, Array]], ModelFacts]
    fit: Fit
    before: Callable[[dict[str, Array]], Rows] | None
    after: Callable[[dict[str, Array], Array], Rows]
    as_shipped: Callable[[dict[str, Array], Array], Rows] | None = None


@dataclass(frozen=True)
class Compared:
    """Two sets of boxes. ``theirs``, ``ours``: how many; ``box_px``, ``score``: the largest difference among those of both;
    ``only_one``: boxes that only one of them has."""

    theirs: int
    ours: int
    box_px: float
    score: float
    only_one: int

    @property
    def agree(self) -> bool:
        """The same boxes, within what is allowed."""
        return not self.only_one and self.box_px <= BOX_PX and self.score <= SCORE


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--only", help="cases whose name holds this text")
    arguments = p.parse_args()
    import torch

    torch.set_num_threads(1)
    rows, failed = [], 0
    with tempfile.TemporaryDirectory() as folder:
        for name, make in sources(Path(folder)):
            if arguments.only and arguments.only not in name:
                continue
            for classes in CLASSES:
                row = compare_case(make(classes))
                rows.append(row)
                failed += not row["agree"]
                print(f"{name:26s} {classes:3d} classes, {row['layout']:20s} {told(row)}", flush=True)
    packages = ("ultralytics", "yolov5", "transformers", "rfdetr", "torch", "torchvision")
    if not arguments.only:
        write_result("decoders", {
            "frames": FRAMES, "tensor": SIDE, "threshold": THRESHOLD, "iou": IOU, "allowed": {"box_px": BOX_PX, "score": SCORE},
            "originals": {name: _version(name) for name in packages}, "failed": failed, "cases": rows,
        })  # fmt: skip
    raise SystemExit(min(failed, 1))


def sources(folder: Path) -> Iterator[tuple[str, Callable[[int], Case]]]:
    """Names, and what makes their cases for a number of classes."""
    for name, yaml, options in (
        ("ultralytics yolov5n", "yolov5n.yaml", {}),
        ("ultralytics yolov8n", "yolov8n.yaml", {}),
        ("ultralytics yolo11n", "yolo11n.yaml", {}),
        ("ultralytics yolo26n raw", "yolo26n.yaml", {"nms": None}),
        ("ultralytics yolo26n end2end", "yolo26n.yaml", {"nms": False}),
        ("ultralytics rtdetr-resnet50", "rtdetr-resnet50.yaml", {}),
    ):
        yield name, partial(ultralytics_case, yaml, options, folder)
    yield "yolov5 yolov5n", yolov5_case
    yield "transformers rt_detr", partial(transformers_case, "rt_detr")
    yield "transformers d_fine", partial(transformers_case, "d_fine")
    yield "rfdetr postprocess", rfdetr_case


def compare_case(case: Case) -> dict[str, Any]:
    """What both say of each frame, as one row of the result."""
    spec: TaskSpec | None = None
    before, after, as_shipped = [], [], []
    preprocess = PreprocessSpec(SIDE, SIDE, case.fit, Filter.BILINEAR, mean=(0.0,) * 3, std=(255.0,) * 3, pad_value=114)
    for i, (height, width) in enumerate(FRAMES):
        image = np.random.default_rng(i).integers(0, 256, (height, width, 3), np.uint8)
        frame, prepare = Frame.from_array(image), Preprocessor(preprocess)
        outputs = case.run(prepare.batch([image]))
        spec = resolve(case.facts(outputs))
        task = DetectTask(spec.with_parameters({"threshold": THRESHOLD, "iou": IOU}))
        view = view_of(frame, prepare.plan(frame))
        if case.before is not None:
            (found,) = task.candidates(outputs, THRESHOLD)
            before.append(matched(case.before(outputs), columns(found.boxes, found.scores, found.classes)))
        found_here = ours(task, outputs, view)
        after.append(matched(inside(case.after(outputs, image)), found_here))
        if case.as_shipped is not None:
            as_shipped.append(matched(inside(case.as_shipped(outputs, image)), found_here))
    assert spec is not None
    compared = {"before_suppression": before, "after": after}
    return {
        "name": case.name, "classes": case.classes, "layout": spec.outputs[0].layout,
        **{key: vars(total(parts)) for key, parts in compared.items() if parts},
        **({"as_shipped": vars(total(as_shipped))} if as_shipped else {}),
        "agree": all(part.agree for parts in compared.values() for part in parts),
    }  # fmt: skip


def ours(task: DetectTask, outputs: Mapping[str, Array], view: View) -> Rows:
    (found,) = task.decode(outputs, [view], Timing(0, 0, 0))
    return columns(found.boxes, found.scores, found.classes)


def columns(boxes: Any, scores: Any, classes: Any) -> Rows:
    parts = (
        np.asarray(boxes, np.float64).reshape(-1, 4),
        np.asarray(scores, np.float64),
        np.asarray(classes, np.float64),
    )
    return np.concatenate([parts[0], parts[1][:, None], parts[2][:, None]], axis=1)


def inside(rows: Rows) -> Rows:
    """Without boxes of which the frame holds nothing: theirs stay as lines along its edge, ours are left out."""
    return rows[(rows[:, 2] > rows[:, 0]) & (rows[:, 3] > rows[:, 1])]


def matched(theirs: Rows, found: Rows) -> Compared:
    """Each of theirs with the nearest of ours of its class, one to one, best scores first."""
    left, box_px, score, missing = list(range(len(found))), 0.0, 0.0, 0
    for row in theirs[np.argsort(-theirs[:, 4], kind="stable")]:
        apart = [(float(np.abs(found[i, :4] - row[:4]).max()), i) for i in left if found[i, 5] == row[5]]
        near = [(distance, i) for distance, i in apart if abs(found[i, 4] - row[4]) <= 10 * SCORE and distance <= 1.0]
        if not near:
            missing += 1
            continue
        distance, i = min(near)
        left.remove(i)
        box_px, score = max(box_px, distance), max(score, float(abs(found[i, 4] - row[4])))
    return Compared(len(theirs), len(found), box_px, score, missing + len(left))


def total(parts: list[Compared]) -> Compared:
    return Compared(
        sum(p.theirs for p in parts), sum(p.ours for p in parts), max(p.box_px for p in parts),
        max(p.score for p in parts), sum(p.only_one for p in parts),
    )  # fmt: skip


def told(row: Mapping[str, Any]) -> str:
    words = [
        f"{key.split('_')[0]}: {row[key]['theirs']} boxes, {row[key]['box_px']:.1e} px, {row[key]['score']:.1e}, "
        f"{row[key]['only_one']} in one only"
        for key in ("before_suppression", "after", "as_shipped")
        if key in row
    ]
    return "; ".join([*words, "agree" if row["agree"] else "DIFFER"])


def labels_of(classes: int) -> tuple[Label, ...]:
    return tuple(Label(i, f"product {i}") for i in range(classes))


# ---- Ultralytics ----


def ultralytics_case(yaml: str, options: Mapping[str, Any], folder: Path, classes: int) -> Case:
    """Exported to ONNX by its own exporter, whose metadata says what the outputs are."""
    import onnx
    import onnxruntime
    import torch
    from ultralytics import RTDETR, YOLO
    from ultralytics.models.rtdetr.predict import RTDETRPredictor
    from ultralytics.models.yolo.detect.predict import DetectionPredictor
    from ultralytics.nn.tasks import DetectionModel, RTDETRDetectionModel
    from ultralytics.utils.nms import non_max_suppression

    torch.manual_seed(0)
    transformer = yaml.startswith("rtdetr")
    model: Any = RTDETR(yaml) if transformer else YOLO(yaml)
    network = (RTDETRDetectionModel if transformer else DetectionModel)(yaml, nc=classes, verbose=False)
    network.names = dict(enumerate(label.name for label in labels_of(classes)))
    network.args, network.task = dict(model.model.args), "detect"
    model.model = network
    spread(network, classes)
    target = folder / f"{Path(yaml).stem}-{classes}.pt"
    model.ckpt_path = network.pt_path = str(target)
    path = model.export(format="onnx", imgsz=SIDE, simplify=False, verbose=False, **options)
    proto = onnx.load(path)
    metadata = {prop.key: prop.value for prop in proto.metadata_props}
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    end_to_end = metadata["end2end"] == "True"
    predictor: Any = (RTDETRPredictor if transformer else DetectionPredictor).__new__(
        RTDETRPredictor if transformer else DetectionPredictor
    )
    predictor.args = SimpleNamespace(
        conf=THRESHOLD, iou=IOU, classes=None, agnostic_nms=False, max_det=300, task="detect"
    )
    predictor.model = SimpleNamespace(names=network.names, end2end=end_to_end)
    predictor.batch = [["frame"]]

    def run(tensor: Array) -> dict[str, Array]:
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, {session.get_inputs()[0].name: tensor}), strict=True))

    def before(outputs: dict[str, Array]) -> Rows:
        """Their suppression with an IoU that nothing exceeds."""
        (rows,) = non_max_suppression(torch.from_numpy(outputs["output0"].copy()), THRESHOLD, 1.0, max_det=10**6)
        return np.asarray(rows, np.float64)

    def as_shipped(outputs: dict[str, Array], image: Array) -> Rows:
        tensor = torch.zeros(1, 3, SIDE, SIDE)
        (result,) = predictor.postprocess(torch.from_numpy(outputs["output0"].copy()), tensor, [image])
        return np.asarray(result.boxes.data, np.float64)

    def class_by_class(outputs: dict[str, Array], image: Array) -> Rows:
        """The same code for one class after another, which needs no shift."""
        predictor.args.agnostic_nms = True
        parts = []
        for place in range(classes):
            predictor.args.classes = [place]
            parts.append(as_shipped(outputs, image))
        predictor.args.agnostic_nms, predictor.args.classes = False, None
        rows = np.concatenate(parts)
        return rows[np.argsort(-rows[:, 4], kind="stable")[:300]]

    def facts(outputs: dict[str, Array]) -> ModelFacts:
        return ModelFacts(describe(outputs), (), None, (SIDE, SIDE), metadata)

    fit = Fit.STRETCH if transformer else Fit.LETTERBOX
    suppressed = not transformer and not end_to_end
    name = f"ultralytics {Path(yaml).stem}"
    if suppressed:
        return Case(name, classes, run, facts, fit, before, class_by_class, as_shipped)
    return Case(name, classes, run, facts, fit, None, as_shipped)


def spread(network: Any, classes: int) -> None:
    """Give the last layers weights that make some clear boxes of many sizes; seeded ones give the same score everywhere.

    A noisy picture runs through the network, and each channel of a last layer is scaled to a deviation of 2 over its cells.
    """
    import torch

    few = -3.0 - 0.35 * float(
        np.log(classes)
    )  # so that some cells have a class above the threshold, and most have none
    offsets = {classes: few, 4: 3.0}  # by the number of channels: scores, and distances, which are not negative

    def scale(layer: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        axis = 1 if isinstance(layer, torch.nn.Conv2d) else -1
        values = output.transpose(axis, -1).reshape(-1, output.shape[axis])
        factor, mean = 2.0 / (values.std(dim=0) + 1e-6), values.mean(dim=0)
        offset = offsets.get(output.shape[axis], -0.5)
        layer.weight.mul_(factor.reshape(-1, *[1] * (layer.weight.dim() - 1)))
        layer.bias.sub_(mean).mul_(factor).add_(offset)
        shape = [1] * output.dim()
        shape[axis] = -1
        return (output - mean.reshape(shape)) * factor.reshape(shape) + offset

    network.eval()
    picture = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    for end_to_end in (False, True):
        if hasattr(network, "end2end"):
            network.end2end = end_to_end
        hooks = [layer.register_forward_hook(scale) for layer in last_layers(network)]
        with torch.no_grad():
            network(picture)
        for hook in hooks:
            hook.remove()


def last_layers(network: Any) -> Iterator[Any]:
    """Convolutions with a bias, which only heads have before layers are fused; and the scores of an RT-DETR."""
    import torch

    for name, layer in network.named_modules():
        if isinstance(layer, torch.nn.Conv2d) and layer.bias is not None:
            yield layer
        if isinstance(layer, torch.nn.Linear) and ("dec_score_head" in name or "enc_score_head" in name):
            yield layer


# ---- YOLOv5's own package ----


def yolov5_case(classes: int) -> Case:
    import torch
    import yolov5
    from yolov5.models.yolo import Model
    from yolov5.utils.general import non_max_suppression, scale_boxes

    torch.manual_seed(0)
    network = Model(str(Path(yolov5.__file__).parent / "models" / "yolov5n.yaml"), nc=classes).eval()
    spread(network, classes)
    network.model[-1].export = True

    def run(tensor: Array) -> dict[str, Array]:
        with torch.no_grad():
            return {"output0": network(torch.from_numpy(tensor))[0].numpy()}

    def suppressed(outputs: dict[str, Array], iou: float) -> Any:
        return non_max_suppression(torch.from_numpy(outputs["output0"].copy()), THRESHOLD, iou, max_det=300)[0]

    def after(outputs: dict[str, Array], image: Array) -> Rows:
        rows = suppressed(outputs, IOU)
        # Their mapping forgets that the letterbox rounds its sides; its scale and border are given to it here.
        height, width = image.shape[:2]
        gain = min(SIDE / height, SIDE / width)
        sides = round(height * gain), round(width * gain)
        pad = (SIDE - sides[1]) // 2, (SIDE - sides[0]) // 2
        rows[:, :4] = exact_boxes(rows[:, :4], (height, width), sides, pad, scale_boxes)
        return np.asarray(rows, np.float64)

    def facts(outputs: dict[str, Array]) -> ModelFacts:
        return ModelFacts(describe(outputs), labels_of(classes), None, (SIDE, SIDE), {})

    return Case("yolov5 yolov5n", classes, run, facts, Fit.LETTERBOX, None, after)


def exact_boxes(
    boxes: Any, frame: tuple[int, int], sides: tuple[int, int], pad: tuple[int, int], scale_boxes: Callable[..., Any]
) -> Any:
    """Their ``scale_boxes`` for each axis with that axis' own scale."""
    x = scale_boxes((SIDE, SIDE), boxes.clone(), frame, ((sides[1] / frame[1],), pad))
    y = scale_boxes((SIDE, SIDE), boxes.clone(), frame, ((sides[0] / frame[0],), pad))
    boxes = x
    boxes[:, [1, 3]] = y[:, [1, 3]]
    return boxes


# ---- transformers ----


def transformers_case(kind: str, classes: int) -> Case:
    import torch
    import transformers

    torch.manual_seed(0)
    if kind == "rt_detr":
        config: Any = transformers.RTDetrConfig(num_labels=classes, num_queries=100, decoder_layers=2)
        network: Any = transformers.RTDetrForObjectDetection(config).eval()
    else:
        config = transformers.DFineConfig(num_labels=classes, num_queries=100, decoder_layers=2)
        network = transformers.DFineForObjectDetection(config).eval()
    processor = transformers.RTDetrImageProcessor()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "class_embed" in name or "bbox_embed" in name:
                parameter.normal_(0, 0.2)

    def run(tensor: Array) -> dict[str, Array]:
        with torch.no_grad():
            found = network(torch.from_numpy(tensor))
        return {"logits": found.logits.numpy(), "pred_boxes": found.pred_boxes.numpy()}

    def after(outputs: dict[str, Array], image: Array) -> Rows:
        tensors = SimpleNamespace(**{name: torch.from_numpy(array) for name, array in outputs.items()})
        (found,) = processor.post_process_object_detection(tensors, THRESHOLD, [image.shape[:2]])
        height, width = image.shape[:2]
        boxes = np.clip(found["boxes"].numpy(), 0, (width, height, width, height))
        return columns(boxes, found["scores"], found["labels"])

    def facts(outputs: dict[str, Array]) -> ModelFacts:
        return ModelFacts(describe(outputs), labels_of(classes), None, (SIDE, SIDE), {})

    return Case(f"transformers {kind}", classes, run, facts, Fit.STRETCH, None, after)


# ---- RF-DETR ----


def rfdetr_case(classes: int) -> Case:
    """Its own postprocessing on seeded outputs, of a checkpoint whose last column is for no object. It keeps that column, ours has no
    label for it: its boxes are left out of theirs."""
    import torch
    from rfdetr.models.postprocess import PostProcess

    post = PostProcess(num_select=300)
    rng = np.random.default_rng(classes)

    def run(tensor: Array) -> dict[str, Array]:
        boxes = rng.uniform(0.1, 0.9, (1, 300, 4)).astype(np.float32)
        logits = rng.normal(-4 - 0.03 * classes, 2.0, (1, 300, classes + 1)).astype(np.float32)
        logits[..., -1] = -9.0
        return {"dets": boxes, "labels": logits}

    def after(outputs: dict[str, Array], image: Array) -> Rows:
        named = {"pred_boxes": torch.from_numpy(outputs["dets"]), "pred_logits": torch.from_numpy(outputs["labels"])}
        (found,) = post(named, torch.tensor([image.shape[:2]]))
        rows = columns(found["boxes"], found["scores"], found["labels"])
        return rows[rows[:, 4] > THRESHOLD]

    said = {"task": "detect", "class_id_to_name": {str(label.id): label.name for label in labels_of(classes)}}

    def facts(outputs: dict[str, Array]) -> ModelFacts:
        return ModelFacts(describe(outputs), (), None, (SIDE, SIDE), {"rfdetr_inference": json.dumps(said)})

    return Case("rfdetr postprocess", classes, run, facts, Fit.STRETCH, None, after)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
