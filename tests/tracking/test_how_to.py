"""The page on barcodes shows programs that run, and say what it says they do."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgevision.demo.barcode import draw_barcode, shop_number

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "read-barcodes.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
NUMBER = shop_number(20, 1234)
PRINTED = [  # the beginning of what each prints
    f"ean-13 {NUMBER}",
    "",
    "09521234543213 ABC123 2026-12-31 False",
    "True True",
    "[]",
]  # fmt: skip

pytestmark = pytest.mark.requires("zxing")


@pytest.mark.parametrize(("code", "printed"), list(zip(BLOCKS, PRINTED, strict=True)))
def test_it_runs(code, printed, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tile = draw_barcode(NUMBER, 3, 90)
    cv2.imwrite("photo.jpg", np.pad(tile, ((60, 60), (60, 60), (0, 0)), constant_values=200))
    exec(compile(code, str(PAGE), "exec"), {})
    assert capsys.readouterr().out.startswith(printed)
