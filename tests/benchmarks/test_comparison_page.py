"""The page's tables, from what ``edgevision bench --json`` tells."""

from __future__ import annotations

import pytest

from benchmarks.comparison_page import filled, part_lines


def figure(name, value, low=None, high=None):
    return {"name": name, "value": value, "low": low, "high": high}


def row(target, figures, against=(), status="complete", doubts=()):
    return {
        "target": target,
        "figures": figures,
        "against": list(against),
        "status": status,
        "doubts": [{"code": one} for one in doubts],
    }


def target(name, address, precision="int8 in all 3 layers"):
    allowance = {"threads": 2, "max_batch": 8}
    return {"name": name, "address": address, "allowance": allowance, "identity": {"precision": precision}}


AGAINST = {"figure": "p90", "ratio": 1.5, "low": 1.25, "high": 1.75, "verdict": "slower"}
PART = {
    "latency": {
        "asked": "edgevision bench a.edge onnx:m.onnx", "began": "2026-11-28T10:00:00+00:00",
        "targets": [target("a.edge", "runs/x/a.edge"), target("m", "onnx:runs/m.onnx@as=runs/a.edge,precision=f32", "float32")],
        "rows": [
            row("a.edge", [figure("p50", 2.0, 1.9, 2.1), figure("p90", 3.0, 2.5, None)]),
            row("m", [figure("p50", 4.0), figure("p90", 4.5, 4.0, 5.0)], [{**AGAINST, "figure": "p50"}, AGAINST], "failed", ["drift", "drift"]),
        ],
    },
    "density": {"asked": "edgevision bench --scenario density", "rows": [row("a.edge", [figure("cameras", 7.0, 7.0, 7.0)])]},
}  # fmt: skip


def test_a_line_for_each_target():
    _, _, first, second, *_ = part_lines(PART)
    assert first == "| `a.edge` | int8 in all 3 layers | 2 threads, batch 8 | 2 (1.9…2.1) | 3 (2.5…–) | – | – | 7 |  |"
    name = "`onnx:m.onnx@as=a.edge,precision=f32`"
    assert (
        second
        == f"| {name} | float32 | 2 threads, batch 8 | 4 | 4.5 (4…5) | – | 1.50× (1.25…1.75) slower | – | failed, drift |"
    )


@pytest.mark.parametrize(
    ("high", "shown"), [(7.0, "| 7 |"), (9.0, "| ≥ 7 |"), (None, "| ≥ 7 |")], ids=["ended", "between", "open"]
)
def test_a_search_that_did_not_end_says_so(high, shown):
    searched = {**PART, "density": {"asked": "", "rows": [row("a.edge", [figure("cameras", 7.0, 7.0, high)])]}}
    assert shown in part_lines(searched)[2]


def test_only_what_is_between_marks_changes():
    page = "before\n<!-- begin: classify -->\nold\n<!-- end: classify -->\nmiddle\n<!-- begin: detect -->\n<!-- end: detect -->\n"
    made = filled(page, {"parts": {"classify": PART}})
    assert made.startswith("before\n<!-- begin: classify -->\n| target |")
    assert "old" not in made
    assert made.endswith(
        "<!-- end: classify -->\nmiddle\n<!-- begin: detect -->\nNot measured.\n<!-- end: detect -->\n"
    )
    assert filled(made, {"parts": {"classify": PART}}) == made
