"""Small networks with seeded weights, as bundles: what ``growth`` measures. Their answers mean nothing, their cost does.

Written as ONNX directly and run by ONNX Runtime in float, the engine that is everywhere: each bundle has that one variant, so that no point of an
axis is another engine's.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from math import log
from pathlib import Path
from typing import Any

import numpy as np

import edgevision
from edgevision.bench.workload.rendered import picture
from edgevision.bundle.golden import encode_outputs
from edgevision.bundle.manifest import Environment, GraphEntry, Latency, Manifest, VariantEntry
from edgevision.bundle.writer import write_bundle
from edgevision.decode import encode_png
from edgevision.engines.importing import import_onnxruntime
from edgevision.preprocess import Preprocessor, PreprocessSpec
from edgevision.preprocess.spec import Fit
from edgevision.tasks.base import TaskSpec, golden_part
from edgevision.tasks.classify import classify_spec
from edgevision.tasks.detect.task import detect_spec
from edgevision.tasks.registry import make_task
from edgevision.tasks.results import Label
from edgevision.tensors import Outputs

CLASSIFIER_WIDTHS = (32, 64, 96, 128)  # of convolutions of stride 2
DETECTOR_WIDTHS = (16, 32, 64)  # the same: 8 pixels a cell
DETECTOR_CLASSES = 3
FOUND_SHARE = 0.01  # of the cells, that hold a product for the detector
THRESHOLD = 0.25
INPUT = "input"
VARIANT = "onnxruntime-float"
_OPSET, _IR = 18, 10


class Graph:
    """An ONNX graph under construction. Weights are drawn so that activations keep their spread."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._nodes: list[Any] = []
        self._weights: list[Any] = []

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Adds a node; returns its output."""
        from onnx import helper

        self._nodes.append(helper.make_node(kind, list(inputs), [output], output, **attributes))
        return output

    def weights(self, name: str, shape: Sequence[int], gain: float = 2.0) -> str:
        """Normal, of the variance ``gain`` over the inputs of one output (He et al. 2015)."""
        fan = int(np.prod(shape[1:]))
        return self.constant(name, self._random.normal(0, (gain / fan) ** 0.5, shape))

    def constant(self, name: str, values: Any) -> str:
        """Adds values, float32."""
        from onnx import numpy_helper

        self._weights.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
        return name

    def convolutions(self, widths: Sequence[int]) -> str:
        """3×3, stride 2, rectified, one after the other, from the input."""
        given, channels = INPUT, 3
        for number, width in enumerate(widths):
            weight = self.weights(f"w{number}", (width, channels, 3, 3))
            grown = self.node("Conv", (given, weight), f"conv{number}", strides=[2, 2], pads=[1, 1, 1, 1])
            given, channels = self.node("Relu", (grown,), f"relu{number}"), width
        return given

    def bytes_of(self, side: int, outputs: dict[str, list[Any]]) -> bytes:
        """The model, checked. ``outputs``: their shapes, the batch left out."""
        from onnx import TensorProto, checker, helper

        shaped = {INPUT: [3, side, side], **outputs}
        infos = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape]) for name, shape in shaped.items()
        ]
        graph = helper.make_graph(self._nodes, "growth", infos[:1], infos[1:], self._weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
        checker.check_model(model, full_check=True)
        data: bytes = model.SerializeToString()
        return data


def write_classifier(path: Path, side: int, classes: int, seed: int = 0) -> Path:
    """Four convolutions, an average over the picture, and a head of ``classes``."""
    graph = Graph(seed)
    pooled = graph.node("GlobalAveragePool", (graph.convolutions(CLASSIFIER_WIDTHS),), "pooled")
    flat = graph.node("Flatten", (pooled,), "flat", axis=1)
    head = graph.weights("head", (classes, CLASSIFIER_WIDTHS[-1]))
    bias = graph.constant("bias", np.zeros(classes))
    graph.node("Gemm", (flat, head, bias), "output", transB=1)
    labels = tuple(Label(place, str(place)) for place in range(classes))
    spec = PreprocessSpec(side, side, mean=(127.5,) * 3, std=(64.0,) * 3)
    return _write(path, graph.bytes_of(side, {"output": [classes]}), classify_spec(labels), spec)


def write_detector(path: Path, side: int, seed: int = 0) -> Path:
    """Three convolutions and a head that finds something in ``FOUND_SHARE`` of the cells of a rendered picture."""
    spec = PreprocessSpec(side, side, fit=Fit.LETTERBOX)
    tensor = Preprocessor(spec).batch([picture(640, 360, (seed, 0))])
    logits = _run(_detector(side, 0.0, seed), tensor)["cls_s8"]
    bias = log(THRESHOLD / (1 - THRESHOLD)) - float(np.quantile(logits.max(axis=1), 1 - FOUND_SHARE))
    labels = [Label(place, str(place)) for place in range(DETECTOR_CLASSES)]
    task = detect_spec(
        labels, "levels", {"scores_8": "cls_s8", "boxes_8": "box_s8"}, height=side, width=side, threshold=THRESHOLD
    )
    return _write(path, _detector(side, bias, seed), task, spec)


def _detector(side: int, bias: float, seed: int) -> bytes:
    graph = Graph(seed)
    found = graph.convolutions(DETECTOR_WIDTHS)
    for name, channels, first in (("cls_s8", DETECTOR_CLASSES, bias), ("reach", 4, 2.0)):
        weight = graph.weights(f"{name}.w", (channels, DETECTOR_WIDTHS[-1], 1, 1))
        graph.node("Conv", (found, weight, graph.constant(f"{name}.b", np.full(channels, first))), name)
    graph.node("Softplus", ("reach",), "box_s8")
    cells = [side // 8, side // 8]
    return graph.bytes_of(side, {"cls_s8": [DETECTOR_CLASSES, *cells], "box_s8": [4, *cells]})


def _run(graph: bytes, tensor: Any) -> Outputs:
    session = import_onnxruntime().InferenceSession(graph, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(None, {INPUT: tensor}), strict=True))


def _write(path: Path, graph: bytes, task: TaskSpec, spec: PreprocessSpec) -> Path:
    """The bundle, with one golden frame; nothing in it was measured or validated, and it says so."""
    frame = picture(96, 96, (0, 0))
    made = make_task(task)
    digest = golden_part(made, made.digest(_run(graph, Preprocessor(spec).batch([frame]))))
    golden = {role: f"golden/{role}.npy" for role in digest}
    entries = {"graphs/float.onnx": graph, "golden/0.png": encode_png(frame)}
    entries |= {golden[role]: encode_outputs(array) for role, array in digest.items()}
    variant = VariantEntry(VARIANT, "float", "onnxruntime", "float32", {}, golden, (Latency(1, 1, 1.0, 1.0),))
    manifest = Manifest(
        name=path.stem, created=datetime.now(timezone.utc).isoformat(timespec="seconds"), edgevision=edgevision.__version__,
        task=task, preprocess=spec, graphs={"float": GraphEntry("graphs/float.onnx", "float32", "float")},
        variants=(variant,), chosen=VARIANT, source={"name": "seeded"}, data={}, environment=Environment.here(), verdict=None,
        golden_frames=("golden/0.png",), golden_reference=golden,
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bundle(path, manifest, entries)
    return path
