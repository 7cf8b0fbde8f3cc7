from __future__ import annotations

import itertools
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from edgevision.errors import InputError, MissingExtraError
from edgevision.evaluate.page.drawing import VARIABLES, shorten
from edgevision.evaluate.page.pictures import (
    Point,
    class_recall,
    confused_pairs,
    latency_accuracy,
    over_time,
    pareto_front,
    precision_recall,
    reliability_diagram,
    score_histogram,
)
from edgevision.evaluate.statistics.calibration import reliability
from edgevision.evaluate.statistics.classification import classification_metrics
from edgevision.tasks.results import Label

HOSTILE = ("$5 menu <b>&", "Äpfel $x_{", "紅茶", "line\nbreak\x07", "a" * 90, "plain")
LABELS = tuple(Label(i, name) for i, name in enumerate(HOSTILE))


def metrics(seed: int = 0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 6, 120)
    scores = rng.random((120, 6))
    scores[np.arange(120), truth] += 0.4
    return classification_metrics(scores, truth, LABELS)


def curve(seed: int):
    rng = np.random.default_rng(seed)
    confidence = rng.random(200)
    return reliability(confidence, rng.random(200) < confidence)


CASES = {
    "confused": lambda: confused_pairs(metrics().confused),
    "no errors": lambda: confused_pairs([]),
    "recall": lambda: class_recall(metrics().per_class),
    "recall beside": lambda: class_recall(metrics().per_class, metrics(1).per_class, limit=3, names=("int8", "float")),
    "reliability": lambda: reliability_diagram({"float": curve(0), "int8": curve(1)}),
    "scatter": lambda: latency_accuracy([Point(n, 2 + i % 2, 90 + i % 3, i == 1) for i, n in enumerate(HOSTILE)]),
    "front": lambda: latency_accuracy(
        [Point(n, 1 + i, 90 + i % 3, i == 1, i == 2) for i, n in enumerate(HOSTILE)],
        front=True,
        latency="<ms>",
        accuracy="%",
    ),
    "over time": lambda: over_time([0, 1, 2], {"$5 <b>": [1, 2, np.nan], "q": [3, 2, 1]}, "<MB>", warm_up=0.5, limit=2),
    "over no time": lambda: over_time([], {"q": []}, "MB"),
    "one point": lambda: latency_accuracy([Point("int8", 2.0, 90.0, True)]),
    "histogram": lambda: score_histogram([0.9, 0.8, 0.95], [0.2, 0.3], 0.7),
    "precision and recall": lambda: precision_recall({"$5 <b>": np.linspace(1, 0, 101), "float": np.ones(101)}),
    "no unknowns": lambda: score_histogram([0.9], [], 0.2),
}


@pytest.mark.requires("matplotlib")
@pytest.mark.parametrize("name", CASES)
def test_pictures_fit_into_any_page(name):
    svg = CASES[name]()
    root = ET.fromstring(svg)  # well-formed, whatever the classes are called
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "viewBox" in root.attrib
    assert "width" not in root.attrib  # the page sets the size
    assert "<style" not in svg  # which would rule over the whole page
    assert "<script" not in svg
    assert "<image" not in svg
    links = re.findall(r'href="([^"]*)"', svg) + re.findall(r"url\(([^)]*)\)", svg)
    assert all(link.startswith("#") for link in links)  # nothing comes from elsewhere
    ids = {element.attrib["id"] for element in root.iter() if "id" in element.attrib}
    assert {link[1:] for link in links} == ids
    for color, (variable, _) in VARIABLES.items():
        assert color not in svg
        assert variable.startswith("--")
    assert "var(--ink" in svg or "var(--muted" in svg
    assert "DejaVu" not in svg  # the page's font


@pytest.mark.requires("matplotlib")
def test_the_same_data_give_the_same_bytes():
    for name in ("scatter", "histogram"):
        assert CASES[name]() == CASES[name]()


@pytest.mark.requires("matplotlib")
def test_ids_of_two_pictures_in_one_page_differ():
    first, second = (set(re.findall(r' id="([^"]+)"', CASES[name]())) for name in ("reliability", "histogram"))
    assert first
    assert second
    assert not first & second


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.requires("matplotlib")
def test_pictures_say_what_they_show():
    found = metrics()
    worst = found.confused[0]
    shown = " | ".join(texts(confused_pairs(found.confused)))
    assert f"{shorten(worst.truth.name, 22)} → {shorten(worst.predicted.name, 22)}" in shown
    assert f"{worst.count} of {worst.n}" in shown
    assert "$5 menu <b>&" in shown  # not read as mathematics
    assert "no errors" in texts(confused_pairs([]))
    assert "float (ECE" in " ".join(texts(reliability_diagram({"float": curve(0)})))
    assert "threshold 0.70" in texts(score_histogram([0.9], [0.2], 0.7))
    assert {"int8", "float"} <= set(texts(latency_accuracy([Point("int8", 2, 90, True), Point("float", 5, 91)])))


