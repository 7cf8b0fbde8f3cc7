"""streams.toml: what it makes, and errors that name the line."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from edgevision.errors import InputError
from edgevision.streams.options import CameraOptions, Mode, StreamOptions, SwapOptions
from edgevision.streams.settings import Changes, Settings, changes, parse_settings, read_settings
from edgevision.tracking.places import Anchor, Line, Zone
from edgevision.tracking.tracker import TrackerOptions

WHOLE = """\
# a shop
model = "shelf.edge"
then = "products.edge"
threshold = 0.25

[stream]
age_budget_s = 0.04
max_batch = 8

[swap]
frames = 50
min_agreement = 0.95
keep_labels = false

[tracker]
lost_s = 2

[[camera]]
name = "till"
source = "rtsp://10.0.0.7/main"
user = "till"
password_env = "TILL_PASSWORD"
mode = "burst:4"
weight = 2
fps = 12.5

  [[camera.line]]
  name = "gate"
  start = [640, 720]
  end = [640.5, 0]

  [[camera.zone]]
  name = "shelf"
  anchor = "bottom"
  corners = [
    [0, 0],
    [100, 0],  # a corner
    [100, 50],
  ]

[[camera]]
name = "dock"
source = "films/dock.mp4"

[[sink]]
url = "jsonl:results.jsonl"
keep = 3

