"""torchvision's detectors: what is taken out of them and what is done with it is, end to end, what they do themselves."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import torchvision
from torchvision_networks import KINDS, make_detector

from edgevision.compiler.sources import torchvision_detectors
from edgevision.compiler.sources.export import export_float
from edgevision.compiler.sources.source import SourceKind, SourceOptions, load_source
from edgevision.compiler.sources.state_dicts import StateDict
from edgevision.compiler.sources.torchvision_detectors import (
    build_detector,
    columns_of,
    head_of,
    input_of,
    is_detector,
    names_detector,
    own_preprocess,
    raw_heads,
)
from edgevision.compiler.sources.weights import network_of
from edgevision.errors import InputError, ModelFileError
from edgevision.preprocess.geometry import Region, place
from edgevision.preprocess.preprocessor import Preprocessor
from edgevision.preprocess.spec import Fit, PreprocessSpec
from edgevision.tasks.base import View
from edgevision.tasks.detect.layouts import torchvision as layouts
from edgevision.tasks.detect.resolve import resolve
from edgevision.tasks.detect.task import DetectTask
from edgevision.tasks.registry import ModelFacts
from edgevision.tasks.results import FrameId, Label, Timing
from edgevision.tensors import describe

pytestmark = pytest.mark.requires("torch", "onnx")


def spec_of(module, height=None, width=None):
    """How the module prepares a picture, which fills the tensor: nothing is padded."""
    if height is None:
        return own_preprocess(module, "net.pt")
    mean, std = (
        [255 * value for value in values] for values in (module.transform.image_mean, module.transform.image_std)
    )
    return PreprocessSpec(height, width, Fit.STRETCH, mean=tuple(mean), std=tuple(std))


def photo(height, width, seed=3):
    """Smooth random colours, uint8 BGR."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    rows, columns = (np.linspace(0, 5.999, side).astype(int) for side in (height, width))
    return np.ascontiguousarray(small[rows][:, columns])


def own_answer(module, image):
    """What the module itself says of a picture: boxes, labels, scores."""
    rgb = torch.from_numpy(np.ascontiguousarray(image[..., ::-1])).permute(2, 0, 1).float() / 255
    with torch.no_grad():
        (found,) = module([rgb])
    boxes, *others = (found[key].numpy() for key in ("boxes", "labels", "scores"))
    inside = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])  # it keeps what is left of boxes outside: lines
    return boxes[inside], *(column[inside] for column in others)


def our_answer(module, spec, image, labels):
    """The same by the raw heads and the task, in the frame's pixels; labels as torchvision counts them."""
    network, written = raw_heads(module, spec, "net.pt")
    tensor = Preprocessor(spec).run(image)
    with torch.no_grad():
        outputs = {name: value.numpy() for name, value in network(torch.from_numpy(tensor)[None]).items()}
    classes = tuple(Label(i, str(i)) for i in range(labels))
    resolved = resolve(ModelFacts(describe(outputs), classes, None, (spec.height, spec.width), written))
    task = DetectTask(resolved.with_parameters({"threshold": module.score_thresh}))
    task.check(describe(outputs))
    height, width = image.shape[:2]
    view = View(
        FrameId(), height, width, Region(0, 0, width, height), place(spec, height, width), spec.height, spec.width
    )
    (found,) = task.decode(outputs, [view], Timing(0, 0, 0))
    return found.boxes, found.classes + outputs["cls_logits"].shape[2] - labels, found.scores


def assert_same(ours, theirs, scores=1e-5):
    """The same boxes, to be paired by label and score: nearly equal scores may stand in another order."""
    assert len(ours[0]) == len(theirs[0])
    ours, theirs = ([column[np.lexsort((answer[2], answer[1]))] for column in answer] for answer in (ours, theirs))
    np.testing.assert_array_equal(ours[1], theirs[1])
    np.testing.assert_allclose(ours[2], theirs[2], rtol=0, atol=scores)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=0, atol=1e-3)


