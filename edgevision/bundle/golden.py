"""Golden frames: a few pictures, kept losslessly, with the outputs they gave when the bundle was made.

Running them again shows whether this machine prepares pictures and runs the graph as the compiler did.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevision.decode import read_image, resize_to_fit
from edgevision.errors import BundleError, ImageError, InputError
from edgevision.frames import ImageArray

COUNT = 8
MAX_SIDE_PX = 512
SAME_DEVICE_TOLERANCE = 1e-3  # same variant, same instruction set: only the order of sums may differ
OTHER_DEVICE_TOLERANCE = 0.1
CLEAR_MARGIN = 0.2  # between float's best two probabilities: less than that, another device may well prefer the other

# NumPy's format 1.0: magic, version, header length, a Python literal, spaces up to a multiple of 64, a newline.
_NPY_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00(..)\{'descr': '<f4', 'fortran_order': False, 'shape': \((\d{1,9}), (\d{1,9})\), \} *\n",
    re.DOTALL,
)

_COLOR_LEVELS = 32.0  # grey levels between blue and red that count as fully coloured


@dataclass(frozen=True)
class GoldenResult:
    """What the golden frames showed. ``worst``: largest difference of a probability from the stored one, 0…1."""

    passed: bool
    worst: float
    message: str


def compare(
    reference: npt.ArrayLike, probabilities: npt.ArrayLike, own: npt.ArrayLike, *, same_device: bool
) -> GoldenResult:
    """Judge what a variant gives for the golden frames on this machine.

    All three are probabilities [n, k], made of raw outputs by the same task (the variant's temperature): ``reference``
    of float's stored outputs, ``own`` of the variant's stored ones, ``probabilities`` of what it gives now.

    ``same_device`` (the engine and the instruction set it was compiled with): every probability within 1e-3 of its own.
    Otherwise: within 0.1 of its own, and the same best class as float wherever float's best two are 0.2 or more apart.
    Raises InputError when the shapes differ.

    >>> compare([[0.9, 0.1]], [[0.88, 0.12]], [[0.9, 0.1]], same_device=False).passed
    True
    """
    expected, now, float_ = (np.asarray(a, np.float64) for a in (own, probabilities, reference))
    if not expected.shape == now.shape == float_.shape or now.ndim != 2 or 0 in now.shape:
        raise InputError(
            f"golden frames: expected three arrays [n, k] of one shape, got {float_.shape}, {now.shape}, "
            f"{expected.shape}; the graph's outputs and the labels do not belong together"
        )
    difference = np.abs(now - expected)
    difference[~np.isfinite(difference)] = np.inf
    worst = float(difference.max())
    tolerance = SAME_DEVICE_TOLERANCE if same_device else OTHER_DEVICE_TOLERANCE
    count = len(now)
    if worst > tolerance:
        frame = int(difference.max(axis=1).argmax())
        return GoldenResult(
            False,
            worst,
            f"golden frame {frame + 1} of {count}: a probability differs by {worst:.3g} from the stored one, "
            f"{tolerance:g} is allowed {'where it was compiled' if same_device else 'on another engine or device'}",
        )
    clear = _margins(float_) >= CLEAR_MARGIN
    turned = np.flatnonzero(clear & (now.argmax(axis=1) != float_.argmax(axis=1)))
    if not same_device and turned.size:
        return GoldenResult(
            False,
            worst,
            f"golden frame {turned[0] + 1} of {count}: the best class is not float's, though float's best two are "
            f"{CLEAR_MARGIN:g} or more apart",
        )
    return GoldenResult(
        True, worst, f"{count} golden frames agree: worst difference {worst:.2g}, allowed {tolerance:g}"
    )


def choose_golden(images: Iterable[ImageArray], probabilities: npt.ArrayLike, n: int = COUNT) -> list[int]:
    """Choose the ``n`` photos (fewer if there are fewer) that tell most, as indices, best first.

    ``images``: H×W×3 uint8 BGR, one at a time; ``probabilities``: float's, [len(images), k]. Best is a picture

    - whose best class is clear, with room to spare, so that a sound device does not turn it;
    - whose probability is not 1 to many digits: a saturated one hides a wrong filter or a lost normalisation;
    - in which blue and red differ, so that swapped colours show;

    and the choice goes through the classes in turn. The same photos always give the same choice.
    """
    p = np.asarray(probabilities, np.float64)
    color = np.array([_color_difference(image) for image in images])
    if p.ndim != 2 or len(color) != len(p) or n < 1:
        raise InputError(f"expected one row of probabilities for each of {len(color)} photos, got shape {p.shape}")
    best = p.max(axis=1)
    moves = 4 * best * (1 - best)  # slope of a probability over its logit, as a share of the steepest
    # A product: colour shows only where the probability can still move.
    score = 2 * (_margins(p) >= 1.5 * CLEAR_MARGIN) + moves * (1 + np.minimum(1, color / _COLOR_LEVELS))
    ranked = np.argsort(-score, kind="stable")
    seen: dict[int, int] = {}  # class → photos of it so far
    turns = []
    for place, i in enumerate(ranked):
        label = int(p[i].argmax())
        turns.append((seen.get(label, 0), place, int(i)))
        seen[label] = seen.get(label, 0) + 1
    return [i for _, _, i in sorted(turns)[:n]]


def shrink(image: ImageArray) -> ImageArray:
    """The picture as it is stored, longest side ≤ 512 pixels (area-averaged). Outputs are computed on the result."""
    return resize_to_fit(image, MAX_SIDE_PX)


def decode_frame(data: bytes, entry: str) -> ImageArray:
    """A stored golden frame, H×W×3 uint8 BGR. Raises BundleError for what is not a PNG of at most 512 pixels a side."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        raise BundleError(f"{entry} is not a PNG picture; compile the model again")
    try:
        image = read_image(data, max_pixels=MAX_SIDE_PX**2)
    except ImageError as error:
        raise BundleError(f"{entry}: {error}; compile the model again") from None
    if max(image.shape) > MAX_SIDE_PX:
        raise BundleError(
            f"{entry}: expected at most {MAX_SIDE_PX} pixels a side, got {image.shape[1]}×{image.shape[0]}"
        )
    return image


def encode_outputs(outputs: npt.ArrayLike) -> bytes:
    """Raw outputs [n, k] as the bytes of a float32 ``.npy`` entry. Raises InputError unless they are finite."""
    array = np.ascontiguousarray(outputs, "<f4")
    if array.ndim != 2 or not np.isfinite(array).all():
        raise InputError(f"golden outputs are finite numbers [n, k], got shape {array.shape}, or NaN or infinity in it")
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=(1, 0), allow_pickle=False)
    return file.getvalue()


