"""The compile report on results that are written by hand: what the tables, the page and the JSON say of them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cache
from html.parser import HTMLParser
from typing import Any

import pytest
from latencies import steady

from edgevision.bundle.manifest import Environment, Verdict
from edgevision.compiler.data.photos import DataSplits
from edgevision.compiler.options import CompileOptions
from edgevision.compiler.report.layers import GraphNode
from edgevision.compiler.report.page import json_bytes, report_files, report_page
from edgevision.compiler.report.report import Report
from edgevision.compiler.sources.parity import ParityReport
from edgevision.compiler.variants import CompiledVariant, PrecisionCheck, VariantMeasurement
from edgevision.engines.base import Layer
from edgevision.evaluate.page.html import Section, Table, Text
from edgevision.tasks.base import TaskSpec
from edgevision.tasks.classify import classify_spec
from edgevision.tasks.results import Label

pytestmark = pytest.mark.requires("torch", "onnx", "matplotlib")

HOSTILE = "<script>alert(\"1\")</script> & '$x_{' ]]> \u202ea\x07"


def verdict(**more: Any) -> Verdict:
    given = {"metric": "top1", "n": 200, "reference": 91.0, "value": 90.5, "drop": 0.5, "interval": (-0.75, 1.75),
             "confidence": 0.95, "lost": 2, "gained": 1, "max_drop": 0.5, "passed": True, "proven": False}  # fmt: skip
    return Verdict(**{**given, **more})


def variant(id: str, candidate: str, ms: float | None, **more: Any) -> CompiledVariant:
    """``more``: fields of the measurement, or of the variant."""
    samples = {} if ms is None else {(2, 1): steady(ms, 2 * ms), (1, 1): steady(3 * ms, 4 * ms)}
    engine = id.split("-", maxsplit=1)[0]
    own = {name: more.pop(name) for name in ("layers", "precision_check") if name in more}
    return CompiledVariant(
        VariantMeasurement(id, candidate, engine, "float32", 1_500_000, samples, 20.0, 30_000_000, **own), **more
    )


def renamed(one: CompiledVariant, id: str, **more: Any) -> CompiledVariant:
    return replace(one, measurement=replace(one.measurement, id=id, **more))


RAN = (
    Layer("c1", "QLinearConv", "int8", ("conv1",)),
    Layer("c2", "Conv", "float32", ("conv2",)),
    Layer("f", "MatMul", "int8", ()),
)
CHECK = PrecisionCheck(("conv1",), (("conv3", "float32"),), ())
VARIANTS = (
    variant("openvino-int8", "int8", 1.0, metric=90.5, agreement=99.0, layers=RAN, precision_check=CHECK,
            verdict=verdict()),
    variant("onnxruntime-int8", "int8", 1.5, agreement=99.0, layers=RAN,
            precision_check=PrecisionCheck(("conv1", "conv3"), (), ())),
    variant("onnxruntime-float", "float", 4.0, metric=91.0, agreement=100.0),
)  # fmt: skip
NODES = (
    GraphNode("conv1", "stem.conv", "Conv 3×3", "int8"),
    GraphNode("conv2", "blocks.0.conv", "Conv 1×1", "float32", is_fallback=True),
    GraphNode("conv3", "head", "Gemm", "int8"),
)
TASK = classify_spec((Label(0, "milk"), Label(1, "tea"), Label(2, "rice")))
MACHINE = Environment("a CPU", "x86_64", ("avx2",), 2, "Linux", {"onnxruntime": "1"})
BARE = Report(
    source={"name": "net.pt", "sha256": "ab" * 32}, options=CompileOptions(), task=TASK, parity=None,
    variants=VARIANTS, missing={}, chosen="openvino-int8", why="It is the quickest.",
    divergence_by_estimator={"minmax": 0.02, "mse": 0.01}, splits=DataSplits((), (), "nowhere"), notes=("A note.",),
    settings=((2, 1), (1, 1)), environment=MACHINE,
)  # fmt: skip
FULL = replace(
    BARE,
    parity=ParityReport({1: 1e-6, 5: 2e-6}, {1: 1e-7, 5: 2e-7}, 1e-4, (0,)),
    sensitivity={"conv1": 1e-4, "conv2": 3e-2, "conv3": 2e-3},
    recipes={"x86-vnni": {"minmax": 0.03, "mse": 0.01}, "arm": {"minmax": 0.02, "mse": 0.05, "entropy": 0.04}},
    nodes={"int8": NODES},
    groups={"openvino-int8": ({"name": "tea", "net": 4}, {"name": "milk", "net": -1})},
    task_sections=(Section("Classes", (Text("Two lost."), Table(("class", "lost"), (("tea", 4), ("milk", 0))))),),
    steps=(("load", 1.0), ("calibrate", 3.0)),
    hashes={"graphs/int8.onnx": "cd" * 32},
)


@cache
def full_page() -> str:
    return report_page(FULL)


class Page(HTMLParser):
    """Sections with their tables (rows of texts; titles and styles of cells beside), and all other texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[list[str]]]] = {}
        self.cells: list[dict[str, str | None]] = []
        self.texts: dict[str, str] = {}
        self.folded: list[str] = []
        self.tags: list[str] = []
        self._open: list[str] = []
        self._section = ""
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "table":
            self.tables.setdefault(self._section, []).append([])
        elif tag == "tr":
            self.tables[self._section][-1].append([])
        elif tag in ("td", "th"):
            self.tables[self._section][-1][-1].append("")
            self.cells.append(dict(attrs))
        if tag != "meta":
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "h2" in self._open:
            self._section = data
        elif {"td", "th"} & set(self._open):
            self.tables[self._section][-1][-1][-1] += data
        elif "summary" in self._open:
            self.folded.append(data)
        elif "svg" not in self._open:
            self.texts[self._section] = self.texts.get(self._section, "") + data

    def table(self, section: str, place: int = 0) -> list[list[str]]:
        """Rows of a table, its header left out."""
        return self.tables[section][place][1:]


