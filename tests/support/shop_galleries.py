"""A gallery that is served, with an embedder that a test can foresee: it looks at colours alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from galleries import BUNDLE, DIMENSION

from edgevision.decode import to_frame
from edgevision.errors import ImageError
from edgevision.frames import Frame
from edgevision.kiosk.service.answers import RefusedError
from edgevision.kiosk.service.bodies import Budget, read_body
from edgevision.kiosk.service.gallery.asked import AskedPicture
from edgevision.kiosk.service.gallery.routes import GalleryService
from edgevision.kiosk.service.gallery.shop_gallery import ShopGallery
from edgevision.streams.pictures import to_bgr
from edgevision.tasks.embedding import Embedding
from edgevision.tasks.results import Timing

RED, GREEN, BLUE = (20, 20, 220), (20, 220, 20), (220, 20, 20)


def colour_vector(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """[16]: the colours of the picture's four corners, against grey."""
    small = cv2.resize(picture, (2, 2), interpolation=cv2.INTER_AREA).astype(np.float32).ravel() - 127.5
    vector = np.concatenate([small, np.full(DIMENSION - 12, 1.0, np.float32)])
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def embed(frames: Sequence[Frame]) -> list[Any]:
    return [Embedding(colour_vector(to_bgr(one)), Timing(0.1, 0.2, 0.0)) for one in frames]


async def ask_picture(request: Any) -> AskedPicture:
    with Budget(1 << 30).share() as share:
        data = await read_body(request, share)
    try:
        (embedding,) = embed([to_frame(data)])
    except ImageError as error:
        raise RefusedError(400, str(error)) from None
    return AskedPicture(data, embedding, 1.0)


def served_gallery(path: Path) -> GalleryService:
    return GalleryService(ShopGallery(path, BUNDLE, DIMENSION), ask_picture, embed, 1 << 20)


def photo(colour: tuple[int, int, int], seed: int = 0, height: int = 48, width: int = 64) -> bytes:
    """A JPEG of that colour, with some detail that no other seed gives."""
    noise = np.random.default_rng(seed).integers(-15, 16, (height, width, 1))
    done, data = cv2.imencode(".jpg", np.clip(np.asarray(colour) + noise, 0, 255).astype(np.uint8))
    assert done
    return data.tobytes()


PLACE = cv2.resize(
    np.random.default_rng(3).integers(90, 160, (15, 20), np.uint8), (320, 240), interpolation=cv2.INTER_NEAREST
)


def scene(colour: tuple[int, int, int] | None = None, left: int = 20, blur: bool = False) -> Frame:
    """The place, with a product of that colour and a fine pattern at its left."""
    picture = cv2.cvtColor(PLACE, cv2.COLOR_GRAY2BGR)
    if colour is not None:
        product = np.full((90, 90, 3), colour, np.uint8)
        product[::6] //= 2
        product[:, ::6] //= 2  # edges both ways: what has them one way only looks smeared
        if blur:
            product = cv2.GaussianBlur(product, (0, 0), 8)
        picture[70:160, left : left + 90] = product
    return Frame.from_array(picture)
