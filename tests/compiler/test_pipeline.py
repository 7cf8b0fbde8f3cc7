"""The whole walk on networks whose answers are known: written by hand, not trained.

``net`` answers with the strongest colour of a photo, rightly on every photo of the set. ``flawed`` does so in float,
through ``flaws`` layers whose outputs differ between colours by less than one int8 step, so that int8 must lose.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevision.errors import BudgetError, InputError, UnprovenWarning
from edgevision.preprocess.spec import Fit, PreprocessSpec
from edgevision.tasks.results import Label

pytestmark = pytest.mark.requires("torch", "onnx")

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


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    """The module above, importable: for ``--arch known_nets:net``."""
    folder = tmp_path_factory.mktemp("nets")
    (folder / "known_nets.py").write_text(MODULE)
    sys.path.insert(0, str(folder))
    try:
        import known_nets

        yield known_nets
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("known_nets", None)


def photo(color: int, seed: int) -> bytes:
    from edgevision.decode import encode_png

    rng = np.random.default_rng(1000 * color + seed)
    image = np.kron(rng.integers(0, 120, (5, 6, 3)), np.ones((4, 5, 1), int))
    image[..., 2 - color] += rng.integers(60, 130)
    return encode_png(image.astype(np.uint8))


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Class folders with 30 photos each."""
    root = tmp_path_factory.mktemp("photos")
    for color, name in enumerate(COLORS):
        (root / name).mkdir()
        for seed in range(30):
            (root / name / f"{seed}.png").write_bytes(photo(color, seed))
    return root


@pytest.fixture(scope="module")
def files(tmp_path_factory, nets) -> dict[str, Path]:
    """The network in each kind of file, and what it does not say of itself."""
    import torch

    from edgevision.compiler.quiet import quiet

    folder = tmp_path_factory.mktemp("models")
    (folder / "labels.csv").write_text("name,id\n" + "".join(f"{label.name},{label.id}\n" for label in LABELS))
    (folder / "spec.json").write_text(json.dumps(SPEC.to_dict()))
    example = torch.zeros(2, 3, SPEC.height, SPEC.width)
    torch.save(nets.net().state_dict(), folder / "state.pt")
    with quiet():
        torch.jit.save(torch.jit.trace(nets.net(), example), folder / "script.pt")
        batch = torch.export.Dim("batch", min=1, max=64)
        torch.export.save(torch.export.export(nets.net(), (example,), dynamic_shapes=({0: batch},)), folder / "net.pt2")
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture
def quick(monkeypatch):
    """ONNX Runtime alone, and no process of its own for memory and load time."""
    from edgevision.compiler import measure

    def footprint(variant: Any, threads: int) -> tuple[float, int]:
        return 1.0, 1

    monkeypatch.setattr(measure, "footprint", footprint)
    monkeypatch.setattr(measure, "available_engines", lambda: {"onnxruntime": "1"})


@pytest.fixture
def paced(monkeypatch):
    """A function that fixes what measuring finds, in ms by kind of graph, and the list of variants measured so far."""
    from edgevision.compiler import measure

    measured: list[str] = []

    def pace(**ms: float) -> list[str]:
        def latency(found, *_):
            measured.extend(variant.id for variant in found)
            return {variant.id: (ms[variant.candidate.key], 2 * ms[variant.candidate.key]) for variant in found}

        monkeypatch.setattr(measure, "measure_latency", latency)
        return measured

    return pace


def options(files, photos, **more):
    from edgevision.compiler.options import CompileOptions

    given = {"data": photos, "labels": files["labels.csv"], "preprocess": str(files["spec.json"]), "output": "logits",
             "rounds": 3, "threads": 1}  # fmt: skip
    return CompileOptions(**{**given, **more})


