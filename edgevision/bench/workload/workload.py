"""The frozen workload: frames that every target of a run gets, the same bytes, from one file that its process maps into memory."""

from __future__ import annotations

import hashlib
import json
import mmap
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError

Pixels = npt.NDArray[np.uint8]

MAX_BYTES = 8 << 30  # of all frames together
MAX_FRAMES = 100_000
MAX_SIDE = 1 << 16
_MAX_HEAD = 64 << 20
_MAGIC = b"EVWORK1\n"
_LENGTH = struct.Struct("<I")
_ALIGNED = 4096  # each frame begins on a page of its own, as a frame of a camera does
BGR = "bgr"
JPEG = "jpeg"


@dataclass(frozen=True, eq=False)
class Workload:
    """``frames``: BGR arrays uint8 [H, W, 3] (``format`` "bgr"), or the bytes of JPEG files ("jpeg"), never changed.
    ``sizes``: (width, height) of each frame, in pixels. ``name``: where they come from; ``seed``: of rendered frames.

    Raises InputError where frames and sizes do not fit, or there is none.
    """

    name: str
    frames: Sequence[Any]
    sizes: tuple[tuple[int, int], ...]
    format: str = BGR
    seed: int | None = None
    sha256: str = field(default="")

    def __post_init__(self) -> None:
        if not self.frames or len(self.frames) != len(self.sizes):
            raise InputError(
                f"expected at least one frame, each with its size, got {len(self.frames)} and {len(self.sizes)}"
            )
        if self.format not in (BGR, JPEG):
            raise InputError(f"frames are '{BGR}' or '{JPEG}', got {self.format!r}")
        if self.format == BGR and not all(_is_picture(frame) for frame in self.frames):
            raise InputError("expected frames of uint8 [height, width, 3]")
        if self.format == JPEG and not all(isinstance(frame, bytes) for frame in self.frames):
            raise InputError("expected frames that are the bytes of JPEG files")
        total = sum(_length(frame) for frame in self.frames)
        if len(self.frames) > MAX_FRAMES or total > MAX_BYTES:
            raise InputError(
                f"{len(self.frames)} frames of {total / 1e9:.1f} GB are over the limit of {MAX_FRAMES} and {MAX_BYTES / 1e9:.1f} GB; take fewer"
            )
        if not self.sha256:
            object.__setattr__(self, "sha256", hash_frames(self.frames, self.sizes, self.format))

    @property
    def count(self) -> int:
        """How many frames."""
        return len(self.frames)

    @property
    def encoded(self) -> bool:
        """Whether frames are JPEG files, which a target decodes itself."""
        return self.format == JPEG

    def describe(self) -> dict[str, Any]:
        """JSON values for a record: name, format, count, bytes, sizes (each once, with how many frames have it), seed, sha256."""
        counted: dict[tuple[int, int], int] = {}
        for size in self.sizes:
            counted[size] = counted.get(size, 0) + 1
        sizes = [{"width": width, "height": height, "count": count} for (width, height), count in counted.items()]
        return {
            "name": self.name, "format": self.format, "count": self.count, "sizes": sizes, "seed": self.seed,
            "bytes": sum(_length(frame) for frame in self.frames), "sha256": self.sha256,
        }  # fmt: skip

    def save(self, path: str | Path) -> None:
        """Write it for ``load``. Raises EdgeVisionError where the file cannot be written."""
        from edgevision.files import atomic_write

        atomic_write(path, self._write)

    def _write(self, file: BinaryIO) -> None:
        places = [_length(frame) for frame in self.frames]
        head = json.dumps({
            "name": self.name, "format": self.format, "seed": self.seed, "sha256": self.sha256,
            "sizes": [list(size) for size in self.sizes], "lengths": places,
        }).encode()  # fmt: skip
        file.write(_MAGIC + _LENGTH.pack(len(head)) + head)
        for frame in self.frames:
            file.write(bytes(-file.tell() % _ALIGNED))
            data = frame if isinstance(frame, bytes) else np.ascontiguousarray(frame).data
            file.write(data)


def load(path: str | Path, check: bool = True) -> Workload:
    """Read what ``Workload.save`` wrote. Pixels are mapped, not read, and cannot be written to.

    ``check``: whether the hash is compared, which reads all of it. Raises InputError for another or a damaged file.
    """
    try:
        with Path(path).open("rb") as file:
            data: Any = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise InputError(f"the workload {path} cannot be read ({error}); make it again") from None
    try:
        head, first = _read_head(data)
        frames, sizes = _map_frames(data, head, first)
        workload = Workload(head["name"], frames, sizes, head["format"], head["seed"], str(head["sha256"]))
    except (KeyError, TypeError, ValueError, struct.error) as error:
        raise InputError(f"{path} is no workload ({type(error).__name__}: {error}); make it again") from None
    if check and hash_frames(workload.frames, workload.sizes, workload.format) != workload.sha256:
        raise InputError(f"the workload {path} was altered: its hash is not what it says; make it again")
    return workload


def hash_frames(frames: Sequence[Any], sizes: Sequence[tuple[int, int]], format: str) -> str:
    """SHA-256, in hexadecimal, over the format, and each frame's size, length and bytes."""
    digest = hashlib.sha256(format.encode())
    for frame, (width, height) in zip(frames, sizes, strict=True):
        digest.update(f"\n{width}x{height}:{_length(frame)}\n".encode())
        digest.update(frame if isinstance(frame, bytes) else np.ascontiguousarray(frame).data)
    return digest.hexdigest()


def _read_head(data: Any) -> tuple[dict[str, Any], int]:
    if data[: len(_MAGIC)] != _MAGIC:
        raise ValueError(f"it begins with {bytes(data[: len(_MAGIC)])!r}")
    first = len(_MAGIC) + _LENGTH.size
    (length,) = _LENGTH.unpack(data[len(_MAGIC) : first])
    if length > _MAX_HEAD:
        raise ValueError(f"its head has {length} bytes")
    head = json.loads(data[first : first + length])
    if not isinstance(head, dict):
        raise TypeError("its head is no object")
    return head, first + length


def _map_frames(data: Any, head: dict[str, Any], place: int) -> tuple[list[Any], tuple[tuple[int, int], ...]]:
    frames: list[Any] = []
    sizes = tuple((int(width), int(height)) for width, height in head["sizes"])
    if not all(0 < side < MAX_SIDE for size in sizes for side in size):
        raise ValueError("a frame has a size that cannot be")
    for (width, height), length in zip(sizes, head["lengths"], strict=True):
        place += -place % _ALIGNED
        if not isinstance(length, int) or length < 1 or place + length > len(data):
            raise ValueError("it is cut short")
        if head["format"] == JPEG:
            frames.append(data[place : place + length])
        else:
            frames.append(np.frombuffer(data, np.uint8, length, place).reshape(height, width, 3))
        place += length
    return frames, sizes


def _is_picture(frame: Any) -> bool:
    return (
        isinstance(frame, np.ndarray)
        and frame.dtype == np.uint8
        and frame.ndim == 3
        and frame.shape[2] == 3
        and frame.size > 0
    )


def _length(frame: Any) -> int:
    return int(frame.nbytes) if isinstance(frame, np.ndarray) else len(frame)
