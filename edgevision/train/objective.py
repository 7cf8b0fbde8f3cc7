"""What training makes small: the loss against labels and, with a teacher, against its answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from edgevision.errors import InputError
from edgevision.evaluate.data.names import composed
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.results import Label
from edgevision.train.backbones import has_fixed_size, training_mode
from edgevision.train.checkpoint import load_checkpoint, model_from_checkpoint, state_digest


def label_loss(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy of N×classes logits with soft targets, of which ``smoothing`` is spread over all classes."""
    return functional.cross_entropy(logits.float(), targets, label_smoothing=smoothing)


def distillation_loss(logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """T²·KL(softmax(teacher/T) ‖ softmax(student/T)), mean over the batch (Hinton et al. 2015)."""
    student = functional.log_softmax(logits.float() / temperature, 1)
    teacher = functional.log_softmax(teacher_logits.float() / temperature, 1)
    return temperature**2 * functional.kl_div(student, teacher, reduction="batchmean", log_target=True)


class Teacher:
    """A trained checkpoint that answers for pictures prepared for the student."""

    def __init__(self, path: Path, labels: Sequence[Label], student: PreprocessSpec, device: torch.device) -> None:
        """Raises ModelFileError for a file that is no checkpoint, InputError when its classes are others."""
        checkpoint = load_checkpoint(path)
        layouts = [output.layout for output in checkpoint.task.outputs]
        if layouts != ["logits"]:
            raise InputError(f"a teacher gives logits, but {path} gives {', '.join(layouts)}")
        places = {(label.id, composed(label.name)): place for place, label in enumerate(checkpoint.labels)}
        if missing := [label.name for label in labels if (label.id, composed(label.name)) not in places]:
            raise InputError(
                f"the teacher {path} does not know {len(missing)} of the {len(labels)} classes, {missing[0]!r} first; "
                f"train it on the same classes (ids and names)"
            )
        self.digest = state_digest(checkpoint.state_dict)
        model = model_from_checkpoint(checkpoint).requires_grad_(False)
        training_mode(model, frozen_statistics=True)  # folds batch norms, which is quicker
        model.eval()
        self._model = model.to(device).to(memory_format=torch.channels_last)
        self._places = torch.tensor([places[label.id, composed(label.name)] for label in labels], device=device)
        self._arch, self._spec, self._student = checkpoint.arch, checkpoint.preprocess, student

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """N×3×S×S prepared as the student's spec says → N×classes, in the student's order of classes.

        The pictures are prepared anew as the teacher's spec says, and resized where it works at another size.
        """
        ours, theirs = self._student, self._spec
        mean, std = ours.mean, ours.std
        if ours.color is not theirs.color:  # RGB and BGR
            images, mean, std = images.flip(1), mean[::-1], std[::-1]
        scale = [a / b for a, b in zip(std, theirs.std, strict=True)]
        shift = [(a - b) / c for a, b, c in zip(mean, theirs.mean, theirs.std, strict=True)]
        images = images * _per_channel(scale, images) + _per_channel(shift, images)
        side = round(images.shape[-1] * theirs.width / ours.width)
        if has_fixed_size(self._arch):
            side = theirs.width
        if side != images.shape[-1]:
            images = functional.interpolate(images, size=(side, side), mode="bilinear", antialias=True)
        answers: Tensor = self._model(images.contiguous(memory_format=torch.channels_last))
        return answers[:, self._places]


def _per_channel(values: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device)[None, :, None, None]
