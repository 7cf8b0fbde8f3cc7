"""Engines with the committed graphs: logits = 8 × the mean of each channel, exact in float and in int8."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgevision.engines import Engine, EngineOptions, open_engine

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def graph() -> Callable[[str], bytes]:
    return lambda name: (DATA / f"{name}.onnx").read_bytes()


@pytest.fixture(params=["onnxruntime", pytest.param("openvino", marks=pytest.mark.requires("openvino"))])
def engine_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def engine(engine_name: str, graph: Callable[[str], bytes]) -> Iterator[Engine]:
    with open_engine(engine_name, graph("color"), EngineOptions(threads=1)) as opened:
        yield opened
