"""A whole compile of a task that a user brings: two outputs, a result, a metric and parameters of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import toy_task
from footprints import opened_here

import edgevision as ev
from edgevision.errors import BudgetError, InputError, ModelFileError, SelfTestError, UnprovenWarning
from edgevision.evaluate import registry as evaluators
from edgevision.tasks import registry as tasks

pytestmark = pytest.mark.requires("torch", "onnx")

SUPPORT = Path(toy_task.__file__).parent


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    toy_task.register()
    yield
    tasks._registered.pop(toy_task.KIND)
    evaluators._registered.pop(toy_task.KIND)


@pytest.fixture(scope="module")
def given(tmp_path_factory) -> dict[str, Path]:
    """Model, photos with and without truth, and what the model does not say of itself."""
    root = tmp_path_factory.mktemp("light")
    (root / "light.onnx").write_bytes(toy_task.network())
    (root / "spec.json").write_text(json.dumps(toy_task.SPEC.to_dict()))
    (root / "labels.csv").write_text("id,name\n" + "".join(f"{x.id},{x.name}\n" for x in toy_task.LABELS))
    toy_task.write_photos(root / "photos", 30)
    toy_task.write_photos(root / "unlabelled", 20, labelled=False)
    return {path.stem: path for path in root.iterdir()}


def options(given, **more):
    from edgevision.compiler.options import CompileOptions, Precision

    own = {"task": toy_task.KIND, "data": given["photos"], "labels": given["labels"], "rounds": 3, "threads": 1,
           "preprocess": str(given["spec"]), "precision": Precision.INT8}  # fmt: skip
    return CompileOptions(**{**own, **more})


@pytest.fixture(scope="module")
def compiled(given, tmp_path_factory):
    from edgevision.compiler.pipeline import compile_model
    from edgevision.compiler.select import measure

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "footprint", opened_here)
        return compile_model(given["light"], tmp_path_factory.mktemp("bundle") / "light.edge", options(given))


def loaded(path, **more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnprovenWarning)
        return ev.load(path, **more)


def command(*arguments, path=()) -> subprocess.CompletedProcess:
    """The command line in a process that knows of no task but those on its path."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*map(str, path), *filter(None, sys.path[1:])])}
    environment["PYTHONPATH"] = os.pathsep.join(
        one for one in environment["PYTHONPATH"].split(os.pathsep) if Path(one) != SUPPORT or one in map(str, path)
    )
    return subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, check=False, env=environment,
        cwd=Path(ev.__file__).parents[1],
    )  # fmt: skip


# ---- what is written ----


def test_int8_passes_by_the_tasks_own_metric(compiled):
    v = compiled.verdict
    assert (v.metric, v.unit, v.n) == ("closeness", "points of closeness", 45)
    assert v.passed
    assert v.reference == pytest.approx(100, abs=0.01)  # float answers as the network was written to
    assert 99 < v.value < v.reference
    assert v.interval[0] <= v.drop <= v.interval[1]
    assert (v.calibration_error, v.reference_calibration_error) == (None, None)
    assert compiled.variants[0].measurement.is_int8
    assert compiled.variants[0].agreement == pytest.approx(v.value, abs=1)


def test_the_bundle_says_what_the_outputs_are(compiled):
    manifest = compiled.manifest
    assert manifest.task == toy_task.light_spec({"levels": "levels", "center": "center"})
    assert manifest.labels == toy_task.LABELS
    for variant in manifest.variants:
        assert set(variant.golden) == {"levels", "center"}
        assert variant.parameters.keys() == {"gain"}
        assert manifest.task_of(variant).parameters["gain"] == variant.parameters["gain"]
    gains = {one.id: one.parameters["gain"] for one in compiled.variants}
    assert gains["onnxruntime-float"] == pytest.approx(1, abs=1e-6)
    assert gains["onnxruntime-int8"] != 1  # fitted for each variant by itself
    assert any("gain fitted on 45 photos" in note for note in compiled.report.notes)


