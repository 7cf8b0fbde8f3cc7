"""Memory that engines take while a node runs, beside what it reads and makes: a rule for each kind that takes much.

Estimates for ONNX Runtime: ConvTranspose and ConvInteger as measured (+613 and +300 MB came as foretold), the others by how
such operators are usually computed. What other engines take was not measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from edgevision.engines.graph_reader import Node
from edgevision.engines.graph_shapes import Inputs, Shape, einsum_sides, shape_of

_MANY_AXES = 3  # convolutions over more than these unfold the picture whole, others a part at a time


def scratch_of(node: Node, inputs: Inputs, made: Sequence[Shape]) -> int:
    """Elements of 4 bytes. The shapes fit each other: the node's rule in ``graph_shapes`` has made ``made`` of them."""
    rule = _RULES.get(node.op_type)
    return rule(node, inputs, made[0]) if rule else 0


def _unfolded(weight_index: int, bytes_each: int, least_channels: int = 1) -> Callable[[Node, Inputs, Shape], int]:
    """The window of each output element, copied one beside the other."""

    def rule(node: Node, inputs: Inputs, made: Shape) -> int:
        batch, channels = shape_of(inputs, 0)[:2]
        kernel = shape_of(inputs, weight_index)[2:]
        return batch * max(channels, least_channels) * math.prod(kernel) * math.prod(made[2:]) * bytes_each // 4

    return rule


def _conv(node: Node, inputs: Inputs, made: Shape) -> int:
    return _unfolded(1, 4)(node, inputs, made) if len(made) > 2 + _MANY_AXES else 0


def _conv_transpose(node: Node, inputs: Inputs, made: Shape) -> int:
    """The window that each input element gives, before they are added up."""
    batch, _, *spatial = shape_of(inputs, 0)
    return math.prod((batch, made[1], *spatial, *shape_of(inputs, 1)[2:]))


def _einsum(node: Node, inputs: Inputs, made: Shape) -> int:
    """Both operands and the product, with their axes in another order."""
    operands, _, sides = einsum_sides(node, inputs)
    return sum(math.prod(sides[letter] for letter in term) for term in operands) + math.prod(made)


def _recurrent(node: Node, inputs: Inputs, made: Shape) -> int:
    """All gates of all steps, and the sequence and what is made of it backwards."""
    steps, batch, width = shape_of(inputs, 0)
    directions, gates, _ = shape_of(inputs, 1)
    return steps * batch * (directions * gates + width) + math.prod(made)


_RULES: dict[str, Callable[[Node, Inputs, Shape], int]] = {
    "Conv": _conv,
    "ConvInteger": _unfolded(1, 1),
    "ConvTranspose": _conv_transpose,
    "Einsum": _einsum,
    "GRU": _recurrent,
    "LSTM": _recurrent,
    "QLinearConv": _unfolded(3, 1, least_channels=8),  # or a pointer of 8 bytes to each row of channels
    "RNN": _recurrent,
}
