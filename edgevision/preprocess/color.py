"""Colour arithmetic of the preprocess spec, in float64: YUV samples to B, G, R, and B, G, R to the tensor's channels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgevision.frames import ColorEncoding

FloatArray = npt.NDArray[np.float64]

LUMA_BGR = (0.114, 0.587, 0.299)  # BT.601, as OpenCV and Pillow make grey
_BT601 = (ColorEncoding.BT601_LIMITED, ColorEncoding.BT601_FULL)
LIMITED = (ColorEncoding.BT601_LIMITED, ColorEncoding.BT709_LIMITED)


def yuv_matrix(encoding: ColorEncoding) -> tuple[FloatArray, FloatArray]:
    """Matrix [3, 3] and bias [3] that take (Y, Cb, Cr) samples to B, G, R in 0…255, before clamping.

    ITU-R BT.601 and BT.709 with their Kr and Kb. Limited range: luma 16…235, chroma 16…240; callers raise Y to 16
    first (foot-room, as OpenCV does). Full range (JFIF): 0…255.
    """
    kr, kb = (0.299, 0.114) if encoding in _BT601 else (0.2126, 0.0722)
    kg = 1.0 - kr - kb
    luma, chroma, foot = (255 / 219, 255 / 224, 16.0) if encoding in LIMITED else (1.0, 1.0, 0.0)
    matrix = np.array([
        [luma, chroma * 2 * (1 - kb), 0.0],
        [luma, -chroma * 2 * kb * (1 - kb) / kg, -chroma * 2 * kr * (1 - kr) / kg],
        [luma, 0.0, chroma * 2 * (1 - kr)],
    ])  # fmt: skip
    return matrix, -matrix @ np.array([foot, 128.0, 128.0])
