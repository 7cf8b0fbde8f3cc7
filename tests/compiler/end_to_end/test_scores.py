"""Temperature and threshold from calibration photos to predictions, where the right ones are known; and a verdict on scores.

Each photo's class is drawn with the chances that its mean colours give, and the network is ``SHARPNESS`` times too sure of
itself: by construction the right temperature is that. Int8 graphs get something behind their last layer, which int8 could
have done to them, so that what is right for them is another thing than for float, and known as well.
"""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from known_networks import COLORS, SPEC, options

from edgevision.errors import BudgetError, UnprovenWarning

pytestmark = pytest.mark.requires("torch", "onnx")

SHARPNESS = 4.0
HONEST = 15.0  # logits for each unit of a colour's mean at which scores are chances
CALIBRATION, VALIDATION = 300, 300


def picture(seed):
    """24×32 BGR: coarse blocks, and a tint."""
    rng = np.random.default_rng(seed)
    image = np.kron(rng.integers(0, 120, (6, 8, 3)), np.ones((4, 4, 1), int))
    return (image + rng.integers(0, 80, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def network(nets):
    import torch

    net = nets.net()
    with torch.no_grad():
        net[-1].weight.copy_(SHARPNESS * HONEST * torch.eye(3))
    return net


def logits_of(network, seeds):
    """What float gives, float64 [n, 3], by PyTorch."""
    import torch

    from edgevision.preprocess import Preprocessor

    with torch.no_grad():
        tensors = Preprocessor(SPEC).batch([picture(seed) for seed in seeds])
        return network(torch.from_numpy(tensors)).double().numpy()


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def drawn(network, tmp_path_factory):
    """Folders of calibration and validation photos, and for the calibration photos float's logits and the truth."""
    from edgevision.decode import encode_png

    folders, known = {}, {}
    for name, first, n in (("data", 0, CALIBRATION), ("val", 10_000, VALIDATION)):
        root = folders[name] = tmp_path_factory.mktemp(name)
        seeds = range(first, first + n)
        logits = logits_of(network, seeds)
        rng = np.random.default_rng(first)
        truth = np.array([rng.choice(3, p=chances) for chances in softmax(logits / SHARPNESS)])
        for seed, color in zip(seeds, truth, strict=True):
            (root / COLORS[color]).mkdir(exist_ok=True)
            (root / COLORS[color] / f"{seed}.png").write_bytes(encode_png(picture(seed)))
        known[name] = logits, truth
    return folders, known["data"]


@pytest.fixture(scope="module")
def source(network, tmp_path_factory):
    import torch

    from edgevision.compiler.sources.quiet import quiet

    path = tmp_path_factory.mktemp("source") / "sharp.pt"
    with quiet():
        torch.jit.save(torch.jit.trace(network, torch.zeros(2, 3, SPEC.height, SPEC.width)), path)
    return path


@pytest.fixture
def behind_int8(monkeypatch):
    """A function that puts nodes behind the last layer of every int8 graph: of ``made(name)``, which gives them for the logits
    called so, and the constants that they need; the last one gives ``output``."""
    import onnx
    from onnx import numpy_helper

    from edgevision.compiler import pipeline
    from edgevision.compiler.select import budget

    true = pipeline.int8_candidates

    def put(made):
        def candidates(*arguments):
            changed = []
            for one in true(*arguments):
                model = onnx.load_model_from_string(one.graph)
                (last,) = (node for node in model.graph.node if "output" in node.output)
                last.output[0] = "logits"
                nodes, constants = made("logits")
                model.graph.node.extend(onnx.helper.make_node(*node[:3], **node[3]) for node in nodes)
                model.graph.initializer.extend(
                    numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()
                )
                changed.append(replace(one, graph=model.SerializeToString()))
            return tuple(changed)

        for module in (pipeline, budget):
            monkeypatch.setattr(module, "int8_candidates", candidates)

    return put


def twice_as_sure(name):
    return [("Mul", [name, "two"], ["output"], {})], {"two": np.float32(2)}


def surer_where_sure(name):
    """Logits and their squares are added: no temperature makes float's scores of these, and nearly all lie on the side of the line where they were."""
    nodes = [
        ("ReduceMean", [name, "classes"], ["mean"], {}),
        ("Sub", [name, "mean"], ["centred"], {}),
        ("Abs", ["centred"], ["size"], {}),
        ("Add", ["size", "five"], ["gain"], {}),
        ("Mul", ["centred", "gain"], ["large"], {}),
        ("Mul", ["large", "tenth"], ["output"], {}),
    ]
    return nodes, {"classes": np.array([1]), "five": np.float32(5), "tenth": np.float32(0.1)}


def turned_round(name):
    """The best class stays; the surer the network was, the less sure it is."""
    nodes = [
        ("ReduceMean", [name, "classes"], ["mean"], {}),
        ("Sub", [name, "mean"], ["centred"], {}),
        ("ReduceSumSquare", ["centred", "classes"], ["size"], {}),
        ("Add", ["size", "one"], ["above"], {}),
        ("Div", ["centred", "above"], ["small"], {}),
        ("Mul", ["small", "ten"], ["output"], {}),
    ]
    return nodes, {"classes": np.array([1]), "one": np.float32(1), "ten": np.float32(10)}


def compiled(source, files, drawn, target, **more):
    from edgevision.compiler.options import Precision
    from edgevision.compiler.pipeline import compile_model

    folders, _ = drawn
    given = {"precision": Precision.INT8, "max_drop": 10, "max_class_drop": 20, **more}
    return compile_model(source, target, options(files, folders["data"], val=folders["val"], **given))


def likeliest_temperature(logits, truth):
    """By trying them all."""
    tried = np.geomspace(0.5, 50, 2000)
    likelihood = [np.log(softmax(logits / one)[np.arange(len(truth)), truth]).mean() for one in tried]
    return tried[int(np.argmax(likelihood))]


def test_scores_are_honest_from_calibration_to_prediction(
    network, source, files, drawn, quick, paced, behind_int8, tmp_path
):
    """int8 is twice as sure as float here: its temperature is twice float's, and its line the same."""
    import edgevision as ev

    paced(float=2.0, int8=1.0)
    behind_int8(twice_as_sure)
    result = compiled(source, files, drawn, tmp_path / "x.edge")
    by_id = {one.id: one.parameters for one in result.variants}
    floats, int8 = by_id["onnxruntime-float"], by_id["onnxruntime-int8"]

    # float's: by construction, and by a search of our own (one photo more is added there: one in 300 moves it a little)
    logits, truth = drawn[1]
    assert floats["temperature"] == pytest.approx(SHARPNESS, rel=0.25)
    assert floats["temperature"] == pytest.approx(likeliest_temperature(logits, truth), rel=0.03)
    best = softmax(logits / floats["temperature"]).max(axis=1)
    right = logits.argmax(axis=1) == truth
    assert 0.95 <= (best[right] >= floats["threshold"] - 1e-6).mean() <= 0.95 + 1 / right.sum()
    assert floats["threshold"] > 0.4

    # int8's own
    assert int8["temperature"] == pytest.approx(2 * floats["temperature"], rel=0.03)
    assert int8["threshold"] == pytest.approx(floats["threshold"], abs=0.02)
    assert int8["threshold"] != floats["threshold"]

    # both as they are written
    assert result.manifest.source["float"]["parameters"] == floats
    (written,) = (one for one in result.manifest.variants if one.id == "onnxruntime-int8")
    assert written.parameters == int8

    # and as they are used, on photos that nothing has seen
    seeds = range(20_000, 20_200)
    expected = softmax(logits_of(network, seeds) / floats["temperature"]).max(axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnprovenWarning)
        with ev.load(result.path) as model:
            assert model.task.spec.parameters == int8
            found = [model.predict(picture(seed)) for seed in seeds]
    scores = np.array([one.best.score for one in found])
    np.testing.assert_allclose(scores, expected, atol=0.03)
    known = np.array([one.known for one in found])
    clear = np.abs(expected - floats["threshold"]) > 0.03
    np.testing.assert_array_equal(known[clear], expected[clear] >= floats["threshold"])
    assert 0 < known[clear].sum() < clear.sum()  # both kinds are among them


def test_a_variant_whose_scores_lie_elsewhere_gets_a_line_of_its_own(
    network, source, files, drawn, quick, paced, behind_int8, tmp_path
):
    """What float knows, int8 knows, though its scores and so its threshold are others."""
    import edgevision as ev

    paced(float=2.0, int8=1.0)
    behind_int8(surer_where_sure)
    result = compiled(source, files, drawn, tmp_path / "x.edge", max_ece_increase=100, true_accept_rate=0.8)
    by_id = {one.id: one.parameters for one in result.variants}
    floats, int8 = by_id["onnxruntime-float"], by_id["onnxruntime-int8"]
    assert abs(int8["threshold"] - floats["threshold"]) > 0.02
    seeds = range(20_000, 20_300)
    best = softmax(logits_of(network, seeds) / floats["temperature"]).max(axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnprovenWarning)
        with ev.load(result.path) as model:
            known = np.array([model.predict(picture(seed)).known for seed in seeds])
    known_to_float = best >= floats["threshold"]
    assert (known != known_to_float).mean() < 0.1
    assert known.mean() == pytest.approx(known_to_float.mean(), abs=0.04)
    assert 0.15 < (~known).mean() < 0.45


def test_the_verdict_is_on_scores_with_what_was_fitted(source, files, drawn, quick, paced, behind_int8, tmp_path):
    """After their own temperatures both are nearly honest; before, int8 would have been far off."""
    paced(float=2.0, int8=1.0)
    behind_int8(twice_as_sure)
    verdict = compiled(source, files, drawn, tmp_path / "x.edge").verdict
    assert verdict.reference_calibration_error < 0.1
    assert verdict.calibration_error == pytest.approx(verdict.reference_calibration_error, abs=0.03)


def test_scores_alone_refuse_int8(source, files, drawn, quick, paced, behind_int8, tmp_path):
    """It answers as float does, photo by photo; only its scores are nonsense, and no temperature mends them."""
    from edgevision.compiler.options import Precision

    paced(float=2.0, int8=1.0)
    behind_int8(turned_round)
    target = tmp_path / "x.edge"
    with pytest.raises(
        BudgetError, match=r"points further from the truth than float's \(calibration error\)"
    ) as caught:
        compiled(source, files, drawn, target)
    refused = caught.value.report.verdicts["onnxruntime-int8"]
    assert abs(refused.drop) <= 2.5
    assert not refused.passed
    assert 100 * (refused.calibration_error - refused.reference_calibration_error) > 3
    assert not target.exists()

    # As int8 is refused for that alone, another precision is taken, or int8 where scores do not matter.
    result = compiled(source, files, drawn, target, precision=Precision.AUTO)
    assert result.manifest.chosen == "onnxruntime-float"
    result = compiled(source, files, drawn, target, max_ece_increase=100)
    assert result.manifest.chosen == "onnxruntime-int8"
    assert result.verdict.passed
