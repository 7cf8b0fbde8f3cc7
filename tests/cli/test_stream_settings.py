"""What the command line adds to the file's settings."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from embedders import write_colour_embedder
from spots import write_spot_finder

from edgevision.cli.stream_settings import counter_of, kind_of, load_options, settings_of, sinks_of
from edgevision.errors import InputError


def given(**changed) -> argparse.Namespace:
    usual = {
        "config": None,
        "camera": ["a.mp4"],
        "bundle": Path("shelf.edge"),
        "then": None,
        "gallery": None,
        "threshold": None,
        "engine": None,
        "threads": 1,
        "sink": [],
    }
    return argparse.Namespace(**{**usual, **changed})


@pytest.mark.parametrize(
    ("text", "name", "source"),
    [
        ("till=rtsp://10.0.0.1/main", "till", "rtsp://10.0.0.1/main"),
        ("rtsp://10.0.0.1/main?profile=1", "cam1", "rtsp://10.0.0.1/main?profile=1"),
        ("till-2.left=folder/a=b", "till-2.left", "folder/a=b"),
        ("=folder", "cam1", "=folder"),
    ],
)
def test_a_camera_has_its_name_or_a_number(text, name, source):
    camera = settings_of(given(camera=[text])).cameras[0]
    assert (camera.name, camera.source) == (name, source)


def test_a_number_that_is_taken_is_passed_over():
    cameras = settings_of(given(camera=["cam1=a.mp4", "b.mp4", "cam3=c.mp4", "d.mp4"])).cameras
    assert [camera.name for camera in cameras] == ["cam1", "cam2", "cam3", "cam4"]


def test_the_command_line_goes_before_the_file(tmp_path):
    config = tmp_path / "streams.toml"
    config.write_text('model = "file.edge"\n[[camera]]\nname = "dock"\nsource = "dock.mp4"\n')
    settings = settings_of(given(config=config, sink=["jsonl:r.jsonl"]))
    assert settings.model == Path("shelf.edge")
    assert [camera.name for camera in settings.cameras] == ["dock", "cam1"]
    assert settings_of(given(config=config, bundle=None, camera=[])).model.name == "file.edge"
    assert [sink.name for sink in sinks_of(settings, json=True)] == ["jsonl:r.jsonl", "jsonl:-"]
    assert counter_of(settings) is None


@pytest.mark.parametrize(("asked", "loaded"), [(None, 0.3), (0.1, 0.1), (0.0, 0.0)])
def test_the_threshold_of_the_command_line_goes_before_the_file_s(tmp_path, asked, loaded):
    config = tmp_path / "streams.toml"
    config.write_text("threshold = 0.3\n")
    arguments = given(config=config, threshold=asked)
    assert load_options(arguments, settings_of(arguments))["threshold"] == loaded
    assert load_options(given(), settings_of(given()))["threshold"] is None


@pytest.mark.requires("onnx")
def test_a_threshold_is_refused_before_anything_is_changed_where_the_model_has_none(tmp_path):
    embedder = write_colour_embedder(tmp_path / "embed.edge")
    assert kind_of(settings_of(given(bundle=embedder))) == "embed"
    with pytest.raises(InputError, match="an embedder has no parameters"):
        kind_of(settings_of(given(bundle=embedder, threshold=0.5)))
    spots = write_spot_finder(tmp_path / "spots.edge")
    assert kind_of(settings_of(given(bundle=spots, threshold=0.5))) == "detect"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"camera": ["a=x", "a=y"]}, "there is a camera 'a' already"),
        ({"bundle": None}, "no model"),
        ({"camera": []}, "no camera"),
        ({"threshold": 1.5}, "--threshold is a score, 0…1, got 1.5"),
        ({"threshold": float("nan")}, "--threshold is a score"),
    ],
)
def test_what_is_missing_or_there_twice_is_told(changed, words):
    with pytest.raises(InputError, match=words):
        settings_of(given(**changed))
