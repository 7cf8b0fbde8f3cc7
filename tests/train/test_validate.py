"""Photos to validate with: prepared as at run time, and kept as far as there is room."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.requires("torch")
torch = pytest.importorskip("torch")

from edgevision.decode import read_image  # noqa: E402
from edgevision.preprocess import Preprocessor, preset  # noqa: E402
from edgevision.train import validate  # noqa: E402
from edgevision.train.validate import PreparedPhotos  # noqa: E402


@pytest.mark.parametrize(("room", "read_again"), [(0, 24), (8 * 3 * 16 * 16 * 4, 16), (1 << 20, 0)])
def test_as_many_are_kept_as_there_is_room_for(colour_photos, monkeypatch, room, read_again):
    monkeypatch.setattr(validate, "_KEPT_BYTES", room)
    monkeypatch.setattr(validate, "_BATCH", 8)
    reads = []
    monkeypatch.setattr(validate, "read_image", lambda path: reads.append(path) or read_image(path))
    spec, paths = preset("lite", 16, 16), sorted(colour_photos.rglob("*.png"))
    photos = PreparedPhotos(paths, spec)
    first, second = torch.cat(list(photos)), torch.cat(list(photos))
    assert len(reads) == 24 + read_again
    assert torch.equal(first, second)
    assert np.array_equal(first, Preprocessor(spec).batch([read_image(path) for path in paths]))