def onnx_of(module, tmp_path: Path) -> Path:
    """The network as an ONNX file that says nothing of itself."""
    import torch

    from edgevision.compiler.export import export_float
    from edgevision.compiler.quiet import quiet
    from edgevision.compiler.source import SourceOptions, load_source

    with quiet():
        torch.jit.save(torch.jit.trace(module, torch.zeros(2, 3, SPEC.height, SPEC.width)), tmp_path / "traced.pt")
    source = load_source(tmp_path / "traced.pt", SourceOptions(preprocess=SPEC, labels=LABELS, output="logits"))
    (tmp_path / "net.onnx").write_bytes(export_float(source)[0])
    return tmp_path / "net.onnx"


def answers(bundle: Path, **more) -> dict[str, str]:
    """What the bundle says of photos that no step has seen: {true colour: answer}."""
    import edgevision as ev

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnprovenWarning)
        with ev.load(bundle, **more) as model:
            return {name: model.predict(photo(color, 999)).top[0].name for color, name in enumerate(COLORS)}


RIGHT = {name: name for name in COLORS}


# --- everything real, once ---


@pytest.fixture(scope="module")
def compiled(files, photos, tmp_path_factory):
    """The result with every engine that is installed, and the steps that were told."""
    from edgevision.compiler.options import Precision
    from edgevision.compiler.pipeline import compile_model

    steps: list[str] = []
    target = tmp_path_factory.mktemp("bundle") / "net.edge"
    result = compile_model(
        files["net.pt2"], target, options(files, photos, precision=Precision.INT8, max_drop=0.5, threads=2),
        lambda step, done, total: steps.append(step),
    )  # fmt: skip
    return result, list(dict.fromkeys(steps))


def test_the_bundle_knows_the_answers(compiled):
    result, _ = compiled
    assert answers(result.path) == RIGHT
    for variant in result.manifest.variants:
        assert answers(result.path, variant=variant.id) == RIGHT


def test_the_verdict_is_of_the_half_that_was_not_calibrated_on(compiled):
    result, _ = compiled
    v = result.verdict
    assert (v.metric, v.n, v.reference, v.value, v.lost, v.gained) == ("top1", 45, 100.0, 100.0, 0, 0)
    assert v.passed
    assert not v.proven  # 45 photos cannot prove half a point
    data = result.manifest.data
    assert (data["calibration"]["count"], data["judge"]["count"]) == (45, 45)
    assert data["judge"]["labelled"] == 45


def test_what_is_packed_runs_in_int8_and_on_the_base_runtime(compiled):
    result, _ = compiled
    packed = [row for row in result.rows if row.id in {v.id for v in result.manifest.variants}]
    assert result.manifest.chosen == packed[0].id == result.rows[0].id
    for variant in result.manifest.variants:
        assert variant.verdict == result.report.verdicts.get(variant.id)
    assert result.manifest.variants[0].verdict == result.verdict
    assert packed[0].is_int8
    assert any(v.engine == "onnxruntime" for v in result.manifest.variants)
    assert {row.id for row in result.rows} >= {"onnxruntime-float", "onnxruntime-int8"}
    for row in result.rows:
        assert set(row.latency) == {(2, 1), (1, 1)}
        assert all(0 < p50_ms <= p90_ms for p50_ms, p90_ms in row.latency.values())
        assert row.load_ms > 0
        assert row.rss_bytes > 1e6  # an engine takes megabytes
    assert "quickest int8 variant" in result.report.why


def test_the_file_holds_what_was_found(compiled):
    from edgevision.bundle.reader import open_bundle
    from edgevision.compiler.ranges import RangeTable
    from edgevision.model import verify_variants

    result, steps = compiled
    with open_bundle(result.path) as bundle:
        bundle.verify()
        assert bundle.id == result.bundle_id
        assert bundle.manifest == result.manifest
        assert "graphs/int8.onnx" in result.manifest.entries
        table = RangeTable.from_json(bundle.read("calibration/ranges.json").decode())
        table.check(result.float_graph)  # of this graph, and so fit to write other dialects from
        assert table.photos == result.report.sets.describe()["calibration"]["count"]
        assert all(r.passed for r in verify_variants(bundle) if r.ran)
        assert len(bundle.golden_frames()) == 8
        report = json.loads(bundle.read("report/report.json"))
    assert report["chosen"] == result.manifest.chosen
    assert report["verdict"]["n"] == 45
    assert {v["id"] for v in report["variants"]} == {row.id for row in result.rows}
    assert report["source"]["kind"] == "pt2"
    assert result.manifest.preprocess == SPEC
    assert result.manifest.labels == LABELS
    assert list(dict.fromkeys(steps))[:4] == ["load", "look at photos", "export", "calibrate"]
    assert {"range estimators", "measure", "judge photos", "pack"} <= set(steps)


