"""Short training of a network that is there already, such as a pruned one, with another as its teacher.

The pieces are the trainer's: batches, losses, averaged weights, clock. What differs is that networks come and go in
memory, and that nothing is validated or written.
"""

from __future__ import annotations

import contextlib
import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from edgevision.errors import EdgeVisionError, InputError
from edgevision.machine import usable_cores
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.results import Label
from edgevision.train.augment import Augmentation
from edgevision.train.backbones import training_mode
from edgevision.train.compute import choose_compute, training_process
from edgevision.train.depthwise import use_quick_depthwise
from edgevision.train.ema import Ema
from edgevision.train.loader import (
    KEPT_SCALE,
    BatchMaker,
    LabelledPhotos,
    PhotoCache,
    default_cache_bytes,
    network_seed,
    work_ahead,
)
from edgevision.train.objective import distillation_loss, label_loss
from edgevision.train.schedule import RunClock, ema_decay, learning_rate_factor, training_size


@dataclass(frozen=True)
class FineTuneOptions:
    """``epochs``, or as much of them as fits into ``minutes`` of wall-clock time; the schedule runs to its end in both.

    The rest as in ``TrainOptions``, but gentler: the network knows the photos' classes already, and the teacher's
    answers say more than the labels. ``size_share``: side of the pictures, as a share of the network's own (``schedule.training_size``):
    crops show products larger than they are at run time, and smaller pictures are quicker.
    """

    epochs: float = 8
    minutes: float | None = None
    batch: int = 32
    lr: float = 5e-4
    weight_decay: float = 0.02
    warmup: float = 0.1  # share of the run
    clip_norm: float = 2.0
    label_smoothing: float = 0.1
    distil_weight: float = 0.8
    distil_temperature: float = 2.0
    ema: float = 0.99
    mixup: float = 0.1
    cutmix: float = 0.25
    size_share: float = 1.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    seed: int = 0
    threads: int | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        if not self.epochs > 0 or (self.minutes is not None and not self.minutes > 0):
            raise InputError(f"epochs and minutes are above 0, got {self.epochs:g} and {self.minutes}")
        if self.batch < 1 or self.batch != int(self.batch):
            raise InputError(f"batch is a whole number from 1, got {self.batch!r}")
        if min(self.lr, self.weight_decay) < 0 or not 0 <= self.distil_weight <= 1:
            raise InputError("rates and decays are at least 0, distil_weight is within 0…1")
        if not 0.1 <= self.size_share <= 2:
            raise InputError(f"size_share is within 0.1…2, got {self.size_share:g}")


@dataclass(frozen=True, eq=False)
class PhotosInMemory:
    """Encoded photos (or files) with their classes, as ``fine_tune`` takes them: a checkpoint's pack, say."""

    paths: tuple[Path | bytes, ...]
    truth: npt.NDArray[np.int64]
    labels: tuple[Label, ...]


@dataclass(frozen=True, eq=False)
class FineTuned:
    """The ``network`` in eval mode on the CPU, and what it took; ``loss`` is the mean over the last tenth."""

    network: nn.Module
    steps: int
    seconds: float
    loss: float


def fine_tune(
    network: nn.Module,
    teacher: nn.Module,
    photos: LabelledPhotos,
    spec: PreprocessSpec,
    options: FineTuneOptions | None = None,
    step: Callable[[int, int, float], None] | None = None,
) -> FineTuned:
    """Train a copy of ``network`` to answer as ``teacher`` and the labels say; both are left as they are.

    Both take pictures prepared as ``spec`` says and give logits for the classes ``photos.labels``. Statistics of batch
    norms are constants. ``step`` is called with (steps done, steps planned, loss). Raises InputError when there is
    nothing to learn from, EdgeVisionError when the loss diverges.
    """
    options = options or FineTuneOptions()
    if not len(photos.truth) or not photos.labels:
        raise InputError("fine-tuning needs labelled photos, got none")
    began = time.monotonic()
    compute = choose_compute(options.device)
    with training_process(options.threads or usable_cores(), options.seed):
        student, guide = copy.deepcopy(network), copy.deepcopy(teacher).requires_grad_(False)
        use_quick_depthwise(student)
        training_mode(guide, frozen_statistics=True)  # folds batch norms, which is quicker
        guide.eval()
        training_mode(student.requires_grad_(True), frozen_statistics=True)
        for model in (student, guide):
            model.to(compute.device).to(memory_format=torch.channels_last)
        ema = Ema(student)
        decayed = [parameter for parameter in student.parameters() if parameter.ndim > 1]
        others = [parameter for parameter in student.parameters() if parameter.ndim <= 1]  # norms and biases
        optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": options.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=options.lr,
        )
        size = training_size(0.0, spec.height, (options.size_share,))
        cache = PhotoCache(round(KEPT_SCALE * spec.height), default_cache_bytes())
        maker = BatchMaker(
            photos, cache, spec, options.batch, options.seed, options.augmentation, options.mixup, options.cutmix
        )
        steps = max(1, math.ceil(options.epochs * len(photos.truth) / options.batch))
        clock = RunClock(steps, None if options.minutes is None else 60 * options.minutes)
        losses: list[float] = []
        with contextlib.closing(work_ahead(lambda number: maker.make(number, size), 0)) as batches:
            while (progress := clock.progress(len(losses))) < 1:
                factor = learning_rate_factor(min(1.0, progress + 0.5 / steps), options.warmup)
                for group in optimizer.param_groups:
                    group["lr"] = options.lr * factor
                batch = next(batches)
                images, targets = compute.put(batch.images), compute.put(batch.targets)
                torch.manual_seed(network_seed(options.seed, len(losses)))
                with compute.precision():
                    logits = student(images)
                    with torch.no_grad():
                        answers = guide(images)
                loss = (1 - options.distil_weight) * label_loss(logits, targets, options.label_smoothing)
                loss = loss + options.distil_weight * distillation_loss(logits, answers, options.distil_temperature)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                if not math.isfinite(float(loss.detach())):
                    raise EdgeVisionError(
                        f"the loss became {float(loss.detach())} at step {len(losses) + 1}: fine-tuning diverged. Use a lower lr"
                    )
                nn.utils.clip_grad_norm_(student.parameters(), options.clip_norm)
                optimizer.step()
                losses.append(float(loss.detach()))
                ema.update(student, ema_decay(len(losses) - 1, options.ema))
                if step:
                    step(len(losses), steps, losses[-1])
    tuned = copy.deepcopy(network)
    tuned.load_state_dict({name: value.detach().cpu() for name, value in ema.model.state_dict().items()})
    last = losses[-max(1, len(losses) // 10) :]
    return FineTuned(tuned.eval(), len(losses), time.monotonic() - began, sum(last) / len(last))
