"""The float model as something that can be evaluated: what `eval` of a .pt or .onnx runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgevision.compiler.answers import AnswerMeasure
from edgevision.compiler.data.photos import CompilePhoto, unpack
from edgevision.compiler.progress import ProgressFn, silent
from edgevision.compiler.sources.export import export_float
from edgevision.compiler.sources.source import SourceOptions, load_source
from edgevision.engines import EngineOptions
from edgevision.frames import Frame, ImageArray
from edgevision.machine import usable_cores
from edgevision.runtime.runner import Runner
from edgevision.tasks.base import Task
from edgevision.tasks.registry import make_task
from edgevision.tensors import Outputs, joined

BATCH = 8


class FloatModel:
    """A model file exported to ONNX and run in float by ONNX Runtime. A context manager.

    ``task``: with parameters that are fitted on the photos that the checkpoint carries, as ``compile`` does; where it
    carries too few, without. ``fitted``: parameters to take instead, such as a bundle's, to compare like with like.
    """

    def __init__(
        self, path: Path, options: SourceOptions, *, true_accept_rate: float = 0.95, threads: int | None = None,
        fitted: Mapping[str, Any] | None = None, progress: ProgressFn = silent,
    ) -> None:  # fmt: skip
        source = load_source(path, options)
        progress("export", 0, 0)
        graph, _ = export_float(source)
        task = make_task(source.task)
        self._runner = Runner(graph, "onnxruntime", EngineOptions(threads or usable_cores()), source.spec, task, BATCH)
        self.task: Task[Any] = task
        self.preprocess = source.spec
        try:
            if fitted is None and source.photos is not None and source.photos.calibration:
                measure = AnswerMeasure.of(source.task, source.spec)
                photos = unpack(source.photos.calibration, measure.evaluator)
                answers = self._answers(photos, progress)
                truth, learnt = [p.truth for p in photos], [p.in_training_set for p in photos]
                fitted = measure.evaluator.fit(answers, answers, truth, learnt, true_accept_rate).parameters
            self.task = make_task(source.task.with_parameters(fitted or {}))
        except BaseException:
            self._runner.close()
            raise

    def digest(self, images: Sequence[ImageArray]) -> Outputs:
        """What is kept of each image, H×W×3 uint8 BGR, by role; first axis: the images."""
        frames = [Frame.from_array(image) for image in images]
        size = self._runner.max_batch
        parts = [self._runner.run(frames[start : start + size]).outputs for start in range(0, len(frames), size)]
        return joined([dict(self.task.digest(outputs)) for outputs in parts])

    def close(self) -> None:
        """Give the engine's memory back."""
        self._runner.close()

    def __enter__(self) -> FloatModel:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _answers(self, photos: Sequence[CompilePhoto], progress: ProgressFn) -> Outputs:
        """Digests of photos, few of which are decoded at a time."""
        parts = []
        for start in range(0, len(photos), BATCH):
            progress("fit the task's parameters", start, len(photos))
            parts.append(dict(self.digest([photo.read() for photo in photos[start : start + BATCH]])))
        return joined(parts)
