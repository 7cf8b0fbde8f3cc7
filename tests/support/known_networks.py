"""Networks whose answers are known: written by hand, not trained; with photos, and what a compile of them is told.

``net`` answers with the strongest colour of a photo, rightly on every photo of the set. With ``flaws`` it does so in
float, through layers whose outputs differ between colours by less than one int8 step, so that int8 must lose.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from edgevision.errors import DeviceWarning, UnprovenWarning
from edgevision.preprocess.spec import Fit, PreprocessSpec
from edgevision.tasks.results import Label

COLORS = ("red", "green", "blue")
LABELS = tuple(Label(10 * i, name) for i, name in enumerate(COLORS))
SPEC = PreprocessSpec(16, 24, fit=Fit.STRETCH, mean=(0.0,) * 3, std=(255.0,) * 3)

MODULE = '''
import torch
from torch import nn

def net(flaws=0):
    """Convolutions that hand the colours on, and a sum for each at the end; not square."""
    layers = [conv(3, 3, stride=2), nn.ReLU(), conv(3, 3), nn.ReLU()]
    for _ in range(flaws):
        layers += [lift(3, 3, 3000.0), lift(3, 3, -3000.0)]
    made = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3))
    with torch.no_grad():
        made[-1].weight.copy_(30 * torch.eye(3))
        made[-1].bias.zero_()
    return made.eval()

def conv(inputs, outputs, stride=1):
    made = nn.Conv2d(inputs, outputs, 3, stride, padding=1)
    with torch.no_grad():
        made.weight.zero_()
        made.bias.zero_()
        for i in range(3):
            made.weight[i, i, 1, 1] = 1.0
    return made

def lift(inputs, outputs, by):
    """A layer that adds ``by`` to every value: one int8 step of what follows is far more than a colour is."""
    made = nn.Conv2d(inputs, outputs, 1)
    with torch.no_grad():
        made.weight.copy_(torch.eye(3).reshape(3, 3, 1, 1))
        made.bias.fill_(by)
    return made

def with_softmax():
    return nn.Sequential(net(), nn.Softmax(1)).eval()
'''


def photo(color: int, seed: int) -> bytes:
    from edgevision.decode import encode_png

    rng = np.random.default_rng(1000 * color + seed)
    image = np.kron(rng.integers(0, 120, (5, 6, 3)), np.ones((4, 5, 1), int))
    image[..., 2 - color] += rng.integers(60, 130)
    return encode_png(image.astype(np.uint8))


def options(files, photos, **more):
    from edgevision.compiler.options import CompileOptions

    given = {"data": photos, "labels": files["labels.csv"], "preprocess": str(files["spec.json"]), "output": "logits",
             "rounds": 3, "threads": 1}  # fmt: skip
    return CompileOptions(**{**given, **more})


def onnx_of(module, tmp_path: Path) -> Path:
    """The network as an ONNX file that says nothing of itself."""
    import torch

    from edgevision.compiler.sources.export import export_float
    from edgevision.compiler.sources.quiet import quiet
    from edgevision.compiler.sources.source import SourceOptions, load_source

    with quiet():
        torch.jit.save(torch.jit.trace(module, torch.zeros(2, 3, SPEC.height, SPEC.width)), tmp_path / "traced.pt")
    source = load_source(tmp_path / "traced.pt", SourceOptions(preprocess=SPEC, labels=LABELS, output="logits"))
    (tmp_path / "net.onnx").write_bytes(export_float(source)[0])
    return tmp_path / "net.onnx"


def answers(bundle: Path, **more) -> dict[str, str]:
    """What the bundle says of photos that no step has seen: {true colour: answer}."""
    import edgevision as ev

    with warnings.catch_warnings():
        for kind in (UnprovenWarning, DeviceWarning):  # the bundle may come from another machine
            warnings.simplefilter("ignore", kind)
        with ev.load(bundle, **more) as model:
            return {name: model.predict(photo(color, 999)).top[0].name for color, name in enumerate(COLORS)}


RIGHT = {name: name for name in COLORS}
