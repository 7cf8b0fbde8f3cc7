"""A task of your own, from the network to the result: `count`, with two outputs.

python examples/07_add_a_task/main.py [FOLDER]

docs/how-to/add-a-task.md goes through the two modules beside this file.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from count_evaluator import CountEvaluator
from count_task import TASK
from torch import Tensor, nn

import edgevision as ev
from edgevision.compiler import CompileOptions, Precision, compile_model
from edgevision.decode import encode_png
from edgevision.evaluate.registry import register_evaluator
from edgevision.frames import ImageArray
from edgevision.preprocess import PreprocessSpec
from edgevision.tasks.registry import register_task

LABELS = ("red", "green", "blue")
SPEC = PreprocessSpec(32, 32, mean=(0.0,) * 3, std=(255.0,) * 3)


class Counter(nn.Module):
    """Convolutions that hand the colours on; their means are the levels, and the mean of those is the brightness.

    Its weights are written down, not trained, so that every answer can be checked by hand.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(handing_on(stride=2), nn.ReLU(), handing_on(), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.mean = nn.Linear(3, 1, bias=False)
        with torch.no_grad():
            self.mean.weight.fill_(1 / 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """``x`` [n, 3, height, width] → outputs by name."""
        levels = self.features(x).flatten(1)
        return {"levels": levels, "bright": self.mean(levels)}


def handing_on(stride: int = 1) -> nn.Conv2d:
    """A convolution whose output is its input, of every ``stride``-th pixel."""
    layer = nn.Conv2d(3, 3, 3, stride, padding=1, bias=False)
    with torch.no_grad():
        layer.weight.zero_()
        for channel in range(3):
            layer.weight[channel, channel, 1, 1] = 1.0
    return layer


def main(folder: str = "runs/count") -> None:
    register_task(TASK)
    register_evaluator("count", CountEvaluator)

    work = Path(folder)
    draw_photos(work / "photos")
    batch = torch.export.Dim("batch", min=1, max=64)
    example = torch.zeros(2, *SPEC.tensor_shape)
    torch.export.save(
        torch.export.export(Counter().eval(), (example,), dynamic_shapes=({0: batch},)), work / "count.pt2"
    )
    (work / "preprocess.json").write_text(json.dumps(SPEC.to_dict()))
    (work / "labels.txt").write_text("\n".join(LABELS))

    options = CompileOptions(
        task="count",
        precision=Precision.INT8,
        data=work / "photos",
        labels=work / "labels.txt",
        preprocess=str(work / "preprocess.json"),
        threads=1,
    )
    result = compile_model(work / "count.pt2", work / "count.edge", options)
    print(result.report.verdict_line())

    with ev.load(result.path) as model:
        count = model.predict(draw(np.array([0.6, 0.3, 0.1]), np.random.default_rng(99)))
        print({name: round(level, 2) for name, level in count.levels.items()}, "bright" if count.bright else "dark")


def draw_photos(folder: Path, each: int = 60) -> None:
    """Photos, and beside each a text file with its levels: the truth."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(each):
        photo = draw(rng.uniform(0.1, 0.9, 3), rng)
        (folder / f"{number}.png").write_bytes(encode_png(photo))
        levels = photo[..., ::-1].mean(axis=(0, 1)) / 255  # RGB, as the labels are
        (folder / f"{number}.txt").write_text(" ".join(f"{level:.4f}" for level in levels))


def draw(levels: np.ndarray, rng: np.random.Generator) -> ImageArray:
    """Patches of light and shade around ``levels`` (R, G, B; 0…1): 64×64×3 uint8 BGR."""
    shade = rng.uniform(-40, 40, (8, 8, 1)).repeat(8, axis=0).repeat(8, axis=1)
    return np.clip(255 * levels[::-1] + shade, 0, 255).astype(np.uint8)


if __name__ == "__main__":
    main(*sys.argv[1:])
