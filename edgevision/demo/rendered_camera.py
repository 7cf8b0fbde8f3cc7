"""The demo's scenes as cameras of a stream: ``rendered:conveyor?seed=3&fps=10&height=360&width=640``, and ``rendered:till``."""

from __future__ import annotations

from urllib.parse import parse_qsl

from edgevision.demo.till_camera import SIDE_PX, Visits
from edgevision.demo.world.worlds import Place, make_world
from edgevision.errors import InputError
from edgevision.streams.options import CameraOptions
from edgevision.streams.sources.rendered import RenderedCamera

_WHOLE = {"seed": 0, "height": 480, "width": 640}
_FPS = 15.0
TILL = "till"  # no world of many products, but one place for one product: a kiosk's
_PLACES = (*(one.value for one in Place), TILL)


def rendered_camera(options: CameraOptions) -> RenderedCamera:
    """The camera that ``options.source`` describes. Raises InputError.

    >>> rendered_camera(CameraOptions("belt", "rendered:conveyor?seed=3")).announced_fps
    15.0
    """
    place, _, query = options.source.partition(":")[2].partition("?")
    if place not in _PLACES:
        raise InputError(f"camera {options.name!r}: rendered are {', '.join(_PLACES)}, got {place!r}")
    defaults = {"seed": 0, "side": SIDE_PX} if place == TILL else _WHOLE
    given = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := sorted(set(given) - {*defaults, "fps"}):
        raise InputError(
            f"camera {options.name!r}: a rendered camera takes fps, {', '.join(defaults)}, got {unknown[0]!r}"
        )
    try:
        whole = {name: int(given.get(name, default)) for name, default in defaults.items()}
        fps = float(given.get("fps", _FPS))
    except ValueError as error:
        raise InputError(f"camera {options.name!r}: a rendered camera's settings are numbers ({error})") from None
    if place == TILL:
        return RenderedCamera(options.name, Visits(whole["seed"], whole["side"]).frame, fps=fps)
    world = make_world(place, whole["seed"], whole["height"], whole["width"])
    return RenderedCamera(options.name, lambda time_s: world.at(time_s).frame, fps=fps)
