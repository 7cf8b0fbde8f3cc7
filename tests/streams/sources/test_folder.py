from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgevision.decode import encode_png
from edgevision.errors import DamagedFrameError, InputError, SourceError
from edgevision.streams.sources.folder import PictureFolder


def picture(path: Path, value: int) -> None:
    path.write_bytes(encode_png(np.full((4, 6, 3), value, np.uint8)))


def test_pictures_come_in_the_order_of_their_names_and_numbers(tmp_path):
    for value, name in enumerate(("2.png", "9.png", "10.png", "a1.png", "a02.png", "a10.PNG")):
        picture(tmp_path / name, value)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "11.png").write_bytes(b"no picture either")
    folder = PictureFolder("photos", tmp_path)
    assert not folder.live
    for _time in range(2):
        folder.open()
        values = []
        for _ in range(7):
            captured = folder.read()
            assert captured.camera == "photos"
            try:
                frame = captured.decoded()
            except DamagedFrameError as error:
                assert "11.png" in str(error)  # noqa: PT017
                values.append(None)
                continue
            values.append(int(frame.planes[0][0, 0, 0]))
            assert frame.camera == "photos"
        assert values == [0, 1, 2, None, 3, 4, 5]
        assert folder.read() is None
        folder.close()
    with pytest.raises(SourceError, match="not open"):
        folder.read()


def test_it_can_be_interrupted(tmp_path):
    picture(tmp_path / "1.png", 0)
    folder = PictureFolder("photos", tmp_path)
    folder.open()
    folder.interrupt()
    assert folder.read() is None


@pytest.mark.parametrize(("name", "words"), [("missing", "no folder"), ("", "no pictures")])
def test_a_folder_without_pictures_is_a_mistake_of_the_caller(tmp_path, name, words):
    with pytest.raises(InputError, match=words):
        PictureFolder("photos", tmp_path / name)
