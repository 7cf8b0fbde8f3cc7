"""What `compile` is asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from edgevision.compiler.effort import Effort
from edgevision.errors import InputError
from edgevision.evaluate.data.photo_check import OnBadPhoto


class Precision(Enum):
    """``AUTO``: the fastest of any precision within the budget. ``INT8``, ``FLOAT``: the fastest of that kind."""

    AUTO = "auto"
    INT8 = "int8"
    FLOAT = "float"


class Objective(Enum):
    """``LATENCY``: p50 of one item. ``THROUGHPUT``: p50 of a batch, per item."""

    LATENCY = "latency"
    THROUGHPUT = "throughput"


@dataclass(frozen=True)
class CompileOptions:
    """What to compile for. ``max_drop`` is in points of the task's metric, ``max_class_drop`` in points of the worst
    class that has enough validation photos (20), ``max_ece_increase`` in points of expected calibration error. ``threads`` None = the cores of this machine; ``batch`` None = 1, for
    throughput 8.

    ``task``: kind of task, for files that do not say it; None = ``tasks.registry.DEFAULT_KIND``. ``output``: how the outputs are to be read, by the
    task's words, where the file does not say it. ``output_names``: which of the network's outputs are used; none named = all.

    ``data``: calibration photos; ``val``: validation photos; without ``val``, half of ``data`` by content is kept for
    validation, unless that is skipped; without either, the photos that the checkpoint carries. ``attributes``: a table of what is known of
    these photos, or of their classes, for a task that learns that. ``on_bad_photo``: what to do with photos that cannot
    be read. ``force``: go on though float's own answers make no sense. ``true_accept_rate``: share of right answers that
    stay above the unknown-threshold. ``golden``: folder of pictures to store as golden frames.

    ``targets``: kinds of devices that the bundle is for, besides this machine; see ``compiler.quantize.targets``.
    ``version_compatible``: TensorRT's engines are to run on later versions too, and on the lean runtime.

    ``prune``: share of the channels of all prunable layers to remove; ``target_latency_ms``: remove as few as bring the
    quickest variant there. ``prune_minutes``: of fine-tuning, where photos are labelled; 0 = none. ``save_pruned``: where
    to write the pruned network as a checkpoint.

    ``effort``: how long compile may take over a large network. ``calibration_limit`` and ``rounds`` are the most photos
    and rounds, at any effort.
    """

    precision: Precision = Precision.AUTO
    data: Path | None = None
    val: Path | None = None
    labels: Path | None = None
    attributes: Path | None = None
    on_bad_photo: OnBadPhoto = OnBadPhoto.FAIL
    preprocess: str | None = None
    task: str | None = None
    output: str | None = None
    output_names: tuple[str, ...] = ()
    arch: str | None = None
    trust: bool = False
    skip_validation: bool = False
    force: bool = False
    max_drop: float = 0.5
    max_class_drop: float = 3.0
    max_ece_increase: float = 3.0
    threads: int | None = None
    objective: Objective = Objective.LATENCY
    batch: int | None = None
    true_accept_rate: float = 0.95
    golden: Path | None = None
    targets: tuple[str, ...] = ("auto",)
    version_compatible: bool = False
    prune: float | None = None
    target_latency_ms: float | None = None
    prune_minutes: float = 10.0
    prune_multiple: int = 8
    save_pruned: Path | None = None
    calibration_limit: int = 512
    effort: Effort = Effort.NORMAL
    rounds: int = 40
    seed: int = 0

    def __post_init__(self) -> None:
        budgets = {
            "--max-drop": self.max_drop,
            "--max-class-drop": self.max_class_drop,
            "--max-ece-increase": self.max_ece_increase,
        }
        for name, points in budgets.items():
            if not 0 <= points <= 100:
                raise InputError(f"{name} is in points, 0…100, got {points}")
        if self.prune is not None and not 0 < self.prune <= 0.95:
            raise InputError(f"--prune is a share of the channels, above 0 and up to 0.95, got {self.prune}")
        if self.prune is not None and self.target_latency_ms is not None:
            raise InputError("--prune says how much, --target-latency how quick: give one of them")
        if self.target_latency_ms is not None and not 0 < self.target_latency_ms < math.inf:
            raise InputError(f"--target-latency is above 0 ms, got {self.target_latency_ms}")
        if self.rounds < 1:
            raise InputError(f"at least 1 round is needed to measure, got {self.rounds}")
        if not 0 <= self.prune_minutes < math.inf or self.prune_multiple < 1:
            raise InputError(
                f"--prune-minutes is at least 0 and --prune-multiple at least 1, got {self.prune_minutes} and "
                f"{self.prune_multiple}"
            )
        if self.save_pruned is not None and not self.prunes:
            raise InputError("--save-pruned needs --prune or --target-latency")
        if not 0.5 <= self.true_accept_rate < 1:
            raise InputError(f"--true-accept-rate is a share of right answers, 0.5…1, got {self.true_accept_rate}")
        for name in ("threads", "batch"):
            value = getattr(self, name)
            if value is not None and not 1 <= value <= 256:
                raise InputError(f"--{name} is 1…256, got {value}")
        if self.calibration_limit < 16:
            raise InputError(f"at least 16 calibration photos are needed, the limit given is {self.calibration_limit}")

    @property
    def prunes(self) -> bool:
        """Whether the network is to be pruned."""
        return self.prune is not None or self.target_latency_ms is not None


def refuse_to_overwrite(target: Path, source: Path, options: CompileOptions) -> None:
    """Raise InputError when the bundle or the pruned checkpoint would replace what they are made of, or one another."""
    given = (source, options.data, options.val, options.labels, options.attributes, options.preprocess)
    made = [(target, "-o")] if options.save_pruned is None else [(target, "-o"), (options.save_pruned, "--save-pruned")]
    for path in (Path(value) for value in given if value is not None):
        for out, option in made:
            if out.is_file() and path.is_file() and out.samefile(path):
                raise InputError(f"{out} is read to make the bundle and would be replaced; name another with {option}")
    if len({out.resolve() for out, _ in made}) < len(made):
        raise InputError(
            f"the bundle and the pruned checkpoint are both to be {target}; name another with --save-pruned"
        )
