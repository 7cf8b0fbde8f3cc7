"""A task as a user would bring one: where the light in a photo is, and what colour it has.

The network has two outputs: ``levels`` [n, 3], the means of red, green and blue in points (percent of full), and ``center``
[n, 2], the light's centre of mass (x, y) in the tensor's pixels. Both are known by construction, and a photo's file name
says them. The metric is a mean over photos with a bootstrap interval: nothing here is a share of right answers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgevision.errors import EngineError, InputError, UnreadableOutputError
from edgevision.evaluate.base import Fit, GoldenWorth, NodeInfo
from edgevision.evaluate.page.html import Section, Table, html_page
from edgevision.evaluate.registry import register_evaluator
from edgevision.evaluate.statistics.paired import PairedComparison
from edgevision.preprocess.spec import Fit as Fitting
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.base import GoldenResult, OutputRole, TaskSpec, number
from edgevision.tasks.registry import TaskType, register_task
from edgevision.tasks.results import FrameId, Label, Timing

KIND = "light"
COLORS = ("red", "green", "blue")
LABELS = tuple(Label(10 * i, name) for i, name in enumerate(COLORS))
SPEC = PreprocessSpec(16, 24, fit=Fitting.LETTERBOX, pad_value=0, mean=(0.0,) * 3, std=(255.0,) * 3)
SCALE = 2  # of the photos: 32×48 pixels for a tensor of 16×24, so that nothing is padded
WIDTHS = {"levels": 3, "center": 2}


# ---- the half in the runtime ----


@dataclass(frozen=True)
class Light:
    """What a photo shows. ``levels``: points by colour; ``x``, ``y``: of the light's centre, in the frame's pixels."""

    levels: Mapping[str, float]
    x: float
    y: float
    timing: Timing
    frame: FrameId

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class LightTask:
    def __init__(self, spec: TaskSpec) -> None:
        self.spec = spec
        self.gain = number(spec.parameters, "gain", 1.0, 0.5, 2.0)
        self.names = {role: spec.output(role).name for role in WIDTHS}
        if len(spec.labels) != 3:
            raise InputError(f"light has three colours, got {len(spec.labels)} labels")

    def check(self, outputs):
        found = {output.name: output.shape[1:] for output in outputs}
        expected = {self.names[role]: (width,) for role, width in WIDTHS.items()}
        if found != expected:
            raise EngineError(f"expected outputs {expected}, got {found}; export the network with these two")

    def digest(self, outputs):
        made = {role: np.asarray(outputs[name], np.float32) for role, name in self.names.items()}
        if not all(np.isfinite(array).all() for array in made.values()):
            raise UnreadableOutputError("light: an output holds NaN or infinity")
        return made

    def decode(self, outputs, views, timing):
        digest = self.digest(outputs)
        found = []
        for levels, center, view in zip(digest["levels"], digest["center"], views, strict=True):
            x, y = view.to_frame(center).tolist()
            named = {label.name: self.gain * float(v) for label, v in zip(self.spec.labels, levels, strict=True)}
            found.append(Light(named, x, y, replace(timing, decode_ms=0.0), view.frame))
        return found

    def compare(self, reference, stored, now, *, same_device):
        allowed = 0.05 if same_device else 5.0
        worst = max(float(np.abs(now[role] - stored[role]).max()) for role in WIDTHS)
        return GoldenResult(worst <= allowed, worst, f"light differs by {worst:.3g}, {allowed:g} is allowed")


def light_spec(names: Mapping[str, str], labels: Sequence[Label] = LABELS, **parameters: float) -> TaskSpec:
    layouts = {"levels": "points", "center": "pixels"}
    return TaskSpec(
        KIND, tuple(labels), tuple(OutputRole(role, names[role], layouts[role]) for role in WIDTHS), parameters
    )


def resolve(facts):
    """By name, else by shape; what fits twice is refused."""
    labels, found = facts.labels, {output.name: output for output in facts.outputs}
    if set(found) == set(WIDTHS):
        return light_spec({role: role for role in WIDTHS}, labels)
    fits = {role: [name for name, o in found.items() if o.shape[1:] == (width,)] for role, width in WIDTHS.items()}
    if len(found) != 2 or any(len(names) != 1 for names in fits.values()):
        raise InputError(
            f"light has an output [n, 3] and one [n, 2]; these could be meant: {fits}. Name them {list(WIDTHS)}"
        )
    return light_spec({role: names[0] for role, names in fits.items()}, labels)


TASK = TaskType(KIND, LightTask, resolve)


# ---- the half in the tools ----


@dataclass(frozen=True, eq=False)
class LightScores:
    closeness: np.ndarray  # [n], points: 100 where levels and centre are right
    color: np.ndarray  # [n], the true strongest colour

    def __len__(self) -> int:
        return len(self.closeness)


@dataclass(frozen=True)
class ColorLoss:
    name: str
    n: int
    points: float

    @property
    def share(self) -> float:
        return self.points / 100

    def exceeds(self, max_points: float) -> bool:
        return self.n >= 5 and self.points > max_points

    def sentence(self) -> str:
        return f"{self.name} photos lose {self.points:.2f} points of closeness"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, eq=False)
class LightEvaluation:
    name: str
    evaluator: LightEvaluator
    scores: LightScores

    def rows(self):
        return [("photos", str(len(self.scores))), ("closeness", f"{self.evaluator.value(self.scores):.2f} points")]

    def tables(self):
        return []

    def to_dict(self):
        return {"model": self.name, "closeness": self.evaluator.value(self.scores)}


class LightEvaluator:
    metric = "closeness"
    unit = "points of closeness"

    def __init__(self, spec: TaskSpec) -> None:
        self.task = LightTask(spec)

    # A truth is a tuple: three levels in points, and the centre in the tensor's pixels.
    def truth(self, dataset):
        return [_truth_in(photo.path) for photo in dataset.photos]

    def pseudo_truth(self, digest):
        return [(*map(float, levels), *map(float, center)) for levels, center in self._pairs(digest)]

    def classes(self, truth):
        return (int(np.argmax(truth[:3])),)

    def divergence(self, reference, other):
        return float(sum(np.abs(reference[role] - other[role]).mean() for role in WIDTHS))

    def scores(self, digest, truth):
        expected = np.array(truth, np.float64).reshape(len(truth), 5)
        levels = np.abs(self.task.gain * digest["levels"] - expected[:, :3]).mean(axis=1)
        distance = np.hypot(*(digest["center"] - expected[:, 3:]).T)
        return LightScores(np.maximum(0.0, 100 - levels - distance), expected[:, :3].argmax(axis=1))

    def value(self, scores):
        return float(scores.closeness.mean())

    def calibration_error(self, scores):
        return None

    def paired(self, reference, other, confidence=0.95, seed=0):
        """Bootstrap over photos."""
        drops = reference.closeness - other.closeness
        draws = np.random.default_rng(seed).integers(0, len(drops), (2000, len(drops)))
        low, high = np.quantile(drops[draws].mean(axis=1), [(1 - confidence) / 2, (1 + confidence) / 2])
        return PairedComparison(
            len(drops), self.value(reference), self.value(other), float(drops.mean()), int((drops > 1).sum()),
            int((drops < -1).sum()), (float(low), float(high)), confidence,
        )  # fmt: skip

    def group_losses(self, reference, other):
        drops = reference.closeness - other.closeness
        mine = {label.name: drops[reference.color == place] for place, label in enumerate(self.task.spec.labels)}
        losses = [ColorLoss(name, len(some), float(some.mean())) for name, some in mine.items() if len(some)]
        return sorted(losses, key=lambda loss: -loss.points)

    def fit(self, reference, own, truth, in_training_set, true_accept_rate):
        """A factor that brings the variant's levels nearest to float's."""
        a, b = reference["levels"].ravel(), own["levels"].ravel()
        return Fit({"gain": float(np.clip((a @ b) / (b @ b), 0.5, 2.0))}, f"gain fitted on {len(truth)} photos")

    def float_nodes(self, nodes: Sequence[NodeInfo]):
        """Everything between the last convolution and the centre: its sums are of hundreds of pixels."""
        made_by = {name: node for node in nodes for name in node.outputs}
        found, left = set(), [self.task.names["center"]]
        while left:
            node = made_by.get(left.pop())
            if node is not None and node.operator != "Conv" and node.name not in found:
                found.add(node.name)
                left += node.inputs
        return frozenset(found)

    def golden_worth(self, digest):
        levels = np.sort(digest["levels"], axis=1)
        return GoldenWorth(
            levels[:, 2] - levels[:, 1] > 5, np.clip(levels[:, 2] / 100, 0, 1), digest["levels"].argmax(axis=1)
        )

    def sections(self, reference, others, chosen=None, max_points=3.0):
        rows = tuple(
            (f"{name}{' (chosen)' if name == chosen else ''}", loss.name, loss.points, loss.exceeds(max_points))
            for name, own in others.items()
            for loss in self.group_losses(reference, own)
        )
        return (Section("Colours", (Table(("variant", "colour", "points lost", "too much"), rows),)),)

    def evaluate(self, name, digest, truth, ood):
        return LightEvaluation(name, self, self.scores(digest, truth))

    def page(self, evaluations, paired):
        rows = tuple((one.name, self.value(one.scores)) for one in evaluations)
        return html_page("Light", [Section("Closeness", (Table(("model", "closeness"), rows),))], "")

    def _pairs(self, digest):
        return zip(self.task.gain * digest["levels"], digest["center"], strict=True)


def make_evaluator(spec: TaskSpec, preprocess: PreprocessSpec | None = None) -> LightEvaluator:
    return LightEvaluator(spec)


def register() -> None:
    register_task(TASK)
    register_evaluator(KIND, make_evaluator)


# ---- photos and networks ----


def picture(color: int, seed: int) -> np.ndarray:
    """32×48 BGR: a dark photo with a light of one colour in it, in blocks of the tensor's pixels, so that no filter
    matters."""
    rng = np.random.default_rng(1000 * color + seed)
    small = rng.integers(0, 25, (SPEC.height, SPEC.width, 3))
    y, x = rng.integers(1, SPEC.height - 5), rng.integers(1, SPEC.width - 5)
    small[y : y + 4, x : x + 4, 2 - color] += rng.integers(150, 230)
    return np.kron(small, np.ones((SCALE, SCALE, 1), int)).astype(np.uint8)


def answer_of(image: np.ndarray) -> tuple[float, ...]:
    """Levels and centre of a picture, in the tensor's pixels, from their definitions."""
    pixels = image[::SCALE, ::SCALE, ::-1].astype(np.float64) / 255
    light = pixels.mean(axis=2)
    x = (light.sum(axis=0) * (np.arange(SPEC.width) + 0.5)).sum() / light.sum()
    y = (light.sum(axis=1) * (np.arange(SPEC.height) + 0.5)).sum() / light.sum()
    return (*(100 * pixels.mean(axis=(0, 1))).tolist(), float(x), float(y))


