"""The live view of the gallery fits its terminal, and says what was learnt and found."""

import io
import re
from collections import Counter

import numpy as np
import pytest
from rich.console import Console

from edgevision.demo import gallery_screen, screen
from edgevision.demo.gallery_moment import Moment
from edgevision.demo.gallery_tally import GalleryTally
from edgevision.gallery.view_choice import Verdict

TALLY = GalleryTally(
    shown=Counter({Verdict.TAKEN: 127, Verdict.NOT_THE_SAME: 36, Verdict.NOTHING_NEW: 31, Verdict.BLURRED: 6}),
    hits={1000: [True, True, False]}, strangers=3, accepted=2, learn_ms=[20.0] * 40,
)  # fmt: skip


@pytest.mark.parametrize(("width", "height"), [(76, 22), (100, 30), (200, 60)])
def test_the_view_fits_its_terminal(width, height):
    shown = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", width=width, height=height)
    assert screen.fits(shown)
    photo = np.zeros((320, 320, 3), np.uint8)
    moment = Moment(photo, "Knackwerk Almonds " * 4, "the gallery says", "Knackwerk Hazelnuts 0.24", False)
    shown.print(gallery_screen.view(moment, TALLY, shown))
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown.file.getvalue()).splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) < height
    text = "\n".join(lines)
    for words in (
        r"products learnt +40", r"photos unlike the others +36", r"new photos found +2 of 3", r"false accepts +2 of 3", "Hazelnuts 0.24",
    ):  # fmt: skip
        assert re.search(words, text), words
