"""Spec → plan → tensor."""

from edgevision.preprocess.geometry import Region
from edgevision.preprocess.plan import Plan, Prepared, make_plan
from edgevision.preprocess.preprocessor import Preprocessor
from edgevision.preprocess.spec import (
    ColorOrder,
    Filter,
    Fit,
    Layout,
    PreprocessSpec,
    Rounding,
    TensorDtype,
    preset,
)

__all__ = [
    "ColorOrder",
    "Filter",
    "Fit",
    "Layout",
    "Plan",
    "Prepared",
    "PreprocessSpec",
    "Preprocessor",
    "Region",
    "Rounding",
    "TensorDtype",
    "make_plan",
    "preset",
]
