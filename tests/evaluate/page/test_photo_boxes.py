from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET

import cv2
import numpy as np

from edgevision.evaluate.page.html import Figure
from edgevision.evaluate.page.photo_boxes import LONGER_SIDE, DrawnBox, photo_with_boxes

PHOTO = np.random.default_rng(0).integers(0, 256, (300, 2 * LONGER_SIDE, 3), np.uint8)


def test_boxes_lie_where_they_are_in_the_shrunken_photo():
    svg = photo_with_boxes(PHOTO, [DrawnBox((100.0, 50.0, 300.0, 150.0), "tea 0.9", "right")])
    root = ET.fromstring(svg)
    space = "{http://www.w3.org/2000/svg}"
    rect = root.find(f"{space}rect")
    assert [rect.get(side) for side in ("x", "y", "width", "height")] == ["50.0", "25.0", "100.0", "50.0"]
    assert root.get("viewBox") == f"0 0 {LONGER_SIDE} 150"
    data = re.search(r"base64,([^\"]+)", svg)[1]
    assert cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), 1).shape == (150, LONGER_SIDE, 3)


def test_kinds_differ_and_names_are_escaped():
    looks = set()
    for kind in ("right", "wrong", "missed"):
        svg = photo_with_boxes(PHOTO, [DrawnBox((0.0, 0.0, 9.0, 9.0), '<b>"tea"&', kind)])
        Figure(svg, "a page takes it")
        assert "<b>" not in svg
        ET.fromstring(svg)
        looks.add(re.search(r"stroke: (.*?);.*stroke-dasharray: ([^\"]*)", svg).groups())
    assert len(looks) == 3
