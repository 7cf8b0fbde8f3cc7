"""Which frames are asked, in which order: the same for every target of a round."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgevision.bench.scenarios.base import Nanoseconds

_AT_LEAST = 1024  # a shuffled list of a few frames is one that a target could learn


def order(frames: int, seed: int, at_least: int = _AT_LEAST) -> Nanoseconds:
    """Places of frames, int64 [n ≥ ``at_least``]: every frame once, shuffled, then all again in another order.

    No frame follows itself, unless there is one alone: a target that keeps its last answer would look quick.

    >>> sorted(order(3, seed=0)[:3].tolist())
    [0, 1, 2]
    """
    if frames < 1:
        raise ValueError(f"expected a workload with frames, got {frames}")
    rng = np.random.default_rng(seed)
    turns: list[Nanoseconds] = []
    for _ in range(-(-at_least // frames)):
        turn = rng.permutation(frames).astype(np.int64)
        if turns and frames > 1 and turn[0] == turns[-1][-1]:
            turn = np.roll(turn, 1 if frames > 2 else -1)
            if turn[0] == turns[-1][-1]:  # of two frames, or where the roll brought it back
                turn = turn[::-1].copy()
        turns.append(turn)
    return np.concatenate(turns)


def asked(places: Nanoseconds, n: int) -> Nanoseconds:
    """The frames of ``n`` requests that went through ``places`` again and again, int64 [n]."""
    return np.resize(places, n).astype(np.int64)


def batches(frames: list[Any], places: Nanoseconds, size: int) -> tuple[list[list[Any]], Nanoseconds]:
    """Batches of ``size`` frames as lists, and the places in them int64 [batches, size]. With fewer frames than ``size``, a batch
    holds some of them twice."""
    rows = -(-len(places) // size)
    table = np.resize(places, (rows, size)).astype(np.int64)
    return [[frames[place] for place in row] for row in table.tolist()], table


def never_seen(frame: Any, number: int) -> Any:
    """A copy of a frame that differs from every other one: in a few pixels of an array uint8 [H, W, 3], or in a comment in the
    bytes of a JPEG file. Its content is the same for a model, and new for a cache.

    ``number``: 0 ≤ number < 2³², another for each copy.
    """
    mark = number.to_bytes(4, "big")
    if isinstance(frame, (bytes, bytearray, memoryview)):
        data = bytes(frame)
        if data[:2] != b"\xff\xd8":
            raise ValueError("expected the bytes of a JPEG file, which begins with FF D8")
        return data[:2] + b"\xff\xfe\x00\x06" + mark + data[2:]  # COM: its length counts itself and what follows
    copy = np.array(frame)
    flat = copy.reshape(-1)
    # Two bits a byte: invisible, and enough for every number.
    bits = np.frombuffer(bytes((number >> shift) & 3 for shift in range(0, 32, 2)), np.uint8)
    places = np.linspace(0, flat.size - 1, len(bits)).astype(np.int64)
    flat[places] = (flat[places] & 0xFC) | bits
    return copy
