"""What can be chosen about a training run. No PyTorch here: the command line reads the defaults from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from pathlib import Path
from typing import Any

from edgevision.errors import InputError
from edgevision.evaluate.data.photo_check import OnBadPhoto
from edgevision.train.augment import Appearance, Augmentation
from edgevision.train.detect.augment import BoxAugmentation

MAX_SIZE_PX = 2048
MIN_SIZE_PX = 32
# Sides at which Lite classifiers learn unless told another: larger than ImageNet's weights were made at, for names on packs are
# small. Lite0's was chosen on photos of other shops (benchmarks/README.md); the others follow it in proportion.
CLASSIFIER_SIZES_PX = {"lite0": 256, "lite1": 272, "lite2": 288}


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What every training run has, whatever it teaches: see ``TrainOptions`` and its siblings for the defaults.

    Data: ``data`` and ``val`` as ``read_dataset`` takes them, ``labels`` a names file. ``val`` photos are never
    trained on; with ``patience`` they choose the epoch that is kept. All photos are read once before the first step;
    ``on_bad_photo`` says what becomes of those that cannot be.

    Network: ``arch``, ``arch_options`` (see ``backbones.build``), ``size`` in pixels (default: what the network was
    made for), ``scratch`` = random weights in place of ImageNet's.

    Schedule: ``epochs``, or as much of it as fits into ``minutes`` of wall-clock time: the schedule then runs to its
    end within them. The head learns alone for ``freeze_epochs``; ``warmup_epochs``, then cosine. ``sizes`` are the
    training picture's side as shares of ``size``, one after the other over the run: small first is quicker.
    ``patience``: stop after so many epochs without a better ``val``, and keep the best epoch's weights. None = never
    stop, and keep the last: with few ``val`` photos the best epoch is the luckiest.

    Optimiser: AdamW; ``lr`` for what has ImageNet weights, ``head_lr`` for the layers after it; a step is made of
    ``accumulate`` batches of ``batch`` photos; gradients are cut at norm ``clip_norm``. ``ema``: decay of the averaged
    weights, which are what is validated and kept.

    ``resume`` goes on from ``<output>.state`` where there is one, to the same weights as without the break (``minutes``
    apart). It is written about every ``save_every_s`` seconds.

    ``photos``: the checkpoint carries a pack of photos. ``cache_mb``: memory for decoded photos (None = a quarter of
    the machine's, at most 2048). ``threads``: None = the physical cores. ``device``: "cpu", "cuda", "auto".

    Raises InputError for values that cannot be.
    """

    data: Path
    output: Path
    val: Path | None = None
    labels: Path | None = None
    on_bad_photo: OnBadPhoto = OnBadPhoto.FAIL
    arch: str
    arch_options: Mapping[str, Any] = field(default_factory=dict)
    size: int | None = None
    scratch: bool = False
    epochs: float
    minutes: float | None = None
    freeze_epochs: float
    warmup_epochs: float
    sizes: tuple[float, ...]
    patience: int | None = 10
    batch: int
    accumulate: int = 1
    lr: float
    head_lr: float
    weight_decay: float = 0.02
    clip_norm: float
    ema: float
    seed: int = 0
    resume: bool = False
    save_every_s: float = 120.0
    photos: bool = True
    tensorboard: Path | None = None
    cache_mb: int | None = None
    threads: int | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        self._check_ranges(_RANGES)
        if not self.sizes or not all(0.1 <= share <= 2 for share in self.sizes):
            raise InputError(f"sizes are shares of the model's size within 0.1…2, at least one, got {self.sizes}")
        if self.device not in ("auto", "cpu", "cuda"):
            raise InputError(f"device is auto, cpu or cuda, got {self.device!r}")

    @property
    def state_path(self) -> Path:
        """Where an unfinished run keeps what it needs to go on."""
        return self.output.with_name(self.output.name + ".state")

    @property
    def network_options(self) -> dict[str, Any]:
        """What the network is built with, and the checkpoint says of it."""
        return dict(self.arch_options)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for the checkpoint's record."""
        values: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, Path):
                value = str(value)
            elif isinstance(value, Enum):
                value = value.value
            elif isinstance(value, Appearance):
                value = {f.name: getattr(value, f.name) for f in fields(value)}
            elif isinstance(value, tuple):
                value = list(value)
            elif isinstance(value, Mapping):
                value = dict(value)
            values[item.name] = value
        return values

    def what_matters(self) -> dict[str, Any]:
        """The options that decide the weights: a run may only go on with the same ones."""
        return {name: value for name, value in self.to_dict().items() if name not in _WITHOUT_EFFECT}

    def _check_ranges(self, ranges: Mapping[str, tuple[float, float]]) -> None:
        for name, (least, most) in ranges.items():
            value = getattr(self, name)
            if value is None and name in _MAY_BE_NONE:
                continue
            right = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
            if not right or not least <= value <= most or (name in _WHOLE and value != int(value)):
                kind = "a whole number" if name in _WHOLE else "a number"
                raise InputError(f"{name} is {kind} within {least:g}…{most:g}, got {value!r}")


