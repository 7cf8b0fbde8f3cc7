"""What callers have → frames: paths, files, bytes, arrays, Pillow images, torch tensors. Their packages are not imported."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any, BinaryIO, NamedTuple, TypeAlias

import numpy as np

from edgevision.decode.formats import BASE64_STARTS
from edgevision.decode.pictures import MAX_DECODE_BYTES, read_image, shortened
from edgevision.decode.samples import to_bgr
from edgevision.errors import ImageError, InputError
from edgevision.frames import Frame, ImageArray

# Also, unless named here for want of their packages: PIL.Image.Image, and torch.Tensor [H, W, 3] uint8 on the CPU.
Picture: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | ImageArray | Frame"

_PIECE_BYTES = 1 << 20
_EXPECTED = "expected a path, the bytes of a picture file, an open file, an H×W×3 uint8 BGR array or a Frame"


def pictures_in(x: object) -> Iterable[object] | None:
    """The pictures of ``x`` where it holds several: a list, any other iterable, or an N×H×W×3 array. None: it is one."""
    if isinstance(x, np.ndarray) or _is_torch(x):
        array: Any = x
        return _rows(array) if len(array.shape) == 4 else None
    if isinstance(x, (str, bytes, bytearray, memoryview, os.PathLike, Frame)) or _is_pillow(x):
        return None
    if hasattr(x, "read") or _is_read_result(x) or _is_array_like(x) or isinstance(x, (Mapping, Set)):
        return None
    return x if isinstance(x, Iterable) else None


def to_frame(picture: object, max_decode_bytes: int = MAX_DECODE_BYTES) -> Frame:
    """One picture as a frame. Arrays, tensors and frames are not copied.

    Arrays and tensors are BGR, as OpenCV has them. Pillow images may have any mode of 8 or 16 bits; EXIF orientation
    and transparency count, as in files. ``max_decode_bytes`` as in ``read_image``.

    Raises InputError, for files ImageError, with what to do for what people often pass instead.
    """
    if isinstance(picture, Frame):
        return picture
    if isinstance(picture, np.ndarray):
        return Frame.from_array(_checked(picture))
    if isinstance(picture, str):
        return Frame.from_array(read_image(_path(picture), max_decode_bytes=max_decode_bytes))
    if isinstance(picture, (os.PathLike, bytes, bytearray, memoryview)):
        return Frame.from_array(read_image(picture, max_decode_bytes=max_decode_bytes))
    if _is_pillow(picture):
        return Frame.from_array(_from_pillow(picture, max_decode_bytes))
    if _is_torch(picture):
        return Frame.from_array(_from_torch(picture))
    if hasattr(picture, "read"):
        return Frame.from_array(read_image(_file_bytes(picture, max_decode_bytes), max_decode_bytes=max_decode_bytes))
    raise InputError(f"{_EXPECTED}, got {_described(picture)}")


def item_to_frame(picture: object, index: int, max_decode_bytes: int = MAX_DECODE_BYTES) -> Frame:
    """``to_frame`` of the picture at ``index`` (from 0) of several: errors name its place."""
    try:
        return to_frame(picture, max_decode_bytes)
    except InputError as error:
        raise type(error)(f"item {index}: {error}") from error


def _rows(array: Any) -> Iterator[object]:
    """The pictures of a batch. Its own mistakes are those of the batch, not of item 0."""
    shape, kind = tuple(array.shape), _type_name(array)
    if shape[3] != 3 and shape[1] in (1, 3, 4):
        turn = _TORCH.turn if _is_torch(array) else _NUMPY.turn
        raise InputError(
            f"expected a batch N×H×W×3, got {kind} of shape {shape}: channels come last; pass x.{turn}(0, 2, 3, 1), in "
            "BGR order, uint8"
        )
    return (array[i] for i in range(shape[0]))


# ---- what people pass instead of a picture ----


def _described(picture: object) -> str:
    """What came, and what to do where that is known."""
    kind = type(picture).__name__
    if picture is None:
        return (
            "None; cv2.imread gives None for a file that it cannot read: pass the path itself, the message will say why"
        )
    if _is_read_result(picture):
        return "the pair of cap.read(); write: ok, frame = cap.read(), and pass frame where ok is true"
    if isinstance(picture, (list, tuple)):
        return f"a {kind} within a list; pass one flat list of pictures, or wrap planes in a Frame"
    if isinstance(picture, (Mapping, Set)):
        return f"a {kind}; pass a list of pictures: it has an order"
    if _is_array_like(picture):
        return f"{_type_name(picture)}; pass numpy.asarray(x), or for a GPU array a copy in host memory"
    return kind


def _is_read_result(x: object) -> bool:
    return isinstance(x, tuple) and len(x) == 2 and isinstance(x[0], (bool, np.bool_))


def _is_array_like(x: object) -> bool:
    """Arrays of other packages: cupy, jax, tensorflow, pandas."""
    return hasattr(x, "shape") and hasattr(x, "dtype")


def _type_name(x: object) -> str:
    return f"{type(x).__module__.split('.')[0]}.{type(x).__name__}"


def _path(text: str) -> str:
    """The text, if it may be a path. Raises InputError for what is often passed as text; never repeats all of it."""
    start = text[:200].lstrip().lower()
    if start.startswith("data:"):
        cure = "base64.b64decode(x.partition(',')[2])"
        raise InputError(f"expected a path, got a data URL of {len(text)} characters; pass the bytes: {cure}")
    if start.startswith(("http://", "https://", "rtsp://", "ftp://", "s3://", "gs://")):
        raise InputError(f"expected a path, got the address {shortened(text)!r}; fetch the picture and pass its bytes")
    if len(text) > 4096 or text.startswith(BASE64_STARTS):
        cure = "if it is base64, pass base64.b64decode(x)"
        raise InputError(f"expected a path, got a text of {len(text)} characters that begins {text[:24]!r}; {cure}")
    return text


class _Spelling(NamedTuple):
    """How a package's users write what a cure says of their array ``x``."""

    turn: str  # the method that reorders axes
    to_uint8: str  # the call that converts
    as_numpy: str