def test_the_report_shows_what_the_task_adds(compiled):
    from edgevision.bundle.reader import open_bundle

    with open_bundle(compiled.path) as bundle:
        report = json.loads(bundle.read("report/report.json"))
    assert report["task"] == json.loads(json.dumps(compiled.manifest.task.to_dict()))
    assert {group["name"] for group in report["groups"][compiled.manifest.chosen]} == set(toy_task.COLORS)
    (section,) = compiled.report.task_sections
    assert section.title == "Colours"
    assert section.blocks[0].rows[0][0] == f"{compiled.manifest.chosen} (chosen)"
    assert compiled.report.table()[0][1] == "closeness"
    for text in (json.dumps(report, ensure_ascii=False), compiled.report.verdict_line()):
        assert "top-1" not in text


@pytest.mark.requires("matplotlib")
def test_the_page_has_the_tasks_section(compiled):
    from edgevision.compiler.report.page import report_page

    page = report_page(compiled.report)
    assert "Colours" in page
    assert "closeness" in page
    assert "top-1" not in page


# ---- nodes that the task keeps in float ----


def test_what_the_task_keeps_in_float_is_float_in_every_dialect(given):
    from edgevision.compiler.answers import AnswerMeasure
    from edgevision.compiler.data.photos import gather, prepared
    from edgevision.compiler.quantize.dialects import DIALECTS
    from edgevision.compiler.quantize.recipes import calibrate, for_dialect, int8_graph
    from edgevision.compiler.select.precision_check import int8_nodes
    from edgevision.compiler.sources.export import export_float
    from edgevision.compiler.sources.source import SourceOptions, load_source

    source = load_source(
        given["light"], SourceOptions(preprocess=given["spec"], labels=given["labels"], task=toy_task.KIND)
    )
    graph, _ = export_float(source)
    measure = AnswerMeasure.of(source.task)
    photos = gather(options(given), measure.evaluator, None).calibration
    tensors = list(prepared(photos[:16], source.spec))
    first = calibrate(graph, tensors, measure, 1)
    assert first.always_float >= {"moments", "divide"}
    for dialect in DIALECTS.values():
        made = int8_graph(for_dialect(first, dialect))
        assert {"stem", "luma", "head"} <= set(made.int8_nodes), dialect.name
        assert "moments" not in made.int8_nodes, dialect.name
        assert set(int8_nodes(made.graph)) == {"stem", "luma", "head"}, dialect.name

    class WithoutWishes(toy_task.LightEvaluator):
        def float_nodes(self, nodes):
            return frozenset()

    free = int8_graph(calibrate(graph, tensors, AnswerMeasure(WithoutWishes(source.task)), 1))
    assert "moments" in free.int8_nodes  # so it is the task that kept it


def test_the_packed_graphs_keep_it_too_whatever_else_falls_back(compiled):
    from edgevision.bundle.reader import open_bundle
    from edgevision.compiler.select.precision_check import int8_nodes

    with open_bundle(compiled.path) as bundle:
        int8 = [key for key, graph in bundle.manifest.graphs.items() if graph.precision == "int8"]
        assert int8
        for key in int8:
            assert set(int8_nodes(bundle.graph(key))) == {"stem", "luma", "head"}


def test_a_float_fallback_does_not_undo_it(given, quick, paced, tmp_path):
    from edgevision.bundle.reader import open_bundle
    from edgevision.compiler.pipeline import compile_model
    from edgevision.compiler.select.precision_check import int8_nodes

    paced(float=2.0, int8=1.0)
    (tmp_path / "flawed.onnx").write_bytes(toy_task.network(flaws=1))
    result = compile_model(tmp_path / "flawed.onnx", tmp_path / "x.edge", options(given))
    assert result.verdict.passed
    fallen = result.manifest.graphs["int8"].float_fallback
    assert fallen
    assert not {"moments", "divide"} & set(fallen)  # what was never int8 is not searched
    with open_bundle(result.path) as bundle:
        nodes = set(int8_nodes(bundle.graph("int8")))
    assert nodes
    assert not nodes & {"moments", *fallen}