@pytest.mark.requires("matplotlib")
def test_the_page_stands_alone(compiled):
    from html.parser import HTMLParser

    from edgevision.bundle.reader import open_bundle

    result, _ = compiled
    with open_bundle(result.path) as bundle:
        page = bundle.read("report/report.html").decode()
    tags: Counter[str] = Counter()

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags[tag] += 1
            for name, value in attrs:
                assert name not in ("src",), value
                assert not (name == "href" and (value or "").startswith("http"))

        def handle_endtag(self, tag: str) -> None:
            tags[tag] -= 1

    Reader().feed(page)
    assert not {tag for tag, n in tags.items() if n and tag not in ("meta", "br", "hr")}  # each is closed
    for text in (result.manifest.chosen, "45 judge photos", "Range estimators", "net.pt2"):
        assert text in page


# --- each kind of source ---


@pytest.mark.parametrize("kind", ["state.pt", "script.pt", "onnx"])
def test_every_kind_of_file_goes_the_whole_way(kind, files, photos, nets, quick, tmp_path):
    from edgevision.compiler.pipeline import compile_model

    source = onnx_of(nets.net(), tmp_path) if kind == "onnx" else files[kind]
    carried = {"labels": None, "preprocess": None, "output": None} if kind == "onnx" else {}  # the export wrote it down
    arch = {"arch": "known_nets:net"} if kind == "state.pt" else {}
    result = compile_model(source, tmp_path / "out.edge", options(files, photos, **carried, **arch))
    assert answers(result.path) == RIGHT
    assert result.verdict.value == 100.0


def test_our_checkpoint_compiles_with_nothing_else(photos, quick, tmp_path):
    """The photos that it carries calibrate and judge; those it was trained on prove nothing."""
    from edgevision.compiler.options import CompileOptions, Precision
    from edgevision.compiler.pipeline import compile_model
    from edgevision.train.backbones import build
    from edgevision.train.checkpoint import Checkpoint, PackedPhoto, PhotoPack, save_checkpoint

    arch = {"width": 0.1, "depth": 0.1, "features": 8}
    pack = PhotoPack(
        tuple(PackedPhoto(photo(s % 3, s), s % 3, True) for s in range(100, 118)),
        tuple(PackedPhoto(photo(s % 3, s), s % 3, True) for s in range(200, 206)),
    )
    save_checkpoint(
        tmp_path / "net.pt",
        Checkpoint("lite0", build("lite0", 3, **arch).state_dict(), SPEC, LABELS, arch, photos=pack),
    )
    result = compile_model(
        tmp_path / "net.pt", tmp_path / "net.edge", CompileOptions(Precision.INT8, rounds=3, threads=1, max_drop=100)
    )
    assert result.verdict.n == 6
    assert not result.verdict.proven
    assert "trained on" in result.verdict.note
    assert any("give --val" in note for note in result.report.notes)


def test_probabilities(files, photos, nets, quick, tmp_path):
    import torch

    from edgevision.compiler.pipeline import compile_model
    from edgevision.compiler.quiet import quiet

    with quiet():
        example = torch.zeros(2, 3, SPEC.height, SPEC.width)
        torch.jit.save(torch.jit.trace(nets.with_softmax(), example), tmp_path / "soft.pt")
    result = compile_model(tmp_path / "soft.pt", tmp_path / "soft.edge", options(files, photos, output="probabilities"))
    assert answers(result.path) == RIGHT
    assert result.manifest.output == "probabilities"