@pytest.mark.parametrize(("height", "width"), [(97, 131), (240, 161), (480, 641)])
@pytest.mark.parametrize("columns", [2, 4, 91])
def test_ssd_answers_as_torchvision_does(columns, height, width):
    """Sizes that are odd, and stretched to a tensor that is no square."""
    module, image = make_detector("ssd", columns), photo(height, width)
    theirs = own_answer(module, image)
    assert len(theirs[0]) > 10
    assert_same(our_answer(module, spec_of(module), image, columns - 1), theirs)


@pytest.mark.parametrize(("height", "width"), [(96, 128), (144, 192), (288, 384)])
@pytest.mark.parametrize("columns", [2, 4, 91])
@pytest.mark.parametrize("kind", ["retinanet", "fcos"])
def test_others_answer_as_torchvision_does(kind, columns, height, width):
    """With a label for each column: torchvision looks at column 0, too, of networks with classes counted from 0."""
    module, image = make_detector(kind, columns), photo(height, width)
    theirs = own_answer(module, image)
    assert len(theirs[0]) > 10
    assert 0 in theirs[1] or columns == 91
    assert_same(our_answer(module, spec_of(module, 96, 128), image, columns), theirs)


@pytest.mark.parametrize("columns", [2, 4, 91])
@pytest.mark.parametrize("kind", ["retinanet", "fcos"])
def test_column_0_is_left_out_where_labels_are_one_fewer(kind, columns):
    """Classes counted from 1: what such a network learns of column 0 is to keep it low."""
    module, image = make_detector(kind, columns), photo(144, 192)
    with torch.no_grad():
        module.head.classification_head.cls_logits.bias[::columns] = -30.0
    theirs = own_answer(module, image)
    assert len(theirs[0]) > 10
    assert 0 not in theirs[1]
    assert_same(our_answer(module, spec_of(module, 96, 128), image, columns - 1), theirs)


