"""Weights of ONNX files that lie in files of their own, within bounds and never outside the model's folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from edgevision.compiler.sources.graph import MAX_PROTO
from edgevision.compiler.sources.parity import brief
from edgevision.errors import ModelFileError
from edgevision.files import is_lfs_pointer


def load_external_data(model: onnx.ModelProto, path: Path) -> None:
    """Load weights that lie in files beside the model into it: afterwards it needs no other file.

    "Beside" is the folder of ``path`` as it was given, then that of the file it is a link to: caches of Hugging Face lay
    out a model and its weights as links side by side, to files without names. Raises ModelFileError for weights that
    are not there, do not fit their tensor, or lie elsewhere.
    """
    folders = tuple(dict.fromkeys((path.absolute().parent, path.resolve().parent)))
    total = 0
    for tensor in all_tensors(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            del tensor.external_data[:]  # without a meaning there
            continue
        told = {entry.key: entry.value for entry in tensor.external_data}
        if len(told) != len(tensor.external_data):  # readers differ in which one they take
            raise ModelFileError(f"{path.name}: tensor {tensor.name!r} says twice where it lies: refused as hostile")
        location = told.get("location", "")
        if _is_outside(location):
            raise ModelFileError(
                f"{path.name}: tensor {tensor.name!r} points outside the model's folder ({location!r}): refused as hostile"
            )
        file = _find(location, folders, path.name)
        try:
            part = _Part.of(told, file)
            total += part.length
            if total > MAX_PROTO:
                raise ValueError("together its weights have more than 2 GiB, the most that a graph can hold")
            tensor.raw_data = part.read()
            tensor.data_location = onnx.TensorProto.DEFAULT
            del tensor.external_data[:]
            if len(numpy_helper.to_array(tensor).tobytes()) == 0 and np.prod(tensor.dims) > 0:
                raise ValueError("it is empty")
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            raise ModelFileError(
                f"{path.name}: the weights file {location!r} does not hold tensor {tensor.name!r} ({brief(error)}); "
                "copy both files again"
            ) from error


def all_tensors(message: Any) -> Iterator[onnx.TensorProto]:
    """Every tensor in a message, wherever it stands: weights, attributes, sub-graphs, functions, sparse tensors, …."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for part in (value,) if hasattr(value, "ListFields") else value:
            if isinstance(part, onnx.TensorProto):
                yield part
            else:
                yield from all_tensors(part)


@dataclass(frozen=True)
class _Part:
    """A stretch of a file, in bytes: known before any are read, for a file can be larger than memory."""

    file: Path
    offset: int
    length: int

    @classmethod
    def of(cls, told: dict[str, str], file: Path) -> _Part:
        offset = int(told.get("offset", 0))
        length = int(told["length"]) if "length" in told else file.stat().st_size - offset
        if offset < 0 or length < 0:
            raise ValueError(f"it would begin at byte {offset} and have {length} bytes")
        return cls(file, offset, length)

    def read(self) -> bytes:
        with self.file.open("rb") as stream:
            if is_lfs_pointer(stream.read(64)):
                raise ValueError("it is the pointer of Git LFS to one, and git lfs pull fetches it")
            stream.seek(self.offset)
            data = stream.read(self.length)
        if len(data) < self.length:
            raise ValueError(f"it ends after {len(data)} of {self.length} bytes")
        return data


def _is_outside(location: str) -> bool:
    parts = PurePosixPath(location).parts
    return not location or "\\" in location or "\0" in location or location.startswith("/") or ".." in parts


def _find(location: str, folders: tuple[Path, ...], name: str) -> Path:
    """The file that ``location`` names in the first of ``folders`` that has it, links resolved. Raises ModelFileError."""
    found = next((file for folder in folders if (file := folder / location).is_file()), None)
    if found is None:
        raise ModelFileError(
            f"{name} keeps its weights in {location!r}, which is not in {folders[0]}; put the file beside the model"
        )
    file = found.resolve()
    if not any(file.is_relative_to(folder.resolve()) for folder in folders):
        raise ModelFileError(f"{name}: {location!r} is a link out of the model's folder: refused as hostile")
    return file
