"""Photos of a known size with labels in the formats that people have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from edgevision.decode import encode_png

HEIGHT, WIDTH = 100, 200

Put = Callable[..., Path]


def png(grey: int = 0, height: int = HEIGHT, width: int = WIDTH) -> bytes:
    """A photo of one grey: photos of different greys have different bytes."""
    return encode_png(np.full((height, width, 3), grey, np.uint8))


def put_yolo(put: Put, labels: dict[str, str | None], folder: str = "set/train") -> None:
    """Photos by name, with the text of their label files; None = no such file."""
    for grey, (name, text) in enumerate(labels.items()):
        put(f"{folder}/images/{name}.png", png(grey))
        if text is not None:
            put(f"{folder}/labels/{name}.txt", text)


def voc_xml(*objects: str, height: int = HEIGHT, width: int = WIDTH) -> str:
    """An annotation file; each object on a line of its own, from line 3."""
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return "\n".join(["<annotation>", size, *objects, "</annotation>"])


def voc_object(name: str, xmin: object, ymin: object, xmax: object, ymax: object, more: str = "") -> str:
    box = f"<bndbox><xmin>{xmin}</xmin><ymin>{ymin}</ymin><xmax>{xmax}</xmax><ymax>{ymax}</ymax></bndbox>"
    return f"<object><name>{name}</name>{more}{box}</object>"
