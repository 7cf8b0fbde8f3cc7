"""Shapes are read as they are written, the blocks that do nothing go first, and the line of the picture leaves out what another shape beats."""

from __future__ import annotations

from argparse import ArgumentTypeError

import numpy as np
import pytest
import torch

from benchmarks.pruning_chart import efficient
from benchmarks.pruning_shapes import UNPRUNED, Shape, without_blocks
from edgevision.compiler.answers import AnswerMeasure
from edgevision.tasks.classify import classify_spec
from edgevision.tasks.results import Label
from edgevision.train import backbones

pytestmark = pytest.mark.requires("torch")


@pytest.mark.parametrize(
    ("text", "shape", "kind"),
    [
        ("0.4", Shape(ratio=0.4), "channels"),
        ("2b", Shape(blocks=2), "depth"),
        ("224", Shape(size=224), "resolution"),
        ("224+2b+0.3", Shape(0.3, 2, 224), "several"),
    ],
)
def test_shapes(text, shape, kind):
    assert Shape.parse(text) == shape
    assert Shape.parse("+".join(reversed(text.split("+")))) == shape
    assert (str(shape), shape.kind) == (text, kind)
    assert (str(UNPRUNED), UNPRUNED.kind) == ("unpruned", "unpruned")


@pytest.mark.parametrize("text", ["", "1.2", "2b+3b", "0.4+", "0b", "224x224"])
def test_what_is_no_shape(text):
    with pytest.raises(ArgumentTypeError, match="a shape is such as"):
        Shape.parse(text)


def test_blocks_that_do_nothing_go_first():
    with torch.random.fork_rng():
        torch.manual_seed(5)
        network = backbones.build("lite0", 3, width=0.25, features=32, drop_path=0.0).eval()
    idle = ["blocks.4", "blocks.10"]
    with torch.no_grad():
        for name in idle:  # x + 0
            norm = network.get_submodule(name).project.norm
            norm.weight.zero_()
            norm.bias.zero_()
    photos = np.random.default_rng(0).normal(size=(4, 3, 64, 64)).astype(np.float32)
    measure = AnswerMeasure.of(classify_spec(tuple(Label(i, str(i)) for i in range(3))))
    smaller, gone = without_blocks(network, 2, photos, measure)
    assert sorted(gone) == sorted(idle)
    x = torch.from_numpy(photos)
    with torch.no_grad():
        assert torch.equal(smaller(x), network(x))
    assert sum(p.numel() for p in smaller.parameters()) < sum(p.numel() for p in network.parameters())
    with pytest.raises(ValueError, match="only 9 add to their input"):
        without_blocks(network, 10, photos, measure)


@pytest.mark.parametrize(
    ("points", "kept"),
    [
        ([(1.0, 0.0), (1.5, 1.0)], [(1.0, 0.0), (1.5, 1.0)]),
        ([(1.0, 0.0), (0.9, 0.5), (1.5, -1.0)], [(1.5, -1.0)]),
        ([(1.0, 0.0), (1.0, 0.0)], [(1.0, 0.0)]),
    ],
)
def test_the_efficient_ones(points, kept):
    assert efficient(points) == kept
