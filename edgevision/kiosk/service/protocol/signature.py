"""What a model takes and gives, in the protocol's words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgevision.kiosk.service.protocol.datatypes import BYTES, NAMES
from edgevision.kiosk.service.versions import ServedVersion
from edgevision.tensors import TensorInfo

PLATFORM = "edgevision_bundle"
PICTURES = "image"  # the input of a cascade, and
RESULTS = "result"  # its output: it has no tensors of its own


@dataclass(frozen=True)
class Port:
    """One input or output. ``shape``: the first axis, the items, is -1, and so is every other that may vary."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """As the protocol tells it."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}


@dataclass(frozen=True)
class Signature:
    """``input``: what a request brings. ``outputs``: what may be asked for. ``max_items``: in one request. ``is_pictures``: whether the input
    is encoded pictures alone; else it is the tensor that ``preprocess`` makes, or, as BYTES in its place, encoded pictures."""

    input: Port
    outputs: tuple[Port, ...]
    max_items: int
    is_pictures: bool = False


def signature_of(version: ServedVersion) -> Signature:
    """Of the network as it is; of a cascade: pictures in, results as JSON out."""
    if version.input is None:
        return Signature(Port(PICTURES, BYTES, (-1,)), (Port(RESULTS, BYTES, (-1,)),), version.max_items, True)
    return Signature(_port(version.input), tuple(_port(one) for one in version.outputs), version.max_items)


def _port(tensor: TensorInfo) -> Port:
    return Port(tensor.name, NAMES[tensor.dtype], tuple(-1 if side is None else side for side in tensor.shape))
