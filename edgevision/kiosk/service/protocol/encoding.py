"""What a model gave → the body of an ``infer`` answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from edgevision.errors import EngineError
from edgevision.kiosk.service.answers import finite
from edgevision.kiosk.service.protocol.datatypes import BYTES, texts_to_bytes, to_bytes, to_json
from edgevision.kiosk.service.protocol.parsing import Asked
from edgevision.kiosk.service.protocol.signature import Port


class Encoded(NamedTuple):
    """``json_length``: of the JSON at the beginning of ``body``; None where that is all."""

    body: bytes
    json_length: int | None


def encode(asked: Asked, answers: Sequence[Any], model_name: str, model_version: str) -> Encoded:
    """``answers``: of each item, in their order: outputs by name, or of a cascade its result. Raises InputError for what JSON cannot hold."""
    outputs: list[dict[str, Any]] = []
    parts: list[bytes] = []
    for port, is_binary in asked.outputs:
        shape, data, raw = _output(port, is_binary, answers)
        told: dict[str, Any] = {"name": port.name, "datatype": port.datatype, "shape": shape}
        if is_binary:
            told["parameters"] = {"binary_data_size": len(raw)}
            parts.append(raw)
        else:
            told["data"] = data
        outputs.append(told)
    answer: dict[str, Any] = {"model_name": model_name, "model_version": model_version}
    if asked.id is not None:
        answer["id"] = asked.id
    answer["outputs"] = outputs
    head = json.dumps(answer, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")
    return Encoded(b"".join((head, *parts)), len(head) if parts else None)


def _output(port: Port, is_binary: bool, answers: Sequence[Any]) -> tuple[list[int], list[Any], bytes]:
    """Shape, and the data in the form that is asked for; the other form is empty."""
    if port.datatype == BYTES:
        texts = [json.dumps(finite(one.to_dict()), ensure_ascii=False) for one in answers]
        raw = texts_to_bytes(text.encode("utf-8", "replace") for text in texts) if is_binary else b""
        return [len(texts)], [] if is_binary else texts, raw
    each = [one[port.name] for one in answers]
    if len({array.shape for array in each}) > 1:
        raise EngineError(f"output '{port.name}' has another shape for each item; send them one by one")
    tensor = np.stack(each)
    shape = [int(side) for side in tensor.shape]
    if is_binary:
        return shape, [], to_bytes(tensor)
    return shape, to_json(tensor, port.name), b""
