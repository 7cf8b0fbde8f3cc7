"""Events of a Station as other programs get them: JSON, with the picture in it where there is one."""

from __future__ import annotations

import base64
import json
from typing import Any

from edgevision.errors import ImageError
from edgevision.frames import ImageArray
from edgevision.kiosk.events import Answer, StationEvent

PICTURE_PX = 480  # longer side of a picture in an event: as large as a page shows it, and some 20 kB
QUALITY = 80  # of JPEG
_DATA_URL = "data:image/jpeg;base64,"


def fields_of(event: StationEvent, *, pictures: bool = True) -> dict[str, Any]:
    """The event as plain JSON values; an answer's with its ``picture``, a data URL, unless ``pictures`` is False or there is nothing on it."""
    fields = event.to_dict()
    if pictures and isinstance(event, Answer) and event.picture.size:
        fields["picture"] = data_url(event.picture)
    return fields


def data_url(picture: ImageArray) -> str:
    """``picture``, H×W×3 uint8 BGR, as a JPEG in a URL that a page shows without asking the server again."""
    return _DATA_URL + base64.b64encode(jpeg(picture, PICTURE_PX)).decode("ascii")


def jpeg(picture: ImageArray, most_px: int) -> bytes:
    """``picture``, H×W×3 uint8 BGR, as a JPEG with a longer side of at most ``most_px`` pixels. Raises ImageError."""
    import cv2

    from edgevision.decode import resize_to_fit

    done, encoded = cv2.imencode(".jpg", resize_to_fit(picture, most_px), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise ImageError(f"OpenCV could not encode a picture of shape {picture.shape} as JPEG")
    return encoded.tobytes()


def encoded(fields: dict[str, Any]) -> str:
    """JSON on one line, without spaces. Raises ValueError for numbers that JSON does not have."""
    return json.dumps(fields, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
