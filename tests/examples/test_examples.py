"""Each example runs, and says what its readers are told that it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

compiles = pytest.mark.requires("torch", "onnx")


def names() -> list[str]:
    return sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir() and path.name != "__pycache__")


def test_every_example_is_listed_and_tested():
    listed = re.findall(r"\((\w+)/[\w.]+\)", (EXAMPLES / "README.md").read_text("utf-8"))
    texts = [path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py")]
    tested = [name for text in texts for name in re.findall(r'"(\d\d_\w+)"', text)]
    assert listed == names()
    assert sorted(set(tested)) == names()
    assert [name[:2] for name in names()] == [f"{number:02d}" for number in range(1, len(names()) + 1)]


@compiles
def test_recognise_a_photo(run_example, demo_bundle):
    out = run_example("01_recognise_a_photo", demo_bundle)
    shown = re.search(r"shown: (.+)", out)[1]
    assert f"recognised: {shown} (id 0), score " in out
    assert re.search(r"prepared in \d+\.\d\d ms, run in \d+\.\d\d ms", out)


@compiles
def test_recognise_a_photo_of_your_own(run_example, demo_bundle, tmp_path):
    import numpy as np

    from edgevision.decode import encode_png

    photo = tmp_path / "grey.png"
    photo.write_bytes(encode_png(np.full((64, 64, 3), 90, np.uint8)))
    out = run_example("01_recognise_a_photo", demo_bundle, photo)
    assert "not known; the closest is " in out


@compiles
def test_camera_loop(run_example, demo_bundle):
    from edgevision.demo.products import LISTED

    out = run_example("02_camera_loop", demo_bundle, 30)
    seen = re.findall(r"till-1, frame \d+: (.+)", out)
    assert {product.name for product in LISTED} & set(seen)  # NV12 is understood: colours tell flavours apart
    assert "30 frames: half within " in out
    assert "median age of a result: " in out


@compiles
def test_threads_and_batches(run_example, demo_bundle):
    out = run_example("03_threads_and_batches", demo_bundle)
    assert "a list, batches of 8: " in out
    assert "the same answers each time: True" in out


@compiles
def test_unknown_products(run_example, demo_bundle):
    out = run_example("04_unknown_products", demo_bundle)
    rows = [
        (float(line.split("|")[0]), *map(int, re.findall(r"(\d+) of", line)), "stored" in line)
        for line in out.splitlines()
        if re.match(r" +\d\.\d{3} \|", line)
    ]
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    assert rows[0][1:4] == (int(re.match(r"(\d+) of", out)[1]), 20, 20)  # without a threshold all is known
    for column in (1, 2, 3):
        assert [row[column] for row in rows] == sorted((row[column] for row in rows), reverse=True)
    (stored,) = [row for row in rows if row[4]]
    assert stored[1] >= 16  # right answers stay
    assert stored[2] + stored[3] <= 10  # of 40 that are none


@compiles
def test_compile_your_model(run_example):
    out = run_example("05_compile_your_model")
    assert "quickest int8 variant" in out
    assert "on 120 validation photos" in out
    for name in ("blue", "green", "red", "yellow"):
        assert f"{name}: {name} (" in out


@compiles
def test_replace_a_bundle(run_example, demo_bundle):
    out = run_example("06_replace_a_bundle", demo_bundle)
    assert re.search(r"refused: .*damaged\.edge", out)
    assert re.search(r"replaced 3 times, \d+ answers meanwhile: True", out)
    assert re.search(r"\d+ answers in all, 0 errors, answers differ: False", out)


@compiles
def test_add_a_task(run_example):
    out = run_example("07_add_a_task")
    assert "100.00 % against 100.00 % for float on 30 validation photos" in out
    levels = dict(re.findall(r"'(\w+)': (\d\.\d+)", out))
    assert [float(levels[name]) for name in ("red", "green", "blue")] == pytest.approx([0.6, 0.3, 0.1], abs=0.05)
    assert out.strip().endswith("dark")


@compiles
def test_station(run_example, demo_bundle):
    from edgevision.demo.products import LISTED

    out = run_example("08_station", demo_bundle)
    first = [line.partition(": ")[2] for line in out.splitlines() if line.startswith("placement 1: ")]
    assert first[0] == "something was placed"
    assert re.fullmatch(rf"{LISTED[1].name}, after \d\.\d\d s", first[1])
    assert first[2:] == ["taken away"]
    second = [line.partition(": ")[2] for line in out.splitlines() if line.startswith("placement 2: ")]
    assert second == ["something was placed", "not known, call for help", "taken away"]