# --- the page ---


def test_every_part_has_its_section():
    page = Page(full_page())
    assert list(page.tables) == [
        "Verdict", "Variants", "Layers", "Classes", "Recipes", "What each step cost", "Photos", "Export",
        "Source and machine",
    ]  # fmt: skip
    assert page.tags.count("svg") == 2  # all candidates; and what the validation photos saw
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert not re.search(r"https?://(?!www\.w3\.org/)|@import", full_page())


def test_what_is_not_known_is_left_out():
    page = Page(report_page(BARE))
    assert list(page.tables) == ["Verdict", "Variants", "Recipes", "Photos", "Source and machine"]
    assert page.table("Recipes") == [["mse", "1.00e-02"], ["minmax", "2.00e-02"]]


def test_layers_worst_first_and_what_ran():
    page = Page(full_page())
    header = page.tables["Layers"][0][0]
    assert header == ["#", "layer", "operator", "divergence", "written", "openvino-int8", "onnxruntime-int8"]
    assert page.table("Layers") == [
        ["2", "blocks.0.conv", "Conv 1×1", "3.00e-02", "float32, kept for accuracy", "float32", "float32"],
        ["3", "head", "Gemm", "2.00e-03", "int8", "float32", "int8"],
        ["1", "stem.conv", "Conv 3×3", "1.00e-04", "int8", "int8", "int8"],
    ]
    assert "openvino-int8 runs 1 of them in another precision" in page.texts["Layers"]
    assert "float fallback, for accuracy: blocks.0.conv" in page.texts["Layers"]
    titles = [cell["title"] for cell in page.cells if cell.get("title", "").startswith("conv")]
    assert titles == ["conv2", "conv3", "conv1"]  # the graph's own names are found again
    bars = [cell["style"] for cell in page.cells if "bar" in (cell.get("class") or "")]
    assert bars[:3] == ["--share:100.0%", "--share:6.7%", "--share:0.3%"]


def test_layers_without_sensitivity_are_in_the_graphs_order():
    page = Page(report_page(replace(FULL, sensitivity={})))
    assert [line[:2] for line in page.table("Layers")] == [["1", "stem.conv"], ["2", "blocks.0.conv"], ["3", "head"]]
    assert "divergence" not in page.tables["Layers"][0][0]
    assert "Divergence" not in page.texts["Layers"]


