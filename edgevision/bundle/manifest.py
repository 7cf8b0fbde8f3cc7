"""The manifest of a bundle: everything about it that is not a tensor or a graph."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.results import Label

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class GraphEntry:
    """An ONNX graph in the bundle. ``dialect``: ``float``, or which Q/DQ form it has (``x86-vnni``, …)."""

    entry: str  # name in the archive, "graphs/<id>.onnx"
    precision: str  # "float32", "float16", "int8"
    dialect: str
    float_parts: tuple[str, ...] = ()  # nodes kept in float for accuracy's sake
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
    """One way to run the model: graph × engine × precision. Its temperature and threshold belong to it."""

    id: str  # "openvino-int8"
    graph: str  # id of the graph: key of Manifest.graphs
    engine: str
    precision: str  # EngineOptions.precision
    temperature: float
    threshold: float
    golden: str  # entry with its own outputs on the golden frames, "golden/<id>.npy"
    latency: tuple[Latency, ...] = ()
    layer_precisions: dict[str, int] = field(default_factory=dict)
    metric: float | None = None  # on the judge photos, where it was a finalist
    verdict: Verdict | None = None  # likewise
    target: str = ""  # kind of device it is for ("x86-vnni", "x86", "arm", "tensorrt", …); "" = any


@dataclass(frozen=True)
class Verdict:
    """What the judge photos said of a variant against float."""

    metric: str  # "top1" with labels, "recall@1" of embeddings, "agreement" without labels
    n: int
    reference: float  # float's metric, in points (percent)
    value: float  # the variant's
    drop: float  # points lost; negative = gained
    interval: tuple[float, float]  # of the drop, in points
    confidence: float  # 0.95
    lost: int  # float right, variant wrong
    gained: int  # float wrong, variant right
    max_drop: float
    passed: bool
    proven: bool
    note: str = ""
    max_class_drop: float = 3.0  # points that a class of 20 photos or more may lose, if that is more than 2 photos
    calibration_error: float | None = None  # the variant's expected calibration error, 0…1; None without labels
    reference_calibration_error: float | None = None  # float's

    def sentence(self) -> str:
        """Drop, interval, flips, photos, proven or not.

        "Proven" and "passed" are not the same: passed is the drop that was seen, proven its interval's upper end.
        """
        unit = {"top1": "points of top-1", "recall@1": "points of recall@1"}.get(
            self.metric, "points of agreement with float"
        )
        state = "proven" if self.proven else "passed, not proven" if self.passed else "failed"
        low, high = self.interval
        note = f" ({self.note})" if self.note else ""
        return (
            f"{state}: {self.value:.2f} % against {self.reference:.2f} % for float on {self.n} judge photos; "
            f"drop {self.drop:+.2f} {unit}, {100 * self.confidence:.3g} % interval {low:+.2f}…{high:+.2f}, "
            f"budget {self.max_drop:g}; {self.lost} lost, {self.gained} gained{note}"
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
    task: str
    labels: tuple[Label, ...]
    output: str  # "logits" or "probabilities"
    preprocess: PreprocessSpec
    graphs: dict[str, GraphEntry]
    variants: tuple[VariantEntry, ...]  # fastest first
    chosen: str  # id of a variant
    source: dict[str, Any]  # file name, sha256, kind, arch
    data: dict[str, Any]  # calibration and judge photos: counts and hashes
    environment: Environment
    verdict: Verdict | None  # on the chosen variant
    golden_frames: tuple[str, ...]  # entries, PNG
    golden_reference: str  # entry with the float model's outputs, .npy
    entries: dict[str, Entry] = field(default_factory=dict)  # filled by the writer
    schema: int = SCHEMA_VERSION

    @property
    def proven(self) -> bool:
        """Whether the judge photos showed the chosen variant within the budget, the interval's upper end too."""
        return self.verdict is not None and self.verdict.proven

    def verdict_on(self, variant: VariantEntry) -> Verdict | None:
        """What the judge photos said of this variant; None where they were not shown to it."""
        return self.verdict if variant.id == self.chosen else variant.verdict

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; ``parse_manifest`` gives the manifest back."""
        data = asdict(self)
        data["preprocess"] = self.preprocess.to_dict()
        data["proven"] = self.proven
        return data
