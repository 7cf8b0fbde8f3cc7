"""One module for each family of detection heads; here they are together."""

from edgevision.errors import InputError
from edgevision.tasks.detect.candidates import Layout
from edgevision.tasks.detect.layouts import detr, finished, levels, nanodet, torchvision, yolo, yolox

_FAMILIES = (
    levels,
    yolo,
    finished,
    detr,
    yolox,
    nanodet,
    torchvision,
)
LAYOUTS: dict[str, Layout] = {layout.name: layout for family in _FAMILIES for layout in family.LAYOUTS}


def find_layout(name: str) -> Layout:
    """The layout of this name. Raises InputError, listing those there are."""
    if name not in LAYOUTS:
        raise InputError(f"a detector's outputs are laid out as one of {list(LAYOUTS)}, got {name!r}")
    return LAYOUTS[name]
