"""NNCF's post-training quantization of one ONNX graph, as its documentation calls it. Runs in NNCF's own environment:

    python3 -m venv nncf-venv && nncf-venv/bin/pip install nncf openvino==VERSION 'numpy<2.5'
    nncf-venv/bin/python benchmarks/nncf_quantize.py float.onnx photos.npy out.xml [performance|mixed]

``photos.npy`` holds float32 [photos, c, h, w]; the result is an OpenVINO IR. Needs nothing of this repository. The last
line of its output is JSON with the versions.
"""

import json
import sys
from importlib.metadata import version

import nncf  # type: ignore[import-not-found]
import numpy as np
import openvino


def main() -> None:
    graph, photos, target, preset = (*sys.argv[1:], "performance")[:4]
    tensors = np.load(photos, mmap_mode="r")
    model = openvino.Core().read_model(graph)
    dataset = nncf.Dataset(range(len(tensors)), lambda index: np.ascontiguousarray(tensors[index : index + 1]))
    quantized = nncf.quantize(
        model, dataset, preset=nncf.QuantizationPreset[preset.upper()], subset_size=len(tensors)
    )  # everything else as it is by default: fast bias correction, any device
    openvino.save_model(quantized, target, compress_to_fp16=False)
    print(json.dumps({name: version(name) for name in ("nncf", "openvino", "numpy")}))


if __name__ == "__main__":
    main()