@pytest.mark.requires("matplotlib")
def test_recall_shows_the_worst_classes_with_photos():
    rows = metrics().per_class
    order = sorted((row.recall, i) for i, row in enumerate(rows))
    shown = texts(class_recall(rows, limit=2))
    names = [text for text in shown if re.search(r"\(\d+\)$", text)]
    assert names == [f"{shorten(rows[i].label.name)} ({rows[i].n})" for _, i in order[:2]]


@pytest.mark.requires("matplotlib")
def test_names_of_points_do_not_cover_each_other():
    points = [Point(f"variant {i}", 2.0, 90.0) for i in range(5)]  # all at one place
    root = ET.fromstring(latency_accuracy(points))
    places = []
    for element in root.iter("{http://www.w3.org/2000/svg}text"):
        if (element.text or "").startswith("variant"):
            places.append((element.attrib["x"], element.attrib["y"]))
    assert len(set(places)) == 5


@pytest.mark.parametrize("seed", range(20))
def test_the_front_is_what_no_other_point_beats(seed):
    rng = np.random.default_rng(seed)
    # Few different values, so that there are ties and points at one place.
    points = [
        Point(str(i), float(x), float(y)) for i, (x, y) in enumerate(rng.integers(1, 7, (rng.integers(1, 16), 2)))
    ]

    def beats(a: Point, b: Point) -> bool:
        no_worse = a.latency_ms <= b.latency_ms and a.accuracy >= b.accuracy
        return no_worse and (a.latency_ms < b.latency_ms or a.accuracy > b.accuracy)

    front = pareto_front(points)
    assert set(front) == {i for i, point in enumerate(points) if not any(beats(other, point) for other in points)}
    assert [points[i].latency_ms for i in front] == sorted(points[i].latency_ms for i in front)
    assert len(set(front)) == len(front)


def test_no_points_have_no_front():
    assert pareto_front([]) == ()


@pytest.mark.requires("matplotlib")
def test_the_front_is_drawn_as_stairs():
    """One dashed line that is level or upright everywhere, through the three points that nothing beats."""
    points = [Point("a", 1, 80), Point("b", 2, 90), Point("c", 3, 85), Point("d", 4, 95)]
    paths = [
        element.attrib["d"]
        for element in ET.fromstring(latency_accuracy(points, front=True)).iter("{http://www.w3.org/2000/svg}path")
        if "--series-3" in element.attrib.get("style", "")
        and element.attrib["d"].count("L") > 2  # the legend's has two
    ]
    assert len(paths) == 1
    corners = [tuple(map(float, pair)) for pair in re.findall(r"[ML] ([\d.]+) ([\d.]+)", paths[0])]
    assert all((x0 == x1) != (y0 == y1) for (x0, y0), (x1, y1) in itertools.pairwise(corners))
    assert len(corners) == 6  # three levels
    assert "Pareto front" not in texts(latency_accuracy(points))


@pytest.mark.requires("matplotlib")
def test_wrong_input_is_refused():
    with pytest.raises(InputError, match="at least one candidate"):
        latency_accuracy([])
    with pytest.raises(InputError, match="same order"):
        class_recall(metrics().per_class, metrics().per_class[::-1])
    with pytest.raises(InputError, match="at most 4 series"):
        reliability_diagram({str(i): curve(i) for i in range(5)})


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'edgevision\[report\]'"):
        score_histogram([0.9], [0.2], 0.7)


def test_importing_does_not_import_matplotlib_or_torch():
    code = (
        "import sys, edgevision.evaluate.page.pictures, edgevision.evaluate.page.html, edgevision.evaluate.data.run, "
        "edgevision.evaluate.statistics.paired; "
        "print([m for m in ('matplotlib', 'torch', 'onnx') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("text", "length", "expected"),
    [("tea", 5, "tea"), ("green tea", 6, "green…"), ("a\n b\x00c", 9, "a b c"), ("", 3, "")],
)
def test_shorten(text, length, expected):
    assert shorten(text, length) == expected
