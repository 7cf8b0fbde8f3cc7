"""Files and photos for whole compiles of networks whose answers are known (``tests/support/known_networks.py``)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from footprints import opened_here
from known_networks import COLORS, LABELS, MODULE, SPEC, photo
from latencies import steady


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

    from edgevision.compiler.sources.quiet import quiet

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
    from edgevision.compiler.select import measure

    monkeypatch.setattr(measure, "footprint", opened_here)
    monkeypatch.setattr(measure, "available_engines", lambda: {"onnxruntime": "1"})


@pytest.fixture
def paced(monkeypatch):
    """A function that fixes what measuring finds, in ms by kind of graph, and the list of variants measured so far."""
    from edgevision.compiler.select import measure

    measured: list[str] = []

    def pace(**ms: float) -> list[str]:
        def latency(found, *_):
            measured.extend(variant.id for variant in found)
            return {variant.id: steady(ms[variant.candidate.key]) for variant in found}

        monkeypatch.setattr(measure, "measure_latency", latency)
        return measured

    return pace