@dataclass(frozen=True, kw_only=True)
class TrainOptions(RunOptions):
    """Training a classifier. Everything has a default but the photos and the file to write; see ``RunOptions``.

    ``size`` of a Lite network is one of ``CLASSIFIER_SIZES_PX`` unless it is given. ``sizes``: crops show products larger than
    they are at run time, so less than 1 at the end is right. ``frozen_stages``: so many of the first stages of a Lite network
    keep ImageNet's weights, and their gradients need not be computed. ``mixup`` and ``cutmix``: probability for each batch. ``teacher``: a checkpoint to distil from; the loss is then ``distil_weight`` × KL
    at ``distil_temperature`` and the rest from the labels.

    ``ood_data``: photos of what is none of the classes (out of distribution), for which each class should be as good as any
    other, so that the best score tells known from unknown (outlier exposure: Hendrycks et al., "Deep Anomaly Detection with
    Outlier Exposure", ICLR 2019). A batch has ``ood_share`` × ``batch`` of them besides its photos; they count for
    ``ood_weight`` × their cross-entropy. ``ood_share`` × ``batch`` is rounded up.
    """

    arch: str = "lite0"
    epochs: float = 16
    freeze_epochs: float = 0.5
    warmup_epochs: float = 1.0
    sizes: tuple[float, ...] = (0.72, 0.86)
    batch: int = 32
    lr: float = 5e-4
    head_lr: float = 3e-3
    clip_norm: float = 2.0
    label_smoothing: float = 0.1
    ema: float = 0.995
    mixup: float = 0.1
    cutmix: float = 0.25
    frozen_stages: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)
    teacher: Path | None = None
    distil_weight: float = 0.7
    distil_temperature: float = 2.0
    ood_data: Path | None = None
    ood_share: float = 0.25
    ood_weight: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_ranges(_CLASSIFIER_RANGES)
        if self.mixup + self.cutmix > 1:
            raise InputError(f"mixup + cutmix is a probability, at most 1, got {self.mixup + self.cutmix:g}")
        if self.frozen_stages and self.scratch:
            raise InputError("frozen_stages keep ImageNet's weights, and scratch has none of them; give one of the two")
        if self.frozen_stages and self.arch not in _WITH_STAGES:
            raise InputError(
                f"of classifiers only {', '.join(_WITH_STAGES)} have stages to freeze, got {self.arch}; leave frozen_stages at 0"
            )

    @property
    def side_px(self) -> int | None:
        """Of the network's input; None = what a network of torchvision was made for."""
        return CLASSIFIER_SIZES_PX.get(self.arch) if self.size is None else self.size

    def to_dict(self) -> dict[str, Any]:
        """As in ``RunOptions``, with the size that was taken where none was given."""
        return {**super().to_dict(), "size": self.side_px}

    def what_matters(self) -> dict[str, Any]:
        """As in ``RunOptions``; without photos of no class, how many and what they weigh does not. ``frozen_stages`` of 0 is left
        out, so that a run begun before this option existed can go on."""
        without = set() if self.ood_data is not None else set(_OF_OOD_DATA)
        if not self.frozen_stages:
            without.add("frozen_stages")
        return {name: value for name, value in super().what_matters().items() if name not in without}


@dataclass(frozen=True, kw_only=True)
class DetectTrainOptions(RunOptions):
    """Training a detector. Everything has a default but the photos with their boxes and the file to write; see ``RunOptions``.

    The defaults are for some hundred photos and 40 minutes on two cores. ``size`` is 320 unless it is given, a multiple of
    32. ``frozen_stages``: so many of the first stages keep ImageNet's weights, which tell edges and textures of any
    photo; half of the time of a step is saved. ``augmentation``: boxes are taken along.
    """

    arch: str = "lite0-detect"
    epochs: float = 40
    freeze_epochs: float = 0.0
    warmup_epochs: float = 1.0
    sizes: tuple[float, ...] = (0.8, 1.0)
    patience: int | None = None
    batch: int = 16
    lr: float = 4e-4
    head_lr: float = 2e-3
    clip_norm: float = 10.0
    ema: float = 0.998
    frozen_stages: int = 2
    augmentation: BoxAugmentation = field(default_factory=BoxAugmentation)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_ranges(_DETECTOR_RANGES)


