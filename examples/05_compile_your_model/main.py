"""Compile a network of your own: from a PyTorch module and class folders of photos to one bundle.

python examples/05_compile_your_model/main.py [FOLDER]

The photos are drawn: boxes in four colours. The network is small and trained here within seconds. Both stand for yours.
The same from a shell:

    edgevision compile boxes.pt2 --int8 --data photos --labels labels.txt --preprocess preprocess.json --output logits
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

import edgevision as ev
from edgevision.compiler import CompileOptions, Precision, compile_model
from edgevision.preprocess import Preprocessor, PreprocessSpec

COLORS = {"blue": (200, 90, 30), "green": (60, 160, 60), "red": (40, 40, 190), "yellow": (40, 200, 220)}  # BGR
LABELS = sorted(COLORS)  # the classes, in the order of the network's outputs
SPEC = PreprocessSpec(48, 48, mean=(127.0,) * 3, std=(128.0,) * 3)  # how a photo becomes the network's input


def main(folder: str = "runs/boxes") -> None:
    work = Path(folder)
    photos = draw_photos(work / "photos")
    network = train(photos)

    # 1. Save the network in a form that holds no code of yours: torch.export, ONNX, TorchScript or a state dict.
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(network, (torch.zeros(2, *SPEC.tensor_shape),), dynamic_shapes=({0: batch},))
    torch.export.save(program, work / "boxes.pt2")

    # 2. What the file does not say of itself: how a photo becomes its input, and what its outputs are called.
    (work / "preprocess.json").write_text(json.dumps(SPEC.to_dict()))
    (work / "labels.txt").write_text("\n".join(LABELS))

    # 3. Compile. Half of the photos calibrate, the other half validates.
    options = CompileOptions(
        precision=Precision.INT8,
        data=work / "photos",
        labels=work / "labels.txt",
        preprocess=str(work / "preprocess.json"),
        output="logits",
        threads=1,
    )
    try:
        result = compile_model(work / "boxes.pt2", work / "boxes.edge", options)
    except ev.errors.BudgetError as error:  # nothing was written: the message says which variant lost how much
        sys.exit(str(error))
    print(result.report.why)
    print(result.report.verdict_line())

    # 4. Use it. From here on nothing needs PyTorch.
    with ev.load(result.path) as model:
        for name in LABELS:
            answer = model.predict(draw_box(COLORS[name], np.random.default_rng(99)))
            print(f"{name}: {answer.best.name if answer.known else 'not known'} ({answer.best.score:.3f})")


def draw_photos(folder: Path, each: int = 60) -> list[tuple[Path, int]]:
    """Class folders: ``folder/red/0.png`` … Returns each photo with the place of its class in ``LABELS``."""
    rng = np.random.default_rng(0)
    drawn = []
    for index, name in enumerate(LABELS):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            path = folder / name / f"{number}.png"
            cv2.imwrite(str(path), draw_box(COLORS[name], rng))
            drawn.append((path, index))
    return drawn


def draw_box(color: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    """A box in ``color`` on a table: 96×128×3 uint8 BGR."""
    ground = cv2.resize(rng.uniform(90, 210, (3, 4, 3)).astype(np.float32), (128, 96), interpolation=cv2.INTER_CUBIC)
    center = rng.uniform((45, 35), (83, 61))
    size, angle = rng.uniform(35, 60, 2), rng.uniform(0, 90)
    corners = cv2.boxPoints(((float(center[0]), float(center[1])), (float(size[0]), float(size[1])), float(angle)))
    light = rng.uniform(0.8, 1.2)
    cv2.fillConvexPoly(ground, corners.astype(np.int32), tuple(light * value for value in color), cv2.LINE_AA)
    noise = cv2.GaussianBlur(rng.normal(0, 12, ground.shape).astype(np.float32), (0, 0), 1)
    return np.clip(ground + noise, 0, 255).astype(np.uint8)


def train(photos: list[tuple[Path, int]]) -> nn.Module:
    """A small network, trained on the photos for a few seconds."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, len(LABELS)),
    )  # fmt: skip
    tensors = torch.from_numpy(Preprocessor(SPEC).batch([cv2.imread(str(path)) for path, _ in photos]))
    truth = torch.tensor([index for _, index in photos])
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(tensors), truth).backward()
        optimizer.step()
    return network.eval()


if __name__ == "__main__":
    main(*sys.argv[1:])
