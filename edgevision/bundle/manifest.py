"""The manifest of a bundle: everything about it that is not a tensor or a graph."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from edgevision.engines import available_engines
from edgevision.machine import describe_machine, package_versions
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.base import TaskSpec
from edgevision.tasks.results import Label

SCHEMA_VERSION = 2


@dataclass(frozen=True)
class GraphEntry:
    """An ONNX graph in the bundle. ``dialect``: ``float``, or which Q/DQ form it has (``x86-vnni``, …)."""

    entry: str  # name in the archive, "graphs/<id>.onnx"
    precision: str  # "float32", "float16", "int8"
    dialect: str
    float_fallback: tuple[str, ...] = ()  # nodes kept in float for accuracy's sake
    recipe: str = ""  # how an int8 graph was made: range estimator and what helped it


@dataclass(frozen=True)
class Latency:
    """Engine latency in milliseconds: prepared batch-1 tensor in the slot → outputs readable."""

    threads: int
    batch: int
    p50_ms: float
    p90_ms: float


@dataclass(frozen=True)
class VariantEntry:
    """One way to run the model: graph × engine × precision. ``parameters``: of its task, fitted for this variant."""

    id: str  # "openvino-int8"
    graph: str  # id of the graph: key of Manifest.graphs
    engine: str
    precision: str  # EngineOptions.precision
    parameters: dict[str, Any]
    golden: dict[str, str]  # its own digest of the golden frames: role → entry, "golden/<id>.<role>.npy"
    latency: tuple[Latency, ...] = ()
    layer_precisions: dict[str, int] = field(default_factory=dict)
    metric: float | None = None  # on the validation photos, where it was a finalist, in points
    verdict: Verdict | None = None  # likewise
    target: str = ""  # kind of device it is for ("x86-vnni", "x86", "arm", "tensorrt", …); "" = any


@dataclass(frozen=True)
class Verdict:
    """What the validation photos said of a variant against float."""

    metric: str  # the task's, such as "top1"; "agreement" without labels
    n: int
    reference: float  # float's metric, in points (percent)
    value: float  # the variant's
    drop: float  # points lost; negative = gained
    interval: tuple[float, float]  # of the drop, in points
    confidence: float  # 0.95
    lost: int | None  # photos with float right, variant wrong; None where the metric is no count of photos
    gained: int | None  # float wrong, variant right
    max_drop: float
    passed: bool
    proven: bool
    note: str = ""
    unit: str = "points"  # of drop and interval, in words: "points of top-1"
    max_class_drop: float = 3.0  # points that a class of 20 photos or more may lose, if that is more than 2 photos
    calibration_error: float | None = None  # the variant's expected calibration error, 0…1; None without labels
    reference_calibration_error: float | None = None  # float's

    def sentence(self) -> str:
        """Drop, interval, flips, photos, proven or not.

        "Proven" and "passed" are not the same: passed is the drop that was seen, proven its interval's upper end.
        """
        state = "proven"
        if not self.proven:
            state = "passed, not proven" if self.passed else "failed"
        low, high = self.interval
        flips = "" if self.lost is None else f"; {self.lost} lost, {self.gained} gained"
        note = f" ({self.note})" if self.note else ""
        return (
            f"{state}: {self.value:.2f} % against {self.reference:.2f} % for float on {self.n} validation photos; "
            f"drop {self.drop:+.2f} {self.unit}, {100 * self.confidence:.3g} % interval {low:+.2f}…{high:+.2f}, "
            f"budget {self.max_drop:g}{flips}{note}"
        )


@dataclass(frozen=True)
class Environment:
    """The machine that measured. ``features`` are instruction sets that decide int8 results and speed."""

    cpu: str
    architecture: str  # "x86_64", "aarch64"
    features: tuple[str, ...]
    cores: int
    system: str
    versions: dict[str, str]  # package → version

    @classmethod
    def here(cls) -> Environment:
        """This machine, with the versions of what decides results."""
        machine = describe_machine()
        versions = {**available_engines(), **package_versions(("numpy", "opencv-python-headless", "torch", "onnx"))}
        return cls(
            machine.cpu, machine.architecture, machine.features, machine.cores, machine.system, versions
        )  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """What the manifest knows of each other entry of the archive."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """See the module's docstring. ``proven`` is the verdict's, False without one."""

    name: str
    created: str  # ISO 8601, UTC
    edgevision: str  # version that wrote it
    task: TaskSpec
    preprocess: PreprocessSpec
    graphs: dict[str, GraphEntry]
    variants: tuple[VariantEntry, ...]  # fastest first
    chosen: str  # id of a variant
    source: dict[str, Any]  # file name, sha256, kind, arch
    data: dict[str, Any]  # calibration and validation photos: counts and hashes
    environment: Environment
    verdict: Verdict | None  # on the chosen variant
    golden_frames: tuple[str, ...]  # entries, PNG
    golden_reference: dict[str, str]  # the float model's digest of the golden frames: role → entry, .npy
    entries: dict[str, Entry] = field(default_factory=dict)  # filled by the writer
    schema: int = SCHEMA_VERSION

    @property
    def proven(self) -> bool:
        """Whether the validation photos showed the chosen variant within the budget, the interval's upper end too."""
        return self.verdict is not None and self.verdict.proven

    @property
    def labels(self) -> tuple[Label, ...]:
        """The classes that the model knows, in the order of its outputs."""
        return self.task.labels

    def task_of(self, variant: VariantEntry) -> TaskSpec:
        """The task spec with the parameters that were fitted for the variant."""
        return self.task.with_parameters(variant.parameters)

    def verdict_on(self, variant: VariantEntry) -> Verdict | None:
        """What the validation photos said of this variant; None where they were not shown to it."""
        return self.verdict if variant.id == self.chosen else variant.verdict

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; ``parse_manifest`` gives the manifest back."""
        data = asdict(self)
        data["preprocess"] = self.preprocess.to_dict()
        data["proven"] = self.proven
        return data