def test_tensorrt_keeps_it_in_float32(given, quick, tmp_path, monkeypatch):
    """Around int8 its graphs are float16, in which a place of some hundred pixels is known to half a pixel at best."""
    import onnx

    from edgevision.bundle.reader import open_bundle
    from edgevision.compiler.options import Precision
    from edgevision.compiler.pipeline import compile_model
    from edgevision.compiler.select import cross_target

    monkeypatch.setattr(cross_target, "available_engines", lambda: {"onnxruntime": "1"})
    asked = options(given, targets=("tensorrt",), precision=Precision.AUTO)
    result = compile_model(given["light"], tmp_path / "x.edge", asked)
    with open_bundle(result.path) as bundle:
        graphs = {v.id: bundle.graph(v.graph) for v in result.manifest.variants if v.target == "tensorrt"}
    assert set(graphs) == {"tensorrt-int8", "tensorrt-float16"}
    for graph in graphs.values():
        model = onnx.load_from_string(graph).graph
        types = {tensor.name: tensor.data_type for tensor in model.initializer}
        nodes = {node.name: node for node in model.node}
        assert types[nodes["moments"].input[1]] == onnx.TensorProto.FLOAT
        cast = {node.output[0] for node in model.node if node.op_type == "Cast"}
        assert not cast & {*nodes["first_moments"].input, *nodes["mass"].input, *nodes["divide"].input}
        assert onnx.TensorProto.FLOAT16 in types.values()  # the rest is


# ---- predicting ----


@pytest.mark.parametrize(("height", "width"), [(32, 48), (64, 96), (48, 48), (40, 200)])
def test_results_are_in_the_pixels_of_the_callers_frame(height, width, compiled):
    """A light in a frame of any shape is found where it is, though the tensor has borders there."""
    image = np.zeros((height, width, 3), np.uint8)
    top, left, side = height // 2, width // 4, height // 4
    image[top : top + side, left : left + side, 1] = 240
    with loaded(compiled.path, variant="onnxruntime-int8") as model:
        result = model.predict(ev.Frame.from_array(image))
        (same,) = model.predict([image])
    assert isinstance(result, toy_task.Light)
    assert max(result.levels, key=result.levels.get) == "green"
    pixel = max(height / toy_task.SPEC.height, width / toy_task.SPEC.width)  # of the tensor, in the frame
    assert result.x == pytest.approx(left + side / 2, abs=0.35 * pixel)
    assert result.y == pytest.approx(top + side / 2, abs=0.35 * pixel)
    assert (same.x, same.y) == (result.x, result.y)


def test_every_variant_gives_the_values_known_by_construction(compiled):
    for variant in compiled.manifest.variants:
        with loaded(compiled.path, variant=variant.id) as model:
            for color in range(3):
                image = toy_task.picture(color, 999)
                *levels, x, y = toy_task.answer_of(image)
                result = model.predict(image)
                assert list(result.levels.values()) == pytest.approx(levels, abs=1.0)
                assert (result.x, result.y) == pytest.approx((toy_task.SCALE * x, toy_task.SCALE * y), abs=1.0)
            digest = model.digest([toy_task.picture(color, 1) for color in range(3)] * 4)
            assert {role: array.shape for role, array in digest.items()} == {"levels": (12, 3), "center": (12, 2)}


def test_the_gain_of_the_variant_is_used(compiled):
    image = toy_task.picture(0, 5)
    with loaded(compiled.path, variant="onnxruntime-int8") as model:
        raw = model.digest([image])["levels"][0]
        assert model.task.gain == model.variant.parameters["gain"] != 1
        assert list(model.predict(image).levels.values()) == pytest.approx((model.task.gain * raw).tolist())


def test_a_threshold_is_no_parameter_that_this_task_asks_for(compiled):
    with loaded(compiled.path) as model:
        assert model.threshold is None


# ---- golden frames ----


