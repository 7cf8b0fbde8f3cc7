"""The training run: photos in, checkpoint out.

One optimiser step after the other, each a function of the seed, its number and how far the run is. What is validated and
kept are the averaged weights. What is taught, and how well it is learnt, is asked of a ``Training``: see ``base``. See
``RunOptions`` for what can be chosen.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgevision.errors import EdgeVisionError, InputError
from edgevision.evaluate.data.photo_check import BadPhoto
from edgevision.files import ensure_writable, is_same_file
from edgevision.machine import package_versions, usable_cores
from edgevision.train import backbones
from edgevision.train.attributes import AttributesTraining
from edgevision.train.base import Training
from edgevision.train.checkpoint import Checkpoint, save_checkpoint, short_hashes
from edgevision.train.classifier import ClassifyTraining
from edgevision.train.compute import Compute, choose_compute, training_process
from edgevision.train.depthwise import use_quick_depthwise
from edgevision.train.detector import DetectTraining
from edgevision.train.ema import Ema
from edgevision.train.embedder import EmbedTraining
from edgevision.train.loader import network_seed, work_ahead
from edgevision.train.options import (
    AttributesTrainOptions,
    DetectTrainOptions,
    EmbedTrainOptions,
    RunOptions,
    TrainOptions,
)
from edgevision.train.progress import (
    EpochReport,
    EpochScore,
    Progress,
    ProgressGroup,
    SilentProgress,
    StepReport,
    TensorBoardProgress,
)
from edgevision.train.rehearsal import memory_errors
from edgevision.train.schedule import RunClock, ema_decay, learning_rate_factor, training_size
from edgevision.train.state import load_state, save_state

_PACKING_S = 15.0  # of a time budget is kept for the photo pack and writing, but never more than a tenth of it


@dataclass(frozen=True)
class TrainResult:
    """``score``: of the kept weights on the ``val`` photos, in float32; None without them. ``epochs``: the history.

    ``bad_photos``: those that cannot be read and were left out. ``notes``: sentences for the user.
    """

    path: Path
    checkpoint: Checkpoint
    score: EpochScore | None
    epochs: tuple[EpochReport, ...]
    steps: int
    seconds: float
    stopped_early: bool
    bad_photos: tuple[BadPhoto, ...] = ()
    notes: tuple[str, ...] = ()


def train(options: RunOptions, progress: Progress | None = None) -> TrainResult:
    """Train and write ``options.output``: a classifier with ``TrainOptions``, a detector with ``DetectTrainOptions``, an embedder with
    ``EmbedTrainOptions``, a model of attributes with ``AttributesTrainOptions``.

    Raises DataError for photos that make no data set, BadPhotosError for those that cannot be read, InputError for options
    that do not fit together or the network, MissingExtraError or EdgeVisionError where ImageNet weights cannot be had,
    EdgeVisionError when the loss diverges or memory runs out.
    """
    listeners: list[Progress] = [progress or SilentProgress()]
    if options.tensorboard is not None:
        listeners.append(TensorBoardProgress(options.tensorboard))
    group = ProgressGroup(listeners)
    try:
        with memory_errors(), training_process(options.threads or usable_cores(), options.seed):
            return _Run(options, group).run()
    finally:
        group.close()


def parameter_groups(
    model: nn.Module, head_parameters: Iterable[nn.Parameter], options: RunOptions
) -> list[dict[str, Any]]:  # fmt: skip
    """AdamW's groups: network and head, each with weights (decayed) and norms and biases (not decayed)."""
    head = {id(parameter) for parameter in head_parameters}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        groups.setdefault((id(parameter) in head, parameter.ndim > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": options.head_lr if of_head else options.lr,
            "weight_decay": options.weight_decay if decays else 0.0,
        }
        for (of_head, decays), parameters in sorted(groups.items())
    ]


def new_training(options: RunOptions, compute: Compute, progress: Progress) -> Training[Any]:
    """What ``options`` ask for. Reads the photos, and raises as ``train`` does."""
    if isinstance(options, TrainOptions):
        return ClassifyTraining(options, compute, progress)
    if isinstance(options, DetectTrainOptions):
        return DetectTraining(options, compute, progress)
    if isinstance(options, EmbedTrainOptions):
        return EmbedTraining(options, compute, progress)
    if isinstance(options, AttributesTrainOptions):
        return AttributesTraining(options, compute, progress)
    raise InputError(f"expected the options of a task, such as TrainOptions, got {type(options).__name__}")


