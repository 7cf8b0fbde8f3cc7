"""One step that changes nothing, before the first epoch: what cannot work is said at once, and in our own words.

PyTorch says of a picture that is too small that a kernel is larger than its input, and of a batch of one that it expected
more than one value: neither names the option that helps.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from edgevision.errors import EdgeVisionError, InputError
from edgevision.train.backbones import DETECTOR, training_mode
from edgevision.train.compute import Compute
from edgevision.train.lite_detector import STRIDES
from edgevision.train.schedule import training_size

_LARGEST_TRIED_PX = 512
_ERRORS = (RuntimeError, ValueError, IndexError, AssertionError)  # what layers raise for shapes that they cannot take


def rehearse(
    arch: str, network: nn.Module, batch: int, size: int, shares: Sequence[float], compute: Compute,
    *, frozen_statistics: bool,
) -> None:  # fmt: skip
    """Run a copy of ``network`` forwards and backwards on the smallest pictures that it will see; on a GPU on the largest too.

    ``batch`` photos make a batch; ``size`` is the model's in pixels, ``shares`` of it are the training pictures'. Raises
    InputError with the option that helps where batch or size do not fit, EdgeVisionError for weights that are not
    numbers, and for what else goes wrong.
    """
    if bad := first_not_finite(network.state_dict()):
        raise EdgeVisionError(f"the weights that {arch} starts with are not all numbers ({bad}); get them anew")
    trial = _Trial(copy.deepcopy(network), compute, frozen_statistics)
    sides = _sides(size, shares)
    least = min(sides)
    try:
        finite = trial.step(min(batch, 2), least)
        if compute.device.type == "cuda":
            trial.step(batch, max(sides))
    except _ERRORS as error:
        if _is_out_of_memory(error):
            raise
        if batch == 1 and trial.runs(2, least):
            raise InputError(
                f"{arch} cannot learn from one photo at a time on pictures of {least} pixels: its batch norms get a single "
                "value for each channel. Give --batch 2 or more, or a larger --size"
            ) from error
        raise _too_small(arch, trial, size, shares) or EdgeVisionError(
            f"{arch} cannot be trained on pictures of {least}×{least} pixels: {_first_line(error)}"
        ) from error
    if not finite:
        raise EdgeVisionError(
            f"{arch} answers with what is not a number before it has learnt anything; get its weights anew"
        )


def rehearse_teacher(answers: Callable[[Tensor], Tensor], size: int, shares: Sequence[float], compute: Compute) -> None:
    """Have the teacher answer for two pictures as small as it will see. Raises InputError where it cannot."""
    least = min(_sides(size, shares))
    try:
        answers(compute.put(_pictures(2, least)))
    except _ERRORS as error:
        if _is_out_of_memory(error):
            raise
        raise InputError(
            f"the teacher cannot answer for pictures of {least}×{least} pixels, the smallest that are trained on "
            f"({_first_line(error)}); give a larger --size or another --teacher"
        ) from error


def first_not_finite(state: Mapping[str, Tensor]) -> str | None:
    """The first tensor that holds NaN or infinity, and how many: ``head.weight: 3 of 1280``; None where there is none."""
    for name, value in state.items():
        if value.is_floating_point() and (bad := int((~torch.isfinite(value)).sum())):
            return f"{name}: {bad} of {value.numel()}"
    return None


@contextlib.contextmanager
def memory_errors() -> Iterator[None]:
    """Says of memory that runs out within which options use less of it. Raises EdgeVisionError."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
        raise EdgeVisionError(
            "memory ran out while training. Give a smaller --batch, with --accumulate to make up for it, or a smaller --size"
        ) from error


class _Trial:
    """A network that may be spoiled."""

    def __init__(self, network: nn.Module, compute: Compute, frozen_statistics: bool) -> None:
        training_mode(network.requires_grad_(True), frozen_statistics)
        self._network, self._compute = network, compute

    def step(self, batch: int, side_px: int) -> bool:
        """Forwards and backwards; whether the answers are numbers."""
        answers = self._answers(batch, side_px)
        answers.float().sum().backward()  # type: ignore[no-untyped-call]
        self._network.zero_grad(set_to_none=True)
        return bool(torch.isfinite(answers).all())

    def runs(self, batch: int, side_px: int) -> bool:
        """Whether it goes forwards."""
        try:
            with torch.no_grad():
                self._answers(batch, side_px)
        except _ERRORS:
            return False
        return True

    def _answers(self, batch: int, side_px: int) -> Tensor:
        images = self._compute.put(_pictures(batch, side_px))
        with self._compute.precision():
            answers = self._network(images)
        if isinstance(answers, Tensor):
            return answers
        return torch.cat([answer.flatten() for answer in answers.values()])  # a detector's


def _pictures(count: int, side_px: int) -> Tensor:
    """Two slopes in turns, [count, 3, side_px, side_px]: not all alike, or batch norms would give zeros alone."""
    one = torch.linspace(-1, 1, 3 * side_px**2).reshape(1, 3, side_px, side_px)
    return torch.cat([one if place % 2 else -one for place in range(count)])


def _sides(size: int, shares: Sequence[float]) -> set[int]:
    """Sides of all pictures of a run: those to learn from, and those to validate with."""
    return {size, *(training_size(place / len(shares), size, shares) for place in range(len(shares)))}


def _too_small(arch: str, trial: _Trial, size: int, shares: Sequence[float]) -> InputError | None:
    """What to say where larger pictures would do; None where they would not."""
    least = min(_sides(size, shares))
    enough = next((side for side in range(32, _LARGEST_TRIED_PX + 1, 8) if side > least and trial.runs(2, side)), None)
    if enough is None:
        return None
    grain = STRIDES[-1] if arch == DETECTOR else 8  # what the size must be a multiple of
    sizes = range(math.ceil(enough / grain) * grain, 10 * _LARGEST_TRIED_PX, grain)
    wanted = next(size for size in sizes if min(_sides(size, shares)) >= enough)
    small = f"training begins with pictures of {least}" if least < size else f"they have {least}"
    return InputError(
        f"{arch} needs pictures of {enough} pixels or more; at --size {size} {small}. Give --size {wanted} or more"
    )


def _is_out_of_memory(error: BaseException) -> bool:
    text = str(error)
    return (
        isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError))
        or "allocate memory" in text
        or "not enough memory" in text
    )


def _first_line(error: BaseException) -> str:
    """The point of a message that may run over many lines."""
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return line if len(line) <= 160 else f"{line[:157]}…"
