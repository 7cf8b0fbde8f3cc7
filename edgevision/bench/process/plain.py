"""The harness's dataclasses as messages, and back: identity, answers, scenario, block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from edgevision.bench.process.messages import Array, Message
from edgevision.bench.scenarios.base import Block, Counters, Scenario
from edgevision.bench.targets.base import Answer, Identity

_BLOCK_ARRAYS = {
    "latency_ns": np.int64,
    "frames": np.int64,
    "switched": np.bool_,
    "due_ns": np.int64,
    "streams": np.int64,
}
_BLOCK_COUNTS = ("dropped", "offered", "wrong")  # tuples of int, which may be long: sent as arrays
_STAGE = "stage:"
_TENSOR = "tensor:"


def identity_to_plain(identity: Identity) -> dict[str, Any]:
    """JSON values of an identity."""
    plain = asdict(identity)
    return {
        **plain,
        "versions": dict(identity.versions),
        "notes": list(identity.notes),
        "input_shape": list(identity.input_shape),
    }


def identity_from_plain(plain: Mapping[str, Any]) -> Identity:
    """Back again. Raises TypeError, KeyError or ValueError for what is none."""
    return Identity(
        kind=str(plain["kind"]), file=str(plain["file"]), sha256=str(plain["sha256"]), bytes=int(plain["bytes"]),
        task=str(plain["task"]), precision=str(plain["precision"]), engine=str(plain["engine"]),
        provider=str(plain["provider"]), threads=int(plain["threads"]),
        input_shape=tuple(int(side) for side in plain["input_shape"]),
        versions={str(name): str(version) for name, version in plain["versions"].items()},
        notes=tuple(str(note) for note in plain["notes"]),
    )  # fmt: skip


def scenario_to_plain(scenario: Scenario) -> dict[str, Any]:
    """JSON values of a scenario."""
    return {"name": scenario.name, "parameters": dict(scenario.parameters), "seed": scenario.seed}


def scenario_from_plain(plain: Mapping[str, Any]) -> Scenario:
    """Back again."""
    return Scenario(str(plain["name"]), dict(plain["parameters"]), int(plain["seed"]))


def answers_to_message(answers: Sequence[Answer]) -> Message:
    """All answers in one message."""
    arrays: dict[str, Array] = {}
    for place, answer in enumerate(answers):
        arrays[f"{place}:classes"] = np.asarray(answer.classes, np.int64)
        arrays[f"{place}:scores"] = np.asarray(answer.scores, np.float64)
        if answer.boxes is not None:
            arrays[f"{place}:boxes"] = np.asarray(answer.boxes, np.float64).reshape(-1, 4)
        for name, tensor in answer.tensors.items():
            arrays[f"{place}:{_TENSOR}{name}"] = np.asarray(tensor, np.float64).reshape(-1)
    return Message({"is": "answers", "count": len(answers)}, arrays)


def answers_from_message(message: Message) -> list[Answer]:
    """Back again. Raises KeyError where one is missing."""
    found: list[dict[str, Array]] = [{} for _ in range(int(message.head["count"]))]
    for key, array in message.arrays.items():
        place, _, name = key.partition(":")
        found[int(place)][name] = array
    return [_answer_of(parts) for parts in found]


def block_to_message(block: Block) -> Message:
    """A block with all of its samples."""
    head = {
        "is": "block", "target": block.target, "scenario": scenario_to_plain(block.scenario), "round": block.round,
        "began_ns": block.began_ns, "wall_ns": block.wall_ns, "counters": asdict(block.counters),
    }  # fmt: skip
    arrays: dict[str, Array] = {name: np.asarray(getattr(block, name), dtype) for name, dtype in _BLOCK_ARRAYS.items()}
    arrays |= {name: np.asarray(getattr(block, name), np.int64).reshape(-1) for name in _BLOCK_COUNTS}
    arrays |= {f"{_STAGE}{name}": np.asarray(times, np.int64) for name, times in block.stages.items()}
    return Message(head, arrays)


def block_from_message(message: Message) -> Block:
    """Back again. Raises KeyError, TypeError or ValueError for what is none."""
    head, arrays = message.head, message.arrays
    for name, dtype in _BLOCK_ARRAYS.items():
        if arrays[name].dtype != dtype or arrays[name].ndim != 1:
            raise ValueError(f"{name} of a block is {arrays[name].dtype} of {arrays[name].ndim} axes")
    counters = {one.name: head["counters"][one.name] for one in fields(Counters)}
    stages = {key.removeprefix(_STAGE): times for key, times in arrays.items() if key.startswith(_STAGE)}
    return Block(
        target=str(head["target"]), scenario=scenario_from_plain(head["scenario"]), round=int(head["round"]),
        began_ns=int(head["began_ns"]), wall_ns=int(head["wall_ns"]), latency_ns=arrays["latency_ns"],
        frames=arrays["frames"], switched=arrays["switched"], due_ns=arrays["due_ns"], stages=stages,
        streams=arrays["streams"], dropped=_ints(arrays["dropped"]), offered=_ints(arrays["offered"]),
        wrong=_ints(arrays["wrong"]), counters=Counters(**counters),
    )  # fmt: skip


def _answer_of(parts: Mapping[str, Array]) -> Answer:
    tensors = {key.removeprefix(_TENSOR): array for key, array in parts.items() if key.startswith(_TENSOR)}
    return Answer(parts["classes"], parts["scores"], parts.get("boxes"), tensors)


def _ints(array: Array) -> tuple[int, ...]:
    return tuple(int(value) for value in array)