class _Run:
    """Everything that lives as long as a run."""

    def __init__(self, options: RunOptions, progress: Progress) -> None:
        self.options, self.progress = options, progress
        began = time.monotonic()
        for path in (options.data, options.val, options.labels, getattr(options, "attributes", None)):
            if path is not None and is_same_file(options.output, path):
                raise InputError(
                    f"{path} is read to train and would be replaced by the checkpoint; name another with -o"
                )
        ensure_writable(options.output)
        self.compute: Compute = choose_compute(options.device)
        self.training: Training[Any] = new_training(options, self.compute, progress)
        self.data, self.size = self.training.data, self.training.spec.height
        self.notes: list[str] = []
        for warning in self.data.warnings:
            self._note(warning)
        self.model = self._new_model()
        self.ema = Ema(self.model)
        self.optimizer = torch.optim.AdamW(
            parameter_groups(self.model, self.training.head_parameters(self.model), options)
        )
        self.base_rates = [group["lr"] for group in self.optimizer.param_groups]

        self.steps_per_epoch = len(self.data.train) / (options.batch * options.accumulate)
        self.steps = max(1, math.ceil(options.epochs * self.steps_per_epoch))
        freeze = 0.0 if options.scratch else options.freeze_epochs * self.steps_per_epoch
        self.freeze_steps = min(math.ceil(freeze), self.steps // 2)
        self.step = 0
        self.history: list[EpochReport] = []
        self.best: EpochScore | None = None
        self.best_state: dict[str, Tensor] | None = None
        self.best_epoch = 0
        self.loss_sum, self.loss_count = 0.0, 0
        self.reserve_s = 0.0  # for what comes after the last step, as a run that goes on has measured it
        spent = self._restore()
        self.training.rehearse(self.model)
        spent += time.monotonic() - began
        budget = None if options.minutes is None else 60 * options.minutes
        self.packing_s = min(_PACKING_S, 0.1 * (budget or 0))
        self.clock = RunClock(self.steps, budget, max(self.packing_s, self.reserve_s), spent)
        self.saved_at = time.monotonic()

    def run(self) -> TrainResult:
        """Train, validate, write."""
        stopped = self._train()
        model = self.ema.model
        if self.best_state is not None and self.options.patience is not None:
            model.load_state_dict(self.best_state)
        score = None
        if self.data.val is not None:
            score = self.training.score(model, exact=True)
        photos, ood = self.training.pack() if self.options.photos else None, self.data.ood
        checkpoint = Checkpoint(
            arch=self.options.arch,
            arch_options=self.options.network_options,
            state_dict={name: value.detach().cpu() for name, value in self.training.kept(model).state_dict().items()},
            preprocess=self.training.spec,
            task=self.training.task,
            photos=photos,
            training=self._record(score, stopped),
            trained_on=short_hashes((*self.data.train.content_hashes, *(ood.content_hashes if ood else ()))),
        )
        save_checkpoint(self.options.output, checkpoint)
        self.options.state_path.unlink(missing_ok=True)
        return TrainResult(
            self.options.output,
            checkpoint,
            score,
            tuple(self.history),
            self.step,
            self.clock.elapsed_s,
            stopped,
            self.data.bad_photos,
            tuple(self.notes),
        )

    # ---- the loop ----

    def _train(self) -> bool:
        """Step until the run is over. True when it stopped because ``val`` got no better.

        Raises InputError when the time was over before a step, and there are steps to go.
        """
        begun = self.step
        first = begun * self.options.accumulate
        reported = time.monotonic()
        with contextlib.closing(work_ahead(self._make_batch, first)) as batches:
            while (progress := self.clock.progress(self.step)) < 1 and not self._out_of_patience():
                rate = self._set_rates(progress)
                loss, size, rows = self._optimise(batches, head_only=progress < self.freeze_steps / self.steps)
                self.step += 1
                self.ema.update(self.model, ema_decay(self.step - 1, self.options.ema))
                now = time.monotonic()
                self._record_step(loss, size, rate, rows, now - reported)
                reported = now
                epoch_ended = math.floor(self.step / self.steps_per_epoch) > math.floor(
                    (self.step - 1) / self.steps_per_epoch
                )
                if epoch_ended or self.clock.progress(self.step) >= 1:
                    self._end_epoch()
                self._save_if_due(epoch_ended)
        if self.step == begun < self.steps and not self._out_of_patience():
            raise InputError(
                f"{self.options.minutes or 0:g} minutes are too few: {self.clock.elapsed_s / 60:.2f} had gone by before step "
                f"{begun + 1} of {self.steps}. Give more --minutes" + ("; the run's state is kept" if begun else "")
            )
        if self.loss_count:  # the time ran out between two looks at the clock
            self._end_epoch()
        return self._out_of_patience() and self.clock.progress(self.step) < 1

    def _make_batch(self, number: int) -> Any:
        """Called in the loader's thread, ahead of time: the size follows the steps, or the clock where that leads."""
        progress = self.clock.progress(number // self.options.accumulate)
        size = training_size(progress, self.size, self.training.sizes)
        return self.training.make_batch(number, size, progress)

    def _set_rates(self, progress: float) -> float:
        """Learning rates for the coming step; returns the network's. Half a step on: neither end of the run is 0."""
        warmup = min(0.5, self.options.warmup_epochs / self.options.epochs)
        factor = learning_rate_factor(min(1.0, progress + 0.5 / self.steps), warmup)
        for group, base in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = base * factor
        return self.options.lr * factor

    def _optimise(self, batches: Iterator[Any], *, head_only: bool) -> tuple[float, int, int]:
        """One step over ``accumulate`` batches; returns the mean loss, the pictures' size, and how many there were."""
        self.training.set_mode(self.model, head_only=head_only)
        self.optimizer.zero_grad()
        total, size, rows = 0.0, 0, 0
        for part in range(self.options.accumulate):
            batch = next(batches)
            size = batch.images.shape[-1]
            rows += len(batch.images)
            torch.manual_seed(network_seed(self.options.seed, self.step * self.options.accumulate + part))
            loss = self.training.loss(self.model, batch) / self.options.accumulate
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        if not math.isfinite(total):
            raise EdgeVisionError(
                f"the loss became {total} at step {self.step + 1}: training diverged. Use a lower --lr or a longer warm-up"
            )
        nn.utils.clip_grad_norm_(self.model.parameters(), self.options.clip_norm)
        self.optimizer.step()
        return total, size, rows

    def _out_of_patience(self) -> bool:
        patience = self.options.patience
        return self.best is not None and patience is not None and len(self.history) - self.best_epoch >= patience

    # ---- reports and records ----

    def _note(self, text: str) -> None:
        """Tell it now, and keep it for the result."""
        self.notes.append(text)
        self.progress.message(f"note: {text}")

    def _record_step(self, loss: float, side_px: int, learning_rate: float, photos: int, step_s: float) -> None:
        """Add up the step's loss, keep time for validation in reserve, and tell the progress."""
        self.loss_sum += loss
        self.loss_count += 1
        done = self.clock.progress(self.step)
        left = self.clock.elapsed_s * (1 - done) / max(done, 1e-6)
        if self.data.val is not None and not self.history:
            # Until an epoch was timed: two passes over the validation photos, each photo as slow as one to learn from.
            self.clock.reserve_s = self.packing_s + 2 * len(self.data.val) * step_s / photos
        self.progress.step(
            StepReport(self.step, self.steps, done, loss, learning_rate, side_px, photos / max(step_s, 1e-9), left)
        )

    def _end_epoch(self) -> None:
        score, better = None, True
        if self.data.val is not None:
            before = time.monotonic()
            score = self.training.score(self.ema.model)
            # Still to come: one more pass as this one, and one in float32, which takes about twice as long.
            self.clock.reserve_s = self.packing_s + 3 * (time.monotonic() - before)
            better = score.better_than(self.best)
            if better:
                self.best, self.best_epoch = score, len(self.history) + 1
                self.best_state = {name: value.clone() for name, value in self.ema.model.state_dict().items()}
        report = EpochReport(
            epoch=len(self.history) + 1,
            step=self.step,
            seconds=self.clock.elapsed_s,
            train_loss=self.loss_sum / max(1, self.loss_count),
            score=score,
            best=better,
        )
        self.loss_sum, self.loss_count = 0.0, 0
        self.history.append(report)
        self.progress.epoch(report)

    def _record(self, score: EpochScore | None, stopped: bool) -> dict[str, Any]:
        return {
            "options": self.options.to_dict(),
            "data": self.data.describe(),
            "metrics": None if score is None else score.metrics,
            "best_epoch": self.best_epoch or len(self.history),
            "kept_epoch": len(self.history) if self.options.patience is None else self.best_epoch or len(self.history),
            "epochs": [report.to_dict() for report in self.history],
            "steps": self.step,
            "planned_steps": self.steps,
            "stopped_early": stopped,
            "seconds": self.clock.elapsed_s,
            "bfloat16": self.compute.bfloat16,
            "device": self.compute.device.type,
            **self.training.record(),
            "versions": package_versions(("edgevision", "torch", "torchvision", "numpy", "opencv-python-headless")),
        }

    # ---- beginning, breaking off, going on ----

    def _new_model(self) -> nn.Module:
        options, model = self.options, self.training.new_network()
        use_quick_depthwise(model)
        if options.scratch:
            backbones.quick_statistics(model)
        backbones.training_mode(model, frozen_statistics=not options.scratch)
        return model.to(self.compute.device).to(memory_format=torch.channels_last)

    def _fingerprint(self) -> dict[str, Any]:
        """What has to be the same for a run to go on."""
        return {
            **self.options.what_matters(), "photos' contents": self.data.digest, **self.training.fingerprint(),
        }  # fmt: skip

    def _save_if_due(self, epoch_ended: bool) -> None:
        wait = self.options.save_every_s / 10 if epoch_ended else self.options.save_every_s
        if time.monotonic() - self.saved_at < wait:
            return
        values = {
            "step": self.step,
            "model": self.model.state_dict(),
            "ema": self.ema.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best": None if self.best is None else self.best.metrics,
            "best_state": self.best_state,
            "best_epoch": self.best_epoch,
            "history": [report.to_dict() for report in self.history],
            "loss": [self.loss_sum, self.loss_count],
            "seconds": self.clock.elapsed_s,
            "reserve_s": self.clock.reserve_s,
        }
        save_state(self.options.state_path, self._fingerprint(), values)
        self.saved_at = time.monotonic()

    def _restore(self) -> float:
        """Take up an unfinished run where ``resume`` asks for it; returns the seconds it has taken so far."""
        path = self.options.state_path
        if not path.exists():
            if self.options.resume:
                self._note(f"there is no {path} to go on from; starting anew")
            return 0.0
        if not self.options.resume:
            self._note(f"{path} of an unfinished run will be replaced; --resume would go on with it")
            return 0.0
        values = load_state(path, self._fingerprint())
        try:
            self.model.load_state_dict(values["model"])
            self.ema.model.load_state_dict(values["ema"])
            self.optimizer.load_state_dict(values["optimizer"])
            self.step = int(values["step"])
            self.best = self._score_of(values["best"])
            self.best_state, self.best_epoch = values["best_state"], int(values["best_epoch"])
            self.history = [self._report_of(report) for report in values["history"]]
            self.loss_sum, self.loss_count = values["loss"]
            self.reserve_s = float(values.get("reserve_s", 0.0))  # states from before have none
            spent = float(values["seconds"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"{path} does not fit this run ({error}); delete it and start without --resume") from None
        self.progress.message(f"going on after step {self.step} of {self.steps}")
        return spent

    def _score_of(self, metrics: dict[str, float] | None) -> EpochScore | None:
        return None if metrics is None else self.training.score_of(metrics)

    def _report_of(self, values: dict[str, Any]) -> EpochReport:
        """What ``EpochReport.to_dict`` gave."""
        own = {name: value for name, value in values.items() if name != "val"}
        return EpochReport(**own, score=self._score_of(values["val"]))
