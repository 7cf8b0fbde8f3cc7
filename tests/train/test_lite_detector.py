"""The detector's network: what goes in and comes out, and what cells mean."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

pytestmark = pytest.mark.requires("torch")
torch = pytest.importorskip("torch")

from edgevision.errors import InputError  # noqa: E402
from edgevision.train import backbones  # noqa: E402
from edgevision.train.efficientnet_lite import ConvNorm  # noqa: E402
from edgevision.train.lite_detector import (  # noqa: E402
    OUTPUT_NAMES,
    STRIDES,
    Features,
    LevelHead,
    LiteDetector,
    cell_centres,
    kept_blocks,
    read_answers,
)


def tiny(classes=3):
    torch.manual_seed(0)
    return LiteDetector(classes, width=0.25, depth=0.3, neck_channels=16)


@pytest.mark.parametrize("size", [(64, 96), (32, 32), (160, 64)])
def test_an_output_for_each_level_and_kind(size):
    outputs = tiny()(torch.zeros(2, 3, *size))
    expected = [(2, count, size[0] // s, size[1] // s) for count, s in itertools.product((3, 4), STRIDES)]
    assert [tuple(output.shape) for output in outputs.values()] == expected
    assert tuple(outputs) == OUTPUT_NAMES == ("cls_s8", "cls_s16", "cls_s32", "box_s8", "box_s16", "box_s32")


def test_it_is_small_enough_for_three_megabytes_of_int8():
    assert sum(parameter.numel() for parameter in LiteDetector(80).parameters()) <= 2_800_000


def test_the_features_are_the_classifier_s():
    """The same weights under the same names give the maps that the classifier has at these places."""
    torch.manual_seed(1)
    classifier = backbones.build("lite0", 2).eval()
    features = Features().eval()
    state = classifier.state_dict()
    features.load_state_dict({name: state[name] for name in features.state_dict()})
    x = torch.randn(1, 3, 64, 64)
    maps, seen = features(x), []
    y = classifier.stem(x)
    for block in classifier.blocks:
        y = block(y)
        seen.append(y)
    assert [tuple(m.shape[1:]) for m in maps] == [(40, 8, 8), (112, 4, 4), (192, 2, 2)]
    for got, place in zip(maps, (4, 10, 14), strict=True):  # the last blocks of the third, fifth and sixth stage
        assert torch.equal(got, seen[place])


@pytest.mark.parametrize("depth", [1.0, 0.5, 0.25])
def test_a_less_deep_detector_has_the_first_blocks_of_each_stage(depth):
    classifier = backbones.build("lite0", 2)
    with torch.no_grad():  # every block tells its stage and its place in it
        for place, block in enumerate(classifier.blocks):
            stage = classifier.stages[place]
            repeat = place - classifier.stages.index(stage)
            for value in (*block.parameters(), *block.buffers()):
                value.fill_(10 * stage + repeat)
    features = LiteDetector(2, depth=depth).features
    features.load_state_dict(kept_blocks(classifier.state_dict(), classifier.stages, features))
    told = [next(iter(block.parameters())).mean().item() for block in features.blocks]
    counts = {1.0: (1, 2, 2, 3, 3, 4), 0.5: (1, 1, 1, 2, 2, 2), 0.25: (1,) * 6}[depth]
    assert told == [10 * stage + repeat for stage, count in enumerate(counts) for repeat in range(count)]
    assert torch.equal(features.stem.conv.weight, classifier.stem.conv.weight)


def test_imagenet_weights_are_for_a_detector_as_deep_or_less():
    with pytest.raises(InputError, match=r"not with \['depth'\]; use --scratch"):
        backbones.pretrained(backbones.DETECTOR, 2, depth=1.1)
    with pytest.raises(InputError, match=r"not with \['width'\]; use --scratch"):
        backbones.pretrained(backbones.DETECTOR, 2, width=0.5, depth=0.5)


@pytest.mark.parametrize(("count", "convolutions"), [(0, 0), (1, 1 + 2), (3, 1 + 2 + 6 + 6), (6, 1 + 2 + 14 * 3)])
def test_the_first_stages_of_the_features(count, convolutions):
    parts = Features().first_stages(count)
    assert sum(isinstance(layer, ConvNorm) for part in parts for layer in part.modules()) == convolutions


def test_before_training_all_is_background_and_boxes_are_eight_cells_wide():
    with torch.no_grad():
        answers = read_answers(tiny().eval()(torch.randn(1, 3, 64, 64)))
    assert float(answers.logits.sigmoid().max()) < 0.03
    sides = (answers.boxes[0, :, 2:] - answers.boxes[0, :, :2]) / answers.strides[:, None]
    np.testing.assert_allclose(sides.numpy(), 8, atol=1.5)


def test_distances_are_not_negative_except_a_little_while_training():
    head = LevelHead(8, 2)
    head.initialise()
    torch.nn.init.constant_(head.edge_distances.bias, -5.0)
    torch.nn.init.zeros_(head.edge_distances.weight)
    x = torch.rand(1, 8, 4, 4)
    assert torch.equal(head.eval()(x)[1], torch.zeros(1, 4, 4, 4))
    distances = head.train()(x)[1]
    torch.testing.assert_close(distances, torch.full((1, 4, 4, 4), -0.5))
    distances.sum().backward()
    assert float(head.edge_distances.bias.grad.abs().min()) > 0  # so that it finds its way back


def test_cells_are_where_the_design_says():
    """One cell alone says something; its box is worked out by hand, in the order left, top, right, bottom."""
    outputs = [torch.zeros(1, 2, 64 // s, 96 // s) for s in STRIDES] + [
        torch.zeros(1, 4, 64 // s, 96 // s) for s in STRIDES
    ]
    outputs[1][0, 1, 2, 3] = 5.0  # stride 16, row 2, column 3
    outputs[4][0, :, 2, 3] = torch.tensor([1.0, 0.5, 2.0, 0.25])
    answers = read_answers(dict(zip(OUTPUT_NAMES, outputs, strict=True)))
    cell = 8 * 12 + 2 * 6 + 3
    assert int(answers.logits[0, :, 1].argmax()) == cell
    assert answers.centres[cell].tolist() == [56.0, 40.0]
    assert float(answers.strides[cell]) == 16
    assert answers.boxes[0, cell].tolist() == [40.0, 32.0, 88.0, 44.0]


def test_centres_row_by_row():
    assert cell_centres(2, 3, 8).tolist() == [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12]]


@pytest.mark.requires("onnx")
@pytest.mark.parametrize("quick", [False, True])
def test_the_exported_graph_has_the_outputs_and_their_values(tmp_path, quick):
    """``quick``: batch norms as they are folded while training, which must not be exported."""
    import onnxruntime

    from edgevision.train.backbones import training_mode

    network = tiny()
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        for _ in range(3):  # batch norms get statistics of their own
            network.train()(torch.randn(4, 3, 64, 64))
    training_mode(network, frozen_statistics=quick)
    network.eval()
    path = tmp_path / "detector.onnx"
    torch.onnx.export(
        network, (x,), str(path), input_names=["images"], output_names=list(OUTPUT_NAMES), dynamo=True, verbose=False
    )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert tuple(output.name for output in session.get_outputs()) == OUTPUT_NAMES
    with torch.no_grad():
        expected = network(x)
    for got, want in zip(session.run(None, {"images": x.numpy()}), expected.values(), strict=True):
        np.testing.assert_allclose(got, want.numpy(), atol=1e-4)
    kinds = {node.op_type for node in __import__("onnx").load(path).graph.node}
    assert not kinds & {"Sigmoid", "Exp", "Softmax", "HardSwish", "HardSigmoid"}
