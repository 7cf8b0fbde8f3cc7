"""The float model as something that can be evaluated: what `eval` of a .pt or .onnx runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgevision.compiler.export import export_float
from edgevision.compiler.judge import fit_unknown, outputs_on
from edgevision.compiler.measure import Way
from edgevision.compiler.options import Candidate, ProgressFn, silent
from edgevision.compiler.photos import CompilePhoto
from edgevision.compiler.source import SourceOptions, load_source
from edgevision.engines import EngineOptions, open_engine
from edgevision.frames import Frame, ImageArray
from edgevision.machine import usable_cores
from edgevision.preprocess import Preprocessor
from edgevision.tasks.classify import ClassifyTask
from edgevision.tasks.results import Label


class FloatModel:
    """A model file exported to ONNX and run in float by ONNX Runtime. A context manager.

    Temperature and unknown-threshold are fitted on the photos that the checkpoint carries, as ``compile`` does;
    without photos they are 1 and 0.
    """

    def __init__(
        self, path: Path, options: SourceOptions, *, keep: float = 0.95, threads: int = 0, progress: ProgressFn = silent
    ) -> None:
        source = load_source(path, options)
        progress("export", 0, 0)
        graph, _ = export_float(source)
        threads = threads or usable_cores()
        self.labels: tuple[Label, ...] = tuple(source.labels)
        temperature, threshold = 1.0, 0.0
        if source.photos is not None and source.photos.calibration:
            way = Way("float", Candidate("float", graph, "float32", "float"), "onnxruntime", "float32")
            photos = [CompilePhoto(p.data, p.label, "", p.seen) for p in source.photos.calibration]
            raw = outputs_on([way], photos, source.spec, threads, "fit the threshold", progress)["float"]
            temperature, threshold, _ = fit_unknown(raw, photos, self.labels, source.output, keep)
        self.threshold = threshold
        self._task = ClassifyTask(self.labels, source.output, temperature, threshold)
        self._preprocess = Preprocessor(source.spec)
        self._engine = open_engine("onnxruntime", graph, EngineOptions(threads))

    def probabilities(self, images: Sequence[ImageArray]) -> npt.NDArray[np.float64]:
        """Probabilities [n, k] of H×W×3 uint8 BGR images."""
        slot = self._engine.slots(len(images))[0]
        for item, image in zip(slot.inputs[self._engine.inputs[0].name], images, strict=True):
            self._preprocess.run(Frame.from_array(image), item)
        self._engine.run(slot)
        return self._task.probabilities(slot.outputs[self._engine.outputs[0].name])

    def close(self) -> None:
        """Give the engine's memory back."""
        self._engine.close()

    def __enter__(self) -> FloatModel:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
