"""Whole compiles of files as people have them: int8 answers are right, and the report tells what was changed."""

from __future__ import annotations

import pytest
from known_networks import LABELS, RIGHT, SPEC, answers, options

pytestmark = pytest.mark.requires("torch", "onnx")


def half_of_any_size(nets, path):
    """float16, any height and width, a head that is not used."""
    import torch
    from torch import nn

    from edgevision.compiler.sources.quiet import quiet

    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nets.net()

        def forward(self, x):
            return self.net(x), self.net[:4](x)

    example = torch.zeros(2, 3, SPEC.height, SPEC.width, dtype=torch.float16)
    axes = {"x": {0: "n", 2: "h", 3: "w"}, "y": {0: "n"}, "seen": {0: "n", 2: "h", 3: "w"}}
    with quiet():
        torch.onnx.export(Heads().half().eval(), (example,), path, dynamo=False, opset_version=17, input_names=["x"],
                          output_names=["y", "seen"], dynamic_axes=axes)  # fmt: skip
    return {"output_names": ("y",)}


def averaged(nets, path):
    """What Lightning leaves of a compiled network, with averaged weights beside those of the last step."""
    import torch

    right = nets.net().state_dict()
    state = {f"model._orig_mod.{key}": torch.zeros_like(value) for key, value in right.items()}
    state |= {f"ema_model.module.{key}": value.half() for key, value in right.items()}
    torch.save({"pytorch-lightning_version": "2.4.0", "epoch": 1, "state_dict": state}, path)
    return {"arch": "known_nets:net"}


def one_at_a_time(nets, path):
    """A batch of one written into a reshape of the graph."""
    import onnx
    import torch
    from onnx import numpy_helper

    from edgevision.compiler.sources.quiet import quiet

    example = torch.zeros(1, 3, SPEC.height, SPEC.width)
    with quiet():
        torch.onnx.export(nets.net(), (example,), path, dynamo=False, opset_version=17, input_names=["x"],
                          output_names=["y"], dynamic_axes={"x": {0: "n"}, "y": {0: "n"}})  # fmt: skip
    model = onnx.load(path)
    (flatten,) = [node for node in model.graph.node if node.op_type == "Flatten"]
    made = onnx.helper.make_node("Reshape", [flatten.input[0], "target"], list(flatten.output), flatten.name)
    flatten.CopyFrom(made)
    model.graph.initializer.append(numpy_helper.from_array(torch.tensor([1, len(LABELS)]).numpy(), "target"))
    onnx.save(model, path)
    return {}


CASES = {
    half_of_any_size: ["holds float16 numbers", f"the bundle is for {SPEC.height}×{SPEC.width}"],
    averaged: ["'ema_model.module.', averaged weights (EMA)", "weights in float16 were cast"],
    one_at_a_time: ["runs on one picture at a time"],
}


@pytest.mark.parametrize("make", CASES)
def test_files_as_people_have_them(make, nets, files, photos, tmp_path, quick):
    from edgevision.compiler.options import Precision
    from edgevision.compiler.pipeline import compile_model

    said = make(nets, tmp_path / "net.bin")
    given = options(files, photos, precision=Precision.INT8, **said)
    result = compile_model(tmp_path / "net.bin", tmp_path / "net.edge", given)
    assert answers(tmp_path / "net.edge") == RIGHT
    for part in CASES[make]:
        assert any(part in note for note in result.report.notes)