def test_many_layers_are_folded():
    nodes = tuple(GraphNode(f"n{i}", f"layer{i}", "Conv", "int8") for i in range(40))
    page = Page(report_page(replace(FULL, nodes={"int8": nodes, "float": NODES}, sensitivity={"n7": 1.0, "n30": 2.0})))
    few, every, other = page.tables["Layers"]
    assert len(few) == 13
    assert [line[1] for line in few[1:3]] == ["layer30", "layer7"]
    assert [line[1] for line in every[1:]] == [f"layer{i}" for i in range(40)]
    assert len(other) == 4  # the graph that was not chosen
    assert page.folded[0] == "40 rows: all, in the graph's order"
    assert page.folded[1].startswith("Graph float: 2 of 3 nodes")


def test_what_the_task_adds_stands_behind_the_layers():
    page = Page(full_page())
    assert page.table("Classes") == [["tea", "4"], ["milk", "0"]]
    assert "Two lost." in page.texts["Classes"]
    without = Page(report_page(replace(FULL, task_sections=())))
    assert set(page.tables) - set(without.tables) == {"Classes"}


def test_a_tasks_section_takes_the_place_of_none_of_ours():
    own = Section("Layers", (Table(("mine",), (("still here",),)),))
    page = Page(report_page(replace(FULL, task_sections=(own, own))))
    assert [table[1:] for table in page.tables["Layers"][1:]] == [[["still here"]], [["still here"]]]
    assert page.table("Layers")[0][1] == "blocks.0.conv"


def test_recipes_by_dialect_the_least_is_marked():
    text = full_page()
    assert Page(text).tables["Recipes"][0] == [
        ["recipe", "x86-vnni", "arm"],
        ["mse", "1.00e-02", "5.00e-02"],
        ["minmax", "3.00e-02", "2.00e-02"],
        ["entropy", "–", "4.00e-02"],
    ]
    assert re.findall(r'<td class="number strong">([^<]*)</td>', text) == ["1.00e-02", "2.00e-02"]


def test_steps_hashes_and_source():
    page = Page(full_page())
    assert page.table("What each step cost") == [["load", "1.0", "25%"], ["calibrate", "3.0", "75%"]]
    facts = dict(page.table("Source and machine"))
    assert facts["sha256"] == "ab" * 32
    assert "at most 0.5 points lost" in facts["asked for"]
    assert page.table("Source and machine", 1) == [["graphs/int8.onnx", "cd" * 32]]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({}, ["openvino-int8", "passed", "90.50", "+0.50", "−0.75…+1.75", "95 %", "2", "1"]),
        ({"passed": False}, ["openvino-int8", "failed", "90.50", "+0.50", "−0.75…+1.75", "95 %", "2", "1"]),
        (
            {"proven": True, "calibration_error": 0.031, "reference_calibration_error": 0.02},
            ["openvino-int8", "proven", "90.50", "+0.50", "−0.75…+1.75", "95 %", "2", "1", "3.10"],
        ),
    ],
)
def test_the_verdict(given, shown):
    v = verdict(**given)
    page = Page(report_page(replace(FULL, variants=(replace(VARIANTS[0], verdict=v), *VARIANTS[1:]))))
    assert page.table("Verdict") == [shown]
    assert ("float's is 2.00 %" in page.texts["Verdict"]) == ("calibration_error" in given)
    assert v.sentence() in page.texts["Verdict"]


def test_without_validation_photos():
    unseen = tuple(replace(one, metric=None, verdict=None) for one in VARIANTS)
    page = Page(report_page(replace(FULL, variants=unseen, groups={}, task_sections=())))
    assert page.tags.count("svg") == 1  # every candidate agrees with float more or less, even so
    assert "Not proven: nothing was compared." in page.texts["Verdict"]
    assert "Verdict" not in page.tables
    bare = tuple(replace(one, agreement=None) for one in unseen)
    assert Page(report_page(replace(BARE, variants=bare))).tags.count("svg") == 0


def test_nothing_fits():
    page = Page(report_page(replace(FULL, chosen=None)))
    assert "nothing fits the budget" in page.texts["Verdict"]


