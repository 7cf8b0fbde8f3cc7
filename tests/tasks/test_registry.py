"""Tasks by kind: edgevision's own, registered ones, and those of installed packages."""

from __future__ import annotations

import sys
from importlib import metadata
from types import SimpleNamespace

import pytest

from edgevision.errors import InputError
from edgevision.tasks import Label, OutputRole, TaskSpec, registry
from edgevision.tasks.classify import ClassifyTask, classify_spec
from edgevision.tasks.registry import TaskType, claimed_kind, find_task, make_task, register_task, task_kinds, task_type

OURS = ("classify", "detect", "embed")


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """A registry in which nobody has registered anything, and no installed packages bring tasks."""
    monkeypatch.setattr(registry, "_registered", {})
    monkeypatch.setattr(metadata, "entry_points", lambda **wanted: metadata.EntryPoints([]))


def counting(kind="count", **more):
    return TaskType(kind, lambda spec: SimpleNamespace(spec=spec), lambda *_: pytest.fail("not asked"), **more)


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """``installed(kind, task)``: a package with an entry point of this name that gives ``task``. Real modules, loaded."""

    points = []

    def install(kind, task):
        name = f"package_of_{len(points)}"
        module = sys.modules[name] = SimpleNamespace(TASK=task)
        monkeypatch.setitem(sys.modules, name, module)
        points.append(metadata.EntryPoint(kind, f"{name}:TASK", registry.ENTRY_POINTS))

    monkeypatch.setattr(metadata, "entry_points", lambda **wanted: metadata.EntryPoints(points).select(**wanted))
    yield install
    for i in range(len(points)):
        sys.modules.pop(f"package_of_{i}", None)


def test_classify_is_there_and_made_of_its_spec():
    assert task_kinds() == OURS
    task = task_type("classify")
    assert task.kind == "classify"
    assert task.layouts == ("logits", "probabilities")
    assert task.layout_required
    spec = classify_spec([Label(1, "a"), Label(2, "b")])
    assert isinstance(make_task(spec), ClassifyTask)
    assert make_task(spec).spec == spec
    assert find_task("classify") is task


def test_a_task_is_known_once_it_is_registered():
    assert find_task("count") is None
    task = counting()
    register_task(task)
    assert find_task("count") is task_type("count") is task
    assert task_kinds() == (*OURS, "count")
    spec = TaskSpec("count", (), (OutputRole("density", "out", "map"),))
    assert make_task(spec).spec is spec


def test_the_same_kind_again_replaces_it():
    register_task(counting())
    other = counting(layouts=("a",))
    register_task(other)
    assert task_type("count") is other
    assert task_kinds() == (*OURS, "count")


@pytest.mark.parametrize("loaded", [False, True])
def test_kinds_of_ours_cannot_be_replaced(loaded):
    if loaded:
        task_type("classify")
    with pytest.raises(InputError, match="'classify' is edgevision's own; give yours another kind"):
        register_task(counting("classify"))
    assert isinstance(make_task(classify_spec([Label(1, "a"), Label(2, "b")])), ClassifyTask)


def test_metadata_of_a_file_say_which_task_it_is_for():
    register_task(counting(claims=lambda metadata: metadata.get("made_for") == "counting"))
    assert claimed_kind({"made_for": "counting"}) == "count"
    assert claimed_kind({"author": "Ultralytics", "task": "detect"}) == "detect"
    assert claimed_kind({"made_for": "something else"}) is None
    assert claimed_kind({}) is None


@pytest.mark.parametrize("kind", ["juggle", "", "Classify", "classify "])
def test_unknown_kinds_are_refused_with_those_there_are(kind):
    register_task(counting())
    assert find_task(kind) is None
    for ask in (lambda: task_type(kind), lambda: make_task(TaskSpec(kind, (), ()))):
        with pytest.raises(
            InputError, match=rf"knows the task '{kind}'; known are classify, detect, embed, count\. Install"
        ):
            ask()


def test_a_spec_that_does_not_fit_its_task_is_refused_by_it():
    with pytest.raises(InputError, match="at least 2 labels"):
        make_task(classify_spec([Label(1, "a")]))


def test_installed_packages_bring_tasks(installed):
    task, other = counting(), counting("segment")
    installed("count", task)
    installed("segment", other)
    assert task_kinds() == (*OURS, "count", "segment")
    assert find_task("count") is task
    assert task_type("segment") is other
    assert task_kinds() == (*OURS, "count", "segment")  # loaded or not, each once


def test_they_are_not_loaded_to_be_named(installed):
    installed("count", None)
    assert task_kinds() == (*OURS, "count")


def test_what_was_registered_goes_before_what_is_installed(installed):
    installed("count", counting())
    mine = counting()
    register_task(mine)
    assert task_type("count") is mine


def test_an_installed_package_cannot_replace_ours(installed):
    installed("classify", counting("classify"))
    assert task_type("classify").make is ClassifyTask


@pytest.mark.parametrize("given", [None, "count", ClassifyTask, counting("segment")])
def test_entry_points_give_a_task_type_of_their_name(installed, given):
    installed("count", given)
    with pytest.raises(InputError, match=r"entry point 'count' of edgevision.tasks is to give a TaskType 'count'"):
        find_task("count")


def test_a_package_that_cannot_be_loaded_is_named(monkeypatch):
    point = metadata.EntryPoint("count", "no_such_package:TASK", registry.ENTRY_POINTS)
    points = metadata.EntryPoints([point])
    monkeypatch.setattr(metadata, "entry_points", points.select)
    with pytest.raises(
        InputError, match=r"'count' of edgevision.tasks cannot be loaded \(ModuleNotFoundError: .*install"
    ):
        find_task("count")
    assert task_kinds() == (*OURS, "count")
