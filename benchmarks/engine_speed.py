"""Engine latency of our int8 graph against float and against onnxruntime's own quantization, paired in one run.

    .venv/bin/python -m benchmarks.engine_speed runs/grocery-lite0.pt runs/grocery-lite0.edge [--threads 1]

Engine latency = prepared batch-1 tensor in the engine's slot → outputs readable. Candidates run in shuffled turns;
ratios are medians over rounds with a bootstrap 95 % interval. Beside each: agreement with float on the validation photos.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import write_result
from edgevision.bundle.reader import open_bundle
from edgevision.compiler.data.photos import CompilePhoto, prepared
from edgevision.compiler.sources.export import export_float
from edgevision.compiler.sources.source import SourceOptions, load_source
from edgevision.engines import open_engine
from edgevision.engines.base import Engine, EngineOptions
from edgevision.latency import measure_interleaved, paired_ratio

REFERENCE = "onnxruntime float"


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("checkpoint", type=Path)
    p.add_argument("bundle", type=Path)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--rounds", type=int, default=300)
    arguments = p.parse_args()

    source = load_source(arguments.checkpoint, SourceOptions())
    assert source.photos is not None, "the checkpoint carries no photos"
    floating, _ = export_float(source)
    pack = source.photos
    calibration = list(prepared([CompilePhoto(q.data, q.label, "") for q in pack.calibration[:256]], source.spec, 1))
    validation = list(prepared([CompilePhoto(q.data, q.label, "") for q in pack.validation[:256]], source.spec, 1))
    with open_bundle(arguments.bundle) as bundle:
        chosen = next(v for v in bundle.manifest.variants if v.id == bundle.manifest.chosen)
        ours = bundle.graph(chosen.graph)
    graphs = {
        REFERENCE: ("onnxruntime", floating, "float32"),
        "onnxruntime int8, quantize_static defaults": ("onnxruntime", quantize_static(floating, calibration, {}), "float32"),
        "onnxruntime int8, quantize_static u8 per channel": (
            "onnxruntime", quantize_static(floating, calibration, {"activations": "u8", "per_channel": True}), "float32"),
        "ours in onnxruntime": ("onnxruntime", ours, "float32"),
        "ours in openvino": ("openvino", ours, "float32"),
        "openvino float": ("openvino", floating, "float32"),
        "openvino bfloat16": ("openvino", floating, "bfloat16"),
    }  # fmt: skip
    engines: dict[str, Engine] = {
        name: open_engine(engine, graph, EngineOptions(arguments.threads, precision))
        for name, (engine, graph, precision) in graphs.items()
    }
    answers = {name: best_classes(engine, validation) for name, engine in engines.items()}
    calls = {}
    for name, engine in engines.items():
        slot = engine.slots(1)[0]
        slot.inputs[engine.inputs[0].name][...] = validation[0]
        calls[name] = lambda engine=engine, slot=slot: engine.run(slot)
    samples = measure_interleaved(calls, rounds=arguments.rounds, warmup=20)
    rows: dict[str, Any] = {}
    for name, engine in engines.items():
        ratio = paired_ratio(samples[REFERENCE], samples[name])
        rows[name] = {
            "p50_ms": samples[name].p50_ms, "p90_ms": samples[name].p90_ms, "float_over_this": asdict(ratio),
            "agreement_percent": float(100 * np.mean(answers[name] == answers[REFERENCE])),
            "graph_bytes": len(graphs[name][1]), "layers": engine.layer_precisions(),
            "undisturbed": samples[name].undisturbed,
        }  # fmt: skip
        print(f"{name:50s} p50 {samples[name].p50_ms:6.2f} ms  {ratio.median:5.2f}× [{ratio.low:.2f}…{ratio.high:.2f}] float's speed  "
              f"agreement {rows[name]['agreement_percent']:.1f} %  {len(graphs[name][1]) / 1e6:.2f} MB")  # fmt: skip
    weights = 4 * sum(int(np.prod(i.dims)) for i in _initializers(floating))
    share = len(ours) / weights
    print(f"int8 graph {len(ours) / 1e6:.2f} MB = {share:.1%} of the float32 weights ({weights / 1e6:.2f} MB)")
    figures = {"threads": arguments.threads, "rounds": arguments.rounds, "chosen": chosen.id, "candidates": rows,
               "validation_photos": len(validation), "int8_graph_share_of_float_weights": share}  # fmt: skip
    write_result(f"engine-speed-{source.info['arch']}-{arguments.threads}t", figures)


def best_classes(engine: Engine, tensors: list[np.ndarray]) -> np.ndarray:
    """Best class of each prepared item."""
    slot = engine.slots(1)[0]
    best = []
    for tensor in tensors:
        slot.inputs[engine.inputs[0].name][...] = tensor
        engine.run(slot)
        best.append(int(np.argmax(slot.outputs[engine.outputs[0].name][0])))
    return np.array(best)


def quantize_static(graph: bytes, tensors: list[np.ndarray], how: dict[str, Any]) -> bytes:
    """onnxruntime's own static quantization, as its documentation calls it (with its pre-processing step)."""
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
        def __init__(self) -> None:
            self.left = iter(tensors)

        def get_next(self) -> dict[str, np.ndarray] | None:
            tensor = next(self.left, None)
            return None if tensor is None else {"input": tensor}

    more: dict[str, Any] = {"per_channel": how.get("per_channel", False)}
    if how.get("activations") == "u8":
        more["activation_type"] = QuantType.QUInt8
    with tempfile.TemporaryDirectory() as folder:
        before, ready, after = (Path(folder, f"{name}.onnx") for name in ("float", "ready", "int8"))
        before.write_bytes(graph)
        quant_pre_process(str(before), str(ready), skip_symbolic_shape=True)
        quantize_static(str(ready), str(after), Reader(), **more)
        return after.read_bytes()


def _initializers(graph: bytes) -> Any:
    import onnx

    return onnx.load_from_string(graph).graph.initializer


if __name__ == "__main__":
    main()
