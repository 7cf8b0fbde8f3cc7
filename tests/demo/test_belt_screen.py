"""The live view of the belt fits its terminal, and says what was counted."""

import io
import re

import numpy as np
import pytest
from rich.console import Console

from edgevision.demo import belt_screen, screen
from edgevision.demo.box_tally import BoxTally
from edgevision.demo.world.truth import Crossing

NAMES = [f"Product number {number} with a long name" for number in range(20)]


@pytest.mark.parametrize(("width", "height"), [(76, 22), (100, 30), (200, 60)])
def test_the_view_fits_its_terminal(width, height):
    tally = BoxTally()
    tally.set_truth([Crossing(number, number, 1.0) for number in range(20)], NAMES)
    tally.counted["Product number 0 with a long name"] = 7
    shown = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", width=width, height=height)
    assert screen.fits(shown)
    shown.print(belt_screen.view(np.zeros((480, 640, 3), np.uint8), tally, shown))
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown.file.getvalue()).splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) < height
    text = "\n".join(lines)
    assert re.search(r"passed the line +7 +20", text)
    assert "named rightly" in text
