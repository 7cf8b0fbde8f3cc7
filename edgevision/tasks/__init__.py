"""Tasks: how output tensors become results."""

from edgevision.tasks.base import GoldenResult, OutputRole, Task, TaskSpec, View
from edgevision.tasks.detections import Detection, Detections
from edgevision.tasks.embedding import Embedding
from edgevision.tasks.results import Classification, FrameId, Label, Prediction, Timing

__all__ = [
    "Classification",
    "Detection",
    "Detections",
    "Embedding",
    "FrameId",
    "GoldenResult",
    "Label",
    "OutputRole",
    "Prediction",
    "Task",
    "TaskSpec",
    "Timing",
    "View",
]
