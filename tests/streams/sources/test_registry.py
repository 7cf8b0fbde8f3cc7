from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgevision.decode import encode_png
from edgevision.demo.rendered_camera import rendered_camera
from edgevision.errors import InputError
from edgevision.streams.options import CameraOptions
from edgevision.streams.sources.device import DeviceCamera
from edgevision.streams.sources.film import VideoFile
from edgevision.streams.sources.folder import PictureFolder
from edgevision.streams.sources.network import NetworkCamera
from edgevision.streams.sources.registry import make_source, register


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.png").write_bytes(encode_png(np.zeros((2, 2, 3), np.uint8)))
    (tmp_path / "film.mp4").write_bytes(b"")
    (tmp_path / "odd:name.mp4").write_bytes(b"")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("source", "kind", "live"),
    [
        ("rtsp://till:1234@cam/live", NetworkCamera, True),
        ("RTSPS://cam", NetworkCamera, True),
        ("https://cam/video.mjpg", NetworkCamera, True),
        ("v4l2:usb-Shop_Cam-index0", DeviceCamera, True),
        ("/dev/v4l/by-id/usb-Shop_Cam-index0", DeviceCamera, True),
        ("film.mp4", VideoFile, False),
        ("odd:name.mp4", VideoFile, False),
        ("paced:film.mp4", VideoFile, True),
        ("photos", PictureFolder, False),
        ("./photos/", PictureFolder, False),
    ],
)
def test_a_source_is_what_its_url_or_path_says(source, kind, live):
    made = make_source(CameraOptions("till", source))
    assert type(made) is kind
    assert made.live is live
    assert "1234" not in repr(made)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("ftp://till:1234@cam/film.mp4", "ftp: are not known"),
        ("file:///etc/passwd", "file: are not known"),
        ("concat:film.mp4|film.mp4", "concat: are not known"),
        ("nothing.mp4", "no file or folder"),
        ("", "no file or folder"),
        ("paced:nothing.mp4", "no video file"),
        ("/dev/video0", "may be another camera after a restart"),
        ("v4l2:/dev/video0", "may be another camera after a restart"),
        ("v4l2:../video0", "may be another camera after a restart"),
        ("v4l2:..", "may be another camera after a restart"),
        ("rtsp://", "expected a URL"),
    ],
)
def test_what_no_source_can_be_made_of_is_refused(source, words):
    with pytest.raises(InputError, match=words) as caught:
        make_source(CameraOptions("till", source))
    assert "1234" not in str(caught.value)


def test_rooms_above_add_their_own():
    register("rendered", rendered_camera)
    register("rendered", rendered_camera)
    assert make_source(CameraOptions("belt", "rendered:conveyor")).live
    with pytest.raises(InputError, match="known already"):
        register("rtsp", rendered_camera)


def test_a_device_is_found_by_its_lasting_name(tmp_path):
    by_id, by_path = tmp_path / "by-id", tmp_path / "by-path"
    for folder in (by_id, by_path):
        folder.mkdir()
    (by_path / "usb-3").touch()
    (by_id / "usb-Shop_Cam").touch()
    options = CameraOptions("till", "v4l2:x")
    for name, path in (
        ("usb-3", by_path / "usb-3"),
        ("usb-Shop_Cam", by_id / "usb-Shop_Cam"),
        ("later", by_id / "later"),
    ):
        assert DeviceCamera(options, name, (by_id, by_path))._path == path
        assert DeviceCamera(options, str(path), (by_id, by_path))._path == path
    with pytest.raises(InputError, match="Here are: usb-3, usb-Shop_Cam"):
        DeviceCamera(options, "/dev/video0", (by_id, by_path))
