"""Manifests of schema 1, read as schema 2: a classifier was the only task, and said so in other keys."""

from __future__ import annotations

from typing import Any

from edgevision.errors import BundleError

_OUTPUT = "output"  # what schema 1's graphs call their one output
_UNITS = {"top1": "points of top-1", "agreement": "points of agreement with float"}


def as_schema_2(data: dict[str, Any]) -> dict[str, Any]:
    """``data``, a manifest's JSON of schema 1, with the keys of schema 2. Values are not checked here.

    Raises BundleError for a key that is missing, a key of schema 2, and another task.
    """
    found = dict(data)
    _check_keys(found, "", needed=("task", "labels", "output"))
    if found["task"] != "classify":
        raise BundleError(f"task: expected 'classify', the only one of schema 1, got {ascii(found['task'])[:60]}")
    labels, layout = found.pop("labels"), found.pop("output")
    role = {"role": "scores", "name": _OUTPUT, "layout": layout}
    found["task"] = {"kind": found["task"], "labels": labels, "outputs": [role], "parameters": {}}
    found["schema"] = 2
    if "golden_reference" in found:
        found["golden_reference"] = _golden(found["golden_reference"], "golden_reference")
    if isinstance(graphs := found.get("graphs"), dict):
        for id, graph in graphs.items():
            _check_keys(graph, f"graphs.{id}.", unknown=("float_fallback",))
        found["graphs"] = {id: _renamed(graph, "float_parts", "float_fallback") for id, graph in graphs.items()}
    if isinstance(variants := found.get("variants"), (list, tuple)):
        found["variants"] = [_variant(variant, f"variants[{i}]") for i, variant in enumerate(variants)]
    if "data" in found:
        found["data"] = _renamed(found["data"], "judge", "validation")
    if "verdict" in found:
        found["verdict"] = _verdict(found["verdict"], "verdict")
    source = found.get("source")
    if isinstance(source, dict) and isinstance(source.get("float"), dict):
        found["source"] = {**source, "float": {"parameters": source["float"]}}
    return found


def _variant(variant: Any, where: str) -> Any:
    if not isinstance(variant, dict):
        return variant
    found = dict(variant)
    _check_keys(found, f"{where}.", needed=("temperature", "threshold"), unknown=("parameters",))
    found["parameters"] = {key: found.pop(key) for key in ("temperature", "threshold")}
    if "golden" in found:
        found["golden"] = _golden(found["golden"], f"{where}.golden")
    if "verdict" in found:
        found["verdict"] = _verdict(found["verdict"], f"{where}.verdict")
    return found


def _golden(entry: Any, where: str) -> Any:
    if not isinstance(entry, str):
        raise BundleError(f"{where}: expected a string, got {ascii(entry)[:60]}")
    return {"scores": entry}


def _verdict(verdict: Any, where: str) -> Any:
    _check_keys(verdict, f"{where}.", unknown=("unit",))
    if not isinstance(verdict, dict) or not isinstance(verdict.get("metric"), str):
        return verdict
    return {**verdict, "unit": _UNITS.get(verdict["metric"], "points")}


def _check_keys(value: Any, where: str, needed: tuple[str, ...] = (), unknown: tuple[str, ...] = ()) -> None:
    """An object has what schema 1 always had, and nothing that would be taken for what is made of it here."""
    if not isinstance(value, dict):
        return
    for key in needed:
        if key not in value:
            raise BundleError(f"{where}{key}: the key is missing")
    for key in unknown:
        if key in value:
            raise BundleError(f"{where}{key}: no such key in schema 1")


def _renamed(value: Any, old: str, new: str) -> Any:
    if not isinstance(value, dict) or old not in value:
        return value
    return {new if key == old else key: content for key, content in value.items()}