def spoiled(compiled, target: Path, role: str, by: float) -> Path:
    """The bundle, with one number of one golden output of the int8 variant moved."""
    from edgevision.bundle.golden import encode_outputs
    from edgevision.bundle.reader import open_bundle
    from edgevision.bundle.writer import write_bundle

    with open_bundle(compiled.path) as bundle:
        manifest = bundle.manifest
        entries = {name: bundle.read(name) for name in manifest.entries}
        variant = next(v for v in manifest.variants if v.id == "onnxruntime-int8")
        stored = bundle.golden_outputs(variant.golden)
    moved = np.array(stored[role])
    moved[3, 1] += by
    entries[variant.golden[role]] = encode_outputs(moved)
    write_bundle(target, manifest, entries)
    return target


def test_golden_frames_are_checked_by_the_task(compiled):
    with loaded(compiled.path, variant="onnxruntime-int8") as model:
        found = model.self_test()
    assert found.passed
    assert "0.05 is allowed" in found.message


@pytest.mark.parametrize("role", ["levels", "center"])
def test_a_spoiled_golden_output_is_refused(role, compiled, tmp_path):
    path = spoiled(compiled, tmp_path / "spoiled.edge", role, by=0.2)
    with pytest.raises(SelfTestError, match=r"light differs by 0\.2"):
        loaded(path, variant="onnxruntime-int8")
    loaded(spoiled(compiled, tmp_path / "near.edge", role, by=0.02), variant="onnxruntime-int8").close()


# ---- the budget ----


def test_int8_that_loses_too_much_is_refused(given, quick, paced, tmp_path):
    from edgevision.compiler.pipeline import compile_model

    paced(float=2.0, int8=1.0)
    (tmp_path / "flawed.onnx").write_bytes(toy_task.network(flaws=6))
    with pytest.raises(BudgetError, match="nothing was written") as caught:
        compile_model(tmp_path / "flawed.onnx", tmp_path / "x.edge", options(given))
    assert caught.value.exit_status == 3
    assert "points of closeness" in str(caught.value)
    assert "top-1" not in str(caught.value)
    assert not (tmp_path / "x.edge").exists()


def test_a_group_that_loses_too_much_is_refused_in_the_tasks_own_words(given, quick, paced, tmp_path, monkeypatch):
    from edgevision.compiler.pipeline import compile_model
    from edgevision.compiler.select import budget

    paced(float=2.0, int8=1.0)
    true = budget.answers_of

    def answers_of(found, photos, *more):
        answers = true(found, photos, *more)
        if "onnxruntime-int8" in answers:
            mine = [i for i, one in enumerate(photos) if one.classes == (2,)]
            answers["onnxruntime-int8"]["center"][mine] += 9.0
        return answers

    monkeypatch.setattr(budget, "answers_of", answers_of)
    with pytest.raises(BudgetError, match=r"blue photos lose 1\d\.\d\d points of closeness"):
        compile_model(given["light"], tmp_path / "x.edge", options(given, max_drop=50))


def test_without_truth_the_verdict_is_agreement(given, quick, tmp_path):
    from edgevision.compiler.pipeline import compile_model

    result = compile_model(given["light"], tmp_path / "x.edge", options(given, data=given["unlabelled"]))
    v = result.verdict
    assert (v.metric, v.unit, v.reference) == ("agreement", "points of agreement with float", 100.0)
    assert v.passed
    assert 99 < v.value < 100
    assert "not accuracy" in v.note
    assert result.report.groups == {}
    assert result.report.task_sections == ()


# ---- sources ----


def torch_network(kind: str):
    """The same network in PyTorch, with its outputs in a dict or in a tuple."""
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 3, 1)
            self.luma = nn.Conv2d(3, 1, 1)
            y, x = np.mgrid[: toy_task.SPEC.height, : toy_task.SPEC.width] + 0.5
            moments = np.stack([x.ravel(), y.ravel(), np.ones(x.size)], axis=1) / x.size
            self.register_buffer("moments", torch.from_numpy(moments.astype(np.float32)))
            with torch.no_grad():
                self.stem.weight.copy_(torch.eye(3).reshape(3, 3, 1, 1))
                self.luma.weight.fill_(1 / 3)
                self.stem.bias.zero_()
                self.luma.bias.zero_()

        def forward(self, x):
            seen = torch.relu(self.stem(x))
            levels = 100 * seen.mean(dim=(2, 3))
            sums = self.luma(seen).flatten(1) @ self.moments
            center = sums[:, :2] / (sums[:, 2:] + 1e-6)
            return {"dict": {"center": center, "levels": levels}, "tuple": (center, levels)}[kind]

    return Net().eval()


