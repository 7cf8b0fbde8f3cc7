"""A detector whose answers are known by construction, as a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgevision.bundle.golden import encode_outputs
from edgevision.bundle.manifest import Environment, GraphEntry, Latency, Manifest, VariantEntry, Verdict
from edgevision.bundle.writer import write_bundle
from edgevision.decode import encode_png
from edgevision.machine import describe_machine
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.detect.task import DetectTask, detect_spec
from edgevision.tasks.results import Label

CELL = 8  # pixels
CELLS = (4, 6)  # rows and columns
SIZE = (CELL * CELLS[0], CELL * CELLS[1])


def spot_graph() -> bytes:
    """Finds each cell that is not black: its score is sigmoid(0.1 × the mean of its brightest channel - 4), its box the cell."""
    from onnx import TensorProto, checker, helper, numpy_helper

    height, width = SIZE
    constant = {"scale": np.float32(0.1), "shift": np.float32(-4), "half": np.float32(0.5), "none": np.float32(0)}
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in constant.items()]
    weights.append(numpy_helper.from_array(np.ones((4, 1, 1, 1), np.float32), "four"))
    weights.append(numpy_helper.from_array(np.array([1], np.int64), "channel"))
    nodes = [
        helper.make_node("AveragePool", ["input"], ["means"], kernel_shape=[CELL, CELL], strides=[CELL, CELL]),
        helper.make_node("ReduceMax", ["means", "channel"], ["best"], keepdims=1),
        helper.make_node("Mul", ["best", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "shift"], ["cls_s8"]),
        helper.make_node("Conv", ["best", "four"], ["four_times"]),
        helper.make_node("Mul", ["four_times", "none"], ["zeros"]),
        helper.make_node("Add", ["zeros", "half"], ["box_s8"]),
    ]
    graph = helper.make_graph(
        nodes,
        "spots",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, height, width])],
        [
            helper.make_tensor_value_info("cls_s8", TensorProto.FLOAT, ["batch", 1, *CELLS]),
            helper.make_tensor_value_info("box_s8", TensorProto.FLOAT, ["batch", 4, *CELLS]),
        ],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString()
    return data


def spot_picture(spots: dict[tuple[int, int], tuple[int, int, int]], scale: int = 1) -> np.ndarray:
    """Black, but for cells (row, column) of a colour (RGB). ``scale``: times the size that the model sees."""
    picture = np.zeros((*SIZE, 3), np.uint8)
    for (row, column), rgb in spots.items():
        picture[CELL * row : CELL * (row + 1), CELL * column : CELL * (column + 1)] = rgb[::-1]
    return picture.repeat(scale, 0).repeat(scale, 1)


def write_spot_finder(path: Path, **parameters: Any) -> Path:
    """The bundle. ``parameters``: of its task."""
    machine = describe_machine()
    task = detect_spec(
        [Label(5, "spot")], "levels", {"scores_8": "cls_s8", "boxes_8": "box_s8"}, height=SIZE[0], width=SIZE[1], iou=0.5,
        max_detections=24, **parameters,
    )  # fmt: skip
    logits = np.full((1, 1, *CELLS), -4, np.float32)
    logits[0, 0, 1, 2] = 0.1 * 200 - 4
    digest = DetectTask(task).digest({"cls_s8": logits, "box_s8": np.full((1, 4, *CELLS), 0.5, np.float32)})
    entries = {"graphs/float.onnx": spot_graph(), "golden/0.png": encode_png(spot_picture({(1, 2): (200, 90, 0)}))}
    golden = {role: f"golden/float-{role}.npy" for role in digest}
    entries |= {golden[role]: encode_outputs(array) for role, array in digest.items()}
    variant = VariantEntry(
        "onnxruntime-float", "float", "onnxruntime", "float32", {}, golden, (Latency(1, 1, 1.0, 1.0),), metric=99.0
    )
    manifest = Manifest(
        name="spots", created="2026-01-01T00:00:00Z", edgevision="0.1.0", task=task,
        preprocess=PreprocessSpec(*SIZE, mean=(0.0,) * 3, std=(1.0,) * 3),
        graphs={"float": GraphEntry("graphs/float.onnx", "float32", "float")}, variants=(variant,), chosen=variant.id,
        source={"name": "spots.pt"}, data={},
        environment=Environment(
            machine.cpu, machine.architecture, tuple(machine.features), machine.cores, machine.system, {},
        ),
        verdict=Verdict("mAP50-95", 100, 99.0, 99.0, 0.0, (-0.1, 0.1), 0.95, 0, 0, 0.5, True, True),
        golden_frames=("golden/0.png",), golden_reference=golden,
    )  # fmt: skip
    write_bundle(path, manifest, entries)
    return path