def test_the_metric_is_the_tasks_own():
    """Names and units are what the verdict says; nothing is called top-1 that is not."""
    own = verdict(metric="closeness", unit="points of closeness")
    report = replace(FULL, variants=(replace(VARIANTS[0], verdict=own), *VARIANTS[1:]))
    assert report.table()[0][1] == "closeness"
    text = report_page(report)
    assert "closeness" in text
    assert "top" not in Page(text).texts["Verdict"].lower()
    assert "+0.50 points of closeness" in report.verdict_line()


# --- other devices ---


ARM = variant("onnxruntime-arm-int8", "int8-arm", None, target="arm", agreement=98.0)


def test_other_targets_stand_apart():
    report = replace(FULL, variants=(*VARIANTS, ARM))
    header, lines = report.table()
    assert [line[0] for line in lines] == [one.id for one in VARIANTS]
    assert header == ["variant", "top1", "agree", "ms 2t", "ms 1t", "RAM", "load", "file", "int8"]
    expected = ["onnxruntime-arm-int8", "arm", "onnxruntime", "–", "98.0", "not measured here", "1.50"]
    assert report.targets_table()[1] == [expected]
    page = Page(report_page(report))
    assert page.table("Other targets") == [expected]
    assert len(page.table("Variants")) == 3
    assert "arm" not in report_page(report).split("<svg")[1]  # it has no place in a picture of latencies


def test_a_bundle_for_another_device_alone():
    page = Page(report_page(replace(FULL, variants=(ARM, *VARIANTS), chosen=ARM.id)))
    assert "not measured here: for another device" in page.texts["Verdict"]


def test_a_setting_that_was_not_measured():
    late = renamed(VARIANTS[1], "onnxruntime-late", samples={(1, 1): steady(5.0, 6.0)})
    report = replace(FULL, variants=(*VARIANTS, late))
    assert report.table()[1][3][3:5] == ["–", "5.00/6.00"]
    assert "onnxruntime-late" not in report_page(report).split("<svg")[1]


# --- pruning ---


def trial(importance: str, divergence: float, **more: Any) -> dict[str, Any]:
    given = {"ratio": 0.3, "reached": 0.29, "importance": importance, "price": "macs", "parameters": 1_500_000,
             "macs": 100_000_000, "divergence_before": 1.0, "divergence": divergence, "agreement": 0.9,
             "accuracy": None}  # fmt: skip
    return {**given, **more}


PRUNING = {
    "chosen": trial("taylor", 0.1), "tuned": None, "trials": [trial("taylor", 0.1), trial("activation", 0.4)],
    "original": {"parameters": 3_000_000, "macs": 250_000_000, "accuracy": None}, "search": None,
    "channels": {"conv": [8, 16]},
}  # fmt: skip


def test_pruning():
    before = variant("onnxruntime-original", "original", 6.0, metric=92.0, agreement=100.0)
    page = Page(report_page(replace(FULL, variants=(*VARIANTS, before), pruning=PRUNING)))
    assert [line[:3] for line in page.table("Pruning")] == [
        ["original network", "92.00", "–"],
        ["pruned", "91.00", "1.00"],
        ["exported", "91.00", "0.00"],
        ["quantized: what is packed", "90.50", "0.50"],
    ]
    assert "+1.50 points lost in sum" in page.texts["Pruning"]
    assert "50.0% of 3.00 million parameters, 40.0% of 250 million multiply-adds" in page.texts["Pruning"]
    assert [(line[0], line[4]) for line in page.table("Pruning", 1)] == [("taylor", "0.1"), ("activation", "0.4")]
    assert page.table("Pruning", 2) == [["conv", "8", "16"]]


def test_pruning_tuned_searched_and_not_compared():
    search = {"ratio": 0.3, "target_latency_ms": 8.0,
              "trials": [{"ratio": 0.3, "reached": 0.29, "latency_ms": 7.5, "meets": True}]}  # fmt: skip
    pruning = {**PRUNING, "tuned": trial("taylor", 0.05, accuracy=0.8), "search": search}
    page = Page(report_page(replace(FULL, pruning=pruning)))
    assert "was not compared" in page.texts["Pruning"]
    assert [line[0] for line in page.table("Pruning")] == ["taylor", "activation", "taylor, fine-tuned"]
    assert page.table("Pruning")[2][-1] == "80.00"
    assert page.table("Pruning", 1) == [["30.00", "29.00", "7.50", "yes"]]