# --- precision, proof, budget ---


@pytest.mark.parametrize("precision", ["float", "auto", "int8"])
def test_precision(precision, files, photos, quick, tmp_path):
    from edgevision.compiler.options import Precision
    from edgevision.compiler.pipeline import compile_model

    result = compile_model(
        files["script.pt"], tmp_path / "x.edge", options(files, photos, precision=Precision(precision))
    )
    chosen = result.rows[0]
    kinds = {row.candidate for row in result.rows}
    assert kinds == ({"float"} if precision == "float" else {"float", "int8"})
    if precision != "auto":
        assert chosen.is_int8 == (precision == "int8")
    else:
        assert chosen.latency[1, 1][0] <= 1.03 * min(row.latency[1, 1][0] for row in result.rows)
    assert answers(result.path) == RIGHT


@pytest.mark.parametrize("photos_given", [True, False])
@pytest.mark.parametrize("precision", ["float", "auto", "int8"])
def test_unproven(photos_given, precision, files, photos, quick, tmp_path):
    import edgevision as ev
    from edgevision.compiler.options import Precision
    from edgevision.compiler.pipeline import compile_model

    given = {"data": photos, "val": photos} if photos_given else {"data": None}
    result = compile_model(
        files["script.pt"],
        tmp_path / "x.edge",
        options(files, photos, precision=Precision(precision), unproven=True, **given),
    )
    assert result.verdict is None
    assert not result.manifest.proven
    with pytest.warns(UnprovenWarning, match="not proven"):
        ev.load(result.path).close()
    assert answers(result.path) == RIGHT
    assert result.rows[0].is_int8 == (precision == "int8") or precision == "auto"


def test_without_labels_agreement_judges(files, photos, quick, tmp_path):
    from edgevision.compiler.pipeline import compile_model

    flat = tmp_path / "flat"
    flat.mkdir()
    for place, path in enumerate(sorted(photos.rglob("*.png"))):
        (flat / f"{place}.png").write_bytes(path.read_bytes())
    result = compile_model(files["script.pt"], tmp_path / "x.edge", options(files, flat))
    assert (result.verdict.metric, result.verdict.value) == ("agreement", 100.0)
    assert "not accuracy" in result.verdict.note
    assert result.rows[0].threshold == 0.0


@pytest.mark.parametrize("precision", ["int8", "auto"])
def test_one_layer_at_fault_goes_back_to_float(precision, nets, files, photos, quick, paced, tmp_path):
    from edgevision.compiler.options import Precision
    from edgevision.compiler.pipeline import compile_model

    measured = paced(float=2.0, int8=1.0)
    source = onnx_of(nets.net(flaws=1), tmp_path)
    given = options(
        files, photos, labels=None, preprocess=None, output=None, precision=Precision(precision), max_drop=0
    )
    result = compile_model(source, tmp_path / "x.edge", given)
    int8 = next(row for row in result.rows if row.candidate == "int8")
    assert int8.metric == 100.0
    assert int8.is_int8
    assert any(note.startswith("back to float for accuracy's sake: ") for note in result.report.notes)
    assert answers(result.path) == RIGHT
    parts = result.manifest.graphs["int8"].float_parts
    assert 1 <= len(parts) <= 4
    assert result.manifest.variants[0].layer_precisions["int8"] >= 1
    assert result.verdict.confidence == pytest.approx(0.975)  # the second graph that the judge photos saw
    assert "look 2 at the judge photos" in result.verdict.note
    settings = len(result.report.settings)
    assert measured == ["onnxruntime-float", "onnxruntime-int8"] * settings + ["onnxruntime-int8"] * settings


