"""Which nodes of a detector's graph decode boxes, and so stay float in every int8 graph.

One scale over pixels (0…640) and scores (0…1) rounds every score to 0, and eight bits for a place in the picture are 2 or 3 pixels. By
the way that values go, never by names:

* what lies behind the last weights on every way to the outputs: sigmoid, softmax, anchors, concatenations;
* weights that only decode: those that follow a softmax directly, and no others after them. That is how a distance is
  read from a distribution (DFL): a convolution with the weights 0, 1, 2, …;
* what leads only to places, not to values: to the boxes of a RoiAlign, the grid of a GridSample, suppression, the
  choice of the best (TopK) and indices;
* the refinement of boxes from stage to stage, which goes through a logarithm (the inverse of a sigmoid).

The last convolutions themselves may be int8: whether they can is measured.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from edgevision.evaluate.base import NodeInfo

_WEIGHTED = frozenset({"Conv", "Gemm", "MatMul", "ConvTranspose"})
_ACTIVATIONS = frozenset({"Relu", "Clip"})
_MOVING = frozenset({"Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Split", "Slice", "Cast"})
# Inputs that are places and choices; None = all of them.
_PLACES: dict[str, tuple[int, ...] | None] = {
    "RoiAlign": (1, 2),
    "GridSample": (1,),
    "NonMaxSuppression": None,
    "TopK": None,
    "ArgMax": None,
    "NonZero": None,
    "Shape": None,
    "Gather": (1,),
    "GatherND": (1,),
    "GatherElements": (1,),
    "ScatterND": (1,),
    "ScatterElements": (1,),
}


def decoding_nodes(nodes: Sequence[NodeInfo]) -> frozenset[str]:
    """Names of the nodes that decode boxes. Nodes stand in the order in which the graph runs, as ONNX has them."""
    graph = _Graph(nodes)
    weights = graph.weighted - _only_decoding(graph)
    found = [place for place in _floating(graph, weights) if not graph.is_activation_of(place, weights)]
    return frozenset(graph.nodes[place].name for place in found if graph.nodes[place].name)


class _Graph:
    """The nodes with what reads what; a node is its place in the list."""

    def __init__(self, nodes: Sequence[NodeInfo]) -> None:
        self.nodes = list(nodes)
        self.producer = {name: place for place, node in enumerate(nodes) for name in node.outputs if name}
        self.readers: dict[int, list[tuple[int, bool]]] = defaultdict(list)  # (reader, whether as a place)
        self.constant = self._constants()
        for place, node in enumerate(nodes):
            places = _PLACES.get(node.operator, ())
            for index, name in enumerate(node.inputs):
                if name in self.producer:
                    as_place = places is None or index in places
                    self.readers[self.producer[name]].append((place, as_place))
        self.weighted = frozenset(place for place in range(len(nodes)) if self._is_weighted(place))

    def _constants(self) -> frozenset[str]:
        """Values that no picture changes, of those that nodes make."""
        found: set[str] = set()
        for node in self.nodes:
            made = [name for name in node.inputs if name in self.producer]
            starts = node.operator in ("Constant", "ConstantOfShape")
            if starts or (made and len(made) == len([n for n in node.inputs if n]) and found.issuperset(made)):
                found.update(node.outputs)
        return frozenset(found)

    def is_constant(self, name: str) -> bool:
        """Whether the value is a weight: nothing makes it (the picture is no second input), or only constants do."""
        return name not in self.producer or name in self.constant

    def _is_weighted(self, place: int) -> bool:
        node = self.nodes[place]
        return node.operator in _WEIGHTED and len(node.inputs) > 1 and self.is_constant(node.inputs[1])

    def data_source(self, place: int) -> int | None:
        """The node that makes a node's first input."""
        return self.producer.get(self.nodes[place].inputs[0]) if self.nodes[place].inputs else None

    def is_activation_of(self, place: int, weights: frozenset[int]) -> bool:
        """Whether the node is the activation of a weighted one: it runs in int8 with that."""
        return self.nodes[place].operator in _ACTIVATIONS and self.data_source(place) in weights

    def is_softplus(self, place: int) -> bool:
        """Whether a logarithm is that of 1 + exp(x): an activation such as Mish, written out."""
        added = self.data_source(place)
        if added is None or self.nodes[added].operator != "Add":
            return False
        terms = [self.producer[name] for name in self.nodes[added].inputs if name in self.producer]
        return any(self.nodes[term].operator == "Exp" for term in terms)

    def leading(self, ends: Callable[[int], bool], through: Callable[[int], bool] = lambda _: True) -> set[int]:
        """The nodes from which values, not places, reach a node that ``ends``, by nodes that may be gone ``through``."""
        found: set[int] = set()
        for place in reversed(range(len(self.nodes))):
            if any(
                not as_place and (ends(reader) or (reader in found and through(reader)))
                for reader, as_place in self.readers[place]
            ):
                found.add(place)
        return found


def _only_decoding(graph: _Graph) -> frozenset[int]:
    """Weighted nodes behind a softmax, with nothing but movement between, that lead to no other weights."""
    behind = {place for place in graph.weighted if _follows_softmax(graph, place)}
    before_others = graph.leading(lambda place: place in graph.weighted - behind)
    return frozenset(behind - before_others)


def _follows_softmax(graph: _Graph, place: int) -> bool:
    source = graph.data_source(place)
    while source is not None and graph.nodes[source].operator in _MOVING:
        source = graph.data_source(source)
    return source is not None and graph.nodes[source].operator == "Softmax"


def _floating(graph: _Graph, weights: frozenset[int]) -> set[int]:
    """Everything but the ``weights`` and what leads from weights to weights."""
    useful = graph.leading(lambda place: place in weights)
    return (set(range(len(graph.nodes))) - useful - weights) | _refining(graph, weights)


def _refining(graph: _Graph, weights: frozenset[int]) -> set[int]:
    """The nodes around a logarithm, up to the next weights on both sides."""
    logarithms = {
        place for place, node in enumerate(graph.nodes) if node.operator == "Log" and not graph.is_softplus(place)
    }
    before = graph.leading(lambda place: place in logarithms, lambda place: place not in weights)
    after: set[int] = set(logarithms)
    for place in range(len(graph.nodes)):
        if place in after:
            after.update(reader for reader, as_place in graph.readers[place] if not as_place and reader not in weights)
    return (before | after) - weights