_NUMPY = _Spelling("transpose", ".astype('uint8')", "x")
_TORCH = _Spelling("permute", ".byte()", "x.numpy()")


def _checked(array: np.ndarray[Any, Any]) -> ImageArray:
    """The array, if it is H×W×3 uint8. Raises InputError with the cure for what it seems to be."""
    if _is_picture(array):
        return np.asarray(array, np.uint8)
    cure = _array_cure(array, _NUMPY)
    raise InputError(f"expected an H×W×3 uint8 BGR array, got {array.dtype} of shape {array.shape}; {cure}")


def _is_picture(array: np.ndarray[Any, Any]) -> bool:
    return array.ndim == 3 and array.shape[2] == 3 and array.dtype == np.uint8 and array.size > 0


def _array_cure(array: np.ndarray[Any, Any], spelling: _Spelling) -> str:
    """What to do with an array that is no H×W×3 uint8 picture, by its shape and type."""
    shape, is_bytes = array.shape, array.dtype == np.uint8
    if array.size == 0:
        return "it has no pixels"
    if array.dtype.kind == "O":
        return "pass a list of pictures"
    if is_bytes and (array.ndim < 2 or (array.ndim == 2 and 1 in shape)):
        return f"if it holds the bytes of a picture file, pass {spelling.as_numpy}.tobytes()"
    if not is_bytes:
        return _type_cure(array, spelling.to_uint8)
    if array.ndim == 2:
        return f"grey is Frame.from_array({spelling.as_numpy}, format='gray')"
    if array.ndim == 3 and shape[2] in _PACKED:
        return _PACKED[shape[2]].format(x=spelling.as_numpy)
    if array.ndim == 3 and shape[0] in (1, 3, 4):
        return f"channels come last: pass x.{spelling.turn}(1, 2, 0), in BGR order"
    return "pass one H×W×3 array, or a batch N×H×W×3"


_PACKED = {
    1: "grey is Frame.from_array({x}[..., 0], format='gray')",
    2: "YUYV is Frame.from_array({x}, format='yuyv')",
    4: "BGRA is Frame.from_array({x}, format='bgra'), its alpha is ignored",
}


def _type_cure(array: np.ndarray[Any, Any], to_uint8: str) -> str:
    if array.dtype.kind == "f":
        if np.nanmax(array, initial=0) <= 1:
            return f"values 0…1 become (x * 255).round().clip(0, 255){to_uint8}; no mean and std before"
        return f"values 0…255 become x.round().clip(0, 255){to_uint8}; no mean and std before"
    if array.dtype == np.uint16:
        return f"16 bits become (x // 257){to_uint8}"
    if array.dtype.kind == "b":
        return f"a mask is no picture; (x * 255){to_uint8} is black and white"
    return f"if its values are 0…255, pass x{to_uint8}"


