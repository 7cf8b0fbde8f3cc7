from __future__ import annotations

import io
import sys
import types

import pytest
from rich.console import Console

from edgevision.errors import MissingExtraError
from edgevision.train.progress import (
    EpochReport,
    ProgressGroup,
    RichProgress,
    SilentProgress,
    StepReport,
    TensorBoardProgress,
)
from edgevision.train.validate import Score

STEP = StepReport(5, 10, 0.5, 1.234, 1e-3, 192, 67.8, 61.0)
EPOCH = EpochReport(2, 5, 30.0, 1.5, Score(81.25, 99.0, 0.7), True)


def test_rich_shows_what_matters():
    text = io.StringIO()
    progress = RichProgress(Console(file=text, width=160, force_terminal=True))
    progress.message("note: [not markup]")
    progress.photos_checked(3, 12)
    progress.step(STEP)
    progress.epoch(EPOCH)
    progress.close()
    for part in (
        "note: [not markup]",
        "check photos",
        "3 of 12",
        "loss 1.234",
        "192 px",
        "68 photos/s",
        "1:01 left",
        "val top-1 81.25 %",
        "best so far",
    ):
        assert part in text.getvalue()


def test_a_group_passes_everything_on():
    calls = []

    class Listener(SilentProgress):
        def message(self, text):
            calls.append(text)

        def photos_checked(self, done, total):
            calls.append((done, total))

        def step(self, report):
            calls.append(report)

        def epoch(self, report):
            calls.append(report)

        def close(self):
            calls.append("closed")

    group = ProgressGroup([Listener(), Listener()])
    group.message("hello")
    group.photos_checked(1, 2)
    group.step(STEP)
    group.epoch(EPOCH)
    group.close()
    assert calls == ["hello", "hello", (1, 2), (1, 2), STEP, STEP, EPOCH, EPOCH, "closed", "closed"]


def test_tensorboard_gets_the_scalars(monkeypatch, tmp_path):
    scalars = {}

    class SummaryWriter:
        def __init__(self, folder):
            self.folder = folder

        def add_scalar(self, name, value, step):
            scalars[name] = (value, step)

        def close(self):
            scalars["closed"] = True

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", types.SimpleNamespace(SummaryWriter=SummaryWriter))
    progress = TensorBoardProgress(tmp_path)
    progress.step(STEP)
    progress.epoch(EPOCH)
    progress.close()
    assert scalars["train/loss"] == (1.234, 5)
    assert scalars["val/top1"] == (81.25, 5)
    assert scalars["closed"]


def test_missing_tensorboard_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtraError, match=r"edgevision\[tensorboard\]"):
        TensorBoardProgress(tmp_path)