@pytest.mark.parametrize("kind", ["dict", "tuple"])
def test_a_torch_network_with_two_outputs(kind, given, quick, tmp_path):
    """A dict's outputs are told apart by their names, a tuple's by their shapes."""
    import torch

    from edgevision.compiler.pipeline import compile_model
    from edgevision.compiler.quantize.recipes import describe_nodes
    from edgevision.compiler.sources.quiet import quiet as quietly

    example = torch.zeros(2, 3, toy_task.SPEC.height, toy_task.SPEC.width)
    batch = torch.export.Dim("batch", min=1, max=64)
    with quietly():
        program = torch.export.export(torch_network(kind), (example,), dynamic_shapes=({0: batch},))
        torch.export.save(program, tmp_path / "light.pt2")
    result = compile_model(tmp_path / "light.pt2", tmp_path / "x.edge", options(given))
    names = {output.role: output.name for output in result.manifest.task.outputs}
    assert names == {
        "dict": {"levels": "levels", "center": "center"}, "tuple": {"levels": "output_1", "center": "output_0"},
    }[kind]  # fmt: skip
    assert result.verdict.passed
    wanted = toy_task.make_evaluator(result.manifest.task).float_nodes(describe_nodes(result.float_graph))
    assert wanted
    image = toy_task.picture(2, 999)
    with loaded(result.path) as model:
        found = model.predict(image)
    *levels, x, y = toy_task.answer_of(image)
    assert list(found.levels.values()) == pytest.approx(levels, abs=1.0)
    assert (found.x, found.y) == pytest.approx((2 * x, 2 * y), abs=1.0)


def test_an_exported_graph_says_what_it_is(given, compiled, quick, tmp_path):
    """The ONNX file that compile exported needs neither --task nor the rest."""
    from edgevision.compiler.options import CompileOptions, Precision
    from edgevision.compiler.pipeline import compile_model

    (tmp_path / "again.onnx").write_bytes(compiled.float_graph)
    asked = CompileOptions(Precision.INT8, data=given["photos"], rounds=3, threads=1)
    result = compile_model(tmp_path / "again.onnx", tmp_path / "x.edge", asked)
    assert result.manifest.task == compiled.manifest.task
    with pytest.raises(InputError, match="--task says otherwise"):
        compile_model(tmp_path / "again.onnx", tmp_path / "y.edge", options(given, task="classify", preprocess=None))


def test_outputs_that_can_be_read_in_two_ways_are_refused(given, tmp_path):
    import onnx

    from edgevision.compiler.pipeline import compile_model

    model = onnx.load_from_string(toy_task.network())
    del model.graph.output[1]
    model.graph.output.append(onnx.helper.make_tensor_value_info("sums", onnx.TensorProto.FLOAT, ("batch", 3)))
    onnx.save(model, tmp_path / "two.onnx")
    with pytest.raises(ModelFileError, match="these could be meant") as caught:
        compile_model(tmp_path / "two.onnx", tmp_path / "x.edge", options(given))
    assert "sums" in str(caught.value)


def test_pruning_says_that_it_takes_one_output(given, quick, tmp_path):
    from edgevision.compiler.pipeline import compile_model

    with pytest.raises(InputError):
        compile_model(given["light"], tmp_path / "x.edge", options(given, prune=0.3))
    assert not (tmp_path / "x.edge").exists()


# ---- the commands, and other processes ----


def test_the_float_model_is_evaluated_by_the_tasks_own_measure(given, compiled):
    from edgevision.compiler.float_model import FloatModel
    from edgevision.compiler.sources.source import SourceOptions
    from edgevision.evaluate.data.dataset import read_dataset
    from edgevision.evaluate.evaluation import compare, evaluate

    said = SourceOptions(preprocess=given["spec"], labels=given["labels"], task=toy_task.KIND)
    photos = read_dataset(given["photos"])
    with FloatModel(given["light"], said, threads=1) as model, loaded(compiled.path) as bundle:
        float_, int8 = evaluate("float", model, photos), evaluate("int8", bundle, photos)
    assert float_.to_dict()["closeness"] == pytest.approx(100, abs=0.01)
    assert compare(float_, int8).drop == pytest.approx(compiled.verdict.drop, abs=0.3)
    assert "closeness" in float_.evaluator.page([float_, int8], None)