@pytest.mark.parametrize("precision", ["auto", "int8", "float"])
@pytest.mark.parametrize("quicker", ["float", "int8"])
def test_only_finalists_are_shown_to_the_judge_photos(precision, quicker, files, photos, quick, paced, tmp_path):
    """Best first, until one passes; float is always beside it."""
    from edgevision.compiler.options import Precision
    from edgevision.compiler.pipeline import compile_model

    paced(**{"float": 2.0, "int8": 2.0, quicker: 1.0})
    result = compile_model(
        files["script.pt"], tmp_path / "x.edge", options(files, photos, precision=Precision(precision))
    )
    judged = quicker if precision == "auto" else precision
    assert list(result.report.verdicts) == [f"onnxruntime-{judged}"]
    assert {row.id for row in result.rows if row.metric is not None} == {"onnxruntime-float", f"onnxruntime-{judged}"}


def test_a_class_that_is_lost_sends_layers_back_to_float(nets, files, photos, quick, paced, tmp_path, monkeypatch):
    """The budget allows the drop as a whole; a class with 20 judge photos may not lose 3 of them."""
    from edgevision.compiler import judge
    from edgevision.compiler.options import Precision
    from edgevision.compiler.pipeline import compile_model

    paced(float=2.0, int8=1.0)
    val = tmp_path / "val"
    for color, name in enumerate(COLORS):
        (val / name).mkdir(parents=True)
        for seed in range(20):
            (val / name / f"{seed}.png").write_bytes(photo(color, 2000 + seed))
    true = judge.outputs_on
    looks: list[tuple[str, ...]] = []

    def outputs_on(found, sets, spec, threads, step, progress):
        outputs = true(found, sets, spec, threads, step, progress)
        if step == "judge photos" and "onnxruntime-int8" in outputs:
            looks.append(next(v.candidate.float_parts for v in found if v.id == "onnxruntime-int8"))
            mine = [i for i, one in enumerate(sets) if one.label == 1][:3]
            outputs["onnxruntime-int8"][mine] = outputs["onnxruntime-int8"][mine][:, ::-1] + [9e3, 0, 0]
        return outputs

    monkeypatch.setattr(judge, "outputs_on", outputs_on)
    given = options(files, photos, val=val, precision=Precision.INT8, max_drop=6)
    with pytest.raises(BudgetError, match="class 'green' loses 3 of 20 photos") as caught:
        compile_model(files["script.pt"], tmp_path / "x.edge", given)
    assert "Raise --max-drop" not in str(caught.value)  # that would not help
    assert 2 <= len(looks) <= 3  # the judge photos are no place to search in
    assert [len(parts) for parts in looks] == sorted({len(parts) for parts in looks})  # each time more goes back


def test_a_budget_that_cannot_be_met(nets, files, photos, quick, paced, tmp_path):
    """Six flaws in a row are more than are given back; then nothing is written, and the message says what was tried."""
    from edgevision.compiler.options import Precision
    from edgevision.compiler.pipeline import compile_model

    paced(float=2.0, int8=1.0)
    source = onnx_of(nets.net(flaws=6), tmp_path)
    target = tmp_path / "x.edge"
    target.write_bytes(b"the old one")
    left = sorted(tmp_path.iterdir())
    given = options(files, photos, labels=None, preprocess=None, output=None, precision=Precision.INT8, max_drop=0)
    with pytest.raises(BudgetError, match="nothing was written") as caught:
        compile_model(source, target, given)
    assert caught.value.exit_status == 3
    told = str(caught.value)
    assert "onnxruntime-int8: failed: 33.33 % against 100.00 % for float on 45 judge photos" in told
    assert "8 most sensitive layers" in told
    assert "--max-drop" in told
    assert target.read_bytes() == b"the old one"
    assert sorted(tmp_path.iterdir()) == left
    # Any precision: float is within every budget, and the report says what became of int8.
    result = compile_model(source, target, replace(given, precision=Precision.AUTO))
    assert result.manifest.chosen == "onnxruntime-float"
    assert any("most sensitive layers" in note for note in result.report.notes)
    assert answers(target) == RIGHT


