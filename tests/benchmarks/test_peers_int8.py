"""What the int8 peers' graphs are run by."""

from __future__ import annotations

import numpy as np
import pytest
from spots import SIZE, spot_graph

from edgevision.engines import EngineOptions, open_engine
from edgevision.engines.importing import import_openvino

pytestmark = [pytest.mark.requires("onnx"), pytest.mark.requires("openvino")]


def test_an_ir_answers_as_the_onnx_that_it_was_made_of(tmp_path):
    from benchmarks.peers_int8 import open_graph

    openvino = import_openvino()
    openvino.save_model(openvino.Core().read_model(spot_graph(), b""), tmp_path / "spots.xml", compress_to_fp16=False)
    (tmp_path / "spots.onnx").write_bytes(spot_graph())
    picture = np.random.default_rng(0).uniform(0, 255, (3, *SIZE)).astype(np.float32)
    answers = []
    for engine in (
        open_graph("openvino", tmp_path / "spots.xml", EngineOptions(1)),
        open_graph("openvino", tmp_path / "spots.onnx", EngineOptions(1)),
        open_engine("onnxruntime", spot_graph(), EngineOptions(1)),
    ):
        with engine:
            (slot,) = engine.slots(batch=1)
            slot.inputs["input"][...] = picture
            engine.run(slot)
            answers.append({name: array.copy() for name, array in slot.outputs.items()})
    for answer in answers[1:]:
        for name in ("cls_s8", "box_s8"):
            np.testing.assert_allclose(answers[0][name], answer[name], atol=1e-5)
    assert np.ptp(answers[0]["cls_s8"]) > 0.1