@dataclass(frozen=True, kw_only=True)
class AttributesTrainOptions(RunOptions):
    """Training a model of attributes. Everything has a default but the photos and the file to write; see ``RunOptions``.

    ``attributes``: a CSV with a column for each attribute, of photos or of their classes (``attribute_table``); None where ``data`` is such
    a table itself. ``heads``: the columns to learn, () = all. ``class_balance``: how much rare values count for more, 0 = not at
    all, 1 = each value of an attribute alike. ``augmentation``: light changes less than for a classifier, since it must
    not change what colour a product has.
    """

    attributes: Path | None = None
    heads: tuple[str, ...] = ()
    arch: str = "lite0"
    epochs: float = 20
    freeze_epochs: float = 0.5
    warmup_epochs: float = 1.0
    sizes: tuple[float, ...] = (0.72, 0.86)
    batch: int = 32
    lr: float = 5e-4
    head_lr: float = 3e-3
    clip_norm: float = 2.0
    label_smoothing: float = 0.1
    ema: float = 0.995
    class_balance: float = 0.5
    augmentation: Augmentation = field(
        default_factory=lambda: Augmentation(brightness=0.2, saturation=0.1, white_balance=0.03)
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_ranges(_ATTRIBUTES_RANGES)


@dataclass(frozen=True, kw_only=True)
class EmbedTrainOptions(RunOptions):
    """Training an embedder. Everything has a default but the photos and the file to write; see ``RunOptions``.

    ``dimension`` of the vectors; ``pooling``: "average" or "gem". ``loss``: "proxy-anchor" or "arcface", with a ``scale`` and a
    ``margin`` (None = the loss's usual ones; see ``train.embed.losses``). A batch has ``photos_per_product`` photos of each
    product, and ``hard_share`` of its products are look-alikes of the others. ``frozen_stages``: so many of the first stages
    keep ImageNet's weights.

    ``val`` may hold products that are not trained on: recall of these is then the score, for it is what a gallery is for.
    """

    arch: str = "lite0-embed"
    epochs: float = 8
    freeze_epochs: float = 0.0
    warmup_epochs: float = 0.5
    sizes: tuple[float, ...] = (0.72, 0.86)
    patience: int | None = None
    batch: int = 32
    lr: float = 3e-4
    head_lr: float = 1e-3
    clip_norm: float = 5.0
    ema: float = 0.99
    dimension: int = 512
    pooling: str = "average"
    loss: str = "proxy-anchor"
    scale: float | None = None
    margin: float | None = None
    photos_per_product: int = 4
    hard_share: float = 0.5
    frozen_stages: int = 2
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_ranges(_EMBEDDER_RANGES)
        for name, words in _EMBEDDER_WORDS.items():
            if getattr(self, name) not in words:
                raise InputError(f"{name} is {' or '.join(words)}, got {getattr(self, name)!r}")

    @property
    def network_options(self) -> dict[str, Any]:
        """As in ``RunOptions``, with dimension and pooling."""
        return {**self.arch_options, "dimension": self.dimension, "pooling": self.pooling}


_RANGES: dict[str, tuple[float, float]] = {
    "size": (MIN_SIZE_PX, MAX_SIZE_PX),
    "epochs": (0.01, 10_000),
    "minutes": (0.01, 100_000),
    "freeze_epochs": (0, 10_000),
    "warmup_epochs": (0, 10_000),
    "patience": (1, 10_000),
    "batch": (1, 4096),
    "accumulate": (1, 1024),
    "lr": (0, 10),
    "head_lr": (0, 10),
    "weight_decay": (0, 10),
    "clip_norm": (1e-6, 1e6),
    "ema": (0, 0.99999),
    "seed": (0, 2**63 - 1),
    "save_every_s": (0, 1e6),
    "cache_mb": (0, 1 << 20),
    "threads": (1, 1024),
}
_CLASSIFIER_RANGES: dict[str, tuple[float, float]] = {
    "label_smoothing": (0, 0.9),
    "mixup": (0, 1),
    "cutmix": (0, 1),
    "distil_weight": (0, 1),
    "distil_temperature": (0.1, 100),
    "frozen_stages": (0, 7),
    "ood_share": (0.01, 4),
    "ood_weight": (0, 10),
}
_WITH_STAGES = ("lite0", "lite1", "lite2")
_ATTRIBUTES_RANGES: dict[str, tuple[float, float]] = {"label_smoothing": (0, 0.9), "class_balance": (0, 1)}
_DETECTOR_RANGES: dict[str, tuple[float, float]] = {"frozen_stages": (0, 6)}
_EMBEDDER_RANGES: dict[str, tuple[float, float]] = {
    "dimension": (16, 2048),
    "scale": (1, 1000),
    "margin": (0, 1),
    "photos_per_product": (1, 4096),
    "hard_share": (0, 1),
    "frozen_stages": (0, 6),
}
_EMBEDDER_WORDS = {"pooling": ("average", "gem"), "loss": ("proxy-anchor", "arcface")}
_OF_OOD_DATA = {"ood_share", "ood_weight"}
_MAY_BE_NONE = {"size", "minutes", "patience", "cache_mb", "threads", "scale", "margin"}
_WHOLE = {
    "size", "patience", "batch", "accumulate", "seed", "cache_mb", "threads", "frozen_stages", "dimension",
    "photos_per_product",
}  # fmt: skip
_WITHOUT_EFFECT = {"output", "resume", "save_every_s", "photos", "tensorboard", "cache_mb", "minutes", "val", "data",
                   "labels", "attributes", "ood_data", "teacher", "patience", "threads", "on_bad_photo"}  # fmt: skip
