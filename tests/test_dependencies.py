"""The oldest versions that CI tries are those that pyproject.toml allows."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_oldest_versions_tried_are_the_oldest_allowed():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    runtime = text[text.index("\ndependencies = [") : text.index("\ncuda = [")]
    allowed = dict(re.findall(r'"([\w-]+)>=([\d.]+)"', runtime))
    tried = dict(re.findall(r"^([\w-]+)==([\d.]+)\.\*$", (ROOT / "tests/oldest.txt").read_text(encoding="utf-8"), re.M))
    assert tried == allowed
    assert {"numpy", "opencv-python-headless", "onnxruntime", "rich", "openvino"} == set(tried)
