"""A small valid bundle: two labels, two variants, a graph of bytes that nobody runs."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevision.bundle.manifest import Environment, GraphEntry, Latency, Manifest, VariantEntry, Verdict
from edgevision.bundle.writer import write_bundle
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.classify import classify_spec
from edgevision.tasks.results import Label


def _png(width: int, height: int, seed: int) -> bytes:
    """An RGB PNG of noise, built by hand: PNG 1.2, filter 0 on each row."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width * 3), np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in noise)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(array, np.float32))
    return file.getvalue()


@pytest.fixture
def entries() -> dict[str, bytes]:
    return {
        "graphs/int8.onnx": b"an int8 graph" * 5,
        "graphs/float.onnx": b"a float graph" * 9,
        "golden/0.png": _png(4, 3, 0),
        "golden/1.png": _png(3, 5, 1),
        "golden/reference.npy": _npy([[2, -1], [0, 1]]),
        "golden/fast.npy": _npy([[1.9, -1.1], [0.1, 1]]),
        "golden/base.npy": _npy([[2, -1], [0, 1]]),
        "report/report.json": b"{}",
        "report/report.html": b"",  # empty entries are allowed
    }


@pytest.fixture
def manifest() -> Manifest:
    return Manifest(
        name="shelf",
        created="2025-01-02T03:04:05+00:00",
        edgevision="0.1.0",
        task=classify_spec([Label(7, "Äpfel"), Label(-3, "milk 1 l")]),
        preprocess=PreprocessSpec(224, 192, mean=(127.0,) * 3, std=(128.0,) * 3),
        graphs={
            "int8": GraphEntry("graphs/int8.onnx", "int8", "x86-vnni", ("head",)),
            "float": GraphEntry("graphs/float.onnx", "float32", "float"),
        },
        variants=(
            VariantEntry(
                "fast", "int8", "openvino", "float32", {"temperature": 1.25, "threshold": 0.4},
                {"scores": "golden/fast.npy"}, (Latency(1, 1, 2.5, 2.75),), {"int8": 49}, 91.25,
            ),
            VariantEntry(
                "base", "float", "onnxruntime", "float32", {"temperature": 1.0, "threshold": 0.5},
                {"scores": "golden/base.npy"},
                verdict=Verdict("top1", 30, 90.0, 89.0, 1.0, (0.0, 2.0), 0.95, 2, 0, 0.5, False, False, "too much"),
            ),
        ),
        chosen="fast",
        source={"file": "model.pt", "sha256": "0" * 64, "arch": None, "sizes": [1, 2.5, True]},
        data={"calibration": {"n": 12}, "validation": {"n": 30}},
        environment=Environment("Some CPU", "x86_64", ("avx2", "vnni"), 2, "Linux", {"numpy": "2.0"}),
        verdict=Verdict("top1", 30, 90.0, 90.0, 0.0, (-0.25, 0.25), 0.95, 1, 1, 0.5, True, True),
        golden_frames=("golden/0.png", "golden/1.png"),
        golden_reference={"scores": "golden/reference.npy"},
    )  # fmt: skip


@pytest.fixture
def bundle_path(tmp_path: Path, manifest: Manifest, entries: dict[str, bytes]) -> Path:
    path = tmp_path / "shelf.edge"
    write_bundle(path, manifest, entries)
    return path


@pytest.fixture
def bundle_bytes(bundle_path: Path) -> bytes:
    return bundle_path.read_bytes()


@pytest.fixture
def bundle_of(tmp_path: Path, manifest: Manifest, entries: dict[str, bytes]) -> Callable[..., bytes]:
    """``bundle_of(name="x", …)``: the bytes of the bundle with these fields of the manifest replaced."""

    def make(**fields: Any) -> bytes:
        path = tmp_path / "made.edge"
        write_bundle(path, replace(manifest, **fields), entries)
        return path.read_bytes()

    return make
