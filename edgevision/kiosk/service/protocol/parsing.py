"""The body of an ``infer`` request → what is asked for. Every count and length is checked before anything is made of its size."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.kiosk.service.protocol.datatypes import (
    BYTES,
    DATATYPES,
    from_bytes,
    from_json,
    texts_from_bytes,
    texts_from_json,
)
from edgevision.kiosk.service.protocol.signature import Port, Signature

MAX_TEXT = 256  # characters of an id
_MAX_DIGITS = 400  # of a whole number: more than any datatype holds
_MOST_LISTED = 64


@dataclass(frozen=True, eq=False)
class Asked:
    """An ``infer`` request. One of ``tensor`` [n, …] and ``pictures``, encoded ones, is what the model is to see. ``outputs``: names, with whether
    each is to come as binary data; in the order of the answer."""

    id: str | None
    tensor: npt.NDArray[Any] | None
    pictures: tuple[bytes, ...]
    outputs: tuple[tuple[Port, bool], ...]


def parse(body: bytes, json_length: int | None, signature: Signature) -> Asked:
    """``json_length``: of the JSON at the beginning of the body, as the header ``Inference-Header-Content-Length`` says; None: all of it.

    Raises InputError for whatever is not as the protocol and the model want it.
    """
    if json_length is not None and json_length > len(body):
        raise InputError(f"Inference-Header-Content-Length is {json_length}, the body has {len(body)} bytes")
    binary = memoryview(body)[len(body) if json_length is None else json_length :]
    request = _object(_read_json(body if json_length is None else body[:json_length]), "the request")
    id = request.get("id")
    if id is not None and not (isinstance(id, str) and len(id) <= MAX_TEXT):
        raise InputError(f"id is a text of at most {MAX_TEXT} characters")
    parameters = _object(_given(request, "parameters", {}), "parameters")
    tensor, pictures = _input(request.get("inputs"), binary, signature)
    return Asked(id, tensor, pictures, _outputs(request.get("outputs"), parameters, signature))


def _read_json(text: bytes) -> Any:
    def refuse(constant: str) -> Any:
        raise InputError(f"{constant} is no JSON")

    try:
        return json.loads(text, parse_constant=refuse, **_GUARDS)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:  # also of texts that are no UTF-8
        what = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputError(f"the request is no JSON: {what[:200]}") from None


def _whole(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise InputError(f"a number of {len(digits)} digits is no number of any datatype")
    return int(digits)


# Python refuses endless digits by itself since 3.10.7; a function of ours for each number would cost ten times as much.
_GUARDS: dict[str, Any] = {} if hasattr(sys, "get_int_max_str_digits") else {"parse_int": _whole}


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{what} is a JSON object, got {type(value).__name__}")
    return value


def _given(values: dict[str, Any], name: str, default: Any) -> Any:
    """A field that may be left out, or null, as some clients write it."""
    value = values.get(name)
    return default if value is None else value


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list) or len(value) > _MOST_LISTED:
        raise InputError(f"{what} is a list of at most {_MOST_LISTED} objects")
    return value


def _input(inputs: Any, binary: memoryview, signature: Signature) -> tuple[npt.NDArray[Any] | None, tuple[bytes, ...]]:
    """The one input, and no byte left over."""
    port = signature.input
    given = [_object(one, "an input") for one in _list(inputs, "inputs")]
    names = [one.get("name") for one in given]
    if names != [port.name]:
        raise InputError(
            f"expected one input, '{port.name}', got {len(names)}: {', '.join(str(name)[:80] for name in names)}"
        )
    one = given[0]
    datatype = one.get("datatype")
    allowed = tuple(dict.fromkeys((port.datatype, BYTES)))
    if datatype not in allowed:
        known = "" if datatype in DATATYPES else ", which the protocol does not know"
        raise InputError(f"input '{port.name}' is {' or '.join(allowed)}, got {str(datatype)[:80]!r}{known}")
    as_pictures = datatype == BYTES
    shape = _shape(one.get("shape"), (-1,) if as_pictures else port.shape, signature, as_pictures)
    size = _object(_given(one, "parameters", {}), "parameters of an input").get("binary_data_size")
    if size is None:
        if len(binary):
            raise InputError(f"{len(binary)} bytes follow the JSON, and no input has binary_data_size")
        data = one.get("data")
        if as_pictures:
            return None, tuple(texts_from_json(data, shape))
        return from_json(data, datatype, shape), ()
    if one.get("data") is not None:
        raise InputError(f"input '{port.name}' has data and binary_data_size; give one of them")
    if isinstance(size, bool) or not isinstance(size, int) or size != len(binary):
        raise InputError(
            f"binary_data_size of input '{port.name}' is {str(size)[:40]}, {len(binary)} bytes follow the JSON"
        )
    if as_pictures:
        return None, tuple(texts_from_bytes(binary, shape[0]))
    return from_bytes(binary, datatype, shape), ()


def _shape(shape: Any, expected: tuple[int, ...], signature: Signature, as_pictures: bool) -> tuple[int, ...]:
    told = [signature.max_items if side == -1 else side for side in expected]
    told[0:1] = []
    text = ", ".join(("n", *map(str, told)))
    if not isinstance(shape, list) or any(isinstance(side, bool) or not isinstance(side, int) for side in shape):
        raise InputError(f"shape is a list of whole numbers, [{text}]")
    sides = tuple(shape)
    if as_pictures and len(sides) == 2 and sides[1] == 1:  # a client that counts a text as a dimension
        sides = sides[:1]
    fits = len(sides) == len(expected) and all(want in (-1, side) for side, want in zip(sides, expected, strict=True))
    if not fits:
        raise InputError(f"expected shape [{text}] for input '{signature.input.name}', got {str(shape)[:120]}")
    if not 1 <= sides[0] <= signature.max_items:
        raise InputError(f"expected 1…{signature.max_items} items in a request, got {str(sides[0])[:40]}")
    if math.prod(sides[1:]) < 1:
        raise InputError(f"expected a shape without zeros, got {str(shape)[:120]}")
    return sides


def _outputs(outputs: Any, parameters: dict[str, Any], signature: Signature) -> tuple[tuple[Port, bool], ...]:
    all_binary = _flag(parameters, "binary_data_output", False)
    if outputs is None:
        return tuple((port, all_binary) for port in signature.outputs)
    known = {port.name: port for port in signature.outputs}
    asked: dict[str, tuple[Port, bool]] = {}
    for one in (_object(one, "an output") for one in _list(outputs, "outputs")):
        name = one.get("name")
        if not isinstance(name, str) or name not in known:
            raise InputError(f"outputs are {', '.join(known)}, got {str(name)[:80]!r}")
        if name in asked:
            raise InputError(f"output '{name}' is asked for twice")
        own = _object(_given(one, "parameters", {}), "parameters of an output")
        if own.get("classification"):
            raise InputError(
                "classification is an extension that is not served; POST the picture to /v1/recognise instead"
            )
        asked[name] = (known[name], _flag(own, "binary_data", all_binary))
    return tuple(asked.values()) or tuple((port, all_binary) for port in signature.outputs)


def _flag(parameters: dict[str, Any], name: str, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise InputError(f"{name} is true or false, got {str(value)[:40]!r}")
    return value