# ---- other packages' pictures ----


def _is_torch(x: object) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, getattr(torch, "Tensor", ()))


def _from_torch(tensor: Any) -> ImageArray:
    shape, kind = tuple(tensor.shape), str(tensor.dtype)
    got = f"a torch tensor {kind} of shape {shape}"
    if tensor.device.type != "cpu":
        raise InputError(
            f"{_EXPECTED}, got {got} on {tensor.device}; pass x.cpu(), or a Frame with memory='cuda' where the model was "
            "loaded with preprocess_on='cuda'"
        )
    try:
        array = tensor.detach().numpy()
    except (RuntimeError, TypeError) as error:
        raise InputError(
            f"{_EXPECTED}, got {got} that NumPy cannot hold ({error}); pass a dense uint8 tensor"
        ) from None
    if _is_picture(array):
        return np.asarray(array, np.uint8)
    cure = _array_cure(array, _TORCH)
    raise InputError(f"expected a torch tensor H×W×3 uint8 in BGR order, got {kind} of shape {shape}; {cure}")


def _is_pillow(x: object) -> bool:
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(x, getattr(module, "Image", ()))


def _from_pillow(image: Any, max_decode_bytes: int) -> ImageArray:
    """H×W×3 uint8 BGR of a Pillow image, as ``read_image`` would give it from the file."""
    width, height = image.size
    what = f"the Pillow image of mode {image.mode}"
    if width < 1 or height < 1:
        raise ImageError(f"{what} has no pixels")
    cost = width * height * 16  # as it is, as RGBA, as an array, and as BGR
    if cost > max_decode_bytes:
        raise ImageError(
            f"{what}: {width}×{height} pixels take {cost / 1e6:.0f} MB to convert, the limit is "
            f"{max_decode_bytes / 1e6:g} MB; scale it down, or raise max_decode_bytes"
        )
    if image.mode in ("I", "F"):
        raise ImageError(f"{what}: expected 8 or 16 bits a sample; convert it to mode RGB")
    try:
        turned = _upright_pillow(image)
        if turned.mode.startswith("I;16"):
            return to_bgr(np.asarray(turned).astype(np.uint16))
        transparent = turned.mode in ("RGBA", "LA", "La", "PA", "RGBa") or "transparency" in turned.info
        array = np.asarray(turned.convert("RGBA" if transparent else "RGB"))
    except (OSError, ValueError, SyntaxError) as error:  # a file that is cut short is read only now
        raise ImageError(f"{what} cannot be read: {error}") from None
    swapped = array[..., [2, 1, 0, 3]] if transparent else array[..., ::-1]
    return to_bgr(np.ascontiguousarray(swapped))


def _upright_pillow(image: Any) -> Any:
    if image.getexif().get(0x0112, 1) == 1:
        return image
    from PIL import ImageOps

    return ImageOps.exif_transpose(image)


def _file_bytes(file: Any, max_bytes: int) -> bytes:
    """All that is left of an open binary file, at most ``max_bytes``.

    Read in pieces: a pipe gives what it has, and a file allocates what it is asked for.
    """
    pieces: list[bytes] = []
    left = max_bytes + 1
    while left > 0:
        try:
            piece = file.read(min(_PIECE_BYTES, left))
        except UnicodeError:
            piece = ""
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"the open file cannot be read: {error}; pass the bytes of the picture") from None
        if isinstance(piece, str):
            raise InputError("expected a file that gives bytes, got one that gives text; open it with mode 'rb'")
        if not isinstance(piece, (bytes, bytearray, memoryview)):
            if hasattr(piece, "close"):
                piece.close()  # a coroutine, which would warn that nobody waited for it
            raise InputError(
                f"expected a file that gives bytes, got {type(piece).__name__}; pass the bytes, once awaited"
            )
        if not piece:
            break
        pieces.append(bytes(piece))
        left -= len(piece)
    if left <= 0:
        raise ImageError(
            f"the open file has more than {max_bytes} bytes, the limit for a picture; raise max_decode_bytes"
        )
    data = b"".join(pieces)
    if not data:
        raise ImageError(
            "the open file gives no bytes; is it read to its end already? file.seek(0) goes back to its start"
        )
    return data
