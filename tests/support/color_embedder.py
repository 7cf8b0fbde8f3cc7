"""An embedder whose vectors are known by construction, as a bundle: 16 numbers, of which the first three are red, green and blue."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgevision.bundle.golden import encode_outputs
from edgevision.bundle.manifest import Environment, GraphEntry, Latency, Manifest, VariantEntry, Verdict
from edgevision.bundle.writer import write_bundle
from edgevision.decode import encode_png
from edgevision.machine import describe_machine
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.embed import EMBEDDING, EmbedTask, embed_spec

DIMENSION = 16
SIDE = 8
GOLDEN = ((200, 90, 0), (10, 20, 240))


def vector_of(rgb: tuple[int, int, int]) -> np.ndarray:
    """What the embedder gives for a picture of one colour, in float64."""
    color = np.array(rgb, np.float64)
    return np.concatenate([color / np.linalg.norm(color), np.zeros(DIMENSION - 3)])


def color_graph() -> bytes:
    """The means of red, green and blue, and zeros."""
    from onnx import TensorProto, checker, helper, numpy_helper

    nodes = [
        helper.make_node("GlobalAveragePool", ["input"], ["means"]),
        helper.make_node("Flatten", ["means"], ["flat"]),
        helper.make_node("MatMul", ["flat", "eye"], ["vectors"]),
    ]
    graph = helper.make_graph(
        nodes,
        "colors",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["batch", DIMENSION])],
        [numpy_helper.from_array(np.eye(3, DIMENSION, dtype=np.float32), "eye")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString()
    return data


def write_color_embedder(path: Path, spoiled: bool = False) -> Path:
    """The bundle. ``spoiled``: its golden vectors are others."""
    machine = describe_machine()
    task = embed_spec("vectors")
    stored = EmbedTask(task).digest({"vectors": np.stack([vector_of(rgb) for rgb in GOLDEN])})[EMBEDDING]
    entries = {"graphs/float.onnx": color_graph()}
    entries |= {
        f"golden/{i}.png": encode_png(np.full((20, 30, 3), rgb[::-1], np.uint8)) for i, rgb in enumerate(GOLDEN)
    }
    entries["golden/float.npy"] = encode_outputs(stored[::-1].copy() if spoiled else stored)
    golden = {EMBEDDING: "golden/float.npy"}
    variant = VariantEntry(
        "onnxruntime-float", "float", "onnxruntime", "float32", {}, golden, (Latency(1, 1, 1.0, 1.0),), metric=99.0
    )
    manifest = Manifest(
        name="colors", created="2026-01-01T00:00:00Z", edgevision="0.1.0", task=task,
        preprocess=PreprocessSpec(SIDE, SIDE, mean=(0.0,) * 3, std=(255.0,) * 3),
        graphs={"float": GraphEntry("graphs/float.onnx", "float32", "float")}, variants=(variant,), chosen=variant.id,
        source={"name": "colors.pt"}, data={},
        environment=Environment(
            machine.cpu, machine.architecture, tuple(machine.features), machine.cores, machine.system, {},
        ),
        verdict=Verdict("recall@1", 100, 99.0, 99.0, 0.0, (-0.1, 0.1), 0.95, 0, 0, 0.5, True, True),
        golden_frames=tuple(f"golden/{i}.png" for i in range(len(GOLDEN))), golden_reference=golden,
    )  # fmt: skip
    write_bundle(path, manifest, entries)
    return path
