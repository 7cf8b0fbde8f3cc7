"""An embedder whose vectors are known by construction, as a bundle: a fixed matrix times the mean colour of the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from colors import colors, plain

from edgevision.bundle.golden import encode_outputs
from edgevision.bundle.manifest import Environment, GraphEntry, Latency, Manifest, VariantEntry, Verdict
from edgevision.bundle.writer import write_bundle
from edgevision.decode import encode_png
from edgevision.machine import describe_machine
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.embed import EmbedTask, embed_spec

DIMENSION = 16
# Orthonormal columns: the angle between two vectors is that between the colours, taken from a dark grey.
_MATRIX = np.linalg.qr(np.random.default_rng(5).normal(size=(DIMENSION, 3)))[0].astype(np.float32)


def vectors_of(rgbs) -> np.ndarray:
    """[n, 16] float32 of any length: what the network gives for pictures of these colours, RGB 0…255."""
    return (np.asarray(rgbs, np.float32) / 255 - 0.25) @ _MATRIX.T


def _graph(size: int) -> bytes:
    from onnx import TensorProto, checker, helper, numpy_helper

    weights = [
        numpy_helper.from_array(np.ascontiguousarray(_MATRIX.T), "matrix"),
        numpy_helper.from_array(np.float32(0.25), "grey"),
    ]
    nodes = [
        helper.make_node("GlobalAveragePool", ["input"], ["means"]),
        helper.make_node("Flatten", ["means"], ["flat"]),
        helper.make_node("Sub", ["flat", "grey"], ["centred"]),
        helper.make_node("MatMul", ["centred", "matrix"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "colour embedder",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, size, size])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", DIMENSION])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString()
    return data


def write_colour_embedder(path: Path, name: str = "colour embedder") -> Path:
    """The bundle. ``name``: bundles of other names have other ids."""
    machine, task, size = describe_machine(), embed_spec("output"), 8
    golden = colors(4)
    digest = EmbedTask(task).digest({"output": vectors_of(golden)})
    entries = {"graphs/float.onnx": _graph(size)}
    entries |= {f"golden/{i}.png": encode_png(plain(rgb)) for i, rgb in enumerate(golden)}
    names = {role: f"golden/float-{role}.npy" for role in digest}
    entries |= {names[role]: encode_outputs(array) for role, array in digest.items()}
    variant = VariantEntry(
        "onnxruntime-float", "float", "onnxruntime", "float32", {}, names, (Latency(1, 1, 1.0, 1.0),), metric=99.0
    )
    manifest = Manifest(
        name=name, created="2026-01-01T00:00:00Z", edgevision="0.1.0", task=task,
        preprocess=PreprocessSpec(size, size, mean=(0.0,) * 3, std=(255.0,) * 3),
        graphs={"float": GraphEntry("graphs/float.onnx", "float32", "float")}, variants=(variant,), chosen=variant.id,
        source={"name": "colour.pt"}, data={},
        environment=Environment(
            machine.cpu, machine.architecture, tuple(machine.features), machine.cores, machine.system, {},
        ),
        verdict=Verdict("recall@1", 100, 99.0, 99.0, 0.0, (-0.1, 0.1), 0.95, 0, 0, 0.5, True, True),
        golden_frames=tuple(f"golden/{i}.png" for i in range(len(golden))), golden_reference=names,
    )  # fmt: skip
    write_bundle(path, manifest, entries)
    return path
