"""A detector whose answers are known by construction, in a bundle: it finds cells of 8×8 pixels of the tensor by their colour.

A cell that is all red is a box of class 0 with the score 1 / (1 + e⁻⁶); so green and blue. A frame has 2×2 pixels for each of
the tensor's.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgevision.bundle.golden import encode_outputs
from edgevision.bundle.manifest import Environment, GraphEntry, Latency, Manifest, VariantEntry
from edgevision.bundle.writer import write_bundle
from edgevision.decode import encode_png
from edgevision.engines import available_engines
from edgevision.machine import describe_machine
from edgevision.preprocess.spec import Filter, Fit, PreprocessSpec
from edgevision.tasks.detect.task import DetectTask, detect_spec
from edgevision.tasks.results import Label

ROWS, COLUMNS, CELL = 4, 6, 16  # pixels of the frame
LABELS = (Label(10, "red"), Label(20, "green"), Label(30, "blue"))
SPEC = PreprocessSpec(
    8 * ROWS, 8 * COLUMNS, Fit.LETTERBOX, Filter.BILINEAR, mean=(0.0,) * 3, std=(255.0,) * 3, pad_value=0
)
OUTPUTS = {"scores_8": "cls_s8", "boxes_8": "box_s8"}
SURE = 1 / (1 + np.exp(-6.0))


def picture(*cells, level=255):
    """A frame, 64×96 BGR, black but for ``cells``: (class, row, column)."""
    image = np.zeros((ROWS * CELL, COLUMNS * CELL, 3), np.uint8)
    for label, row, column in cells:
        image[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL, 2 - label] = level
    return image


def box_of(row, column):
    return (column * CELL, row * CELL, (column + 1) * CELL, (row + 1) * CELL)


def outputs_of(image):
    """What the graph gives for a frame, in float64."""
    means = image[..., ::-1].reshape(ROWS, CELL, COLUMNS, CELL, 3).mean(axis=(1, 3)) / 255
    return {
        "cls_s8": (12 * means - 6).transpose(2, 0, 1)[None].astype(np.float32),
        "box_s8": np.full((1, 4, ROWS, COLUMNS), 0.5, np.float32),
    }


def write_cells(path: Path, variant_parameters=None, **parameters) -> Path:
    """The bundle. ``parameters``: of its task; ``variant_parameters``: those fitted for its one variant."""
    spec = detect_spec(LABELS, "levels", OUTPUTS, height=SPEC.height, width=SPEC.width, max_detections=24, **parameters)
    golden = [picture((i % 3, i % ROWS, i % COLUMNS), ((i + 1) % 3, 3, 5)) for i in range(4)]
    task = DetectTask(spec)
    digests = [task.digest(outputs_of(image)) for image in golden]
    entries = {"graphs/float.onnx": (Path(__file__).parents[1] / "data" / "cells.onnx").read_bytes()}
    for role in digests[0]:
        entries[f"golden/{role}.npy"] = encode_outputs(np.concatenate([digest[role] for digest in digests]))
    for i, image in enumerate(golden):
        entries[f"golden/{i}.png"] = encode_png(image)
    machine = describe_machine()
    roles = {role: f"golden/{role}.npy" for role in digests[0]}
    variant = VariantEntry(
        "onnxruntime-float", "float", "onnxruntime", "float32", dict(variant_parameters or {}), roles, (Latency(1, 1, 2.0, 3.0),)
    )  # fmt: skip
    manifest = Manifest(
        name="cells", created="2025-01-02T03:04:05+00:00", edgevision="0.1.0", task=spec, preprocess=SPEC,
        graphs={"float": GraphEntry("graphs/float.onnx", "float32", "float")}, variants=(variant,), chosen=variant.id,
        source={"file": "cells.pt", "sha256": "0" * 64, "arch": None}, data={},
        environment=Environment(machine.cpu, machine.architecture, tuple(machine.features), machine.cores, machine.system, available_engines()),
        verdict=None, golden_frames=tuple(f"golden/{i}.png" for i in range(len(golden))), golden_reference=roles,
    )  # fmt: skip
    write_bundle(path, manifest, entries)
    return path
