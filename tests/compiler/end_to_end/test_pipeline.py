"""A whole compile: each kind of source, what is packed, and what is told of it."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from known_networks import LABELS, RIGHT, SPEC, answers, onnx_of, options, photo

from edgevision.compiler.golden import COUNT
from edgevision.errors import InputError

pytestmark = pytest.mark.requires("torch", "onnx")


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
    assert (data["calibration"]["count"], data["validation"]["count"]) == (45, 45)
    assert data["validation"]["labelled"] == 45


def test_what_is_packed_runs_in_int8_and_on_the_base_runtime(compiled):
    result, _ = compiled
    packed = [one for one in result.variants if one.id in {v.id for v in result.manifest.variants}]
    assert result.manifest.chosen == packed[0].id == result.variants[0].id
    for variant in result.manifest.variants:
        assert variant.verdict == result.report.verdicts.get(variant.id)
    assert result.manifest.variants[0].verdict == result.verdict
    assert packed[0].measurement.is_int8
    assert any(v.engine == "onnxruntime" for v in result.manifest.variants)
    assert {one.id for one in result.variants} >= {"onnxruntime-float", "onnxruntime-int8"}
    for measured in (one.measurement for one in result.variants):
        assert set(measured.latency) == {(2, 1), (1, 1)}
        assert all(0 < p50_ms <= p90_ms for p50_ms, p90_ms in measured.latency.values())
        assert measured.load_ms > 0
        assert measured.rss_bytes > 1e6  # an engine takes megabytes
    assert "quickest int8 variant" in result.report.why


def test_the_file_holds_what_was_found(compiled):
    from edgevision.bundle.reader import open_bundle
    from edgevision.compiler.quantize.ranges import RangeTable
    from edgevision.runtime.verify import verify_variants

    result, steps = compiled
    with open_bundle(result.path) as bundle:
        bundle.verify()
        assert bundle.id == result.bundle_id
        assert bundle.manifest == result.manifest
        assert "graphs/int8.onnx" in result.manifest.entries
        table = RangeTable.from_json(bundle.read("calibration/ranges.json").decode())
        table.check(result.float_graph)  # of this graph, and so fit to write other dialects from
        assert table.photos == result.report.splits.describe()["calibration"]["count"]
        assert all(r.passed for r in verify_variants(bundle) if r.ran)
        assert len(bundle.golden_frames()) == COUNT
        report = json.loads(bundle.read("report/report.json"))
    assert report["chosen"] == result.manifest.chosen
    assert report["verdict"]["n"] == 45
    assert {v["id"] for v in report["variants"]} == {one.id for one in result.variants}
    assert report["source"]["kind"] == "pt2"
    assert result.manifest.preprocess == SPEC
    assert result.manifest.labels == LABELS
    assert list(dict.fromkeys(steps))[:7] == [
        "load",
        "check photos",
        "look at photos",
        "export",
        "look at float's answers",
        "open the variants",
        "calibrate",
    ]
    assert {"range estimators", "measure", "validation photos", "pack"} <= set(steps)


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
    for text in (result.manifest.chosen, "45 validation photos", "Range estimators", "net.pt2"):
        assert text in page


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
    """The photos that it carries calibrate and validate; those it was trained on prove nothing."""
    import torch

    from edgevision.compiler.options import CompileOptions, Precision
    from edgevision.compiler.pipeline import compile_model
    from edgevision.tasks.classify import classify_spec
    from edgevision.train.backbones import build
    from edgevision.train.checkpoint import Checkpoint, PackedPhoto, PhotoPack, save_checkpoint

    torch.manual_seed(0)
    arch = {"width": 0.1, "depth": 0.1, "features": 8}
    pack = PhotoPack(
        tuple(PackedPhoto(photo(s % 3, s), s % 3, True) for s in range(100, 118)),
        tuple(PackedPhoto(photo(s % 3, s), s % 3, True) for s in range(200, 206)),
    )
    save_checkpoint(
        tmp_path / "net.pt",
        Checkpoint("lite0", build("lite0", 3, **arch).state_dict(), SPEC, classify_spec(LABELS), arch, photos=pack),
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
    from edgevision.compiler.sources.quiet import quiet

    with quiet():
        example = torch.zeros(2, 3, SPEC.height, SPEC.width)
        torch.jit.save(torch.jit.trace(nets.with_softmax(), example), tmp_path / "soft.pt")
    result = compile_model(tmp_path / "soft.pt", tmp_path / "soft.edge", options(files, photos, output="probabilities"))
    assert answers(result.path) == RIGHT
    assert [output.layout for output in result.manifest.task.outputs] == ["probabilities"]


@pytest.mark.requires("openvino")
def test_a_bundle_always_runs_on_the_base_runtime(files, photos, quick, tmp_path, monkeypatch):
    """Where int8 passes in OpenVINO alone, float for ONNX Runtime comes along."""
    from edgevision.compiler.options import Precision
    from edgevision.compiler.pipeline import compile_model
    from edgevision.compiler.select import budget, measure

    monkeypatch.setattr(measure, "available_engines", lambda: {"onnxruntime": "1", "openvino": "1"})
    true = budget.answers_of

    def answers_of(*given):
        found = true(*given)
        if "onnxruntime-int8" in found:
            found["onnxruntime-int8"] = {"scores": found["onnxruntime-int8"]["scores"][:, ::-1]}
        return found

    monkeypatch.setattr(budget, "answers_of", answers_of)
    result = compile_model(files["script.pt"], tmp_path / "x.edge", options(files, photos, precision=Precision.INT8))
    *quick_ones, base = result.manifest.variants
    assert {v.engine for v in quick_ones} == {
        "openvino"
    }  # by whichever of its graphs is the quicker, with and without bfloat16
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
                    [bundle.read(entry) for entry in (*m.golden_frames, *m.golden_reference.values())],
                    m.data,
                    m.source,
                    [(v.id, v.parameters) for v in m.variants],
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
