"""The compile report on results that are written by hand: what the tables, the page and the JSON say of them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from typing import Any

import pytest

from edgevision.bundle.manifest import Verdict
from edgevision.compiler.options import CompileOptions, Row
from edgevision.compiler.pack import json_bytes
from edgevision.compiler.parity import ParityReport
from edgevision.compiler.photos import PhotoSets
from edgevision.compiler.report import Report
from edgevision.compiler.report_classes import ClassLine
from edgevision.compiler.report_layers import GraphNode
from edgevision.compiler.report_page import report_files, report_page
from edgevision.compiler.report_tables import named
from edgevision.compiler.truth import Truth
from edgevision.engines.base import Layer
from edgevision.evaluate.paired import ClassLoss
from edgevision.evaluate.report import Rich
from edgevision.tasks.results import Label

pytestmark = pytest.mark.requires("torch", "onnx", "matplotlib")

HOSTILE = "<script>alert(\"1\")</script> & '$x_{' ]]> \u202ea\x07"


def verdict(**more: Any) -> Verdict:
    given = {"metric": "top1", "n": 200, "reference": 91.0, "value": 90.5, "drop": 0.5, "interval": (-0.75, 1.75),
             "confidence": 0.95, "lost": 2, "gained": 1, "max_drop": 0.5, "passed": True, "proven": False}  # fmt: skip
    return Verdict(**{**given, **more})


def row(id: str, candidate: str, ms: float | None, **more: Any) -> Row:
    latency = {} if ms is None else {(2, 1): (ms, 2 * ms), (1, 1): (3 * ms, 4 * ms)}
    engine = id.split("-", maxsplit=1)[0]
    layers = {"int8": 2, "float32": 1} if "int8" in id else {"float32": 3}
    return Row(id, candidate, engine, "float32", latency, 1_500_000, 20.0, 30_000_000, layers, **more)


RAN = (Layer("c1", "QLinearConv", "int8", ("conv1",)), Layer("c2", "Conv", "float32", ("conv2",)))
ROWS = (
    row("openvino-int8", "int8", 1.0, metric=90.5, agreement=99.0, ran=RAN,
        truth=Truth(("conv1",), (("conv3", "float32"),), ())),
    row("onnxruntime-int8", "int8", 1.5, agreement=99.0, ran=RAN, truth=Truth(("conv1", "conv3"), (), ())),
    row("onnxruntime-float", "float", 4.0, metric=91.0, agreement=100.0),
)  # fmt: skip
NODES = (
    GraphNode("conv1", "stem.conv", "Conv 3×3", "int8"),
    GraphNode("conv2", "blocks.0.conv", "Conv 1×1", "float32", returned=True),
    GraphNode("conv3", "head", "Gemm", "int8"),
)
BARE = Report(
    source={"name": "net.pt", "sha256": "ab" * 32}, options=CompileOptions(), parity=None, rows=ROWS, missing={},
    chosen="openvino-int8", verdict=verdict(), verdicts={"openvino-int8": verdict()}, why="It is the quickest.",
    estimators={"minmax": 0.02, "mse": 0.01}, sets=PhotoSets((), (), "nowhere"), notes=("A note.",),
    settings=((2, 1), (1, 1)),
)  # fmt: skip
FULL = replace(
    BARE,
    parity=ParityReport({1: 1e-6, 5: 2e-6}, {1: 1e-7, 5: 2e-7}, 1e-4, (0,)),
    sensitivity={"conv1": 1e-4, "conv2": 3e-2, "conv3": 2e-3},
    recipes={"x86-vnni": {"minmax": 0.03, "mse": 0.01}, "arm": {"minmax": 0.02, "mse": 0.05, "entropy": 0.04}},
    nodes={"int8": NODES},
    classes={
        "openvino-int8": (ClassLine("tea", 30, ClassLoss(1, 40, 4, 0)), ClassLine("milk", 3, ClassLoss(0, 3, 0, 1)))
    },
    labels=(Label(0, "milk"), Label(1, "tea"), Label(2, "rice")),
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
    assert page.tags.count("svg") == 2  # all candidates; and what the judge photos saw
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert not re.search(r"https?://(?!www\.w3\.org/)|@import", full_page())


def test_what_is_not_known_is_left_out():
    page = Page(report_page(BARE))
    assert list(page.tables) == ["Verdict", "Variants", "Recipes", "Photos", "Source and machine"]
    assert page.table("Recipes") == [["mse", "1.00e-02"], ["minmax", "2.00e-02"]]


def test_layers_worst_first_and_what_ran():
    page = Page(full_page())
    header = page.tables["Layers"][0][0]
    assert header == ["#", "layer", "operator", "KL, nats", "written", "openvino-int8", "onnxruntime-int8"]
    assert page.table("Layers") == [
        ["2", "blocks.0.conv", "Conv 1×1", "3.00e-02", "float32, kept for accuracy", "float32", "float32"],
        ["3", "head", "Gemm", "2.00e-03", "int8", "float32", "int8"],
        ["1", "stem.conv", "Conv 3×3", "1.00e-04", "int8", "int8", "int8"],
    ]
    assert "openvino-int8 runs 1 of them in another precision" in page.texts["Layers"]
    assert "kept in float for accuracy: blocks.0.conv" in page.texts["Layers"]
    titles = [cell["title"] for cell in page.cells if cell.get("title", "").startswith("conv")]
    assert titles == ["conv2", "conv3", "conv1"]  # the graph's own names are found again
    bars = [cell["style"] for cell in page.cells if "bar" in (cell.get("class") or "")]
    assert bars[:3] == ["--share:100.0%", "--share:6.7%", "--share:0.3%"]


def test_layers_without_sensitivity_are_in_the_graphs_order():
    page = Page(report_page(replace(FULL, sensitivity={})))
    assert [line[:2] for line in page.table("Layers")] == [["1", "stem.conv"], ["2", "blocks.0.conv"], ["3", "head"]]
    assert "KL" not in page.texts["Layers"]


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


def test_classes():
    page = Page(full_page())
    assert page.table("Classes") == [
        ["tea", "40", "30", "26", "4", "0", "+10.0", "loses too much"],
        ["milk", "3", "3", "4", "0", "1", "−33.3", "too few photos"],
    ]
    assert "2 of 2 classes with judge photos are answered differently, 1 classes have none" in page.texts["Classes"]


@pytest.mark.parametrize("chosen", ["openvino-int8", "onnxruntime-int8"])
def test_classes_of_other_variants_are_folded(chosen):
    page = Page(report_page(replace(FULL, chosen=chosen)))
    assert len(page.table("Classes")) == 2
    assert (page.folded == []) == (chosen == "openvino-int8")


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
    page = Page(report_page(replace(FULL, verdict=v, verdicts={"openvino-int8": v})))
    assert page.table("Verdict") == [shown]
    assert ("float's is 2.00 %" in page.texts["Verdict"]) == ("calibration_error" in given)
    assert v.sentence() in page.texts["Verdict"]


def test_without_judge_photos():
    rows = tuple(replace(r, metric=None) for r in ROWS)
    page = Page(report_page(replace(FULL, rows=rows, verdict=None, verdicts={}, classes={})))
    assert page.tags.count("svg") == 1  # every candidate agrees with float more or less, even so
    assert "Not proven: nothing was judged." in page.texts["Verdict"]
    assert "Verdict" not in page.tables
    bare = tuple(replace(r, metric=None, agreement=None) for r in ROWS)
    assert Page(report_page(replace(BARE, rows=bare, verdict=None, verdicts={}))).tags.count("svg") == 0


def test_nothing_fits():
    page = Page(report_page(replace(FULL, chosen=None, verdict=None)))
    assert "nothing fits the budget" in page.texts["Verdict"]


# --- other devices ---


ARM = row("onnxruntime-arm-int8", "int8-arm", None, target="arm", agreement=98.0)


def test_other_targets_stand_apart():
    report = replace(FULL, rows=(*ROWS, ARM))
    header, lines = report.table()
    assert [line[0] for line in lines] == [r.id for r in ROWS]
    assert header == ["variant", "top1", "agree", "ms 2t", "ms 1t", "RAM", "load", "file", "int8"]
    expected = ["onnxruntime-arm-int8", "arm", "onnxruntime", "–", "98.0", "not measured here", "1.50"]
    assert report.targets_table()[1] == [expected]
    page = Page(report_page(report))
    assert page.table("Other targets") == [expected]
    assert len(page.table("Variants")) == 3
    assert "arm" not in report_page(report).split("<svg")[1]  # it has no place in a picture of latencies


def test_a_bundle_for_another_device_alone():
    page = Page(report_page(replace(FULL, rows=(ARM, *ROWS), chosen=ARM.id)))
    assert "not measured here: for another device" in page.texts["Verdict"]


def test_a_setting_that_was_not_measured():
    rows = (*ROWS, replace(ROWS[1], id="onnxruntime-late", latency={(1, 1): (5.0, 6.0)}))
    report = replace(FULL, rows=rows)
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
    rows = (*ROWS, row("onnxruntime-original", "original", 6.0, metric=92.0, agreement=100.0))
    page = Page(report_page(replace(FULL, rows=rows, pruning=PRUNING)))
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


def test_pruning_tuned_searched_and_not_judged():
    search = {"ratio": 0.3, "target_latency_ms": 8.0,
              "trials": [{"ratio": 0.3, "reached": 0.29, "latency_ms": 7.5, "meets": True}]}  # fmt: skip
    pruning = {**PRUNING, "tuned": trial("taylor", 0.05, accuracy=0.8), "search": search}
    page = Page(report_page(replace(FULL, pruning=pruning)))
    assert "was not judged" in page.texts["Pruning"]
    assert [line[0] for line in page.table("Pruning")] == ["taylor", "activation", "taylor, fine-tuned"]
    assert page.table("Pruning")[2][-1] == "80.00"
    assert page.table("Pruning", 1) == [["30.00", "29.00", "7.50", "yes"]]


# --- hostile names, JSON ---


def test_names_are_only_ever_text():
    report = replace(
        FULL,
        source={HOSTILE: HOSTILE, "name": HOSTILE},
        rows=(replace(ROWS[0], id=HOSTILE), *ROWS[1:], replace(ARM, id=HOSTILE + "2", target=HOSTILE)),
        missing={HOSTILE: HOSTILE},
        chosen=HOSTILE,
        verdicts={HOSTILE: verdict(note=HOSTILE)},
        why=HOSTILE,
        notes=(HOSTILE,),
        sensitivity={HOSTILE: 1.0},
        recipes={HOSTILE: {HOSTILE: 1.0}},
        nodes={"int8": (GraphNode(HOSTILE, HOSTILE, HOSTILE, HOSTILE, True),), HOSTILE: NODES},
        classes={HOSTILE: (ClassLine(HOSTILE * 3, 1, ClassLoss(0, 2, 1, 0)),), HOSTILE + "2": ()},
        steps=((HOSTILE, 1.0),),
        hashes={HOSTILE: HOSTILE},
        pruning={**PRUNING, "trials": [trial(HOSTILE, 1.0)], "channels": {HOSTILE: [1, 2]}},
    )
    text = report_page(report)
    assert "<script" not in text
    page = Page(text)  # well-formed
    assert "script" not in page.tags
    assert HOSTILE in [line[0] for line in page.table("What each step cost")]
    assert {HOSTILE, HOSTILE * 3} <= {cell.get("title") for cell in page.cells}  # found again in full
    assert json.loads(report_files(report)["report/report.json"])["steps"][0]["step"] == HOSTILE


@pytest.mark.parametrize(
    ("text", "full", "expected"),
    [
        ("conv", "", "conv"),
        ("conv", "conv", "conv"),
        ("conv", "node_conv_7", Rich("conv", title="node_conv_7")),
        ("a\nb", "", Rich("a b", title="a\nb")),
        ("", "", ""),
    ],
)
def test_short_names(text, full, expected):
    assert named(text, full=full) == expected


@pytest.mark.parametrize("length", [37, 38, 200])
def test_long_names_lose_their_middle(length):
    text = "".join(chr(ord("a") + i % 26) for i in range(length))
    cell = named(text)
    assert isinstance(cell, Rich)
    assert cell.title == text
    shown = str(cell.value)
    head, tail = shown.split("…")
    assert len(shown) == 36
    assert text.startswith(head)
    assert text.endswith(tail)


def test_the_json_has_all_of_it():
    data = json.loads(json_bytes(replace(FULL, rows=(*ROWS, ARM), pruning=PRUNING).to_dict()))
    assert data["options"]["targets"] == ["auto"]
    assert data["sensitivity_nats"] == dict(FULL.sensitivity)
    assert data["recipes_nats"] == FULL.recipes
    assert data["range_estimators"] == FULL.estimators
    assert data["nodes"]["int8"][1] == {
        "name": "conv2", "layer": "blocks.0.conv", "operator": "Conv 1×1", "written": "float32", "returned": True,
    }  # fmt: skip
    assert data["classes"]["openvino-int8"][0]["variant_right"] == 26
    assert data["labels"][1] == {"id": 1, "name": "tea"}
    assert data["steps"] == [{"step": "load", "seconds": 1.0}, {"step": "calibrate", "seconds": 3.0}]
    assert data["sha256"] == dict(FULL.hashes)
    assert data["variants"][-1]["latency"] == []
    assert data["variants"][-1]["target"] == "arm"
    assert data["pruning"]["trials"] == PRUNING["trials"]


def test_what_is_not_finite_is_null_in_the_json():
    report = replace(FULL, sensitivity={"conv1": math.inf, "conv3": math.nan}, recipes={"arm": {"mse": math.inf}})
    data = json.loads(json_bytes(report.to_dict()))
    assert data["sensitivity_nats"] == {"conv1": None, "conv3": None}
    assert data["recipes_nats"] == {"arm": {"mse": None}}
    assert Page(report_page(report)).table("Recipes") == [["mse", "inf"]]


def test_without_matplotlib_there_is_json_alone(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert list(report_files(FULL)) == ["report/report.json"]
