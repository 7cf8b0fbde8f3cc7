"""Options: what is refused, and the defaults of live cameras and of files."""

from __future__ import annotations

import math

import pytest

from edgevision.errors import InputError
from edgevision.streams.options import EVERY, LATEST, CameraOptions, Mode, Service, StreamOptions


@pytest.mark.parametrize(("text", "expected"), [
    ("latest", LATEST), ("every", EVERY), ("burst:2", Mode("burst", 2)), ("burst:1024", Mode("burst", 1024)),
])  # fmt: skip
def test_a_mode_is_written_as_it_is_read(text, expected):
    mode = Mode.parse(text)
    assert mode == expected
    assert str(mode) == text


@pytest.mark.parametrize(
    "text", ["", "newest", "burst", "burst:", "burst:1", "burst:0", "burst:-2", "burst:1025", "burst:2.5", "Latest"]
)
def test_a_mode_that_is_none_is_refused(text):
    with pytest.raises(InputError, match=r"latest, every or burst:k with k from 2 to 1024, got"):
        Mode.parse(text)


@pytest.mark.parametrize(("options", "live", "expected"), [
    ({}, True, Service(LATEST, 0.25, stretches=True)), ({}, False, Service(EVERY, math.inf)),
    ({"mode": LATEST, "max_age_s": 2, "fps": 5, "weight": 3}, False, Service(LATEST, 2, fps=5, weight=3)), ({"max_age_s": 0.25}, True, Service(LATEST, 0.25)),
    ({"mode": EVERY}, True, Service(EVERY, 0.25, stretches=True)), ({"max_age_s": 1}, False, Service(EVERY, 1)),
])  # fmt: skip
def test_a_live_camera_gives_its_newest_and_a_file_every_frame(options, live, expected):
    assert CameraOptions("a", "x", **options).service(live=live) == expected


@pytest.mark.parametrize(("options", "says"), [
    ({"name": ""}, "name is printable text, got ''"), ({"name": "a\nb"}, "printable text"),
    ({"max_age_s": 0}, "'a': max_age_s is a finite number over 0, got 0"), ({"fps": -1}, "fps is a finite number"),
    ({"weight": math.nan}, "weight is a finite number"), ({"weight": math.inf}, "weight is"), ({"timeout_s": 0}, "timeout_s is"),
    ({"transport": "quic"}, "transport is tcp or udp, got 'quic'"),
    ({"password_env": "X", "password_file": "x"}, "password_env or password_file, not both"),
])  # fmt: skip
def test_wrong_options_of_a_camera_are_refused(options, says):
    with pytest.raises(InputError, match=says):
        CameraOptions(**{"name": "a", "source": "x", **options})


@pytest.mark.parametrize(("options", "says"), [
    ({"age_budget_s": 0}, "age_budget_s is"), ({"min_interval_s": math.inf}, "min_interval_s is"),
    ({"model_timeout_s": -1}, "model_timeout_s is"), ({"max_batch": 0}, "max_batch is a whole number, at least 1, got 0"),
])  # fmt: skip
def test_wrong_options_of_a_stream_are_refused(options, says):
    with pytest.raises(InputError, match=says):
        StreamOptions(**options)


def test_no_representation_shows_the_source():
    assert "secret" not in repr(CameraOptions("a", "rtsp://user:secret@camera"))
