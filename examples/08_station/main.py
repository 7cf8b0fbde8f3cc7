"""Events of one place, in asyncio: what was placed, what it is, and when to ask the shopper.

python examples/08_station/main.py [BUNDLE]

The camera is drawn and put in frame by frame, as a camera's own SDK would give them; ``Station(model, "rtsp://…")`` reads one itself.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace

import numpy as np

import edgevision as ev
from edgevision.demo.products import LISTED, unlisted
from edgevision.demo.scene import Scene, SceneKind, render, sample_scene
from edgevision.frames import ImageArray
from edgevision.kiosk import Placed, Recognised, Removed, Station, Unknown, Unsure

FPS = 15


def film() -> list[tuple[ImageArray, float]]:
    """(picture, seconds that it is shown): a place that is empty, then a product, then empty, then one that the model never saw."""
    like = sample_scene(np.random.default_rng(29), SceneKind.LISTED, product=LISTED[1])
    empty = Scene(SceneKind.EMPTY, like.camera, like.backdrop, light=like.light)
    nothing = render(empty)
    listed = render(replace(empty, kind=SceneKind.LISTED, product=LISTED[1]))
    stranger = render(replace(empty, kind=SceneKind.UNLISTED, product=unlisted(1)))
    return [(nothing, 2.0), (listed, 2.0), (nothing, 1.5), (stranger, 2.0), (nothing, 1.5)]


async def camera(station: Station, pictures: list[tuple[ImageArray, float]]) -> None:
    """Puts a frame in 15 times a second, and closes the station at the end."""
    for picture, seconds in pictures:
        for _ in range(round(seconds * FPS)):
            station.put(picture)
            await asyncio.sleep(1 / FPS)
    station.close()


async def main(bundle: str = "runs/demo/model.edge") -> None:
    pictures = film()
    with ev.load(bundle) as model, Station(model, name="till-1") as station:
        putting = asyncio.create_task(camera(station, pictures))
        async for event in station:
            if isinstance(event, Placed):
                print(f"placement {event.placement}: something was placed")
            elif isinstance(event, Recognised):
                print(f"placement {event.placement}: {event.product.name}, after {event.waited_s:.2f} s")
            elif isinstance(event, Unsure):
                print(f"placement {event.placement}: ask, is it {' or '.join(one.name for one in event.choices)}?")
            elif isinstance(event, Unknown):
                print(f"placement {event.placement}: not known, call for help")
            elif isinstance(event, Removed):
                print(f"placement {event.placement}: taken away")
            else:
                print(event.to_dict())  # Blocked, Unblocked
        await putting


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