def write_photos(folder: Path, count: int, *, labelled: bool = True) -> Path:
    """``count`` photos of each colour; the file names say what they show, or nothing."""
    from edgevision.decode import encode_png

    folder.mkdir(parents=True)
    for color in range(3):
        for seed in range(count):
            image = picture(color, seed)
            said = "_".join(f"{value:.4f}" for value in answer_of(image))
            (folder / (f"{said}_.png" if labelled else f"{color}-{seed}.png")).write_bytes(encode_png(image))
    return folder


def _truth_in(path: Path) -> tuple[float, ...] | None:
    found = re.fullmatch(r"((?:[\d.]+_){5})", path.stem)
    return None if found is None else tuple(float(value) for value in found[1].rstrip("_").split("_"))


def network(flaws: int = 0) -> bytes:
    """The network as an ONNX file, written by hand. ``flaws``: pairs of layers whose outputs differ between photos by less
    than an int8 step."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    height, width = SPEC.height, SPEC.width
    y, x = np.mgrid[:height, :width] + 0.5
    moments = np.stack([x.ravel(), y.ravel(), np.ones(height * width)], axis=1) / (height * width)
    stem = np.zeros((3, 3, 3, 3))
    stem[range(3), range(3), 1, 1] = 1
    weights = {
        "stem.weight": stem, "head.weight": 100 * np.eye(3), "luma.weight": np.full((1, 3, 1, 1), 1 / 3),
        "moments.weight": moments, "eye": np.eye(3).reshape(3, 3, 1, 1),
        "up": np.full(3, 3000.0), "down": np.full(3, -3000.0),
    }  # fmt: skip
    nodes = [helper.make_node("Conv", ["input", "stem.weight"], ["s0"], "stem", pads=[1] * 4)]
    for i in range(2 * flaws):
        lift = ["up", "down"][i % 2]
        nodes.append(helper.make_node("Conv", [f"s{i}", "eye", lift], [f"s{i + 1}"], f"lift{i}"))
    last = f"s{2 * flaws}"
    nodes += [
        helper.make_node("Relu", [last], ["r"], "relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["pooled"], "pool"),
        helper.make_node("Flatten", ["pooled"], ["means"], "flatten"),
        helper.make_node("MatMul", ["means", "head.weight"], ["levels"], "head"),
        helper.make_node("Conv", ["r", "luma.weight"], ["luminance"], "luma"),
        helper.make_node("Flatten", ["luminance"], ["pixels"], "flatten_pixels"),
        helper.make_node("MatMul", ["pixels", "moments.weight"], ["sums"], "moments"),
        helper.make_node("Slice", ["sums", "zero", "two", "one"], ["first"], "first_moments"),
        helper.make_node("Slice", ["sums", "two", "three", "one"], ["mass"], "mass"),
        helper.make_node("Div", ["first", "mass"], ["center"], "divide"),
    ]
    used = {name for node in nodes for name in node.input}
    tensors = [numpy_helper.from_array(v.astype(np.float32), n) for n, v in weights.items() if n in used]
    tensors += [numpy_helper.from_array(np.array([v], np.int64), n)
                for n, v in (("zero", 0), ("one", 1), ("two", 2), ("three", 3))]  # fmt: skip
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ("batch", *shape))
            for name, shape in (("input", (3, height, width)), ("levels", (3,)), ("center", (2,)))]  # fmt: skip
    graph = helper.make_graph(nodes, "light", ends[:1], ends[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()