def test_ssdlite_answers_as_torchvision_does():
    torch.manual_seed(1)
    module = torchvision.models.get_model(
        "ssdlite320_mobilenet_v3_large", weights=None, weights_backbone=None, num_classes=4
    )
    for layer in module.modules():  # features of no mean and size 1: random weights alone would make them all but zero
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None
    with torch.no_grad():
        features = list(module.train().backbone(torch.rand(4, 3, 320, 320)).values())
        module.head(features)
        for name, layer in module.head.named_modules():
            if isinstance(layer, torch.nn.Conv2d) and name.endswith(".1"):
                layer.weight.normal_(0.0, 0.02 if "classification" in name else 0.005)
    module.eval()
    image = photo(333, 250)
    theirs = own_answer(module, image)
    assert len(np.unique(theirs[1])) == 3
    # Forty layers of random weights: what the order of sums changes in the tensor has grown by the end.
    assert_same(our_answer(module, spec_of(module), image, 3), theirs, scores=5e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_batches_are_answered_picture_by_picture(kind):
    module = make_detector(kind, 4)
    spec = spec_of(module) if kind == "ssd" else spec_of(module, 96, 128)
    network, _ = raw_heads(module, spec, "net.pt")
    tensors = torch.rand(3, *spec.tensor_shape, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        together = network(tensors)
        alone = [network(one[None]) for one in tensors]
    for name, values in together.items():
        torch.testing.assert_close(values, torch.cat([one[name] for one in alone]), rtol=0, atol=1e-4)


# ---- how pictures are prepared ----


def test_ssd_says_how_it_prepares_pictures():
    module = make_detector("ssd", 4, image_mean=[0.5, 0.25, 0.1], image_std=[0.2, 0.4, 1 / 255])
    assert own_preprocess(module, "net.pt") == PreprocessSpec(
        96, 160, Fit.STRETCH, mean=(127.5, 63.75, 25.5), std=(51.0, 102.0, 1.0)
    )
    assert input_of(module) == (None, 3, 96, 160)


@pytest.mark.parametrize(
    ("shorter", "longer", "height", "width"),
    [(800, 1333, 768, 1344), (640, 4000, 640, 1152), (480, 640, 384, 640)],
)
def test_others_need_a_size_and_say_what_it_may_be(shorter, longer, height, width):
    """torchvision makes 750×1333 of a 16:9 picture, and fills it up to multiples of 32."""
    module = make_detector("fcos", 4, min_size=shorter, max_size=longer)
    with pytest.raises(ModelFileError, match=r"Choose it with --preprocess") as caught:
        own_preprocess(module, "net.pt")
    template = PreprocessSpec.from_dict(json.loads(str(caught.value).splitlines()[-1]))
    assert (template.height, template.width, template.fit) == (height, width, Fit.LETTERBOX)
    assert template.mean == (123.675, 116.28, 103.53)
    assert input_of(module) == (None, 3, None, None)


# ---- weights ----


@pytest.mark.parametrize(
    ("name", "columns"),
    [("ssdlite320_mobilenet_v3_large", 2), ("ssdlite320_mobilenet_v3_large", 91), ("fcos_resnet50_fpn", 4)],
)
def test_a_state_dict_says_how_many_columns_its_head_has(name, columns):
    arch = f"torchvision:{name}"
    state = build_detector(arch, columns).state_dict()
    assert columns_of(build_detector(arch, 2), state) == columns
    network, notes = network_of(arch, StateDict(state), "net.pt")
    assert is_detector(network)
    assert not notes
    for key, value in network.state_dict().items():
        torch.testing.assert_close(value, state[key], rtol=0, atol=0)


def test_ssdlite_of_a_backbone_from_imagenet_is_found_by_its_weights(monkeypatch):
    """torchvision halves the last layers of the backbone where no weights are given for it."""
    backbone = torchvision.models.mobilenet_v3_large(weights=None).state_dict()
    imagenet = torchvision.models.MobileNet_V3_Large_Weights.IMAGENET1K_V1
    monkeypatch.setattr(type(imagenet), "get_state_dict", lambda *_, **__: backbone)
    name = "ssdlite320_mobilenet_v3_large"
    theirs = torchvision.models.get_model(name, weights=None, weights_backbone=imagenet, num_classes=4).eval()
    network, _ = network_of(f"torchvision:{name}", StateDict(theirs.state_dict()), "net.pt")
    picture = torch.rand(3, 40, 50, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        (own,), (found,) = theirs([picture]), network.eval()([picture])
    assert len(own["boxes"]) > 0
    for key, values in own.items():
        torch.testing.assert_close(found[key], values, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["fasterrcnn_mobilenet_v3_large_320_fpn", "maskrcnn_resnet50_fpn"])
def test_two_stages_are_refused_with_what_to_take_instead(name):
    assert names_detector(f"torchvision:{name}")
    with pytest.raises(InputError, match=r"two stages.*torchvision:ssdlite320_mobilenet_v3_large"):
        build_detector(f"torchvision:{name}", 4)


def test_a_module_with_two_stages_is_refused():
    module = torchvision.models.get_model("fasterrcnn_mobilenet_v3_large_320_fpn", weights=None, weights_backbone=None)
    assert is_detector(module)
    with pytest.raises(InputError, match="two stages"):
        head_of(module, "net.pt")


def test_other_networks_are_none():
    assert not names_detector("torchvision:resnet18")
    assert not names_detector("lite0")
    assert not is_detector(torch.nn.Linear(1, 1))


# ---- what is not known here is refused ----


class Shifted(torchvision.models.detection.anchor_utils.AnchorGenerator):
    """Anchors that differ from cell to cell."""

    def forward(self, image_list, feature_maps):
        return [found + torch.arange(len(found))[:, None] % 5 for found in super().forward(image_list, feature_maps)]


def test_anchors_that_are_no_grid_are_refused():
    module = make_detector("fcos", 4)
    module.anchor_generator = Shifted(((8,), (16,), (32,)), ((1.0,),) * 3)
    with pytest.raises(ModelFileError, match="not the same in each cell"):
        raw_heads(module, spec_of(module, 96, 128), "net.pt")


def test_boxes_of_another_kind_are_refused():
    module = make_detector("fcos", 4)
    module.box_coder.normalize_by_size = False
    with pytest.raises(ModelFileError, match="pixels instead of anchor sizes"):
        raw_heads(module, spec_of(module, 96, 128), "net.pt")
    module = make_detector("retinanet", 4)
    module.box_coder.bbox_xform_clip = 2.0
    with pytest.raises(ModelFileError, match="bounds its boxes"):
        raw_heads(module, spec_of(module, 96, 128), "net.pt")


def test_compiler_and_task_mean_the_same_metadata():
    assert (torchvision_detectors.HEAD, torchvision_detectors.PARAMETERS) == (layouts.HEAD, layouts.PARAMETERS)


# ---- as files ----


LABELS = (Label(7, "apple"), Label(8, "pear"), Label(9, "milk"))


@pytest.mark.parametrize("kind", ["ssd", "fcos"])
def test_a_module_is_opened_and_exported(kind, tmp_path):
    """Its exported graph gives the same at several batch sizes, and says itself how it is used."""
    module = make_detector(kind, 4)
    torch.save(module, tmp_path / "net.pt")
    spec = spec_of(module) if kind == "ssd" else spec_of(module, 96, 128)
    preprocess = None if kind == "ssd" else spec  # the transform of SSD says it
    source = load_source(tmp_path / "net.pt", SourceOptions(trust=True, labels=LABELS, preprocess=preprocess))
    assert (source.kind, source.spec) == (SourceKind.MODULE, spec)
    assert (source.task.kind, source.labels) == ("detect", LABELS)
    assert {output.layout for output in source.task.outputs} == {kind}
    assert (source.task.parameters["iou"], source.task.parameters["best"]) == (
        module.nms_thresh,
        module.topk_candidates,
    )
    graph, report = export_float(source)
    assert max(report.max_abs_difference.values()) <= report.tolerance
    (tmp_path / "net.onnx").write_bytes(graph)
    again = load_source(tmp_path / "net.onnx")
    assert (again.spec, again.task) == (source.spec, source.task)


def test_a_state_dict_is_opened_by_its_arch_alone(tmp_path):
    arch = "torchvision:ssdlite320_mobilenet_v3_large"
    module = build_detector(arch, 4)
    torch.save(module.state_dict(), tmp_path / "net.pt")
    source = load_source(tmp_path / "net.pt", SourceOptions(arch=arch, labels=LABELS))
    assert (source.kind, source.task.kind) == (SourceKind.STATE_DICT, "detect")
    assert (
        source.spec == own_preprocess(module, "net.pt") == PreprocessSpec(320, 320, mean=(127.5,) * 3, std=(127.5,) * 3)
    )


def test_a_number_of_labels_that_does_not_fit_is_refused(tmp_path):
    torch.save(make_detector("ssd", 4), tmp_path / "net.pt")
    labels = [Label(i, str(i)) for i in range(4)]  # the background among them
    with pytest.raises(ModelFileError, match=r"without the background"):
        load_source(tmp_path / "net.pt", SourceOptions(trust=True, labels=labels))


def test_a_tensor_that_ssd_was_not_made_for_is_refused(tmp_path):
    torch.save(make_detector("ssd", 4), tmp_path / "net.pt")
    options = SourceOptions(
        trust=True, labels=[Label(i, str(i)) for i in range(3)], preprocess=PreprocessSpec(320, 320)
    )
    with pytest.raises(InputError, match=r"takes \['any', 3, 96, 160\]|takes \[3, 96, 160\]"):
        load_source(tmp_path / "net.pt", options)