@pytest.fixture
def package(tmp_path) -> list[Path]:
    """A folder with the metadata of an installed package that brings the task, and the folder of its module."""
    info = tmp_path / "site" / "light_for_edgevision-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: light-for-edgevision\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[{tasks.ENTRY_POINTS}]\nlight = toy_task:TASK\n\n[{evaluators.ENTRY_POINTS}]\nlight = toy_task:make_evaluator\n"
    )
    return [info.parent, SUPPORT]


def test_an_installed_package_brings_its_task(given, compiled, package, tmp_path):
    picture = next(given["photos"].glob("*.png"))
    code = (
        "import edgevision as ev, sys, warnings; warnings.simplefilter('ignore')\n"
        "from edgevision.tasks.registry import task_kinds\n"
        "assert 'light' in task_kinds() and 'toy_task' not in sys.modules\n"
        "with ev.load(sys.argv[1]) as model: print(type(model.predict(sys.argv[2])).__name__)\n"
        "assert 'torch' not in sys.modules and 'onnx' not in sys.modules\n"
    )
    done = command("-c", code, compiled.path, picture, path=package)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "Light"
    code = (
        "from edgevision.evaluate.registry import make_evaluator\n"
        "from edgevision.bundle.reader import open_bundle; import sys\n"
        "with open_bundle(sys.argv[1]) as bundle: print(make_evaluator(bundle.manifest.task).unit)\n"
    )
    assert command("-c", code, compiled.path, path=package).stdout.strip() == "points of closeness"


def test_an_entry_point_that_gives_something_else_is_named(compiled, package):
    (entry_points,) = package[0].glob("*/entry_points.txt")
    entry_points.write_text(f"[{tasks.ENTRY_POINTS}]\nlight = toy_task:KIND\n")
    done = command("-m", "edgevision", "predict", compiled.path, "x.png", path=package)
    assert done.returncode == 2
    assert "entry point 'light'" in done.stderr
    assert "Traceback" not in done.stderr


def test_verify_and_inspect_work(compiled, package):
    done = command("-m", "edgevision", "verify", compiled.path, path=package)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("passed") == len(compiled.manifest.variants)
    done = command("-m", "edgevision", "inspect", compiled.path, path=package)
    assert done.returncode == 0, done.stderr
    for text in (
        "light, 3 labels",
        "levels in 'levels' as points",
        "center in 'center' as pixels",
        "gain",
        "closeness",
    ):
        assert text in done.stdout


def test_the_predict_command_prints_results_of_any_task(given, compiled, package):
    photo = next(given["unlabelled"].glob("1-*.png"))  # a green light
    told = command("-m", "edgevision", "predict", compiled.path, photo, path=package)
    assert told.returncode == 0, told.stderr
    assert str(photo) in told.stdout
    data = command("-m", "edgevision", "predict", "--json", compiled.path, photo, path=package)
    assert data.returncode == 0, data.stderr
    (answer,) = json.loads(data.stdout)
    assert max(answer["levels"], key=answer["levels"].get) == "green"


def test_a_process_that_does_not_know_the_task_says_so(compiled):
    for arguments in (("predict", compiled.path, "x.png"), ("verify", compiled.path)):
        done = command("-m", "edgevision", *arguments)
        assert done.returncode == 2, done.stdout + done.stderr
        assert "nothing here knows the task 'light'; known are classify" in done.stderr
        assert "register_task" in done.stderr
        assert "Traceback" not in done.stderr
    done = command("-m", "edgevision", "inspect", compiled.path)  # looking is allowed
    assert done.returncode == 0, done.stderr
    assert "light, 3 labels" in done.stdout
