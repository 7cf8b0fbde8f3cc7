import io
import re

import numpy as np
import pytest
from rich.console import Console

from edgevision.demo import screen
from edgevision.demo.scene import render
from edgevision.demo.stream import stream
from edgevision.demo.tally import Tally
from edgevision.tasks.results import Classification, Prediction, Timing


def moment(known: bool = True) -> screen.Moment:
    shot = next(iter(stream(2, 1)))
    given = Classification((Prediction(3, "Solaru Orange", 0.83),), known, Timing(0, 1.5, 0))
    tally = Tally("openvino-int8")
    tally.add(shot.scene.kind, shot.scene.label, given)
    return screen.Moment(shot, render(shot.scene), (given, given), (tally, tally), 0.5, 100, 11.0)


def console(**options) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, **options)


@pytest.mark.parametrize(("width", "height"), [(76, 22), (100, 30), (200, 60)])
def test_the_view_fits_its_terminal(width, height):
    shown = console(color_system="truecolor", width=width, height=height)
    assert screen.fits(shown)
    shown.print(screen.view(moment(), shown))
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown.file.getvalue()).splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) < height
    text = "\n".join(lines)
    assert "Solaru Orange" in text
    assert "0.83" in text
    assert "answers right" in text


def test_the_picture_has_the_frames_colours():
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[:32] = (10, 20, 200)  # BGR
    frame[32:] = (220, 30, 40)
    shown = console(color_system="truecolor", width=80, height=24)
    shown.print(screen.Picture(frame, 8))
    rows = shown.file.getvalue().strip("\n").split("\n")
    assert len(rows) == 4
    assert rows[0].count("▀") == 8
    assert "38;2;200;20;10" in rows[0]
    assert "38;2;40;30;220" in rows[3]


@pytest.mark.parametrize(
    "shown",
    [
        Console(file=io.StringIO()),
        console(color_system=None, width=100, height=30),
        console(color_system="truecolor", width=60, height=30),
        console(color_system="truecolor", width=100, height=15),
        console(color_system="truecolor", width=100, height=30, _environ={"TERM": "dumb"}),
    ],
    ids=["pipe", "no colours", "narrow", "low", "dumb"],
)
def test_where_there_is_no_room_there_is_no_view(shown):
    assert not screen.fits(shown)


def test_the_bar_marks_the_threshold():
    text = screen.bar(0.5, 0.75, 8)
    assert text.plain == "████░░┃░"


@pytest.mark.parametrize(("known", "word"), [(True, "✗"), (False, "unknown")])
def test_signs(known, word):
    now = moment(known)
    label = now.shot.scene.label
    text, _ = screen.verdict_of(now.shot, now.answers[0])
    assert word in text or (label == 3 and "✓" in text)