# --- hostile names, JSON ---


def test_names_are_only_ever_text():
    report = replace(
        FULL,
        source={HOSTILE: HOSTILE, "name": HOSTILE},
        variants=(
            replace(renamed(VARIANTS[0], HOSTILE), verdict=verdict(note=HOSTILE, metric=HOSTILE, unit=HOSTILE)),
            *VARIANTS[1:],
            replace(renamed(ARM, HOSTILE + "2"), target=HOSTILE),
        ),
        missing={HOSTILE: HOSTILE},
        chosen=HOSTILE,
        why=HOSTILE,
        notes=(HOSTILE,),
        sensitivity={HOSTILE: 1.0},
        recipes={HOSTILE: {HOSTILE: 1.0}},
        nodes={"int8": (GraphNode(HOSTILE, HOSTILE, HOSTILE, HOSTILE, True),), HOSTILE: NODES},
        groups={HOSTILE: ({"name": HOSTILE},), HOSTILE + "2": ()},
        task_sections=(Section(HOSTILE, (Text(HOSTILE), Table((HOSTILE,), ((HOSTILE,),), HOSTILE))),),
        steps=((HOSTILE, 1.0),),
        hashes={HOSTILE: HOSTILE},
        pruning={**PRUNING, "trials": [trial(HOSTILE, 1.0)], "channels": {HOSTILE * 3: [1, 2]}},
    )
    text = report_page(report)
    assert "<script" not in text
    page = Page(text)  # well-formed
    assert "script" not in page.tags
    assert HOSTILE in [line[0] for line in page.table("What each step cost")]
    assert {HOSTILE, HOSTILE * 3} <= {cell.get("title") for cell in page.cells}  # found again in full
    assert json.loads(report_files(report)["report/report.json"])["steps"][0]["step"] == HOSTILE


def test_the_json_has_all_of_it():
    data = json.loads(json_bytes(replace(FULL, variants=(*VARIANTS, ARM), pruning=PRUNING).to_dict()))
    assert data["options"]["targets"] == ["auto"]
    assert data["sensitivity"] == dict(FULL.sensitivity)
    assert data["recipes"] == FULL.recipes
    assert data["range_estimators"] == FULL.divergence_by_estimator
    assert data["nodes"]["int8"][1] == {
        "name": "conv2", "layer": "blocks.0.conv", "operator": "Conv 1×1", "written": "float32", "is_fallback": True,
    }  # fmt: skip
    assert data["groups"] == {"openvino-int8": [{"name": "tea", "net": 4}, {"name": "milk", "net": -1}]}
    assert TaskSpec.from_dict(data["task"]) == TASK
    assert data["verdict"] == data["verdicts"]["openvino-int8"] == json.loads(json_bytes(asdict(verdict())))
    assert data["variants"][0]["precision_check"]["refuted"] == [["conv3", "float32"]]
    assert data["variants"][0]["layer_precisions"] == {"int8": 2, "float32": 1}
    assert data["variants"][0]["latency"][0] == {"threads": 2, "batch": 1, "p50_ms": 1.0, "p90_ms": 2.0}
    assert data["steps"] == [{"step": "load", "seconds": 1.0}, {"step": "calibrate", "seconds": 3.0}]
    assert data["sha256"] == dict(FULL.hashes)
    assert data["variants"][-1]["latency"] == []
    assert data["variants"][-1]["target"] == "arm"
    assert data["pruning"]["trials"] == PRUNING["trials"]


def test_what_is_not_finite_is_null_in_the_json():
    report = replace(FULL, sensitivity={"conv1": math.inf, "conv3": math.nan}, recipes={"arm": {"mse": math.inf}})
    data = json.loads(json_bytes(report.to_dict()))
    assert data["sensitivity"] == {"conv1": None, "conv3": None}
    assert data["recipes"] == {"arm": {"mse": None}}
    assert Page(report_page(report)).table("Recipes") == [["mse", "inf"]]


def test_without_matplotlib_there_is_json_alone(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert list(report_files(FULL)) == ["report/report.json"]
