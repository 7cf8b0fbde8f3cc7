"""What a kiosk has: numpy, OpenCV, onnxruntime, rich, and nothing else. `make test` runs this in such an environment.

Where more is installed the tests hold too: they look at what a fresh process has loaded.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import edgevision as ev

MAKERS_ONLY = {"torch", "torchvision", "onnx", "onnxscript", "openvino", "matplotlib"}

PREDICT = """
import json, sys
import edgevision as ev

with ev.load(sys.argv[1]) as model:
    result = model.predict(sys.argv[2])
status = dict(line.split(":", 1) for line in open("/proc/self/status")) if sys.platform == "linux" else {}
print(json.dumps({
    "answer": result.to_dict(),
    "loaded": sorted({name.split(".")[0] for name in sys.modules}),
    "peak_kib": int(status.get("VmHWM", "0 kB").split()[0]),
}))
"""


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[2]
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=root, check=False)


@pytest.fixture
def photo(tmp_path):
    """A plain red picture, as a PNG file."""
    from edgevision.decode import encode_png

    path = tmp_path / "red.png"
    path.write_bytes(encode_png(np.full((48, 64, 3), (0, 0, 255), np.uint8)))
    return path


def test_a_fresh_process_predicts_with_the_base_dependencies_alone(color_bundle, photo):
    done = run_python("-W", "error", "-c", PREDICT, str(color_bundle()), str(photo))
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    best = seen["answer"]["top"][0]
    assert best["name"] == "red"
    assert best["score"] == pytest.approx(1 / (1 + 2 * np.exp(-8)), abs=1e-5)
    assert seen["answer"]["known"] is True
    assert not MAKERS_ONLY & set(seen["loaded"])
    assert seen["peak_kib"] < 250 * 1024


def test_a_bundle_made_for_openvino_runs_on_the_base_engine(color_bundle, photo, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "openvino" else find(name, *a))
    variants = (("openvino-int8", "openvino", "int8"), ("onnxruntime-float", "onnxruntime", "float"))
    with pytest.warns(ev.errors.DeviceWarning, match=r"pip install 'edgevision\[openvino\]'"):
        model = ev.load(color_bundle(variants=variants))
    with model:
        assert model.variant.engine == "onnxruntime"
        assert model.predict(photo).best.name == "red"


def test_tune_works_with_the_base_engine(color_bundle, tmp_path, monkeypatch):
    from edgevision.runtime.tuning import tune

    monkeypatch.setenv("EDGEVISION_CACHE", str(tmp_path / "cache"))
    assert tune(color_bundle(), threads=1, rounds=2).variant.startswith("onnxruntime-")


def test_answers_can_be_drawn(color_bundle, photo):
    from edgevision.decode import read_image
    from edgevision.tasks.draw import draw

    with ev.load(color_bundle()) as model:
        assert draw(read_image(photo), model.predict(photo)).shape[2] == 3


def test_the_command_line_starts_without_what_only_makers_need():
    code = (
        "import runpy, sys; sys.argv = ['edgevision', '--help']\n"
        "try: runpy.run_module('edgevision', run_name='__main__')\n"
        "finally: print('LOADED', *sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = run_python("-c", code)
    assert done.returncode == 0, done.stderr
    help_text, _, loaded = done.stdout.partition("LOADED")
    assert "predict" in help_text
    assert not (MAKERS_ONLY | {"cv2", "onnxruntime"}) & set(loaded.split())


def test_predict_from_the_command_line(color_bundle, photo):
    done = run_python("-m", "edgevision", "predict", str(color_bundle()), str(photo), "--json")
    assert done.returncode == 0, done.stderr
    (answer,) = json.loads(done.stdout)
    assert answer["top"][0]["name"] == "red"
