"""Tasks: how output tensors become results."""

from edgevision.tasks.classify import ClassifyTask
from edgevision.tasks.results import Classification, FrameId, Label, Prediction, Timing

__all__ = ["Classification", "ClassifyTask", "FrameId", "Label", "Prediction", "Timing"]
