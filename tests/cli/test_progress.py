"""edgevision.cli.progress: time left, and what a log is told."""

from __future__ import annotations

import io

import pytest

from edgevision.cli.progress import LogLines, TimeLeft, duration, plan_line, step_progress


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_time_left():
    clock = Clock()
    left = TimeLeft(clock)
    assert left("export", 0, 0) is None  # nobody said what is to come
    left.expect({"calibrate": 100, "measure": 60, "never": 0, "photos": 40})
    assert left("calibrate", 0, 0) == 200
    clock.now += 30
    assert left("calibrate", 10, 0) == 170  # the total is not known: by the clock
    assert left("calibrate", 10, 100) == 270 + 100  # a tenth took 30 s
    clock.now += 270
    assert left("calibrate", 100, 100) == 100
    assert left("measure", 0, 2) == 100
    clock.now += 90  # longer than expected, and nothing is done yet
    assert left("measure", 0, 2) == 40
    assert left("unexpected", 0, 3) == 40
    assert left("photos", 0, 1) == 40
    clock.now += 10
    assert left("measure", 2, 2) == 0  # a step that comes again does not bring back what is over


def lines(clock: Clock) -> tuple[LogLines, io.StringIO]:
    stream = io.StringIO()
    return LogLines(stream, clock), stream


def test_short_commands_say_nothing():
    clock = Clock()
    log, stream = lines(clock)
    log.expect({"calibrate": 3, "measure": 4})
    for step in ("calibrate", "measure"):
        for done in range(4):
            clock.now += 1.2
            log(step, done, 4)
    assert stream.getvalue() == ""


def test_a_line_each_half_minute_with_what_is_left():
    clock = Clock()
    log, stream = lines(clock)
    log("load", 0, 0)
    clock.now += 11
    log("export", 0, 0)
    clock.now += 4
    log.expect({"calibrate": 120, "measure": 60})
    for done in range(121):
        log("calibrate", done, 120)
        clock.now += 1
    assert stream.getvalue().splitlines() == [
        "edgevision: [11 s] export",
        "edgevision: [15 s] about 3 min to go: calibrate 2 min, measure 1 min",
        "edgevision: [41 s] calibrate 26/120, about 3 min left",
        "edgevision: [1 min] calibrate 56/120, about 2 min left",
        "edgevision: [2 min] calibrate 86/120, about 2 min left",
        "edgevision: [2 min] calibrate 116/120, about 1 min left",
    ]


def test_a_step_named_by_a_file_does_not_steer_the_terminal():
    clock = Clock()
    log, stream = lines(clock)
    clock.now += 60
    log("\x1b[31m photos", 1, 2)
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min"), (90, "2 min"), (3569, "59 min"), (3600, "1 h 0 min"), (9000, "2 h 30 min")],
)  # fmt: skip
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_a_plan_leaves_out_what_takes_no_time():
    assert plan_line({"calibrate": 0, "measure": 61, "photos": 0.4, "sensitivity": 40}) == (
        "about 2 min to go: measure 1 min, sensitivity 40 s"
    )


def test_json_output_has_no_progress(capsys):
    with step_progress(False) as progress:
        progress.expect({"calibrate": 1000})
        progress("calibrate", 1, 2)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    with step_progress() as progress:
        progress("load", 0, 0)
        progress.expect({"calibrate": 100, "measure": 100})
        progress("calibrate", 0, 10)
        progress("measure", 1, 2)
    assert "about 3 min to go: calibrate 2 min, measure 2 min" in capsys.readouterr().err
