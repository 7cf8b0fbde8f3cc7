"""The rules that hold for every module: who may import whom, and which rooms know no task."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise

import pytest
from house import (
    COMPILER_HEIGHT,
    HEIGHT,
    IMPORTS,
    MAKERS,
    MODULES,
    OPTIONAL,
    PACKAGE,
    SLOW,
    TASK_MODULES,
    TASK_WORDS,
    TORCH,
    WITHOUT_TASKS,
    ours,
    part_of,
    room,
    room_of,
    where,
)

# ---- who imports whom ----


def test_every_room_is_known():
    assert {room(path) for path in MODULES.values()} <= set(HEIGHT)
    assert {part_of(name) for name, path in MODULES.items() if room(path) == "compiler"} == set(COMPILER_HEIGHT)


def test_no_import_points_up():
    wrong = []
    for name, path in MODULES.items():
        for one in ours(name):
            target = room_of(one.target)
            if target != room(path) and HEIGHT[target] >= HEIGHT[room(path)]:
                wrong.append(f"{where(name, one.line)} imports {one.target}")
    assert not wrong


def test_no_import_in_the_compiler_points_up():
    wrong = []
    for name in (name for name in MODULES if room_of(name) == "compiler"):
        if name == "edgevision.compiler":  # loads its names lazily, from above
            continue
        for one in (one for one in ours(name) if room_of(one.target) == "compiler"):
            own, target = part_of(name), part_of(one.target)
            if own != target and COMPILER_HEIGHT[target] >= COMPILER_HEIGHT[own]:
                wrong.append(f"{where(name, one.line)} imports {one.target}")
    assert not wrong


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """A walk along the graph's edges that ends where it began, or nothing."""
    done: set[str] = set()

    def follow(node: str, path: list[str]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        for following in sorted(graph.get(node, ())):
            if found := follow(following, [*path, node]):
                return found
        done.add(node)
        return []

    return next((found for node in sorted(graph) if (found := follow(node, []))), [])


def test_no_circle_between_modules():
    """Imports in functions and those for type checkers count as well."""
    graph = {name: {one.target for one in ours(name) if one.target in MODULES} - {name} for name in MODULES}
    found = circle(graph)
    lines = [
        where(name, next(one.line for one in IMPORTS[name] if one.target == target)) for name, target in pairwise(found)
    ]
    assert not found, f"{' → '.join(found)} ({', '.join(lines)})"


@pytest.mark.parametrize("inside", [None, *sorted({room(path) for path in MODULES.values() if path.parent != PACKAGE})])
def test_no_circle_between_rooms_or_folders(inside):
    """``inside``: a room whose folders are looked at; None: the rooms themselves."""
    graph: dict[str, set[str]] = defaultdict(set)
    for name, path in MODULES.items():
        if inside is None:
            graph[room(path)] |= {room_of(one.target) for one in ours(name)} - {room(path), ""}
        elif room(path) == inside and name != f"edgevision.{inside}":  # a package loads its names lazily, from above
            targets = {part_of(one.target) for one in ours(name) if room_of(one.target) == inside}
            graph[part_of(name)] |= targets - {part_of(name)}
    assert not circle(graph)


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        ({}, []),
        ({"a": {"b", "c"}, "b": {"d"}, "c": {"d"}}, []),
        ({"a": {"a"}}, ["a", "a"]),
        ({"a": {"b"}, "b": {"c"}, "c": {"b"}}, ["b", "c", "b"]),
    ],
)
def test_circles_are_found(graph, expected):
    assert circle(graph) == expected


def test_only_the_makers_use_torch_and_onnx():
    """The command line and the benchmarks may, inside functions."""
    wrong = []
    for name, path in MODULES.items():
        for one in IMPORTS[name]:
            inside = room(path) in {"cli", "bench"} and not one.on_import
            if one.target.split(".")[0] in TORCH and room(path) not in MAKERS and not inside:
                wrong.append(f"{where(name, one.line)} imports {one.target}")
    assert not wrong


def test_engines_are_imported_in_one_place():
    """It switches their telemetry off first."""
    wrong = []
    for name, path in MODULES.items():
        for one in IMPORTS[name]:
            if one.target.split(".")[0] in {"onnxruntime", "openvino", "openvino_telemetry"}:
                wrong.append(f"{where(name, one.line)} imports {one.target}")
        words = re.findall(r"import_module\(\W*(?:onnxruntime|openvino)", path.read_text(encoding="utf-8"))
        wrong += [f"{name}: {word}" for word in words]
    assert not wrong, "use edgevision.engines.importing"


def test_optional_and_slow_packages_are_imported_inside_functions():
    wrong = []
    for name, path in MODULES.items():
        quick = room(path) == "cli" or HEIGHT[room(path)] <= HEIGHT["model"]
        for one in IMPORTS[name]:
            package = one.target.split(".")[0]
            if one.on_import and (package in OPTIONAL or (package in SLOW and quick)):
                wrong.append(f"{where(name, one.line)} imports {one.target}")
    assert not wrong


# ---- rooms without tasks ----


def task_words(text: str) -> list[tuple[int, str]]:
    """(line, word) of everything in a module's text that names a task, comments and docstrings included."""
    found = [(text.count("\n", 0, match.start()) + 1, match[0]) for match in TASK_WORDS.finditer(text)]
    return found + [(text.count("\n", 0, match.start()) + 1, match[0]) for match in TASK_MODULES.finditer(text)]


@pytest.mark.parametrize("name", sorted(WITHOUT_TASKS))
def test_the_compiler_and_the_runtime_name_no_task(name):
    """Not even the one that is taken where nothing is said: that is ``tasks.registry.DEFAULT_KIND``, and those who read the
    old formats (``bundle.schema1``, version 1 of ONNX metadata) take it from there."""
    wrong = [
        f"{where(module, line)}: {word}"
        for module, path in MODULES.items()
        if room(path) == name
        for line, word in task_words(path.read_text(encoding="utf-8"))
    ]
    assert not wrong


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("task = ClassifyTask(spec)", ["ClassifyTask"]),
        ("from edgevision.tasks.classify import SCORES", ["classify", "edgevision.tasks.classify"]),
        ("from edgevision.evaluate.tasks.detect import x", ["edgevision.evaluate.tasks.detect"]),
        ("spec = classify_spec(labels)", ["classify_spec"]),
        ("best = scores.argmax(axis=1)", ["argmax"]),
        ('metric = "top1"', ["top1"]),
        ('unit = "points of top-1"', ["top-1"]),
        ("kind = 'classify'", ["classify"]),
        ("from edgevision.tasks.registry import DEFAULT_KIND", []),
        ("from edgevision.tasks.base import TaskSpec", []),
        ("stop = topmost; classes = 3", []),
    ],
)
def test_task_words_are_found(text, expected):
    assert [word for _, word in task_words(text)] == expected
