"""White balance: what the light did to the colours, taken back where something in the picture is known to be white or grey."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgevision.gallery.colours.lab import chroma, lab_of_linear

MIN_LIGHTNESS = 60.0  # darker ground may be of any colour
MAX_CHROMA = 14.0  # a ground that is more colourful is no white one under a tinted lamp
MAX_SPREAD = 6.0  # in a* and b*: a ground of several colours says nothing


def balance(
    rgb: npt.NDArray[np.float64], ground: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:  # fmt: skip
    """Linear red, green, blue [..., 3] as they would be under light that leaves the ground grey, as light as it is.

    ``ground`` [...]: pixels of what lies behind the product. Each channel gets a factor of its own (von Kries). The colours stay as they are
    where the ground does not look like white or grey paper: where it is dark, colourful, or of several colours. Nothing is guessed
    from the product, which may well be of one colour.

    >>> tinted = np.full((2, 2, 3), (0.8, 0.8, 0.7))
    >>> balance(tinted, np.ones((2, 2), bool))[0, 0].round(3).tolist()
    [0.793, 0.793, 0.793]
    """
    if not ground.any():
        return rgb
    pixels = rgb[ground]
    lab = lab_of_linear(pixels)
    middle = np.median(lab, axis=0)
    spread = np.median(np.abs(lab[:, 1:] - middle[1:]))
    if middle[0] < MIN_LIGHTNESS or float(chroma(middle)) > MAX_CHROMA or spread > MAX_SPREAD:
        return rgb
    light = np.median(pixels, axis=0)
    grey = float(light @ (0.2126729, 0.7151522, 0.0721750))  # its luminance, as lab.py has it
    return rgb * (grey / np.maximum(light, 1e-6))
