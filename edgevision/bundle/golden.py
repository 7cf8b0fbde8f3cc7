"""Golden frames: a few pictures, kept losslessly, with the outputs they gave when the bundle was made.

Running them again shows whether this machine prepares pictures and runs the graph as the compiler did.
"""

from __future__ import annotations

import io
import math
import re
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.decode import read_image, resize_to_fit
from edgevision.errors import BundleError, ImageError, InputError
from edgevision.frames import ImageArray

MAX_SIDE_PX = 512
MAX_DECODE_BYTES = 16 * MAX_SIDE_PX**2  # decoding a PNG of 8 bits takes about half of that

# NumPy's format 1.0: magic, version, header length, a Python literal, spaces up to a multiple of 64, a newline.
_NPY_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00(..)\{'descr': '(<f4|<i4|\|u1)', 'fortran_order': False, 'shape': \((\d{1,9}(?:, \d{1,9}){1,3})\), \} *\n",
    re.DOTALL,
)


def shrink(image: ImageArray) -> ImageArray:
    """The picture as it is stored, longest side ≤ 512 pixels (area-averaged). Outputs are computed on the result."""
    return resize_to_fit(image, MAX_SIDE_PX)


def decode_frame(data: bytes, entry: str) -> ImageArray:
    """A stored golden frame, H×W×3 uint8 BGR. Raises BundleError for what is not a PNG of at most 512 pixels a side."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        raise BundleError(f"{entry} is not a PNG picture; compile the model again")
    try:
        image = read_image(data, max_decode_bytes=MAX_DECODE_BYTES)
    except ImageError as error:
        raise BundleError(f"{entry}: {error}; compile the model again") from None
    if max(image.shape) > MAX_SIDE_PX:
        raise BundleError(
            f"{entry}: expected at most {MAX_SIDE_PX} pixels a side, got {image.shape[1]}×{image.shape[0]}"
        )
    return image


def encode_outputs(outputs: npt.ArrayLike) -> bytes:
    """One array of a digest, [frames, …] of two to four axes, as the bytes of an ``.npy`` entry.

    float64 is stored as float32, int64 as int32; uint8 as it is. Raises InputError for anything else, for numbers that
    are not finite, and for those that the stored type does not have.
    """
    array = np.asarray(outputs)
    kind = {"f": "<f4", "i": "<i4", "u": "|u1"}.get(array.dtype.kind)
    if kind is None or not 2 <= array.ndim <= 4:
        raise InputError(
            f"golden outputs are finite numbers of two to four axes, got {array.dtype} of shape {array.shape}"
        )
    with np.errstate(over="ignore"):
        stored = np.ascontiguousarray(array, kind)
    if not np.isfinite(stored).all() or (array.dtype.kind != "f" and not np.array_equal(stored, array)):
        raise InputError(f"golden outputs are finite numbers that {stored.dtype} has, got NaN, infinity or others")
    file = io.BytesIO()
    np.lib.format.write_array(file, stored, version=(1, 0), allow_pickle=False)
    return file.getvalue()


def decode_outputs(data: bytes, frames: int, entry: str) -> npt.NDArray[Any]:
    """An array of a digest from its ``.npy`` entry, one row for each of ``frames``.

    Only the header that ``encode_outputs`` writes is accepted; nothing is unpickled, or allocated on the file's word.
    Raises BundleError for any other version, type, order, shape or length, and for numbers that are not finite.
    """
    header = _NPY_HEADER.match(data)
    if header is None or len(header[0]) != 10 + int.from_bytes(header[1], "little"):
        raise BundleError(f"{entry} is not an .npy array as golden outputs are stored; compile the model again")
    kind = np.dtype(header[2].decode())
    shape = tuple(int(side) for side in header[3].split(b", "))
    rest = data[header.end() :]
    if shape[0] != frames or len(rest) != kind.itemsize * math.prod(shape):
        raise BundleError(
            f"{entry}: expected an array with a row for each of {frames} golden frames, got shape {shape} and {len(rest)} "
            "bytes; compile the model again"
        )
    outputs = np.frombuffer(rest, kind).reshape(shape).astype(kind.newbyteorder("="))
    if not np.isfinite(outputs).all():
        raise BundleError(f"{entry} holds NaN or infinity; compile the model again")
    return outputs