@pytest.mark.requires("openvino")
def test_a_bundle_always_runs_on_the_base_runtime(files, photos, quick, tmp_path, monkeypatch):
    """Where int8 passes in OpenVINO alone, float for ONNX Runtime comes along."""
    from edgevision.compiler import judge, measure
    from edgevision.compiler.options import Precision
    from edgevision.compiler.pipeline import compile_model

    monkeypatch.setattr(measure, "available_engines", lambda: {"onnxruntime": "1", "openvino": "1"})
    true = judge.outputs_on

    def outputs_on(found, sets, spec, threads, step, progress):
        outputs = true(found, sets, spec, threads, step, progress)
        if step == "judge photos" and "onnxruntime-int8" in outputs:
            outputs["onnxruntime-int8"] = outputs["onnxruntime-int8"][:, ::-1]
        return outputs

    monkeypatch.setattr(judge, "outputs_on", outputs_on)
    result = compile_model(files["script.pt"], tmp_path / "x.edge", options(files, photos, precision=Precision.INT8))
    *quick_ones, base = result.manifest.variants
    assert [v.engine for v in quick_ones] == ["openvino"]  # by whichever of its graphs is the quicker
    assert base.id == "onnxruntime-float"
    assert answers(result.path, engine="onnxruntime") == RIGHT


def test_the_same_inputs_give_the_same_graphs(files, photos, quick, tmp_path):
    from edgevision.bundle.reader import open_bundle
    from edgevision.compiler.options import Precision
    from edgevision.compiler.pipeline import compile_model

    contents = []
    for name in ("a.edge", "b.edge"):
        compile_model(files["script.pt"], tmp_path / name, options(files, photos, precision=Precision.INT8, threads=2))
        with open_bundle(tmp_path / name) as bundle:
            m = bundle.manifest
            contents.append(
                (
                    bundle.graph("int8"),
                    [bundle.read(entry) for entry in (*m.golden_frames, m.golden_reference)],
                    m.data,
                    m.source,
                    [(v.id, v.temperature, v.threshold) for v in m.variants],
                )
            )
    assert contents[0] == contents[1]


def test_a_labels_file_may_list_classes_that_the_model_does_not_know(nets, files, photos, quick, tmp_path):
    """It explains the ids of a list file then; the model's own labels stay."""
    from edgevision.compiler.pipeline import compile_model

    source = onnx_of(nets.net(), tmp_path)
    (tmp_path / "all.csv").write_text("id,name\n5,pink\n" + "".join(f"{x.id},{x.name}\n" for x in reversed(LABELS)))
    ids = {label.name: label.id for label in LABELS}
    (tmp_path / "list.txt").write_text("".join(f"{p}, {ids[p.parent.name]}\n" for p in sorted(photos.rglob("*.png"))))
    carried = {"labels": tmp_path / "all.csv", "preprocess": None, "output": None}
    result = compile_model(source, tmp_path / "x.edge", options(files, tmp_path / "list.txt", **carried))
    assert result.manifest.labels == LABELS
    assert result.verdict.value == 100.0
    (tmp_path / "other.csv").write_text("id,name\n0,red\n1,green\n2,blue\n")  # other ids
    other = {**carried, "labels": tmp_path / "other.csv"}
    result = compile_model(source, tmp_path / "x.edge", options(files, photos, **other))
    assert result.manifest.labels == LABELS
    assert result.verdict.value == 100.0


def test_golden_pictures_of_the_users_choice(files, photos, quick, tmp_path):
    from edgevision.bundle.reader import open_bundle
    from edgevision.compiler.pipeline import compile_model
    from edgevision.decode import read_image

    mine = tmp_path / "mine"
    mine.mkdir()
    for seed in range(3):
        (mine / f"{seed}.png").write_bytes(photo(seed, 500))
    result = compile_model(files["script.pt"], tmp_path / "x.edge", options(files, photos, golden=mine))
    with open_bundle(result.path) as bundle:
        frames = bundle.golden_frames()
    assert len(frames) == 3
    assert all((frame == read_image(mine / f"{i}.png")).all() for i, frame in enumerate(frames))


