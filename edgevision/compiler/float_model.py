"""The float model as something that can be evaluated: what `eval` of a .pt or .onnx runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgevision.compiler.export import export_float
from edgevision.compiler.judge import fit_unknown
from edgevision.compiler.options import ProgressFn, silent
from edgevision.compiler.photos import CompilePhoto
from edgevision.compiler.source import SourceOptions, load_source
from edgevision.engines import EngineOptions
from edgevision.frames import Frame, ImageArray
from edgevision.machine import usable_cores
from edgevision.runner import Runner
from edgevision.tasks.classify import ClassifyTask
from edgevision.tasks.results import Label

BATCH = 8


class FloatModel:
    """A model file exported to ONNX and run in float by ONNX Runtime. A context manager.

    Temperature and unknown-threshold are fitted on the photos that the checkpoint carries, as ``compile`` does. Where
    it carries too few, the temperature is 1, and ``threshold`` None: nothing says what is unknown. ``fitted``: a
    temperature and a threshold (0 = none) to take instead, such as a bundle's, to compare like with like.
    """

    def __init__(
        self, path: Path, options: SourceOptions, *, keep: float = 0.95, threads: int | None = None,
        fitted: tuple[float, float] | None = None, progress: ProgressFn = silent,
    ) -> None:  # fmt: skip
        source = load_source(path, options)
        progress("export", 0, 0)
        graph, _ = export_float(source)
        self.labels: tuple[Label, ...] = tuple(source.labels)
        self.threshold: float | None = None
        self._runner = Runner(
            graph, "onnxruntime", EngineOptions(threads or usable_cores()), source.spec, len(self.labels), BATCH
        )
        temperature = 1.0
        try:
            if fitted is not None:
                temperature, self.threshold = fitted[0], fitted[1] or None
            elif source.photos is not None and source.photos.calibration:
                photos = [CompilePhoto(p.data, p.label, "", p.seen) for p in source.photos.calibration]
                raw = self._outputs(photos, progress)
                temperature, self.threshold, _ = fit_unknown(raw, photos, self.labels, source.output, keep)
        except BaseException:
            self._runner.close()
            raise
        self._task = ClassifyTask(self.labels, source.output, temperature, self.threshold or 0.0)

    def probabilities(self, images: Sequence[ImageArray]) -> npt.NDArray[np.float64]:
        """Probabilities [n, k] of H×W×3 uint8 BGR images."""
        return self._task.probabilities(self._raw(images))

    def close(self) -> None:
        """Give the engine's memory back."""
        self._runner.close()

    def __enter__(self) -> FloatModel:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _outputs(self, photos: Sequence[CompilePhoto], progress: ProgressFn) -> npt.NDArray[np.float32]:
        """Raw outputs [n, k] of photos, few of which are decoded at a time."""
        parts = []
        for start in range(0, len(photos), BATCH):
            progress("fit the threshold", start, len(photos))
            parts.append(self._raw([photo.read() for photo in photos[start : start + BATCH]]))
        return np.concatenate(parts)

    def _raw(self, images: Sequence[ImageArray]) -> npt.NDArray[np.float32]:
        frames = [Frame.from_array(image) for image in images]
        size = self._runner.max_batch
        parts = [self._runner.run(frames[start : start + size]).raw for start in range(0, len(frames), size)]
        return np.concatenate(parts) if parts else np.empty((0, len(self.labels)), np.float32)