def decode_outputs(data: bytes, shape: tuple[int, int], entry: str) -> npt.NDArray[np.float32]:
    """Raw outputs [n, k] of an ``.npy`` entry that must have this shape.

    Only the header that NumPy writes for such an array is accepted; nothing is unpickled, or allocated on the file's
    word. Raises BundleError for any other version, type, order, shape or length, and for numbers that are not finite.
    """
    header = _NPY_HEADER.match(data)
    if header is None or len(header[0]) != 10 + int.from_bytes(header[1], "little"):
        raise BundleError(f"{entry} is not a float32 .npy array of two axes; compile the model again")
    found = int(header[2]), int(header[3])
    rest = data[header.end() :]
    if found != shape or len(rest) != 4 * shape[0] * shape[1]:
        raise BundleError(
            f"{entry}: expected an array of shape {shape} (golden frames × labels), got {found} and {len(rest)} bytes; "
            "compile the model again"
        )
    outputs = np.frombuffer(rest, "<f4").reshape(shape).astype(np.float32)
    if not np.isfinite(outputs).all():
        raise BundleError(f"{entry} holds NaN or infinity; compile the model again")
    return outputs


def _margins(p: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Best minus second best of each row; 1 where there is one class only."""
    if p.shape[1] < 2:
        return np.ones(len(p))
    ordered = np.sort(p, axis=1)
    return np.asarray(ordered[:, -1] - ordered[:, -2])


def _color_difference(image: ImageArray) -> float:
    """Mean difference of blue and red, in grey levels, on every fourth pixel each way."""
    sample = image[::4, ::4].astype(np.int16)
    return float(np.abs(sample[..., 0] - sample[..., 2]).mean())