@pytest.mark.parametrize(("batch", "measured"), [(None, 8), (1, 1), (4, 4), (16, 16)])
def test_throughput_is_measured_at_a_batch(batch, measured, files, photos, quick, tmp_path):
    from edgevision.compiler.options import Objective
    from edgevision.compiler.pipeline import compile_model

    result = compile_model(
        files["script.pt"],
        tmp_path / "x.edge",
        options(files, photos, objective=Objective.THROUGHPUT, batch=batch, threads=2),
    )
    assert result.report.settings == tuple(dict.fromkeys(((2, measured), (2, 1), (1, 1))))
    header, _ = result.report.table()
    assert header[3] == "ms 2t" + (f" ×{measured}" if measured > 1 else "")


@pytest.mark.parametrize("what", ["source", "labels", "link"])
def test_nothing_that_is_read_is_replaced(what, files, photos, quick, tmp_path):
    from edgevision.compiler.pipeline import compile_model

    own = {name: tmp_path / name for name in ("script.pt", "labels.csv", "spec.json")}
    for name, path in own.items():
        path.write_bytes(files[name].read_bytes())
    (tmp_path / "link.edge").symlink_to(own["script.pt"])
    target = {"source": own["script.pt"], "labels": own["labels.csv"], "link": tmp_path / "link.edge"}[what]
    before = target.read_bytes()
    with pytest.raises(InputError, match="would be replaced"):
        compile_model(own["script.pt"], target, options({**files, **own}, photos))
    assert target.read_bytes() == before


def test_a_network_that_gives_no_numbers_is_refused(nets, files, photos, quick, tmp_path):
    import torch

    from edgevision.compiler.pipeline import compile_model
    from edgevision.compiler.quiet import quiet

    broken = nets.net()
    with torch.no_grad():
        broken[-1].weight[0, 0] = float("nan")
    with quiet():
        torch.jit.save(torch.jit.trace(broken, torch.zeros(2, 3, SPEC.height, SPEC.width), check_trace=False),
                       tmp_path / "nan.pt")  # fmt: skip
    with pytest.raises(InputError, match=r"NaN|not finite|not numbers"):
        compile_model(tmp_path / "nan.pt", tmp_path / "x.edge", options(files, photos))
    assert not (tmp_path / "x.edge").exists()


def test_noise_calibrates_nothing(files, photos, quick, tmp_path):
    from edgevision.compiler.pipeline import compile_model
    from edgevision.decode import encode_png

    noise = tmp_path / "noise"
    noise.mkdir()
    for seed in range(40):
        pixels = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)
        (noise / f"{seed}.png").write_bytes(encode_png(pixels))
    target = tmp_path / "x.edge"
    target.write_bytes(b"the old one")
    with pytest.raises(InputError, match=r"40 of 40 calibration photos look like random numbers.*--data"):
        compile_model(files["script.pt"], target, options(files, noise, val=photos))
    assert target.read_bytes() == b"the old one"


def test_an_engine_that_lies_about_precision_is_not_believed(files, photos, quick, paced, tmp_path, monkeypatch):
    """The graph says int8, and the engine runs floats: --int8 writes nothing, and auto does not call it int8."""
    from edgevision.compiler.options import Precision
    from edgevision.compiler.pipeline import compile_model
    from edgevision.engines.onnxruntime import OnnxRuntimeEngine

    honest = OnnxRuntimeEngine.layers
    monkeypatch.setattr(
        OnnxRuntimeEngine, "layers", lambda self: tuple(replace(layer, precision="float32") for layer in honest(self))
    )
    paced(float=2.0, int8=1.0)
    target = tmp_path / "x.edge"
    with pytest.raises(BudgetError, match="nothing was written"):
        compile_model(files["script.pt"], target, options(files, photos, precision=Precision.INT8))
    assert not target.exists()
    rows = {row.id: row for row in compile_model(files["script.pt"], target, options(files, photos)).rows}
    assert not rows["onnxruntime-int8"].is_int8
    assert "do not run in it" in rows["onnxruntime-int8"].notes[0]
