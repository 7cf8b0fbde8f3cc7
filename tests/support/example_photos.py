"""Photos of products that differ by their colours, and an embedder that sees nothing else."""

from __future__ import annotations

import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from edgevision.decode import encode_png
from edgevision.tasks.embedding import Embedding
from edgevision.tasks.results import Timing

BINS = 8
DIMENSION = BINS**3


class ColourEmbedder:
    """Vectors are histograms of colours: ``bins`` of each of B, G and R."""

    def __init__(self, bundle_id: str = "ab" * 32, bins: int = BINS) -> None:
        self.id = bundle_id
        self.bins = bins
        self.task = SimpleNamespace(spec=SimpleNamespace(kind="embed"))
        self.outputs = (SimpleNamespace(shape=(None, bins**3)),)

    def predict(self, x: Any) -> list[Embedding]:
        return [Embedding(self._vector(frame.planes[0]), Timing(0.0, 0.0, 0.0)) for frame in x]

    def _vector(self, image: np.ndarray) -> np.ndarray:
        place = (image.astype(np.int64) * self.bins // 256).reshape(-1, 3) @ np.array([self.bins**2, self.bins, 1])
        counts = np.bincount(place, minlength=self.bins**3).astype(np.float64)
        return (counts / np.linalg.norm(counts)).astype(np.float32)


def photo(product: int, seed: int, *, blurred: bool = False, comment: bytes = b"") -> bytes:
    """A PNG, 64×64: squares in the product's eight colours, most of them in two, arranged by the seed."""
    import cv2

    colours = np.random.default_rng(product).integers(0, 256, (8, 3))
    random = np.random.default_rng([product, seed])
    shares = np.array([0.4, 0.3, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05])
    squares = random.choice(8, (8, 8), p=shares)
    image = np.kron(colours[squares], np.ones((8, 8, 1), int)).astype(np.uint8)
    if blurred:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), 4.0), np.uint8)
    data = encode_png(image)
    if not comment:
        return data
    body = b"tEXtComment\0" + comment
    chunk = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    return data[:-12] + chunk + data[-12:]


def write_products(folder: Path, products: int, each: int, *, first: int = 0) -> Path:
    """A folder with one folder for each product, ``product 0`` and so on."""
    for number in range(first, first + products):
        inner = folder / f"product {number}"
        inner.mkdir(parents=True)
        for seed in range(each):
            (inner / f"{seed}.png").write_bytes(photo(number, seed))
    return folder
