"""What the targets of a run are called."""

from __future__ import annotations

import pytest

from edgevision.bench.session.opened import names_of
from edgevision.bench.targets.address import parse_address


@pytest.mark.parametrize(
    ("addresses", "names"),
    [
        (["a/shelf.edge", "b/shelf.edge", "a/shelf.edge"], ["shelf.edge", "shelf.edge (2)", "shelf.edge (3)"]),
        (["shelf.onnx", "openvino:x/shelf.xml@threads=2"], ["shelf.onnx", "openvino:shelf.xml@threads=2"]),
        (["ultralytics:y.onnx@python=/opt/a/bin/python"], ["ultralytics:y.onnx"]),
        (["x" * 99 + "a.edge", "x" * 99 + "b.edge"], ["x" * 59 + "…", "x" * 59 + "… (2)"]),
    ],
)
def test_names_are_short_and_different(addresses, names):
    assert names_of([parse_address(text) for text in addresses]) == names
