"""A model that nobody asks costs nothing: its workers sleep, and do not turn round and round."""

from __future__ import annotations

import subprocess
import sys

import pytest

ENGINES = ["onnxruntime", pytest.param("openvino", marks=pytest.mark.requires("openvino"))]

# A process of its own: pytest's has threads that are not the model's. The bounds are shares of a core, and generous: what they are
# there to find is a worker that spins, and takes a whole one.
PROGRAM = """
import asyncio, sys, time, warnings
import numpy as np, edgevision as ev

warnings.simplefilter("ignore")
model = ev.load(sys.argv[1], threads=2)
picture = np.zeros((240, 320, 3), np.uint8)

async def await_some():
    await asyncio.gather(*(model.predict_async(picture) for _ in range(8)))  # so that threads of the background are there

for _ in range(20):
    model.predict(picture)
model.predict([picture] * 20)  # and the worker of those that are submitted
asyncio.run(await_some())
time.sleep(0.3)
began_s, cpu_s = time.monotonic(), time.process_time()
time.sleep(2)
print((time.process_time() - cpu_s) / (time.monotonic() - began_s))
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_an_idle_model_takes_no_processor_time(color_bundle, tmp_path, engine):
    bundle = color_bundle(variants=((f"{engine}-float", engine, "float"),))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(bundle)], capture_output=True, text=True, check=False, timeout=120,
        env={**_environment(), "EDGEVISION_CACHE": str(tmp_path / "cache")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.05


# A network whose layers are worth two threads, run as a camera asks for it: with pauses.
PAUSES = """
import sys, time
import numpy as np
from onnx import TensorProto, helper, numpy_helper
from edgevision.engines import EngineOptions, open_engine

weights = np.random.default_rng(0).normal(0, 0.05, (64, 64, 3, 3)).astype(np.float32)
nodes = [helper.make_node("Conv", [f"x{i}", "w"], [f"x{i + 1}"], pads=[1, 1, 1, 1]) for i in range(2)]
shape = ["batch", 64, 56, 56]
graph = helper.make_graph(
    nodes, "g", [helper.make_tensor_value_info("x0", TensorProto.FLOAT, shape)],
    [helper.make_tensor_value_info("x2", TensorProto.FLOAT, shape)], [numpy_helper.from_array(weights, "w")])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
engine = open_engine(sys.argv[1], model.SerializeToString(), EngineOptions(2))
(slot,) = engine.slots(1)
for _ in range(10):
    engine.run(slot)
running_s = 0.0
began_s, cpu_s = time.monotonic(), time.process_time()
for _ in range(25):
    run_s = time.monotonic()
    engine.run(slot)
    running_s += time.monotonic() - run_s
    time.sleep(0.04)
wall_s = time.monotonic() - began_s
# What is beyond two busy threads for as long as it ran, of what it did not run.
print((time.process_time() - cpu_s - 2 * running_s) / (wall_s - running_s))
"""


@pytest.mark.requires("onnx")
@pytest.mark.parametrize("engine", ENGINES)
def test_workers_sleep_between_frames(engine):
    done = subprocess.run(
        [sys.executable, "-c", PAUSES, engine],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=_environment(),
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.3


def _environment() -> dict[str, str]:
    import os

    return {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
