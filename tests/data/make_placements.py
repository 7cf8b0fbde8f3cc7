"""Writes where other people's preprocessing puts pictures, as asked of the packages themselves.

    python tests/data/make_placements.py timm > tests/data/placements-timm.csv                # timm, torch, torchvision
    python tests/data/make_placements.py ultralytics > tests/data/placements-ultralytics.csv  # ultralytics

A row is: the tensor's height and width, crop_ratio, the picture's height and width; then the resized picture's height
and width, and where its top left pixel lies in the tensor (negative where the tensor cuts it off).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import version

import numpy as np

ROWS = 1000
TIMM = [
    (224, 224, 0.875), (224, 224, 0.9), (224, 224, 0.95), (224, 224, 0.96), (240, 240, 0.882), (299, 299, 0.875),
    (288, 288, 1.0), (256, 192, 0.875), (192, 256, 0.95),
]  # fmt: skip
ULTRALYTICS = [(640, 640, 1.0), (416, 416, 1.0), (384, 640, 1.0), (321, 199, 1.0)]


def random_sizes(seed: int) -> Iterator[tuple[int, int]]:
    """Heights and widths of pictures: most of them ordinary, some small, some flat."""
    rng = np.random.default_rng(seed)
    for _ in range(ROWS):
        largest = int(rng.choice([60, 700, 2200]))
        yield int(rng.integers(1, largest)), int(rng.integers(1, largest))


def timm_row(tensor_height: int, tensor_width: int, ratio: float, height: int, width: int) -> tuple[int, ...]:
    """The two steps of timm's transform: the first on an empty picture, the second on one whose pixels are its indices."""
    import torch
    from timm.data.transforms_factory import transforms_imagenet_eval

    size = tensor_height if tensor_height == tensor_width else (tensor_height, tensor_width)
    resize, crop, *_ = transforms_imagenet_eval(size, crop_pct=ratio, normalize=False).transforms
    resized = resize(torch.empty((3, height, width), device="meta"))
    rows, columns = (int(side) for side in resized.shape[1:])
    indices = torch.arange(rows)[None, :, None].expand(1, rows, columns)
    top = int(crop(indices)[0, 0, 0])
    left = int(crop(torch.arange(columns)[None, None, :].expand(1, rows, columns))[0, 0, 0])
    return rows, columns, -top, -left


def ultralytics_row(tensor_height: int, tensor_width: int, _: float, height: int, width: int) -> tuple[int, ...]:
    """What LetterBox says it does to a picture."""
    from ultralytics.data.augment import LetterBox

    picture = np.broadcast_to(np.uint8(0), (height, width, 3))
    found = LetterBox((tensor_height, tensor_width)).get_params({"img": picture})
    columns, rows = found["new_unpad"]
    return int(rows), int(columns), int(found["top"]), int(found["left"])


def main() -> None:
    """Print the table of the package that the command line names."""
    package = sys.argv[1]
    configurations, row = {"timm": (TIMM, timm_row), "ultralytics": (ULTRALYTICS, ultralytics_row)}[package]
    print(f"# {package} {version(package)}: python tests/data/make_placements.py {package}")
    for index, (height, width) in enumerate(random_sizes(0)):
        asked = (*configurations[index % len(configurations)], height, width)
        print(*asked, *row(*asked), sep=",")


if __name__ == "__main__":
    main()
