"""The demo's scenes as cameras of a stream: ``rendered:conveyor?seed=3&fps=10&height=360&width=640``."""

from __future__ import annotations

from urllib.parse import parse_qsl

from edgevision.demo.world.worlds import Place, make_world
from edgevision.errors import InputError
from edgevision.streams.options import CameraOptions
from edgevision.streams.sources.rendered import RenderedCamera

_WHOLE = {"seed": 0, "height": 480, "width": 640}
_FPS = 15.0


def rendered_camera(options: CameraOptions) -> RenderedCamera:
    """The camera that ``options.source`` describes. Raises InputError.

    >>> rendered_camera(CameraOptions("belt", "rendered:conveyor?seed=3")).announced_fps
    15.0
    """
    place, _, query = options.source.partition(":")[2].partition("?")
    if place not in {one.value for one in Place}:
        raise InputError(
            f"camera {options.name!r}: rendered are {', '.join(one.value for one in Place)}, got {place!r}"
        )
    given = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := sorted(set(given) - {*_WHOLE, "fps"}):
        raise InputError(
            f"camera {options.name!r}: a rendered camera takes fps, {', '.join(_WHOLE)}, got {unknown[0]!r}"
        )
    try:
        whole = {name: int(given.get(name, default)) for name, default in _WHOLE.items()}
        fps = float(given.get("fps", _FPS))
    except ValueError as error:
        raise InputError(f"camera {options.name!r}: a rendered camera's settings are numbers ({error})") from None
    world = make_world(place, whole["seed"], whole["height"], whole["width"])
    return RenderedCamera(options.name, lambda time_s: world.at(time_s).frame, fps=fps)