[[sink]]
url = "mjpeg://:8090"
"""
CAMERA = '[[camera]]\nname = "a"\nsource = "rtsp://u:hush@h/x"\n'


def test_everything_is_taken():
    settings = parse_settings(WHOLE)
    assert (settings.model, settings.then) == (Path("shelf.edge"), Path("products.edge"))
    assert settings.threshold == 0.25
    assert settings.stream == StreamOptions(age_budget_s=0.04, max_batch=8)
    assert settings.swap == SwapOptions(frames=50, min_agreement=0.95, keep_labels=False)
    assert settings.tracker == TrackerOptions(lost_s=2.0)
    assert settings.cameras == (
        CameraOptions(
            "till",
            "rtsp://10.0.0.7/main",
            user="till",
            password_env="TILL_PASSWORD",
            mode=Mode("burst", 4),
            weight=2.0,
            fps=12.5,
        ),
        CameraOptions("dock", "films/dock.mp4"),
    )
    assert settings.places == {
        "till": (Line("gate", (640, 720), (640.5, 0)), Zone("shelf", [(0, 0), (100, 0), (100, 50)], Anchor.BOTTOM)),
    }
    assert [(sink.url, dict(sink.options)) for sink in settings.sinks] == [
        ("jsonl:results.jsonl", {"keep": 3}), ("mjpeg://:8090", {}),
    ]  # fmt: skip


def test_nothing_is_a_setting_too():
    assert parse_settings("") == parse_settings("# nothing\n") == Settings()


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("model = ", 1, "Invalid value"),
        ('\n\nmodel = "a"\nmodel = "b"\n', 4, "overwrite"),
        ("model = 3", 1, "model is a text in quotes, got 3"),
        ("\nthreshold = 1.5", 2, "threshold is a score, 0…1, got 1.5"),
        ("threshold = nan", 1, "threshold is a score, 0…1, got nan"),
        ("threshold = '0.5'", 1, "threshold is a number, got '0.5'"),
        ("# x\nmodle = 'a'", 2, "did you mean model"),
        ("[streem]\n", 1, "did you mean stream"),
        ("\n[stream]\nmax_batch = true", 3, "max_batch is a whole number, got True"),
        ("[stream]\nage_budget_s = -1", 2, "age_budget_s is a finite number over 0"),
        ("[stream]\nage_budget_s = nan", 2, "finite"),
        ("stream = 3", 1, r"under \[stream\]"),
        ("[swap]\nshare = 2.0", 2, "share is over 0 and at most 1"),
        ("[swap]\nframes = 1.5", 2, "frames is a whole number"),
        ("[tracker]\nhigh_score = 0.5\nlow_score = 0.9", None, "low_score"),
        ("[tracker]\nclass_aware = 1", 2, "true or false"),
        ("camera = 'rtsp://u:hush@h'", 1, r"\[\[camera\]\]"),
        ("\n[camera]\nname = 'a'", 2, r"\[\[camera\]\]"),
        ("[[camera]]\nsource = 's'", 1, "needs name"),
        ("x = {}\n" + CAMERA, 1, "'x' is not known in the file"),
        (CAMERA + "sorce = 's'", 4, r"'sorce' is not known in \[\[camera\]\]; did you mean source"),
        (CAMERA + "mode = 'newest'", 4, "latest, every or burst:k"),
        (CAMERA + "fps = 'many'", 4, "fps is a number, got 'many'"),
        (CAMERA + "transport = 'http'", 4, "tcp or udp"),
        (CAMERA + "\n\n" + CAMERA, 7, "'a' already"),
        (CAMERA + "password_env = 'A'\npassword_file = 'B'", 4, "not both"),
        (CAMERA + "[[camera.line]]\nname = 'g'\nstart = [1, 2]\nend = [1, 2]", None, "starts and ends"),
        (CAMERA + "[[camera.line]]\nname = 'g'\nstart = [1]\nend = [1, 2]", 6, "start is a point"),
        (CAMERA + "[[camera.zone]]\nname = 'z'\ncorners = [\n [1, 2],\n [3, 4]\n]", 6, "2 corners"),
        (CAMERA + "[[camera.zone]]\nname = 'z'\ncorners = [[1, 'x']]", 6, "corners is a point"),
        (CAMERA + "[[camera.zone]]\nname = 'z'\nanchor = 'middle'\ncorners = [[0,0],[1,0],[1,1]]", 6, "one of center"),
        (CAMERA + "[[camera.zone]]\nname='z'\nmargin=1\ncorners=[[0,0],[9,0],[9,9]]", 6, "did you mean margin_px"),
        (CAMERA + 2 * "[[camera.zone]]\nname='z'\ncorners=[[0,0],[9,0],[9,9]]\n", 1, "two lines or zones 'z'"),
        ("[[sink]]\n", 1, "needs its url"),
        ("[[sink]]\nurl = 'nothing'", 2, "write one of"),
        ("[[sink]]\nurl = 'jsonl:x'\n\nkeeep = 3", 4, "did you mean keep"),
        ("[[sink]]\nurl = 'https://u:hush@h/'\nsecret_env = 'A'\nsecret_file = 'B'", 3, "not both"),
        ("[[sink]]\nurl = 'jsonl:x'\nkeep = [1]", 3, "a text or a number"),
        ("[[sink]]\nurl = 'jsonl:x'\n[[sink]]\nurl = 'jsonl:y'\n[[sink]]\nulr = 'z'", 5, "needs its url"),
        ('a = """\n[[camera]]\n"""\nb = 1', 1, "not known"),
    ],
)  # fmt: skip
def test_errors_name_the_line(text, place, words):
    with pytest.raises(InputError, match=words) as caught:
        parse_settings(text, "shop.toml")
    message = str(caught.value)
    assert message.startswith("shop.toml:" if place is None else f"shop.toml:{place}: ")
    assert "hush" not in message


def test_every_line_of_a_whole_file_is_found_where_it_is():
    """Each line is spoilt in turn: the error names it."""
    lines = WHOLE.splitlines()
    for number, line in enumerate(lines, 1):
        if "=" not in line or "[" in line:
            continue
        spoilt = [*lines]
        spoilt[number - 1] = line.replace(" = ", "_x = ")
        with pytest.raises(InputError) as caught:
            parse_settings("\n".join(spoilt), "s")
        at = int(str(caught.value).split(":")[1])
        assert at == number or "needs" in str(caught.value), (number, str(caught.value))


@pytest.mark.parametrize("seed", range(4))
def test_files_of_any_bytes_give_settings_or_an_error_of_ours(tmp_path, seed):
    draw = random.Random(seed)
    path = tmp_path / "s.toml"
    for _ in range(60):
        data = bytearray(WHOLE.encode())
        for _ in range(draw.randrange(1, 6)):
            place = draw.randrange(len(data))
            data[place : place + draw.randrange(3)] = draw.randbytes(draw.randrange(3))
        path.write_bytes(bytes(data))
        try:
            read_settings(path)
        except InputError as error:
            assert str(path) in str(error)  # noqa: PT017


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        read_settings(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"# one\n# \xe9\n")
    with pytest.raises(InputError, match=r"latin\.toml:2: TOML is UTF-8"):
        read_settings(tmp_path / "latin.toml")
    (tmp_path / "large.toml").write_bytes(b"#" * 2_000_000)
    with pytest.raises(InputError, match="more than"):
        read_settings(tmp_path / "large.toml")
    (tmp_path / "windows.toml").write_bytes(WHOLE.replace("\n", "\r\n").encode())
    assert read_settings(tmp_path / "windows.toml") == parse_settings(WHOLE)


def test_passwords_are_not_shown():
    settings = parse_settings(CAMERA + "[[sink]]\nurl = 'https://u:hush@h/'")
    assert "hush" not in repr(settings)


def test_what_changed_between_two_files():
    old = parse_settings(WHOLE)
    assert changes(old, parse_settings(WHOLE)) == Changes()
    assert not changes(old, old)
    new = parse_settings(
        WHOLE.replace('name = "dock"', 'name = "door"').replace("weight = 2", "weight = 3").replace("keep = 3", "keep = 4")
        .replace("max_batch = 8", "max_batch = 4").replace("[100, 50]", "[100, 60]")
    )  # fmt: skip
    found = changes(old, new)
    assert found
    assert [camera.name for camera in found.added] == ["door"]
    assert found.removed == ("dock",)
    assert [(camera.name, camera.weight) for camera in found.changed] == [("till", 3.0)]
    assert found.places
    assert found.restart == ("stream", "sinks")
    assert not found.model
    only_tracker = changes(old, parse_settings(WHOLE.replace("lost_s = 2", "lost_s = 3")))
    assert only_tracker == Changes(places=True)
    for old_name, new_name in (("shelf.edge", "shelf-2.edge"), ("products.edge", "products-2.edge"), ("0.25", "0.2")):
        assert changes(old, parse_settings(WHOLE.replace(old_name, new_name))) == Changes(model=True)
    assert changes(old, parse_settings(WHOLE.replace("frames = 50", "frames = 60"))) == Changes(swap=True)
